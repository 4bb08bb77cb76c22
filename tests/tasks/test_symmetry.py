"""Reflections of named vectors, and an actor that treats both sides alike."""

from __future__ import annotations

import pytest
import torch

from tasks.go2_velocity import Go2Velocity
from tasks.symmetry import reflection
from training.learned_law import ActorConfig, LearnedLaw

SIDES = (("left", "right"),)


def test_a_reflection_swaps_sides_and_flips_signs() -> None:
    mirror = reflection(("x", "y", "left", "right"), SIDES, lambda name: name == "y")
    assert mirror(torch.tensor([1.0, 2.0, 3.0, 4.0])).tolist() == [1.0, -2.0, 4.0, 3.0]


@pytest.mark.parametrize(
    ("names", "flips", "complaint"),
    [
        (("left",), (), "no mirror image"),
        (("x", "x"), (), "must differ"),
        (("left", "right"), ("left",), "disagree"),
    ],
)
def test_what_has_no_mirror_image_is_refused(names: tuple[str, ...], flips: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        reflection(names, SIDES, lambda name: name in flips)


def test_a_symmetric_law_acts_alike_on_both_sides() -> None:
    """After statistics and weights that are anything but symmetric."""
    torch.manual_seed(0)
    law = LearnedLaw(Go2Velocity(), ActorConfig(symmetric=True))
    mirror = law.task.mirror()
    assert mirror is not None
    for layer in law.actor.parameters():
        torch.nn.init.normal_(layer, std=0.3)
    observation = torch.randn(64, len(law.task.observation_names)) * 2.0 + 1.0
    law.normalizer.update(observation)
    actions, others = (law.actor(law.normalizer(seen), observation[:, :0])[0] for seen in (observation, mirror.observation(observation)))
    torch.testing.assert_close(others, mirror.action(actions))
    assert actions.std() > 0.1


def test_twice_mirrored_is_what_it_was() -> None:
    mirror = Go2Velocity().mirror()
    for one in mirror:
        values = torch.randn(2, len(one.place))
        assert torch.equal(one(one(values)), values)


def test_the_go2s_mirror() -> None:
    task = Go2Velocity()
    place = {name: k for k, name in enumerate(task.observation_names)}
    seen = torch.zeros(len(place))
    seen[place["rate_z"]], seen[place["rate_y"]], seen[place["position_0_FR_hip"]], seen[place["action_1_RL_calf"]] = 1.0, 2.0, 3.0, 4.0
    other = task.mirror().observation(seen)
    found = {name: other[k].item() for name, k in place.items() if other[k]}
    assert found == {"rate_z": -1.0, "rate_y": 2.0, "position_0_FL_hip": -3.0, "action_1_RR_calf": 4.0}
