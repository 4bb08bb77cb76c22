"""The bench on returns that can be worked out: grids, searches, tables, the page, the command; and once on the true simulator."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from cli.main import main
from deploy.policy import Policy
from robots.errors import TetherError
from robustness import rollouts
from robustness.bench import Plan, all_parts, bench
from robustness.disturbance import amendment, disturbances
from robustness.grid import all_axes, axis, cells, fly_grid
from robustness.heatmap import colour, heatmap
from robustness.page import page
from robustness.report import labels, text
from robustness.rollouts import Outcome, Where, fly_cells
from robustness.search import FINALISTS, minimise, search, search_force, worst_of
from robustness.sweep import sweep
from tasks.hover import Hover
from tests.robustness.conftest import SHIPPED, worth
from training.environment import Amend

BOX = ("mass=0.9:1.1:3", "wave_hz=0:2:3")


def test_an_axis_has_both_ends_and_says_what_is_wrong(where: Where) -> None:
    known = disturbances(where.task)
    assert axis("mass=0.8:1.2:3", known).values == pytest.approx((0.8, 1.0, 1.2))
    for wrong, complaint in (
        ("mass", "is no axis; write NAME=LOW:HIGH:N"),
        ("mass=1:2", "is no axis"),
        ("weight=1:2:3", "unknown axis of a grid 'weight'; choose one of: bias,"),
        ("mass=1.2:0.8:3", "has no extent"),
        ("mass=0.8:1.2:1", "has no extent"),
        ("mass=0.8:5:3", r"mass is 5 ×; its range here is 0.7…1.4"),
    ):
        with pytest.raises(TetherError, match=complaint):
            axis(wrong, known)


def test_axes_act_in_their_order_whatever_was_asked_first(where: Where) -> None:
    """A frequency is one of the wave that is there, and a load comes on top of the mass."""
    known = disturbances(where.task)
    asked = ("wave_hz=0:2:3", "load=0:0.4:2", "wave=0:0.02:2", "mass=0.9:1.1:3")
    assert [each.disturbance.name for each in all_axes(asked, known)] == ["mass", "wave", "wave_hz", "load"]
    with pytest.raises(TetherError, match="names an axis twice"):
        all_axes(("mass=0.9:1.1:3", "mass=0.8:1.1:3"), known)


def test_cells_are_every_combination_the_last_axis_fastest(where: Where) -> None:
    axes = [axis(each, disturbances(where.task)) for each in BOX]
    values = np.array([[value for _, value in each] for each in cells(axes)])
    np.testing.assert_allclose(values[:4], [[0.9, 0.0], [0.9, 1.0], [0.9, 2.0], [1.0, 0.0]])
    assert len(values) == 9


def test_a_sweep_finds_where_success_halves(where: Where, worked_out: None) -> None:
    """Success ends where the return falls below 90: at 1.2 times the mass, give or take the luck of the start."""
    found = sweep(where, disturbances(where.task)["mass"], severities=9, episodes=40)
    assert found["cells"][0]["success_rate"] == 1.0
    assert found["cells"][-1]["success_rate"] == 0.0
    assert found["bears"] == pytest.approx(1.2, abs=0.03)
    assert found["return_worst"] == pytest.approx(80.0, abs=0.5)


def test_the_worst_cell_of_a_grid_is_judged_on_fresh_episodes(where: Where, worked_out: None) -> None:
    axes = [axis(each, disturbances(where.task)) for each in BOX]
    found = fly_grid(where, axes, episodes=5, fresh=50)
    assert found["worst"]["at"] == pytest.approx({"mass": 1.1, "wave_hz": 1.0})
    assert found["worst"]["return_mean"] == pytest.approx(100 - 5 - 10 + 0.9, abs=0.1)
    assert found["worst"]["return_mean"] != found["worst"]["chosen_return"]
    assert found["rollouts"] == 45
    assert found["return_cvar"] == pytest.approx(found["return_worst"])  # a tenth of nine cells is less than one
    assert found["return_cvar"] < found["return_mean"] < 100.0


def test_a_search_finds_what_lies_between_the_cells(where: Where, worked_out: None) -> None:
    """The worst is at mass 1.1, a corner, and 0.7 Hz, which no cell has."""
    axes = [axis(each, disturbances(where.task)) for each in BOX]
    found = search(where, axes, rollouts=800, episodes=4, fresh=50)
    assert found["at"]["mass"] == pytest.approx(1.1, abs=0.01)
    assert found["at"]["wave_hz"] == pytest.approx(0.7, abs=0.1)
    assert found["return_mean"] < fly_grid(where, axes, episodes=5, fresh=50)["worst"]["return_mean"]
    assert found["course"] == sorted(found["course"], reverse=True)


def test_a_search_asks_for_no_more_than_it_may() -> None:
    asked = []

    def worth(points: np.ndarray) -> np.ndarray:
        asked.append(len(points))
        assert ((points >= 0.0) & (points <= 1.0)).all()
        values: np.ndarray = points[:, 0] + (points[:, 1] - 0.3) ** 2
        return values

    points, values, course = minimise(worth, 2, candidates=100, seed=0)
    assert sum(asked) == len(points) == 100
    assert len(course) == len(asked)
    assert points[0] == pytest.approx([0.0, 0.3], abs=0.05)
    assert values[0] == course[-1]
    assert (np.diff(values) >= 0.0).all()


def test_the_finalists_of_a_search_are_judged_by_more_episodes_within_its_roll_outs() -> None:
    """A lucky candidate, the first of all, is not what comes out."""
    used = []

    def worth(points: np.ndarray, episodes: int) -> np.ndarray:
        used.append(len(points) * episodes)
        values: np.ndarray = points[:, 0] + (points[:, 1] - 0.3) ** 2
        if len(used) == 1:
            values[0] = -1.0
        return values

    point, least, course = worst_of(worth, 2, rollouts=800, episodes=2, seed=0)
    assert sum(used) == 800
    assert used[-1] == FINALISTS * 25
    assert point == pytest.approx([0.0, 0.3], abs=0.05)
    assert course[-1] == -1.0 < least


def test_the_worst_slow_force_pushes_steadily_where_that_is_worst(where: Where, worked_out: None) -> None:
    found = search_force(where, 0.01, rollouts=2400, episodes=2, fresh=20)
    assert found["searched"]["return_mean"] < found["none"]["return_mean"] - 6.0  # of 10, where every knot were (−ε, 0, 0)
    assert np.linalg.norm(found["knots_n"], axis=1).max() <= 0.01 * (1 + 1e-5)


@pytest.fixture(scope="module")
def result(policies: list[Policy]) -> dict[str, Any]:
    plan = Plan(suite="nominal", families=("mass", "wave_hz", "spoof"), grid=BOX, search=True, severities=4, episodes=6, fresh=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rollouts, "_fly", worth)
        return bench(policies, plan)


def test_the_bench_tells_what_was_flown_and_the_same_for_equals(result: dict[str, Any]) -> None:
    first, second = ({**one, "policy": "", "policy_digest": ""} for one in result["policies"])
    assert first == second  # the same episodes, worth the same
    assert {"task", "suite", "suite_digest", "seed", "engine", "policies"} <= set(result)
    json.dumps(result)


def test_the_tables_have_every_family_policy_and_worst_case(result: dict[str, Any]) -> None:
    lines = text(result)
    for word in ("hover_geometric", "mass", "wave_hz", "spoof", "grid:", "search", "wandering at random", "suite nominal"):
        assert word in lines


def test_the_page_is_whole_and_loads_nothing(result: dict[str, Any]) -> None:
    whole = page(result)
    assert "<script" not in whole
    assert "http" not in whole
    for picture in whole.split("<svg")[1:]:
        ElementTree.fromstring("<svg" + picture.split("</svg>")[0] + "</svg>")
    assert whole.count("<svg") == 2 + 3 + 2 + 2 + 2  # matrices, curves, grids, courses, forces
    assert page({**result, "policies": result["policies"][:1]}).count("<svg") == 1 + 3 + 1 + 1 + 1


def test_alike_names_are_told_apart_by_their_paths() -> None:
    assert labels({"policies": [{"policy": "a/x.onnx"}, {"policy": "b/y.onnx"}]}) == ["x", "y"]
    assert labels({"policies": [{"policy": "a/x.onnx"}, {"policy": "b/x.onnx"}]}) == ["a/x.onnx", "b/x.onnx"]


def test_cells_of_a_heatmap_go_from_red_to_green() -> None:
    assert colour(-1.0) == colour(0.0) == "rgb(233,120,110)"
    assert colour(0.5) == "rgb(247,214,130)"
    assert colour(1.0) == "rgb(126,200,150)"
    drawn = heatmap("<title>", ["a", "b"], ["c"], np.array([[0.0], [1.0]]), [["0"], ["1"]], [["&"], [""]], width=200, chosen=(1, 0))
    found = ElementTree.fromstring(drawn)
    assert len([part for part in found if part.attrib.get("class") == "cell"]) == 2


def test_the_bar_ends_where_the_episodes_do(where: Where, worked_out: None) -> None:
    class Bar:
        total = 0

        def update(self, count: int) -> None:
            """As tqdm's."""
            self.total += count

    known, bar = disturbances(where.task), Bar()
    plan, counted = Plan(grid=BOX, search=True, fresh=10), where._replace(bar=bar)
    for part in all_parts(plan, [known["mass"]], [axis(each, known) for each in BOX], known):
        bar.total = 0
        part.fly(counted)
        assert bar.total == part.rollouts


