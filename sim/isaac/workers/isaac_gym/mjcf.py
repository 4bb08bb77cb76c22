"""An MJCF file, read without MuJoCo, and written again in the few words that Isaac Gym's importer is known to understand.

What the importer drops in silence (friction of joints, ranges without `limited="true"`) or may trip over (actuators, nested classes) is
resolved here; what cannot be is refused.
"""

import math
import xml.etree.ElementTree as ElementTree
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

import numpy as np
import protocol  # type: ignore[import-not-found]

SECTIONS = {"compiler", "option", "size", "visual", "statistic", "default", "asset", "worldbody"}
LEFT_OUT = {"actuator", "sensor", "keyframe", "contact", "custom"}  # the worker has its own motors, and robots meet nothing but the ground
IN_BODIES = {"body", "inertial", "freejoint", "joint", "geom", "site", "camera", "light"}
SHAPES = {"sphere", "capsule", "cylinder", "box", "ellipsoid"}
GROUND = 1  # bit of `conaffinity` by which a geom meets the ground


class Joint(NamedTuple):
    """A hinge [rad] or slide [m]: unit axis and anchor in its body's frame; limits are None where there are none."""

    name: str
    kind: str
    axis: np.ndarray
    anchor: np.ndarray
    limits: Optional[Tuple[float, float]]
    armature: float


class Body(NamedTuple):
    """A body in the frame of its parent, which is before (-1: the world); inertia ``[3, 3]`` about the centre of mass, along its axes."""

    name: str
    parent: int
    position: np.ndarray
    rotation: np.ndarray
    mass: float
    centre: np.ndarray
    inertia: np.ndarray
    joint: Optional[Joint]
    geoms: Tuple[Dict[str, str], ...]


class Model(NamedTuple):
    """Bodies from the free base on, and the friction of what touches the ground."""

    bodies: List[Body]
    friction: float

    @property
    def joints(self) -> List[Joint]:
        """In the order of the bodies."""
        return [body.joint for body in self.bodies if body.joint]


def read(path: str) -> Model:
    """The robot in an MJCF file; raises `protocol.Refused` for what Isaac Gym would read otherwise, or not at all."""
    return _Reader(path).model()


