"""Fly a policy file on a task's suite and report what happened, with intervals.

The file runs through `deploy.policy`, the runtime of the robot; nothing here knows how it was made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from deploy.policy import Policy
from deploy.policy.policy import PolicyOutput
from robots import registry
from robots.description import Limits
from robots.errors import TetherError
from tasks.risk_level import RISK_LEVEL, with_risk_level
from tasks.rotation import rotation_matrix
from tasks.task import Task
from training.control_law import split_memory
from training.environment import Environment
from training.simulators import engine_for, make_simulator
from training.statistics import CONFIDENCE, bootstrap, clopper_pearson
from training.threads import one_thread

BATCH = 1000  # episodes flown side by side; bounds memory
BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"
STATE_LIMITS = ("tilt_rad", "speed_m_s", "body_rate_rad_s", "distance_m")
SEED_NAMESPACE = 1 << 31  # set in every evaluation seed, clear in every training seed; torch's CPU generator ignores bits above it


class Observer(Protocol):
    """Sees every control step of the first batch."""

    def __call__(self, state: Mapping[str, Tensor], command: Mapping[str, Tensor], actuation: Mapping[str, Tensor]) -> None:
        """``state`` is privileged, before the step, with what surrounds the robot (`Start.world`); ``[num_envs, …]``."""


@dataclass
class Flights:
    """What happened in a batch of episodes.

    Attributes:
        errors: tracking error after each step, ``[steps, num_envs]``; what follows a termination is kept but never judged.
        judged: those of them that the task judges, ``[fewer steps, num_envs]``.
        returns: sum of rewards until the episode ended, without the step that broke it, if one did, ``[num_envs]``.
        success, crashed: bool ``[num_envs]``; an actuation that is not a number is a crash.
        violations: control steps outside the contract's limits while the episode lasted, by limit, ``[num_envs]``.
        alive: bool ``[steps, num_envs]``, whether the episode had not ended before the step.
        measures: what the task reports beside, by name: its mean and its least while the episode lasted, and its root mean square over the
            judged part, ``[num_envs]`` each.
    """

    errors: np.ndarray
    judged: np.ndarray
    returns: np.ndarray
    success: np.ndarray
    crashed: np.ndarray
    violations: dict[str, np.ndarray]
    alive: np.ndarray
    measures: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]


def evaluate(
    policy: Policy,
    *,
    suite: str,
    episodes: int,
    seed: int,
    simulator: str = "auto",
    device: str = "cpu",
    observer: Observer | None = None,
    progress: bool = False,
    safeguard: bool = True,
    risk_level: float | None = None,
) -> dict[str, Any]:
    """Fly ``episodes`` episodes of ``suite`` and summarise them.

    Args:
        policy: loaded file; its contract says which robot and task.
        suite: name of one of the task's suites.
        episodes: how many, flown `BATCH` at a time.
        seed: of the starts, parameters and noise; never one that training uses.
        simulator: engine, a key of `training.simulators.SIMULATORS`.
        device: of the simulator; the policy runs on its own provider.
        observer: sees the first batch.
        progress: show a progress bar.
        safeguard: send what it made of the actor's actions; without, what the actor asked, for comparison.
        risk_level: the command of that name, for a policy that takes it; by default 0.

    Raises:
        TetherError: for an unknown suite or simulator, a policy that does not fit the installed robot and task, and one without a safeguard
            that is to fly without.
    """
    if not safeguard and policy.contract.safeguard is None:
        raise TetherError(f"{policy.path} has no safeguard to switch off; leave --safeguard off out")
    if risk_level is not None and not takes_risk_level(policy):
        raise TetherError(f"{policy.path} takes no risk level; leave --risk-level out, or train with risk.command=True")
    if risk_level is not None and not 0.0 <= risk_level <= 1.0:
        raise TetherError(f"--risk-level is {risk_level:g}; give 0 (neutral) to 1 (as averse as the policy was trained to be)")
    if episodes < 1:
        raise TetherError(f"{episodes} episodes cannot be judged; fly at least one")
    task = task_of(policy, risk_level or 0.0)
    chosen = task.suite(suite)
    flights = []
    steps = len([*_batches(episodes)]) * round(task.episode_s * task.rate_hz)
    what = f"{task.name} {suite}, {episodes} episodes"
    with tqdm(total=steps, desc=what, disable=None if progress else True, delay=0.5, bar_format=BAR) as bar:
        for index, count in enumerate(_batches(episodes)):
            engine = make_simulator(simulator, task, count, device)
            environment = Environment(task, engine, suite=chosen, seed=evaluation_seed(seed, index), auto_reset=False)
            flights.append(fly(policy, environment, observer if index == 0 else None, bar, safeguard))
    summary = summarise(flights, seed)
    where = {"judged": task.judged_part, "suite": suite, "suite_digest": chosen.digest(), "seed": seed}
    where["engine"] = engine_for(simulator, task.robot)
    if takes_risk_level(policy):
        where["risk_level"] = task.asked_level
    if policy.contract.safeguard is not None:
        where["safeguard"] = policy.contract.safeguard.name if safeguard else "off"
    return {"policy": str(policy.path), "policy_digest": policy.digest, "robot": task.robot.name, "task": task.name} | where | summary


def takes_risk_level(policy: Policy) -> bool:
    """Whether a policy is asked for a level of risk."""
    return any(command.name == RISK_LEVEL.name for command in policy.contract.commands)


def task_of(policy: Policy, risk_level: float = 0.0) -> Task:
    """The installed task a policy was made for, at the policy's rate, asked for this level of risk if the policy takes one.

    Raises:
        TetherError: if they do not fit.
    """
    contract = policy.contract
    kind: Any = registry.load(registry.TASKS, contract.task)
    kind = with_risk_level(kind) if takes_risk_level(policy) else kind
    task: Task = kind(registry.robot(contract.robot))
    task.asked_level = risk_level
    task.rate_hz = contract.rate_hz
    expected = task.contract(contract.memory_size)
    for part in ("clock", "sensors", "commands", "actuation_mode", "actuation"):
        if getattr(contract, part) != getattr(expected, part):
            raise TetherError(
                f"{policy.path} does not fit the installed {contract.robot} and task {contract.task}: its {part} differ; "
                "export it again, or install the version that its provenance names"
            )
    return task


@one_thread()
@torch.inference_mode()
def fly(policy: Policy, environment: Environment, observer: Observer | None = None, bar: Any = None, safeguard: bool = True) -> Flights:
    """One episode in every environment, from reset to the end; ``bar`` advances by one a step."""
    task, count = environment.task, environment.num_envs
    sensors, command = environment.reset()
    memory = policy.initial_memory(count)
    alive, returns = np.ones(count, dtype=bool), np.zeros(count)
    violated = {name: np.zeros(count, dtype=int) for name in STATE_LIMITS}
    errors, history = [], []
    measured: dict[str, list[np.ndarray]] = {}
    for _ in range(environment.episode_steps):
        state = environment.scene if observer else {}
        output = policy.step(_numpy(sensors), _numpy(command), memory)
        if not safeguard:
            output = _without_safeguard(output, task)
        memory = output.memory
        finite = np.all([np.isfinite(value).all(1) for value in output.actuation.values()], axis=0)
        actuation = {name: _executable(value, finite).to(environment.device) for name, value in output.actuation.items()}
        if observer:
            observer(state, command, actuation)
        step = environment.step(actuation)
        sensors, command = step.sensors, step.command
        history.append(alive)
        reward = step.reward.cpu().numpy()
        returns += np.where(alive & np.isfinite(reward), reward, 0.0)
        for name, outside in outside_limits(policy.contract.limits, environment.state, step.tracking_error).items():
            violated[name] += alive & outside
        errors.append(step.tracking_error.cpu().numpy())
        guard = _said(output) if policy.contract.safeguard else {}
        for name, value in (step.measures | guard).items():
            measured.setdefault(name, []).append(value.cpu().numpy())
        alive = alive & finite & ~step.terminated.cpu().numpy()
        if bar is not None:
            bar.update()
    tracking = torch.from_numpy(np.stack(errors))
    success = task.success(tracking, torch.from_numpy(~alive)).numpy()
    lived = np.stack(history)
    measures = {name: _measured(task, np.stack(values), lived) for name, values in measured.items()}
    return Flights(tracking.numpy(), task.judged(tracking).numpy(), returns, success, ~alive, violated, lived, measures)


def _said(output: PolicyOutput) -> dict[str, Tensor]:
    """What the safeguard says of its step, as measures ``[num_envs]``."""
    changed, kept = output.intervention[:, 0], output.feasible[:, 0]
    return {"intervention": torch.from_numpy(changed), "infeasible": torch.from_numpy(1.0 - kept)}


def _without_safeguard(output: PolicyOutput, task: Task) -> PolicyOutput:
    """What the same law would have given without its safeguard: the actor's action is sent, and remembered."""
    action, remembered = output.unguarded, output.memory.copy()
    remembered[:, 1 : 1 + task.action_size] = action  # see training.control_law.split_memory
    seen = split_memory(torch.from_numpy(remembered), task.action_size, task.task_memory_size)[0].task
    return output._replace(actuation=_numpy(task.follow(seen, torch.from_numpy(action))), memory=remembered)


