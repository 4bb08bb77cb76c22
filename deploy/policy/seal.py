"""The digest inside a policy file: its last 64 bytes are the hex SHA-256 of all bytes before.

They are the value of a last ``metadata_props`` entry of the ONNX model, so a sealed file is still plain ONNX to every other
tool. The entry's bytes up to the value are fixed (`PREFIX`), which tells a sealed file from another before anything parses it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from deploy.policy.errors import PolicyFileError
from robots.errors import TetherError

KEY = "tether_digest"
DIGEST_SIZE = 64
MAX_BYTES = 512 * 1024 * 1024  # far above any control policy; keeps a wrong path from filling a robot's memory

_ENTRY = b"\x0a" + bytes([len(KEY)]) + KEY.encode() + b"\x12" + bytes([DIGEST_SIZE])  # StringStringEntryProto: key = 1, value = 2
PREFIX = b"\x72" + bytes([len(_ENTRY) + DIGEST_SIZE]) + _ENTRY  # ModelProto: metadata_props = 14


def seal(model: bytes) -> bytes:
    """``model`` (a serialised ``ModelProto`` without seal) with its digest appended."""
    body = model + PREFIX
    return body + hashlib.sha256(body).hexdigest().encode()


def unseal(data: bytes) -> bytes:
    """The model bytes of a sealed file, whether or not the digest still fits; raises `PolicyFileError` if there is no seal."""
    body = data[:-DIGEST_SIZE]
    if not body.endswith(PREFIX):
        raise PolicyFileError(
            "seal",
            f"its last {DIGEST_SIZE} bytes are not a Tether digest; it is cut short, or a plain ONNX file; "
            "copy the file again or write it with `tether export`",
        )
    return body[: -len(PREFIX)]


def verify(data: bytes) -> str:
    """The digest of a sealed file's bytes.

    Raises:
        PolicyFileError: if there is no seal, or any byte has changed since sealing.
    """
    unseal(data)
    stated = data[-DIGEST_SIZE:].decode("ascii", "replace")
    found = hashlib.sha256(data[:-DIGEST_SIZE]).hexdigest()
    if stated != found:
        text = f"found {found[:12]}…, expected {stated[:12]!r}…; its bytes have changed since export, copy the file again"
        raise PolicyFileError("digest", text)
    return found


def read(path: Path) -> bytes:
    """The bytes of ``path``; raises `PolicyFileError` for anything that is not a readable, non-empty file of sane size."""
    if not path.exists():
        raise PolicyFileError("file", "there is no such file; check the path, or write one with `tether export`")
    if not path.is_file():
        raise PolicyFileError("file", "it is not a regular file; give the path of an .onnx file")
    size = path.stat().st_size
    if size == 0:
        raise PolicyFileError("file", "it is empty; copy the file again")
    if size > MAX_BYTES:
        raise PolicyFileError("file", f"it has {size} bytes, at most {MAX_BYTES} are read; this is not a control policy")
    try:
        return path.read_bytes()
    except OSError as error:
        raise PolicyFileError("file", f"it cannot be read ({error.strerror}); check its permissions") from error


def write(path: Path, model: bytes) -> str:
    """Seal ``model`` and write it atomically, so that a reader sees the old file or the new one; returns the digest.

    Raises:
        TetherError: if the file cannot be written there.
    """
    data = seal(model)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise TetherError(f"{path} cannot be written ({error.strerror}); choose another place") from error
    return verify(data)
