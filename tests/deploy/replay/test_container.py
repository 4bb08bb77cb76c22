"""The file itself: what no reader notices is noticed here."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.policy import Policy
from deploy.record import Log, container, read_log
from deploy.record.writer import MEMORY_TOPIC, STEP_TOPIC
from deploy.replay.checks.container import problems
from deploy.replay.outcome import judge_file
from tests.deploy.replay.tamper import Edit


def counts(path: Path) -> dict[str, int]:
    log = read_log(path)
    return {STEP_TOPIC: len(log.rows), MEMORY_TOPIC: len(log.memory)}


@pytest.mark.parametrize("data_crcs", [False, True])
def test_a_whole_file_has_no_problems(log: Log, tmp_path: Path, data_crcs: bool) -> None:
    path = Edit.of(log).write(tmp_path / "whole.mcap", data_crcs=data_crcs)
    assert problems(path, counts(path)) == []


def chunks(data: bytes) -> list[int]:
    """Where chunk records begin."""
    found, position = [], len(container.MAGIC)
    while position < len(data) - len(container.MAGIC):
        kind, length = container._RECORD.unpack_from(data, position)
        found += [position] if kind == container.CHUNK else []
        position += 9 + length
    return found


@pytest.mark.parametrize("which", [0, 5, -1])
def test_a_chunk_that_readers_skip_is_missed(log: Log, policy: Policy, tmp_path: Path, which: int) -> None:
    """A record of unknown kind is legal and skipped; even the last chunk, after which no tick shows that one is missing."""
    path = Edit.of(log).write(tmp_path / "skipped.mcap")
    data = bytearray(path.read_bytes())
    data[chunks(bytes(data))[which]] = 0x80
    path.write_bytes(data)
    report = judge_file(path, policy, (), page=False).report
    assert report.verdict == "inconclusive"
    if which:  # the first one holds the columns, without which there is no log
        assert any("were read, the file says" in finding.what for finding in report.findings)


def test_a_changed_note_is_noticed_where_the_file_has_a_checksum_for_it(log: Log, policy: Policy, tmp_path: Path) -> None:
    path = Edit.of(log).write(tmp_path / "noted.mcap", data_crcs=True)
    path.write_bytes(path.read_bytes().replace(b"point mass", b"real robot"))
    report = judge_file(path, policy, (), page=False).report
    assert report.verdict == "inconclusive"
    assert "checksum of the whole file" in report.findings[0].what


def test_a_changed_summary_is_noticed(flight: Path, tmp_path: Path) -> None:
    data = bytearray(flight.read_bytes())
    data[-60] ^= 1
    path = tmp_path / "summary.mcap"
    path.write_bytes(data)
    assert "summary" in problems(path, counts(path))[0]


def test_more_messages_than_were_read_is_a_problem(flight: Path) -> None:
    read = counts(flight)
    (problem,) = problems(flight, {**read, STEP_TOPIC: read[STEP_TOPIC] - 1})
    assert problem == f"{read[STEP_TOPIC] - 1} messages on {STEP_TOPIC} were read, the file says {read[STEP_TOPIC]}"
