"""Declared parameters: types, ranges and choices in the descriptors, and an error that names what would have worked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from robots.errors import TetherError

STANDARD = ("use_sim_time", "start_type_description_service")  # declared by rclpy itself


@dataclasses.dataclass(frozen=True)
class Declaration:
    """One parameter.

    Attributes:
        name: as in YAML.
        default: gives the type: bool, int, float, str, a list of floats, or one of strings of any length.
        description: one line, with the unit.
        lower, upper: inclusive range of a number; None for no range.
        choices: for a string, the values it may take.
    """

    name: str
    default: Any
    description: str
    lower: float | None = None
    upper: float | None = None
    choices: tuple[str, ...] = ()

    def descriptor(self) -> ParameterDescriptor:
        """What ``ros2 param describe`` shows and rclpy enforces."""
        descriptor = ParameterDescriptor(name=self.name, description=self.description)
        if self.choices:
            descriptor.additional_constraints = f"one of: {', '.join(self.choices)}"
        if self.lower is not None and self.upper is not None:
            if isinstance(self.default, int):
                descriptor.integer_range = [IntegerRange(from_value=int(self.lower), to_value=int(self.upper))]
            else:
                descriptor.floating_point_range = [FloatingPointRange(from_value=float(self.lower), to_value=float(self.upper))]
        return descriptor

    def check(self, value: Any) -> str:
        """Why ``value`` cannot be used, or an empty string."""
        if self.choices and value not in self.choices:
            return f"parameter {self.name} is {value!r}; choose one of: {', '.join(self.choices)}"
        if isinstance(self.default, list) and isinstance(self.default[0], float) and len(value) != len(self.default):
            return f"parameter {self.name} has {len(value)} numbers, needs {len(self.default)}"
        if self.lower is not None and self.upper is not None and not self.lower <= value <= self.upper:
            return f"parameter {self.name} is {value}; it must be between {self.lower} and {self.upper}"
        return ""


REALTIME_PRIORITY = Declaration("realtime_priority", 0, "SCHED_FIFO priority of the process; 0 leaves scheduling to the system", 0, 99)


def declare(node: Node, declarations: Sequence[Declaration]) -> dict[str, Any]:
    """Declare on a node that was made with ``automatically_declare_parameters_from_overrides``; returns the values by name.

    That option is how a node sees overrides it never declared: a misspelt name is an error here, not silence. Integers are taken where a
    float is declared.

    Raises:
        TetherError: for an unknown name, a wrong type, or a value out of range, naming the valid ones.
    """
    given = {name: item.value for name, item in node.get_parameters_by_prefix("").items()}
    known = {declaration.name for declaration in declarations}
    for name in given:
        if name not in known and name not in STANDARD and not name.startswith("qos_overrides."):
            raise TetherError(f"unknown parameter {name!r}; known: {', '.join(sorted(known))}")
    return {declaration.name: _declare(node, declaration, given) for declaration in declarations}


def refuse(declarations: Sequence[Declaration], values: Mapping[str, Any]) -> None:
    """Raise `TetherError` for the first of ``values`` that its declaration does not allow."""
    for declaration in declarations:
        reason = declaration.check(values[declaration.name]) if declaration.name in values else ""
        if reason:
            raise TetherError(reason)


def _declare(node: Node, declaration: Declaration, given: dict[str, Any]) -> Any:
    value = given.get(declaration.name, declaration.default)
    if declaration.name in given:
        node.undeclare_parameter(declaration.name)
    value = _coerce(value, declaration.default)
    kind = Parameter.Type.from_parameter_value(declaration.default)
    if Parameter.Type.from_parameter_value(value) != kind:
        raise TetherError(f"parameter {declaration.name} is {value!r}; it must be of type {kind.name.lower()} ({declaration.description})")
    reason = declaration.check(value)
    if reason:
        raise TetherError(reason)
    try:
        node.declare_parameter(declaration.name, value, declaration.descriptor(), ignore_override=True)
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        raise TetherError(f"parameter {declaration.name}: {error}") from error
    return value


def _coerce(value: Any, default: Any) -> Any:
    """Integers become floats where the default is a float; arrays become lists."""
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, list) and hasattr(value, "__len__") and not isinstance(value, str):
        return [float(item) if isinstance(item, int) else item for item in value]
    return value
