"""The measurement of safeguards without the peer that it measures them beside."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.safeguards import peer


def test_a_missing_peer_is_said_with_the_remedy(tmp_path: Path) -> None:
    nothing = torch.zeros(1, 2)
    assert peer({}, nothing, nothing, tmp_path)["missing"].endswith("make peers PEERS=cvxpylayers")
