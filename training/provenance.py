"""Where a policy file came from, in terms that mean something on another machine."""

from __future__ import annotations

import platform
import shlex
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from robots.description import Robot

PACKAGES = ("tether", "torch", "onnx", "onnxscript", "onnxruntime", "numpy")


def provenance(command: list[str], robot: Robot, **more: Any) -> dict[str, Any]:
    """The provenance every policy file carries: the command that made it, versions, commit, and where the robot's numbers are from.

    Args:
        command: words of the command line that reproduces the file.
        robot: what it flies.
        more: what else is known, JSON values (training command, config, seed, suite).
    """
    return {
        "command": shlex.join(command),
        "robot": {"name": robot.name, "source": robot.source},
        "versions": {"python": platform.python_version()} | {name: found for name in PACKAGES if (found := _version(name))},
        "commit": _commit(),
    } | more


def portable(path: Path) -> str:
    """``path`` as the command line would have it from the directory it was run in; only its name if it lies elsewhere."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else path.name


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    """Commit of the tree this runs from, with ``+`` if it was changed since; empty where there is none (an installed wheel, no git)."""
    tree = Path(__file__).parents[1]
    if not (tree / ".git").exists():
        return ""
    try:
        commit = _git(tree, "rev-parse", "--short=12", "HEAD")
        return commit + ("+" if _git(tree, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(tree: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(tree), *words], capture_output=True, text=True, check=True, timeout=10).stdout.strip()
