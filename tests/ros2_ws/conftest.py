"""A ROS domain for each test that asks for one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from tests.ros2_ws.helpers import ros_domain

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import rosidl_generator_py  # noqa: F401  comes with the first message and imports modules that Python has deprecated; it warns once


@pytest.fixture
def domain() -> Iterator[None]:
    """ROS, initialised in a domain that nobody else uses; processes started inside share it."""
    with ros_domain():
        yield
