"""What benches have flown, in a file that outlives an interruption: one line of JSON a part, written as soon as it is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from robots.errors import TetherError

HEADER = json.dumps({"record": "tether bench", "format": 1})


class Kept:
    """Findings by all that they depend on, versions of Tether and MuJoCo among it. Several benches may share a file.

    What a killed run left of a line counts as not there.

    Args:
        path: of the file, which the first finding creates; None keeps nothing.

    Raises:
        TetherError: for a file that is no such record, and a directory that is not there.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path, self._found = path, {} if path is None else _read(path)
        self._versions = {} if path is None else {name: _version(name) for name in ("tether", "mujoco")}

    def get(self, depends: Mapping[str, Any]) -> Any:
        """What was found under ``depends``, which is ready for JSON; None if nothing was."""
        return self._found.get(self._name(depends)) if self._found else None

    def add(self, depends: Mapping[str, Any], found: Any) -> None:
        """Keep ``found``, which is ready for JSON and not None."""
        if self.path is None:
            return
        name = self._name(depends)
        self._found[name] = found
        begin = "" if self.path.exists() and self.path.stat().st_size else HEADER
        with self.path.open("a", encoding="utf-8") as file:  # a line begins with its break, so that it ends whatever was torn before it
            file.write(f'{begin}\n{{"depends": {name}, "found": {json.dumps(found)}}}')

    def _name(self, depends: Mapping[str, Any]) -> str:
        return json.dumps({**depends, "versions": self._versions}, sort_keys=True)


def _read(path: Path) -> dict[str, Any]:
    if not path.absolute().parent.is_dir():
        raise TetherError(f"--keep: there is no directory {path.absolute().parent}; create it first")
    if not path.exists():
        return {}
    first, *lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    if first not in ("", HEADER):
        raise TetherError(f"--keep: {path} is no record of a bench; name another file, which will be created")
    found = {}
    for line in lines:
        try:
            entry = json.loads(line)
            found[json.dumps(entry["depends"], sort_keys=True)] = entry["found"]
        except (ValueError, TypeError, KeyError):
            continue
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
