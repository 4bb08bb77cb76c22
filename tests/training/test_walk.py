"""A walk through the robot's runtime: stand, control passing to the policy, recorded and judged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from deploy.policy import Policy
from deploy.record import Log, read_log
from deploy.replay.replay import replay
from deploy.runtime.state_machine import State
from training.flight import Flight

SHIPPED = Path(__file__).parents[2] / "policies" / "go2_velocity.onnx"


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy.load(SHIPPED)


@pytest.fixture(scope="module")
def log(policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Six seconds, of which the robot stands up in the first two."""
    path = tmp_path_factory.mktemp("walk") / "walk.mcap"
    result = Flight(policy, suite="nominal", seed=1, seconds=6.0).record(path)
    assert result["completed"], result
    return read_log(path)


def test_a_walk_passes(log: Log, policy: Policy) -> None:
    report = replay(log, policy)
    assert report.verdict == "pass", report.findings
    states = log.columns["state"]
    assert set(states.astype(int)) == {int(State.STAND), int(State.POLICY)} or int(State.READY) in states.astype(int)


def test_control_passes_smoothly_from_the_stand(log: Log) -> None:
    """Half a second after the policy took over what is sent is what it asked for; before, it is in between."""
    sent, asked = log.block("actuation"), log.block("policy")
    ran = np.flatnonzero(log.columns["policy_ran"] == 1)
    assert np.abs(sent[ran[0]] - sent[ran[0] - 1]).max() < 0.02
    late = ran[ran > ran[0] + 25]
    np.testing.assert_allclose(sent[late], asked[late], atol=1e-6)
    assert not np.allclose(sent[ran[5]], asked[ran[5]], atol=1e-3)


@pytest.mark.parametrize("row", [5, 60])
def test_another_command_than_the_policys_is_found(log: Log, policy: Policy, row: int) -> None:
    """While control passes, and later."""
    rows = log.rows.copy()
    tick = int(np.flatnonzero(log.columns["policy_ran"] == 1)[row])
    rows[tick, log.layout.blocks["actuation"].start] += 0.01
    report = replay(dataclasses.replace(log, rows=rows), policy)
    assert report.verdict == "violation"
    assert any(finding.check == "sent" and finding.tick == tick for finding in report.findings)


def test_a_behaviour_that_cannot_be_read_is_said(log: Log, policy: Policy) -> None:
    report = replay(dataclasses.replace(log, metadata=log.metadata | {"behaviour": "{}"}), policy)
    assert report.verdict != "pass"
    assert any("behaviour cannot be read" in finding.what for finding in report.findings)
