"""Tests of the trainer's side run on an Isaac that needs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sim.isaac import fakes


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """See `fakes.install`."""
    fakes.install(tmp_path, monkeypatch)
    return monkeypatch