def _measured(task: Task, values: np.ndarray, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and least while the episode lasted, and root mean square over its judged part, ``[num_envs]``, of ``[steps, num_envs]``."""
    judged = task.judged(torch.from_numpy(values)).numpy()
    mean, least = np.where(alive, values, 0.0).sum(0) / alive.sum(0), np.where(alive, values, np.inf).min(0)
    return mean, least, np.sqrt(np.square(judged).mean(0))


def outside_limits(limits: Limits, state: Mapping[str, Tensor], distance: Tensor) -> dict[str, np.ndarray]:
    """Which environments are outside each limit, as `safety.envelope` judges it on the robot; bool ``[num_envs]``, true for a NaN.

    Args:
        limits: of the contract.
        state: privileged; a limit whose signal is missing is not judged.
        distance: from the goal [m], ``[num_envs]``.
    """
    inside = {"distance_m": distance <= limits.distance_m}
    if (orientation := state.get("orientation_base_in_world")) is not None:
        inside["tilt_rad"] = rotation_matrix(orientation)[:, 2, 2].clamp(-1.0, 1.0).acos() <= limits.tilt_rad
    if (velocity := state.get("linear_velocity_base_in_world")) is not None:
        inside["speed_m_s"] = velocity.norm(dim=1) <= limits.speed_m_s
    if (rates := state.get("angular_velocity_base_in_base")) is not None:
        inside["body_rate_rad_s"] = rates.abs().amax(1) <= limits.body_rate_rad_s
    return {name: ~value.cpu().numpy() for name, value in inside.items()}


def _executable(actuation: np.ndarray, finite: np.ndarray) -> Tensor:
    """``actuation`` with zeros where the policy gave no number; the robot's guards would have stopped it, so that episode is over."""
    return torch.from_numpy(np.where(finite[:, None], actuation, np.float32(0.0)))


def summarise(flights: list[Flights], seed: int) -> dict[str, Any]:
    """The result's figures: success and its interval, returns, tracking errors, crashes, violations."""
    success = np.concatenate([batch.success for batch in flights])
    crashed = np.concatenate([batch.crashed for batch in flights])
    returns = np.concatenate([batch.returns for batch in flights])
    violations = {name: int(sum(batch.violations[name].sum() for batch in flights)) for name in flights[0].violations}
    return {
        "episodes": len(success),
        "success_rate": float(success.mean()),
        "success_interval": list(clopper_pearson(int(success.sum()), len(success))),
        "confidence": CONFIDENCE,
        "crashes": int(crashed.sum()),
        "return_mean": float(returns.mean()),
        "return_interval": list(bootstrap(returns, seed=seed)),
        "violations": sum(violations.values()),
        "violations_by_limit": violations,
        "tracking_error": _spread([batch.judged.mean(0)[~batch.crashed] for batch in flights], seed),
        "tracking_rms": _spread([np.sqrt(np.square(batch.judged).mean(0))[~batch.crashed] for batch in flights], seed),
        "measures": {name: _figures(name, flights, seed) for name in flights[0].measures},
    }


def _figures(name: str, flights: list[Flights], seed: int) -> dict[str, Any]:
    """Of one measure: its mean and its least over all episodes, and the spread of its root mean square over those that did not crash."""
    means, least = (np.concatenate([batch.measures[name][part] for batch in flights]) for part in (0, 1))
    rms = _spread([batch.measures[name][2][~batch.crashed] for batch in flights], seed)
    return {"mean": float(means.mean()), "mean_interval": list(bootstrap(means, seed=seed)), "least": float(least.min()), "rms": rms}


def _spread(batches: list[np.ndarray], seed: int) -> dict[str, Any]:
    """Of one figure for each episode that did not crash: quantiles, the worst, and the mean with its interval."""
    values = np.concatenate(batches)
    if not len(values):
        return {"episodes": 0}
    quantiles = dict(zip(("p50", "p95", "p99"), np.percentile(values, [50, 95, 99]).tolist()))
    return {
        "episodes": len(values),
        "mean": float(values.mean()),
        "mean_interval": list(bootstrap(values, seed=seed)),
        "root_mean_square": float(np.sqrt(np.square(values).mean())),
        "worst": float(values.max()),
    } | quantiles


def evaluation_seed(seed: int, batch: int) -> int:
    """The generator seed of one batch; training seeds are below `SEED_NAMESPACE`, so training never saw what is drawn from it."""
    digest = hashlib.sha256(f"tether evaluation {seed} {batch}".encode()).digest()
    return SEED_NAMESPACE | int.from_bytes(digest[:8], "big") % SEED_NAMESPACE


def _batches(episodes: int) -> Iterator[int]:
    for start in range(0, episodes, BATCH):
        yield min(BATCH, episodes - start)


def _numpy(signals: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: value.float().cpu().numpy() for name, value in signals.items()}
