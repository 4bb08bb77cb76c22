"""``tether doctor``: looks at this machine, and says what to do about what it finds.

Every check is a function that returns a `Finding`: ``fail`` means that something Tether needs is missing, ``warn`` that something it could
use is. Exit code 0 unless a check fails.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from pathlib import Path

from cli.main import Result
from robots.errors import TetherError

HELP = "Check this machine and say what to do about what it finds."

GIBIBYTE = 2**30
ROS_WHEELS = "pip install 'tether[ros]', or source /opt/ros/DISTRO/setup.bash"


@dataclass(frozen=True)
class Finding:
    """One line: what was checked, ``ok``, ``warn`` or ``fail``, what was found, and the remedy."""

    check: str
    status: str
    found: str
    remedy: str = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing beyond what every verb has."""


def run(args: argparse.Namespace) -> Result:
    """Run every check."""
    findings = [check() for check in CHECKS]
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        remedy = f"  → {finding.remedy}" if finding.remedy else ""
        print(f"{finding.status:<4}  {finding.check:<{width}}  {finding.found}{remedy}")
    counts = {status: sum(finding.status == status for finding in findings) for status in ("ok", "warn", "fail")}
    print(", ".join(f"{count} {status}" for status, count in counts.items()))
    return Result({**counts, "findings": [asdict(finding) for finding in findings]}, exit_code=1 if counts["fail"] else 0)


def system() -> Finding:
    """Operating system and Python."""
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        name = platform.system()
    found = f"{name}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    if platform.system() != "Linux":
        return Finding("system", "warn", found, "only Linux is tested")
    return Finding("system", "ok", found)


def distributions() -> Finding:
    """Both of our distributions, of one version."""
    versions = {name: metadata.version(name) for name in ("tether", "tether-robot")}
    found = ", ".join(f"{name} {version}" for name, version in versions.items())
    if len(set(versions.values())) > 1:
        return Finding("tether", "fail", found, "install one version of both: pip install --upgrade tether")
    return Finding("tether", "ok", found)


def names() -> Finding:
    """Other packages with our top-level names."""
    from tether_entry import clashes

    for name, path, owner in clashes():
        return Finding("names", "fail", f"{name} is also provided by {owner or path}", "give Tether an environment of its own")
    return Finding("names", "ok", "no other package has our top-level names")


def numpy() -> Finding:
    """NumPy's version."""
    import numpy

    return Finding("numpy", "ok", numpy.__version__)


def onnxruntime() -> Finding:
    """ONNX Runtime, its providers, and whether its CPU and GPU packages are in each other's way."""
    import onnxruntime

    providers = [name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()]
    found = f"{onnxruntime.__version__}, providers {', '.join(providers)}"
    if "CUDA" not in providers and _installed("onnxruntime-gpu"):
        remedy = "the CPU package hides the GPU one: pip uninstall -y onnxruntime; pip install --force-reinstall --no-deps onnxruntime-gpu"
        return Finding("onnxruntime", "warn", found, remedy)
    return Finding("onnxruntime", "ok", found)


def torch() -> Finding:
    """PyTorch and its devices."""
    import torch

    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    found = f"{torch.__version__}, {torch.get_num_threads()} threads, {', '.join(devices) or 'CPU only'}"
    if Path("/proc/driver/nvidia/version").exists() and not devices:
        return Finding("torch", "warn", found, "there is an NVIDIA driver, but this PyTorch finds no GPU: install a CUDA build")
    return Finding("torch", "ok", found)


def mujoco() -> Finding:
    """MuJoCo's version."""
    import mujoco

    return Finding("mujoco", "ok", mujoco.__version__)


def warp() -> Finding:
    """MuJoCo Warp's version."""
    versions = {name: _version(name) for name in ("mujoco-warp", "warp-lang")}
    if not all(versions.values()):
        return Finding("mujoco_warp", "warn", "not installed", "only --sim mujoco_warp needs it: pip install 'tether[warp]'")
    return Finding("mujoco_warp", "ok", ", ".join(f"{name} {version}" for name, version in versions.items()))


def isaac() -> Finding:
    """Whether there is an environment with Isaac Lab; what is in it shows when a worker starts."""
    from sim.isaac.process import ISAAC_LAB, interpreter

    try:
        return Finding("isaac", "ok", f"Isaac Lab's Python at {interpreter(ISAAC_LAB)}")
    except TetherError as error:
        return Finding("isaac", "warn", "no environment with Isaac Lab", str(error))


