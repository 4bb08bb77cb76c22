"""Standing up, staying there, and passing control from the stand to the policy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deploy.guards.intake import Intake
from robots.behaviour import Behaviour
from robots.contract import Contract
from robots.description import Robot
from robots.errors import TetherError
from robots.signals import Actuation
from safety.envelope import Tightened


class Stand:
    """Interpolates from where the robot is to its stand, and blends from there to the policy.

    Attributes:
        needed: whether the robot stands at all.
        hold: the stand, float32 ``[actuation size]``.
        safe: the final safe command, float32 ``[actuation size]``.
    """

    def __init__(self, behaviour: Behaviour, contract: Contract, robot: Robot, intake: Intake, limits: Tightened) -> None:
        self.needed = bool(behaviour.stand)
        self._behaviour = behaviour
        self._intake = intake
        signals = robot.actuation(contract.actuation_mode)
        safe = np.concatenate([signal.safe or (0.0,) * signal.size for signal in signals])
        hold = _flat(behaviour.stand, signals) if self.needed else safe
        self.safe, self.hold = (np.clip(values, limits.lower, limits.upper).astype(np.float32) for values in (safe, hold))
        self._measured = [behaviour.measured.get(signal.name, "") for signal in signals] if self.needed else []
        for name in self._measured:
            if name not in intake.sensors:
                raise TetherError(f"the stand of {robot.name} starts from sensor {name!r}; the policy has only {list(intake.sensors)}")
        self._begin: tuple[float, np.ndarray] | None = None

    def restart(self) -> None:
        """The next `advance` starts from where the robot is then."""
        self._begin = None

    def advance(self, now_s: float, out: np.ndarray) -> bool:
        """Set ``out`` to where the robot should be now on its way up; true once it should have arrived."""
        if self._begin is None:
            self._begin = now_s, np.concatenate([self._intake.sensors[name][0] for name in self._measured])
        since_s, start = self._begin
        done = min(1.0, (now_s - since_s) / self._behaviour.stand_s)
        out[:] = start + np.float32(done) * (self.hold - start)
        return done >= 1.0

    def blend(self, elapsed_s: float, out: np.ndarray) -> None:
        """Weigh the policy's ``out`` against the stand: 0 → 1 over ``blend_s``."""
        if elapsed_s < self._behaviour.blend_s:
            out[:] = self.hold + np.float32(elapsed_s / self._behaviour.blend_s) * (out - self.hold)


def _flat(stand: Mapping[str, tuple[float, ...]], signals: tuple[Actuation, ...]) -> np.ndarray:
    for signal in signals:
        if len(stand.get(signal.name, ())) != signal.size:
            raise TetherError(f"the stand needs {signal.size} values for {signal.name!r}, found {len(stand.get(signal.name, ()))}")
    return np.concatenate([stand[signal.name] for signal in signals])
