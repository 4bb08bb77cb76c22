"""The loop around a driver: every reading is answered, and the robot is stopped however it ends."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from deploy.runtime import Runtime, State, Tick
from deploy.runtime.driver import Reading, fly
from tests.deploy.fakes import QUADROTOR, FakePolicy, odometry


class Script:
    """Plays ``count`` good readings, then fails if told to."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.count, self.error = count, error
        self.ticks: list[Tick] = []
        self.stopped: list[dict[str, np.ndarray]] = []

    def readings(self) -> Iterator[Reading]:
        for number in range(self.count):
            yield Reading("odometry", odometry(), number * 10_000_000, number * 0.01)
        if self.error:
            raise self.error

    def write(self, tick: Tick) -> None:
        self.ticks.append(tick)

    def stop(self, command: dict[str, np.ndarray]) -> None:
        self.stopped.append(command)


def flown(script: Script) -> Runtime:
    """Fly the script with the dead-man switch held."""
    runtime = Runtime(FakePolicy(), robot=QUADROTOR, now=lambda: 0.0)
    runtime.activate()
    fly(script, runtime, lambda reading: runtime.enable(reading.receipt_s))
    return runtime


def test_every_reading_is_answered_and_the_robot_is_stopped_at_the_end() -> None:
    script = Script(5)
    assert flown(script).state is State.POLICY
    assert [tick.stamp_ns for tick in script.ticks] == [0, 10_000_000, 20_000_000, 30_000_000, 40_000_000]
    assert len(script.stopped) == 1
    np.testing.assert_array_equal(script.stopped[0]["collective_thrust"], np.float32([0.3]))


@pytest.mark.parametrize("error", [OSError("the cable"), KeyboardInterrupt()])
def test_a_driver_that_fails_is_stopped_too(error: Exception) -> None:
    script = Script(3, error)
    with pytest.raises(type(error)):
        flown(script)
    assert len(script.stopped) == 1
