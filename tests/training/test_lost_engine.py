"""An engine that lives in another process and is killed in the middle of a training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cli.main import main
from tests.sim.isaac import fakes
from training import checkpoint

SMALL = (
    "--sim",
    "isaac",
    "threads=1",
    "num_envs=4",
    "ppo.horizon=2",
    "ppo.minibatches=2",
    "iterations=6",
    "checkpoint_every=1",
    "check_every=0",
)


def test_training_ends_with_a_checkpoint_to_go_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """kill -9 of the engine at the ninth of twelve steps: an error that says what to do, and doing it ends as if nothing had been."""
    fakes.install(tmp_path, monkeypatch)
    whole, lost = tmp_path / "whole", tmp_path / "lost"
    assert main(["train", "go2_velocity", "--run-dir", str(whole), *SMALL]) == 0
    monkeypatch.setenv("ISAAC_FAKE", "die")
    monkeypatch.setenv("ISAAC_FAKE_LIVES", "8")
    assert main(["train", "go2_velocity", "--run-dir", str(lost), *SMALL]) == 2
    said = capsys.readouterr().err
    assert "Isaac Lab was ended by signal 9 at 'step'" in said
    assert f"in iteration 5; go on from the last checkpoint with: tether train --resume {lost}" in said
    monkeypatch.delenv("ISAAC_FAKE")
    assert main(["train", "--resume", str(lost)]) == 0
    assert (lost / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    law, same = (checkpoint.load(run)["algorithm"]["law"] for run in (whole, lost))
    assert all(torch.equal(law[name], same[name]) for name in law)
