"""An Isaac that needs nothing: ``--sim isaac`` starts `fake_worker` in its place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sim.isaac.process import ISAAC_LAB

WORKER = Path(__file__).parent / "fake_worker" / "worker.py"


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the trainer takes for Isaac's Python runs the fake; set ``ISAAC_FAKE`` to have it misbehave."""
    python = folder / "python"
    python.write_text(f"#!/bin/sh\nexec {sys.executable} {WORKER}\n")
    python.chmod(0o755)
    monkeypatch.setenv(ISAAC_LAB.variable, str(python))
