"""Pictures of walks along a gorge: tracks from above, and how near the edge they were (PNG), or the tracks as they are walked (GIF)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.go2_gorge import Go2Gorge
from training import scene
from training.render import band, check_output, dress, headline, save_animation
from training.render_walk import Skeleton, Walk, WalkRecorder

SHOWN = 60  # tracks
TOUCHING = ("base_contact", "thigh_contact")
POSES_S = 2.0  # between those that are drawn
KEPT, LOST, EARTH = scene.REAR, scene.FRONT, "#05070d"


class GorgeRecorder(WalkRecorder):
    """Keeps what touches the ground as well, by which the task tells who fell."""

    def __init__(self) -> None:
        super().__init__(TOUCHING)


@dataclass(frozen=True)
class Tracks:
    """Walks as seen from above, ``[steps, episodes]``, both sides of the gorge laid on one.

    Attributes:
        ahead: way along the edge since the start [m]. edge: distance from it [m]. speed: along it [m/s].
        lasts: ``[episodes]``, steps until the robot went over the edge or fell, as the task judges.
        over: ``[episodes]``, whether it went over the edge.
    """

    ahead: np.ndarray
    edge: np.ndarray
    speed: np.ndarray
    lasts: np.ndarray
    over: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """Which were not lost, ``[episodes]``."""
        return self.lasts == len(self.edge)

    def walking(self, values: np.ndarray) -> np.ndarray:
        """``values`` ``[steps, episodes]`` until a robot is lost, then nan."""
        return np.where(np.arange(len(values))[:, None] < self.lasts, values, np.nan)


def tracks(walk: Walk) -> Tracks:
    """What of a recorded walk counts."""
    position, velocity = walk.signals["position_base_in_world"], walk.signals["linear_velocity_base_in_world"]
    edge = np.abs(position[..., 1]) - Go2Gorge.half_width_m
    upright = scene.rotation(walk.signals["orientation_base_in_world"])[..., 2, 2]
    gone, touched = edge < 0.0, np.concatenate([walk.signals[name] for name in TOUCHING], axis=-1).any(-1)
    lost = gone | touched | (upright < np.cos(Go2Gorge.fall_tilt_rad))
    lasts = np.where(lost.any(0), lost.argmax(0), len(lost))
    at_end = np.minimum(lasts, len(lost) - 1)
    return Tracks(position[..., 0] - position[0, :, 0], edge, velocity[..., 0], lasts, lost.any(0) & gone[at_end, np.arange(len(lasts))])


def draw_gorge(walk: Walk, path: Path, *, title: str) -> Path:
    """Draw ``walk`` to ``path``, as a picture or as an animation by its suffix."""
    check_output(path)
    from matplotlib.figure import Figure

    found, still = tracks(walk), path.suffix.lower() != ".gif"
    figure = Figure(figsize=(15, 8.4) if still else (9.0, 4.2), facecolor=scene.BACKGROUND)
    above = figure.add_axes((0.045, 0.34, 0.935, 0.56) if still else (0.06, 0.1, 0.92, 0.72))
    _ground(above, float(np.nanmax(found.walking(found.ahead))))
    over, fell = int(found.over.sum()), int((~found.kept & ~found.over).sum())
    headline(figure, title, f"from above; of {len(found.lasts)} robots {over} went over the edge and {fell} fell; bright: what is seen")
    if not still:
        return save_animation(figure, lambda step: _moment(above, found, step), len(found.edge), walk.period_s, path)
    _tracks(above, found, len(found.edge))
    _poses(above, walk, found)
    grid = figure.add_gridspec(1, 3, left=0.045, right=0.98, top=0.27, bottom=0.075, wspace=0.14)
    panels = [figure.add_subplot(grid[0, column]) for column in range(3)]
    _over_time(panels[0], walk.time, found.walking(found.edge), "distance from the edge [m]")
    _over_time(panels[1], walk.time, found.walking(found.speed), f"speed along the edge [m/s]; dashed: asked, {Go2Gorge.asked_m_s:g}")
    panels[1].axhline(Go2Gorge.asked_m_s, color=scene.GOAL, lw=1.2, ls=(0, (4, 3)))
    _left(panels[2], walk.time, found)
    figure.savefig(path, dpi=130, facecolor=scene.BACKGROUND)
    return path


def _ground(axes: Any, longest: float) -> None:
    """The gorge, its edge, and how much is seen from where."""
    from matplotlib.colors import to_rgb

    seen, far = Go2Gorge.seen_m, 1.6 * Go2Gorge.seen_m
    dress(axes, "")
    axes.set(xlim=(-0.4, longest + 0.4), ylim=(-Go2Gorge.half_width_m, far), xlabel="along the edge [m]", aspect="equal")
    axes.set_ylabel("from the edge [m]", color=scene.INK)
    axes.grid(False)
    view = np.clip(1.0 - np.linspace(0.0, far, 256) / seen, 0.0, 1.0)
    light = np.stack([np.array([*to_rgb(scene.GOAL), 0.3 * part]) for part in view])[:, None]
    axes.imshow(light, extent=(-0.4, longest + 0.4, 0.0, far), origin="lower", aspect="equal", interpolation="bilinear", zorder=1)
    axes.axhspan(-Go2Gorge.half_width_m, 0.0, facecolor=EARTH, edgecolor=scene.FAINT, hatch="//", linewidth=0.0, zorder=1)
    axes.axhline(0.0, color=scene.GOAL, lw=2.0, zorder=2)


def _tracks(axes: Any, found: Tracks, until: int) -> list[Any]:
    """The first `SHOWN` ways up to step ``until``, and where the lost were lost; returns the artists."""
    from matplotlib.collections import LineCollection

    ends = np.minimum(found.lasts[:SHOWN] + 1, until)
    ways = [np.stack([found.ahead[:end, one], found.edge[:end, one]], axis=1) for one, end in enumerate(ends)]
    lost = found.lasts[:SHOWN] < until
    colours = [LOST if gone else KEPT for gone in lost]
    lines = LineCollection(ways, colors=colours, linewidths=[1.6 if gone else 0.9 for gone in lost], alpha=0.75, zorder=3)
    places = np.array([way[-1] for way, gone in zip(ways, lost, strict=True) if gone]).reshape(-1, 2)
    return [axes.add_collection(lines), axes.scatter(*places.T, marker="x", s=60, color=LOST, linewidths=2.0, zorder=5)]


def _poses(axes: Any, walk: Walk, found: Tracks) -> None:
    """One robot that was not lost, every `POSES_S`: its base, and its legs down to the feet."""
    if not found.kept.any():
        return
    from matplotlib.patches import Polygon

    episode, skeleton = int(np.flatnonzero(found.kept)[0]), Skeleton(walk.robot)
    half = skeleton.base_half_m[:2] * np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
    names = ("position_base_in_world", "orientation_base_in_world", "joint_position")
    for step in range(0, len(walk.time), round(POSES_S / walk.period_s)):
        position, orientation, joints = (walk.signals[name][step, episode] for name in names)
        fold, place = np.sign(position[1]), np.array([found.ahead[step, episode], found.edge[step, episode]])
        seen = lambda points, fold=fold, place=place: points * np.array([1.0, fold]) + place  # noqa: E731
        for leg in skeleton.legs(position, orientation, joints) - position:
            axes.plot(*seen(leg[:, :2]).T, color=scene.INK, lw=1.6, solid_capstyle="round", zorder=6)
        corners = half @ scene.rotation(orientation)[:2, :2].T
        axes.add_patch(Polygon(seen(corners), facecolor=scene.PANEL, edgecolor=scene.INK, lw=1.2, zorder=7))


def _over_time(axes: Any, time: np.ndarray, values: np.ndarray, title: str) -> None:
    """Of those who still walk."""
    dress(axes, title)
    some = ~np.isnan(values).all(1)
    band(axes, time[some], values[some], KEPT)
    axes.set(xlim=(0, time[-1]), xlabel="time [s]")


def _left(axes: Any, time: np.ndarray, found: Tracks) -> None:
    """How many still walk."""
    dress(axes, "still walking [%]")
    share = 100.0 * (np.arange(len(time))[:, None] < found.lasts).mean(1)
    axes.fill_between(time, share, color=KEPT, alpha=0.25, linewidth=0)
    axes.plot(time, share, color=KEPT, lw=2.0)
    axes.set(xlim=(0, time[-1]), ylim=(0, 104), xlabel="time [s]")


def _moment(axes: Any, found: Tracks, step: int) -> list[Any]:
    """The ways until ``step``, instead of those before."""
    for old in list(axes.collections):
        old.remove()
    return _tracks(axes, found, step + 1)
