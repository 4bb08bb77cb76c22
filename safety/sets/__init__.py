"""Safe sets: polytopes that a stated feedback cannot leave, whatever the disturbance; how they are made, stored and proved.

`load` reads a shipped set with numpy alone; making and proving one needs scipy (``pip install 'tether[sets]'``).
"""

from safety.sets.safe_set import SafeSet, load, names

__all__ = ["SafeSet", "load", "names"]
