"""One flight, recorded once, for all tests of replay."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.policy import Policy
from deploy.record import Log, read_log
from tests.deploy.replay.flight import POLICY, fly


@pytest.fixture(scope="session")
def policy() -> Policy:
    return Policy.load(POLICY)


@pytest.fixture(scope="session")
def flight(policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean flight of 4 s."""
    return fly(tmp_path_factory.mktemp("replay") / "flight.mcap", policy)


@pytest.fixture(scope="session")
def log(flight: Path) -> Log:
    return read_log(flight)
