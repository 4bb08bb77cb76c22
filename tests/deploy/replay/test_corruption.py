"""Whatever single thing is wrong with a log, it does not pass."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from deploy.policy import Policy
from deploy.record import Log, read_log
from deploy.replay import replay
from deploy.replay.outcome import judge_file
from tests.deploy.replay.flight import GROUND_TICKS

FIXTURES = [HealthCheck.function_scoped_fixture]
SMALLEST = 1e-3  # a hundred times the parity tolerance: an input reaches the outputs through the policy's own gains
sizes = st.floats(SMALLEST, 1e6) | st.floats(-1e6, -SMALLEST)
unreal = st.sampled_from([np.nan, np.inf, -np.inf])


def flown_rows(log: Log) -> st.SearchStrategy[int]:
    return st.integers(GROUND_TICKS, len(log) - 1)


@pytest.mark.parametrize("block", ["sensor", "command", "policy", "actuation", "observation", "reserved"])
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=FIXTURES)
@given(data=st.data())
def test_no_single_value_can_change_unnoticed(log: Log, policy: Policy, block: str, data: st.DataObject) -> None:
    where = log.layout.blocks[block]
    row, column = data.draw(flown_rows(log)), data.draw(st.integers(where.start, where.stop - 1))
    rows = log.rows.copy()
    rows[row, column] = data.draw(unreal) if data.draw(st.booleans()) else rows[row, column] + data.draw(sizes)
    if block == "reserved":
        assume(abs(rows[row, column] - log.rows[row, column]) > 1e-5 * abs(log.rows[row, column]) or not np.isfinite(rows[row, column]))
    assert replay(dataclasses.replace(log, rows=rows), policy).verdict != "pass"


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=FIXTURES)
@given(data=st.data())
def test_no_value_of_a_memory_snapshot_can_change_unnoticed(log: Log, policy: Policy, data: st.DataObject) -> None:
    memory = [(tick, vector.copy()) for tick, vector in log.memory]
    vector = data.draw(st.sampled_from(memory))[1]
    vector[data.draw(st.integers(0, len(vector) - 1))] += data.draw(sizes)
    assert replay(dataclasses.replace(log, memory=memory), policy).verdict != "pass"


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=FIXTURES)
@given(data=st.data())
def test_no_record_can_be_left_out_repeated_or_moved_unnoticed(log: Log, policy: Policy, data: st.DataObject) -> None:
    row, other = data.draw(flown_rows(log)), data.draw(flown_rows(log))
    assume(row != other and len(log) - 1 not in (row, other))
    order = np.arange(len(log))
    kind = data.draw(st.sampled_from(["left out", "repeated", "swapped"]))
    if kind == "left out":
        order = np.delete(order, row)
    elif kind == "repeated":
        order = np.insert(order, row, row)
    else:
        order[[row, other]] = order[[other, row]]
    assert replay(dataclasses.replace(log, rows=log.rows[order]), policy).verdict != "pass"


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=FIXTURES)
@given(data=st.data())
def test_a_flipped_bit_anywhere_in_the_file_leaves_no_clean_pass_on_other_data(
    flight: Path, log: Log, policy: Policy, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(flight.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "flipped.mcap"
    path.write_bytes(content)
    if judge_file(path, policy, (), page=False).report.verdict == "pass":
        found = read_log(path)
        np.testing.assert_array_equal(found.rows, log.rows)
        assert [tick for tick, _ in found.memory] == [tick for tick, _ in log.memory]
        for (_, mine), (_, theirs) in zip(found.memory, log.memory):
            np.testing.assert_array_equal(mine, theirs)
