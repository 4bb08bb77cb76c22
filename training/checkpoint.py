"""Checkpoints: everything a training needs to go on bit for bit, in one file that is whole or absent.

The file is what `torch.save` writes, followed by the SHA-256 of it as 64 hex digits. It is written beside its final name, flushed to the
disk and renamed, so that a crash at any moment leaves the previous checkpoint. Reading runs no code from it (``weights_only``).
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from robots.errors import TetherError
from tasks.task import Task
from training.config import TrainConfig, config_from_dict, make_task
from training.learned_law import LearnedLaw

SCHEMA = 1
NAME = "checkpoint.pt"
DIGEST = 64


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write ``state`` (nested dicts, lists, numbers, text, tensors) atomically."""
    buffer = io.BytesIO()
    torch.save(_compact({"schema": SCHEMA, **state}), buffer)
    body = buffer.getvalue()
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(body + hashlib.sha256(body).hexdigest().encode())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _sync_directory(path.parent)


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what `save` wrote.

    Raises:
        TetherError: for a file that is missing, damaged, or of another schema.
    """
    path = find(path)
    data = path.read_bytes()
    body, digest = data[:-DIGEST], data[-DIGEST:]
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise TetherError(f"{path} is damaged or cut short (its checksum does not match); restore it from a copy or train again")
    state: dict[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    if state.get("schema") != SCHEMA:
        raise TetherError(f"{path} has schema {state.get('schema')!r}, this version reads {SCHEMA}; train again")
    moved: dict[str, Any] = _to(state, device)
    return moved


def find(path: Path | str) -> Path:
    """The checkpoint file at ``path``, or inside it if that is a run directory."""
    path = Path(path)
    file = path / NAME if path.is_dir() else path
    if not file.is_file():
        raise TetherError(f"there is no checkpoint at {file}; give a run directory (runs/TASK/TIME) or its {NAME}")
    return file


def load_law(path: Path | str, task: Task | None = None) -> tuple[LearnedLaw, dict[str, Any]]:
    """The best law of a run directory or checkpoint, ready to export, and where it came from.

    Args:
        path: run directory or checkpoint file.
        task: to build the law for; by default the one named in the run's configuration.

    Raises:
        TetherError: for a checkpoint that is missing, damaged, or of another task.
    """
    file = find(path)
    state = load(file)
    config = config_from_dict(state["config"])
    law = LearnedLaw(task or make_task(config), config.actor, config.safeguard, risk=config.risk)
    weights = state["best"]["law"] if state["best"] else state["algorithm"]["law"]
    try:
        law.load_state_dict(weights)
    except RuntimeError as error:
        raise TetherError(f"{file} does not fit task {law.task.name!r} any more; train again ({' '.join(str(error).split())})") from error
    law.eval().requires_grad_(False)
    return law, provenance(config, state)


def provenance(config: TrainConfig, state: Mapping[str, Any]) -> dict[str, Any]:
    """Where a law came from, for the policy file's metadata."""
    return {
        "command": config.command(),
        "task": config.task,
        "algorithm": config.algorithm,
        "seed": config.seed,
        "config": state["config"],
        "env_steps": state["env_steps"],
        "training_check": state["best"]["check"] if state["best"] else None,
        "torch": torch.__version__,
    }


def _compact(value: Any) -> Any:
    """Copies of all tensors on the CPU: a view would drag the whole storage behind it into the file."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone(memory_format=torch.contiguous_format)
    if isinstance(value, Mapping):
        return {key: _compact(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_compact(item) for item in value]
    return value


def _to(value: Any, device: torch.device | str) -> Any:
    """Tensors on ``device``, but for states of random generators (bytes), which torch wants on the CPU."""
    if isinstance(value, torch.Tensor):
        return value if value.dtype == torch.uint8 else value.to(device)
    if isinstance(value, dict):
        return {key: _to(item, device) for key, item in value.items()}
    return [_to(item, device) for item in value] if isinstance(value, list) else value


def _sync_directory(directory: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
