"""One thread: these tensors are small, and the machine is shared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from training.threads import one_thread


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield
