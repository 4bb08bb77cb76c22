"""What must hold for every robot description, registered here or elsewhere; the contract tests call it."""

from __future__ import annotations

import math
from itertools import pairwise

from robots.description import ArticulatedRobot, Battery, EquationRobot, Joint, JointActuator, LearnedActuator, Quadrotor, Robot
from robots.signals import Actuation, Signal


def problems(robot: Robot) -> list[str]:
    """Everything that is wrong with a description, one line each; empty for a good one."""
    found = [] if robot.model is None or robot.model.is_file() else [f"there is no model file {robot.model}"]
    found += [f"{name} is {value}, must be positive and finite" for name, value in _positive(robot) if not 0 < value < math.inf]
    found += [] if robot.source else ["source is empty: say where the numbers come from"]
    found += _signals("sensor", robot.sensors)
    found += [f"sensor {sensor.name} names no source" for sensor in robot.sensors if not sensor.source]
    for mode, signals in robot.actuations.items():
        found += _signals(f"actuation {mode}", signals)
        found += [problem for signal in signals for problem in _safe(signal)]
        shared = {signal.name for signal in signals} & {sensor.name for sensor in robot.sensors}
        found += [f"{name} names both a sensor and an actuation; a policy file needs different names" for name in sorted(shared)]
    if isinstance(robot, Quadrotor):
        found += _quadrotor(robot)
    if isinstance(robot, ArticulatedRobot):
        found += _joints(robot)
    if isinstance(robot, EquationRobot):
        found += _equation(robot)
    elif robot.model is None:
        found.append("there is no model file; only an EquationRobot does without")
    return found


def _positive(robot: Robot) -> list[tuple[str, float]]:
    limits = robot.limits
    values = [("mass_kg", robot.mass_kg), ("limits.tilt_rad", limits.tilt_rad), ("limits.speed_m_s", limits.speed_m_s)]
    values += [("limits.body_rate_rad_s", limits.body_rate_rad_s)]
    values += [(f"limits.action_rate[{name}]", rate) for name, rate in limits.action_rate.items()]
    if isinstance(robot, Quadrotor):
        values += [("torque_per_thrust_m", robot.torque_per_thrust_m), ("rotor_speed_max_rad_s", robot.rotor_speed_max_rad_s)]
        values += [("motor_rise_s", robot.motor_rise_s), ("motor_fall_s", robot.motor_fall_s)]
        values += [("inertia_kg_m2", value) for value in robot.inertia_kg_m2]
    return values


def _signals(what: str, signals: tuple[Signal, ...]) -> list[str]:
    found = [f"{what}: {name!r} appears twice" for name in _repeated([signal.name for signal in signals])]
    for signal in signals:
        found += [f"{what} {signal.name}: channel {name!r} appears twice" for name in _repeated(list(signal.channels))]
        found += [] if signal.unit else [f"{what} {signal.name} has no unit"]
        found += [
            f"{what} {signal.name}.{channel}: lower bound {lower} is not below upper bound {upper}"
            for channel, lower, upper in zip(signal.channels, signal.lower, signal.upper)
            if not lower < upper
        ]
    return found


def _safe(signal: Actuation) -> list[str]:
    """The final safe command exists and is inside the bounds."""
    if len(signal.safe) != signal.size:
        return [f"actuation {signal.name}: {len(signal.safe)} safe values for {signal.size} channels"]
    lower, upper = signal.lower or (-math.inf,) * signal.size, signal.upper or (math.inf,) * signal.size
    return [
        f"actuation {signal.name}.{channel}: safe value {safe} is outside {low}…{high}"
        for channel, safe, low, high in zip(signal.channels, signal.safe, lower, upper)
        if not low <= safe <= high
    ]


def _quadrotor(robot: Quadrotor) -> list[str]:
    """A body that can exist and can fly."""
    found = []
    smallest, middle, largest = sorted(robot.inertia_kg_m2)
    if smallest + middle < largest:
        found.append(f"no body has principal moments {robot.inertia_kg_m2}: the largest exceeds the sum of the others")
    if robot.thrust_to_weight <= 1.0:
        found.append(f"thrust-to-weight is {robot.thrust_to_weight:.2f}: it cannot fly")
    thrusts = [sum(c * (step / 50) ** power for power, c in enumerate(robot.thrust_curve_n)) for step in range(51)]
    if any(after < before for before, after in pairwise(thrusts) if after > 0.0):
        found.append("the thrust curve falls somewhere in 0…1")
    if sum(rotor.spin for rotor in robot.rotors) != 0 or any(abs(rotor.spin) != 1 for rotor in robot.rotors):
        found.append("rotor spins must be +1 and −1 and balance, or the robot yaws at hover")
    return found + ([] if robot.battery is None else _battery(robot, robot.battery))


