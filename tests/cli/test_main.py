"""The command itself: how errors, results and help come out."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from cli import main as command
from cli.main import VERBS, Result, main, write_json
from robots.errors import TetherError


@pytest.fixture
def verb(monkeypatch):
    """Replace what ``tether list`` does."""

    def install(run, arguments=lambda parser: None):
        module = SimpleNamespace(HELP="a verb for tests", run=run, arguments=arguments)
        monkeypatch.setattr(command.importlib, "import_module", lambda name: module)

    return install


def error(capsys) -> str:
    """The one line on standard error."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("tether: error: ")
    return lines[0]


@pytest.mark.parametrize("words", [[], ["--help"], ["help"]])
def test_help_names_every_verb(words, capsys):
    assert main(words) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in VERBS)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_keeps_its_promises(name, capsys):
    """A module with a line of help; ``--help`` works and shows ``--json``."""
    assert (Path(command.__file__).parent / f"{name}.py").is_file()
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    assert left.value.code == 0
    assert "--json FILE" in capsys.readouterr().out


def test_the_version_is_the_distributions(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("tether 0.")


def test_the_exit_code_is_the_results(verb):
    verb(lambda args: Result({}, exit_code=1))
    assert main(["list"]) == 1


def test_the_result_is_written_as_json(verb, tmp_path, capsys):
    data = {"array": np.arange(3), "path": Path("a"), "nothing": None, "nan": math.nan, "deep": {"yes": True, "x": (1.5,)}}
    verb(lambda args: Result(data))
    assert main(["list", "--json", str(tmp_path / "result.json")]) == 0
    found = json.loads((tmp_path / "result.json").read_text())
    assert found == {"array": [0, 1, 2], "path": "a", "nothing": None, "nan": None, "deep": {"yes": True, "x": [1.5]}}
    assert f"wrote {tmp_path / 'result.json'}" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_failing_verdict_still_writes_its_json(verb, tmp_path):
    verb(lambda args: Result({"verdict": "violation"}, exit_code=1))
    assert main(["list", "--json", str(tmp_path / "result.json")]) == 1
    assert json.loads((tmp_path / "result.json").read_text()) == {"verdict": "violation"}


def test_a_json_that_cannot_be_written_is_refused_before_the_work(verb, tmp_path, capsys):
    verb(lambda args: pytest.fail("worked first"))
    assert main(["list", "--json", str(tmp_path / "no" / "result.json")]) == 2
    assert str(tmp_path / "no") in error(capsys)


def test_json_is_replaced_whole(tmp_path):
    (tmp_path / "result.json").write_text("old")
    write_json(tmp_path / "result.json", {"a": 1})
    assert json.loads((tmp_path / "result.json").read_text()) == {"a": 1}


def raising(exception: BaseException):
    def run(args):
        raise exception

    return run


class Stopped(TetherError):
    exit_code = 7


@pytest.mark.parametrize(
    ("exception", "code", "words"),
    [
        (TetherError("two\nlines"), 2, "two lines"),
        (Stopped("enough"), 7, "enough"),
        (FileNotFoundError(2, "No such file or directory", "policy.onnx"), 2, "No such file or directory: policy.onnx"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ModuleNotFoundError("No module named 'rclpy'", name="rclpy"), 2, "pip install 'tether[ros]'"),
        (ModuleNotFoundError("No module named 'warp.sim'", name="warp.sim"), 2, "pip install 'tether[warp]'"),
        (ModuleNotFoundError("No module named 'yaml'", name="yaml"), 2, "pip install"),
    ],
)
def test_what_a_user_can_put_right_is_one_line(verb, capsys, exception, code, words):
    verb(raising(exception))
    assert main(["list"]) == code
    assert words in error(capsys)


def test_a_bug_is_not_disguised(verb):
    verb(raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["list"])


def test_options_are_never_abbreviated(verb, capsys):
    """``--episode 5`` must not pass for ``--episodes 5`` in one version and mean something else in the next."""
    verb(lambda args: Result(), lambda parser: parser.add_argument("--episodes"))
    assert main(["list", "--episode", "5"]) == 2
    assert "--episode" in error(capsys)


def test_verbs_are_modules_with_one_line_of_help():
    import importlib

    for name in VERBS:
        module = importlib.import_module(f"cli.{name}")
        assert isinstance(module, ModuleType)
        assert "\n" not in module.HELP
