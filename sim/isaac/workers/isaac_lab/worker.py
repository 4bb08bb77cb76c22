"""Isaac Lab 3 on Newton, without Kit: many copies of one robot from its MJCF, by the orders of `protocol`.

The scene is Isaac Lab's: its stage, its cloning, its physics manager, which records a control period as one CUDA graph on a GPU. Motors and
readings are Warp kernels inside that period, at physics rate, on Newton's arrays and on those that the trainer sees.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import protocol  # type: ignore[import-not-found]


def make() -> protocol.Engine:
    """The engine; imports Isaac Lab, which takes its time."""
    import isaaclab  # noqa: F401
    from lab import IsaacLab

    return IsaacLab()


if __name__ == "__main__":
    protocol.serve(make, "Isaac Lab")
