"""Pictures of a walk: poses, speed beside what was asked, and the gait (PNG), or the robot as it walks (GIF)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from robots.description import LeggedRobot
from tasks.go2_velocity import TURN, WALK
from training import scene
from training.render import KEPT, check_output, dress, headline, save_animation

STATE = (
    "position_base_in_world",
    "orientation_base_in_world",
    "linear_velocity_base_in_world",
    "angular_velocity_base_in_base",
    "joint_position",
    "foot_contact",
)
COMMANDS = (WALK, TURN)
FACES = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5))
ACTUAL, ASKED, SIDE = "#7fd8ff", scene.GOAL, "#c792ea"


@dataclass(frozen=True)
class Walk:
    """Recorded episodes by signal name, ``[steps, episodes, width]``."""

    robot: LeggedRobot
    period_s: float
    signals: dict[str, np.ndarray]

    @property
    def time(self) -> np.ndarray:
        """Of each step [s]."""
        return np.arange(len(self.signals["joint_position"])) * self.period_s

    @property
    def speed(self) -> np.ndarray:
        """In the base's frame [m/s], ``[steps, episodes, 3]``."""
        turn = scene.rotation(self.signals["orientation_base_in_world"])
        speed: np.ndarray = np.einsum("...ji,...j->...i", turn, self.signals["linear_velocity_base_in_world"])
        return speed

    @property
    def liveliest(self) -> int:
        """The episode that was asked to go farthest."""
        return int(np.linalg.norm(self.signals[COMMANDS[0]], axis=-1).mean(0).argmax())


class WalkRecorder:
    """An observer for `training.evaluate.evaluate` that keeps the first `KEPT` episodes, ``more`` of the state than `STATE` if asked."""

    def __init__(self, more: tuple[str, ...] = ()) -> None:
        self._state, self._rows = (*STATE, *more), list[dict[str, np.ndarray]]()

    def __call__(self, state: Mapping[str, Tensor], command: Mapping[str, Tensor], actuation: Mapping[str, Tensor]) -> None:
        """Keep one control step."""
        values = {name: state[name] for name in self._state} | {name: command[name] for name in COMMANDS}
        self._rows.append({name: value[:KEPT].float().cpu().numpy().copy() for name, value in values.items()})

    def walk(self, robot: LeggedRobot, period_s: float) -> Walk:
        """What was recorded."""
        return Walk(robot, period_s, {name: np.stack([row[name] for row in self._rows]) for name in (*self._state, *COMMANDS)})


class Skeleton:
    """Where the parts of a robot are, from its MJCF."""

    def __init__(self, robot: LeggedRobot) -> None:
        import mujoco

        self._mujoco, self.model = mujoco, mujoco.MjModel.from_xml_path(str(robot.model))
        self.data = mujoco.MjData(self.model)
        legs = [foot.removesuffix("_foot") for foot in robot.feet]
        self.base_half_m = self.model.geom(robot.parts["base"][0]).size
        self.chains = [[self.model.body(f"{leg}_{part}").id for part in ("hip", "thigh", "calf", "foot")] for leg in legs]

    def legs(self, position: np.ndarray, orientation: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Hip, thigh, knee and foot of every leg in the world, ``[legs, 4, 3]``."""
        self.data.qpos[:] = np.concatenate([position, orientation, joints])
        self._mujoco.mj_kinematics(self.model, self.data)
        points: np.ndarray = np.stack([self.data.xpos[chain] for chain in self.chains])
        return points


def draw_walk(walk: Walk, path: Path, *, title: str) -> Path:
    """Draw ``walk`` to ``path``, as a picture or as an animation by its suffix."""
    check_output(path)
    return _animate(walk, path, title) if path.suffix.lower() == ".gif" else _still(walk, path, title)


def _still(walk: Walk, path: Path, title: str) -> Path:
    """Poses of one trot above; speeds, turning and gait below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 8.4), facecolor=scene.BACKGROUND)
    axes: Any = figure.add_axes((-0.6, 0.1, 2.2, 1.2), projection="3d")
    episode, skeleton = walk.liveliest, Skeleton(walk.robot)
    begin = len(walk.time) // 4
    steps = range(begin, begin + 24, 3)
    for k, step in enumerate(steps):
        _robot(axes, walk, skeleton, step, episode, ahead=0.75 * k)
    _ground(axes, np.array([-0.5, -0.35, 0.0]), np.array([0.75 * len(steps) - 0.25, 0.35, 0.5]))
    axes.view_init(elev=8.0, azim=-90.0)
    grid = figure.add_gridspec(1, 3, left=0.05, right=0.975, top=0.36, bottom=0.08, wspace=0.14)
    panels = [figure.add_subplot(grid[0, k]) for k in range(3)]
    _speeds(panels[0], walk, episode)
    _turning(panels[1], walk, episode)
    _gait(panels[2], walk, episode, begin)
    span = 1e3 * 3 * walk.period_s
    headline(figure, title, f"one episode, a pose every {span:.0f} ms")
    figure.savefig(path, dpi=130, facecolor=scene.BACKGROUND)
    return path


def _speeds(axes: Any, walk: Walk, episode: int) -> None:
    dress(axes, "speed forward and to the left [m/s]; dashed: asked")
    speed = walk.speed[:, episode]
    for column, colour in ((0, ACTUAL), (1, SIDE)):
        axes.plot(walk.time, speed[:, column], color=colour, lw=1.5)
        axes.plot(walk.time, walk.signals[COMMANDS[0]][:, episode, column], color=colour, lw=1.2, ls=(0, (4, 3)))
    axes.set(xlim=(0, walk.time[-1]), xlabel="time [s]")


