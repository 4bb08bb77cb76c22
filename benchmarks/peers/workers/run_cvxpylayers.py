"""cvxpylayers with Clarabel: the projections of a file, forward and backward; ``python run_cvxpylayers.py PROBLEM.npz RESULT.npz ROUNDS``.

min ‖u − a‖²  subject to  A u ≤ b, for ``normals`` [n, m, k], ``bounds`` [n, m], ``actions`` [n, k]; gradients are of the sum of u.
Timed with the solver's own tolerances; the solutions handed back are from tighter ones, for 1e-8 of the objective is 1e-4 of u.
"""

from __future__ import annotations

import sys
import time
from importlib import metadata

import cvxpy as cp  # type: ignore[import-not-found]
import numpy as np
import torch
from cvxpylayers.torch import CvxpyLayer  # type: ignore[import-not-found]

TIGHT = {"tol_gap_abs": 1e-13, "tol_gap_rel": 1e-13, "tol_feas": 1e-13}


def main(problem: str, result: str, rounds: int) -> None:
    """Solve once to warm up, then ``rounds`` times against the clock."""
    torch.set_num_threads(1)
    given = {name: torch.from_numpy(values) for name, values in np.load(problem).items()}
    (_, m, k), action = given["normals"].shape, given["actions"].requires_grad_()
    u, a, rows, b = cp.Variable(k), cp.Parameter(k), cp.Parameter((m, k)), cp.Parameter(m)
    layer = CvxpyLayer(cp.Problem(cp.Minimize(cp.sum_squares(u - a)), [rows @ u <= b]), parameters=[a, rows, b], variables=[u])
    seconds = []
    for number in range(rounds + 2):
        action.grad = None
        settings = {"solve_method": "Clarabel"} | (TIGHT if number > rounds else {})
        begin = time.perf_counter()
        (found,) = layer(action, given["normals"], given["bounds"], solver_args=settings)
        found.sum().backward()
        seconds.append(time.perf_counter() - begin)
    assert action.grad is not None
    versions = [f"{name} {metadata.version(name)}" for name in ("cvxpylayers", "clarabel", "diffcp")]
    np.savez(result, actions=found.detach().numpy(), gradients=action.grad.numpy(), seconds=seconds[1:-1], versions=versions)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
