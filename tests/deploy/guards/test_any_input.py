"""Whatever arrives, in whatever order and at whatever time: what is sent is finite, within hard limits, and nothing after a trip."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from deploy.record import Recorder, read_log
from deploy.runtime import Behaviour, IllegalTransition, Runtime, State, Tick
from robots.description import Robot
from robots.signals import Actuation
from tests.deploy.fakes import BATTERY, GOAL, LEG, ODOMETRY, QUADROTOR, FakePolicy, contract_of, odometry

NUMBERS = st.floats(width=64) | st.sampled_from([0.0, 1.0, np.nan, np.inf, -np.inf, 1e300, -1e300, 3.5e38, 1e-320])
ODD = st.sampled_from([None, "", "x", [], [[1, 2], [3]], 1.0, {}, b"\x00", 1j, 10**400])
SLIGHT = st.floats(-0.2, 0.2)


def vectors(size: int, usual: list[float]) -> SearchStrategy[Any]:
    """Mostly good readings, now and then anything."""
    near = st.lists(SLIGHT, min_size=size, max_size=size).map(lambda offsets: np.array(usual) + offsets)
    return st.one_of(near, near, near, st.lists(NUMBERS, min_size=size, max_size=size), st.lists(NUMBERS, max_size=5), ODD)


READINGS = st.fixed_dictionaries(
    {},
    optional={
        "position_base_in_world": vectors(3, [1, 2, 3]),
        "linear_velocity_base_in_world": vectors(3, [0, 0, 0]),
        "angular_velocity_base_in_base": vectors(3, [0, 0, 0]),
        "orientation_base_in_world": st.one_of(st.just([1, 0, 0, 0]), st.just([1, 0, 0, 0]), vectors(4, [1, 0, 0, 0])),
    },
)
TIMES = st.one_of(*[st.floats(0.0095, 0.0105)] * 4, st.sampled_from([0.0, -1.0, 0.03, 0.2, 1e9, np.nan, np.inf]))
STAMPS = st.one_of(*[st.just(10_000_000)] * 6, st.sampled_from([0, -1, -(10**10), 10**12, 2**63, -(10**25)]), ODD, st.just(np.nan))
OUTPUTS = st.one_of(*[st.floats(-20, 20)] * 3, NUMBERS)
ACTS = st.sampled_from(["read"] * 20 + ["watch"] * 3 + ["battery", "command", "release", "activate", "deactivate", "reset", "estop"])
EVENTS = st.lists(st.tuples(ACTS, READINGS, TIMES, STAMPS, OUTPUTS, vectors(3, [1, 2, 3])), min_size=8, max_size=30)


CONTRACT = contract_of(sensors=(*ODOMETRY, BATTERY), max_age_s={"battery": 100.0})


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """One log of everything that is played."""
    path = tmp_path_factory.mktemp("any") / "a.mcap"
    with Recorder(path, FakePolicy(CONTRACT)) as recorder:
        yield recorder
    assert recorder.problem is None
    assert not read_log(path).truncated


class World:
    """Plays events to a runtime and checks every tick."""

    def __init__(self, robot: Robot, behaviour: Behaviour | None = None, recorder: Recorder | None = None) -> None:
        self.value = 0.0
        self.robot, self.leg = robot, robot is LEG
        contract = contract_of(robot) if self.leg else CONTRACT
        self.policy = FakePolicy(contract, lambda step: {s.name: np.full(s.size, self.value) for s in contract.actuation})
        self.time_s, self.stamp = 10.0, 0
        self.runtime = Runtime(self.policy, robot=robot, now=lambda: self.time_s, behaviour=behaviour, recorder=recorder)
        self.stopped = False

    def play(self, act: str, readings: dict[str, Any], dt_s: float, stamp: Any, value: float, vector: Any) -> None:
        self.value = value
        receipt_s = self.time_s + dt_s
        if np.isfinite(dt_s) and 0 < dt_s < 1:
            self.time_s = receipt_s
        if isinstance(stamp, int):
            self.stamp, stamp = self.stamp + stamp, self.stamp + stamp
        if act not in ("release", "read"):
            with contextlib.suppress(IllegalTransition):
                self.act(act, receipt_s, vector)
        elif act == "release":
            self.runtime.release()
        else:
            self.runtime.enable(receipt_s)
            if self.leg:
                self.check(
                    self.runtime.on_sensors(
                        "joint_state", {"joint_angles": readings.get("position_base_in_world", [0.1, 0.2])}, stamp, receipt_s
                    )
                )
            else:
                self.check(self.runtime.on_sensors("odometry", {**odometry(), **readings}, stamp, receipt_s))
        if abs(self.stamp) >= 2**63:
            self.stamp = 0

    def act(self, act: str, receipt_s: float, vector: Any) -> None:
        runtime = self.runtime
        if act == "watch":
            self.check(runtime.watch(receipt_s))
        elif act == "battery":
            self.check(runtime.on_sensors("battery", {"battery_voltage": vector}, self.stamp, receipt_s))
        elif act == "command":
            runtime.on_command(GOAL.name, vector, receipt_s)
        elif act == "estop":
            runtime.estop("test")
            self.stopped = True
        else:
            getattr(runtime, act)()
            self.stopped = False

    def check(self, tick: Tick | None) -> None:
        if tick is None:
            return
        if self.runtime.state in (State.DAMPING, State.ESTOP):
            self.stopped = True
        if self.stopped:
            assert tick.state in (State.DAMPING, State.ESTOP)
            self.check_stopped(tick)
        if tick.actuation is not None:
            for signal in self.policy.contract.actuation:
                self.check_sent(signal, tick.actuation[signal.name])

    def check_stopped(self, tick: Tick) -> None:
        if self.runtime.behaviour.silent:
            assert tick.actuation is None
            assert tick.request_failsafe
        else:
            assert tick.actuation is not None
            for signal in self.policy.contract.actuation:
                np.testing.assert_array_equal(tick.actuation[signal.name], np.float32(signal.safe))

    @staticmethod
    def check_sent(signal: Actuation, values: np.ndarray) -> None:
        assert values.shape == (signal.size,)
        assert np.isfinite(values).all()
        assert (values >= np.float32(signal.lower)).all()
        assert (values <= np.float32(signal.upper)).all()


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(events=EVENTS)
def test_a_quadrotor_is_sent_only_what_is_safe(recorder: Recorder, events: list[tuple[Any, ...]]) -> None:
    world = World(QUADROTOR, recorder=recorder)
    world.runtime.on_sensors("battery", {"battery_voltage": 3.7}, -(2**62), 10.0)
    world.runtime.activate()
    for event in events:
        world.play(*event)


STAND = Behaviour(stand={"joint_positions": (0.4, 5.0)}, measured={"joint_positions": "joint_angles"}, stand_s=0.03, blend_s=0.05)


@pytest.mark.parametrize("behaviour", [Behaviour(), STAND], ids=["damped", "standing"])
@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(events=EVENTS)
def test_a_joint_robot_is_sent_only_what_is_safe(behaviour: Behaviour, events: list[tuple[Any, ...]]) -> None:
    world = World(LEG, behaviour)
    world.runtime.activate()
    for event in events:
        world.play(*event)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(values=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=30))
def test_good_readings_and_any_policy_never_pass_a_limit(values: list[tuple[float, float]]) -> None:
    world = World(QUADROTOR)
    world.runtime.on_sensors("battery", {"battery_voltage": 3.7}, 0, 10.0)
    world.runtime.activate()
    for thrust, _ in values:
        world.play("read", {}, 0.01, 10_000_000, thrust, None)
