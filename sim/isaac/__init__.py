"""Isaac: in a process and a Python environment of its own, behind the same interface."""