class _Reader:
    """Args: path: of the file."""

    def __init__(self, path: str) -> None:
        self.path, self.bodies, self.free = path, [], 0  # type: str, List[Body], int
        self.frictions = []  # type: List[float]
        self.root = ElementTree.parse(path).getroot()
        strange = {section.tag for section in self.root} - SECTIONS - LEFT_OUT
        self.refuse_if(bool(strange), "has <{}>".format(">, <".join(sorted(strange))))
        compiler = {key: value for section in self.root.findall("compiler") for key, value in section.items()}
        self.degree = 1.0 if compiler.get("angle", "degree") == "radian" else math.pi / 180
        self.automatic = compiler.get("autolimits", "true") == "true"
        for key, usual in (("eulerseq", "xyz"), ("inertiafromgeom", "auto"), ("settotalmass", "-1"), ("coordinate", "local")):
            self.refuse_if(compiler.get(key, usual) != usual, f'has a compiler with {key}="{compiler.get(key)}"')
        self.defaults = {"main": {}}  # type: Dict[str, Dict[str, Dict[str, str]]]
        for section in self.root.findall("default"):
            self.read_defaults(section, "main")

    def refuse_if(self, wrong: bool, what: str) -> None:
        if wrong:
            raise protocol.Refused(f"{self.path} {what}, which is not read for Isaac Gym; change the model, or use another --sim")

    def read_defaults(self, section: Any, name: str) -> None:
        """A class of defaults, and those inside, which inherit."""
        own = self.defaults[name]
        for entry in section:
            if entry.tag != "default":
                own[entry.tag] = {**own.get(entry.tag, {}), **entry.attrib}
        for inner in section.findall("default"):
            self.defaults[inner.attrib["class"]] = {tag: dict(values) for tag, values in own.items()}
            self.read_defaults(inner, inner.attrib["class"])

    def model(self) -> Model:
        world = self.root.findall("worldbody")
        for entry in (entry for section in world for entry in section):
            self.refuse_if(entry.tag not in ("body", "light", "camera", "site"), f"has <{entry.tag}> in the world")
            if entry.tag == "body":
                self.refuse_if(bool(self.bodies), f"has a second body in the world, {entry.get('name')}")
                self.read_body(entry, -1, "main")
        self.refuse_if(self.free != 1, "has no free base, or more than one free joint")
        return Model(self.bodies, self.frictions[0] if self.frictions else 1.0)

    def read_body(self, element: Any, parent: int, style: str) -> None:
        style, name = element.get("childclass", style), element.get("name", "")
        self.refuse_if(not name, "has a body without a name")
        for entry in element:
            self.refuse_if(entry.tag not in IN_BODIES, f"has <{entry.tag}> in body {name}")
        free = len(element.findall("freejoint")) + len([entry for entry in element.findall("joint") if entry.get("type") == "free"])
        self.free += free
        self.refuse_if(bool(free) and parent != -1, f"has a free joint in body {name}, which is part of another")
        mass, centre, inertia = self.inertial(element, name)
        joint = self.joint([self.full(entry, style) for entry in element.findall("joint") if entry.get("type") != "free"], name)
        geoms = [self.geom(self.full(entry, style), name) for entry in element.findall("geom")]
        place, rotation = numbers(element.get("pos", "0 0 0")), self.rotation(element.attrib, name)
        self.bodies.append(Body(name, parent, place, rotation, mass, centre, inertia, joint, tuple(geom for geom in geoms if geom)))
        index = len(self.bodies) - 1
        for entry in element.findall("body"):
            self.read_body(entry, index, style)

    def full(self, element: Any, style: str) -> Dict[str, str]:
        """Attributes with their defaults."""
        name = element.get("class", style)
        self.refuse_if(name not in self.defaults, f"uses the class {name}, which it does not define")
        return {**self.defaults[name].get(element.tag, {}), **element.attrib}

    def inertial(self, element: Any, name: str) -> Tuple[float, np.ndarray, np.ndarray]:
        """Mass, centre of mass, and inertia about it along the body's axes."""
        given = element.find("inertial")
        self.refuse_if(given is None, f"has no <inertial> in body {name}")
        axes = matrix(self.rotation(given.attrib, name))
        if "fullinertia" in given.attrib:
            xx, yy, zz, xy, xz, yz = numbers(given.attrib["fullinertia"])
            own = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        else:
            own = np.diag(numbers(given.attrib["diaginertia"]))
        return float(given.attrib["mass"]), numbers(given.get("pos", "0 0 0")), axes @ own @ axes.T

    def joint(self, given: List[Dict[str, str]], name: str) -> Optional[Joint]:
        self.refuse_if(len(given) > 1, f"has {len(given)} joints in body {name}")
        if not given:
            return None
        words = given[0]
        kind, label, axis = words.get("type", "hinge"), words.get("name", ""), numbers(words.get("axis", "0 0 1"))
        self.refuse_if(kind not in ("hinge", "slide") or not label, f"has a {kind} joint '{label}' in body {name}")
        for key in ("damping", "stiffness", "ref"):
            self.refuse_if(bool(numbers(words.get(key, "0")).any()), f"has {key} in joint {label}")
        limited = words.get("limited", "auto")
        limits = None
        if limited == "true" or (limited == "auto" and self.automatic and "range" in words):
            low, high = numbers(words["range"]) * (self.degree if kind == "hinge" else 1.0)
            limits = float(low), float(high)
        armature = float(words.get("armature", "0"))
        return Joint(label, kind, axis / np.linalg.norm(axis), numbers(words.get("pos", "0 0 0")), limits, armature)

    def geom(self, words: Dict[str, str], name: str) -> Optional[Dict[str, str]]:
        """What the importer is told of a geom that meets the ground; None for others."""
        if not int(words.get("conaffinity", "1")) & GROUND:
            return None
        shape = words.get("type", "sphere")
        self.refuse_if(shape not in SHAPES, f"has a {shape} that meets the ground in body {name}")
        self.frictions.append(float(words.get("friction", "1").split()[0]))
        told = {"type": shape, "size": words["size"], "contype": "1", "conaffinity": "1"}
        if "name" in words:
            told["name"] = words["name"]
        if "fromto" in words:
            return {**told, "fromto": words["fromto"]}
        return {**told, "pos": words.get("pos", "0 0 0"), "quat": text(self.rotation(words, name))}

    def rotation(self, words: Dict[str, str], name: str) -> np.ndarray:
        """Quaternion (w, x, y, z)."""
        for key in ("xyaxes", "zaxis"):
            self.refuse_if(key in words, f"has {key} in body {name}")
        if "euler" in words:
            first, second, third = (about(axis, angle) for axis, angle in zip(np.eye(3), numbers(words["euler"]) * self.degree))
            return product(product(first, second), third)
        if "axisangle" in words:
            *axis, angle = numbers(words["axisangle"])
            return about(np.array(axis) / np.linalg.norm(axis), angle * self.degree)
        quaternion = numbers(words.get("quat", "1 0 0 0"))
        return quaternion / np.linalg.norm(quaternion)


