"""Why a policy file is refused, or an input to a loaded policy."""

from __future__ import annotations

from pathlib import Path

from robots.errors import TetherError


class PolicyFileError(TetherError):
    """A policy file that must not run.

    Attributes:
        check: which failed: ``file``, ``seal``, ``digest``, ``graph``, ``contract``, ``inputs``, ``outputs``, ``provider``, ``parity``.
        reason: what was found and expected, and the remedy.
    """

    def __init__(self, check: str, reason: str, path: Path | None = None) -> None:
        super().__init__(f"policy {path or 'file'} refused, {check} check: {reason}")
        self.check = check
        self.reason = reason


class PolicyInputError(TetherError):
    """An input to `Policy.step` that is missing or of the wrong shape."""
