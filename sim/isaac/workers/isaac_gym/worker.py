"""Isaac Gym Preview 4: many copies of one robot from its MJCF, by the orders of `protocol`. Run by path, in Isaac Gym's own environment."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import protocol  # type: ignore[import-not-found]


def make() -> protocol.Engine:
    """The engine."""
    import isaacgym  # noqa: F401  # before torch, or it refuses
    from engine import IsaacGym

    return IsaacGym()


if __name__ == "__main__":
    protocol.serve(make, "Isaac Gym")
