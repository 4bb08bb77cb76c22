"""A training run from the command line to its directory, its errors, and its resumption after kill -9."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cli.main import main
from robots.errors import TetherError
from tasks.hover import Hover
from training import checkpoint
from training.algorithms import ALGORITHMS
from training.config import ALGORITHMS as NAMES
from training.config import TrainConfig, changed, config_from_dict, preset
from training.metrics import Metrics, Progress
from training.train import Run, make_environment, train

TINY = (
    *("threads=1", "num_envs=8", "ppo.horizon=4", "iterations=12"),
    *("checkpoint_every=2", "check_every=12", "check_from=0", "check_episodes=4"),
)
LONGER = ("iterations=40", "check_every=40")
DEADLINE_S = 120.0


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "cli", "train", *words]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted run."""
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    assert main(["train", "hover", "--seed", "3", "--run-dir", str(run_dir), *TINY]) == 0
    return run_dir


def test_run_directory(whole: Path) -> None:
    assert {"checkpoint.pt", "config.yaml", "metrics.jsonl"} <= {path.name for path in whole.iterdir()}
    assert (whole / "checkpoint.pt").stat().st_size < 5e6
    lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == list(range(1, 13))
    assert lines[-1]["env_steps"] == 12 * 8 * 4
    assert [line["iteration"] for line in lines if "check_success" in line] == [12]
    config = changed(TrainConfig(), yaml.safe_load((whole / "config.yaml").read_text()), "config.yaml")
    assert config.seed == 3
    assert config.num_envs == 8
    assert config.ppo.horizon == 4


def test_result_and_last_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "result.json"
    assert (
        main(["train", "hover", "--num-envs", "8", "--run-dir", str(tmp_path / "run"), "--json", str(out), "iterations=2", "check_every=0"])
        == 0
    )
    result = json.loads(out.read_text())
    assert {"wall_time_s", "compile_time_s", "env_steps", "checkpoint"} <= result.keys()
    assert result["env_steps"] == 2 * 8 * 32
    assert Path(result["checkpoint"]).is_file()
    assert result["wall_time_s"] > 0
    assert f"next: tether export {tmp_path / 'run'} -o hover.onnx" in capsys.readouterr().out


def test_law_and_its_provenance(whole: Path) -> None:
    law, known = checkpoint.load_law(whole)
    sensors, goal = readings(4)
    output = law(sensors, goal, law.initial_memory(4))
    assert output.actuation["body_rates"].shape == (4, 3)
    assert not any(p.requires_grad for p in law.parameters())
    assert known["seed"] == 3
    assert known["task"] == "hover"
    assert known["env_steps"] == 384
    assert known["command"].startswith("tether train hover --seed 3 ")
    assert "num_envs=8" in known["command"]
    assert json.dumps(known)
    again, _ = checkpoint.load_law(whole / "checkpoint.pt", Hover())
    assert all(torch.equal(a, b) for a, b in zip(law.state_dict().values(), again.state_dict().values(), strict=True))


def readings(num_envs: int) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    task = Hover()
    return make_environment(TrainConfig(), task, num_envs, 0).reset()


def test_every_algorithm_runs_resumes_and_names_itself(tmp_path: Path) -> None:
    """Two iterations and two more are four at once; the command in the provenance says how it was trained."""
    for algorithm, kind in ALGORITHMS.items():
        small = {"num_envs": 4, "check_every": 0, "iterations": 3, "ppo": {"minibatches": 1}}
        config = changed(changed(preset("hover", algorithm), small, "test"), {kind.section: {"horizon": 4}}, "test")
        result = train(config, tmp_path / algorithm)
        assert result["env_steps"] == 3 * 4 * 4
        known = checkpoint.load_law(tmp_path / algorithm)[1]
        assert known["algorithm"] == algorithm
        assert known["command"].startswith("tether train hover" + f" --algorithm {algorithm}" * (algorithm != "ppo") + " --seed")
        first = Run(config, tmp_path / "first", Metrics(tmp_path / "first"), Progress(config, enabled=False))
        first.begin()
        first.algorithm.iterate()
        first.save()
        second = Run(config, tmp_path / "first", Metrics(tmp_path / "first"), Progress(config, enabled=False))
        second.resume()
        assert second.loop() == "all 3 iterations done"
        first.close()
        second.close()
        whole = checkpoint.load(tmp_path / algorithm)
        assert_identical(checkpoint.load(tmp_path / "first")["algorithm"], whole["algorithm"], algorithm)
        (tmp_path / "first" / checkpoint.NAME).unlink()


