"""What a robot is: numbers with sources, sensors, actuation, limits. numpy and the standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from robots.errors import unknown
from robots.signals import Actuation, Sensor

GRAVITY = 9.81  # m/s²

MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Limits:
    """The envelope a robot must stay inside, whatever a policy says; a policy file may only tighten it.

    Attributes:
        tilt_rad: largest angle between the body's z axis and the vertical.
        speed_m_s: largest speed of the base.
        body_rate_rad_s: largest angular speed about any body axis.
        distance_m: largest distance from the commanded goal (the geofence); ``inf`` where a task has no goal.
        action_rate: largest change of each actuation channel per second, by channel name; absent means unlimited.
    """

    tilt_rad: float
    speed_m_s: float
    body_rate_rad_s: float
    distance_m: float
    action_rate: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Robot:
    """A robot: its model file, what it senses, the ways it can be actuated, and its limits.

    Attributes:
        name: registry name.
        model: MJCF file; None where equations of motion say it all.
        source: where the numbers come from.
        mass_kg: total mass.
        sensors: everything the robot can measure.
        actuations: actuation modes by name; each a tuple of actuation signals.
        limits: the envelope.
    """

    name: str
    model: Path | None = None
    source: str
    mass_kg: float
    sensors: tuple[Sensor, ...]
    actuations: Mapping[str, tuple[Actuation, ...]]
    limits: Limits

    def sensor(self, name: str) -> Sensor:
        """The sensor called ``name``; raises `TetherError` naming the robot's sensors."""
        for sensor in self.sensors:
            if sensor.name == name:
                return sensor
        raise unknown(f"sensor of {self.name}", name, [s.name for s in self.sensors])

    def actuation(self, mode: str) -> tuple[Actuation, ...]:
        """The actuation signals of ``mode``; raises `TetherError` naming the robot's modes."""
        if mode not in self.actuations:
            raise unknown(f"actuation of {self.name}", mode, list(self.actuations))
        return self.actuations[mode]

    def gains(self, mode: str) -> dict[str, tuple[float, float]]:
        """Gains (kp, kd) by joint that ``mode`` asks of the robot's own position loop; empty where there is none."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Joint:
    """One actuated joint: range [rad or m], effort limit [N·m or N], speed limit [rad/s or m/s]."""

    name: str
    lower: float
    upper: float
    effort: float
    speed: float


@dataclass(frozen=True, kw_only=True)
class JointActuator:
    """A geared motor behind a joint, under the drive's own position loop. Engines implement exactly this:

        τ = clip(kp (q* − q) − kd q̇, −limit(−q̇), limit(q̇))
        limit(q̇) = effort · clip((speed − q̇) / (speed − knee_speed), −1, 1)

    with the effort and speed limits of its `Joint`, q* the position target, and τ reached with time constant ``lag_s``.

    Attributes:
        kp: N·m/rad. kd: N·m·s/rad.
        knee_speed: joint speed up to which the whole effort is there [rad/s]; beyond, it falls in a line to nothing at the speed limit,
            past which the motor brakes.
        armature: inertia of the rotor, seen from the joint [kg·m²].
        lag_s: time constant of torque.
    """

    kp: float
    kd: float
    knee_speed: float
    armature: float = 0.0
    lag_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LearnedActuator(JointActuator):
    """A drive whose torque a network was taught from its logs, after Hwangbo et al. 2019 ("Learning agile and dynamic motor skills for
    legged robots"): what it does with the gains kp and kd, friction, delay and lag of its own included. Engines that have it implement

        τ = clip(f(e₀, q̇₀, e₁, q̇₁, …), −limit(−q̇), limit(q̇))

    with e = q* − q and q̇ now, one ``interval_s`` ago, and so on, and the limits of `JointActuator`. Joints may share a network. Robots have
    it on every joint or on none.

    Attributes:
        network: file of f, as `sim.actuator_network` reads it.
        history: how many (e, q̇) f sees.
        interval_s: between them; a whole number of physics sub-steps.
    """

    network: Path
    history: int = 1
    interval_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ArticulatedRobot(Robot):
    """A robot with joints, in the order the hardware reports them.

    Attributes:
        joints: all that are actuated.
        actuators: one a joint, or none where nobody has described them.
        stand: joint positions to reach before a policy takes over; empty for a robot that does not stand.
        damping: kd a joint with which it gives way, without kp, when nobody may control it; empty for the actuators' own kd.
        latency_s: time from a command's arrival to its effect.
    """

    model: Path
    joints: tuple[Joint, ...]
    actuators: tuple[JointActuator, ...] = ()
    stand: tuple[float, ...] = ()
    damping: tuple[float, ...] = ()
    latency_s: float = 0.0

    def gains(self, mode: str) -> dict[str, tuple[float, float]]:
        """See `Robot.gains`; a mode has them if joint positions are part of what it sends."""
        if not any(signal.field == "position" for signal in self.actuation(mode)):
            return {}
        return {joint.name: (actuator.kp, actuator.kd) for joint, actuator in zip(self.joints, self.actuators)}


@dataclass(frozen=True, kw_only=True)
class LeggedRobot(ArticulatedRobot):
    """A robot that walks: a free base on legs.

    Attributes:
        base: body of the free base, whose frame is x forward, y left, z up.
        base_mass_kg: of the base alone.
        feet: geoms that are meant to touch the ground, one a leg, in the legs' order.
        parts: other geoms whose contact with the ground matters, by what they are part of; a model has a signal ``<part>_contact``.
    """

    base: str
    base_mass_kg: float
    feet: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Rotor:
    """One rotor: hub position in the body frame [m] and the sign of its reaction torque about the body's z axis."""

    position_m: tuple[float, float, float]
    spin: int


@dataclass(frozen=True, kw_only=True)
class Battery:
    """A battery, and what rotors draw from it; equations and sources: `sim.battery`. Ω is rotor speed [rad/s].

    Attributes:
        capacity_ah: Q.
        open_circuit_v: (e₀, e₁, e₂) of the voltage without load E = e₀ + e₁ z − e₂ exp(−z/z₀) at state of charge z in 0…1.
        empty_share: z₀, the charge below which it collapses.
        resistance_ohm: R, from the cell to the motors.
        idle_power_w: P₀, drawn with rotors at rest.
        rotor_power_w_s2: p, drawn by one rotor per Ω².
        rotor_voltage: (a, b) of the voltage V = a Ω + b Ω² that holds a rotor at Ω, in V/(rad/s) and V/(rad/s)².
    """

    capacity_ah: float
    open_circuit_v: tuple[float, float, float]
    empty_share: float
    resistance_ohm: float
    idle_power_w: float
    rotor_power_w_s2: float
    rotor_voltage: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Quadrotor(Robot):
    """A multirotor with fixed, upward rotors. Body frame: x forward, y left, z up, origin at the nominal centre of mass.

    Attributes:
        inertia_kg_m2: principal moments about the body axes.
        rotors: in the order the hardware numbers them.
        thrust_curve_n: (c0, c1, c2) of thrust per rotor f = c0 + c1·u + c2·u² [N] over normalised rotor speed u in 0…1.
        torque_per_thrust_m: κ, reaction torque per thrust.
        rotor_speed_max_rad_s: rotor speed at u = 1.
        rotor_inertia_kg_m2: of one rotor about its axis, for the gyroscopic torque.
        motor_rise_s, motor_fall_s: time constants of rotor speed.
        body_drag_n_s_m: linear drag along the body axes.
        rate_gain_1_s: gains of the inner body-rate loop, rad/s² per rad/s, about the body axes.
        rate_max_rad_s: largest commanded body rate about each axis.
        rotor_drag_kg: drag along the body axes per speed and per summed rotor speed, N/(m/s)/(rad/s).
        rate_integral_time_s: integral time of the rate loop; infinite for a proportional loop.
        rate_integral_limit_rad_s: bound of the integral, as the rate error that would ask for the same torque.
        contact_radius_m: of the sphere about each rotor hub that touches the ground.
        battery: None for a supply that never sags.
    """

    model: Path
    inertia_kg_m2: tuple[float, float, float]
    rotors: tuple[Rotor, ...]
    thrust_curve_n: tuple[float, float, float]
    torque_per_thrust_m: float
    rotor_speed_max_rad_s: float
    rotor_inertia_kg_m2: float
    motor_rise_s: float
    motor_fall_s: float
    body_drag_n_s_m: tuple[float, float, float]
    rate_gain_1_s: tuple[float, float, float]
    rate_max_rad_s: tuple[float, float, float]
    rotor_drag_kg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rate_integral_time_s: float = math.inf
    rate_integral_limit_rad_s: float = 0.0
    contact_radius_m: float = 0.02
    battery: Battery | None = None

    @property
    def thrust_max_n(self) -> float:
        """Largest thrust of one rotor [N]."""
        return sum(self.thrust_curve_n)

    @property
    def thrust_min_n(self) -> float:
        """Thrust of one idling rotor [N]."""
        return max(self.thrust_curve_n[0], 0.0)

    @property
    def thrust_to_weight(self) -> float:
        """Largest total thrust over weight."""
        return len(self.rotors) * self.thrust_max_n / (self.mass_kg * GRAVITY)


@dataclass(frozen=True, kw_only=True)
class EquationRobot(Robot):
    """A robot given by a discrete-time equation of motion x⁺ = f(x, u, w), exactly as published, instead of a model file.

    Subclasses say what f is, and have its constants; `sim.equations` steps it. Input u is the actuation, within its limits.

    Attributes:
        states: sensors that x consists of, in order.
        surroundings: sensors of what stands still around the robot for an episode, with its value unless an episode has another.
        state_box: the published |x| ≤ state_box; nothing keeps x inside.
        disturbance: |w| ≤ disturbance, in the units of the equation.
        step_s: from x to x⁺ [s].
        factors: constants that may be other than published, by the name of the factor on them, 1 as published.
    """

    states: tuple[str, ...]
    surroundings: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    state_box: tuple[float, ...]
    disturbance: tuple[float, ...]
    step_s: float
    factors: Mapping[str, str] = field(default_factory=dict)
