"""The seam to a robot: read sensors, write actuation, stop. One for ROS 2, one for a simulator, one that replays a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from deploy.runtime.runtime import Runtime
from deploy.runtime.tick import Tick


class Reading(NamedTuple):
    """A message from the robot, as `Runtime.on_sensors` takes it."""

    source: str
    values: dict[str, Any]
    stamp_ns: int
    receipt_s: float


class Driver(Protocol):
    """A robot."""

    def readings(self) -> Iterator[Reading]:
        """Messages as they arrive, until there are no more."""

    def write(self, tick: Tick) -> None:
        """Send ``tick.actuation``, or nothing if it is None; pass ``tick.request_failsafe`` on."""

    def stop(self, command: dict[str, np.ndarray]) -> None:
        """Send the final safe command; called however the loop ends."""


def fly(driver: Driver, runtime: Runtime, operator: Callable[[Reading], None] | None = None) -> None:
    """Answer every reading until there are no more; whatever happens, the driver is stopped with the final safe command.

    Args:
        driver: the robot.
        runtime: configured; the operator activates it.
        operator: called before each reading is taken: the place to activate, hold the dead-man switch and give commands.
    """
    try:
        for reading in driver.readings():
            if operator is not None:
                operator(reading)
            tick = runtime.on_sensors(*reading)
            if tick is not None:
                driver.write(tick)
    finally:
        driver.stop(runtime.final_command())
