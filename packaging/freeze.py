"""Write constraints.txt from the environment this runs in:  .venv/bin/python packaging/freeze.py

Takes what pip installed, leaves out this tree's own distributions, and the build tag of a version (``+cpu``), which the index decides.
"""

from importlib import metadata
from pathlib import Path

HEAD = "# Every package that `make install` puts into .venv, pinned to what the tests passed with (Python 3.11, Linux x86-64).\n"
OWN = {"tether", "tether-robot", "pip"}


def pins() -> list[str]:
    """One ``name==version`` a package, sorted; ROS wheels carry .egg-info of their parts, which no index knows and which are left out."""
    found = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"].lower().replace("_", "-").replace(".", "-")
        if distribution.read_text("WHEEL") is not None and name not in OWN:
            found[name] = f"{distribution.metadata['Name']}=={distribution.version.partition('+')[0]}"
    return [found[name] for name in sorted(found)]


if __name__ == "__main__":
    Path(__file__).resolve().parents[1].joinpath("constraints.txt").write_text(HEAD + "\n".join(pins()) + "\n")
