"""A robot with joints stands up, waits, and passes control from the stand to the policy without a jump."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from deploy.runtime import Behaviour, Runtime, State, Tick
from robots.errors import TetherError
from robots.signals import Sensor
from tests.deploy.fakes import LEG, FakePolicy, contract_of

STAND = Behaviour(stand={"joint_positions": (0.5, -1.0)}, measured={"joint_positions": "joint_angles"}, stand_s=1.0, blend_s=0.5)


class Leg:
    """A leg whose policy always asks for (−0.5, 1.0)."""

    def __init__(self, behaviour: Behaviour = STAND, policy: FakePolicy | None = None) -> None:
        self.time_s, self.stamp_ns, self.enabled = 50.0, 0, False
        policy = policy or FakePolicy(contract_of(LEG), lambda step: {"joint_positions": [-0.5, 1.0]})
        self.runtime = Runtime(policy, robot=LEG, now=lambda: self.time_s, behaviour=behaviour)

    def tick(self, angles: tuple[float, float] = (0.1, 0.2)) -> Tick:
        self.time_s, self.stamp_ns = self.time_s + 0.01, self.stamp_ns + 10_000_000
        if self.enabled:
            self.runtime.enable(self.time_s)
        found = self.runtime.on_sensors("joint_state", {"joint_angles": angles}, self.stamp_ns, self.time_s)
        assert found is not None
        return found

    def stand(self) -> np.ndarray:
        """Stand up; what was sent, ``[ticks, 2]``."""
        self.runtime.activate()
        ticks = [self.tick() for _ in range(110)]
        assert self.runtime.state is State.READY
        return sent(ticks)


def sent(ticks: list[Tick]) -> np.ndarray:
    """What was sent at every tick."""
    return np.array([tick.actuation["joint_positions"] for tick in ticks if tick.actuation is not None], dtype=float)


def test_standing_up_starts_where_the_robot_is_and_goes_straight_to_the_stand() -> None:
    values = Leg().stand()
    assert len(values) == 110
    fraction = np.minimum(np.arange(110) * 0.01, 1.0)[:, None]
    np.testing.assert_allclose(values, (1 - fraction) * [0.1, 0.2] + fraction * [0.5, -1.0], atol=1e-6)


def test_ready_holds_the_stand_until_the_operator_enables() -> None:
    leg = Leg()
    leg.stand()
    ticks = [leg.tick() for _ in range(50)]
    np.testing.assert_array_equal(sent(ticks), np.tile([0.5, -1.0], (50, 1)))
    assert ticks[-1].state is State.READY


def test_control_passes_to_the_policy_without_a_jump() -> None:
    leg = Leg()
    leg.stand()
    leg.enabled = True
    ticks = [leg.tick() for _ in range(60)]
    assert {tick.state for tick in ticks} == {State.POLICY}
    weight = np.minimum(np.arange(60) * 0.02, 1.0)[:, None]
    np.testing.assert_allclose(sent(ticks), (1 - weight) * [0.5, -1.0] + weight * [-0.5, 1.0], atol=1e-6)


@pytest.mark.parametrize("when", ["standing", "ready"])
def test_a_fault_while_standing_damps(when: str) -> None:
    leg = Leg()
    if when == "ready":
        leg.stand()
    else:
        leg.runtime.activate()
        leg.tick()
    tick = leg.tick((np.nan, 0.0))
    assert (tick.state, tick.trips) == (State.DAMPING, ("non_finite_input",))
    np.testing.assert_array_equal(sent([tick]), [[0.0, 0.0]])


def test_silence_while_standing_damps() -> None:
    leg = Leg()
    leg.runtime.activate()
    leg.tick()
    leg.time_s += 0.06
    tick = leg.runtime.watch(leg.time_s)
    assert tick is not None
    assert (tick.state, tick.trips) == (State.DAMPING, ("stale_clock",))


def test_a_second_stand_starts_from_where_the_robot_is_then() -> None:
    leg = Leg()
    leg.stand()
    leg.runtime.deactivate()
    assert leg.tick().actuation is None
    leg.runtime.activate()
    np.testing.assert_allclose(sent([leg.tick((-0.3, 0.4))]), [[-0.3, 0.4]], atol=1e-6)


def test_a_stand_outside_the_limits_is_brought_inside() -> None:
    leg = Leg(Behaviour(stand={"joint_positions": (9.0, -9.0)}, measured={"joint_positions": "joint_angles"}, stand_s=0.1))
    np.testing.assert_allclose(leg.stand()[-1], [1.0, -2.0])


def test_a_sensor_that_comes_later_than_the_clock_is_waited_for() -> None:
    tilt = Sensor("orientation_base_in_world", ("w", "x", "y", "z"), "1", "world", (-1.01,) * 4, (1.01,) * 4, source="imu")
    policy = FakePolicy(contract_of(LEG, sensors=(*LEG.sensors, tilt)), lambda step: {"joint_positions": [-0.5, 1.0]})
    leg = Leg(policy=policy)
    leg.runtime.activate()
    for _ in range(10):
        tick = leg.tick()
        assert (tick.state, tick.actuation) == (State.STAND, None)
    leg.runtime.on_sensors("imu", {tilt.name: (1.0, 0.0, 0.0, 0.0)}, 1, leg.time_s)
    np.testing.assert_allclose(sent([leg.tick()]), [[0.1, 0.2]], atol=1e-6)


@pytest.mark.parametrize("stood", [False, True])
def test_a_robot_that_cannot_be_told_to_give_way_is_handed_to_its_failsafe_whoever_lets_go_of_it(stood: bool) -> None:
    """Behind a position controller: it would hold the last position for ever."""
    leg = Leg(dataclasses.replace(STAND, silent=True))
    if stood:
        leg.stand()
    else:
        leg.runtime.activate()
        leg.tick()
    assert not leg.runtime.failsafe
    leg.runtime.deactivate()
    assert leg.runtime.failsafe
    leg.runtime.activate()
    assert not leg.tick().request_failsafe, "it stands up again"


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (Behaviour(stand={"joint_positions": (1.0,)}, measured={"joint_positions": "joint_angles"}), "the stand needs 2 values"),
        (Behaviour(stand={"joints": (1.0, 2.0)}), "the stand needs 2 values for 'joint_positions', found 0"),
        (Behaviour(stand={"joint_positions": (1.0, 2.0)}), "the stand of test_leg starts from sensor ''"),
    ],
)
def test_a_stand_that_does_not_fit_is_refused(behaviour: Behaviour, message: str) -> None:
    with pytest.raises(TetherError, match=message):
        Leg(behaviour)