def _turning(axes: Any, walk: Walk, episode: int) -> None:
    dress(axes, "turning [rad/s]; dashed: asked")
    axes.plot(walk.time, walk.signals["angular_velocity_base_in_base"][:, episode, 2], color=ACTUAL, lw=1.0)
    axes.plot(walk.time, walk.signals[COMMANDS[1]][:, episode, 0], color=ASKED, lw=1.4, ls=(0, (4, 3)))
    axes.set(xlim=(0, walk.time[-1]), xlabel="time [s]")


def _gait(axes: Any, walk: Walk, episode: int, begin: int) -> None:
    """Bars while a foot is on the ground, over two seconds."""
    dress(axes, "feet on the ground")
    stop = min(begin + round(2.0 / walk.period_s), len(walk.time))
    for row in range(len(walk.robot.feet)):
        on = np.flatnonzero(walk.signals["foot_contact"][begin:stop, episode, row] > 0.5) + begin
        axes.broken_barh([(walk.time[step], walk.period_s) for step in on], (row - 0.35, 0.7), color=_colour(row))
    names = [foot.removesuffix("_foot") for foot in walk.robot.feet]
    axes.set(yticks=range(len(names)), yticklabels=names, xlim=(walk.time[begin], walk.time[stop - 1]), xlabel="time [s]")


def _animate(walk: Walk, path: Path, title: str) -> Path:
    """The robot from the side, the ground passing below, and its speed."""
    from matplotlib.figure import Figure

    episode, skeleton = walk.liveliest, Skeleton(walk.robot)
    figure = Figure(figsize=(7.2, 5.6), facecolor=scene.BACKGROUND)
    axes: Any = figure.add_axes((0.0, 0.28, 1.0, 0.66), projection="3d")
    below = figure.add_axes((0.08, 0.09, 0.89, 0.17))
    _speeds(below, walk, episode)
    now = below.axvline(0.0, color=scene.GOAL, lw=1.4)
    headline(figure, title, "")
    low, high = np.array([-0.6, -0.6, 0.0]), np.array([0.6, 0.6, 0.6])
    _ground(axes, low, high)
    axes.view_init(elev=16.0, azim=-62.0)
    artists: list[Any] = []

    def frame(step: int) -> list[Any]:
        for artist in artists:
            artist.remove()
        artists[:] = [*_robot(axes, walk, skeleton, step, episode), *_marks(axes, walk, step, episode)]
        now.set_xdata([walk.time[step]] * 2)
        return artists

    return save_animation(figure, frame, len(walk.time), walk.period_s, path)


def _robot(axes: Any, walk: Walk, skeleton: Skeleton, step: int, episode: int, ahead: float = 0.0) -> list[Any]:
    """The base as a box and the legs as lines, a foot on the ground marked, so far ``ahead`` of the origin [m]; returns the artists."""
    from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection  # type: ignore[import-untyped]

    position, orientation, joints = (
        walk.signals[name][step, episode] for name in ("position_base_in_world", "orientation_base_in_world", "joint_position")
    )
    shift = np.array([ahead - position[0], -position[1], 0.0])
    legs = skeleton.legs(position, orientation, joints) + shift
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * skeleton.base_half_m
    box = position + shift + corners @ scene.rotation(orientation).T
    colours = [_colour(leg) for leg in range(len(legs))]
    body = Poly3DCollection([box[list(face)] for face in FACES], facecolors=scene.PANEL, edgecolors=scene.INK, linewidths=0.6, alpha=0.9)
    limbs = Line3DCollection(list(legs), colors=colours, linewidths=3.0, capstyle="round")
    for artist in (body, limbs):
        artist.set_clip_on(False)
        axes.add_collection3d(artist)
    stands = walk.signals["foot_contact"][step, episode] > 0.5
    feet = axes.scatter(*legs[:, -1].T, s=[34 if on else 10 for on in stands], c=[scene.GOAL if on else scene.FAINT for on in stands])
    return [body, limbs, feet]


def _colour(leg: int) -> str:
    """Legs of a diagonal, which trot together, have one colour."""
    return ACTUAL if leg in (0, 3) else SIDE


def _ground(axes: Any, low: np.ndarray, high: np.ndarray) -> None:
    axes.set_facecolor(scene.BACKGROUND)
    axes.set_axis_off()
    for setter, a, b in zip((axes.set_xlim, axes.set_ylim, axes.set_zlim), low, high):
        setter(a, b)
    axes.set_box_aspect(high - low, zoom=1.5)
    for y in (low[1], high[1]):
        axes.plot([low[0], high[0]], [y, y], [0.0, 0.0], color=scene.FAINT, lw=0.7, clip_on=False)


def _marks(axes: Any, walk: Walk, step: int, episode: int) -> list[Any]:
    """Lines on the ground every 20 cm, which pass as the robot moves."""
    position = walk.signals["position_base_in_world"][step, episode]
    first = np.ceil((position[0] - 0.6) / 0.2) * 0.2
    places = np.arange(first, position[0] + 0.6, 0.2) - position[0]
    return [axes.plot([x, x], [-0.6, 0.6], [0.0, 0.0], color=scene.FAINT, lw=0.6, alpha=0.6, clip_on=False)[0] for x in places]
