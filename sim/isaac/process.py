"""A worker process, from the trainer's side: start it, ask it, notice that it ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from robots.errors import TetherError
from sim.isaac.workers import protocol
from sim.simulator import EngineLost

TREE = Path(__file__).parents[2]
WORKERS = Path(__file__).parent / "workers"
PATIENCE_S = 900.0  # Isaac compiles its kernels when they are first asked for, on a slow machine for minutes
KEPT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME")  # of the environment
KEPT_PREFIXES = ("CUDA_", "NVIDIA_", "WARP_", "OMP_", "ISAAC")


class Kind(NamedTuple):
    """An Isaac that workers run.

    Attributes:
        name: of the engine, as ``--sim`` takes it.
        title: for people.
        folder: of the worker, under `WORKERS`.
        variable: environment variable that names the Python which has it.
        default: that Python where the variable is not set, under the tree.
        remedy: how to get it.
    """

    name: str
    title: str
    folder: str
    variable: str
    default: str
    remedy: str


ISAAC_LAB = Kind("isaac", "Isaac Lab", "isaac_lab", "TETHER_ISAAC_PYTHON", ".venv-isaac/bin/python", "build it with: make isaac-env")
ISAAC_GYM = Kind(
    "isaacgym",
    "Isaac Gym",
    "isaac_gym",
    "TETHER_ISAACGYM_PYTHON",
    ".venv-isaacgym/bin/python",
    "install NVIDIA's Isaac Gym Preview 4 for Python 3.8 yourself, as sim/isaac/workers/isaac_gym/README.md says",
)


def interpreter(kind: Kind) -> Path:
    """The Python that has this Isaac; raises `TetherError` with the remedy where there is none."""
    named = os.environ.get(kind.variable)
    python = Path(named) if named else TREE / kind.default
    if not python.is_file():
        where = f"{kind.variable} names {python}, which is not there" if named else f"there is no {python}"
        raise TetherError(f"--sim {kind.name} needs a Python with {kind.title}, and {where}; {kind.remedy}, or set {kind.variable}")
    return python


def environment() -> dict[str, str]:
    """What a worker may know of ours: nothing that would lead it to our packages."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith(KEPT_PREFIXES)}
    return kept | {"PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1"}


class Worker:
    """One engine in a process of its own, that ends with this object or with this process.

    Args:
        kind: which Isaac.
        build: the robots; ``memory`` is filled in here.

    Attributes:
        arrays: what both sides see, as tensors on the engine's device; `protocol.fields`.
        versions: of the worker's packages and Python.

    Raises:
        TetherError: where there is no such Isaac, it cannot be used, speaks another protocol, or does not take the robot.
    """

    def __init__(self, kind: Kind, build: protocol.Build) -> None:
        self.kind, self.device = kind, torch.device(build.device)
        layout = protocol.fields(build)
        file = -1
        if self.device.type == "cpu":
            file = os.memfd_create(f"tether-{kind.name}")
            os.ftruncate(file, protocol.size(layout))
        try:
            self._start(file)
            self._greet()
            answer = self.ask("build", build=build._replace(memory=file)._asdict())
            self.arrays = self._arrays(file, layout, answer)
        finally:
            if file >= 0:
                os.close(file)

    def _start(self, file: int) -> None:
        python = interpreter(self.kind).absolute()
        folder = Path(tempfile.mkdtemp(prefix=f"tether-{self.kind.name}-"))  # simulators leave logs where they run
        self.log = folder / "stderr"
        with self.log.open("wb") as errors:
            self.process = subprocess.Popen(
                [str(python), str(WORKERS / self.kind.folder / "worker.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env=environment(),
                pass_fds=(file,) if file >= 0 else (),
                start_new_session=True,  # Ctrl-C is for the trainer, who ends it in order
            )
        self._end = weakref.finalize(self, _end, self.process, folder)

    def close(self) -> None:
        """End the process; also happens when nobody holds this object any more."""
        self._end()

    def _greet(self) -> None:
        words = self._hear("starting")
        if words["protocol"] != protocol.VERSION:
            self.close()
            raise TetherError(
                f"the worker of {self.kind.title} speaks protocol {words['protocol']}, this Tether speaks {protocol.VERSION}; "
                f"use the workers of one installation"
            )
        self.versions: dict[str, str] = {"python": words["python"], **words["versions"]}

    def _arrays(self, file: int, layout: Mapping[str, protocol.Field], answer: Mapping[str, Any]) -> dict[str, Tensor]:
        if self.device.type == "cpu":
            return {name: torch.from_numpy(array) for name, array in protocol.shared(file, dict(layout)).items()}
        torch.cuda.init()
        pointer = protocol.Cuda(self.device.index or 0).open(answer["handle"])
        return {name: self._opened(pointer, field) for name, field in layout.items()}

    def _opened(self, pointer: int, field: protocol.Field) -> Tensor:
        if 0 in field.shape:  # which torch does not take from anybody
            return torch.zeros(field.shape, device=self.device)
        return torch.as_tensor(protocol.OnDevice(pointer, field), device=self.device)

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """One request, one answer.

        Raises:
            TetherError: for what the engine refuses.
            EngineLost: when the process has ended, or does not answer for `PATIENCE_S`.
        """
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # the other process must see what was written
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            raise self._lost(do) from None
        return self._hear(do)

    def _hear(self, doing: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
        line = self.process.stdout.readline() if ready else b""
        if not line.endswith(b"\n"):
            raise self._lost(doing, silent=not ready)
        words: dict[str, Any] = json.loads(line)
        if "error" in words:
            raise TetherError(f"{self.kind.title}: {words['error']}")
        return words

    def _lost(self, doing: str, silent: bool = False) -> EngineLost:
        """The error about a process that does not answer; it is ended."""
        if not self._end.alive:
            return EngineLost(f"the process of {self.kind.title} has ended; nothing can be asked of it any more")
        what = f"did not answer for {PATIENCE_S:.0f} s" if silent else self._ended()
        said = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()] or ["nothing"]
        self.close()
        return EngineLost(f"the process of {self.kind.title} {what} at {doing!r}; it said last: {said[-1]}")

    def _ended(self) -> str:
        """How a process ended that has closed its output."""
        try:
            code = self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            return "closed its output"
        return f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Ask by closing its input; then insist."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # a request that it did not live to read
                pipe.close()
    try:
        process.wait(5.0 if not sys.is_finalizing() else 0.5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)
