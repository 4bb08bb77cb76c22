"""`Fused`: a function of tensors that runs as one kernel where it can, and eagerly, with one warning, where it cannot."""

from __future__ import annotations

import operator
import os
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sim.fused.build import BuildError, count_time
from sim.fused.flag import Flag
from sim.fused.graph import Untraceable
from sim.fused.loop import repeated
from sim.fused.plan import Call, Plan
from sim.fused.source import BLOCK
from sim.fused.structure import flatten, kind_of, map_tensors, unflatten
from sim.fused.traced import Traced, recording

SWITCH = "TETHER_FUSE"  # 0 runs everything eagerly
_warned: set[str] = set()
_rehearsing = Flag()
_all_eager = Flag()  # within what is rehearsed: it will be one kernel, in which what it calls has no own
rehearsal = _rehearsing.raised  # inside, everything runs eagerly while the kernels for it are compiled side by side


class Fused:
    """``function`` as one kernel, forward and backward.

    Arguments and results are tensors in nested dicts, tuples and NamedTuples; ``None``, numbers and text among the arguments are fixed
    when a kernel is made. Tensors that the function reaches in other ways are constants; results that depend on no argument come back as
    they were when the kernel was made. Every tensor has the same environments along
    ``batch_axis``, or one row for all. Fewer environments than `BLOCK` are not worth a kernel and run eagerly.

    With ``steps`` the function maps ``(carry, of_step, constants)`` to the next carry and runs so many times; tensors in ``of_step`` have
    a leading axis of that length, and environments along their last. Only the final carry comes back.

    Called by a function that is itself being made a kernel, it becomes part of that one.

    Args:
        function: pure; of operations in `sim.fused.functions.FUNCTIONS`. Anything else is no error: it runs eagerly, after a warning.
        name: for the warning.
        batch_axis: 0, or −1 for feature-major tensors.
        result_axis: the same for results; by default as for arguments.
        steps: how often to run; None for once.
    """

    def __init__(
        self, function: Callable[..., Any], name: str, *, batch_axis: int = 0, result_axis: int | None = None, steps: int | None = None
    ) -> None:
        self.function, self.name, self.steps = function, name, steps
        self.batch_axis, self.result_axis = batch_axis, batch_axis if result_axis is None else result_axis
        self._plans: dict[Any, Plan | None] = {}
        self._last: Call | None = None
        self._off = os.environ.get(SWITCH) == "0"
        self.pads = False  # fill up to `BLOCK` environments where there are fewer, and no gradients: for one robot in real time

    def __call__(self, *args: Any) -> Any:
        if self._off or _all_eager.up:
            return self.eager(*args)
        if recording.up:
            return self.inlined(*args)
        call = self._last
        taken = None if call is None or self.pads else call.leaves(args)
        if call is not None and taken is not None and call.takes(taken):
            return self._called(call, taken, args)
        leaves: list[Any] = []
        structure = flatten(args, leaves)
        if self.pads and (few := self._few(leaves)):
            return self._padded(structure, leaves, few)
        if call is None or structure != call.structure or not call.takes(leaves):
            try:
                call = self._last = Call(structure, leaves, *self._plan(structure, leaves))
            except BuildError as error:
                return self._refused(structure, leaves, args, error)
        return self._called(call, leaves, args)

    def _called(self, call: Call, leaves: list[Any], args: Any) -> Any:
        """The function of these arguments, which the call takes."""
        if call.plan is None:
            return self.eager(*args)
        try:
            return self._rehearsed(*args) if _rehearsing.up else self._run(call.plan, call, leaves, args)
        except BuildError as error:
            return self._refused(call.structure, leaves, args, error)

    def _refused(self, structure: Any, leaves: list[Any], args: Any, error: BuildError) -> Any:
        """The same without a kernel, now and from now on."""
        self._plans[self._key(structure, leaves)] = self._last = None
        self._warn(error)
        return self.eager(*args)

    def _few(self, leaves: list[Any]) -> int:
        """How many environments there are, if that is fewer than a kernel wants and no gradient is; else 0."""
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        count = max(tensor.shape[self.batch_axis] for tensor in tensors)
        return 0 if count >= BLOCK or any(tensor.requires_grad for tensor in tensors) else count

    def _padded(self, structure: Any, leaves: list[Any], count: int) -> Any:
        """The same for `BLOCK` environments of which the last are repeated; results of the first ``count``."""
        chosen = torch.arange(BLOCK).clamp(max=count - 1)
        wide = [
            leaf.expand(*_with(leaf, self.batch_axis, BLOCK))
            if leaf.shape[self.batch_axis] == 1
            else leaf.index_select(self.batch_axis, chosen)
            for leaf in leaves
            if isinstance(leaf, Tensor)
        ]
        filled = iter(wide)
        args = unflatten(structure, iter([next(filled) if isinstance(leaf, Tensor) else leaf for leaf in leaves]))
        return map_tensors(self(*args), lambda tensor: tensor.narrow(self.result_axis, 0, count))

    def _run(self, plan: Plan, call: Call, leaves: list[Any], args: Any) -> Any:
        return plan.run(call, leaves)

    def eager(self, *args: Any) -> Any:
        """The function itself."""
        if self.steps is None:
            return self.function(*args)
        carry, of_step, constants = args
        for step in range(self.steps):
            carry = self.function(carry, map_tensors(of_step, operator.itemgetter(step)), constants)
        return carry

    def _rehearsed(self, *args: Any) -> Any:
        with _all_eager.raised():
            return self.eager(*args)

    def inlined(self, *args: Any) -> Any:
        """The function on traced arguments."""
        return self.function(*args) if self.steps is None else repeated(self.function, self.steps, *args)

    def _plan(self, structure: Any, leaves: list[Any]) -> tuple[Plan | None, int]:
        """The plan for these arguments, whatever the number of environments, and that number; no plan where there is no kernel."""
        count = max(leaf.shape[self.batch_axis] for leaf in leaves if isinstance(leaf, Tensor))
        if count < BLOCK:
            return None, count
        key = self._key(structure, leaves)
        if key not in self._plans:
            begin = time.perf_counter()
            try:
                self._plans[key] = Plan(self.inlined, self.batch_axis, self.result_axis, structure, leaves)
            except (Untraceable, BuildError) as error:
                self._plans[key] = None
                self._warn(error)
            count_time(time.perf_counter() - begin)
        return self._plans[key], count

    def _key(self, structure: Any, leaves: list[Any]) -> Any:
        """What a plan depends on."""
        return (structure, *[kind_of(leaf, self.batch_axis) for leaf in leaves])

    def _warn(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, BuildError) else f"{self.name}: {error}"
        if reason not in _warned:
            _warned.add(reason)
            warnings.warn(f"running eagerly, several times slower, for there is no fused kernel: {reason}", RuntimeWarning, stacklevel=3)


