"""Child processes that never outlive their parent's block, and that say why they failed."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from robots.errors import TetherError

STOP_S = 10.0
BOOTSTRAP = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"  # inherited, it keeps a child of another environment from finding its ROS libraries


class Process:
    """A Python module run as a process, its output kept; leaving the block ends it."""

    def __init__(self, module: str, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        self.module = module
        self._output = tempfile.TemporaryFile(mode="w+", errors="replace")  # noqa: SIM115 closed on leaving the block
        merged = {**os.environ, **(environment or {})}
        merged.pop(BOOTSTRAP, None)
        command = [sys.executable, "-m", module, *arguments]
        self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT, env=merged)

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._child.pid

    def output(self) -> str:
        """Everything it has printed so far."""
        self._output.seek(0)
        return self._output.read()

    def check(self) -> None:
        """Raise `TetherError` with its last line if it has ended."""
        code = self._child.poll()
        if code is not None:
            lines = self.output().strip().splitlines() or ["it printed nothing"]
            raise TetherError(f"{self.module} ended with exit code {code}: {lines[-1]}")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._child.send_signal(number)

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Its exit code; raises `TetherError` if it does not end in time."""
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TetherError(f"{self.module} did not end within {timeout_s:g} s") from None

    def stop(self) -> int:
        """Ask it to end and return its exit code."""
        if self._child.poll() is None:
            self.send(signal.SIGTERM)
        return self.wait()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: Any) -> None:
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._output.close()


def parameters(values: Mapping[str, Any]) -> list[str]:
    """ROS arguments that set parameters; numbers in lists are floats, and floats stay floats."""
    arguments = ["--ros-args"]
    for name, value in values.items():
        arguments += ["-p", f"{name}:={_text(value)}"]
    return arguments


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(f"'{item}'" if isinstance(item, str) else _text(float(item)) for item in value) + "]"
    if isinstance(value, float):
        return f".{value}" if math.isinf(value) or math.isnan(value) else repr(value)  # .inf and .nan are how YAML writes them
    return str(value)
