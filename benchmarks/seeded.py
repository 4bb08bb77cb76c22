"""What benchmarks that train several seeds side by side are all asked."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(
    parser: argparse.ArgumentParser, results: Path, *, episodes: int, of: str, seeds: int = 10, first_seed: int = 0, each: str = "a variant"
) -> None:
    """Declare seeds, episodes ``of`` what, where results are kept, one file for ``each``, and overrides."""
    parser.add_argument("--seeds", type=int, default=seeds, metavar="N", help=f"side by side (default {seeds})")
    parser.add_argument("--first-seed", type=int, default=first_seed, metavar="S", help=f"the others follow it (default {first_seed})")
    parser.add_argument("--episodes", type=int, default=episodes, metavar="N", help=f"{of} (default {episodes})")
    parser.add_argument("--output", type=Path, default=results, metavar="DIR", help=f"for one JSON file {each}")
    parser.add_argument("--again", action="store_true", help="measure what is there already, too")
    parser.add_argument("--read", action="store_true", help="measure nothing: show what is in the output directory")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the tasks' presets")
