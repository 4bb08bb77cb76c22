"""A mismatch is explained by the mistake that was made, for each kind of mistake."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from deploy.policy import Policy
from deploy.record import Log
from deploy.replay import explain, replay
from robots.signals import Signal

POSITION, ORIENTATION = "sensor.position_base_in_world", "sensor.orientation_base_in_world"
VELOCITY, BODY_RATE = "sensor.linear_velocity_base_in_world", "sensor.angular_velocity_base_in_base"
ACTUATION = "policy"


def explained(log: Log, policy: Policy, block: str, matrix: np.ndarray) -> str:
    """The remedy of the first parity finding after a block of the log was multiplied by ``matrix``."""
    rows = log.rows.copy()
    where = log.layout.blocks[block]
    rows[:, where] = rows[:, where] @ np.asarray(matrix, dtype=float).T
    report = replay(dataclasses.replace(log, rows=rows), policy)
    assert report.verdict != "pass"
    return next(finding.remedy for finding in report.findings if finding.check == "parity")


def permutation(*order: int) -> np.ndarray:
    return np.eye(len(order))[list(order)]


# What is logged is `matrix @ received`, so what reached the policy is the inverse of it.
@pytest.mark.parametrize(
    ("block", "matrix", "words"),
    [
        (VELOCITY, permutation(1, 0, 2), "linear_velocity_base_in_world reached the policy with its channels in the order y, x, z"),
        (VELOCITY, permutation(1, 2, 0), "linear_velocity_base_in_world reached the policy with its channels in the order z, x, y"),
        (POSITION, np.diag([1, -1, 1]), "position_base_in_world reached the policy with y negated"),
        (POSITION, np.diag([1, -1, -1]), "position_base_in_world reached the policy with x, −y, −z for x, y, z"),
        (BODY_RATE, np.eye(3) * 180 / np.pi, "angular_velocity_base_in_base reached the policy multiplied by 0.01745 (degrees to radians)"),
        (BODY_RATE, np.eye(3) * np.pi / 180, "angular_velocity_base_in_base reached the policy multiplied by 57.3 (radians to degrees)"),
        (BODY_RATE, -np.eye(3), "angular_velocity_base_in_base reached the policy multiplied by -1"),
        (POSITION, np.eye(3) * 1000, "position_base_in_world reached the policy multiplied by 0.001"),
        (ORIENTATION, permutation(1, 2, 3, 0), "orientation_base_in_world reached the policy with its channels in the order z, w, x, y"),
    ],
)
def test_a_sensor_logged_otherwise_than_the_policy_received_it(
    log: Log, policy: Policy, block: str, matrix: np.ndarray, words: str
) -> None:
    assert explained(log, policy, block, matrix) == f"explained by: {words}"


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (permutation(0, 2, 1, 3), "roll_rate holds pitch_rate, pitch_rate holds roll_rate"),
        (np.diag([1, 1, -1, 1]), "pitch_rate holds −pitch_rate"),
        (np.diag([1, 180 / np.pi, 180 / np.pi, 180 / np.pi]), "roll_rate holds 57.3 (radians to degrees) × roll_rate"),
        (np.diag([1.7, 1, 1, 1]), "collective_thrust holds 1.7 × collective_thrust"),
        (np.diag([1, -1, 1, 1]) @ permutation(0, 2, 1, 3), "roll_rate holds −pitch_rate, pitch_rate holds roll_rate"),
    ],
)
def test_an_actuation_logged_otherwise_than_the_policy_gave_it(log: Log, policy: Policy, matrix: np.ndarray, words: str) -> None:
    assert words in explained(log, policy, ACTUATION, matrix)


def test_no_explanation_is_made_up() -> None:
    generator = np.random.default_rng(0)
    expected = generator.normal(size=(100, 4))
    logged = expected + 0.1 * generator.normal(size=(100, 4))
    assert explain.outputs(logged, expected, ("a", "b", "c", "d")) == ""
    assert explain.outputs(logged[:3], expected[:3], ("a", "b", "c", "d")) == ""


@pytest.mark.parametrize("seed", range(20))
def test_any_signed_scaled_permutation_of_twelve_channels_is_recovered(seed: int) -> None:
    generator = np.random.default_rng(seed)
    names = tuple(f"joint_{number}" for number in range(12))
    expected = generator.normal(size=(200, 12))
    order, scale = generator.permutation(12), generator.choice([1.0, -1.0, 57.3, 0.5], 12)
    words = explain.outputs(expected[:, order] * scale, expected, names)
    changed = [number for number in range(12) if order[number] != number or scale[number] != 1.0]
    assert words.count("holds") == len(changed)
    for number in changed:
        assert f"{names[order[number]]}" in next(part for part in words.split(", ") if f"joint_{number} holds" in part)


@pytest.mark.parametrize("size", [1, 3, 4, 6, 12])
def test_candidates_are_distinct_signed_scaled_permutations(size: int) -> None:
    matrices = [candidate.matrix for candidate in explain.candidates(Signal("s", tuple(f"c{i}" for i in range(size)), "m"))]
    assert len({matrix.tobytes() for matrix in matrices}) == len(matrices)
    for matrix in matrices:
        assert ((matrix != 0).sum(axis=0) == 1).all()
        assert ((matrix != 0).sum(axis=1) == 1).all()
        assert not np.array_equal(matrix, np.eye(size))


def test_swapped_legs_are_among_the_candidates_for_twelve_joints() -> None:
    wanted = np.eye(12)[[3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]]
    found = explain.candidates(Signal("q", tuple(f"joint_{i}" for i in range(12)), "rad"))
    assert any(np.array_equal(candidate.matrix, wanted) for candidate in found)
