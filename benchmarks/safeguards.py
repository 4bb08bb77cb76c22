"""What a safeguard costs and how exact it is; ``python -m benchmarks.safeguards [PART …] [--venv DIR] [--json FILE]``.

    layer    forward and backward of 1024 projections onto 20 faces, two actions, beside cvxpylayers with Clarabel (`make peers
             PEERS=cvxpylayers`) on the same problems, one thread each; without its environment that row is left out, with a word
    graph    time added to a policy's step in ONNX Runtime, batch 1, against a graph that hands the action through
    learning processor time of a window of SHAC through each safeguard over that of one without, in turns, on the published tasks
    exact    float32 and ONNX Runtime against float64, and how many of float32's actions float64 calls unsafe

Without parts: all of them; the file keeps what is not measured again. The sets of graph and exact are random polytopes around the planar
quadrotor's hover, not certified ones: neither figure depends on that.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from benchmarks.peers.client import WORKERS, interpreter
from robots.errors import TetherError
from safety.safeguards import ActionSet, CertifiedActions, PlanarQuadrotor, Projection, RayMask, SafeActions, Safeguard
from training.batched import Batch
from training.config import preset
from training.guard import SafeguardConfig
from training.onnx_graph import graph_of

BATCH, FACES, ROUNDS = 1024, 20, 15
STEPS, STATES = 5000, 100_000
TASKS, WINDOWS = ("pendulum", "planar_quadrotor", "seeker"), 15
GUARDS: dict[str, Callable[[ActionSet], Safeguard]] = {
    "ray mask, linear": RayMask,
    "ray mask, hyperbolic": lambda actions: RayMask(actions, "hyperbolic"),
    "projection": Projection,
}


class Given(ActionSet):
    """Polytopes that do not depend on the state."""

    def __init__(self, normals: Tensor, bounds: Tensor) -> None:
        super().__init__([-1.0] * normals.shape[2], [1.0] * normals.shape[2], torch.float64)
        self.normals, self.bounds = normals, bounds

    def forward(self, state: Tensor) -> SafeActions:
        """Around zero."""
        return SafeActions(
            self.normals, self.bounds, 0.0 * self.bounds, torch.zeros_like(self.normals[:, 0]), torch.ones_like(state[:, :1])
        )


class Through(nn.Module):
    """A graph with the inputs and outputs of a safeguard that does nothing."""

    def forward(self, state: Tensor, action: Tensor) -> tuple[Tensor, ...]:
        """The action, and three numbers."""
        return action + 0.0, state[:, :1] + 0.0, state[:, 1:2] + 0.0, state[:, 2:3] + 0.0


def layer(environments: Path) -> dict[str, Any]:
    """Milliseconds forward and backward, median; the faces are 16 random ones and the input box."""
    random = torch.Generator().manual_seed(0)
    normals = nn.functional.normalize(torch.randn(BATCH, FACES - 4, 2, generator=random, dtype=torch.float64), dim=2)
    bounds = 0.1 + 0.6 * torch.rand(BATCH, FACES - 4, generator=random, dtype=torch.float64)
    actions = (2.0 * torch.rand(BATCH, 2, generator=random, dtype=torch.float64) - 1.0).requires_grad_()
    found: dict[str, Any] = {}
    for name, guard in GUARDS.items():
        seconds = []
        module = guard(Given(normals, bounds))
        for _ in range(ROUNDS + 1):
            actions.grad = None
            begin = time.perf_counter()
            guarded = module(actions, actions)
            guarded.action.sum().backward()
            seconds.append(time.perf_counter() - begin)
        found[name] = {"milliseconds": 1e3 * float(np.median(seconds[1:]))}
    box = torch.cat([torch.eye(2, dtype=torch.float64), -torch.eye(2, dtype=torch.float64)]).expand(BATCH, 4, 2)
    problem = {"normals": torch.cat([normals, box], 1), "bounds": torch.cat([bounds, torch.ones(BATCH, 4, dtype=torch.float64)], 1)}
    return found | {"peer": peer({name: value.numpy() for name, value in problem.items()}, actions, guarded.action, environments)}


def peer(problem: dict[str, np.ndarray], actions: Tensor, ours: Tensor, environments: Path) -> dict[str, Any]:
    """cvxpylayers on the same projections: its time, and the largest difference of solutions and gradients."""
    try:
        python = interpreter("cvxpylayers", environments)
    except TetherError as error:
        return {"missing": f"{error} PEERS=cvxpylayers"}
    assert actions.grad is not None
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder, "problem.npz"), Path(folder, "result.npz")
        np.savez(given, actions=actions.detach().numpy(), **problem)  # type: ignore[arg-type]
        subprocess.run([python.absolute(), WORKERS / "run_cvxpylayers.py", given, result, "3"], check=True, cwd=folder, capture_output=True)
        theirs = np.load(result)
        return {
            "versions": theirs["versions"].tolist(),
            "milliseconds": 1e3 * float(np.median(theirs["seconds"])),
            "largest_difference": float(np.abs(theirs["actions"] - ours.detach().numpy()).max()),
            "largest_difference_of_gradients": float(np.abs(theirs["gradients"] - actions.grad.numpy()).max()),
        }


def quadrotor_set(faces: int, dtype: torch.dtype) -> CertifiedActions:
    """A random polytope around hover; the feedback is of the right size, and not certified."""
    random = np.random.default_rng(0)
    gain = np.array([[0.0, -0.5, 0.0, 0.0, -0.9, 0.0], [0.1, 0.0, -0.3, 0.2, 0.0, -0.05]])
    push = [0.1 * 0.05**2] * 2 + [0.0] + [0.1 * 0.05] * 2 + [0.0]
    rows = random.normal(size=(faces, 6)) / np.array([8.0, 8.0, 0.26, 0.8, 1.0, 1.57])
    box = {"lower": [-1.0, -1.0], "upper": [1.0, 1.0]}
    return CertifiedActions(PlanarQuadrotor(), rows, np.ones(faces), disturbance=push, gain=gain, **box, dtype=dtype)


def load(module: nn.Module) -> onnxruntime.InferenceSession:
    """As a graph in ONNX Runtime, one thread."""
    graph = graph_of(module, {"state": 6, "action": 2}, ["safe", "safe_distance", "feasible", "intervention"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def states(n: int) -> tuple[Tensor, Tensor]:
    """Around hover, and actions up to the limits; float32."""
    random = torch.Generator().manual_seed(1)
    scale = 0.4 * torch.tensor([8.0, 8.0, 0.26, 0.8, 1.0, 1.57])
    return scale * (2.0 * torch.rand(n, 6, generator=random) - 1.0), 2.0 * torch.rand(n, 2, generator=random) - 1.0


def graph() -> dict[str, dict[str, float]]:
    """Microseconds added to p50 and p99 of a step, interleaved with the graph that does nothing."""
    found = {}
    bare = load(Through())
    state, action = (values.numpy() for values in states(STEPS))
    for name, guard in GUARDS.items():
        for faces in (20, 64):
            durations = np.zeros((2, STEPS))
            sessions = (bare, load(guard(quadrotor_set(faces, torch.float32))))
            for step in range(STEPS):
                inputs = {"state": state[step : step + 1], "action": action[step : step + 1]}
                for row, session in enumerate(sessions):
                    begin = time.perf_counter()
                    session.run(None, inputs)
                    durations[row, step] = 1e6 * (time.perf_counter() - begin)
            low, high = np.percentile(durations, 50, axis=1), np.percentile(durations, 99, axis=1)
            found[f"{name}, {faces} faces"] = {"p50_us": float(low[1] - low[0]), "p99_us": float(high[1] - high[0])}
    return found


@torch.no_grad()
def exact() -> dict[str, dict[str, float]]:
    """Over `STATES` states in which the centre is safe by float64."""
    found = {}
    state, action = states(STATES)
    precise = quadrotor_set(FACES, torch.float64)
    safe = precise(state.double())
    kept = (safe.slack(safe.centre) > 4e-6).all(1)
    state, action = state[kept], action[kept]
    for name, guard in GUARDS.items():
        single = guard(quadrotor_set(FACES, torch.float32))
        theirs = torch.from_numpy(load(single).run(None, {"state": state.numpy(), "action": action.numpy()})[0])
        reference, ours = guard(precise)(state.double(), action.double()), single(state, action)
        slack = precise(state.double()).slack(ours.action.double()).amin(1)
        found[name] = {
            "states": len(state),
            "intervened": float((reference.intervention > 1e-6).float().mean()),
            "float32_from_float64": float((ours.action - reference.action).abs().max()),
            "float32_from_float64_p99": float((ours.action - reference.action).abs().amax(1).quantile(0.99)),
            "onnx_from_torch": float((theirs - ours.action).abs().max()),
            "unsafe": int((slack < 0.0).sum()),
        }
    return found


def learning() -> dict[str, dict[str, float]]:
    """By task and safeguard: processor time of a window over that of one without, the median of `WINDOWS` turns; two seeds side by side.

    Processor time, for other work on the machine would be most of the difference.
    """
    found = {}
    for task in TASKS:
        names = ("none", "ray_mask", "hyperbolic_ray_mask", "projection")
        config = preset(task, "shac")
        batches = {name: Batch(dataclasses.replace(config, num_envs=64, safeguard=SafeguardConfig(name)), [0, 1]) for name in names}
        times: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(1 + WINDOWS):  # the first compiles
            for name, batch in batches.items():
                begin = time.process_time()
                batch.iterate()
                if turn:
                    times[name].append(time.process_time() - begin)
        ratios = {name: np.array(times[name]) / np.array(times["none"]) for name in names[1:]}
        found[task] = {name: float(np.median(ratio)) for name, ratio in ratios.items()}
    return found


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "layer": layer,
    "graph": lambda _: graph(),
    "learning": lambda _: learning(),
    "exact": lambda _: exact(),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--venv", type=Path, default=Path(".venv-peers"), help="where make peers puts environments")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if wrong := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(wrong))}; there are: {', '.join(PARTS)}")
    torch.set_num_threads(1)
    old = json.loads(arguments.json.read_text()) if arguments.json and arguments.json.exists() else {}
    results: dict[str, Any] = {"versions": {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}}
    results |= {part: PARTS[part](arguments.venv) for part in arguments.parts or PARTS}
    print(json.dumps(results, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(old | results, indent=2) + "\n")


if __name__ == "__main__":
    main()
