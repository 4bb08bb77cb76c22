"""Checkpoints: whole or absent, never half; damage is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from robots.errors import TetherError
from training import checkpoint

STATE = {"a": torch.arange(6.0).reshape(2, 3), "nested": {"b": [torch.tensor(True), 3, "text", None]}, "number": 0.1}


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, STATE)
    found = checkpoint.load(path)
    assert torch.equal(found["a"], STATE["a"])
    assert found["number"] == 0.1
    assert found["nested"]["b"][1:] == [3, "text", None]
    assert found["nested"]["b"][0].item() is True
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_view_does_not_drag_its_storage_along(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, {"row": torch.zeros(1000, 1000)[0]})
    assert path.stat().st_size < 10_000


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_damage_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, STATE)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    path.write_bytes({"cut": data[: len(data) * 7 // 10], "flip": data, "empty": b"", "text": b"hello" * 100}[damage])
    with pytest.raises(TetherError, match=r"is damaged or cut short .* restore it from a copy or train again"):
        checkpoint.load(path)


def test_nothing_there_says_what_to_give(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.pt"):
        with pytest.raises(TetherError, match=r"there is no checkpoint at .*; give a run directory"):
            checkpoint.load(path)


def test_another_schema_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SCHEMA", 99)
    checkpoint.save(tmp_path / "checkpoint.pt", STATE)
    monkeypatch.undo()
    with pytest.raises(TetherError, match="schema 99, this version reads 1"):
        checkpoint.load(tmp_path)


def test_a_failed_write_leaves_the_previous_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, STATE)
    before = path.read_bytes()

    def fails(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint.os, "fsync", fails)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(path, {"a": 1})
    assert path.read_bytes() == before
