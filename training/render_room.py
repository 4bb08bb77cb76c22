"""Pictures of flights through rooms: seen from above, with clearance and way to go below (PNG), or as they are flown (GIF)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from tasks.room import CLEARANCE, CONTACT_M
from tasks.rooms import HALF_M
from training import scene
from training.render import KEPT, check_output, dress, headline, save_animation

POSITION, GOAL, OBSTACLES = "position_base_in_world", "goal_position_in_world", "obstacles"
SHOWN = 6
PILLAR, BALL, PATH = "#5b678a", "#3b4a78", "plasma"


@dataclass(frozen=True)
class RoomFlight:
    """Recorded episodes: ``position`` and ``clearance`` ``[steps, episodes, …]``, ``goal`` and ``obstacles`` ``[episodes, …]``."""

    period_s: float
    position: np.ndarray
    clearance: np.ndarray
    goal: np.ndarray
    obstacles: np.ndarray

    @property
    def time(self) -> np.ndarray:
        """Of each step [s]."""
        return np.arange(len(self.position)) * self.period_s

    @property
    def distance(self) -> np.ndarray:
        """To the goal [m], ``[steps, episodes]``."""
        return np.linalg.norm(self.position - self.goal, axis=-1)


class RoomRecorder:
    """An observer for `training.evaluate.evaluate` that keeps the first `KEPT` episodes."""

    def __init__(self) -> None:
        self._steps: list[tuple[np.ndarray, np.ndarray]] = []
        self._room: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, state: Mapping[str, Tensor], command: Mapping[str, Tensor], actuation: Mapping[str, Tensor]) -> None:
        """Keep one control step."""
        keep = lambda tensor: tensor[:KEPT].float().cpu().numpy().copy()  # noqa: E731
        self._steps.append((keep(state[POSITION]), keep(state[CLEARANCE])[:, 0]))
        self._room = self._room or (keep(command[GOAL]), keep(state[OBSTACLES]))

    def flight(self, period_s: float) -> RoomFlight:
        """What was recorded."""
        assert self._room is not None
        position, clearance = (np.stack(part) for part in zip(*self._steps, strict=True))
        return RoomFlight(period_s, position, clearance, *self._room)


def draw_room(flight: RoomFlight, path: Path, *, title: str) -> Path:
    """Draw ``flight`` to ``path``, as a picture or as an animation by its suffix."""
    check_output(path)
    from matplotlib.figure import Figure

    still = path.suffix.lower() != ".gif"
    figure = Figure(figsize=(13.5, 11.0) if still else (9.0, 7.0), facecolor=scene.BACKGROUND)
    rows = [1.0, 1.0, 0.5] if still else [1.0, 1.0]
    grid = figure.add_gridspec(len(rows), 3, height_ratios=rows, left=0.05, right=0.98, top=0.9, bottom=0.06, hspace=0.12, wspace=0.06)
    panels = [figure.add_subplot(grid[row, column]) for row in range(2) for column in range(3)]
    chosen = _winding(flight)
    for axes, episode in zip(panels, chosen, strict=False):
        _plan(axes, flight, episode)
    headline(figure, title, "from above; pillars lighter than balls, which can be flown over or under; bright is high")
    if not still:
        return save_animation(figure, lambda step: _moment(panels, flight, chosen, step), len(flight.position), flight.period_s, path)
    for axes, episode in zip(panels, chosen, strict=False):
        _way(axes, flight.position[:, episode])
    _band(figure.add_subplot(grid[2, :2]), flight.time, flight.clearance, "clearance of the vehicle's surface [m]")
    _band(figure.add_subplot(grid[2, 2]), flight.time, flight.distance, "to the goal [m]")
    figure.savefig(path, dpi=110, facecolor=scene.BACKGROUND)
    return path


def _winding(flight: RoomFlight) -> np.ndarray:
    """The episodes that travel farthest."""
    travelled = np.linalg.norm(np.diff(flight.position, axis=0), axis=-1).sum(0)
    return np.argsort(-travelled, kind="stable")[:SHOWN]


def _plan(axes: Any, flight: RoomFlight, episode: int) -> None:
    """Walls, obstacles, start and goal."""
    from matplotlib.patches import Circle, Rectangle

    axes.set(xlim=(-HALF_M - 0.1, HALF_M + 0.1), ylim=(-HALF_M - 0.1, HALF_M + 0.1), aspect="equal")
    axes.set_axis_off()
    axes.add_patch(Rectangle((-HALF_M, -HALF_M), 2 * HALF_M, 2 * HALF_M, facecolor=scene.PANEL, edgecolor=scene.INK, lw=1.5))
    for x, y, z, radius, upright in flight.obstacles[episode]:
        if radius > 0.0:
            axes.add_patch(Circle((x, y), radius, facecolor=PILLAR if upright else BALL, edgecolor=scene.FAINT, lw=1.0))
            if not upright:
                axes.text(x, y, f"{z:.1f} m", color=scene.INK, ha="center", va="center", fontsize=7)
    (x, y, _), (gx, gy, _) = flight.position[0, episode], flight.goal[episode]
    axes.scatter([x], [y], s=36, color=scene.REAR, zorder=6)
    axes.scatter([gx], [gy], s=110, color=scene.GOAL, marker="*", zorder=6)


def _way(axes: Any, points: np.ndarray) -> Any:
    """The way, as wide as the vehicle, coloured by height; returns the artist."""
    from matplotlib.collections import LineCollection

    segments = np.stack([points[:-1, :2], points[1:, :2]], axis=1)
    width = 2 * CONTACT_M * axes.get_window_extent().width / (2 * HALF_M + 0.2) * 72.0 / axes.figure.dpi
    line = LineCollection(list(segments), array=points[1:, 2], cmap=PATH, linewidths=width, capstyle="round", zorder=5)
    line.set_clim(0.0, 2.5)
    return axes.add_collection(line)


def _moment(panels: list[Any], flight: RoomFlight, chosen: np.ndarray, step: int) -> list[Any]:
    """The ways until ``step``, instead of those before."""
    artists = []
    for axes, episode in zip(panels, chosen, strict=False):
        for old in list(axes.collections[2:]):
            old.remove()
        artists.append(_way(axes, flight.position[: step + 2, episode]))
    return artists


def _band(axes: Any, time: np.ndarray, values: np.ndarray, title: str) -> None:
    """Median, middle 90 % and extremes of the episodes, ``[steps, episodes]``."""
    dress(axes, title)
    least, low, median, high = np.nanpercentile(values, [0, 5, 50, 95], axis=1)
    axes.fill_between(time, low, high, color=scene.REAR, alpha=0.25, linewidth=0)
    axes.plot(time, median, color=scene.REAR, lw=2.0)
    axes.plot(time, least, color=scene.FRONT, lw=1.2)
    axes.axhline(0.0, color=scene.INK, lw=0.8)
    axes.set(xlim=(0, time[-1]), xlabel="time [s]; line: median, band: 90 %, red: least of all")
