"""Where bodies are and how they move, from the state alone, many robots at a time: Isaac Gym knows only after a physics step.

Quaternions are (w, x, y, z), body to world.
"""

from typing import List, Tuple

import torch
from mjcf import Model
from torch import Tensor


class Chain:
    """Forward kinematics of a robot.

    Args:
        model: its bodies, parents first.
        joints: names in the order of the state.
        device: of the state.
    """

    def __init__(self, model: Model, joints: List[str], device: torch.device) -> None:
        self.bodies = model.bodies
        self.columns = {name: index for index, name in enumerate(joints)}
        rows = [(body.position, body.rotation, *((body.joint.axis, body.joint.anchor) if body.joint else ())) for body in model.bodies]
        self.constants = [[torch.as_tensor(part, dtype=torch.float32).to(device) for part in row] for row in rows]

    def __call__(self, qpos: Tensor, qvel: Tensor) -> Tuple[Tensor, Tensor]:
        """Positions and velocities of the bodies' origins in the world, ``[n, bodies, 3]``, for states as `protocol.fields` has them."""
        turn = qpos[:, 3:7]
        places, turns, speeds, rates = [qpos[:, :3]], [turn], [qvel[:, :3]], [rotate(turn, qvel[:, 3:6])]
        for body, (position, rotation, *joint) in zip(self.bodies[1:], self.constants[1:]):
            at, turn, speed, rate = (of[body.parent] for of in (places, turns, speeds, rates))
            offset = rotate(turn, position)
            at, speed, turn = at + offset, speed + cross(rate, offset), multiply(turn, rotation)
            if body.joint:
                column = self.columns[body.joint.name]
                moved = qpos[:, 7 + column, None], qvel[:, 6 + column, None]
                move = _slide if body.joint.kind == "slide" else _hinge
                at, turn, speed, rate = move(at, turn, speed, rate, joint[0], joint[1], *moved)
            for found, value in ((places, at), (turns, turn), (speeds, speed), (rates, rate)):
                found.append(value)
        return torch.stack(places, dim=1), torch.stack(speeds, dim=1)


Moved = Tuple[Tensor, Tensor, Tensor, Tensor]


def _hinge(at: Tensor, turn: Tensor, speed: Tensor, rate: Tensor, axis: Tensor, anchor: Tensor, angle: Tensor, angular: Tensor) -> Moved:
    """Turned about the anchor a: p + R a − R' a, and v + ω × R a − ω' × R' a."""
    half = angle / 2
    turned = multiply(turn, torch.cat([torch.cos(half), torch.sin(half) * axis], dim=1))
    before, after, rated = rotate(turn, anchor), rotate(turned, anchor), rate + rotate(turn, axis) * angular
    return at + before - after, turned, speed + cross(rate, before) - cross(rated, after), rated


def _slide(at: Tensor, turn: Tensor, speed: Tensor, rate: Tensor, axis: Tensor, anchor: Tensor, length: Tensor, linear: Tensor) -> Moved:
    along = rotate(turn, axis)
    return at + along * length, turn, speed + cross(rate, along * length) + along * linear, rate


def cross(a: Tensor, b: Tensor) -> Tensor:
    """Of vectors ``[n, 3]``."""
    return torch.cross(a, b.expand_as(a), dim=1)


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Quaternions ``[n, 4]`` times ``[n, 4]`` or ``[4]``."""
    b = b.expand_as(a)
    scalar = a[:, :1] * b[:, :1] - (a[:, 1:] * b[:, 1:]).sum(1, keepdim=True)
    return torch.cat([scalar, a[:, :1] * b[:, 1:] + b[:, :1] * a[:, 1:] + cross(a[:, 1:], b[:, 1:])], dim=1)


def rotate(quaternion: Tensor, vector: Tensor) -> Tensor:
    """Vectors ``[n, 3]`` or ``[3]`` turned by quaternions ``[n, 4]``: v + 2 w (u × v) + 2 u × (u × v)."""
    axis, vector = quaternion[:, 1:], vector.expand(len(quaternion), 3)
    crossed = 2.0 * cross(axis, vector)
    return vector + quaternion[:, :1] * crossed + cross(axis, crossed)


def rotate_back(quaternion: Tensor, vector: Tensor) -> Tensor:
    """Inverse of `rotate`."""
    return rotate(quaternion * quaternion.new_tensor([1.0, -1.0, -1.0, -1.0]), vector)
