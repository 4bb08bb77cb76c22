"""Trainings that are alike until an attitude to risk begins to count, trained once: a stem, from which others branch off.

A branch ends where the whole training would: before ``risk.neutral_for`` iterations the measure and its level change nothing, and
checkpoints go on bit for bit.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from training import checkpoint
from training.batched import Batch
from training.config import TrainConfig

DIRECTORY = Path("runs") / "stems"


class Stem:
    """The first ``risk.neutral_for`` iterations of a training, in a file that names all that they depend on.

    Args:
        config, seeds: of `Batch`.
        directory: where stems are kept.
    """

    def __init__(self, config: TrainConfig, seeds: Sequence[int], directory: Path = DIRECTORY) -> None:
        self.iterations = config.risk.neutral_for
        settings = dataclasses.asdict(config)
        for name in ("seed", "iterations"):
            del settings[name]
        for name in ("measure", "level", "warm_up"):
            del settings["risk"][name]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:12]
        self.path = directory / f"{config.task}_{'_'.join(map(str, seeds))}_{digest}.pt"

    def load(self, batch: Batch) -> None:
        """Have ``batch`` begin at its end, if there is one."""
        if self.iterations and self.path.exists():
            batch.load_state_dict(checkpoint.load(self.path))

    def save(self, batch: Batch) -> None:
        """Keep it, if ``batch`` is at its end."""
        if self.iterations and batch.iteration == self.iterations:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.save(self.path, batch.state_dict())
