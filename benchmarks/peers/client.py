"""A worker process: another interpreter, in an environment of its own, that times its engine when told to."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.peers.cases import OURS
from robots.errors import TetherError

WORKERS = Path(__file__).parent / "workers"
REMEDY = "build it with: make peers"


class CaseError(TetherError):
    """A worker that cannot run a case, or has died over it."""


def interpreter(engine: str, environments: Path) -> Path:
    """The Python that has ``engine``; raises `TetherError` with the remedy where there is none."""
    if engine == OURS:
        return Path(sys.executable)
    python = environments / engine / "bin" / "python"
    if not python.exists():
        raise TetherError(f"there is no environment for {engine} at {environments / engine}; {REMEDY}")
    return python


class Worker:
    """Starts ``workers/run_ENGINE.py`` by its path, so that nothing of ours can be imported in a peer's name."""

    def __init__(self, engine: str, python: Path, device: str) -> None:
        self.engine = engine
        self.folder = tempfile.TemporaryDirectory(prefix="tether-peer-")  # simulators leave logs where they run
        self.errors = Path(self.folder.name, "stderr").open("w+")  # noqa: SIM115  (closed in __exit__)
        cores = str(len(os.sched_getaffinity(0)))
        settings = {"OMP_NUM_THREADS": cores, "MKL_NUM_THREADS": cores, "PYTHONNOUSERSITE": "1", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        self.process = subprocess.Popen(
            [str(python.absolute()), str(WORKERS / f"run_{engine}.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            cwd=self.folder.name,
            env=os.environ | settings | ({"JAX_PLATFORMS": "cpu"} if device == "cpu" else {}),
            text=True,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self.errors):
            with contextlib.suppress(BrokenPipeError):  # a request that it did not live to read
                file.close()
        self.folder.cleanup()

    def ask(self, **request: Any) -> dict[str, Any]:
        """One request, one answer; raises `CaseError` for an error, or with the last words of a worker that has died."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            while (line := self.process.stdout.readline()) and not line.startswith("{"):
                pass  # what a library printed while it was imported
        except BrokenPipeError:
            line = ""
        if not line:
            self.errors.seek(0)
            words = self.errors.read().strip().splitlines() or ["nothing"]
            raise CaseError(f"the worker of {self.engine} ended; it said last: {words[-1]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise CaseError(f"{self.engine}: {answer['error']}")
        return answer
