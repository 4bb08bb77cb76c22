"""``tether new robot MODEL``: a package for a robot of your own, outside this tree, from its URDF or MJCF."""

from __future__ import annotations

import argparse
import importlib.util
import pprint
import re
import textwrap
from pathlib import Path
from string import Template
from typing import Any

from cli.main import Result
from robots import registry
from robots.errors import TetherError

HELP = "Start a package for a robot of your own: description, model, entry point and contract test, read from its URDF or MJCF."

TEMPLATES = Path(__file__).parent / "templates" / "robot"

BASE_SENSORS = """\
    Sensor("orientation_base_in_world", ("w", "x", "y", "z"), "1", "world", source="imu"),
    Sensor("angular_velocity_base_in_base", ("x", "y", "z"), "rad/s", "base", source="imu"),
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """``robot MODEL [-o DIR] [--name NAME] [--floating-base]``."""
    parser.add_argument("kind", choices=["robot"], metavar="robot", help="what to start")
    parser.add_argument("model", type=Path, metavar="MODEL", help="URDF or MJCF file")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="directory to create (default: ./NAME)")
    parser.add_argument("--name", help="registry name (default: from the file's name)")
    parser.add_argument("--floating-base", action="store_true", help="the root body moves freely (URDF cannot say so; MJCF does)")


def run(args: argparse.Namespace) -> Result:
    """Read the model, write the package, say what a person still has to fill in."""
    from cli.robot_from_model import read

    name = _name(args.name or args.model.stem)
    directory = _directory(args.output or Path(name))
    draft = read(args.model, args.floating_base)
    for path, text in _package(name, args.model, draft).items():
        _write(directory / path, text.encode())
    _write_model(draft.spec, directory / name / "models", f"{name}.xml")
    print(f"wrote {directory}: install it with pip install -e {directory}, then test it with pytest {directory}")
    for line in (*_found(draft), *draft.notes):
        print(line)
    if draft.assumed:
        print(f"not in the model, so assumed; replace in {directory / name / 'description.py'}: {', '.join(draft.assumed)}")
    result = {"name": name, "directory": directory, "mass_kg": draft.mass_kg, "assumed": list(draft.assumed)}
    return Result(result | {"notes": list(draft.notes), "feet": list(draft.legs.feet) if draft.legs else []})


def _found(draft: Any) -> list[str]:
    """What was recognised, so that a person may disagree."""
    if draft.legs is None:
        return []
    legs = draft.legs
    parts = ", ".join(f"{part} {len(geoms)}" for part, geoms in legs.parts.items())
    return [f"it walks: base {legs.base} ({legs.base_mass_kg:g} kg), feet {', '.join(legs.feet)}, other geoms that may touch: {parts}"]


def _name(raw: str) -> str:
    """A name that Python, pip and the registry accept."""
    from tether_entry import ROOMS

    name = re.sub(r"\W+", "_", raw).strip("_").lower()
    if not name.isidentifier():
        raise TetherError(f"{raw!r} cannot be made a Python name; choose one with --name")
    if name in registry.names(registry.ROBOTS):
        raise TetherError(f"a robot {name!r} is registered already; choose another with --name")
    if any(name in rooms for rooms in ROOMS.values()) or importlib.util.find_spec(name) is not None:
        raise TetherError(f"{name!r} is the name of a package that is installed; choose another with --name")
    return name


def _directory(path: Path) -> Path:
    tree = Path(__file__).resolve().parents[1]
    if tree in path.resolve().parents:
        raise TetherError(f"{path} is inside Tether's own tree; choose a directory outside it with -o DIR")
    if path.exists():
        raise TetherError(f"{path} exists already, and nothing is overwritten; choose another with -o DIR")
    return path


def _package(name: str, model: Path, draft: Any) -> dict[str, str]:
    """Every text file of the package, by path."""
    from cli.robot_from_model import Joints

    values = {
        "name": name,
        "package": name,
        "distribution": name.replace("_", "-"),
        "model": model.name,
        "mass": repr(draft.mass_kg),
        "assumed": ", ".join((*draft.assumed, "limits")),
    }
    jointed = isinstance(draft.body, Joints)
    values |= _joint_values(draft.body) | _leg_values(draft) if jointed else _rotor_values(draft.body)
    values["more_tests"] = _fill("test_joints.py.txt", values).rstrip() if jointed else ""
    stands = {f"tests/test_{name}_stands.py": _fill("test_legs.py.txt", values)} if draft.legs else {}
    return stands | {
        "pyproject.toml": _fill("pyproject.toml.txt", values),
        "README.md": _fill("README.md.txt", values),
        f"{name}/__init__.py": _fill("__init__.py.txt", values),
        f"{name}/description.py": _fill("articulated.py.txt" if jointed else "quadrotor.py.txt", values),
        f"tests/test_{name}.py": _fill("test_contract.py.txt", values).rstrip() + "\n",
    }


def _joint_values(body: Any) -> dict[str, str]:
    rows = [
        f"    Joint(name={name!r}, lower={lower}, upper={upper}, effort={effort}, speed={speed}),".replace("'", '"')
        for name, lower, upper, effort, speed in body.rows
    ]
    efforts = {"rad": "N·m", "m": "N"}
    base = BASE_SENSORS if body.floating else ""
    return {
        "joints": "\n".join(rows),
        "unit": body.unit,
        "effort_unit": efforts.get(body.unit, "N·m or N"),
        "safe": repr(body.rest),
        "base_sensors": base,
    }


def _leg_values(draft: Any) -> dict[str, str]:
    """What a robot with legs has beyond its joints, and what one without has instead."""
    legs = draft.legs
    if legs is None:
        limits = "tilt_rad=0.8, speed_m_s=2.0, body_rate_rad_s=5.0, distance_m=5.0"
        return {"kind": "ArticulatedRobot", "imports": "ArticulatedRobot, Joint, Limits", "limits": limits, "motors": "", "legs": ""}
    values = {"kp": repr(legs.kp), "kd": repr(legs.kd), "armature": repr(legs.armature), "stand": repr(legs.stand)}
    values |= {"base": legs.base, "base_mass": f"{legs.base_mass_kg:.6g}", "feet": _code(legs.feet), "parts": _code(legs.parts)}
    return {
        "kind": "LeggedRobot",
        "imports": "Joint, JointActuator, LeggedRobot, Limits",
        "limits": 'tilt_rad=1.0, speed_m_s=2.0, body_rate_rad_s=8.0, distance_m=float("inf")',
        "safe": "STAND",
        "motors": _fill("motors.py.txt", values),
        "legs": _fill("legs.py.txt", values),
    }


def _code(value: Any) -> str:
    """Names in tuples and dicts as they are written in a call."""
    return textwrap.indent(pprint.pformat(value, width=120, sort_dicts=False), 10 * " ").strip().replace("'", '"')


def _rotor_values(body: Any) -> dict[str, str]:
    rows = [f"    Rotor(position_m={position}, spin={spin})," for position, spin in zip(body.positions_m, body.spins)]
    return {
        "rotors": "\n".join(rows),
        "thrust": repr(body.thrust_max_n),
        "kappa": repr(body.torque_per_thrust_m),
        "inertia": repr(body.inertia_kg_m2),
    }


def _write_model(spec: Any, folder: Path, file: str) -> None:
    """The model as MJCF, with the files it refers to beside it."""
    for target, source in _assets(spec).items():
        _write(folder / "assets" / target, source.read_bytes())
    spec.modelfiledir = str(folder.absolute())
    _write(folder / file, spec.to_xml().encode())


def _assets(spec: Any) -> dict[str, Path]:
    """Mesh, height-field, texture and skin files by the name they get in ``assets``; makes the model refer to those."""
    folder = Path(spec.modelfiledir or ".")
    places = ((spec.meshes, spec.meshdir), (spec.hfields, spec.meshdir), (spec.textures, spec.texturedir), (spec.skins, spec.meshdir))
    found: dict[str, Path] = {}
    for item, subfolder in ((item, subfolder) for items, subfolder in places for item in items if item.file):
        source = folder / subfolder / item.file
        target = source.name if found.get(source.name, source) == source else f"{len(found)}_{source.name}"
        found[target] = source
        item.file = target
    if found:
        spec.meshdir = spec.texturedir = "assets"
    return found


def _fill(template: str, values: dict[str, str]) -> str:
    return Template((TEMPLATES / template).read_text()).substitute(values)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
