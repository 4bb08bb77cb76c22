"""The learner comparison: statistics against closed forms, curves, tables, and what is said where results are missing. Nothing trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import timed_train, training, training_report
from training.metrics import Metrics


def made_up(algorithm: str = "ppo", seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A result as `training.measure` writes it."""
    result = {
        "task": "hover",
        "algorithm": algorithm,
        "seed": seed,
        "wall_time_s": 10.0 + seed,
        "compile_time_s": 0.0,
        "processor_time_s": 11.0,
        "env_steps": 1_000_000,
        "success_rate": 0.99,
        "success_interval": [0.98, 1.0],
        "crashes": 1,
        "episodes": 1000,
        "return_mean": 300.0 + seed,
        "curve": {
            "wall_time_s": [1.0, 2.0, 3.0],
            "env_steps": [10, 20, 30],
            "success": [None, 0.2, 0.4],
            "check_success": [None, None, 0.9],
        },
    }
    return result | changes


@pytest.mark.parametrize(
    ("values", "mean"), [([5.0], 5.0), ([1.0, 2.0, 3.0, 100.0], 2.5), ([0.0, 1.0, 5.0, 6.0, 90.0], (0.75 + 5.0 + 4.5) / 2.5)]
)
def test_interquartile_mean_weights_the_edges_by_what_is_inside(values: list[float], mean: float) -> None:
    assert training_report.interquartile_mean(np.array(values)) == pytest.approx(mean)
    assert training_report.interquartile_mean(np.array(values[::-1])) == pytest.approx(mean)


def test_interval_holds_the_mean_and_repeats() -> None:
    values = np.random.default_rng(0).normal(size=20)
    low, high = training_report.interquartile_interval(values)
    assert low < training_report.interquartile_mean(values) < high
    assert training_report.interquartile_interval(values) == (low, high)
    assert training_report.interquartile_interval(np.full(5, 3.0)) == (3.0, 3.0)


def test_curve_is_the_runs_own_episodes_until_the_first_check() -> None:
    x, success = training_report.learning_curve(made_up(), "env_steps")
    assert x.tolist() == [20, 30]
    assert success.tolist() == [0.2, 0.9]


def test_band_starts_at_nothing_and_keeps_what_a_run_ended_with() -> None:
    short = made_up(curve={"wall_time_s": [1.0], "env_steps": [10], "success": [0.5], "check_success": [None]})
    x, (low, middle, high) = training_report.band([short, made_up()], "wall_time_s")
    assert (x[0], x[-1]) == (0.0, 3.0)
    assert low[0] == middle[0] == high[0] == 0.0
    assert (low[-1], middle[-1], high[-1]) == pytest.approx((0.5, 0.7, 0.9))


def test_tables_have_a_row_a_seed_and_a_row_an_algorithm() -> None:
    text = training_report.text([made_up(seed=1), made_up("shac", seed=1), made_up(seed=4)])
    assert "| ppo | 1 | 99.0% | 98.0% – 100.0% | 1 / 1000 | 11.0 s | 11.0 s | 1.00 M |" in text
    assert "| ppo | 2 | 99.0 % (99.0 % – 99.0 %) | 12.5 s (11.0 s – 14.0 s) |" in text
    assert "| shac | 1 |" in text


def test_rms_is_shown_where_the_evaluation_has_it() -> None:
    text = training_report.text([made_up(task="track", tracking_rms={"mean": 0.034}), made_up(seed=1, tracking_rms={"episodes": 0})])
    assert "| 0.034 |" in text
    assert "0.034 (0.034 – 0.034)" in text


def test_the_stored_results_are_readable(capsys: pytest.CaptureFixture[str]) -> None:
    seeds = sorted(int(path.stem.rpartition("_")[2]) for path in training.RESULTS.glob("training_hover_ppo_seed_*.json"))
    assert training.main(["--read", "--seeds", *map(str, seeds)]) == 0
    assert f"| ppo | {len(seeds)} |" in capsys.readouterr().out


def test_missing_results_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert training.main(["--read", "--output", str(tmp_path), "--seeds", "3"]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "training_hover_ppo_seed_3.json" in error


def test_results_are_drawn(tmp_path: Path) -> None:
    for algorithm in ("ppo", "shac"):
        for seed in (0, 1):
            (tmp_path / training.file_name("hover", algorithm, seed)).write_text(json.dumps(made_up(algorithm, seed)))
    picture = tmp_path / "curves.png"
    words = ["--read", "--output", str(tmp_path), "--algorithms", "ppo", "shac", "--seeds", "0", "1", "--plot", str(picture)]
    assert training.main(words) == 0
    assert picture.stat().st_size > 10_000


def test_a_failed_command_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert training.main(["--task", "sleep", "--seeds", "0", "--output", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "unknown task 'sleep'" in error


def test_the_clock_has_a_line_for_every_line_of_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(words: list[str]) -> int:
        assert words == ["train", "hover"]
        metrics = Metrics(tmp_path, tensorboard=False)
        metrics.begin()
        for iteration in range(3):
            metrics.write({"iteration": iteration, "env_steps": 10 * iteration, "success": None})
        metrics.close()
        return 0

    monkeypatch.setattr(timed_train, "tether", train)
    monkeypatch.setattr(Metrics, "write", Metrics.write)  # puts back what is replaced
    assert timed_train.main([str(tmp_path / "clock"), "hover"]) == 0
    curve = training.curve(tmp_path / "metrics.jsonl", tmp_path / "clock")
    assert curve["env_steps"] == [0, 10, 20]
    assert curve["wall_time_s"] == sorted(curve["wall_time_s"])
    assert len(curve["wall_time_s"]) == 3
    assert curve["check_success"] == [None] * 3
