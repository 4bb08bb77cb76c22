"""What a trainer and a worker that simulates for it say to each other, and the memory they share.

Both sides import this file, whatever Python they have: standard library and numpy only, in the syntax of Python 3.8.

A request is one JSON object on a line of the worker's stdin, its answer one on a line of its stdout:

    (unasked, first)        → {"protocol": VERSION, "engine": …, "python": …, "versions": {…}}
    {"do": "build", …}      the fields of `Build`                                             → {} and on a GPU {"handle": …}
    {"do": "reset"}         put environments in `mask` into the state that is in the arrays, and read it back             → {}
    {"do": "place"}         the same, but go on from there: nothing is forgotten                                          → {}
    {"do": "step"}          a control period, under `target` and `applied`                                               → {}
    {"do": "write", "names": […]}  make models where `mask` is set follow these arrays of parameters                      → {}
    {"do": "save"}, {"do": "load"}  what the next step follows from, beside the state, to and from `memory`               → {}

A request that fails answers {"error": …}, any other also {"seconds": what the engine took}. The worker ends when its stdin does. Everything
large is in `arrays`, which both sides see: on a CPU in shared memory that the trainer hands down as an open file, so that nothing is left
behind however either side ends; on a GPU in memory that the worker allocates, and the trainer opens by CUDA's handle. Quaternions are
(w, x, y, z), body to world. SI units.
"""

import abc
import ctypes
import json
import mmap
import os
import platform
import sys
import time
import traceback
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple

import numpy as np

VERSION = 1
ALIGNMENT = 256  # bytes; what CUDA's allocator gives


class Build(NamedTuple):
    """What is simulated.

    Attributes:
        model: MJCF file.
        base: body of the free base.
        joints: in the order of all arrays.
        feet, parts: bodies whose contacts are read, in order. Both may be empty.
        effort, speed, knee_speed, lag_s: of each joint's actuator; see `robots.description.JointActuator`.
        num_envs, substeps, physics_dt: physics steps of ``physics_dt`` seconds, ``substeps`` a control period.
        iterations, ls_iterations: of a contact solver that has such.
        contacts, constraints: the most that an environment can have, for an engine that wants to know.
        terrain: None for flat ground, or ``heights_m`` ``[rows along y][columns along x]`` and ``size_m`` along x and y, about the origin.
        device: ``cpu`` or ``cuda:N``.
        memory: open file that the arrays are in; -1 on a GPU.
        seed: of whatever is drawn.
    """

    model: str
    base: str
    joints: List[str]
    feet: List[str]
    parts: List[str]
    effort: List[float]
    speed: List[float]
    knee_speed: List[float]
    lag_s: List[float]
    num_envs: int
    substeps: int
    physics_dt: float
    iterations: int
    ls_iterations: int
    contacts: int
    constraints: int
    terrain: Optional[Dict[str, Any]]
    device: str
    memory: int
    seed: int


class Field(NamedTuple):
    """An array that both sides see: where it begins in the memory [bytes], its shape and type."""

    offset: int
    shape: Tuple[int, ...]
    dtype: str


PLAIN = ("reset", "place", "step", "save", "load")  # requests without more words
STATE = ("qpos", "qvel")
READINGS = ("torque", "foot_force", "foot_position", "foot_velocity", "part_contact", "lost")
PARAMETERS = ("friction", "mass", "centre_of_mass", "inertia", "kp", "kd", "strength", "armature", "joint_friction")


def fields(build: Build) -> Dict[str, Field]:
    """The arrays by name.

    ``qpos``: position of the base in the world, its quaternion, joint positions. ``qvel``: velocity of the base's origin in the world,
    angular velocity in the base frame, joint velocities. ``torque``: of the joints' actuators in the last physics step. ``foot_force``: on
    each foot in the world; with ``foot_position`` and ``foot_velocity`` three columns a foot. ``part_contact``: 1 where a part touches
    something. ``lost``: 1 where the engine gave up on an environment since its last reset; its numbers mean nothing then, and are finite.

    ``applied``: force on the base's centre of mass and torque, in the world, held over a step. ``target``: joint positions asked for in
    each physics step ``[substeps, num_envs, joints]``. ``mask``: which environments a reset or write is for. Parameters: ``friction`` of
    the robot with anything; ``mass``, ``centre_of_mass`` (in the base frame) and ``inertia`` (about it, row by row) of the base; of every
    joint gains ``kp`` and ``kd``, ``strength`` that multiplies the torque after limits, ``armature`` and ``joint_friction``. ``memory``:
    see "save".
    """
    joints, feet = len(build.joints), 3 * len(build.feet)
    widths = {"qpos": 7 + joints, "qvel": 6 + joints, "torque": joints, "foot_force": feet, "foot_position": feet, "foot_velocity": feet}
    widths.update({"part_contact": len(build.parts), "lost": 1, "applied": 6, "friction": 1, "mass": 1, "centre_of_mass": 3, "inertia": 9})
    widths.update(dict.fromkeys(("kp", "kd", "strength", "armature", "joint_friction"), joints), memory=19 + 4 * joints)
    found, offset = {}, 0
    for name, width in widths.items():
        found[name] = Field(offset, (build.num_envs, width), "float32")
        offset = _after(found[name])
    found["target"] = Field(offset, (build.substeps, build.num_envs, joints), "float32")
    found["mask"] = Field(_after(found["target"]), (build.num_envs,), "uint8")
    return found


