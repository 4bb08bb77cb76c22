"""Walks the records of an MCAP file, taking what is whole from one that was cut short or damaged.

The library's readers stop at a chunk that is not complete and spend most of their time building objects; this walk yields byte ranges only.
Format: https://mcap.dev/spec
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from robots.errors import TetherError

MAGIC = b"\x89MCAP0\r\n"
SCHEMA, CHANNEL, MESSAGE, CHUNK, METADATA, DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0C, 0x0F
_RECORD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")


@dataclass
class Channel:
    """One topic: its metadata and the payloads of its messages, in file order."""

    topic: str
    metadata: dict[str, str]
    payloads: list[bytes] = field(default_factory=list)


@dataclass
class Container:
    """What a file holds.

    Attributes:
        channels: by id; topics are not unique in damaged files.
        metadata: metadata records by name.
        truncated: the file has no end: it was cut, or its writer killed.
        problems: what is wrong with it, one line each.
    """

    channels: dict[int, Channel] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    truncated: bool = True
    problems: list[str] = field(default_factory=list)

    def channel(self, topic: str) -> Channel | None:
        """The channel of ``topic``."""
        return next((channel for channel in self.channels.values() if channel.topic == topic), None)


def read(data: bytes) -> Container:
    """Everything whole in ``data``; raises `TetherError` if it is not MCAP at all."""
    if data[: len(MAGIC)] != MAGIC:
        raise TetherError("it is empty" if not data else "it is not an MCAP file")
    found = Container()
    try:
        _walk(data, len(MAGIC), len(data), found, inside_chunk=False)
    except (struct.error, UnicodeDecodeError, ValueError, IndexError) as error:
        found.problems.append(f"damaged: {type(error).__name__}: {error}")
    found.truncated = found.truncated or not data.endswith(MAGIC)
    if found.truncated:
        found.problems.append("the file has no end: it was cut short or its recorder was killed")
    return found


def _walk(data: bytes, position: int, end: int, found: Container, *, inside_chunk: bool) -> None:
    """Take the records between ``position`` and ``end``, and whole messages out of a chunk that is not whole."""
    unpack = _RECORD.unpack_from
    messages: dict[int, list[bytes]] = {}
    while position + 9 <= end:
        kind, length = unpack(data, position)
        position += 9
        stop = position + length
        if kind == MESSAGE:
            if stop > end:
                return
            channel_id = data[position] | data[position + 1] << 8
            payloads = messages.get(channel_id)
            if payloads is None:
                payloads = messages[channel_id] = found.channels[channel_id].payloads if channel_id in found.channels else []
            payloads.append(data[position + _MESSAGE.size : stop])
        elif kind == CHUNK and not inside_chunk:
            _chunk(data, position, min(stop, end), stop > end, found)
        elif stop > end:
            return
        elif kind == CHANNEL:
            _channel(data, position, found)
        elif kind == METADATA:
            name, position = _text(data, position)
            found.metadata[name], _ = _mapping(data, position)
        elif kind == DATA_END:
            _data_end(data, position, found)
        position = stop


def _chunk(data: bytes, position: int, end: int, cut: bool, found: Container) -> None:
    if position + 32 > end:
        return
    size, checksum = struct.unpack_from("<QI", data, position + 16)
    compression, position = _text(data, position + 28)
    position += 8
    if cut and compression:
        return
    try:
        records = _decompress(data[position:end], compression, size)
        if not cut and checksum and zlib.crc32(records) != checksum:
            found.problems.append(f"damaged: the checksum of the chunk at byte {position} does not match")
        _walk(records, 0, len(records), found, inside_chunk=True)
    except Exception as error:  # a damaged chunk may fail in any way, in any decompressor; the next one may be whole
        found.problems.append(f"damaged: the chunk at byte {position}: {type(error).__name__}: {error}")


def _data_end(data: bytes, position: int, found: Container) -> None:
    """The end of the data; what follows repeats schemas and channels and indexes the rest."""
    (checksum,) = struct.unpack_from("<I", data, position)
    found.truncated = False
    if checksum and zlib.crc32(memoryview(data)[: position - _RECORD.size]) != checksum:
        found.problems.append("damaged: the checksum of the whole file does not match")


def _decompress(data: bytes, compression: str, size: int) -> bytes:
    """Our own chunks are not compressed, but a log may have been through a tool that does."""
    if compression == "":
        return data
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
    if compression == "lz4":
        import lz4.frame  # type: ignore[import-untyped]

        return bytes(lz4.frame.decompress(data))
    raise ValueError(f"unknown chunk compression {compression!r}")


def _channel(data: bytes, position: int, found: Container) -> None:
    (channel_id,) = struct.unpack_from("<H", data, position)
    topic, position = _text(data, position + 4)
    _, position = _text(data, position)
    mapping, _ = _mapping(data, position)
    found.channels.setdefault(channel_id, Channel(topic, mapping))


def _text(data: bytes, position: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<I", data, position)
    stop = position + 4 + length
    if stop > len(data):
        raise ValueError("a text runs past the end")
    return data[position + 4 : stop].decode(), stop


def _mapping(data: bytes, position: int) -> tuple[dict[str, str], int]:
    (length,) = struct.unpack_from("<I", data, position)
    position, stop = position + 4, position + 4 + length
    found = {}
    while position < stop:
        key, position = _text(data, position)
        found[key], position = _text(data, position)
    return found, stop
