"""Killed recorders, full disks, cut and damaged files: what is whole is kept, what is not is named, nothing crashes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.record import Log, Recorder, container, read_log, sink
from robots.errors import TetherError
from tests.deploy.fakes import FakePolicy, Flight

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Log]:
    """A flight of 300 ticks, as bytes and as read."""
    path = tmp_path_factory.mktemp("record") / "a.mcap"
    policy = FakePolicy()
    with Recorder(path, policy) as recorder:
        Flight(policy, recorder=recorder).flying(300)
    return path.read_bytes(), read_log(path)


def read_or_none(path: Path) -> Log | None:
    """The log, or None if it is refused in one line."""
    try:
        return read_log(path)
    except TetherError as error:
        if "\n" in str(error):
            raise
        return None


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.7, 0.9, 0.99, 0.9999])
def test_a_cut_file_keeps_what_was_written(tmp_path: Path, recorded: tuple[bytes, Log], fraction: float) -> None:
    data, whole = recorded
    (tmp_path / "cut.mcap").write_bytes(data[: int(len(data) * fraction)])
    log = read_log(tmp_path / "cut.mcap")
    assert log.truncated
    assert "cut short" in log.problems[-1]
    size = 8 * whole.layout.size + 100
    assert len(log) >= min(300, 300 * fraction * 0.7 - 8192 / size)
    np.testing.assert_array_equal(log.rows, whole.rows[: len(log)])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(cut=st.integers(0, 10**9))
def test_any_cut_gives_a_prefix_or_one_line(tmp_path_factory: pytest.TempPathFactory, recorded: tuple[bytes, Log], cut: int) -> None:
    contents, whole = recorded
    path = tmp_path_factory.getbasetemp() / "cut.mcap"
    path.write_bytes(contents[: cut % len(contents)])
    log = read_or_none(path)
    if log is None:
        assert cut % len(contents) < 10_000
        return
    assert log.truncated
    assert log.problems
    np.testing.assert_array_equal(log.rows, whole.rows[: len(log)])


@settings(max_examples=400, deadline=None, derandomize=True)
@given(position=st.integers(0, 10**9), value=st.integers(1, 255))
def test_a_changed_byte_never_crashes_and_never_changes_a_row_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, recorded: tuple[bytes, Log], position: int, value: int
) -> None:
    contents, whole = recorded
    damaged = bytearray(contents)
    damaged[position % len(contents)] ^= value
    path = tmp_path_factory.getbasetemp() / "damaged.mcap"
    path.write_bytes(damaged)
    log = read_or_none(path)
    assert log is None or log.problems or np.array_equal(log.rows, whole.rows, equal_nan=True), "a row changed unnoticed"


def test_a_damaged_chunk_is_named_and_the_rest_kept(tmp_path: Path, recorded: tuple[bytes, Log]) -> None:
    data, whole = recorded
    damaged = bytearray(data)
    needle = np.float64(150.0).tobytes() + whole.rows[150, 1:3].tobytes()  # tick 150 and its stamp
    place = bytes(damaged).index(needle)
    damaged[place + 100] ^= 0x10
    (tmp_path / "damaged.mcap").write_bytes(damaged)
    log = read_log(tmp_path / "damaged.mcap")
    assert len(log) == 300
    assert any("checksum of the chunk" in problem for problem in log.problems)


def test_a_lost_step_is_named(tmp_path: Path) -> None:
    policy = FakePolicy()
    with Recorder(tmp_path / "a.mcap", policy) as recorder:
        flight = Flight(policy, recorder=recorder).flying(5)
        flight.runtime.journal.ticks += 1
        flight.tick()
    assert any("steps are missing" in problem for problem in read_log(tmp_path / "a.mcap").problems)


@pytest.mark.parametrize(
    ("contents", "message"),
    [(b"", "it is empty"), (b"not a log at all", "it is not an MCAP file"), (container.MAGIC, "holds no `tether` metadata")],
)
def test_what_is_not_a_log_is_said_in_one_line(tmp_path: Path, contents: bytes, message: str) -> None:
    (tmp_path / "x.mcap").write_bytes(contents)
    with pytest.raises(TetherError) as caught:
        read_log(tmp_path / "x.mcap")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_directory_are_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(TetherError, match="No such file or directory; name a file"):
        read_log(tmp_path / "none.mcap")
    with pytest.raises(TetherError, match="Is a directory; name a file"):
        read_log(tmp_path)


def test_another_layout_is_refused_naming_the_column(tmp_path: Path, recorded: tuple[bytes, Log]) -> None:
    data, whole = recorded
    old = json.dumps(whole.layout.columns).encode()
    new = old.replace(b"policy_ran", b"policy_rax")
    (tmp_path / "x.mcap").write_bytes(data.replace(old, new))
    with pytest.raises(TetherError, match="column 10 is 'policy_rax', expected 'policy_ran'"):
        read_log(tmp_path / "x.mcap")


@pytest.mark.parametrize("path", ["no/such/directory/a.mcap", "."])
def test_a_file_that_cannot_be_opened_is_said_before_the_flight(tmp_path: Path, path: str) -> None:
    with pytest.raises(TetherError, match=r"cannot record to .*; choose a writable file in an existing directory"):
        Recorder(tmp_path / path, FakePolicy())


def test_a_full_disk_stops_the_recording_and_not_the_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0
    write = os.write

    def full(file: int, data: memoryview) -> int:
        nonlocal written
        if written > 20_000:
            raise OSError(28, "No space left on device")
        written += (count := write(file, data[:10_000]))
        return count

    monkeypatch.setattr(sink.os, "write", full)
    policy = FakePolicy()
    with Recorder(tmp_path / "a.mcap", policy) as recorder:
        flight = Flight(policy, recorder=recorder).flying(600)
        assert flight.runtime.state.name == "POLICY"
    assert recorder.problem is not None
    assert recorder.problem.endswith("stopped: No space left on device")
    assert flight.runtime.diagnostics()["recorder"] == recorder.problem
    assert flight.tick().actuation is not None  # writing to a closed recorder is no fault either
    log = read_log(tmp_path / "a.mcap")
    assert log.truncated
    assert len(log) > 20


def test_a_disk_that_falls_behind_ends_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "PENDING_MAX_BYTES", 1000)
    policy = FakePolicy()
    recorder = Recorder(tmp_path / "a.mcap", policy)
    Flight(policy, recorder=recorder).flying(100)
    assert "behind" in str(recorder.problem)
    recorder.close()


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mcap", FakePolicy())
    recorder.close()
    recorder.close()
    assert read_log(tmp_path / "a.mcap").problems == []


VICTIM = """
import sys, threading
from pathlib import Path
from deploy.record import Recorder
from tests.deploy.fakes import FakePolicy, Flight

policy = FakePolicy()
recorder = Recorder(Path(sys.argv[1]), policy)
flight = Flight(policy, recorder=recorder).flying(500)
while recorder._sink._done < recorder._sink._handed:  # what has been handed over reaches the file
    pass
print("flown", flush=True)
threading.Event().wait()
"""


def test_sigkill_loses_no_more_than_the_last_chunk(tmp_path: Path) -> None:
    path = tmp_path / "killed.mcap"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", VICTIM, str(path)], stdout=subprocess.PIPE, env=environment, cwd=ROOT) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"flown\n"
        victim.send_signal(signal.SIGKILL)
    log = read_log(path)
    assert log.truncated
    assert len(log) >= 500 - 4096 // (8 * log.layout.size) - 1
    np.testing.assert_array_equal(log.columns["tick"], np.arange(len(log)))
