"""Compile kernels, keep them on disk, load them.

A shared library is named by the SHA-256 of its source, flags, compiler and processor, so that a cache is never stale; it is written beside
its final name and renamed, so that processes may share a cache. Compilers run in the background until a kernel is first called.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FLAGS = (
    "-O1",
    "-ftree-vectorize",
    "-march=native",
    "-mprefer-vector-width=512",
    "-fopenmp",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-fno-plt",
)
GNU = ("-fdisable-rtl-combine",)  # a pass that takes a minute over random numbers, and makes nothing faster
X86 = ("-mprefer-vector-width=512",)  # all of a register where it is so wide: a kernel is no passing phase, for which half would do
SHARED = ("-shared", "-fPIC", "-x", "c++")


class BuildError(Exception):
    """Why there is no kernel; one line."""


def cache_directory() -> Path:
    """``$TETHER_CACHE``, else ``tether`` in the user's cache directory."""
    given = os.environ.get("TETHER_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tether"


@functools.cache
def compiler() -> str:
    """Path of the C++ compiler: ``$CXX``, else c++, g++ or clang++; raises `BuildError` when there is none."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        path = shutil.which(name) if name else None
        if path:
            return path
    raise BuildError("there is no C++ compiler; install g++, or name one in CXX")


@functools.cache
def _machine() -> str:
    """What decides the meaning of ``-march=native``, and the compiler's version."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    except OSError:
        processor = platform.processor()
    version = subprocess.run([compiler(), "--version"], capture_output=True, text=True, check=False).stdout
    return processor + version


def flags() -> tuple[str, ...]:
    """For the compiler there is."""
    of_compiler = GNU if "Free Software Foundation" in _machine() else ()
    return (*FLAGS, *of_compiler, *(X86 if platform.machine() in ("x86_64", "AMD64") else ()))


_spent_s = 0.0


def count_time(seconds: float) -> None:
    """Count time that somebody waited for a kernel."""
    global _spent_s
    _spent_s += seconds


def spent_s() -> float:
    """How long this process has waited for kernels to be traced, compiled and loaded [s]; what ran in the background is not in it."""
    return _spent_s


class Build:
    """A library on its way: found in the cache, or being compiled in the background.

    Args:
        source: C++ text.

    Raises:
        BuildError: when there is no compiler; `load` raises it when compiling fails or the library cannot be kept.
    """

    def __init__(self, source: str) -> None:
        key = "\0".join((source, *flags(), compiler(), _machine()))
        self.path = cache_directory() / "kernels" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.so"
        self._compiling = None if self.path.exists() else workers().submit(_compile, source, self.path)

    def load(self) -> ctypes.CDLL:
        """The library, once it is compiled; raises `BuildError` with the compiler's first complaint."""
        begin = time.perf_counter()
        try:
            if self._compiling is not None:
                self._compiling.result()
            return ctypes.CDLL(str(self.path))
        except OSError as error:
            raise BuildError(f"the compiled kernel cannot be kept or loaded: {error}") from error
        finally:
            count_time(time.perf_counter() - begin)


@functools.cache
def workers() -> ThreadPoolExecutor:
    """Threads for compilers."""
    return ThreadPoolExecutor(os.cpu_count(), "compiler")


def _compile(source: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(suffix=".partial", dir=path.parent)
    os.close(descriptor)
    try:
        command = [compiler(), *flags(), *SHARED, "-o", partial, "-"]
        done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["no message"]
            raise BuildError(f"{compiler()} failed: {lines[0]}")
        os.replace(partial, path)
    finally:
        Path(partial).unlink(missing_ok=True)
