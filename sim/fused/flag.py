"""Something that is the case while a block of code runs, for everybody."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class Flag:
    """Lowered until somebody raises it.

    Attributes:
        up: whether it is raised.
    """

    def __init__(self) -> None:
        self.up = False

    @contextlib.contextmanager
    def raised(self) -> Iterator[None]:
        """Inside, it is up; after that, what it was before."""
        before, self.up = self.up, True
        try:
            yield
        finally:
            self.up = before
