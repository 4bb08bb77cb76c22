"""A training run: a directory that fills with a configuration, metrics and checkpoints, and that a killed run goes on from."""

from __future__ import annotations

import dataclasses
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml

from robots.errors import TetherError
from sim.devices import available_device
from sim.fused import build
from sim.simulator import EngineLost
from tasks.task import Task
from training import checkpoint
from training.adversaries.environment import ContestedEnvironment
from training.algorithms import make_algorithm
from training.config import TrainConfig, config_from_dict, differences, make_task
from training.environment import Environment
from training.examination import Examination
from training.learned_law import LearnedLaw
from training.metrics import Metrics, Progress
from training.pilot import Pilot
from training.ppo import NotFinite
from training.simulators import make_simulator
from training.wall_clock import since_command_start

CHECK_SEED = 1_000_003  # added to the seed: checks draw other episodes than training


def train(
    config: TrainConfig, run_dir: Path, *, resume: bool = False, progress: bool = False, tensorboard: bool = True, wandb: str = ""
) -> dict[str, Any]:
    """Train from the start, or go on from the checkpoint in ``run_dir``.

    Args:
        config: what to train; on resuming it must be the run's own.
        run_dir: created if need be.
        resume: continue; bit for bit on the CPU.
        progress: show a live line on stderr.
        tensorboard: write event files too, if the package is installed.
        wandb: log to this W&B project as well.

    Returns:
        ``wall_time_s`` (from the start of the process to the checkpoint), ``compile_time_s`` (of it, waiting for kernels),
        ``env_steps``, ``checkpoint``, ``iterations``, ``check`` (the best check), ``stopped`` (why it ended), ``run_dir``.

    Raises:
        TetherError: for a configuration that does not work here or is not the run's own, for an engine whose process has ended, and for
            numbers that are not finite, with what led to them written into the run directory.
        KeyboardInterrupt: on Ctrl-C, once the iteration is done and a checkpoint written; on a second one at once.
    """
    run = Run(config, run_dir, Metrics(run_dir, tensorboard=tensorboard, wandb=wandb), Progress(config, enabled=progress))
    try:
        with finish_iteration_on_interrupt(run):
            if resume:
                run.resume()
            else:
                run.begin()
            stopped = run.loop()
    except NotFinite as error:
        dump = run_dir / "not_finite.pt"
        torch.save(error.tensors, dump)
        where = f"iteration {run.iteration + 1}; what led to it is in {dump}, the last checkpoint in {run_dir}"
        raise TetherError(f"{error} in {where}") from error
    except EngineLost as error:
        saved = f"; go on from the last checkpoint with: tether train --resume {run_dir}" if (run_dir / checkpoint.NAME).exists() else ""
        raise TetherError(f"{error}, in iteration {run.iteration + 1}{saved}") from error
    finally:
        run.close()
    return run.result(stopped)


