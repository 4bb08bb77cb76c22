"""What a trainer and a worker say to each other, and the memory they share."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.isaac.workers import protocol
from tests.sim.isaac.talk import TREE, build_of, quadrotor_build

ENGINE = """
import sys
sys.path.insert(0, sys.argv[1])
import protocol

class Doubling(protocol.Engine):
    name, packages = "doubling", ("numpy", "no-such-package")
    def build(self, build, arrays):
        print("a library's own words")
        self.a = arrays
    def reset(self): raise protocol.Refused("not now")
    def place(self): pass
    def step(self): self.a["qpos"][:] = 2.0 * self.a["target"][0, :, :1]
    def write(self, names): self.a["memory"][:] = len(names)
    def save(self): raise ValueError("a number")
    def load(self): pass

def make():
    print("loading")
    if "--broken" in sys.argv: raise ImportError("no library")
    return Doubling()

protocol.serve(make, "Doubling")
"""


class Recorder(protocol.Engine):
    """Notes what it is asked."""

    name, packages = "recorder", ("numpy",)

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def build(self, build: protocol.Build, arrays: dict[str, Any]) -> None:
        self.asked.append(("build", build, arrays))

    def reset(self) -> None:
        self.asked.append("reset")

    def place(self) -> None:
        self.asked.append("place")

    def step(self) -> None:
        self.asked.append("step")

    def write(self, names: list[str]) -> None:
        self.asked.append(names)

    def save(self) -> None:
        self.asked.append("save")

    def load(self) -> None:
        self.asked.append("load")


class Runtime:
    """CUDA's, which notes calls and their arguments' types, and fails where told."""

    def __init__(self, failing: str = "") -> None:
        self.failing, self.calls = failing, []  # type: str, list[tuple[str, list[str]]]
        self.handle, self.pointer = bytes(range(64)), 0x7F0000000000

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            self.calls.append((name, [type(argument).__name__ for argument in arguments]))
            if name in ("cudaMalloc", "cudaIpcOpenMemHandle"):
                arguments[0]._obj.value = self.pointer
            if name == "cudaIpcGetMemHandle":
                ctypes.memmove(ctypes.addressof(arguments[0]._obj), self.handle, 64)
            if name == "cudaIpcOpenMemHandle":
                assert bytes(arguments[1]) == self.handle
            return 2 if name == self.failing else 0

        return call


# --- memory ---


@pytest.mark.parametrize("build", [build_of(num_envs=7), build_of(num_envs=1, parts=[], feet=[]), quadrotor_build(Path("x.xml"), 3)])
def test_arrays_are_aligned_and_apart(build):
    layout = protocol.fields(build)
    assert {*protocol.STATE, *protocol.READINGS, *protocol.PARAMETERS, "applied", "target", "mask", "memory"} == set(layout)
    spans = []
    for field in layout.values():
        assert field.offset % protocol.ALIGNMENT == 0
        spans.append((field.offset, field.offset + int(np.prod(field.shape)) * np.dtype(field.dtype).itemsize))
    spans.sort()
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))
    assert protocol.size(layout) >= spans[-1][1] > 0


def test_both_sides_see_the_memory():
    """Even when both have closed the file."""
    build = build_of(num_envs=2)
    layout = protocol.fields(build)
    file = os.memfd_create("tether-test")
    os.ftruncate(file, protocol.size(layout))
    ours, theirs = protocol.shared(file, layout), protocol.shared(os.dup(file), layout)
    os.close(file)
    for index, (name, field) in enumerate(layout.items()):
        assert ours[name].shape == field.shape
        assert ours[name].dtype == field.dtype
        ours[name][...] = index
    assert all((theirs[name] == index).all() for index, name in enumerate(layout))


def test_an_array_on_a_gpu_says_where_it_is():
    field = protocol.fields(build_of(num_envs=5))["mask"]
    told = protocol.OnDevice(1 << 40, field).__cuda_array_interface__
    assert told == {"shape": (5,), "typestr": "|u1", "data": ((1 << 40) + field.offset, False), "version": 2}
    assert protocol.OnDevice(0, protocol.Field(0, (2, 3), "float32")).__cuda_array_interface__["typestr"] == "<f4"


def test_memory_of_a_gpu_goes_from_one_process_to_the_other():
    runtime = Runtime()
    worker, trainer = protocol.Cuda(1, runtime), protocol.Cuda(1, runtime)
    pointer = worker.allocate(1000)
    assert trainer.open(worker.handle(pointer)) == pointer == runtime.pointer
    assert runtime.calls == [
        ("cudaSetDevice", ["c_int"]),
        ("cudaSetDevice", ["c_int"]),
        ("cudaMalloc", ["CArgObject", "c_ulong"]),
        ("cudaMemset", ["c_void_p", "c_int", "c_ulong"]),
        ("cudaIpcGetMemHandle", ["CArgObject", "c_void_p"]),
        ("cudaIpcOpenMemHandle", ["CArgObject", "Handle", "c_uint"]),
    ]


@pytest.mark.parametrize("failing", ["cudaMalloc", "cudaMemset"])
def test_errors_of_cuda_are_told(failing):
    cuda = protocol.Cuda(0, Runtime(failing))
    with pytest.raises(RuntimeError, match=f"{failing} answers error 2"):
        cuda.allocate(8)


def test_without_cuda_there_is_no_runtime():
    code = "import sys; sys.path.insert(0, sys.argv[1]); import protocol; protocol.loaded_runtime()"
    result = subprocess.run([sys.executable, "-c", code, str(TREE / "sim/isaac/workers")], capture_output=True, text=True)
    assert "import torch with CUDA first" in result.stderr


# --- requests ---


def test_requests_reach_the_engine():
    engine = Recorder()
    for do in protocol.PLAIN:
        assert protocol.obey(engine, {"do": do}) == {}
    assert protocol.obey(engine, {"do": "write", "names": ["kp", "mass"]}) == {}
    assert engine.asked == [*protocol.PLAIN, ["kp", "mass"]]


def test_a_build_on_a_cpu_is_given_the_file():
    build, engine = build_of(num_envs=2), Recorder()
    file = os.memfd_create("tether-test")
    os.ftruncate(file, protocol.size(protocol.fields(build)))
    words = json.loads(json.dumps(build._replace(memory=file)._asdict()))
    assert protocol.obey(engine, {"do": "build", "build": words}) == {}
    os.close(file)
    _, told, arrays = engine.asked[0]
    assert told == build._replace(memory=file)
    assert arrays["qpos"].shape == (2, 19)


def test_a_build_on_a_gpu_gives_a_handle(monkeypatch):
    runtime, engine = Runtime(), Recorder()
    monkeypatch.setattr(protocol, "loaded_runtime", lambda: runtime)
    build = build_of(num_envs=2, device="cuda:3")
    answer = protocol.obey(engine, {"do": "build", "build": build._asdict()})
    assert answer == {"handle": runtime.handle.hex()}
    (_, _, arrays), layout = engine.asked[0], protocol.fields(build)
    for name, field in layout.items():
        assert arrays[name].__cuda_array_interface__["data"] == (runtime.pointer + field.offset, False)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"do": "dance"}, "unknown request dance; known: build, reset, place"),
        ({"do": "write", "names": ["mass", "colour"]}, "unknown parameter colour; known: friction, mass"),
    ],
)
def test_what_no_worker_knows_is_refused(request_, words):
    engine = Recorder()
    with pytest.raises(protocol.Refused, match=words):
        protocol.obey(engine, request_)
    assert not engine.asked


def test_a_greeting_names_versions():
    words = protocol.greeting(Recorder())
    assert words["protocol"] == protocol.VERSION
    assert words["engine"] == "recorder"
    assert words["versions"] == {"numpy": np.__version__}


# --- a worker's process ---


def talked(requests: list[str], *arguments: str, **options: Any) -> list[dict[str, Any]]:
    """Answers of a worker to lines on its stdin, which then ends, as it does."""
    command = [sys.executable, "-c", ENGINE, str(TREE / "sim/isaac/workers"), *arguments]
    lines = "".join(request + "\n" for request in requests)
    result = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, **options)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_worker_answers_line_by_line_and_goes_on_after_errors():
    build = build_of(num_envs=2)
    layout = protocol.fields(build)
    file = os.memfd_create("tether-test")
    os.ftruncate(file, protocol.size(layout))
    arrays = protocol.shared(file, layout)
    arrays["target"][0] = 1.5
    words = json.dumps({"do": "build", "build": build._replace(memory=file)._asdict()})
    requests = [words, '{"do": "reset"}', '{"do": "save"}', "nonsense", '{"do": "write", "names": ["kp"]}', '{"do": "step"}']
    greeting, *answers = talked(requests, pass_fds=[file])
    os.close(file)
    assert greeting["versions"] == {"numpy": np.__version__, "no-such-package": "unknown"}
    assert [answer.pop("seconds") > 0.0 for answer in answers if "error" not in answer] == [True] * 3
    assert answers[:3] == [{}, {"error": "not now"}, {"error": "ValueError: a number"}]
    assert answers[3]["error"].startswith("JSONDecodeError")
    assert answers[4:] == [{}, {}]
    assert (arrays["qpos"] == 3.0).all()
    assert (arrays["memory"] == 1.0).all()


def test_a_worker_whose_engine_does_not_load_says_so_and_ends():
    assert talked([], "--broken") == [{"error": "Doubling cannot be used in its environment: ImportError: no library"}]
