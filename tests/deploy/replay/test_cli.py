"""`tether replay`: exit codes, files, and one line for whatever goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cli.main import main
from deploy.record import Log
from tests.deploy.replay.flight import POLICY
from tests.deploy.replay.tamper import Edit


@pytest.fixture(scope="module")
def altered(log: Log, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flight in which one command was changed on its way."""
    edit = Edit.of(log)
    edit.block("actuation")[200, 0] += 0.01
    return edit.write(tmp_path_factory.mktemp("cli") / "altered.mcap")


@pytest.fixture(scope="module")
def cut(flight: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = flight.read_bytes()
    path = tmp_path_factory.mktemp("cli") / "cut.mcap"
    path.write_bytes(data[: int(0.7 * len(data))])
    return path


def replay(*arguments: object) -> int:
    return main(["replay", *map(str, arguments), "--policy", str(POLICY)])


def test_exit_codes(flight: Path, altered: Path, cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [replay(path) for path in (flight, altered, cut)] == [0, 1, 2]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["PASS", "VIOLATION", "INCONCLUSIVE"]


def test_results_on_disk(altered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {name: tmp_path / f"report.{name}" for name in ("json", "html", "junit")}
    assert replay(altered, *(word for name, path in files.items() for word in (f"--{name}", path))) == 1
    data = json.loads(files["json"].read_text())
    assert data["verdict"] == "violation"
    assert data["findings"][0]["tick"] == 200
    assert data["findings"][0]["log"] == str(altered)
    assert "evidence, not a proof" in data["statement"]
    assert "<h1>Violation</h1>" in files["html"].read_text()
    assert ElementTree.parse(files["junit"]).find(".//failure") is not None
    out = capsys.readouterr().out
    assert all(f"wrote {path}" in out for path in files.values())


def test_several_logs(flight: Path, altered: Path, cut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, result = tmp_path / "fleet.html", tmp_path / "fleet.json"
    assert replay(flight, altered, cut, flight, "--html", page, "--json", result) == 1
    data = json.loads(result.read_text())
    assert [entry["verdict"] for entry in data["logs"]] == ["pass", "violation", "inconclusive", "pass"]
    assert data["fleet"]["violations"] == 1
    assert "1 with violations and 1 inconclusive in 4 logs" in capsys.readouterr().out
    links = [part.split('"')[0] for part in page.read_text().split('href="')[1:]]
    assert len(set(links)) == 4
    assert all("<h1>" in (tmp_path / link).read_text() for link in links)
    assert replay(flight, cut) == 2
    assert replay(flight, flight) == 0


def test_a_rules_file(flight: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n  - {name: settles, signal: distance, max: 0.1, from_s: 3}\n")
    assert replay(flight, "--rules", rules) == 0
    rules.write_text("rules:\n  - {name: never moves, signal: distance, max: 0.1}\n")
    assert replay(flight, "--rules", rules) == 1


def test_a_file_that_is_no_log_is_inconclusive_and_does_not_stop_the_others(
    flight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "picture.mcap"
    other.write_bytes(b"\x89PNG\r\n")
    assert replay(other, flight, "--html", tmp_path / "fleet.html") == 2
    out = capsys.readouterr().out
    assert "INCONCLUSIVE" in out
    assert "PASS" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.mcap"], "there is no log nothing.mcap"),
        (["LOG", "--rules", "nothing.yaml"], "nothing.yaml"),
        (["LOG", "--html", "no/such/folder/report.html"], "there is no directory"),
        (["LOG", "--junit", "no/such/folder/report.xml"], "there is no directory"),
        (["LOG", "--rule", "x"], "--rule"),
        ([], "LOG"),
    ],
)
def test_bad_input_is_one_line_and_not_a_pass(flight: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(*(str(flight) if word == "LOG" else word for word in arguments)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("tether: error: ")
    assert words in error


def test_a_rule_about_a_signal_the_log_has_not_is_an_error(flight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n  - {name: cool, signal: sensor.temperature, max: 60}\n")
    assert replay(flight, "--rules", rules) == 2
    assert "the log has no signal 'sensor.temperature'" in capsys.readouterr().err


def test_a_missing_policy_is_an_error(flight: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(flight), "--policy", "nothing.onnx"]) == 2
    assert "nothing.onnx" in capsys.readouterr().err
