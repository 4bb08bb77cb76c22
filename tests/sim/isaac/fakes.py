"""Isaacs that need nothing: ``--sim isaac`` starts `fake_worker`, ``--sim isaacgym`` the real worker around a stand-in for the package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sim.isaac.process import ISAAC_GYM, ISAAC_LAB, Kind
from tests.sim.isaac.talk import STANDIN

WORKER = Path(__file__).parent / "fake_worker" / "worker.py"


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the trainer takes for Isaac Lab's Python runs the fake; set ``ISAAC_FAKE`` to have it misbehave."""
    _python(ISAAC_LAB, f"exec {sys.executable} {WORKER}", folder, monkeypatch)


def install_gym(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the trainer takes for Isaac Gym's Python has the stand-in."""
    _python(ISAAC_GYM, f'PYTHONPATH={STANDIN} exec {sys.executable} "$@"', folder, monkeypatch)


def _python(kind: Kind, command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = folder / kind.name
    python.write_text(f"#!/bin/sh\n{command}\n")
    python.chmod(0o755)
    monkeypatch.setenv(kind.variable, str(python))