def _after(field: Field) -> int:
    end = field.offset + int(np.prod(field.shape)) * np.dtype(field.dtype).itemsize
    return -(-end // ALIGNMENT) * ALIGNMENT


def size(layout: Dict[str, Field]) -> int:
    """Bytes of all arrays together."""
    return max(max(map(_after, layout.values())), ALIGNMENT)


# --- terrain ---


def surface(heights: np.ndarray, size: Tuple[float, float]) -> Tuple[np.ndarray, np.ndarray]:
    """Vertices ``[n, 3]`` (float32) and triangles ``[m, 3]`` (uint32), normals up, of heights ``[rows along y, columns along x]``.

    Cells are cut from the corner at (x, y) to that at (x + 1, y + 1), as MuJoCo does.
    """
    rows, columns = heights.shape
    x, y = np.meshgrid(np.linspace(-size[0] / 2, size[0] / 2, columns), np.linspace(-size[1] / 2, size[1] / 2, rows))
    vertices = np.stack([x, y, heights], axis=-1).reshape(-1, 3).astype(np.float32)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1, 1)
    triangles = np.concatenate([corner + [0, 1, columns + 1], corner + [0, columns + 1, columns]])
    return vertices, triangles.astype(np.uint32)


# --- memory of a CPU ---


def shared(file: int, layout: Dict[str, Field]) -> Dict[str, np.ndarray]:
    """The arrays in the open ``file``, which may be closed then."""
    memory = mmap.mmap(file, size(layout))
    return {name: np.ndarray(field.shape, field.dtype, memory, field.offset) for name, field in layout.items()}


# --- memory of a GPU ---


class OnDevice:
    """An array on a GPU for whoever understands ``__cuda_array_interface__``, as torch does, whatever its version."""

    def __init__(self, pointer: int, field: Field) -> None:
        kind = np.dtype(field.dtype).str
        self.__cuda_array_interface__ = {"shape": field.shape, "typestr": kind, "data": (pointer + field.offset, False), "version": 2}


class Cuda:
    """The four calls of CUDA's runtime that share memory between processes.

    Args:
        device: ordinal.
        library: the loaded runtime; it must be the one that this process' torch uses, so load torch first.
    """

    ON_DEMAND = 1  # cudaIpcMemLazyEnablePeerAccess

    class Handle(ctypes.Structure):
        """cudaIpcMemHandle_t."""

        _fields_ = [("reserved", ctypes.c_char * 64)]

    def __init__(self, device: int, library: Optional[Any] = None) -> None:
        self.runtime = library or loaded_runtime()
        self.check("cudaSetDevice", ctypes.c_int(device))

    def check(self, name: str, *arguments: Any) -> None:
        """Call ``name``; raises RuntimeError for anything but success."""
        code = getattr(self.runtime, name)(*arguments)
        if code:
            raise RuntimeError(f"{name} answers error {code}")

    def allocate(self, count: int) -> int:
        """Pointer to ``count`` bytes of zeros."""
        pointer = ctypes.c_void_p()
        self.check("cudaMalloc", ctypes.byref(pointer), ctypes.c_size_t(count))
        self.check("cudaMemset", pointer, ctypes.c_int(0), ctypes.c_size_t(count))
        return int(pointer.value or 0)

    def handle(self, pointer: int) -> str:
        """What another process opens the memory by, in hexadecimal."""
        handle = self.Handle()
        self.check("cudaIpcGetMemHandle", ctypes.byref(handle), ctypes.c_void_p(pointer))
        return bytes(handle).hex()

    def open(self, handle: str) -> int:
        """Pointer to the memory of another process."""
        pointer, given = ctypes.c_void_p(), self.Handle.from_buffer_copy(bytes.fromhex(handle))
        self.check("cudaIpcOpenMemHandle", ctypes.byref(pointer), given, ctypes.c_uint(self.ON_DEMAND))
        return int(pointer.value or 0)


