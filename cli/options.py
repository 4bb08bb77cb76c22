"""Options that several verbs share, so that they mean the same everywhere."""

from __future__ import annotations

import argparse


def seed(parser: argparse.ArgumentParser) -> None:
    """``--seed``: everything random follows from it."""
    parser.add_argument("--seed", type=int, default=0, help="everything random follows from it (default: 0)")


def device(parser: argparse.ArgumentParser) -> None:
    """``--device``: where tensors live; `sim.devices.available_device` checks it."""
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
