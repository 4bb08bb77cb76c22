"""One simulated legged robot on the CPU: the batched engine with a batch of one, and numpy at its edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from robots.description import LeggedRobot
from robots.errors import TetherError
from sim.mujoco_cpu.simulator import MujocoCpuSimulator
from tether_sim.messages import Gains, Vector
from tether_sim.senses import Senses

RESTING_SPEED_M_S = 0.05
SINKING_S = 3.0  # from the stand to the ground, with time to spare
TRUTH = ("position_base_in_world", "orientation_base_in_world", "linear_velocity_base_in_world", "angular_velocity_base_in_base")


class Legs:
    """A legged robot, its joints' position loops and its sensors.

    Args:
        robot: what is simulated; its actuators' own gains must not be 0.
        rate_hz: control rate.
        noise: standard deviations by sensor name.
        seed: of the noise.

    Attributes:
        resting: whether its belly lies on the ground and it hardly moves.
    """

    def __init__(self, robot: LeggedRobot, rate_hz: float, noise: Mapping[str, Sequence[float]], seed: int) -> None:
        torch.set_num_threads(1)
        self._own = Gains(*(np.array([getattr(motor, gain) for motor in robot.actuators]) for gain in ("kp", "kd")))
        if not (self._own.kp.size and (self._own.kp > 0.0).all() and (self._own.kd > 0.0).all()):
            raise TetherError(
                f"{robot.name} needs actuators with kp and kd above 0, for commanded gains are simulated as multiples of them"
            )
        self._damping = Gains(np.zeros_like(self._own.kd), np.array(robot.damping or self._own.kd))
        self._stand = np.array(robot.stand)
        self._simulator = MujocoCpuSimulator(robot, 1, control_dt=1.0 / rate_hz, threads=1)
        self._senses = Senses(robot, noise, seed)
        self._all = torch.ones(1, dtype=torch.bool)
        self._rate_hz = rate_hz
        self._given: Gains | None = None

    @torch.inference_mode()
    def place(self, lying: bool) -> None:
        """Put it on its feet, or let it sink onto its belly from there."""
        self._simulator.reset(self._all, {})
        self._senses.reset()
        for _ in range(round(SINKING_S * self._rate_hz) if lying else 0):
            self.damp()

    def damp(self) -> None:
        """Advance one control period, giving way."""
        self.step(self._stand, self._damping)

    @torch.inference_mode()
    def step(self, targets: Vector, gains: Gains) -> None:
        """Advance one control period towards joint positions ``targets`` [rad], with these gains of the joints' own loops."""
        if gains is not self._given:
            scales = {"kp_scale": gains.kp / self._own.kp, "kd_scale": gains.kd / self._own.kd}
            self._simulator.randomize(self._all, {name: torch.from_numpy(scale)[None] for name, scale in scales.items()})
            self._given = gains
        self._simulator.step(torch.from_numpy(targets)[None])

    @torch.inference_mode()
    def read(self) -> dict[str, Vector]:
        """Sensor readings by name, with noise."""
        return self._senses.read(self._simulator)

    @torch.inference_mode()
    def truth(self) -> dict[str, Vector]:
        """Motion of the base as it is, and joint torques, by the engine's names."""
        signals = self._simulator.privileged()
        return {name: signals[name][0].double().numpy() for name in (*TRUTH, "joint_torque")}

    @property
    def resting(self) -> bool:
        signals = self._simulator.privileged()
        return bool(signals["base_contact"].any()) and float(signals["linear_velocity_base_in_world"].norm()) < RESTING_SPEED_M_S
