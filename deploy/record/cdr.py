"""``std_msgs/msg/Float64MultiArray`` as ROS 2 serialises it: a fixed header, then the numbers.

Little-endian CDR: 4 bytes of encapsulation, an empty ``layout.dim``, ``layout.data_offset`` 0, the element count, padding to 8, float64s.
"""

from __future__ import annotations

import struct

import numpy as np

SCHEMA_NAME = "std_msgs/msg/Float64MultiArray"
SCHEMA_TEXT = """MultiArrayLayout layout
float64[] data
================================================================================
MSG: std_msgs/MultiArrayLayout
MultiArrayDimension[] dim
uint32 data_offset
================================================================================
MSG: std_msgs/MultiArrayDimension
string label
uint32 size
uint32 stride
"""
HEADER_SIZE = 20


def header(count: int) -> bytes:
    """Everything before the ``count`` numbers."""
    return b"\x00\x01\x00\x00" + struct.pack("<IIII", 0, 0, count, 0)


def payload_size(count: int) -> int:
    """Bytes of a message with ``count`` numbers."""
    return HEADER_SIZE + 8 * count


def encode(values: np.ndarray) -> bytes:
    """One message of a float64 vector."""
    return header(values.size) + values.astype("<f8", copy=False).tobytes()


def decode_all(payloads: list[bytes], count: int) -> np.ndarray:
    """Messages of ``count`` numbers each as ``[messages, count]``; read-only."""
    return np.frombuffer(b"".join([payload[HEADER_SIZE:] for payload in payloads]), dtype="<f8").reshape(-1, count)
