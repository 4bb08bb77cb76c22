"""Pictures of an evaluation: a still with plots (PNG), an animation (GIF). matplotlib is optional, and asked for when it is missing."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from robots.errors import TetherError
from training import scene

if TYPE_CHECKING:
    from deploy.policy import Policy

POSITION, ORIENTATION, GOAL = "position_base_in_world", "orientation_base_in_world", "goal_position_in_world"
KEPT = 200  # environments recorded, for the bands of the plots
SHOWN = 8  # drawn in three dimensions
FRAMES_PER_S = 20
SUFFIXES = (".png", ".gif")


@dataclass(frozen=True)
class Flight:
    """Recorded episodes, ``[steps, episodes, …]``: position relative to the goal [m], orientation, actuation by signal name.

    ``channels`` are (title with unit, signal, lower, upper) of the actuation signals.
    """

    period_s: float
    offset: np.ndarray
    orientation: np.ndarray
    actuation: dict[str, np.ndarray]
    channels: tuple[tuple[str, str, float, float], ...]

    @property
    def time(self) -> np.ndarray:
        """Of each step [s]."""
        return np.arange(len(self.offset)) * self.period_s

    @property
    def distance(self) -> np.ndarray:
        """From the goal [m]."""
        return np.linalg.norm(self.offset, axis=-1)

    @property
    def tilt(self) -> np.ndarray:
        """Of the body's z axis from the vertical [rad]."""
        return np.arccos(np.clip(scene.rotation(self.orientation)[..., 2, 2], -1.0, 1.0))


class FlightRecorder:
    """An observer for `training.evaluate.evaluate` that keeps the first `KEPT` episodes."""

    def __init__(self) -> None:
        self._states: list[tuple[np.ndarray, np.ndarray]] = []
        self._actuation: list[dict[str, np.ndarray]] = []

    def __call__(self, state: Mapping[str, Tensor], command: Mapping[str, Tensor], actuation: Mapping[str, Tensor]) -> None:
        """Keep one control step."""
        if POSITION not in state or ORIENTATION not in state or GOAL not in command:
            raise TetherError("--video draws robots that fly to a goal position; this task has none, leave the option out")
        keep = lambda tensor: tensor[:KEPT].float().cpu().numpy().copy()  # noqa: E731
        self._states.append((keep(state[POSITION]) - keep(command[GOAL]), keep(state[ORIENTATION])))
        self._actuation.append({name: keep(value) for name, value in actuation.items()})

    def flight(self, policy: Policy) -> Flight:
        """What was recorded, with names and limits from the policy's contract."""
        offset, orientation = (np.stack(part) for part in zip(*self._states))
        signals = policy.contract.actuation
        actuation = {signal.name: np.stack([row[signal.name] for row in self._actuation]) for signal in signals}
        channels = tuple(
            (f"{s.name.replace('_', ' ')} [{s.unit}]", s.name, min(s.lower or (np.nan,)), max(s.upper or (np.nan,))) for s in signals
        )
        return Flight(policy.contract.period_s, offset, orientation, actuation, channels)


def check_output(path: Path) -> None:
    """Complain early about a suffix that cannot be drawn, a directory that is not there, or a missing matplotlib."""
    if path.suffix.lower() not in SUFFIXES:
        raise TetherError(f"cannot draw {path.name!r}; end it in one of: {', '.join(SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise TetherError(f"there is no directory {path.absolute().parent}; create it first")
    if importlib.util.find_spec("matplotlib") is None:
        raise TetherError("pictures need the Python package matplotlib; install it with: pip install 'tether[dev]'")


def draw(flight: Flight, path: Path, *, title: str, tolerance_m: float | None = None) -> Path:
    """Draw ``flight`` to ``path``, as a picture or as an animation by its suffix; ``tolerance_m`` marks what counts as success."""
    check_output(path)
    if path.suffix.lower() == ".gif":
        return _animate(flight, path, title)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 8.4), facecolor=scene.BACKGROUND)
    grid = figure.add_gridspec(3, 2, width_ratios=[1.75, 1], left=0.03, right=0.975, top=0.93, bottom=0.075, hspace=0.34, wspace=0.06)
    axes = figure.add_axes((0.01, 0.0, 0.6, 0.9), projection="3d")
    _still(axes, flight)
    _plots([figure.add_subplot(grid[row, 1]) for row in range(3)], flight, tolerance_m)
    count = flight.offset.shape[1]
    headline(
        figure,
        title,
        f"{min(count, SHOWN)} flights about their goal, one with its attitude; bands: 50 % and 90 % of {count}",
    )
    figure.savefig(path, dpi=130, facecolor=scene.BACKGROUND)
    return path