def compiler() -> Finding:
    """A C++ compiler, for packages that come without a wheel."""
    path = next((found for name in (os.environ.get("CXX", ""), "g++", "clang++", "c++") if name and (found := shutil.which(name))), None)
    if path is None:
        return Finding("compiler", "warn", "no C++ compiler", "only packages without a wheel need one: apt install g++")
    return Finding("compiler", "ok", path)


def ros() -> Finding:
    """Whether ROS 2 imports, and from where."""
    distribution = os.environ.get("ROS_DISTRO", "")
    try:
        import_module("rclpy")
    except ImportError as error:
        return Finding("ros", "warn", f"rclpy does not import ({error})", ROS_WHEELS)
    version = _version("ros-rclpy") or _version("rclpy")
    return Finding("ros", "ok", f"rclpy {version}, {distribution or 'from wheels'}")


def middleware() -> Finding:
    """The RMW implementation that would be used."""
    wanted = os.environ.get("RMW_IMPLEMENTATION", "")
    try:
        found = import_module("rclpy.utilities").get_rmw_implementation_identifier()
    except ImportError:
        return Finding("rmw", "warn", "none, for rclpy does not import", ROS_WHEELS)
    except Exception as error:  # the middleware's own loading errors have no common type
        return Finding("rmw", "fail", f"{wanted or 'default'} does not load: {error}", "unset RMW_IMPLEMENTATION, or install it")
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    return Finding("rmw", "ok", f"{found}, domain {domain}")


def clock() -> Finding:
    """Resolution of the monotonic clock, and how late a 2 ms sleep wakes up: 99th percentile of 100."""
    resolution = time.get_clock_info("monotonic").resolution
    late = sorted(_lateness(0.002) for _ in range(100))
    lateness = f"{late[50] * 1e3:.2f} ms late (p50), {late[98] * 1e3:.2f} ms (p99)"
    found = f"monotonic, resolution {resolution * 1e9:.0f} ns, a 2 ms sleep wakes {lateness}"
    if resolution > 1e-6:
        return Finding("clock", "fail", found, "the clock source is too coarse; see /sys/devices/system/clocksource")
    if late[98] > 0.002:
        return Finding("clock", "warn", found, "too busy to wake for a 500 Hz loop: stop other work, use the performance governor")
    return Finding("clock", "ok", found)


def _lateness(seconds: float) -> float:
    start = time.monotonic()
    time.sleep(seconds)
    return time.monotonic() - start - seconds


def realtime() -> Finding:
    """Whether this user may ask for real-time priority and lock memory."""
    priority, memory = resource.getrlimit(resource.RLIMIT_RTPRIO)[0], resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    locked = "unlimited" if memory == resource.RLIM_INFINITY else f"{memory // 1024} KiB"
    found = f"rtprio {priority}, memlock {locked}"
    if priority == 0 and os.geteuid() != 0:
        return Finding(
            "real time", "warn", found, "on the robot: put '@realtime - rtprio 98' into /etc/security/limits.conf, join that group"
        )
    return Finding("real time", "ok", found)


def governor() -> Finding:
    """CPU frequency governor."""
    files = sorted(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"))
    governors = sorted({file.read_text().strip() for file in files})
    if not governors:
        return Finding("governor", "ok", "not visible here")
    if governors != ["performance"]:
        return Finding("governor", "warn", ", ".join(governors), "on the robot: cpupower frequency-set -g performance")
    return Finding("governor", "ok", "performance")


def disk() -> Finding:
    """Space for runs and logs where we are."""
    free = shutil.disk_usage(".").free / GIBIBYTE
    status, remedy = ("warn", "make room for runs and logs") if free < 2 else ("ok", "")
    return Finding("disk", status, f"{free:.1f} GiB free in {Path.cwd()}", remedy)


def _installed(distribution: str) -> bool:
    return bool(_version(distribution))


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _guarded(name: str, check: Callable[[], Finding]) -> Callable[[], Finding]:
    """A missing or broken package is a finding, not a crash."""

    def guarded() -> Finding:
        try:
            return check()
        except ImportError as error:
            return Finding(name, "fail", f"does not import: {error}", "pip install --force-reinstall tether")
        except metadata.PackageNotFoundError as error:
            return Finding(name, "fail", f"{error.name} is not installed", "pip install tether")

    return guarded


CHECKS = (
    system,
    _guarded("tether", distributions),
    names,
    _guarded("numpy", numpy),
    _guarded("onnxruntime", onnxruntime),
    _guarded("torch", torch),
    _guarded("mujoco", mujoco),
    warp,
    isaac,
    compiler,
    ros,
    middleware,
    clock,
    realtime,
    governor,
    disk,
)