class TestKept:
    """A bench that goes on where another ended."""

    plan = Plan(suite="nominal", families=("mass", "wave_hz"), grid=BOX, search=True, severities=4, episodes=6, fresh=10)

    def flown(self, monkeypatch: pytest.MonkeyPatch, most: int = 10**6) -> list[int]:
        """Episodes of every call from now on; the simulator breaks after ``most`` calls."""
        calls: list[int] = []

        def fly(where: Where, batch: Sequence[Amend], episodes: int, seed: int) -> Outcome:
            if len(calls) == most:
                raise KeyboardInterrupt
            calls.append(len(batch) * episodes)
            return worth(where, batch, episodes, seed)

        monkeypatch.setattr(rollouts, "_fly", fly)
        return calls

    @pytest.mark.parametrize("ended", [1, 2, 3, 5, 8])
    def test_it_ends_as_one_that_was_never_interrupted(
        self, policies: list[Policy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: int
    ) -> None:
        calls = self.flown(monkeypatch)
        whole = bench(policies, self.plan)
        count = sum(calls)
        self.flown(monkeypatch, ended)
        with pytest.raises(KeyboardInterrupt):
            bench(policies, self.plan, keep=tmp_path / "kept")
        calls = self.flown(monkeypatch)
        assert bench(policies, self.plan, keep=tmp_path / "kept") == whole
        assert sum(calls) < count
        calls = self.flown(monkeypatch)
        assert bench(policies, self.plan, keep=tmp_path / "kept") == whole
        assert calls == []

    def test_what_depends_on_something_else_is_flown(self, policies: list[Policy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        small = replace(self.plan, grid=None, search=False)
        calls = self.flown(monkeypatch)
        bench(policies[:1], small, keep=tmp_path / "kept")
        assert calls == [24, 24]
        others: list[tuple[list[Policy], Plan, int]] = [
            (policies[:1], small, 0),
            (policies, small, 2),  # the second policy only
            (policies, replace(small, families=("wave_hz", "mass", "load")), 2),
            (policies[:1], replace(small, episodes=7), 2),
            (policies[:1], replace(small, severities=5), 2),
            (policies[:1], replace(small, seed=1), 2),
            (policies[:1], replace(small, suite="full"), 2),
            (policies[:1], replace(small, grid=BOX), 2),  # cells, and the worst again
            (policies[:1], replace(small, grid=BOX[:1]), 2),
            (policies[:1], replace(small, grid=BOX, fresh=11), 2),
        ]
        for some, plan, count in others:
            calls.clear()
            bench(some, plan, keep=tmp_path / "kept")
            assert len(calls) == count, plan

    def test_the_bar_counts_what_was_kept(
        self, policies: list[Policy], tmp_path: Path, worked_out: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Bar(contextlib.nullcontext):  # type: ignore[type-arg]
            def __init__(self, total: int, **_: Any) -> None:
                super().__init__(self)
                self.total, self.n = total, 0
                bars.append(self)

            def update(self, count: int) -> None:
                self.n += count

        bars: list[Bar] = []
        monkeypatch.setattr("robustness.bench.tqdm", Bar)
        for _ in range(2):
            bench(policies, self.plan, keep=tmp_path / "kept")
        assert [bar.n == bar.total > 0 for bar in bars] == [True, True]


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        (Plan(episodes=0), "--episodes is 0; give 1 to"),
        (Plan(severities=1), "--severities is 1; give at least 2"),
        (Plan(search=True), "--search looks for worse than a grid's worst in the grid's box; give --grid as well"),
        (Plan(families=()), "nothing is asked for"),
        (
            Plan(grid=BOX, search=True, search_episodes=100),
            "--search-episodes is 100, and a search may fly no more than the grid, which is 72",
        ),
        (Plan(families=("pushes",)), "unknown disturbance of crazyflie in hover 'pushes'"),
        (Plan(suite="windy"), "unknown suite of hover"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(policies: list[Policy], plan: Plan, complaint: str) -> None:
    with pytest.raises(TetherError, match=complaint):
        bench(policies, plan)


def test_policies_of_two_tasks_are_refused(policies: list[Policy]) -> None:
    with pytest.raises(TetherError, match="compare policies of one task"):
        bench([policies[0], Policy.load(SHIPPED / "track_geometric.onnx")], Plan())


def test_the_command_writes_what_it_says(tmp_path: Path, worked_out: None, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(tmp_path / name) for name in ("result.json", "page.html")]
    command = ["bench", "robustness", str(SHIPPED / "hover.onnx"), "--families", "mass", "--episodes", "4", "--suite", "nominal"]
    assert main([*command, "--seed", "3", "--json", files[0], "--html", files[1]]) == 0
    said = capsys.readouterr().out
    assert all(f"wrote {file}" in said for file in files)
    assert json.loads(Path(files[0]).read_text())["seed"] == 3
    assert Path(files[1]).read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["robustness"], "wants policy files"),
        (["robustness", "x.onnx", "--robot", "go2"], "has robot, task and rates from the policy file"),
        (["sim", "x.onnx"], "tether bench sim takes no policy files"),
        (["engines", "--episodes", "3"], "tether bench engines takes no policy files, suites or disturbances"),
        (["sim", "--keep", "x"], "tether bench sim takes no policy files, suites or disturbances"),
        (["robustness", str(SHIPPED / "hover.onnx"), "--keep", "/no/such/place"], "--keep: there is no directory /no/such"),
        (["robustness", str(SHIPPED / "hover.onnx"), "--keep", str(SHIPPED / "README.md")], "README.md is no record of a bench"),
        (["robustness", "x.onnx", "--html", "/no/such/place.html"], "there is no directory /no/such"),
    ],
)
def test_the_command_refuses_what_does_not_belong_together(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_cells_fly_the_same_episodes_on_the_simulator(where: Where, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second of flight: cells that change nothing are worth the same to the last bit, and a force is not."""
    monkeypatch.setattr(Hover, "episode_s", 0.5)
    force, flown = disturbances(where.task)["force"], where._replace(suite="full")
    found = fly_cells(flown, [amendment(where.task, ((force, value),)) for value in (0.0, 0.0, 0.05, 0.0)], 20)
    assert np.array_equal(found.returns[0], found.returns[1])
    assert np.array_equal(found.returns[0], found.returns[3])
    assert (found.returns[2] != found.returns[0]).all()
    other = fly_cells(flown, [amendment(where.task, ())], 20, draw=1)
    assert not np.isin(other.returns, found.returns).any()