def loaded_runtime() -> Any:
    """CUDA's runtime that this process has loaded already: two in one process do not see each other's devices as set up."""
    with open("/proc/self/maps") as lines:
        paths = {line.split()[-1] for line in lines if "libcudart" in line}
    if not paths:
        raise RuntimeError("this process has not loaded CUDA's runtime; import torch with CUDA first")
    return ctypes.CDLL(sorted(paths)[0])


# --- the worker's side ---


class Engine(abc.ABC):
    """What a worker implements.

    Attributes:
        name: of the engine.
        packages: whose versions the trainer is told.
    """

    name = ""
    packages = ()  # type: Tuple[str, ...]

    @abc.abstractmethod
    def build(self, build: Build, arrays: Dict[str, Any]) -> None:
        """Make the robots. ``arrays``: as numpy has them, on a GPU as `OnDevice`; the same objects hold for all calls."""

    @abc.abstractmethod
    def reset(self) -> None:
        """See "reset"; warm starts and applied forces of those environments are forgotten."""

    @abc.abstractmethod
    def place(self) -> None:
        """See "place"."""

    @abc.abstractmethod
    def step(self) -> None:
        """See "step"; ends when the arrays are written."""

    @abc.abstractmethod
    def write(self, names: List[str]) -> None:
        """See "write"; ``names`` of `PARAMETERS`."""

    @abc.abstractmethod
    def save(self) -> None:
        """See "save"."""

    @abc.abstractmethod
    def load(self) -> None:
        """See "load"."""


class Refused(Exception):
    """An error that is told in its own words, without a trace of where it happened."""


def serve(make: Callable[[], Engine], name: str) -> None:
    """Answer until stdin ends.

    Args:
        make: imports the engine and returns it; what it prints is not an answer.
        name: of the engine.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer

    def answer(words: Dict[str, Any]) -> None:
        answers.write(json.dumps(words) + "\n")
        answers.flush()

    try:
        engine = make()
        answer(greeting(engine))
    except Exception as error:
        traceback.print_exc()
        answer({"error": f"{name} cannot be used in its environment: {type(error).__name__}: {error}"})
        return
    for line in sys.stdin:
        begin = time.perf_counter()
        try:
            done = obey(engine, json.loads(line))
            answer(dict(done, seconds=time.perf_counter() - begin))
        except Refused as error:
            answer({"error": str(error)})
        except Exception as error:
            traceback.print_exc()
            answer({"error": f"{type(error).__name__}: {error}"})


def greeting(engine: Engine) -> Dict[str, Any]:
    """The first words of a worker."""
    versions = {name: _version(name) for name in engine.packages}
    return {"protocol": VERSION, "engine": engine.name, "python": platform.python_version(), "versions": versions}


def _version(package: str) -> str:
    try:
        from importlib import metadata

        return metadata.version(package)
    except ImportError:  # in Python 3.7, which Isaac Gym also knows; and where what can be imported was not installed
        return "unknown"


def obey(engine: Engine, request: Dict[str, Any]) -> Dict[str, Any]:
    """Do what is asked."""
    do, plain = request["do"], {name: getattr(engine, name) for name in PLAIN}
    if do == "build":
        return _build(engine, Build(**request["build"]))
    if do == "write":
        _check(request["names"], PARAMETERS, "parameter")
        engine.write(request["names"])
    else:
        _check([do], ["build", *plain, "write"], "request")
        plain[do]()
    return {}


def _check(names: Iterable[str], known: Iterable[str], what: str) -> None:
    strange = sorted(set(names) - set(known))
    if strange:
        raise Refused(f"unknown {what} {', '.join(strange)}; known: {', '.join(known)}")


def _build(engine: Engine, build: Build) -> Dict[str, Any]:
    layout = fields(build)
    if build.device == "cpu":
        engine.build(build, shared(build.memory, layout))
        return {}
    cuda = Cuda(int(build.device.partition(":")[2] or 0))
    pointer = cuda.allocate(size(layout))
    engine.build(build, {name: OnDevice(pointer, field) for name, field in layout.items()})
    return {"handle": cuda.handle(pointer)}
