"""Where a training writes its numbers, and what its live line says."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from robots.errors import TetherError
from training import wall_clock
from training.config import TrainConfig
from training.metrics import Metrics, Progress

LINE = {"iteration": 1, "env_steps": 32, "return": None, "loss": 0.25}


def test_one_json_line_an_iteration(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, tensorboard=False)
    metrics.begin()
    metrics.write(LINE)
    metrics.write(LINE | {"iteration": 2})
    metrics.flush()
    assert metrics.bytes == (tmp_path / "metrics.jsonl").stat().st_size
    metrics.close()
    assert [json.loads(line)["iteration"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [1, 2]


def test_resuming_drops_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, tensorboard=False)
    metrics.begin()
    metrics.write(LINE)
    metrics.flush()
    size = metrics.bytes
    metrics.write(LINE | {"iteration": 2})
    metrics.close()
    again = Metrics(tmp_path, tensorboard=False)
    again.resume(size)
    again.write(LINE | {"iteration": 3})
    again.close()
    assert [json.loads(line)["iteration"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [1, 3]


def test_a_file_shorter_than_the_checkpoint_says_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(TetherError, match="is shorter than the checkpoint says"):
        Metrics(tmp_path, tensorboard=False).resume(100)


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    metrics = Metrics(tmp_path)
    metrics.begin()
    metrics.write(LINE)
    metrics.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.value for event in events.Scalars("loss")] == [0.25]
    assert "return" not in events.Tags()["scalars"]


def test_wandb_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("training.metrics.importlib.import_module", missing)
    with pytest.raises(TetherError, match="pip install wandb, or leave --wandb out"):
        Metrics(tmp_path, wandb="project")


def test_the_live_line(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(TrainConfig(task="hover", iterations=10), enabled=True)
    progress.period_s = 0.0
    progress.show(2, 200_000, {"return": None})
    assert progress.first is not None
    moment = progress.first[0] + 4.0
    text = progress.text(4, 400_000, {"return": 12.34, "success": 0.875}, moment)
    assert text == "hover   40%  0.40/1.00 M steps  50k steps/s  return 12.3  success 88%  12 s left"
    assert "hover   20%" in capsys.readouterr().err


def test_silent_when_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(TrainConfig(), enabled=False)
    progress.period_s = 0.0
    progress.show(1, 10, {"return": None})
    progress.close()
    assert capsys.readouterr().err == ""


def test_command_start_lies_before_the_import_of_this_test() -> None:
    first = wall_clock.since_command_start()
    assert 0.0 < first <= wall_clock.since_command_start()


def test_without_proc_the_clock_starts_at_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise OSError("no /proc")

    monkeypatch.setattr("builtins.open", absent)
    assert wall_clock.since_command_start() >= 0.0
