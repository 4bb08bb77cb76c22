"""A ROS domain for each test that asks for one, and policy nodes with robots in it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from tests.ros2_ws.helpers import Cockpit, Robot, Walker, ros_domain

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import rosidl_generator_py  # noqa: F401  comes with the first message and imports modules that Python has deprecated; it warns once


@pytest.fixture
def domain() -> Iterator[None]:
    """ROS, initialised in a domain that nobody else uses; processes started inside share it."""
    with ros_domain():
        yield


@pytest.fixture
def cockpit(domain: None) -> Iterator[Any]:
    """Makes cockpits of a quadrotor, and closes them."""
    with Cockpit.hangar(Robot) as make:
        yield make


@pytest.fixture
def kennel(domain: None) -> Iterator[Any]:
    """Makes cockpits of a Go2, and closes them."""
    with Cockpit.hangar(Walker) as make:
        yield make