def _still(axes: Any, flight: Flight) -> None:
    """Every shown trajectory, coloured by time, with quadrotors along the first one and where the others began."""
    points = flight.offset[:, _interesting(flight)]
    orientation = flight.orientation[:, _interesting(flight)]
    scene.stage(axes, *scene.box(points), zoom=1.3)
    colours = _colours(len(points))
    for index in range(points.shape[1]):
        scene.trail(axes, points[:, index], colours, width=3.0 if index == 0 else 1.7, alpha=1.0 if index == 0 else 0.75)
        scene.drone(axes, points[0, index], orientation[0, index], alpha=0.95 if index == 0 else 0.8)
    for step in _spaced(points[:, 0], 3.2 * scene.ARM_M):
        scene.drone(axes, points[step, 0], orientation[step, 0])
    axes.view_init(elev=20.0, azim=-58.0)


def _animate(flight: Flight, path: Path, title: str) -> Path:
    """Quadrotors with fading trails under a slowly turning camera, and the distance to the goal below."""
    from matplotlib.figure import Figure

    chosen = _interesting(flight)
    points, orientation = flight.offset[:, chosen], flight.orientation[:, chosen]
    figure = Figure(figsize=(7.2, 6.4), facecolor=scene.BACKGROUND)
    grid = figure.add_gridspec(2, 1, height_ratios=[4.2, 1], left=0.1, right=0.97, top=0.93, bottom=0.09, hspace=0.02)
    axes, below = figure.add_subplot(grid[0], projection="3d"), figure.add_subplot(grid[1])
    scene.stage(axes, *scene.box(points), zoom=1.6)
    dress(below, "to the goal [m]")
    band(below, flight.time, flight.distance, "#7fd8ff")
    below.set(xlim=(0, flight.time[-1]), ylim=(0, None), xlabel="time [s]")
    now = below.axvline(0.0, color=scene.GOAL, lw=1.4)
    headline(figure, title, "")
    colours = _colours(len(points))
    artists: list[Any] = []

    def frame(step: int) -> list[Any]:
        for artist in artists:
            artist.remove()
        artists.clear()
        for index in range(points.shape[1]):
            faded = scene.fade(colours, step, round(1.2 / flight.period_s))
            if len(faded):
                artists.append(scene.trail(axes, points[step - len(faded) : step + 1, index], faded, width=2.0))
            artists.extend(scene.drone(axes, points[step, index], orientation[step, index]))
        now.set_xdata([flight.time[step]] * 2)
        axes.view_init(elev=18.0, azim=-70.0 + 50.0 * step / len(points))
        return artists

    return save_animation(figure, frame, len(points), flight.period_s, path)


def save_animation(figure: Any, frame: Callable[[int], list[Any]], steps: int, period_s: float, path: Path) -> Path:
    """Write ``frame`` of as many of the ``steps`` as are shown in a second, in real time."""
    from matplotlib.animation import FuncAnimation, PillowWriter

    stride = max(round(1.0 / (FRAMES_PER_S * period_s)), 1)
    animation = FuncAnimation(figure, frame, frames=range(0, steps, stride), blit=False, cache_frame_data=False)
    animation.save(path, writer=PillowWriter(fps=FRAMES_PER_S), dpi=80, savefig_kwargs={"facecolor": scene.BACKGROUND})
    return path