class Update(Fused):
    """``function(old, …)`` gives new values for ``old``; ``update(mask, old, …)`` takes them where ``mask`` ``[n]`` is set.

    Without gradients, and where the memory of ``old`` allows it, it is changed in place, and only blocks in which the mask is set anywhere
    cost time: what remembers ``old``, remembers the new values. A graph that still needs the old ones complains when it is differentiated.
    """

    def __init__(self, function: Callable[..., Any], name: str, *, batch_axis: int = 0) -> None:
        def chosen(mask: Tensor, old: Any, *args: Any) -> Any:
            return choose(mask, function(old, *args), old, batch_axis)

        super().__init__(chosen, name, batch_axis=batch_axis)

    def _run(self, plan: Plan, call: Call, leaves: list[Any], args: Any) -> Any:
        in_place = not torch.is_grad_enabled() and not call.count % BLOCK and plan.update(call, leaves)
        return args[1] if in_place else plan.run(call, leaves)


def _with(tensor: Tensor, axis: int, size: int) -> list[int]:
    """The shape of ``tensor`` with another size along ``axis``."""
    shape = list(tensor.shape)
    shape[axis] = size
    return shape


def choose(mask: Tensor, new: Any, old: Any, batch_axis: int = 0) -> Any:
    """``new`` where ``mask`` ``[n]`` is set, ``old`` elsewhere, in nested dicts and tuples; what is no tensor is taken from ``new``."""
    if isinstance(new, Mapping):
        return {name: choose(mask, value, old[name], batch_axis) for name, value in new.items()}
    if isinstance(new, tuple):
        parts = [choose(mask, *pair, batch_axis) for pair in zip(new, old, strict=True)]
        return type(new)(*parts) if hasattr(new, "_fields") else tuple(parts)
    if not isinstance(new, (Tensor, Traced)):
        return new
    chosen: Any = torch.where(mask.view(-1, *[1] * (new.ndim - 1)) if batch_axis == 0 else mask, new, old)  # type: ignore[arg-type]
    return chosen
