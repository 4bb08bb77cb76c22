"""Change a policy file at the level of protobuf fields, and seal it again; needs neither onnx nor protobuf."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from deploy.policy import seal

Value: TypeAlias = int | bytes
METADATA = 14  # ModelProto.metadata_props


def varint(number: int) -> bytes:
    """Protobuf's base-128 integer."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: Value) -> bytes:
    """One field: a varint for an int, length-delimited for bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data: bytes) -> Iterator[tuple[int, Value, bytes]]:
    """(number, value, the field's own bytes) of a message; an oracle for the reader under test, so written apart from it."""
    position = 0

    def integer() -> int:
        nonlocal position
        result = shift = 0
        while True:
            byte = data[position]
            position += 1
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result

    while position < len(data):
        start = position
        key = integer()
        size = {0: None, 1: 8, 5: 4}.get(key & 7, -1)
        value: Value
        if size is None:
            value = integer()
        else:
            size = integer() if size < 0 else size
            value = data[position : position + size]
            position += size
        yield key >> 3, value, data[start:position]


def edit(data: bytes, path: tuple[int, ...], change: Callable[[Value], Value | None]) -> bytes:
    """Apply ``change`` to every value at ``path`` of field numbers; None removes the field."""
    out = b""
    for number, value, raw in fields(data):
        if number != path[0]:
            out += raw
            continue
        new = change(value) if len(path) == 1 else edit(bytes(value), path[1:], change)  # type: ignore[arg-type]
        out += b"" if new is None else field(number, new)
    return out


def metadata(data: bytes, key: str, change: Callable[[str], str | None]) -> bytes:
    """Apply ``change`` to one metadata entry; None removes it."""

    def entry(value: Value) -> Value | None:
        pair = {number: content for number, content, _ in fields(bytes(value))}  # type: ignore[arg-type]
        if pair[1] != key.encode():
            return value
        text = change(pair[2].decode())  # type: ignore[union-attr]
        return None if text is None else field(1, key.encode()) + field(2, text.encode())

    return edit(data, (METADATA,), entry)


def json_metadata(data: bytes, key: str, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Apply ``change`` in place to the parsed JSON of one metadata entry."""

    def apply(text: str) -> str:
        value = json.loads(text)
        change(value)
        return json.dumps(value)

    return metadata(data, key, apply)


def resealed(sealed: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """``sealed`` with its model changed and a digest that fits again."""
    return seal.seal(change(seal.unseal(sealed)))