def write(model: Model, path: str) -> None:
    """The model as a file for the importer: radians, no classes, principal moments, and only what meets the ground."""
    root = ElementTree.Element("mujoco", model="robot")
    ElementTree.SubElement(root, "compiler", angle="radian", coordinate="local")
    elements = [ElementTree.SubElement(root, "worldbody")]
    for body in model.bodies:
        place = {"pos": text(body.position), "quat": text(body.rotation)} if body.parent >= 0 else {"pos": "0 0 0"}
        element = ElementTree.SubElement(elements[body.parent + 1], "body", {"name": body.name, **place})
        elements.append(element)
        if body.parent < 0:
            ElementTree.SubElement(element, "freejoint", name="root")
        moments, axes = principal(body.inertia)
        inertial = {"pos": text(body.centre), "quat": text(axes), "mass": repr(body.mass), "diaginertia": text(moments)}
        ElementTree.SubElement(element, "inertial", inertial)
        if body.joint:
            ElementTree.SubElement(element, "joint", _words(body.joint))
        for geom in body.geoms:
            ElementTree.SubElement(element, "geom", geom)
    ElementTree.ElementTree(root).write(path)


def _words(joint: Joint) -> Dict[str, str]:
    words = {"name": joint.name, "type": joint.kind, "axis": text(joint.axis), "pos": text(joint.anchor), "limited": "false"}
    if joint.limits:
        words.update(limited="true", range=text(joint.limits))
    return {**words, "armature": repr(joint.armature)}


# --- numbers and rotations ---


def numbers(words: str) -> np.ndarray:
    """The numbers in an attribute."""
    return np.array([float(word) for word in words.split()])


def text(values: Iterable[float]) -> str:
    """An attribute of numbers, exact."""
    return " ".join(repr(float(value)) for value in values)


def about(axis: np.ndarray, angle: float) -> np.ndarray:
    """Quaternion of a turn about a unit axis."""
    return np.concatenate([[math.cos(angle / 2)], math.sin(angle / 2) * axis])


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of quaternions."""
    return np.concatenate([[a[0] * b[0] - a[1:] @ b[1:]], a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])])


def matrix(quaternion: np.ndarray) -> np.ndarray:
    """Rotation ``[3, 3]``."""
    w, vector = quaternion[0], quaternion[1:]
    x, y, z = vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def principal(inertia: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Principal moments ``[3]`` and the quaternion of their axes; axes stay as they are where the tensor is diagonal."""
    if not (inertia - np.diag(np.diag(inertia))).any():
        return np.diag(inertia), np.array([1.0, 0.0, 0.0, 0.0])
    moments, axes = np.linalg.eigh(inertia)
    axes[:, 0] *= np.linalg.det(axes)
    return moments, quaternion(axes)


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """Unit quaternion of a rotation: the eigenvector of Bar-Itzhack's matrix, safe for every angle."""
    r, trace = rotation, np.trace(rotation)
    own = np.zeros((4, 4))
    own[0, 0], own[1:, 1:] = trace, r + r.T - trace * np.eye(3)
    own[0, 1:] = own[1:, 0] = [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]]
    found = np.linalg.eigh(own)[1]
    return found[:, -1]
