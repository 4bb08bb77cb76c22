"""What measuring adds to the truth: noise, bias, misalignment and delay, once for every engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from robots.errors import TetherError, unknown
from robots.signals import Sensor
from sim.checks import check_mask
from sim.fused.fuse import Update
from sim.fused.remembered import Remembered
from sim.quaternions import PRODUCT, quadratic
from sim.random_numbers import Key, RandomNumbers, normal

QUATERNION = ("w", "x", "y", "z")
VECTOR = ("x", "y", "z")
SAVED = ("noise", "bias", "turn", "delay", "fresh", "history")


Columns = tuple[tuple[Tensor, ...], ...]  # noise and bias, one ``[num_envs, width]`` or ``[1, width]`` a sensor


class Errors(NamedTuple):
    """Of one reading, ``[num_envs, sum of widths]``: bias, standard deviation of the noise, and what its random numbers follow from.

    ``turn``: rotation vectors of the vectors' axes ``[num_envs, 3 · vectors]``, None where nobody ever turned one.
    """

    bias: Tensor
    noise: Tensor
    key: Key
    turn: Tensor | None


class SensorModel:
    """reading(t) = signal(t − delay) + bias + noise, with zero-mean normal noise drawn afresh at every `read`.

    Noise and bias of a quaternion (channels w, x, y, z) are rotation vectors in the body frame [rad], width 3: q ⊗ exp(½ (bias + noise)).
    A vector (channels x, y, z) may be seen in axes that are turned by a rotation vector v from those it should be in: R(v)ᵀ signal.

    Args:
        sensors: what is read, for example ``robot.sensors``.
        num_envs: number of environments.
        numbers: the source of noise; their state is saved with the rest.
        device, dtype: of the readings.
        max_delay: longest delay [control steps] that `reset` may set; 0 keeps no history.
    """

    def __init__(
        self,
        sensors: Sequence[Sensor],
        num_envs: int,
        numbers: RandomNumbers,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        max_delay: int = 0,
    ) -> None:
        self.sensors, self.num_envs, self.max_delay = tuple(sensors), num_envs, max_delay
        self.numbers, self.device, self.dtype = numbers, torch.device(device), dtype
        self.widths = {sensor.name: 3 if sensor.channels == QUATERNION else sensor.size for sensor in sensors}
        self.vectors = [sensor.name for sensor in sensors if sensor.channels == VECTOR]
        self._product = 0.5 * quadratic(PRODUCT, "abc", self.device, dtype).t()
        total = sum(self.widths.values())
        self._noise, self._bias = torch.zeros(2, total, num_envs, device=device, dtype=dtype).mT
        self._nothing = torch.zeros(1, max(total, 3), device=device, dtype=dtype)
        self._turn = torch.zeros(num_envs, 3 * len(self.vectors), device=device, dtype=dtype)
        self._remembered = Remembered(self._given, dtype, self.device)
        self._straight = True  # nobody ever turned a vector's axes
        self._key: Key | None = None  # of the last reading
        self._begin = Update(lambda old, given: begun(given, len(old[0])), "the start of sensors")
        self._delay = torch.zeros(num_envs, 1, device=device, dtype=torch.long)
        self._fresh = torch.ones(num_envs, 1, device=device, dtype=torch.bool)
        self._history = torch.zeros(max_delay + 1, num_envs, sum(s.size for s in sensors), device=device, dtype=dtype)
        self._silent = True  # nobody ever asked for noise or bias: readings are the signals themselves, and nothing is drawn

    def reset(
        self,
        mask: Tensor,
        *,
        noise: Mapping[str, Tensor] | None = None,
        bias: Mapping[str, Tensor] | None = None,
        turn: Mapping[str, Tensor] | None = None,
        delay: Tensor | None = None,
    ) -> None:
        """Begin an episode in the environments of ``mask``: the next reading fills their history, and what is not given becomes zero.

        Args:
            mask: bool ``[num_envs]``.
            noise: standard deviations by sensor name, ``[num_envs, width]`` or ``[num_envs, 1]``.
            bias: constant errors, likewise.
            turn: rotation vectors of a vector's axes by sensor name [rad], ``[num_envs, 3]``.
            delay: whole control steps ``[num_envs]``, at most ``max_delay``.

        Raises:
            TetherError: for a sensor that is not read, a shape that does not fit, or a delay beyond ``max_delay``.
        """
        given = self.asked(mask, noise=noise, bias=bias, turn=turn, delay=delay)
        self.take(self._begin(mask, self.levels, given))

    def asked(
        self,
        mask: Tensor,
        *,
        noise: Mapping[str, Tensor] | None = None,
        bias: Mapping[str, Tensor] | None = None,
        turn: Mapping[str, Tensor] | None = None,
        delay: Tensor | None = None,
    ) -> Columns:
        """`reset` but for noise and bias, whose new `levels` are `begun` of what this returns, so that they can be part of a kernel:

        model.take(where ``mask`` is set `begun(model.asked(mask, …))`, elsewhere `levels`)
        """
        check_mask(mask, self.num_envs)
        rows = mask.unsqueeze(1)
        given: Columns = self._remembered(noise or {}, bias or {})
        self._silent &= not noise and not bias and not turn
        self._straight &= not turn
        if not self._straight:
            axes = self._columns(turn or {}, "turned axes", dict.fromkeys(self.vectors, 3))
            self._turn = torch.where(rows, torch.cat([column.expand(self.num_envs, -1) for column in axes], dim=1), self._turn)
        if delay is not None or self.max_delay:
            self._postpone(rows, delay)
        return given

    def _given(self, noise: Mapping[str, Tensor], bias: Mapping[str, Tensor]) -> Columns:
        return tuple([self._columns(values, what, self.widths) for values, what in ((noise, "noise"), (bias, "bias"))])

    def _postpone(self, rows: Tensor, delay: Tensor | None) -> None:
        """Let what begins in ``rows`` ``[num_envs, 1]`` be so late."""
        if delay is not None:
            if delay.shape != (self.num_envs,) or bool(((delay < 0) | (delay > self.max_delay)).any()):
                raise TetherError(f"sensor delays must be whole steps in 0…{self.max_delay}, shape [{self.num_envs}]; or set max_delay")
            self._delay = torch.where(rows, delay.to(self.device, torch.long).unsqueeze(1), self._delay)
        else:
            self._delay = self._delay.masked_fill(rows, 0)
        self._fresh = self._fresh | rows

    @property
    def levels(self) -> tuple[Tensor, Tensor]:
        """Noise and bias, ``[num_envs, sum of widths]`` each."""
        return self._noise, self._bias

    def take(self, levels: tuple[Tensor, Tensor]) -> None:
        """Have these `levels`."""
        self._noise, self._bias = levels

    def _columns(self, values: Mapping[str, Tensor], what: str, widths: Mapping[str, int]) -> tuple[Tensor, ...]:
        """One ``[num_envs, width]`` or ``[1, width]`` a sensor of ``widths``."""
        for name in values:
            if name not in widths:
                raise unknown(f"sensor for {what}", name, list(widths))
        return tuple([self._column(values.get(name), width, f"{what} of {name}") for name, width in widths.items()])

    def _column(self, value: Tensor | None, width: int, what: str) -> Tensor:
        if value is None:
            return self._nothing[:, :width]
        if value.shape not in ((self.num_envs, width), (self.num_envs, 1)):
            raise TetherError(f"{what} has shape {list(value.shape)}; expected [{self.num_envs}, {width}] or [{self.num_envs}, 1]")
        return value.to(self.device, self.dtype).expand(-1, width)

    def read(self, signals: Mapping[str, Tensor], only: Tensor | None = None) -> dict[str, Tensor]:
        """Readings by sensor name, once a control step, from a mapping with at least the sensors' ideal values ``[num_envs, size]``.

        Args:
            signals: ideal values by sensor name.
            only: bool ``[num_envs]``, environments for which this is a new step; in the others time stands still. All by default.
        """
        return self.disturbed(self.delayed(signals, only), self.draw())

    def draw(self) -> Errors | None:
        """The errors of one reading; None while nobody has asked for any."""
        if self._silent:
            return None
        self._key = self.numbers.advance()
        return self._errors(self._key)

    def drawn(self) -> Errors | None:
        """The errors of the last `draw` once more, for environments in which nobody has seen them."""
        return None if self._silent else self._errors(self._key or self.numbers.key)

    def _errors(self, key: Key) -> Errors:
        return Errors(self._bias, self._noise, key, None if self._straight else self._turn)

    def disturbed(self, values: Mapping[str, Tensor], errors: Errors | None) -> dict[str, Tensor]:
        """Readings from delayed values; pure, so that it may be part of a fused kernel."""
        if errors is None:
            return dict(values)
        if errors.turn is not None:
            axes = errors.turn.split([3] * len(self.vectors), dim=1)
            values = {**values, **{name: seen_from(axis, values[name]) for name, axis in zip(self.vectors, axes, strict=True)}}
        drawn = normal(errors.key, 0, sum(self.widths.values()), self.dtype)
        parts = torch.addcmul(errors.bias, errors.noise, drawn).split(list(self.widths.values()), dim=1)
        return {
            sensor.name: rotated(values[sensor.name], part, self._product) if sensor.channels == QUATERNION else values[sensor.name] + part
            for sensor, part in zip(self.sensors, parts, strict=True)
        }

    def delayed(self, signals: Mapping[str, Tensor], only: Tensor | None = None) -> dict[str, Tensor]:
        """What the sensors see of ``signals``, each environment as late as it is; arguments as for `read`."""
        missing = [sensor.name for sensor in self.sensors if sensor.name not in signals]
        if missing:
            raise TetherError(f"signals lack {', '.join(missing)}; the engine gives: {', '.join(signals)}")
        return dict(zip(self.widths, self._delayed([signals[sensor.name] for sensor in self.sensors], only), strict=True))

    def _delayed(self, values: list[Tensor], only: Tensor | None) -> list[Tensor]:
        if not self.max_delay:
            return values
        now = torch.cat(values, dim=1)
        past = torch.where(self._fresh, now, self._history[:-1])
        moved = torch.cat((now.unsqueeze(0), past))
        rows = None if only is None else only.unsqueeze(1)
        self._history = moved if rows is None else torch.where(rows, moved, self._history)
        self._fresh = torch.zeros_like(self._fresh) if rows is None else self._fresh & ~rows
        steps = self._delay.unsqueeze(0).expand(1, -1, now.shape[1])
        return list(self._history.gather(0, steps).squeeze(0).split([sensor.size for sensor in self.sensors], dim=1))

    def detach(self) -> None:
        """Cut the history off the graph that led to it; for truncated back-propagation."""
        self._history = self._history.detach()

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit, the random numbers included."""
        tensors = {name: getattr(self, f"_{name}").detach().clone() for name in SAVED}
        return tensors | {"silent": self._silent, "straight": self._straight, "numbers": self.numbers.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`; raises `TetherError` when it was saved for other sensors or another number of environments."""
        for name in SAVED:
            current = getattr(self, f"_{name}")
            if name not in state or state[name].shape != current.shape:
                raise TetherError(
                    f"this state was not saved by a sensor model with {self.num_envs} environments and sensors {', '.join(self.widths)}"
                )
            setattr(self, f"_{name}", state[name].to(current.device, current.dtype, copy=True))
        self._silent, self._straight = state["silent"], state["straight"]
        self.numbers.load_state_dict(state["numbers"])
        self._key = None


def begun(given: Columns, num_envs: int) -> tuple[Tensor, Tensor]:
    """`SensorModel.levels` from what was `SensorModel.asked`: columns side by side."""
    noise, bias = [torch.cat([column.expand(num_envs, -1) for column in columns], dim=1) for columns in given]
    return noise, bias


def rotated(quaternion: Tensor, vector: Tensor, product: Tensor) -> Tensor:
    """q ⊗ exp(½ v) for rotation vectors v in the body frame ``[n, 3]``, normalised. Off by |v|³/12: below 1e-5 rad up to 2°.

    ``product`` ``[12, 4]`` maps the products of elements of q and v to q ⊗ (0, ½ v).
    """
    turned = torch.addmm(quaternion, (quaternion.unsqueeze(2) * vector.unsqueeze(1)).flatten(1), product)
    return turned * turned.square().sum(1, keepdim=True).rsqrt()


def seen_from(turn: Tensor, vector: Tensor) -> Tensor:
    """R(v)ᵀ x = x − v × (x − ½ v × x) for rotation vectors v and vectors x ``[n, 3]``. Off by |v|³/6 of |x|: below 1e-5 up to 2°."""
    return vector - _cross(turn, vector - 0.5 * _cross(turn, vector))


def _cross(left: Tensor, right: Tensor) -> Tensor:
    (a, b, c), (x, y, z) = left.unbind(1), right.unbind(1)
    return torch.stack([b * z - c * y, c * x - a * z, a * y - b * x], dim=1)
