"""The report of what safeguards cost learning, on results made up by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import safe_learning_report
from benchmarks.safe_learning import ALGORITHMS, TASKS, VARIANTS, arguments, pairs


def result(variant: str, finals: list[float], curve: list[float]) -> dict[str, Any]:
    """Four seeds that learn alike, and end apart."""
    off = {"return": finals, "outside_episodes": [0.5] * 4} if variant != "none" else None
    return {
        "task": "planar_quadrotor",
        "algorithm": "shac",
        "variant": variant,
        "seeds": [0, 1, 2, 3],
        "num_envs": 32,
        "env_steps": 1000 * (len(curve) - 1),
        "wall_time_s": 10.0,
        "processor_time_s": 12.0 if off else 10.0,
        "curve": {"env_steps": [1000 * step for step in range(len(curve))], "return": [[value] * 4 for value in curve]},
        "final": {"return": finals, "outside_episodes": [0.0] * 4, "intervention": [0.1] * 4},
        "safeguard_off": off,
    }


UNSAFE = result("none", [-100.0] * 4, [-1100.0, -400.0, -101.0, -100.0])
GUARDED = result("RM", [-103.0, -102.0, -101.0, -700.0], [-1100.0, -800.0, -700.0, -103.0])


def test_settled_is_when_the_return_stays_where_it_ends() -> None:
    assert safe_learning_report.settled(UNSAFE) == 2000
    assert safe_learning_report.settled(GUARDED) == 3000


def test_a_seed_that_ends_far_from_the_unsafe_ones_is_stuck() -> None:
    assert safe_learning_report.stuck(GUARDED, UNSAFE) == 1
    assert safe_learning_report.stuck(UNSAFE, UNSAFE) == 0


def test_the_table_has_the_published_figures_beside_ours() -> None:
    text = safe_learning_report.text([UNSAFE, GUARDED])
    assert "planar_quadrotor, shac: 4 seeds" in text
    assert "| 1 / 4 |" in text
    assert text.count("1.20") == 1, "the ratio of processor time"
    assert "-251 |" in text


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    (path,) = safe_learning_report.draw([UNSAFE, GUARDED], tmp_path)
    assert path.stat().st_size > 10_000


def test_every_variant_is_one_of_every_task() -> None:
    chosen = pairs(arguments().parse_args(["--algorithms", *ALGORITHMS]))
    assert len(chosen) == len(TASKS) * sum(len(variants) for variants in ALGORITHMS.values())
    assert {variant for _, _, variant in chosen} == set(VARIANTS)
