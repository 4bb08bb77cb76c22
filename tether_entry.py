"""Where every console script starts; the one module of ours with a name that nobody else has.

Our rooms have plain names (``tasks``, ``safety``, ``robots`` …). Another installed package that provides one of them would be imported in
our place, or we in its. So before anything of ours is imported, `refuse_clashes` looks for one and names the distribution to uninstall.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlparse

ROOMS = {
    "tether-robot": ("deploy", "robots", "safety", "tether_ros"),
    "tether": ("benchmarks", "cli", "robustness", "sim", "tasks", "tether_bringup", "tether_sim", "training"),
}
OURS = {*ROOMS, "tether-bringup", "tether-ros", "tether-sim"}  # the last three are what colcon builds


class Clash(NamedTuple):
    """Something that is not ours under one of our names; ``owner`` is its distribution, empty when pip has no record of it."""

    name: str
    path: Path
    owner: str


def tether() -> int:
    """The ``tether`` command."""
    return _start("tether", "cli.main", sys.argv[1:])


def policy_node() -> int:
    """The ROS 2 policy node."""
    return _start("policy_node", "tether_ros.policy_node")


def tether_operator() -> int:
    """What a person at the robot does: activate, enable, stop."""
    return _start("tether_operator", "tether_ros.operator")


def tether_flight() -> int:
    """The policy node and the simulated robot as two processes, from take-off to the end of the log."""
    return _start("tether_flight", "tether_bringup.flight")


def tether_walk() -> int:
    """The same for a robot that walks, from lying to lying."""
    return _start("tether_walk", "tether_bringup.walk")


def simulated_robot() -> int:
    """The simulated robot that answers over ROS 2."""
    return _start("simulated_robot", "tether_sim.simulated_robot")


def _start(program: str, module: str, *arguments: list[str]) -> int:
    """Refuse clashes, then hand over to ``module.main``."""
    if refuse_clashes(program):
        return 2
    try:
        main = importlib.import_module(module).main
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if any(missing in rooms for rooms in ROOMS.values()):
            raise
        remedy = "source your ROS 2 set-up file (source /opt/ros/DISTRO/setup.bash), or install the wheels with: pip install 'tether[ros]'"
        print(f"{program}: error: the Python package {missing} is missing; {remedy}", file=sys.stderr)
        return 2
    return main(*arguments) or 0


def refuse_clashes(program: str) -> bool:
    """Print one line and return True if another package provides one of our top-level names."""
    for name, path, owner in clashes():
        culprit = f"the installed distribution {owner}" if owner else "a package that pip did not install"
        remedy = f"pip uninstall {owner} and reinstall Tether" if owner else "take its directory off PYTHONPATH"
        print(
            f"{program}: error: {culprit} also provides the top-level name {name!r} ({path}); {remedy}, or give Tether its own environment",
            file=sys.stderr,
        )
        return True
    return False


def clashes() -> list[Clash]:
    """Everything that is not ours but has one of our names, for those of our distributions that are installed.

    Looks at what would be imported, along ``sys.path``, and into our own directories: about a hundred file look-ups and our own RECORD.
    Who put a clashing file there is looked up only once there is one. A package behind ours that pip did not install harms nobody and is
    let be.
    """
    found = []
    for distribution, rooms in ROOMS.items():
        installed = _installed(distribution)
        if installed is None:
            continue
        for name in rooms:
            room, imported = _room(installed, name), _imported(name)
            strangers = [path for path in _along_path(name) if path != room]
            if imported not in (None, room):
                strangers.insert(0, imported)
            if not _editable(installed):
                strangers += _inside(installed, room)
            clashing = [Clash(name, path, _owner(path)) for path in strangers]
            found += [clash for clash in clashing if clash.owner not in OURS and (clash.owner or clash.path == imported)]
    return found


def _installed(distribution: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return None


def _editable(installed: metadata.Distribution) -> bool:
    return bool(json.loads(installed.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable"))


def _room(installed: metadata.Distribution, name: str) -> Path:
    """Where our own package ``name`` lies."""
    if not _editable(installed):
        return Path(str(installed.locate_file(name))).resolve()
    tree = Path(__file__).resolve().parent
    return tree / "ros2_ws" / "src" / name / name if name.startswith("tether_") else tree / name


def _imported(name: str) -> Path | None:
    """The package directory or module file that ``import name`` would load; None for nothing, or a bare directory."""
    for finder in sys.meta_path:
        spec = finder.find_spec(name, None) if hasattr(finder, "find_spec") else None
        if spec is not None:
            origin = Path(spec.origin or "").resolve()
            return (origin.parent if origin.name == "__init__.py" else origin) if spec.origin else None
    return None


def _along_path(name: str) -> list[Path]:
    """Every package and module called ``name`` on ``sys.path``."""
    places = dict.fromkeys((Path(entry or ".") / name).resolve() for entry in sys.path)
    packages = [place for place in places if (place / "__init__.py").is_file()]
    return packages + [place.with_suffix(".py") for place in places if place.with_suffix(".py").is_file()]


def _inside(installed: metadata.Distribution, room: Path) -> list[Path]:
    """Files of others in our package directory: one that our RECORD does not list, or an ``__init__.py`` that is no longer ours."""
    records = {Path(str(file.locate())).resolve(): file.hash for file in installed.files or ()}
    strangers = [path for path in sorted(room.glob("*.py")) if path.resolve() not in records]
    recorded = records.get(room / "__init__.py")
    if recorded is not None and (room / "__init__.py").is_file():
        digest = hashlib.new(recorded.mode, (room / "__init__.py").read_bytes()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != recorded.value:
            strangers.append(room / "__init__.py")
    return strangers


def _owner(path: Path) -> str:
    """The distribution that put ``path`` there, another's before ours; empty if none did. Slow: looks at every distribution."""
    owners = {re.sub(r"[-_.]+", "-", other.metadata["Name"] or "").lower() for other in metadata.distributions() if _provides(other, path)}
    return min(owners, key=lambda owner: (owner in OURS, owner), default="")


def _provides(other: metadata.Distribution, path: Path) -> bool:
    """Whether a distribution lists ``path`` in its RECORD or ``top_level.txt``, or is editable and keeps it in its directory."""
    place = Path(str(other.locate_file(""))).resolve()
    if place in path.parents:
        relative = path.relative_to(place).as_posix()
        top_level = (other.read_text("top_level.txt") or "").split()
        return bool(re.search(rf"^{re.escape(relative)}[/,]", other.read_text("RECORD") or "", re.MULTILINE)) or relative in top_level
    url = urlparse(json.loads(other.read_text("direct_url.json") or "{}").get("url", ""))
    return _editable(other) and url.scheme == "file" and Path(unquote(url.path)) in path.parents and "site-packages" not in path.parts
