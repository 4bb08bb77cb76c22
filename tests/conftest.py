"""Which tests run where: ``--robot-only`` keeps those that need nothing but the robot distribution."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[1]
ROBOT_ROOMS = ("deploy", "robots", "safety", "ros2_ws")
ON_ROBOTS = {
    "deploy",
    "lz4",
    "mcap",
    "numpy",
    "onnxruntime",
    "robots",
    "safety.envelope",
    "safety.rules",
    "tether_ros",
    "yaml",
    "zstandard",
}
TEST_TOOLS = {"hypothesis", "pytest"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--robot-only", action="store_true", help="only the tests that need nothing but the robot distribution")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if not config.getoption("--robot-only"):
        return None
    path = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    judged = path.is_file() and (path.name.startswith("test_") or (path.name == "conftest.py" and path.parent != TREE / "tests"))
    return True if judged and not _runs(path) else None


def pytest_report_header(config: pytest.Config) -> list[str]:
    if not config.getoption("--robot-only"):
        return []
    left_out = [path for room in ROBOT_ROOMS for path in (TREE / "tests" / room).rglob("test_*.py") if not _runs(path)]
    names = ", ".join(sorted(str(path.relative_to(TREE / "tests")) for path in left_out))
    return [f"robot distribution only; left out, for they need more: {names or 'none'}"]


def _runs(path: Path) -> bool:
    """Whether a test file belongs to a room that runs on robots, and needs nothing that does not."""
    return path.relative_to(TREE / "tests").parts[0] in ROBOT_ROOMS and _needs(path) <= ON_ROBOTS | TEST_TOOLS


def _needs(path: Path) -> set[str]:
    """Packages that a test file imports anywhere, through helpers beside it too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            top = name.partition(".")[0]
            if top == "tests":
                found |= _helper(name)
            elif top not in sys.stdlib_module_names:
                found.add(".".join(name.split(".")[:2]) if top == "safety" else top)
    return found


def _helper(name: str) -> set[str]:
    """What a module of tests needs; ``name`` may end in something defined inside it."""
    for parts in (name.split("."), name.split(".")[:-1]):
        path = TREE.joinpath(*parts).with_suffix(".py")
        if path.exists():
            return _needs(path)
    return set()
