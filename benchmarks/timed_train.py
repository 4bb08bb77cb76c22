"""`tether train …`, with the time of every line of metrics.jsonl: `python -m benchmarks.timed_train CLOCK.jsonl hover --seed 1 …`.

metrics.jsonl itself has no clock, so that a resumed run writes the same bytes; here seconds since the start of the command go to a file
beside it, a line for a line.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cli.main import main as tether
from training.metrics import Metrics
from training.wall_clock import since_command_start


def main(arguments: Sequence[str]) -> int:
    """Train; times are kept in memory until the end, so that they cost nothing."""
    clock, times, write = Path(arguments[0]), [], Metrics.write

    def timed(self: Metrics, metrics: Mapping[str, Any]) -> None:
        write(self, metrics)
        times.append(since_command_start())

    Metrics.write = timed  # type: ignore[method-assign]
    code = tether(["train", *arguments[1:]])
    clock.write_text("".join(f"{time:.3f}\n" for time in times))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
