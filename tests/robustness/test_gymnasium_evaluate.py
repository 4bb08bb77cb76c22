"""Figures over a grid, against returns that are known in closed form, and played."""

from __future__ import annotations

import math
import multiprocessing
import os

import numpy as np
import pytest

from robots.errors import TetherError
from robustness.gymnasium_tasks import report
from robustness.gymnasium_tasks.episodes import Episode, Outcome, Player
from robustness.gymnasium_tasks.evaluate import Plan, evaluate
from robustness.gymnasium_tasks.tasks import task_of


def bounce(observation: np.ndarray) -> np.ndarray:
    """A hopper that falls within some hundred steps."""
    return np.array([-0.2, 0.1, 0.5]) + 0.1 * observation[:3]


NAMED = f"{__name__.rpartition('.')[2]}:bounce"


class Pretended(Player):
    """Returns that are known: noise of an episode's own around a mean that is linear in the parameters."""

    def __init__(self, sigma: float = 0.0) -> None:
        super().__init__(task_of("hopper"), lambda observation: np.zeros(3), sigma)
        self.entropies: list[tuple[int, ...]] = []

    def play(self, episodes, what):
        self.entropies += [episode.entropy for episode in episodes]
        return [Outcome(self.mean(episode) + self.noise(episode), 7, False) for episode in episodes]

    @staticmethod
    def mean(episode: Episode) -> float:
        return 100.0 + 10.0 * episode.values.get("friction", 0.0) - 30.0 * episode.values.get("mass.torso", 0.0)

    @staticmethod
    def noise(episode: Episode) -> float:
        return 2.0 * np.random.default_rng(episode.entropy).standard_normal()


@pytest.fixture(scope="module")
def found():
    return evaluate(Pretended(), task_of("hopper").parameters(["2"]), Plan(episodes=8, fresh=50, seed=3))


def test_the_means_are_those_of_the_whole_grid(found):
    middle = 100.0 + 10.0 * 1.55 - 30.0 * 1.55
    error = 2.0 / math.sqrt(800)
    assert found["grid"]["mean"] == pytest.approx(middle, abs=4 * error)
    assert found["nominal"]["mean"] == pytest.approx(100.0, abs=4 * 2.0 / math.sqrt(50))
    assert found["grid"]["iqm"] == pytest.approx(middle, abs=2.0)  # the means are symmetric about the middle
    assert len(found["cells"]) == 100
    assert {len(cell["returns"]) for cell in found["cells"]} == {8}
    np.testing.assert_allclose(np.mean([cell["returns"] for cell in found["cells"]]), found["grid"]["mean"])


def test_the_intervals_are_those_of_the_episodes_not_of_the_cells(found):
    """Percentile bootstrap of a mean of n normal numbers is ± 1.96 σ/√n, nearly; the grid's own spread of 30 is not in it."""
    low, high = found["grid"]["interval"]
    assert high - low == pytest.approx(2 * 1.96 * 2.0 / math.sqrt(800), rel=0.2)
    low, high = found["worst"]["interval"]
    assert high - low == pytest.approx(2 * 1.96 * 2.0 / math.sqrt(50), rel=0.3)


def test_the_worst_cell_is_the_upper_corner_and_measured_on_fresh_starts(found):
    assert found["worst"]["cell"] == {"friction": 0.1, "mass.torso": 3.0}
    assert found["worst"]["mean"] == pytest.approx(100.0 + 1.0 - 90.0, abs=4 * 2.0 / math.sqrt(50))
    assert found["worst"]["mean"] != found["worst"]["grid_mean"]


def test_the_tail_is_the_worst_tenth_of_the_cells(found):
    """10 of 100: in closed form the ten lowest of 100 + 10 f − 30 m on the grid."""
    axis = np.linspace(0.1, 3.0, 10)
    lowest = np.sort((100.0 + 10.0 * axis[:, None] - 30.0 * axis[None]).ravel())[:10].mean()
    assert found["cvar"]["played"] == 10 * 50
    assert found["cvar"]["mean"] == pytest.approx(lowest, abs=1.0)
    assert found["cvar"]["grid_mean"] == pytest.approx(lowest, abs=1.5)


def test_the_cells_are_shown_as_a_map(found):
    """Friction down and mass across, each mean where it belongs."""
    lines = report.text(found).splitlines()
    head = next(index for index, line in enumerate(lines) if line.startswith("friction \\ mass.torso"))
    assert lines[head].split()[3:] == [f"{value:.4g}" for value in np.linspace(0.1, 3.0, 10)]
    shown = np.array([line.split() for line in lines[head + 1 :]], float)
    np.testing.assert_allclose(shown[:, 0], np.linspace(0.1, 3.0, 10), atol=1e-3)
    means = np.array([np.mean(cell["returns"]) for cell in found["cells"]]).reshape(10, 10)
    np.testing.assert_allclose(shown[:, 1:], means, atol=0.051)


