"""What may be evaluated: any function from an observation to an action, from an ONNX file or from a Python module."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from robots.errors import TetherError

Policy = Callable[[np.ndarray], np.ndarray]


class OnnxPolicy:
    """One observation in, one action out, on one thread.

    Args:
        path: of the file; its input has the shape ``[size]`` or ``[1, size]``, of float or double.

    Raises:
        TetherError: for a file that ONNX Runtime cannot read, and for one with other inputs or outputs.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise TetherError(f"{path} cannot be read as ONNX: {error}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            names = ", ".join(node.name for node in inputs), ", ".join(node.name for node in outputs)
            raise TetherError(
                f"{path} takes {names[0]} and gives {names[1]}; a policy for Gymnasium's tasks takes one observation and gives one action "
                "(Tether's own policy files are flown by tether evaluate)"
            )
        self._name, self._rank = inputs[0].name, len(inputs[0].shape)
        self._dtype = np.float64 if inputs[0].type == "tensor(double)" else np.float32
        self.size = inputs[0].shape[-1] if self._rank and isinstance(inputs[0].shape[-1], int) else None

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        given = observation.astype(self._dtype)
        return np.asarray(self._session.run(None, {self._name: given[None] if self._rank == 2 else given})[0])


def load(source: str, observation_size: int, action_size: int) -> Policy:
    """The policy that ``source`` names, for a task of these sizes.

    Args:
        source: ``FILE.onnx``, or ``MODULE:FUNCTION``, found as Python finds modules, and in the current directory.
        observation_size, action_size: of the task.

    Raises:
        TetherError: for what is neither, is not there, or does not fit the task.
    """
    policy: Policy
    if source.endswith(".onnx"):
        policy = OnnxPolicy(_existing(Path(source)))
        if policy.size not in (None, observation_size):
            raise TetherError(f"{source} takes {policy.size} numbers, and this task observes {observation_size}; is it another task's?")
    else:
        policy = _function(source)
    action = np.asarray(policy(np.zeros(observation_size)))
    if action.size != action_size:
        raise TetherError(f"{source} gives an action of shape {list(action.shape)}; this task has {action_size} actuators")
    return policy


def source_digest(source: str) -> str:
    """What tells the policy that ``source`` names, which has been loaded, from others: a SHA-256 of its file, and a function's name.

    A function's file is that of its module; what that imports does not count.
    """
    if source.endswith(".onnx"):
        return hashlib.sha256(Path(source).read_bytes()).hexdigest()
    name, _, attribute = source.partition(":")
    code = inspect.getsource(sys.modules[name])
    return f"{hashlib.sha256(code.encode()).hexdigest()}:{attribute}"


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise TetherError(f"there is no file {path}")
    return path


def _function(source: str) -> Policy:
    name, _, attribute = source.partition(":")
    if not (name and attribute):
        raise TetherError(f"{source!r} is no policy; give FILE.onnx, or MODULE:FUNCTION of a Python function from observation to action")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(name), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise TetherError(f"{source}: {error}") from error
    if not callable(found):
        raise TetherError(f"{source} is a {type(found).__name__}; give a function from observation to action")
    policy: Policy = found
    return policy
