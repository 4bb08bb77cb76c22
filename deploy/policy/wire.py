"""Just enough protobuf to look into an ONNX file before ONNX Runtime parses it, without the ``onnx`` package.

Field numbers are those of onnx.proto3. What a policy may not have is refused here: operators outside the standard domain (custom
operators are native code), weights outside the file, model-local functions, training graphs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from deploy.policy.errors import PolicyFileError

OPSET = 18
IR_VERSION = 8
MAX_DEPTH = 16  # of sub-graphs in If branches

_Value: TypeAlias = int | bytes
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass
class Model:
    """What a policy file says of itself: versions, metadata and the operators of all its graphs."""

    ir_version: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict, repr=False)
    operators: dict[str, int] = field(default_factory=dict)
    initializer_bytes: int = 0


def inspect(data: bytes) -> Model:
    """Read and check a serialised ``ModelProto``; raises `PolicyFileError` naming what a policy may not have."""
    model = Model()
    try:
        for number, value in _fields(data):
            if number == 1:
                model.ir_version = _integer(value)
            elif number == 7:
                _graph(_chunk(value), model, 0)
            elif number == 8:
                domain, version = _opset(_chunk(value))
                model.opsets[domain] = version
            elif number == 14:
                key, text = _entry(_chunk(value))
                if key in model.metadata:
                    raise _refused(f"metadata {key!r} occurs twice")
                model.metadata[key] = text
            elif number in (20, 25):
                raise _refused("it has " + ("a training graph" if number == 20 else "model-local functions"))
    except (IndexError, ValueError) as error:
        raise PolicyFileError("graph", f"it is not an ONNX model ({error}); write it with `tether export`") from error
    _versions(model)
    return model


def _versions(model: Model) -> None:
    if set(model.opsets) != {""}:
        raise _refused(f"found operator domains {sorted(model.opsets)}, expected only the standard one")
    if model.opsets[""] != OPSET or model.ir_version != IR_VERSION:
        found = f"opset {model.opsets['']}, IR {model.ir_version}"
        raise _refused(f"found {found}, expected opset {OPSET}, IR {IR_VERSION}")


def _graph(data: bytes, model: Model, depth: int) -> None:
    """GraphProto: node = 1, initializer = 5, sparse_initializer = 15."""
    if depth > MAX_DEPTH:
        raise _refused(f"sub-graphs are nested more than {MAX_DEPTH} deep")
    for number, value in _fields(data):
        if number == 1:
            _node(_chunk(value), model, depth)
        elif number == 5:
            _tensor(_chunk(value))
            model.initializer_bytes += len(_chunk(value))
        elif number == 15:
            raise _refused("it has sparse weights")


def _node(data: bytes, model: Model, depth: int) -> None:
    """NodeProto: op_type = 4, attribute = 5, domain = 7."""
    operator = domain = ""
    for number, value in _fields(data):
        if number == 4:
            operator = _chunk(value).decode()
        elif number == 5:
            _attribute(_chunk(value), model, depth)
        elif number == 7:
            domain = _chunk(value).decode()
    if domain not in ("", "ai.onnx"):
        raise _refused(f"operator {operator!r} is of domain {domain!r}, expected only the standard one")
    model.operators[operator] = model.operators.get(operator, 0) + 1


def _attribute(data: bytes, model: Model, depth: int) -> None:
    """AttributeProto: t = 5, g = 6, tensors = 10, graphs = 11."""
    for number, value in _fields(data):
        if number in (5, 10):
            _tensor(_chunk(value))
        elif number in (6, 11):
            _graph(_chunk(value), model, depth + 1)


def _tensor(data: bytes) -> None:
    """TensorProto: external_data = 13, data_location = 14 (0 is inside the file)."""
    for number, value in _fields(data):
        if number == 13 or (number == 14 and value != 0):
            raise _refused("it keeps weights in another file")


def _opset(data: bytes) -> tuple[str, int]:
    """OperatorSetIdProto: domain = 1, version = 2; ``ai.onnx`` is another name of the standard domain."""
    domain, version = "", 0
    for number, value in _fields(data):
        if number == 1:
            domain = _chunk(value).decode()
        elif number == 2:
            version = _integer(value)
    return ("" if domain == "ai.onnx" else domain), version


def _entry(data: bytes) -> tuple[str, str]:
    """StringStringEntryProto: key = 1, value = 2."""
    parts = {number: _chunk(value).decode() for number, value in _fields(data)}
    return parts.get(1, ""), parts.get(2, "")


def _fields(data: bytes) -> Iterator[tuple[int, _Value]]:
    """(field number, value) of every field of one message."""
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = _varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {position}")
        if number == 0 or position + size > end:
            raise ValueError(f"field {number} ends beyond its message at byte {position}")
        yield number, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
    raise ValueError(f"integer longer than 10 bytes at byte {position}")


def _integer(value: _Value) -> int:
    if not isinstance(value, int):
        raise ValueError("expected an integer")
    return value


def _chunk(value: _Value) -> bytes:
    if isinstance(value, int):
        raise ValueError("expected bytes")
    return value


def _refused(message: str) -> PolicyFileError:
    return PolicyFileError("graph", f"{message}; write it with `tether export`")