def test_the_table_of_algorithms_is_complete() -> None:
    assert tuple(ALGORITHMS) == NAMES
    assert {kind.section for kind in ALGORITHMS.values()} <= {field.name for field in dataclasses.fields(TrainConfig)}


def test_a_configuration_without_sections_that_came_later_still_loads() -> None:
    config = preset("hover")
    old = dataclasses.asdict(config)
    del old["shac"]
    assert config_from_dict(old) == config


def test_provenance_command_trains_the_same(whole: Path, tmp_path: Path) -> None:
    words = checkpoint.load_law(whole)[1]["command"].split()[1:]
    assert main([*words, "--run-dir", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


def wait_for(what: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    """Poll until ``what`` holds or the process ended by itself."""
    deadline = time.monotonic() + DEADLINE_S
    while not what() and process.poll() is None:
        assert time.monotonic() < deadline, "the training made no progress"
        time.sleep(0.002)


@pytest.mark.parametrize(("task", "wanted"), [("hover", 5), ("go2_velocity", 3)])
def test_killed_again_and_again_it_equals_the_uninterrupted_run(task: str, wanted: int, tmp_path: Path) -> None:
    """kill -9 at random moments: after some checkpoints of each start, and then anywhere within the iterations that follow."""
    run_dir, chance = tmp_path / "killed", random.Random(0)
    file, kills = run_dir / checkpoint.NAME, 0
    words = command(task, "--seed", "3", "--run-dir", str(run_dir), *TINY, *LONGER)
    expected = tmp_path / "expected"
    assert main(["train", task, "--seed", "3", "--run-dir", str(expected), *TINY, *LONGER]) == 0
    while kills < wanted:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(chance.randint(1, 3)):
            before = stamp(file)
            wait_for(lambda: stamp(file) != before, process)  # noqa: B023
        wait_for(lambda: chance.random() < 0.02, process)
        process.kill()
        kills += process.wait(DEADLINE_S) == -signal.SIGKILL
        words = command("--resume", str(run_dir))
    assert main(["train", "--resume", str(run_dir)]) == 0
    assert_equal_runs(run_dir, expected)


def stamp(path: Path) -> int:
    """When the file was last replaced; 0 while there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def assert_equal_runs(one: Path, other: Path) -> None:
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    left, right = checkpoint.load(one), checkpoint.load(other)
    assert_identical(left, right, "checkpoint")


def assert_identical(left: Any, right: Any, where: str) -> None:
    assert type(left) is type(right), where
    if isinstance(left, torch.Tensor):
        assert left.dtype == right.dtype, where
        assert torch.equal(left, right), where
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key in left:
            assert_identical(left[key], right[key], f"{where}.{key}")
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right), where
        for index, pair in enumerate(zip(left, right, strict=True)):
            assert_identical(*pair, f"{where}[{index}]")
    else:
        assert left == right, where


def test_control_c_leaves_a_resumable_run(whole: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "stopped"
    words = command("hover", "--seed", "3", "--run-dir", str(run_dir), *TINY)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (run_dir / "checkpoint.pt").exists(), process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=DEADLINE_S)
    if process.returncode:  # it may have finished first
        assert process.returncode == 130, errors
        assert errors.splitlines()[-1] == f"tether: error: stopped; continue with: tether train --resume {run_dir}"
    assert main(["train", "--resume", str(run_dir)]) == 0
    assert_equal_runs(run_dir, whole)


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line a bad command prints."""
    assert main(["train", *words]) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1
    assert "Traceback" not in captured.err + captured.out
    return lines[0]


def test_bad_input_names_the_remedy(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ("--run-dir", str(tmp_path / "new"))
    assert "unknown task 'hoover'; choose one of: go2_gorge, go2_velocity, hover" in fails(capsys, "hoover", *run)
    assert "name the task to train" in fails(capsys)
    assert "name the task to train" in fails(capsys, "seed=1")
    assert "unknown algorithm 'td3'; choose one of: bptt, ppo, sac, shac" in fails(capsys, "hover", "--algorithm", "td3")
    assert "unknown config key 'ppo.learning'; valid keys: horizon" in fails(capsys, "hover", *run, "ppo.learning=1")
    assert "num_envs must be at least 1" in fails(capsys, "hover", *run, "--num-envs", "0")
    assert "more than the 4 environments" in fails(capsys, "hover", *run, "num_envs=4", "ppo.minibatches=5")
    assert "unknown device 'tpu'" in fails(capsys, "hover", *run, "--device", "tpu")
    assert "unknown simulator 'bullet'" in fails(capsys, "hover", *run, "--sim", "bullet")
    assert "unknown robot 'r2d2'" in fails(capsys, "hover", *run, "--robot", "r2d2")
    assert "pip install wandb" in fails(capsys, "hover", *run, "--wandb", "project")
    assert "holds a run already" in fails(capsys, "hover", "--run-dir", str(whole))
    assert not (tmp_path / "new" / "checkpoint.pt").exists()


def test_resuming_needs_the_runs_own_configuration(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = fails(capsys, "--resume", str(whole), "--seed", "4")
    assert "is not the configuration" in message
    assert "seed: 4 against 3" in message
    assert "trains 'hover', not 'track'" in fails(capsys, "track", "--resume", str(whole))
    assert "there is no checkpoint" in fails(capsys, "--resume", str(tmp_path))


def test_resuming_a_damaged_run_is_refused(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("checkpoint.pt", "config.yaml", "metrics.jsonl"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    os.truncate(tmp_path / "metrics.jsonl", 10)
    assert "is shorter than the checkpoint says" in fails(capsys, "--resume", str(tmp_path))
    os.truncate(tmp_path / "checkpoint.pt", 1000)
    assert "is damaged or cut short" in fails(capsys, "--resume", str(tmp_path))


def test_a_finished_run_resumes_to_itself(whole: Path, tmp_path: Path) -> None:
    for name in ("checkpoint.pt", "config.yaml", "metrics.jsonl"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    assert main(["train", "--resume", str(tmp_path)]) == 0
    assert_equal_runs(tmp_path, whole)


def test_not_finite_leaves_the_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(self: Hover, transition: Any) -> dict[str, torch.Tensor]:
        return {"poison": torch.full((4,), torch.nan)}

    monkeypatch.setattr(Hover, "rewards", poisoned)
    config = changed(preset("hover"), {"num_envs": 4, "ppo": {"minibatches": 1}}, "test")
    with pytest.raises(TetherError, match=r"a reward is not finite in iteration 1; what led to it is in .*not_finite.pt"):
        train(config, tmp_path / "run")
    assert set(torch.load(tmp_path / "run" / "not_finite.pt", weights_only=True)) >= {"observation", "action", "reward"}


def test_stops_when_a_check_is_good_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.2, 0.9, 1.0])
    monkeypatch.setattr("training.examination.Examination.__call__", lambda *_: {"success": next(scores), "tracking_error": 0.1})
    short = {
        "num_envs": 4,
        "iterations": 12,
        "check_from": 4,
        "check_every": 2,
        "stop_success": 0.9,
        "ppo": {"horizon": 2, "minibatches": 1},
    }
    result = train(changed(preset("hover"), short, "test"), tmp_path / "run")
    assert result["iterations"] == 6
    assert result["stopped"] == "a check reached 90.0% success"
    assert result["check"] == {"success": 0.9, "tracking_error": 0.1, "iteration": 6}
    assert train(changed(preset("hover"), short, "test"), tmp_path / "run", resume=True)["iterations"] == 6


def test_the_best_check_is_the_law_that_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.7, 0.6])
    monkeypatch.setattr("training.examination.Examination.__call__", lambda *_: {"success": next(scores), "tracking_error": 0.1})
    short = {"num_envs": 4, "iterations": 3, "check_from": 0, "check_every": 1, "ppo": {"horizon": 2, "minibatches": 1}}
    train(changed(preset("hover"), short, "test"), tmp_path / "run")
    state = checkpoint.load(tmp_path / "run")
    assert state["best"]["check"]["iteration"] == 2
    law, _ = checkpoint.load_law(tmp_path / "run")
    assert torch.equal(law.state_dict()["actor.head.0.weight"], state["best"]["law"]["actor.head.0.weight"])
    assert not torch.equal(law.state_dict()["actor.head.0.weight"], state["algorithm"]["law"]["actor.head.0.weight"])


def test_config_round_trip() -> None:
    config = preset("hover")
    assert config_from_dict(dataclasses.asdict(config)) == config
    assert Hover.presets["ppo"]["iterations"] == config.iterations
    with pytest.raises(TetherError, match="unknown config key in test 'speed'"):
        changed(config, {"speed": 1}, "test")


@pytest.mark.parametrize("seed", [-1, 1 << 30, (1 << 31) + 5])
def test_seeds_of_evaluation_are_refused(seed: int) -> None:
    with pytest.raises(TetherError, match="evaluation draws from the seeds above"):
        changed(TrainConfig(), {"seed": seed}, "test")
