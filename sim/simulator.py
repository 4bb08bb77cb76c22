"""The seam every physics engine stands behind."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from robots.description import Robot
from robots.errors import TetherError


class EngineLost(TetherError):
    """An engine that lives in another process is gone, and what it simulated with it; what was saved before is not."""


class Simulator(abc.ABC):
    """Many copies of one robot, stepped together.

    All tensors are float, ``[num_envs, width]``, on `device`. Environments are selected by a boolean mask ``[num_envs]``, never by a
    Python loop or an index list, so that shapes stay fixed. Quaternions are (w, x, y, z), body to world. SI units.

    Attributes:
        robot: what is simulated.
        actuation_mode: key into ``robot.actuations``.
        control_dt: period of `step` [s].
        physics_dt: period of one physics sub-step [s]; divides ``control_dt``.
    """

    engine: ClassVar[str]
    robot: Robot
    actuation_mode: str
    num_envs: int
    device: torch.device
    control_dt: float
    physics_dt: float

    @abc.abstractmethod
    def reset(self, mask: Tensor, state: Mapping[str, Tensor]) -> None:
        """Put the environments in ``mask`` into ``state`` (keys of `privileged` that the engine can set); missing keys get rest values."""

    @abc.abstractmethod
    def step(self, actuation: Tensor) -> None:
        """Advance one control period under ``actuation`` ``[num_envs, actuation size]``, in the robot's units and channel order."""

    def pending(self, actuation: Tensor) -> Any:
        """What `advanced` makes a step of, so that it can be fused with what is made of the step:

            raw, left = simulator.advanced(simulator.pending(actuation))
            simulator.keep(left)

        is `step`, and gives `raw` as it is then. An engine that is no function of tensors steps here. As `raw`, nested tensors.
        """
        self.step(actuation)
        return self.raw()

    def advanced(self, pending: Any) -> tuple[Any, Any]:
        """`raw` after the step, and what `keep` is to remember; pure."""
        return pending, ()

    def keep(self, left: Any) -> None:  # noqa: B027  an engine that has stepped already has nothing to
        """Remember what a step has left."""

    @abc.abstractmethod
    def signals(self) -> dict[str, Tensor]:
        """Ideal sensor readings, by the names in ``robot.sensors``."""

    @abc.abstractmethod
    def privileged(self) -> dict[str, Tensor]:
        """What only simulation knows: full state, contacts, wrenches; `signals` are part of it."""

    def raw(self) -> Any:
        """What `interpret` turns into `privileged`: tensors ``[num_envs, …]`` in nested tuples and dicts."""
        return self.privileged()

    def interpret(self, raw: Any) -> dict[str, Tensor]:
        """`privileged` from `raw`; pure, so that it can be fused with what is made of it."""
        return dict(raw)

    @abc.abstractmethod
    def parameters(self) -> dict[str, Tensor]:
        """Current physical parameters by name ``[num_envs, width]``; `randomize` accepts these names."""

    @abc.abstractmethod
    def randomize(self, mask: Tensor, parameters: Mapping[str, Tensor]) -> None:
        """Set parameters of the environments in ``mask``; raises `TetherError` for a name the engine does not have."""

    def begin(self, mask: Tensor, state: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> None:
        """`randomize`, then `reset`; an engine may do both faster at once."""
        self.randomize(mask, parameters)
        self.reset(mask, state)

    def beginning(self, mask: Tensor, state: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> tuple[Any, Any]:
        """What changes in `begin` and what `begun` makes of it is made of, so that it can be fused with what follows:

            old, given = simulator.beginning(mask, state, parameters)
            new, raw = simulator.begun(old, given)
            simulator.began(mask, new where ``mask`` is set, old elsewhere, given)

        is `begin`. An engine that is no function of tensors begins here.
        """
        self.begin(mask, state, parameters)
        return (), self.raw()

    def begun(self, old: Any, given: Any) -> tuple[Any, Any]:
        """What ``old`` becomes where an episode begins, and `raw` there; pure."""
        return old, given

    def began(self, mask: Tensor, new: Any, given: Any) -> None:  # noqa: B027  an engine that has begun already has nothing to
        """Remember it; raises `TetherError` as `begin`."""

    @abc.abstractmethod
    def apply_wrench(self, force_in_world: Tensor, torque_in_base: Tensor) -> None:
        """External force [N] and torque [N·m] on the base, ``[num_envs, 3]`` each, held until set again."""

    @abc.abstractmethod
    def push(self, velocity_change_in_world: Tensor) -> None:
        """Change the base's linear velocity at once by ``[num_envs, 3]`` m/s; zeros leave an environment alone."""

    def detach(self) -> None:
        """Cut the state off the graph that led to it, for truncated back-propagation; an engine with gradients overrides this."""
        raise TetherError(f"the engine {self.engine} has no gradients; train by ppo on it, or use another --sim")

    @abc.abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit."""

    @abc.abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
