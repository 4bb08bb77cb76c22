"""Linear policies to try uncertainty sets on: `python -m benchmarks.linear_policies hopper -o FILE.onnx`, in minutes on one core.

Augmented Random Search V2-t (Mania, Guy, Recht, arXiv 1803.07055) with its settings: the policy is M·(s − μ)/σ, with the mean μ and
standard deviation σ of all observations so far. In each iteration, with N random directions δ_k ~ N(0, I) and the returns r of M ± ν δ_k,

    M ← M + α/(b·σ_R) · Σ_{k in the best b} (r(M + ν δ_k) − r(M − ν δ_k)) δ_k,

where the best have the largest max(r₊, r₋) and σ_R is the standard deviation of the returns used. A reward for being alive is left out, as
there, so that standing still is worth nothing. With `--parameters` each direction is tried under parameters drawn from that set, after
`--pristine` iterations without.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tqdm import tqdm

from robustness.gymnasium_tasks.environment import UncertainEnvironment
from robustness.gymnasium_tasks.parameters import Cell, Parameter, draw
from robustness.gymnasium_tasks.tasks import task_of

CHECKED = 5  # episodes that tell which of an iteration's policies is kept
EVERY = 5


@dataclass(frozen=True)
class Search:
    """Settings of one task: step α, noise ν, directions N and those used b, reward for being alive, and control steps of a trial."""

    step: float
    noise: float
    directions: int
    used: int
    alive: float
    horizon: int = 1000


# Those of the paper for V2-t, but fewer directions for HalfCheetah and Ant (there 32, 4 of them used, and 60, 20 used), and shorter trials
# for HalfCheetah; a guess for the pendulum.
SETTINGS = {
    "hopper": Search(0.01, 0.025, 8, 4, alive=1.0),
    "halfcheetah": Search(0.02, 0.03, 16, 8, alive=0.0, horizon=300),
    "walker2d": Search(0.03, 0.025, 40, 30, alive=1.0),
    "ant": Search(0.015, 0.025, 20, 10, alive=1.0),
    "invertedpendulum": Search(0.05, 0.1, 8, 4, alive=0.0),
}


class Normaliser:
    """Running mean and standard deviation of observations ``[size]`` (Chan, Golub & LeVeque 1983, batch by batch)."""

    def __init__(self, size: int) -> None:
        self.count, self.mean, self.squares = 0, np.zeros(size), np.zeros(size)

    def add(self, observations: np.ndarray) -> None:
        """Count ``observations`` ``[n, size]``."""
        n, mean = len(observations), observations.mean(0)
        apart, total = mean - self.mean, self.count + len(observations)
        self.squares += ((observations - mean) ** 2).sum(0) + apart**2 * self.count * n / total
        self.mean += apart * n / total
        self.count = total

    @property
    def scale(self) -> np.ndarray:
        """1/σ; 1 for a coordinate that hardly moves, and before anything was seen."""
        deviation = np.sqrt(self.squares / max(self.count, 1))
        return 1.0 / np.where(deviation < 1e-6, 1.0, deviation)


class Trainer:
    """One search.

    Args:
        name: of the task, a key of `SETTINGS`.
        parameters: the set that directions are tried under; none for the pristine model.
        seed: everything follows from it.
    """

    def __init__(self, name: str, parameters: tuple[Parameter, ...], seed: int) -> None:
        self.search, self.parameters = SETTINGS[name], parameters
        self.environment = UncertainEnvironment(task_of(name))
        self.generator = np.random.default_rng(seed)
        self.matrix = np.zeros((self.environment.action_size, self.environment.observation_size))
        self.normaliser = Normaliser(self.environment.observation_size)
        self.env_steps = 0

    def iterate(self) -> None:
        """One step of the search."""
        search = self.search
        deltas = self.generator.standard_normal((search.directions, *self.matrix.shape))
        returns, seen = np.empty((search.directions, 2)), []
        for index, delta in enumerate(deltas):
            seed, cell = self._start()
            for side, sign in enumerate((1.0, -1.0)):
                tried = self.matrix + sign * search.noise * delta
                returns[index, side], observations = self.roll_out(tried, seed, cell, search.alive, search.horizon)
                seen.append(observations)
        best = np.argsort(-returns.max(1))[: search.used]
        spread = returns[best].std() + 1e-8
        differences = returns[best, 0] - returns[best, 1]
        self.matrix += search.step / (search.used * spread) * np.tensordot(differences, deltas[best], 1)
        self.normaliser.add(np.concatenate(seen))

    def score(self) -> float:
        """Mean return of the policy over `CHECKED` starts of the training distribution."""
        return float(np.mean([self.roll_out(self.matrix, *self._start())[0] for _ in range(CHECKED)]))

    def roll_out(
        self, matrix: np.ndarray, seed: int, cell: Cell, alive: float = 0.0, horizon: int | None = None
    ) -> tuple[float, np.ndarray]:
        """Return, less ``alive`` a step, and the observations ``[steps, size]`` of one episode, or of its first ``horizon`` steps."""
        mean, scaled = self.normaliser.mean, matrix * self.normaliser.scale
        observation, ended, total, seen = self.environment.reset(seed, cell), False, 0.0, []
        while not ended:
            seen.append(observation)
            observation, reward, terminated, truncated = self.environment.step(scaled @ (observation - mean))
            total, ended = total + reward - alive, terminated or truncated or len(seen) == horizon
        self.env_steps += len(seen)
        return total, np.array(seen)

    def _start(self) -> tuple[int, Cell]:
        return int(self.generator.integers(2**31)), draw(self.parameters, self.generator)


def graph(matrix: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> onnx.ModelProto:
    """``observation`` ``[1, size]`` → ``action`` ``[1, actions]`` = (matrix·scale)(observation − mean)."""
    constants = {"mean": mean[None], "weight": (matrix * scale).T}
    made = helper.make_graph(
        [helper.make_node("Sub", ["observation", "mean"], ["centred"]), helper.make_node("MatMul", ["centred", "weight"], ["action"])],
        "linear_policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, [1, matrix.shape[1]])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, [1, matrix.shape[0]])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def train(name: str, chosen: list[str], iterations: int, pristine: int, seed: int, path: Path) -> dict[str, float]:
    """Search, the first ``pristine`` iterations without parameters; the policy of the best score since is kept.

    Returns:
        That score, and the control steps of the whole search.
    """
    parameters = task_of(name).parameters(chosen) if chosen else ()
    trainer, best = Trainer(name, parameters, seed), -np.inf
    with tqdm(range(1, iterations + 1), desc=f"{name} {' '.join(chosen) or 'pristine'}", disable=None) as bar:
        for iteration in bar:
            trainer.parameters = parameters if iteration > pristine else ()
            trainer.iterate()
            if iteration % EVERY == 0 or iteration == iterations:
                score = trainer.score()
                tqdm.write(f"{name}: {score:.0f} after {iteration} iterations, {trainer.env_steps:,} control steps")
                if iteration > pristine and score > best:
                    best = score
                    onnx.save(graph(trainer.matrix, trainer.normaliser.mean, trainer.normaliser.scale), path)
    return {"score": best, "env_steps": trainer.env_steps}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=list(SETTINGS))
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.onnx")
    parser.add_argument(
        "--parameters", nargs="+", default=[], metavar="SET", help="1, 2, 3, rarl or NAME=LOW:HIGH … (default: the pristine model)"
    )
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--pristine", type=int, default=0, metavar="N", help="first N iterations without parameters (default: 0)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = train(options.task, options.parameters, options.iterations, options.pristine, options.seed, options.output)
    print(f"wrote {options.output}: score {found['score']:.0f} after {found['env_steps']:,} control steps")


if __name__ == "__main__":
    main()
