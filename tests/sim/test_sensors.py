"""Noise, bias and delay: how much, of what, where, and the same again from a saved state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from robots.crazyflie import SENSORS
from robots.errors import TetherError
from sim.random_numbers import RandomNumbers
from sim.sensors import SensorModel, rotated

POSITION, ORIENTATION = "position_base_in_world", "orientation_base_in_world"
VELOCITY, RATES = "linear_velocity_base_in_world", "angular_velocity_base_in_base"


def model(num_envs: int = 4, max_delay: int = 0, seed: int = 0) -> SensorModel:
    return SensorModel(SENSORS, num_envs, RandomNumbers(num_envs, seed), max_delay=max_delay)


def everyone(num_envs: int = 4) -> Tensor:
    return torch.ones(num_envs, dtype=torch.bool)


def truth(num_envs: int = 4, value: float = 0.0) -> dict[str, Tensor]:
    quaternion = torch.nn.functional.normalize(torch.tensor([[0.8, 0.1, -0.5, 0.3]])).expand(num_envs, -1)
    return {name: torch.full((num_envs, 3), value) for name in (POSITION, VELOCITY, RATES)} | {ORIENTATION: quaternion}


def rotation_vectors(reading: Tensor, true: Tensor) -> Tensor:
    """Rotation vector in the body frame from ``true`` to ``reading``, for small ones."""
    w, x, y, z = true.unbind(1)
    rows = torch.stack((torch.stack((-x, w, z, -y), 1), torch.stack((-y, -z, w, x), 1), torch.stack((-z, y, -x, w), 1)), dim=1)
    return 2.0 * (rows @ reading.unsqueeze(2)).squeeze(2)


def test_without_noise_readings_are_the_signals_and_nothing_is_drawn() -> None:
    sensors = model()
    sensors.reset(everyone())
    before = sensors.numbers.key
    readings = sensors.read(truth(value=2.5))
    assert list(readings) == [sensor.name for sensor in SENSORS]
    for name, value in truth(value=2.5).items():
        assert torch.equal(readings[name], value)
    assert sensors.numbers.key is before


def test_noise_is_normal_with_the_given_deviation_and_only_where_given() -> None:
    n = 20_000
    sensors = model(n)
    deviations = {POSITION: torch.tensor([[0.005, 0.01, 0.02]]).expand(n, -1), RATES: torch.full((n, 1), 0.01)}
    sensors.reset(everyone(n), noise=deviations)
    readings, true = sensors.read(truth(n)), truth(n)
    np.testing.assert_allclose(readings[POSITION].std(0), [0.005, 0.01, 0.02], rtol=0.03)
    np.testing.assert_allclose(readings[POSITION].mean(0), 0.0, atol=5e-4)
    np.testing.assert_allclose(readings[RATES].std(0), [0.01] * 3, rtol=0.03)
    assert torch.equal(readings[VELOCITY], true[VELOCITY])
    np.testing.assert_allclose(readings[ORIENTATION], true[ORIENTATION], atol=1e-6)
    again = sensors.read(truth(n))
    correlation = np.corrcoef(readings[POSITION][:, 0], again[POSITION][:, 0])[0, 1]
    assert abs(correlation) < 0.05, "drawn afresh at every reading"


def test_quaternion_noise_is_a_small_rotation() -> None:
    n = 20_000
    sensors = model(n)
    sensors.reset(everyone(n), noise={ORIENTATION: torch.tensor([[0.01, 0.02, 0.03]]).expand(n, -1)})
    reading = sensors.read(truth(n))[ORIENTATION]
    np.testing.assert_allclose(reading.norm(dim=1), 1.0, atol=1e-6)
    vectors = rotation_vectors(reading, truth(n)[ORIENTATION])
    np.testing.assert_allclose(vectors.std(0), [0.01, 0.02, 0.03], rtol=0.03)
    np.testing.assert_allclose(vectors.mean(0), 0.0, atol=1e-3)


def test_rotated_is_the_quaternion_exponential() -> None:
    true, vector = truth(1)[ORIENTATION].double(), torch.tensor([[0.01, -0.02, 0.015]], dtype=torch.float64)
    np.testing.assert_allclose(rotation_vectors(rotated(true, vector, model()._product.double()), true), vector, atol=1e-5)


def test_bias_is_constant_and_per_environment() -> None:
    sensors = model(2)
    bias = torch.tensor([[0.1, -0.2, 0.3], [0.0, 0.0, 0.5]])
    sensors.reset(everyone(2), bias={POSITION: bias, ORIENTATION: torch.tensor([[0.0, 0.0, 0.02]]).expand(2, -1)})
    for _ in range(3):
        readings = sensors.read(truth(2, 1.0))
        np.testing.assert_allclose(readings[POSITION], 1.0 + bias, atol=1e-6)
        np.testing.assert_allclose(rotation_vectors(readings[ORIENTATION], truth(2)[ORIENTATION]), [[0, 0, 0.02]] * 2, atol=1e-5)


def test_vectors_are_seen_in_turned_axes() -> None:
    """R(v)ᵀ x, against the matrix exponential, and only where and for whom it was asked."""
    sensors, turn = model(2), torch.tensor([[0.02, -0.03, 0.01], [0.0, 0.0, 0.0]])
    sensors.reset(everyone(2), turn={VELOCITY: turn})
    seen, true = sensors.read(truth(2, 1.0)), truth(2, 1.0)
    a, b, c = turn[0].double().tolist()
    rotation = torch.linalg.matrix_exp(torch.tensor([[0.0, -c, b], [c, 0.0, -a], [-b, a, 0.0]], dtype=torch.float64))
    np.testing.assert_allclose(seen[VELOCITY][0], rotation.T @ true[VELOCITY][0].double(), atol=2e-5)
    assert torch.equal(seen[VELOCITY][1], true[VELOCITY][1])
    assert torch.equal(seen[POSITION], true[POSITION])
    sensors.reset(torch.tensor([True, False]))
    assert torch.equal(sensors.read(true)[VELOCITY], true[VELOCITY])
    with pytest.raises(TetherError, match="axes"):
        sensors.reset(everyone(2), turn={ORIENTATION: turn})


def test_reset_touches_only_masked_environments() -> None:
    sensors = model(3)
    sensors.reset(everyone(3), bias={POSITION: torch.full((3, 3), 0.5)})
    sensors.reset(torch.tensor([True, False, False]), bias={VELOCITY: torch.full((3, 3), 0.25)})
    readings = sensors.read(truth(3))
    assert readings[POSITION][:, 0].tolist() == [0.0, 0.5, 0.5]
    assert readings[VELOCITY][:, 0].tolist() == [0.25, 0.0, 0.0]


def test_delay_is_in_steps_per_environment_and_restarts_with_the_episode() -> None:
    sensors = model(3, max_delay=2)
    sensors.reset(everyone(3), delay=torch.tensor([0, 1, 2]))
    seen = [sensors.read(truth(3, float(step)))[POSITION][:, 0].tolist() for step in range(4)]
    assert seen == [[0, 0, 0], [1, 0, 0], [2, 1, 0], [3, 2, 1]], "the first reading fills the history"
    sensors.reset(torch.tensor([False, False, True]), delay=torch.tensor([2, 2, 1]))
    assert sensors.read(truth(3, 10.0))[POSITION][:, 0].tolist() == [10, 3, 10]
    assert sensors.read(truth(3, 11.0))[POSITION][:, 0].tolist() == [11, 10, 10]


def test_readings_pass_gradients_on() -> None:
    sensors = model(1, max_delay=1)
    sensors.reset(everyone(1), noise={name: torch.full((1, 1), 0.01) for name in sensors.widths}, delay=torch.tensor([1]))
    leaf = torch.tensor([[0.1, 0.2, 0.3]], requires_grad=True)
    sensors.read(truth(1) | {POSITION: leaf})
    sensors.read(truth(1))[POSITION].sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.tolist() == [[1.0, 1.0, 1.0]]
    sensors.detach()
    assert not sensors.read(truth(1))[POSITION].requires_grad


def test_state_dict_continues_bit_for_bit(tmp_path: Any) -> None:
    sensors, other = model(max_delay=2), model(max_delay=2, seed=5)
    noise = {name: torch.full((4, 1), 0.01) for name in sensors.widths}
    sensors.reset(
        everyone(),
        noise=noise,
        bias={POSITION: torch.ones(4, 3)},
        turn={VELOCITY: torch.full((4, 3), 0.1)},
        delay=torch.tensor([0, 1, 2, 1]),
    )
    for step in range(3):
        sensors.read(truth(value=float(step)))
    torch.save(sensors.state_dict(), tmp_path / "sensors.pt")
    other.load_state_dict(torch.load(tmp_path / "sensors.pt", weights_only=True))
    for step in range(3, 6):
        first, second = sensors.read(truth(value=float(step))), other.read(truth(value=float(step)))
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_time_passes_only_where_it_is_said_to() -> None:
    sensors = model(max_delay=2)
    sensors.reset(everyone(), delay=torch.full((4,), 1))
    some = torch.tensor([True, True, False, False])
    for value in (1.0, 2.0):
        sensors.read(truth(value=value))
    reading = sensors.read(truth(value=3.0), some)[POSITION][:, 0]
    assert reading.tolist() == [2.0, 2.0, 1.0, 1.0]
    assert sensors.read(truth(value=4.0))[POSITION][:, 0].tolist() == [3.0, 3.0, 2.0, 2.0]


def test_same_seed_same_readings() -> None:
    readings = []
    for _ in range(2):
        sensors = model(seed=3)
        sensors.reset(everyone(), noise={POSITION: torch.full((4, 1), 1.0)})
        readings.append(sensors.read(truth())[POSITION])
    assert torch.equal(readings[0], readings[1])


def test_bad_use_is_refused_with_what_would_work() -> None:
    sensors = model()
    with pytest.raises(TetherError, match=POSITION):
        sensors.reset(everyone(), noise={"position": torch.zeros(4, 3)})
    with pytest.raises(TetherError, match=r"\[4, 3\]"):
        sensors.reset(everyone(), noise={ORIENTATION: torch.zeros(4, 4)})
    with pytest.raises(TetherError, match=r"bool \[4\]"):
        sensors.reset(torch.ones(4))
    with pytest.raises(TetherError, match="max_delay"):
        sensors.reset(everyone(), delay=torch.ones(4))
    with pytest.raises(TetherError, match=RATES):
        sensors.read({name: value for name, value in truth().items() if name != RATES})
    with pytest.raises(TetherError, match="4 environments"):
        sensors.load_state_dict(model(5).state_dict())
