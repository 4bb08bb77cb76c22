"""Learned actuators: the torque of drives as networks of what was asked of them lately, and of how they moved.

A network is a file ``.npz``, float arrays that need no pickle:

| name | shape | meaning |
|---|---|---|
| `weight_0`, `bias_0`, `weight_1`, … | ``[width, width before]``, ``[width]`` | layers, 2 · history to 1, softsign between them |
| `scales` | ``[3]`` | what position errors [rad], speeds [rad/s] and torque [N·m] are divided by |

How a network is taught from a drive's logs is not part of Tether. What it was taught with (gains, rate, temperature) is what it is good
for: nothing here notices when it is asked about something else, but for the torque–speed limits, which hold whatever it says.

Cost: MuJoCo's own motors run inside its C loop; networks are evaluated between its calls, one a physics sub-step, for all environments and
joints at once. A step of 256 Go2 with two networks of 4-20-20-1 took 1.6 times that of its own motors, on one thread. Torque is held over a
sub-step where MuJoCo's motors are integrated implicitly: half a second after a step of 0.3 rad the same PD law differs from them by up to
0.021 rad at sub-steps of 5 ms, 0.008 rad at 2 ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from robots.description import ArticulatedRobot, LearnedActuator
from robots.errors import TetherError


class ActuatorNetwork:
    """One file, for all joints that name it.

    Args:
        path: see the module's docstring.
        history: (error, speed) pairs it must take.

    Raises:
        TetherError: for a file that is missing, damaged, or of another width.
    """

    def __init__(self, path: Path, history: int) -> None:
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: torch.from_numpy(np.asarray(file[name], dtype=np.float64)) for name in file.files}
            count = sum(name.startswith("weight_") for name in arrays)
            self.layers = [(arrays[f"weight_{k}"], arrays[f"bias_{k}"]) for k in range(count)]
            error_scale, speed_scale, self.torque_scale = arrays["scales"].tolist()
            taken = self.layers[0][0].shape[1]
            self.input_scale = torch.tensor([error_scale, speed_scale] * (taken // 2), dtype=torch.float64)
            self(torch.zeros(1, taken, dtype=torch.float64))  # the layers fit each other
        except (OSError, ValueError, KeyError, IndexError, RuntimeError) as error:
            raise TetherError(f"{path} is no actuator network as sim/actuator_network.py describes it: {error!r}") from error
        if taken != 2 * history:
            raise TetherError(f"{path} takes {taken} numbers; a history of {history} gives {2 * history}")

    def __call__(self, inputs: Tensor) -> Tensor:
        """Torque [N·m] ``[…]`` for (error, speed) pairs, newest first, ``[…, 2 · history]``."""
        values = inputs / self.input_scale
        for number, (weight, bias) in enumerate(self.layers):
            values = torch.nn.functional.linear(values if number == 0 else torch.nn.functional.softsign(values), weight, bias)
        return self.torque_scale * values.squeeze(-1)


def learned(robot: ArticulatedRobot) -> bool:
    """Whether the robot's drives need `LearnedDrives`."""
    return any(isinstance(actuator, LearnedActuator) for actuator in robot.actuators)


class LearnedDrives:
    """The drives of many copies of a robot, with what they remember.

    Args:
        robot: with a `LearnedActuator` on every joint.
        num_envs: copies.
        physics_dt: how often `torque` is called [s].

    Raises:
        TetherError: for actuators that are not all learned, histories that differ, or an interval that is no multiple of ``physics_dt``.
    """

    def __init__(self, robot: ArticulatedRobot, num_envs: int, physics_dt: float) -> None:
        actuators = [actuator for actuator in robot.actuators if isinstance(actuator, LearnedActuator)]
        kinds = {(actuator.history, actuator.interval_s) for actuator in actuators}
        if len(actuators) != len(robot.joints) or len(kinds) != 1:
            raise TetherError(f"{robot.name}: learned actuators need to be on every joint, with one history and interval_s for all")
        ((history, interval_s),) = kinds
        self._stride = max(round(interval_s / physics_dt), 1)
        if history > 1 and abs(self._stride * physics_dt - interval_s) > 1e-9:
            raise TetherError(f"{robot.name}: interval_s {interval_s:g} is no multiple of the physics step of {physics_dt:g} s")
        files = dict.fromkeys(actuator.network for actuator in actuators)
        self._networks = [(ActuatorNetwork(f, history), [k for k, a in enumerate(actuators) if a.network == f]) for f in files]
        rows = zip(robot.joints, actuators)
        limits = [(joint.effort, joint.speed, joint.speed - actuator.knee_speed) for joint, actuator in rows]
        self._effort, self._speed, self._fall = torch.tensor(limits, dtype=torch.float64).unbind(1)
        self._past = torch.zeros((history - 1) * self._stride + 1, 2, num_envs, len(actuators), dtype=torch.float64)  # newest first
        self._new = torch.ones(num_envs, dtype=torch.bool)

    def reset(self, mask: Tensor) -> None:
        """Forget the past where ``mask`` ``[num_envs]`` is set; what comes next is taken for it."""
        self._new = self._new | mask

    def torque(self, target: Tensor, position: Tensor, velocity: Tensor, factors: Mapping[str, Tensor]) -> Tensor:
        """Torque of the coming sub-step [N·m], from joint signals ``[num_envs, joints]``, float64.

        Args:
            factors: ``kp_scale`` and ``kd_scale`` of the errors and speeds that networks see, which for one that is linear are factors of
                its gains; ``strength_scale`` of the torque that comes out, after limits.
        """
        now = torch.stack([factors["kp_scale"] * (target - position), factors["kd_scale"] * velocity])
        self._past = torch.cat([now.unsqueeze(0), self._past[:-1]])
        self._past = torch.where(self._new[:, None], now, self._past)
        self._new = torch.zeros_like(self._new)
        seen = self._past[:: self._stride].permute(2, 3, 0, 1).flatten(2)  # [num_envs, joints, 2 · history]
        asked = torch.empty_like(velocity)
        for network, joints in self._networks:
            asked[:, joints] = network(seen[:, joints])
        return factors["strength_scale"] * asked.clamp(-self._limit(-velocity), self._limit(velocity))

    def _limit(self, velocity: Tensor) -> Tensor:
        """See `robots.description.JointActuator`."""
        return self._effort * ((self._speed - velocity) / self._fall).clamp(-1.0, 1.0)

    def saved(self) -> Tensor:
        """A copy of everything needed to continue bit for bit, float64 ``[num_envs, any]``."""
        return torch.cat([self._past.permute(2, 0, 1, 3).flatten(1), self._new.double().unsqueeze(1)], dim=1)

    def load(self, saved: Tensor) -> None:
        """Inverse of `saved`."""
        history, pair, num_envs, joints = self._past.shape
        self._past = saved[:, :-1].reshape(num_envs, history, pair, joints).permute(1, 2, 0, 3).contiguous()
        self._new = saved[:, -1] > 0.0
