"""A file that never makes its writer wait: a disk that fails or falls behind ends the recording, not the flight."""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path

from robots.errors import TetherError

PENDING_MAX_BYTES = 64 << 20  # some minutes of a fast log; a disk that is this far behind is not going to catch up


class Sink:
    """The stream `mcap.writer.Writer` writes to.

    Attributes:
        problem: None, or why nothing more is recorded.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o644)
        except OSError as error:
            raise TetherError(f"cannot record to {path}: {error.strerror}; choose a writable file in an existing directory") from error
        self.problem: str | None = None
        self._path = path
        self._parts: list[bytes] = []
        self._count = 0
        self._handed = 0  # written by the control loop only
        self._done = 0  # written by the thread only
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._drain, name="tether-recorder", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> int:
        """Keep ``data`` until `hand_over`."""
        self._parts.append(data)
        self._count += len(data)
        return len(data)

    def tell(self) -> int:
        """Bytes written so far."""
        return self._count

    def flush(self) -> None:
        """Hand over; does not wait for the disk."""
        self.hand_over()

    def hand_over(self) -> None:
        """Give what was written since the last call to the thread."""
        if not self._parts:
            return
        data = b"".join(self._parts)
        self._parts.clear()
        self._handed += len(data)
        if self._handed - self._done > PENDING_MAX_BYTES:
            self.problem = self.problem or f"recording to {self._path} stopped: the disk is {PENDING_MAX_BYTES >> 20} MiB behind"
        if self.problem is None:
            self._queue.put(data)

    def close(self, timeout_s: float) -> None:
        """Write what is left and close the file; gives up, saying so in `problem`, after ``timeout_s``."""
        self.hand_over()
        self._queue.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self.problem = self.problem or f"recording to {self._path} was left incomplete: the disk did not answer for {timeout_s:g} s"

    def _drain(self) -> None:
        open_ = True
        while open_:
            parts = [self._queue.get()]
            while not self._queue.empty():  # one write for all that waits: a busy control loop lets this thread run only now and then
                parts.append(self._queue.get())
            open_ = parts[-1] is not None
            data = b"".join(part for part in parts if part is not None)
            if self.problem is None:
                self._write_all(data)
            self._done += len(data)
        try:
            os.close(self._file)
        except OSError as error:
            self.problem = self.problem or f"recording to {self._path} failed at the end: {error.strerror}"

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            self.problem = f"recording to {self._path} stopped: {error.strerror}"