class Run:
    """One training run in memory."""

    def __init__(self, config: TrainConfig, run_dir: Path, metrics: Metrics, progress: Progress) -> None:
        self.config, self.run_dir, self.metrics, self.progress = config, run_dir, metrics, progress
        available_device(config.device)
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)  # of the networks' first weights; everything else has generators of its own
        self.task = make_task(config)
        self.law = LearnedLaw(self.task, config.actor, config.safeguard, risk=config.risk).to(config.device)
        environment = make_environment(config, self.task, config.num_envs, config.seed)
        self.algorithm = make_algorithm(config, self.law, environment, config.seed)
        checked = make_environment(config, self.task, config.check_episodes, config.seed + CHECK_SEED, contested=False)
        self.examine = Examination(Pilot(self.law), checked, config.seed + CHECK_SEED)
        self.best: dict[str, Any] | None = None
        self.interrupted = False

    @property
    def iteration(self) -> int:
        """Iterations done."""
        return self.algorithm.iteration

    @property
    def env_steps(self) -> int:
        """Control steps of all environments so far."""
        return self.iteration * self.config.num_envs * self.algorithm.config.horizon

    def begin(self) -> None:
        """Make the directory, unless it holds a run already."""
        if (self.run_dir / checkpoint.NAME).exists():
            raise TetherError(f"{self.run_dir} holds a run already; continue it with --resume {self.run_dir}, or choose another --run-dir")
        self.run_dir.mkdir(parents=True, exist_ok=True)
        (self.run_dir / "config.yaml").write_text(yaml.safe_dump(_plain(dataclasses.asdict(self.config)), sort_keys=False))
        self.metrics.begin()
        self.save()

    def resume(self) -> None:
        """Take everything from the checkpoint; metrics written after it are dropped, since they are about to be written again."""
        state = checkpoint.load(self.run_dir, self.config.device)
        different = differences(self.config, config_from_dict(state["config"]))
        if different:
            found = "; ".join(different)
            raise TetherError(f"this is not the configuration {self.run_dir} was trained with ({found}); start a new run for another")
        self.algorithm.load_state_dict(state["algorithm"])
        self.best = state["best"]
        self.metrics.resume(state["metrics_bytes"])

    def save(self) -> None:
        """Write a checkpoint."""
        self.metrics.flush()
        state = {
            "config": _plain(dataclasses.asdict(self.config)),
            "env_steps": self.env_steps,
            "metrics_bytes": self.metrics.bytes,
            "best": self.best,
            "algorithm": self.algorithm.state_dict(),
        }
        checkpoint.save(self.run_dir / checkpoint.NAME, state)

    def loop(self) -> str:
        """Iterate to the end; returns why it ended."""
        while not (reason := self.reason_to_stop()):
            metrics = self.algorithm.iterate()
            if self.is_due(self.config.check_every) and self.iteration >= self.config.check_from:
                metrics |= {f"check_{name}": value for name, value in self.check().items()}
            self.metrics.write({"iteration": self.iteration, "env_steps": self.env_steps} | metrics)
            self.progress.show(self.iteration, self.env_steps, metrics)
            if self.interrupted or self.reason_to_stop() or self.is_due(self.config.checkpoint_every):
                self.save()
            if self.interrupted:
                raise KeyboardInterrupt
        return reason

    def reason_to_stop(self) -> str:
        """Why to end here, from nothing but the iteration and the checks so far; empty to go on."""
        success = self.best["check"]["success"] if self.best else 0.0
        if success >= self.config.stop_success:
            return f"a check reached {success:.1%} success"
        return f"all {self.config.iterations} iterations done" if self.iteration >= self.config.iterations else ""

    def is_due(self, every: int) -> bool:
        """Whether something that happens ``every`` so many iterations happens now."""
        return bool(every) and self.iteration % every == 0

    def check(self) -> dict[str, float]:
        """Fly the law without exploration noise, always the same episodes, and keep it if it is the best so far."""
        found = self.examine()
        rank = (found["success"], -found["tracking_error"])
        if self.best is None or rank > (self.best["check"]["success"], -self.best["check"]["tracking_error"]):
            law = {name: value.clone() for name, value in self.law.state_dict().items()}
            self.best = {"check": found | {"iteration": self.iteration}, "law": law}
        return found

    def close(self) -> None:
        """Finish the log and the progress line."""
        self.metrics.close()
        self.progress.close()

    def result(self, stopped: str) -> dict[str, Any]:
        """What `train` returns."""
        return {
            "wall_time_s": since_command_start(),
            "compile_time_s": build.spent_s(),
            "env_steps": self.env_steps,
            "checkpoint": str(self.run_dir / checkpoint.NAME),
            "iterations": self.iteration,
            "check": self.best["check"] if self.best else None,
            "stopped": stopped,
            "run_dir": str(self.run_dir),
        }


@contextmanager
def finish_iteration_on_interrupt(run: Run) -> Iterator[None]:
    """Let the first SIGINT end the run after its iteration, so that the checkpoint is one an uninterrupted run would have written too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(signum: int, frame: Any) -> None:
        run.interrupted = True
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def make_environment(config: TrainConfig, task: Task, num_envs: int, seed: int | Sequence[int], *, contested: bool = True) -> Environment:
    """Environments on the training distribution; the algorithm resets them. Several seeds share them out.

    An adversary plays in them if ``contested``; else all that it could play with is drawn, too.

    Raises:
        TetherError: for a task that cannot be disturbed as asked, or a critic that is to see what it cannot.
    """
    simulator = make_simulator(config.sim, task, num_envs, config.device, config.physics_dt)
    if config.adversary.name == "none":
        return Environment(task, simulator, suite=task.training_suite, seed=seed, auto_reset=False)
    adversary = dataclasses.replace(config.adversary, critic_sees=_critic_sees(config))
    if not contested:
        adversary = dataclasses.replace(adversary, name="random")
    return ContestedEnvironment(task, simulator, suite=task.training_suite, seed=seed, auto_reset=False, adversary=adversary)


def _critic_sees(config: TrainConfig) -> bool:
    """Whether the critic sees the adversary; BPTT has none."""
    able, asked = config.algorithm != "bptt", config.adversary.critic_sees
    if asked and not able:
        raise TetherError(f"{config.algorithm} has no critic that could see the adversary; set adversary.critic_sees=False")
    return able if asked is None else asked


def new_run_dir(directory: Path) -> Path:
    """A fresh name under ``directory``, from the local time."""
    return directory / time.strftime("%Y-%m-%d_%H-%M-%S")


def _plain(value: Any) -> Any:
    """Tuples as lists, for YAML and for a checkpoint that is read without running code."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
