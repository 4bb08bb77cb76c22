"""Models against the equations stepped literally, the polytope against the states it leads to, the set of the tests against its proof."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from robots.errors import TetherError
from safety.safeguards import CertifiedActions, ControlAffine, Pendulum, PlanarQuadrotor, SecondOrder
from tests.safety.safeguards.systems import DoubleIntegrators, certified, states_in

DT = 0.05


def pendulum_step(x: np.ndarray, a: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The equation of motion, semi-implicit Euler."""
    angle, rate = x
    rate = rate + DT * (1.5 * 9.81 * math.sin(angle) + 3 * 30 * a[0] + w[0])
    return np.array([angle + DT * rate, rate])


def quadrotor_step(x: np.ndarray, a: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The equations of motion, semi-implicit Euler."""
    thrust, tilt = 9.81 + 6 / 7 * a[0], math.pi / 12 * a[1]
    acceleration = [thrust * math.sin(x[2]) + w[0], thrust * math.cos(x[2]) - 9.81 + w[1], 55 * tilt - 70 * x[2] - 17 * x[5]]
    velocity = x[3:] + DT * np.array(acceleration)
    return np.concatenate([x[:3] + DT * velocity, velocity])


CASES = [(Pendulum(), pendulum_step, np.array([math.pi, 8.0])), (PlanarQuadrotor(), quadrotor_step, np.array([8, 8, 0.26, 0.8, 1, 1.57]))]
NAMES = ["pendulum", "quadrotor"]
PUSH = 0.1


def generators(model: ControlAffine) -> np.ndarray:
    """E for |w| ≤ 0.1 on the pendulum's one acceleration and the quadrotor's first two."""
    pushed = np.eye(1) if model.state_size == 2 else np.eye(3)[:, :2]
    return PUSH * np.vstack([DT**2 * pushed, DT * pushed])


def random_inputs(model: ControlAffine, box: np.ndarray, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.uniform(-box, box, (n, model.state_size)), random.uniform(-1, 1, (n, model.action_size))


@pytest.mark.parametrize(("model", "step", "box"), CASES, ids=NAMES)
def test_a_model_is_its_equations_stepped_once(model, step, box):
    states, actions = random_inputs(model, box)
    stepped = np.stack([step(x, a, np.zeros(2)) for x, a in zip(states, actions)])
    np.testing.assert_allclose(model(torch.from_numpy(states), torch.from_numpy(actions)).numpy(), stepped, atol=1e-13)


@pytest.mark.parametrize(("model", "step", "box"), CASES, ids=NAMES)
def test_curved_terms_stay_within_their_bounds(model, step, box):
    states = torch.from_numpy(random_inputs(model, 30 * box, 20_000)[0])
    largest = torch.cat(list(model.curved(states)), 1).abs().amax(0)
    assert (largest <= torch.tensor(model.bounds)).all()
    assert (largest > 0.99 * torch.tensor(model.bounds)).all()


def test_a_state_in_the_input_matrix_is_refused():
    accelerations = torch.zeros(1, 2, 3)
    accelerations[0, 1, 1] = 1.0  # p̈ = p u

    class Stretched(DoubleIntegrators):
        def __init__(self) -> None:
            SecondOrder.__init__(self, DT, accelerations)

    with pytest.raises(TetherError, match=r"Stretched: B\(x\) has the state itself in it.*use curved terms"):
        CertifiedActions(Stretched(), [[1.0, 0.0]], [1.0], disturbance=[0.0, 0.0], lower=[-1.0], upper=[1.0], gain=[[0.0, 0.0]])


def some_set(model: ControlAffine, faces: int = 12) -> CertifiedActions:
    """A polytope that nobody certified, around the model's states."""
    random = np.random.default_rng(1)
    normals, gain = random.normal(size=(faces, model.state_size)), random.normal(size=(model.action_size, model.state_size)) * 0.05
    box = [-1.0] * model.action_size, [1.0] * model.action_size
    return CertifiedActions(
        model, normals, [2.0] * faces, disturbance=generators(model), lower=box[0], upper=box[1], gain=gain, dtype=torch.float64
    )


@pytest.mark.parametrize(("model", "step", "box"), CASES, ids=NAMES)
def test_the_slack_is_that_of_the_worst_next_state(model, step, box):
    """Over the corners of the disturbance, stepped literally."""
    actions = some_set(model)
    states, inputs = random_inputs(model, 0.3 * box, 50)
    slack = actions(torch.from_numpy(states)).slack(torch.from_numpy(inputs)).numpy()
    corners = [np.array(w) for w in itertools.product([-PUSH, PUSH], repeat=2)]
    following = np.stack([[step(x, a, w) for x, a in zip(states, inputs)] for w in corners])
    worst = (1.0 - following @ actions.faces.numpy().T).min(0)
    np.testing.assert_allclose(slack, worst, atol=1e-12)


def test_a_box_of_disturbances_is_no_smaller_than_the_generators_in_it():
    actions, boxed = one_set(disturbance=[[0.02], [0.1]], faces=[[1.0, -0.1]]), one_set(disturbance=[0.02, 0.1], faces=[[1.0, -0.1]])
    reserve, reserve_of_box = (each(torch.zeros(1, 2)).bounds.item() for each in (actions, boxed))
    assert reserve == pytest.approx(1.0 - 0.01)
    assert reserve_of_box == pytest.approx(1.0 - 0.03)


@pytest.mark.parametrize("axes", [1, 2])
def test_the_centre_is_safe_in_all_of_the_certified_set_and_no_more(axes: int):
    actions = certified(axes)
    safe = actions(states_in(actions, 20_000))
    assert (safe.slack(safe.centre) > 0.001).all()
    exact = certified(axes, grow=1.0)
    safe = exact(states_in(exact, 20_000))
    slack = safe.slack(safe.centre)
    assert (slack > -safe.margin).all()
    assert slack.min() < 1e-9


def test_rows_are_scaled_to_one_at_the_centre_wherever_it_lies():
    x0 = torch.tensor([0.7, 0.0], dtype=torch.float64)
    actions = CertifiedActions(
        DoubleIntegrators(),
        [[2.0, 0.1], [-1.0, 0.0]],
        [3.0, 4.0],
        disturbance=[0.0, 0.0],
        lower=[-1.0],
        upper=[1.0],
        gain=[[-0.1, -1.0]],
        centre_state=x0,
        centre_action=[0.0],
        dtype=torch.float64,
    )
    safe = actions(x0.unsqueeze(0))
    torch.testing.assert_close(safe.slack(torch.zeros(1, 1, dtype=torch.float64)), torch.ones(1, 2, dtype=torch.float64))


def one_set(**changes: object) -> CertifiedActions:
    given = {"faces": [[1.0, 0.0]], "offsets": [1.0], "disturbance": [0.0, 0.0], "lower": [-1.0], "upper": [1.0], "gain": [[0.0, 0.0]]}
    return CertifiedActions(DoubleIntegrators(), **{**given, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"faces": [[1.0, 0.0, 0.0]]}, r"faces is \[1, 3\], must be \[1, 2\]"),
        ({"disturbance": [0.0]}, r"disturbance is \[1, 1\], must be \[2, 1\]"),
        ({"gain": [[0.0]]}, r"gain is \[1, 1\], must be \[1, 2\]"),
        ({"lower": [1.0]}, "lower < upper"),
        ({"lower": [-1.0, -1.0], "upper": [1.0, 1.0]}, r"lower is \[2\], must be \[1\]"),
        ({"centre_state": [2.0, 0.0]}, "outside face 0"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object], message: str):
    with pytest.raises(TetherError, match=message):
        one_set(**changes)


def slack_of(actions: CertifiedActions, state: Tensor, action: Tensor) -> Tensor:
    return actions(state.double()).slack(action.double())


@pytest.mark.parametrize(("model", "step", "box"), CASES, ids=NAMES)
def test_the_margin_bounds_the_error_of_float32(model, step, box):
    """Every row, 50,000 states; and it is within two orders of magnitude of what is seen, so it is no excuse."""
    exact, single = some_set(model), some_set(model).float()
    assert single.lower.dtype == torch.float32
    states, inputs = (torch.from_numpy(values).float() for values in random_inputs(model, box, 50_000))
    for precision in (torch.float32, torch.float64):  # what is computed in; the stored numbers are float32
        safe = single(states.to(precision))
        error = (safe.slack(inputs.to(precision)).double() - slack_of(exact, states, inputs)).abs()
        assert (error <= 0.5 * safe.margin).all()
        assert error.max() > 0.005 * safe.margin.max()