def _battery(robot: Quadrotor, battery: Battery) -> list[str]:
    """Voltages that rise with charge, and enough of them to hover on a full pack (to first order: without sag)."""
    values = [("capacity_ah", battery.capacity_ah), ("empty_share", battery.empty_share), ("resistance_ohm", battery.resistance_ohm)]
    values += [("rotor_power_w_s2", battery.rotor_power_w_s2), ("rotor_voltage[0]", battery.rotor_voltage[0])]
    found = [f"battery.{name} is {value}, must be positive and finite" for name, value in values if not 0 < value < math.inf]
    base, rise, drop = battery.open_circuit_v
    if min(rise, drop, battery.idle_power_w, battery.rotor_voltage[1]) < 0 or base <= drop:
        found.append("battery voltages must rise with charge and rotor speed, from more than nothing, and power must not be negative")
    hover = robot.rotor_speed_max_rad_s / math.sqrt(max(robot.thrust_to_weight, 1.0))
    needed = battery.rotor_voltage[0] * hover + battery.rotor_voltage[1] * hover**2
    if base + rise < needed:
        found.append(f"a full battery gives {base + rise:.2f} V, and hovering takes {needed:.2f} V")
    return found


def _joints(robot: ArticulatedRobot) -> list[str]:
    found = [f"joint {name!r} appears twice" for name in _repeated([joint.name for joint in robot.joints])]
    for joint in robot.joints:
        if not joint.lower < joint.upper:
            found.append(f"joint {joint.name}: range {joint.lower}…{joint.upper} is empty")
        if not (joint.effort > 0 and joint.speed > 0):
            found.append(f"joint {joint.name}: effort {joint.effort} and speed {joint.speed} must be positive")
    if len(robot.actuators) not in (0, len(robot.joints)):
        found.append(f"{len(robot.actuators)} actuators for {len(robot.joints)} joints; describe one a joint, or none")
    for joint, actuator in zip(robot.joints, robot.actuators):
        found += _actuator(joint, actuator)
    if len({isinstance(actuator, LearnedActuator) for actuator in robot.actuators}) > 1:
        found.append("some actuators are learned and some are not; robots have them on every joint or on none")
    if robot.stand and len(robot.stand) != len(robot.joints):
        found.append(f"stand has {len(robot.stand)} positions for {len(robot.joints)} joints")
    if robot.damping and not (len(robot.damping) == len(robot.joints) and all(0 < kd < math.inf for kd in robot.damping)):
        found.append(f"damping is {robot.damping}; give one positive kd a joint, or none")
    for joint, position in zip(robot.joints, robot.stand):
        if not joint.lower <= position <= joint.upper:
            found.append(f"joint {joint.name}: stands at {position}, outside {joint.lower}…{joint.upper}")
    return found


def _actuator(joint: Joint, actuator: JointActuator) -> list[str]:
    found = []
    if not (actuator.kp > 0 and actuator.kd >= 0):
        found.append(f"joint {joint.name}: kp {actuator.kp} must be positive, kd {actuator.kd} not negative")
    if not 0 < actuator.knee_speed < joint.speed:
        found.append(f"joint {joint.name}: knee_speed {actuator.knee_speed} is outside 0…{joint.speed}, the speed limit")
    if min(actuator.armature, actuator.lag_s) < 0:
        found.append(f"joint {joint.name}: armature and lag_s must not be negative")
    return found + (_learned(joint, actuator) if isinstance(actuator, LearnedActuator) else [])


def _learned(joint: Joint, actuator: LearnedActuator) -> list[str]:
    found = [] if actuator.network.is_file() else [f"joint {joint.name}: there is no network {actuator.network}"]
    if actuator.history < 1 or (actuator.history > 1 and not 0 < actuator.interval_s < math.inf):
        found.append(f"joint {joint.name}: a network needs a history of at least 1, and above that an interval_s between its parts")
    if actuator.lag_s:
        found.append(f"joint {joint.name}: a network knows the drive's lag; leave lag_s at 0")
    return found


def _equation(robot: EquationRobot) -> list[str]:
    """States and surroundings are sensors, of the widths that are given."""
    sizes = {sensor.name: sensor.size for sensor in robot.sensors}
    found = [f"{name} is no sensor; those are: {', '.join(sizes)}" for name in (*robot.states, *robot.surroundings) if name not in sizes]
    width = sum(sizes.get(name, 0) for name in robot.states)
    if len(robot.state_box) != width or not all(0 < value < math.inf for value in robot.state_box):
        found.append(f"state_box is {robot.state_box}; give {width} positive numbers, one a state")
    if not all(0 <= value < math.inf for value in robot.disturbance):
        found.append(f"disturbance is {robot.disturbance}; give half-widths, not negative")
    for name, values in robot.surroundings.items():
        if len(values) != sizes.get(name, len(values)):
            found.append(f"surroundings: {name} has {len(values)} values for {sizes[name]} channels")
    return found + ([] if 0 < robot.step_s < math.inf else [f"step_s is {robot.step_s}, must be positive and finite"])


def _repeated(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