def _plots(panels: list[Any], flight: Flight, tolerance_m: float | None) -> None:
    """Distance to the goal, tilt, and the first actuation signal, over time."""
    distance, tilt, thrust = panels
    dress(distance, "distance to the goal [m]")
    band(distance, flight.time, np.maximum(flight.distance, 1e-4), "#7fd8ff")
    distance.set(yscale="log")
    if tolerance_m:
        distance.axhline(tolerance_m, color=scene.GOAL, lw=1.0, ls=(0, (4, 3)))
        text = f"success below {tolerance_m:g} m"
        distance.text(flight.time[-1], 1.08 * tolerance_m, text, color=scene.GOAL, ha="right", va="bottom", fontsize=8.5)
    dress(tilt, "tilt [°]")
    band(tilt, flight.time, np.degrees(flight.tilt), "#c792ea")
    tilt.set(ylim=(0, None))
    title, name, lower, upper = flight.channels[0]
    dress(thrust, title)
    band(thrust, flight.time, flight.actuation[name][..., 0], "#8ce99a")
    for limit in (lower, upper):
        thrust.axhline(limit, color=scene.FRONT, lw=1.0, ls=(0, (4, 3)))
    thrust.set(xlabel="time [s]")
    for panel in panels:
        panel.set(xlim=(0, flight.time[-1]))


def band(axes: Any, time: np.ndarray, values: np.ndarray, colour: str) -> None:
    """Median line in bands of the middle 50 % and 90 % of the episodes, ``[steps, episodes]``."""
    low, lower, median, upper, high = np.nanpercentile(values, [5, 25, 50, 75, 95], axis=1)
    axes.fill_between(time, low, high, color=colour, alpha=0.16, linewidth=0)
    axes.fill_between(time, lower, upper, color=colour, alpha=0.28, linewidth=0)
    axes.plot(time, median, color=colour, lw=2.0)


def dress(axes: Any, title: str) -> None:
    """The look of a plot, with its title."""
    axes.set_facecolor(scene.PANEL)
    axes.set_title(title, loc="left", color=scene.INK, fontsize=10.5, pad=5)
    axes.tick_params(colors=scene.FAINT, labelcolor=scene.INK, labelsize=8.5, length=3)
    axes.xaxis.label.set_color(scene.INK)
    axes.grid(color=scene.FAINT, alpha=0.25, lw=0.6)
    for spine in axes.spines.values():
        spine.set_visible(False)


def headline(figure: Any, title: str, subtitle: str) -> None:
    """The title of a whole figure, and a line below it."""
    figure.text(0.025, 0.955, title, color=scene.INK, fontsize=17, fontweight="bold", va="center")
    figure.text(0.025, 0.918, subtitle, color=scene.FAINT, fontsize=10.5, va="center")


def _colours(steps: int) -> np.ndarray:
    """Start to end of an episode, dense where recovery happens."""
    import matplotlib

    return np.asarray(matplotlib.colormaps["plasma"](0.22 + 0.74 * np.linspace(0.0, 1.0, steps) ** 0.5))


def _interesting(flight: Flight) -> np.ndarray:
    """The `SHOWN` episodes that travel most, the most tilted start first, without the 5 % that stray most: a crash would set the scale."""
    reach = np.where(np.isfinite(flight.offset).all((0, 2)), flight.distance.max(0), np.inf)
    usual = reach <= np.percentile(reach, 95, method="lower")
    travelled = np.linalg.norm(np.diff(flight.offset, axis=0), axis=-1).sum(0)
    chosen = np.argsort(np.where(usual, -travelled, np.inf), kind="stable")[:SHOWN]
    return chosen[np.argsort(-flight.tilt[0, chosen], kind="stable")]


def _spaced(points: np.ndarray, spacing: float) -> list[int]:
    """Steps at which a quadrotor is drawn: every ``spacing`` metres along the way, from the first."""
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    return sorted({int(np.searchsorted(way, mark)) for mark in np.arange(spacing, way[-1], spacing)})[:40]
