"""What every engine refuses, before anything runs, in words that name the valid choices."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from robots.errors import TetherError
from sim.simulator import Simulator
from tests.sim.conformance.subject import ENVS, assert_same, everyone, everything, promise, run, safe, spread, start
from training.simulators import make


def refused(match: str) -> Any:
    return pytest.raises(TetherError, match=match)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_envs": 0}, "at least 1"),
        ({"actuation_mode": "thought"}, "thought"),
        ({"physics_dt": 0.003}, "does not divide"),
        ({"device": "gpu0"}, "cpu, cuda"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_engines_that_cannot_be(sim: Simulator, change: dict[str, Any], words: str) -> None:
    options: dict[str, Any] = {"num_envs": 1, "actuation_mode": sim.actuation_mode, "control_dt": sim.control_dt}
    options |= {"physics_dt": sim.physics_dt, "device": str(sim.device)} | change
    with refused(words) as found:
        make(sim.engine, sim.robot, options.pop("num_envs"), **options)
    if "actuation_mode" in change:
        assert sim.actuation_mode in str(found.value)


def test_masks_that_are_none(sim: Simulator) -> None:
    wrong = [torch.ones(ENVS, device=sim.device), everyone(sim)[:-1], torch.arange(ENVS, device=sim.device)]
    before = everything(sim)
    for mask in wrong:
        with refused(rf"bool \[{ENVS}\]"):
            sim.reset(mask, {})
        with refused(rf"bool \[{ENVS}\]"):
            sim.randomize(mask, {"action_delay": spread(sim, [0.01])})
    assert torch.equal(everything(sim), before)


def test_states_that_are_none(sim: Simulator) -> None:
    mask, before = everyone(sim), everything(sim)
    for words, state in {
        "position_base_in_world": {"place": spread(sim, [0.0] * 3)},
        rf"expected \[{ENVS}, 3\]": {"position_base_in_world": spread(sim, [0.0] * 4)},
        r"linear_velocity_base_in_world.*environments": {"linear_velocity_base_in_world": spread(sim, [torch.nan, 0.0, 0.0])},
        "orientation_base_in_world": {"orientation_base_in_world": spread(sim, [0.0] * 4)},
    }.items():
        with refused(words):
            sim.reset(mask, state)
    assert torch.equal(everything(sim), before)


def test_shapes_of_actuation_wrench_and_push(sim: Simulator) -> None:
    size = safe(sim).shape[1]
    three = spread(sim, [0.0] * 3)
    for words, action in {
        rf"actuation .*expected \[{ENVS}, {size}\]": lambda: sim.step(safe(sim)[:, :-1]),
        rf"expected \[{ENVS}, {size}\]": lambda: sim.step(safe(sim)[:-1]),
        rf"force_in_world .*expected \[{ENVS}, 3\]": lambda: sim.apply_wrench(three[0], three),
        rf"torque_in_base .*expected \[{ENVS}, 3\]": lambda: sim.apply_wrench(three, three[:, :2]),
        rf"velocity_change_in_world .*expected \[{ENVS}, 3\]": lambda: sim.push(three[0]),
    }.items():
        with refused(words):
            action()


def test_actuation_that_is_not_finite(sim: Simulator) -> None:
    """On a GPU looking would wait for it, and what is driven by nonsense ends its episode."""
    if sim.device.type != "cpu":
        pytest.skip("checked on a CPU alone")
    command, before = safe(sim), everything(sim)
    command[2, 1] = torch.nan
    with refused(r"actuation is not finite in environments \[2\]"):
        sim.step(command)
    assert torch.equal(everything(sim), before)


def test_actuation_is_brought_within_the_robots_bounds(sim: Simulator) -> None:
    signals = sim.robot.actuation(sim.actuation_mode)
    bounds = [spread(sim, [value for signal in signals for value in getattr(signal, side)]) for side in ("lower", "upper")]
    for bound, beyond in zip(bounds, (-1e3, 1e3), strict=True):
        start(sim)
        expected = run(sim, bound, 5)
        start(sim)
        assert_same(run(sim, bound + beyond, 5), expected, max(promise(sim).repeats, 1e-5))
