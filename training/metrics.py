"""Where a training writes its numbers: one JSON line an iteration, TensorBoard if installed, W&B if asked; and the live line."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from robots.errors import TetherError
from training.config import TrainConfig

NAME = "metrics.jsonl"


class Metrics:
    """One JSON line an iteration in ``metrics.jsonl``, of nothing that depends on the clock, so that a resumed run writes the same bytes.

    Args:
        run_dir: the run's directory.
        tensorboard: write event files too, if the package is installed.
        wandb: project to log to as well; empty for none.

    Raises:
        TetherError: when W&B is asked for and not installed.
    """

    def __init__(self, run_dir: Path, *, tensorboard: bool = True, wandb: str = "") -> None:
        self.path = run_dir / NAME
        self.wandb = _start_wandb(wandb, run_dir) if wandb else None
        self.tensorboard = tensorboard
        self.writer: Any = None
        self.file: IO[str] | None = None

    def begin(self) -> None:
        """Start an empty file."""
        self._open("w")

    def resume(self, size: int) -> None:
        """Go on after the first ``size`` bytes; raises `TetherError` when there are fewer."""
        if not self.path.exists() or self.path.stat().st_size < size:
            raise TetherError(f"{self.path} is shorter than the checkpoint says; restore the run directory as it was, or train again")
        with self.path.open("ab") as file:
            file.truncate(size)
        self._open("a")

    def _open(self, mode: str) -> None:
        self.file = self.path.open(mode)
        if self.tensorboard:
            self.writer = _summary_writer(self.path.parent)

    @property
    def bytes(self) -> int:
        """Size of the file after `flush`."""
        return self.path.stat().st_size

    def write(self, metrics: Mapping[str, Any]) -> None:
        """Log one iteration; ``metrics`` has ``iteration``."""
        assert self.file is not None
        self.file.write(json.dumps(metrics) + "\n")
        numbers = {name: value for name, value in metrics.items() if isinstance(value, (int, float))}
        if self.writer is not None:
            for name, value in numbers.items():
                self.writer.add_scalar(name, value, metrics["iteration"])
        if self.wandb is not None:
            self.wandb.log(numbers, step=metrics["iteration"])

    def flush(self) -> None:
        """Put everything on the disk."""
        if self.file is not None:
            self.file.flush()
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """Close all."""
        for log in (self.file, self.writer):
            if log is not None:
                log.close()
        if self.wandb is not None:
            self.wandb.finish()


def _summary_writer(directory: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # tensorboard is optional
        return None
    return SummaryWriter(str(directory))


def _start_wandb(project: str, run_dir: Path) -> Any:
    try:
        wandb = importlib.import_module("wandb")
    except ImportError as error:
        raise TetherError("logging to W&B needs the package wandb: pip install wandb, or leave --wandb out") from error
    return wandb.init(project=project, dir=str(run_dir), name=run_dir.name)


class Progress:
    """A live line on stderr: done, steps/s, return, success, time left."""

    def __init__(self, config: TrainConfig, enabled: bool) -> None:
        self.config, self.enabled = config, enabled
        self.live = sys.stderr.isatty()
        self.period_s = 0.2 if self.live else 10.0
        self.shown_s = time.monotonic()
        self.first: tuple[float, int] | None = None

    def show(self, iteration: int, env_steps: int, metrics: Mapping[str, Any]) -> None:
        """Redraw the line, a few times a second; without a terminal, print one every ten seconds."""
        now = time.monotonic()
        if self.first is None:
            self.first = (now, env_steps)
        if self.enabled and now - self.shown_s >= self.period_s:
            self.shown_s = now
            text = self.text(iteration, env_steps, metrics, now)
            print(f"\r\x1b[K{text}" if self.live else text, end="" if self.live else "\n", file=sys.stderr, flush=True)

    def text(self, iteration: int, env_steps: int, metrics: Mapping[str, Any], now: float) -> str:
        """The line."""
        start, steps = self.first or (now, env_steps)
        speed = (env_steps - steps) / max(now - start, 1e-6)
        total = env_steps // iteration * self.config.iterations
        left = f"{(total - env_steps) / speed:.0f} s left" if speed else "…"
        done = f"{env_steps / 1e6:.2f}/{total / 1e6:.2f} M steps"
        parts = [f"{iteration / self.config.iterations:4.0%}", done, f"{speed / 1e3:.0f}k steps/s"]
        if metrics.get("return") is not None:
            parts += [f"return {metrics['return']:.1f}", f"success {metrics['success']:.0%}"]
        return "  ".join([self.config.task, *parts, left])

    def close(self) -> None:
        """End the line."""
        if self.enabled and self.live:
            print(file=sys.stderr)
