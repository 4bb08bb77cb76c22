"""Records every step of a policy into an MCAP file that ROS 2 tools open; needs no ROS."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from mcap.writer import CompressionType, Writer

from deploy.record import cdr
from deploy.record.layout import StepLayout
from deploy.record.sink import Sink
from robots.behaviour import Behaviour
from robots.contract import Contract
from robots.description import Robot

STEP_TOPIC = "/tether/step"
MEMORY_TOPIC = "/tether/memory"
METADATA = "tether"
CHUNK_BYTES = 4096  # a killed process loses at most this much; larger chunks would lose more
FLUSH_S = 5.0
STAMP_MAX = 2**63 - 1


class Recorded(Protocol):
    """The parts of a policy that a log names."""

    @property
    def contract(self) -> Contract: ...
    @property
    def digest(self) -> str: ...


class Recorder:
    """Writes step records, memory snapshots and raw messages; never waits for the disk and never raises once open.

    Use as a context manager. Killing the process loses no more than the last chunks.

    Args:
        path: the MCAP file; replaced if it exists.
        policy: its contract fixes the columns, its digest goes into the log.
        robot: whose limits go into the log.
        behaviour: what it does when the policy is not in control; `Behaviour.of` the robot unless given.
        config: guard configuration, written as JSON (a dataclass).
        notes: more key-value metadata, for example the simulation's seed.

    Raises:
        TetherError: if the file cannot be opened.
    """

    def __init__(
        self,
        path: str | Path,
        policy: Recorded,
        *,
        robot: Robot | None = None,
        behaviour: Behaviour | None = None,
        config: Any = None,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        self.layout = StepLayout.from_contract(policy.contract)
        self._sink = Sink(self.path)
        self._writer = Writer(self._sink, chunk_size=CHUNK_BYTES, compression=CompressionType.NONE, enable_data_crcs=True)  # type: ignore[arg-type]
        self._writer.start(profile="ros2", library="tether")
        self._writer.add_metadata(METADATA, metadata(policy, robot, behaviour, config) | dict(notes or {}))
        schema = self._writer.register_schema(cdr.SCHEMA_NAME, "ros2msg", cdr.SCHEMA_TEXT.encode())
        self._step = self._writer.register_channel(STEP_TOPIC, "cdr", schema, {"columns": self.layout.to_json()})
        self._memory = self._writer.register_channel(MEMORY_TOPIC, "cdr", schema, {"columns": '["tick", "memory..."]'})
        self._raw: dict[tuple[str, str], int] = {}
        self._step_header = cdr.header(self.layout.size)
        self._time = 0
        self._open = True
        self._sink.hand_over()

    @property
    def problem(self) -> str | None:
        """Why recording stopped, or None while all is well."""
        return self._sink.problem

    def step(self, row: np.ndarray, stamp_ns: int) -> None:
        """Record one step: float64 ``[layout.size]``."""
        self._add(self._step, self._step_header + row.tobytes(), stamp_ns)

    def memory(self, tick: int, memory: np.ndarray, stamp_ns: int) -> None:
        """Record the memory that the graph is given at ``tick``."""
        self._add(self._memory, cdr.encode(np.concatenate(([float(tick)], memory.ravel().astype(np.float64)))), stamp_ns)

    def raw(self, topic: str, schema_name: str, schema_text: str, data: bytes, stamp_ns: int) -> None:
        """Record a message of another topic as it came: CDR bytes of ``schema_name`` (``ros2msg`` definition ``schema_text``)."""
        if self._sink.problem is None and self._open:
            channel = self._raw.get((topic, schema_name))
            if channel is None:
                schema = self._writer.register_schema(schema_name, "ros2msg", schema_text.encode())
                channel = self._raw[topic, schema_name] = self._writer.register_channel(topic, "cdr", schema)
            self._add(channel, data, stamp_ns)

    def close(self) -> None:
        """Finish the file; waits for the disk no longer than `FLUSH_S`."""
        if self._open:
            self._open = False
            self._writer.finish()
            self._sink.close(FLUSH_S)

    def _add(self, channel: int, data: bytes, stamp_ns: int) -> None:
        if self._sink.problem is not None or not self._open:
            return
        # File order is time order even when stamps are not: the stamp itself is a column.
        self._time = max(self._time, min(stamp_ns, STAMP_MAX))
        self._writer.add_message(channel, log_time=self._time, publish_time=self._time, data=data)
        self._sink.hand_over()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def metadata(policy: Recorded, robot: Robot | None, behaviour: Behaviour | None, config: Any) -> dict[str, str]:
    """What a log says about where it comes from; every value is text, structured ones JSON."""
    data = {
        "schema": "1",
        "policy_digest": policy.digest,
        "contract": policy.contract.to_json(),
        "robot": robot.name if robot else policy.contract.robot,
        "versions": json.dumps(_versions()),
    }
    if robot is not None:
        data["robot_limits"] = json.dumps(dataclasses.asdict(robot.limits), sort_keys=True)
        data["behaviour"] = json.dumps(dataclasses.asdict(behaviour or Behaviour.of(robot)), sort_keys=True)
    if config is not None:
        data["guards"] = json.dumps(dataclasses.asdict(config), sort_keys=True)
    return data


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("tether", "tether-robot", "numpy", "onnxruntime", "mcap"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
