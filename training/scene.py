"""A flight in three dimensions for matplotlib: quadrotors, trails, goal and floor."""

from __future__ import annotations

from typing import Any

import numpy as np

ARM_M = 0.13  # drawn; a Crazyflie's own 0.046 m would be a speck
ROTOR_RADIUS_M = 0.073
ROTOR_ANGLES = np.radians([45.0, 135.0, 225.0, 315.0])
CIRCLE = np.linspace(0.0, 2.0 * np.pi, 25)

BACKGROUND, PANEL, INK, FAINT = "#0b1020", "#121a30", "#e8ecf8", "#5b678a"
FRONT, REAR, GOAL = "#ff5d73", "#7fd8ff", "#ffd166"


def rotation(quaternion: np.ndarray) -> np.ndarray:
    """Rotation matrices ``[..., 3, 3]`` of unit quaternions (w, x, y, z) ``[..., 4]``, body to world."""
    w, x, y, z = np.moveaxis(np.asarray(quaternion, dtype=float), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def drone(axes: Any, position: np.ndarray, quaternion: np.ndarray, alpha: float = 1.0, scale: float = 1.0) -> list[Any]:
    """Draw one quadrotor: arms, rotor discs (front ones red), and its thrust axis; returns the artists."""
    from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection  # type: ignore[import-untyped]

    turn = rotation(quaternion)
    hubs = scale * ARM_M * np.stack([np.cos(ROTOR_ANGLES), np.sin(ROTOR_ANGLES), np.zeros(4)], axis=1)
    disc = scale * ROTOR_RADIUS_M * np.stack([np.cos(CIRCLE), np.sin(CIRCLE), np.full_like(CIRCLE, 0.15)], axis=1)
    place = lambda points: position + points @ turn.T  # noqa: E731
    arms = Line3DCollection([place(hubs[[0, 2]]), place(hubs[[1, 3]])], colors=INK, linewidths=1.6 * scale, alpha=alpha, zorder=5)
    front = np.cos(ROTOR_ANGLES) > 0
    colours = [FRONT if is_front else REAR for is_front in front]
    discs = Poly3DCollection(
        [place(hub + disc) for hub in hubs], facecolors=colours, edgecolors=INK, linewidths=0.4, alpha=0.75 * alpha, zorder=6
    )
    axis = Line3DCollection([place(scale * ARM_M * np.array([[0, 0, 0], [0, 0, 1.3]]))], colors=GOAL, linewidths=1.2 * scale, alpha=alpha)
    for artist in (arms, discs, axis):
        artist.set_clip_on(False)
        axes.add_collection3d(artist)
    return [arms, discs, axis]


def trail(axes: Any, points: np.ndarray, colours: Any, width: float = 1.5, alpha: float = 1.0) -> Any:
    """Draw a line through ``points`` ``[n, 3]``, each segment in its own colour."""
    from mpl_toolkits.mplot3d.art3d import Line3DCollection

    segments = np.stack([points[:-1], points[1:]], axis=1)
    line = Line3DCollection(segments, colors=colours, linewidths=width, alpha=alpha)
    line.set_clip_on(False)
    axes.add_collection3d(line)
    return line


def stage(axes: Any, low: np.ndarray, high: np.ndarray, zoom: float) -> None:
    """Dress three-dimensional axes for the box ``low`` … ``high``: a floor grid, the goal's rings and its drop line."""
    axes.set_facecolor(BACKGROUND)
    axes.set_axis_off()
    for setter, a, b in zip((axes.set_xlim, axes.set_ylim, axes.set_zlim), low, high):
        setter(a, b)
    axes.set_box_aspect(high - low, zoom=zoom)
    spacing = 0.5
    for x in np.arange(np.ceil(low[0] / spacing), high[0] / spacing + 1e-9) * spacing:
        axes.plot([x, x], [low[1], high[1]], [low[2]] * 2, color=FAINT, lw=0.6, alpha=0.5, clip_on=False)
    for y in np.arange(np.ceil(low[1] / spacing), high[1] / spacing + 1e-9) * spacing:
        axes.plot([low[0], high[0]], [y, y], [low[2]] * 2, color=FAINT, lw=0.6, alpha=0.5, clip_on=False)
    for radius, alpha in ((0.1, 0.9), (0.25, 0.45), (0.5, 0.25)):
        axes.plot(radius * np.cos(CIRCLE), radius * np.sin(CIRCLE), np.full_like(CIRCLE, low[2]), color=GOAL, lw=1.0, alpha=alpha)
    axes.plot([0, 0], [0, 0], [low[2], 0], color=GOAL, lw=0.8, ls=(0, (2, 3)), alpha=0.7)
    axes.scatter([0], [0], [0], s=260, color=GOAL, alpha=0.18, linewidths=0)
    axes.scatter([0], [0], [0], s=42, color=GOAL, alpha=0.95, linewidths=0, zorder=10)


def box(points: np.ndarray, margin: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """The smallest box around finite ``points`` ``[..., 3]`` and the origin, with a margin and at least 1 m wide."""
    flat = points.reshape(-1, 3)
    flat = np.concatenate([flat[np.isfinite(flat).all(1)], np.zeros((1, 3))])
    low, high = flat.min(0) - margin, flat.max(0) + margin
    centre, size = (low + high) / 2, np.maximum(high - low, 1.0)
    return centre - size / 2, centre + size / 2


def fade(colours: np.ndarray, newest: int, length: int) -> np.ndarray:
    """Colours of the last ``length`` segments before ``newest``, fading to nothing."""
    rgba = np.array(colours[max(newest - length, 0) : newest], dtype=float)
    if len(rgba):
        rgba[:, 3] = np.linspace(0.0, 1.0, len(rgba)) ** 1.5
    return rgba
