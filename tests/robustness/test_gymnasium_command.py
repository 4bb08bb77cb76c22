"""``tether bench rrls``, from its words to its JSON."""

from __future__ import annotations

import json
import shlex
import sys

import numpy as np
import onnx
import pytest

from benchmarks.linear_policies import graph
from cli.main import main


@pytest.fixture
def policy(tmp_path, monkeypatch) -> str:
    """A hopper that leans on nothing and falls."""
    monkeypatch.chdir(tmp_path)
    onnx.save(graph(np.full((3, 11), 0.1), np.zeros(11), np.ones(11)), "falls.onnx")
    return "falls.onnx"


def tether(words: str) -> int:
    return main(["bench", "rrls", *shlex.split(words)])


def test_a_grid_is_played_printed_and_written(policy, capsys):
    assert tether(f"{policy} --task hopper --parameters 1 --points 3 --episodes 2 --fresh 3 --seed 5 --processes 1 --json out.json") == 0
    assert "worst cell" in capsys.readouterr().out
    with open("out.json") as file:
        found = json.load(file)
    assert (found["policy"], found["environment"], found["seed"], found["points"], found["sigma"]) == (policy, "Hopper-v5", 5, 3, 0.0)
    assert found["parameters"] == [{"name": "friction", "unit": "1", "low": 0.1, "high": 3.0, "nominal": 2.0}]
    assert [cell["values"]["friction"] for cell in found["cells"]] == [0.1, 1.55, 3.0]
    assert found["worst"]["mean"] < found["nominal"]["mean"] * 1.5
    assert found["unstable"] == 0


def test_what_is_kept_is_not_played_again_unless_the_file_has_changed(policy, capsys):
    words = f"{policy} --task hopper --parameters 1 --points 2 --episodes 1 --fresh 1 --processes 1 --keep kept"
    results, lines = [], []
    for slope in (0.1, 0.1, 0.2):
        onnx.save(graph(np.full((3, 11), slope), np.zeros(11), np.ones(11)), policy)
        assert tether(f"{words} --json out.json") == 0
        with open("out.json") as file, open("kept") as kept:
            results.append(file.read())
            lines.append(len(kept.readlines()))
    assert results[0] == results[1] != results[2]
    assert lines == [1 + 4, 1 + 4, 1 + 8]


def test_the_smoothed_policy_is_certified(policy, capsys):
    grid = "--task hopper --parameters 1 --points 2 --episodes 1 --fresh 1 --processes 1"
    assert tether(f"{policy} {grid} --smoothing 0.1 --threshold 10 --json out.json") == 0
    with open("out.json") as file:
        certified = json.load(file)["certificates"]["pristine"]["certified"]
    assert certified[0]["probability"] > certified[-1]["probability"]
    assert "P(return ≥ 10.0)" in capsys.readouterr().out


def test_a_set_of_ones_own_is_verified_and_a_dead_parameter_fails(capsys):
    assert tether("--task invertedpendulum --verify --points 2 --parameters mass.cart=1:11") == 0
    assert tether("--task invertedpendulum --verify --points 2 --parameters mass.cart=1:11 force.cart.y=-3:3") == 1
    assert capsys.readouterr().out.count("DEAD") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("{policy}", "--task hopper"),
        ("{policy} --task swimmer", "hopper"),
        ("--task hopper", "--verify"),
        ("{policy} --task hopper --parameters 4", "rarl"),
        ("{policy} --task hopper --parameters mass.tail=1:2", "torso"),
        ("{policy} --task hopper --points 1", "at least 2"),
        ("{policy} --task hopper --points 0", "--points"),
        ("{policy} --task hopper --episodes 0", "at least one"),
        ("{policy} --task hopper --processes 0", "--processes"),
        ("{policy} --task hopper --smoothing -1", "--smoothing"),
        ("{policy} --task hopper --threshold 3", "--smoothing"),
        ("{policy} --task walker2d", "17"),
        ("{policy} --task hopper --num-envs 4 --device cuda", "--num-envs, --device"),
        ("{policy} --task hopper --verify", "policy"),
        ("nosuch.onnx --task hopper", "nosuch.onnx"),
    ],
)
def test_a_mistake_is_told_in_one_line(words, told, policy, capsys):
    assert tether(words.format(policy=policy)) == 2
    error = capsys.readouterr().err
    assert error.startswith("tether: error: ")
    assert error.count("\n") == 1
    assert told in error


def test_another_measurement_refuses_what_is_only_ours(capsys):
    assert main(["bench", "sim", "--points", "3", "--verify"]) == 2
    assert "tether bench sim does not take --points, --verify" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(policy, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    assert tether(f"{policy} --task hopper --processes 1") == 2
    assert "pip install 'tether[rrls]'" in capsys.readouterr().err
