"""The simulated robot as a process: `simulated_robot --ros-args -p rate_hz:=100.0 …`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tether_ros import process


def _body(arguments: Sequence[str]) -> int:
    from tether_sim.node import SimulatedRobot

    return process.spin(SimulatedRobot, arguments)


def main() -> int:
    """Entry point of the console script."""
    return process.run("simulated_robot", _body)


if __name__ == "__main__":
    sys.exit(main())