def test_no_two_episodes_share_a_start_and_all_follow_from_the_seed():
    player, axes = Pretended(), task_of("hopper").parameters(["1"])
    first = evaluate(player, axes, Plan(points=5, episodes=3, fresh=4, seed=8))
    assert len(set(player.entropies)) == len(player.entropies) == 4 + 5 * 3 + 4
    assert first == evaluate(Pretended(), axes, Plan(points=5, episodes=3, fresh=4, seed=8))
    assert first["grid"] != evaluate(Pretended(), axes, Plan(points=5, episodes=3, fresh=4, seed=9))["grid"]


def test_certificates_are_of_the_pristine_model_and_the_worst_cell():
    result = evaluate(Pretended(sigma=0.5), task_of("hopper").parameters(["2"]), Plan(points=3, episodes=2, fresh=3, threshold=99.0))
    certificates = result["certificates"]
    assert certificates["threshold"] == 99.0
    assert certificates["worst"]["share"] == 0.0  # the mean there is 11
    assert 0.5 < certificates["pristine"]["share"] < 0.9  # Φ(0.5) = 0.69
    bounds = [bound["probability"] for bound in certificates["pristine"]["certified"]]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] < certificates["pristine"]["share"]
    assert [bound["budget"] for bound in certificates["worst"]["certified"]] == [0.0, 0.25, 0.5, 1.0]
    assert "‖ε‖₂ ≤ 0.25" in report.text(result)


def test_one_episode_a_cell_has_no_interval():
    result = evaluate(Pretended(), task_of("hopper").parameters(["1"]), Plan(points=4, episodes=1, fresh=1))
    assert result["grid"]["interval"] is result["worst"]["interval"] is None
    assert "no interval" in report.text(result)


def test_a_plan_without_episodes_is_refused():
    with pytest.raises(TetherError, match="at least one"):
        Plan(episodes=0)


def test_several_processes_find_what_one_does(monkeypatch):
    monkeypatch.syspath_prepend(__file__.rpartition("/")[0])
    task, found = task_of("hopper"), []
    for processes in (1, 2):
        with Player(task, NAMED, processes=processes) as player:
            found.append(evaluate(player, task.parameters(["1"]), Plan(points=3, episodes=2, fresh=2, seed=1)))
    assert found[0] == found[1]
    assert len({outcome for cell in found[0]["cells"] for outcome in cell["returns"]}) == 6
    assert "Hopper-v5: friction 0.1 … 3; 3 cells of 2 episodes, seed 1" in report.text(found[0])


def dies_elsewhere(observation: np.ndarray) -> np.ndarray:
    """Ends every process but the one that started them."""
    if multiprocessing.parent_process() is not None:
        os._exit(1)
    return np.zeros(3)


def test_a_process_that_dies_is_told(monkeypatch):
    monkeypatch.syspath_prepend(__file__.rpartition("/")[0])
    named = NAMED.replace("bounce", "dies_elsewhere")
    with Player(task_of("hopper"), named, processes=2) as player, pytest.raises(TetherError, match="--processes 1"):
        player.play([Episode({}, (0,))], "")


def test_noise_reaches_the_policy_and_only_the_policy():
    seen = []

    def policy(observation: np.ndarray) -> np.ndarray:
        seen.append(observation)
        return np.zeros(3)

    episode = Episode({}, (0, 0))
    quiet, noisy = (Player(task_of("hopper"), policy, sigma).play([episode], "")[0] for sigma in (0.0, 0.3))
    assert quiet == noisy  # a policy that does not look
    half = len(seen) // 2
    noise = np.array(seen[half:]) - np.array(seen[:half])
    assert noise.std() == pytest.approx(0.3, rel=0.15)


def test_a_function_without_a_name_is_played_by_one_process():
    with pytest.raises(TetherError, match="MODULE:FUNCTION"):
        Player(task_of("hopper"), bounce, processes=2)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_grid_goes_on_where_another_ended(monkeypatch, tmp_path, processes):
    """Broken off twice: the end is the same, and what was played is not played again."""
    monkeypatch.syspath_prepend(__file__.rpartition("/")[0])
    task, plan, played = task_of("hopper"), Plan(points=3, episodes=2, fresh=2, seed=1), []

    def run(most: int | None = None, policy: str = NAMED):
        with Player(task, policy, processes=processes, keep=tmp_path / "kept") as player:
            outcomes = player._outcomes

            def some(episodes):
                for episode, outcome in zip(episodes, outcomes(episodes)):
                    if most is not None and len(played) == most:
                        raise KeyboardInterrupt
                    played.append(episode)
                    yield outcome

            monkeypatch.setattr(player, "_outcomes", some)
            return evaluate(player, task.parameters(["1"]), plan)

    with Player(task, NAMED) as player:
        whole = evaluate(player, task.parameters(["1"]), plan)
    for most in (1, 5):
        with pytest.raises(KeyboardInterrupt):
            run(most)
    assert run() == whole
    assert len(played) == len(set(map(repr, played))) == 2 + 3 * 2 + 2
    assert run(most=len(played)) == whole
    run(policy=NAMED.replace("bounce", "dies_elsewhere") if processes == 1 else NAMED)
    assert len(played) == (20 if processes == 1 else 10)  # another function's episodes are others


def test_a_function_without_a_name_keeps_nothing(tmp_path):
    with pytest.raises(TetherError, match="what is kept names it"):
        Player(task_of("hopper"), bounce, keep=tmp_path / "kept")
