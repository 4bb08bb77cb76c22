"""Room: fly through a cluttered room to a goal and stay there, without touching anything.

The action is a velocity set-point, which an inner loop in the policy's graph follows; between the two stands a safeguard, if the law has
one, that knows the room's walls and the nearest obstacles as they are sensed. What the policy sees and says is in the world's axes: it has
no use for the heading, and walls have.

## Rooms

`tasks/rooms.py`: 6 × 6 × 2.5 m with up to 12 pillars and balls, gaps of at least 0.7 m. The vehicle is a ball of 0.07 m (a Crazyflie with
its propellers). Training draws from `TRAINING_ROOMS`; every suite from 100 others that no training has seen, each as often as the others.

## Action (3), each in −1…1

Velocity set-point over `SPEED_M_S`, in the world.

## Inner loop

    a = shorten(k_v (u − v − δ_v v̇), a_max) − d      wanted acceleration; d: what thrust and gravity do not explain
    ω = k_R (e_R − δ_R ω_measured)                   body rates, e_R as in `tasks/geometric.py`

Thrust is what gives the vertical part of the wanted acceleration at the present tilt: height does not suffer while the attitude lags
behind set-points that swing. The two leads make up for the lag of motors, rate loop and delays. v̇ is the thrust's, gravity's and d. d is
the mean of what was seen so far for the first 0.3 s, then low-passed with that, so that a wrong mass or thrust is known in a few steps.

Task memory (17), of this step, in the world: orientation (4), body rates (3, in the base), velocity (3), v̇ (3), d (3), and the number of
steps, until it is 0.3 s.

## Observation (49)

| index | name | meaning | unit |
|---|---|---|---|
| 0–2 | `goal_*` | goal − position, shortened to at most 1.5 m | m |
| 3–5 | `near_*` | the same, to at most 0.25 m | m |
| 6–8 | `velocity_*` | velocity | m/s |
| 9–11 | `up_*` | thrust direction | 1 |
| 12–35 | `obstacle_i_{x,y,z,radius}` | direction to the i-th nearest obstacle, and its radius [m], times its closeness | 1 |
| 36–41 | `wall_{low,high}_{x,y,z}` | closeness of a wall | 1 |
| 42–45 | `ahead_*` | how much is in the way to the goal, and the way around it: from its centre to that line, times that | 1 |
| 46–48 | `action_*` | last action, as it was sent | 1 |

Closeness is exp(−distance of the vehicle's centre to the surface / 0.5 m).

## Reward (per second, times the control period)

| term | value |
|---|---|
| `alive` | 10 |
| `distance` | −1 · ‖goal − position‖ |
| `at_goal` | 10 · exp(−‖goal − position‖ / 0.3 m) |
| `proximity` | −10 · exp(−clearance / 0.08 m), clearance that of the vehicle's surface from the nearest |
| `rotation` | −0.2 · ‖angular velocity‖ |
| `smoothness` | −0.5 · ‖change of actuation, each channel over its range‖² |
| `collision` | −20 once |

## End

*Terminated*: touching an obstacle, a wall, the floor or the ceiling, or a state that is not finite. *Truncated*: after 12 s.
*Success*: never terminated, and within 0.2 m of the goal throughout the last second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from robots.crazyflie import crazyflie_scout
from robots.description import Robot
from safety.safeguards import Deflection, RayMask, Safeguard, SensedOuterLoop
from sim.obstacles import OBSTACLES, around, nearest
from tasks import geometric
from tasks.draw import Draw
from tasks.flight_suite import FlightSuite
from tasks.hover_suites import FULL as HOVER_FULL
from tasks.quadrotor_flight import GOAL, GOAL_COMMAND, GRAVITY, ORIENTATION, POSITION, RATES, VELOCITY, QuadrotorFlight
from tasks.rooms import HIGH, LOW, free, rooms, walls
from tasks.rotation import rotation_matrix, to_body
from tasks.task import Memory, Signals, Start, Transition
from tasks.vectors import length, shorten

CLEARANCE = "clearance"
CONTACT_M = 0.07  # 0.046 m to a motor, 0.0225 m of propeller
SPEED_M_S = (1.0, 1.0, 0.7)
SLOTS = 6
CLOSE_M = 0.5
ALPHA, LAG_S, TUBE_M = 1.5, 0.6, 0.1  # the tube was measured: python -m benchmarks.room_tube
SENSED_M = 0.03  # bound on the error of a sensed surface


MOTION_SIZES = (4, 3, 3, 3, 3, 1)


class Motion(NamedTuple):
    """The task memory in its parts, ``[batch, …]`` of `MOTION_SIZES`; see the module's docstring."""

    orientation: Tensor
    rates: Tensor
    velocity: Tensor
    acceleration: Tensor
    disturbance: Tensor
    steps: Tensor


def unpacked(task_memory: Tensor) -> Motion:
    """The parts of a task memory ``[batch, sum(MOTION_SIZES)]``."""
    return Motion(*task_memory.split(list(MOTION_SIZES), dim=1))


@dataclass(frozen=True, kw_only=True)
class RoomSuite(FlightSuite):
    """Ranges an episode is drawn from, beside those of any flight.

    Attributes:
        rooms: seed and number of the rooms.
        apart_m: least distance from start to goal.
        free_m: least clearance of the centre at the start, where the vehicle does not yet know its mass, and at the goal.
        obstacle_bias_m, obstacle_noise_m: of every number of a sensed obstacle: largest constant error, uniform, and standard deviation.
    """

    rooms: tuple[int, int] = (1_000_001, 100)
    apart_m: float = 3.0
    free_m: tuple[float, float] = (0.6, 0.4)
    obstacle_bias_m: float = 0.0
    obstacle_noise_m: float = 0.0


NOMINAL = RoomSuite(name="nominal", tilt_rad=0.1, speed_m_s=0.1, rate_rad_s=0.1)
FULL = RoomSuite(
    name="full",
    tilt_rad=0.1,
    speed_m_s=0.1,
    rate_rad_s=0.1,
    spread=HOVER_FULL.spread,
    motor_time=HOVER_FULL.motor_time,
    centre_of_mass_m=HOVER_FULL.centre_of_mass_m,
    delay_s=HOVER_FULL.delay_s,
    position_noise_m=HOVER_FULL.position_noise_m,
    velocity_noise_m_s=HOVER_FULL.velocity_noise_m_s,
    gyro_noise_rad_s=HOVER_FULL.gyro_noise_rad_s,
    obstacle_bias_m=0.01,
    obstacle_noise_m=0.005,
    observation_delay_s=(0.0, 0.02),
)
UNSEEN = replace(FULL, name="unseen", spread=0.25, gust_m_s=0.5, side_force_n=0.5e-2)
TRAINING = replace(FULL, name="training", spread=0.2, rooms=(1, 4000), apart_m=1.0, observation_delay_s=None)


class Room(QuadrotorFlight):
    """Fly to a goal through a cluttered room. See the module's docstring for every number.

    Args:
        robot: any `Quadrotor` with the actuation mode ``ctbr`` that senses obstacles; the Crazyflie with a tracker by default.
    """

    name = "room"
    rate_hz = 50.0
    episode_s = 12.0
    sensors = (POSITION, ORIENTATION, VELOCITY, RATES, OBSTACLES)
    commands = (GOAL_COMMAND,)
    action_size = 3
    task_memory_size = sum(MOTION_SIZES)
    observation_names = (
        *(f"{what}_{axis}" for what in ("goal", "near", "velocity", "up") for axis in "xyz"),
        *(f"obstacle_{slot}_{channel}" for slot in range(1, SLOTS + 1) for channel in ("x", "y", "z", "radius")),
        *(f"wall_{side}_{axis}" for axis in "xyz" for side in ("low", "high")),
        *(f"ahead_{channel}" for channel in ("closeness", "x", "y", "z")),
        *(f"action_{axis}" for axis in "xyz"),
    )
    suites: ClassVar = {suite.name: suite for suite in (NOMINAL, FULL, UNSEEN)}
    training_suite = TRAINING
    presets: ClassVar = {
        "shac": {
            "num_envs": 128,
            "iterations": 160,
            "check_from": 60,
            "check_every": 20,
            "actor": {"hidden": (128, 128), "activation": "elu"},
            "shac": {
                "horizon": 30,
                "discount": 0.99,
                "learning_rate": 3e-3,
                "halve_every": 50,
                "betas": (0.7, 0.95),
                "critic_learning_rate": 3e-3,
                "critic_hidden": (128, 128),
                "target_rate": 0.8,
            },
        },
    }

    success_m = 0.20
    success_s = 1.0
    judged_part = "the last second"
    velocity_gain_1_s, velocity_lead_s = 3.0, 0.2
    attitude_gain_1_s, attitude_lead_s = 5.0, 0.08
    acceleration_max_m_s2 = 6.0
    least_lift_m_s2 = 4.0

    def __init__(self, robot: Robot | None = None) -> None:
        super().__init__(crazyflie_scout if robot is None else robot)

    # --- inner loop ---

    def actuate(self, action: Tensor) -> dict[str, Tensor]:
        """As `follow`, level and at rest."""
        level = torch.cat([torch.ones_like(action[:, :1]), torch.zeros_like(action[:, :1]).expand(-1, sum(MOTION_SIZES) - 1)], dim=1)
        return self.towards(unpacked(level), action)

    def follow(self, task_memory: Tensor, action: Tensor) -> dict[str, Tensor]:
        """`towards` the set-point."""
        return self.towards(unpacked(task_memory), action)

    def towards(self, seen: Motion, action: Tensor) -> dict[str, Tensor]:
        """Collective thrust [N] and body rates [rad/s] towards the set-point; see the module's docstring."""
        rotation = rotation_matrix(seen.orientation)
        missing = action * action.new_tensor(SPEED_M_S) - seen.velocity - self.velocity_lead_s * seen.acceleration
        acceleration = shorten(self.velocity_gain_1_s * missing, self.acceleration_max_m_s2) - seen.disturbance
        body = to_body(rotation, acceleration.unsqueeze(1)).squeeze(1)
        wanted = geometric.upright(body, rotation[:, 2], self.least_lift_m_s2)
        _, rates = geometric.steer(wanted, self.robot.mass_kg, self.attitude_gain_1_s)
        thrust = self.robot.mass_kg * (wanted * rotation[:, 2]).sum(1, keepdim=True) / rotation[:, 2, 2:].clamp(min=0.5)
        rates = rates - self.attitude_gain_1_s * self.attitude_lead_s * seen.rates
        most = rates.new_tensor(self.rate_range_rad_s)
        return {"collective_thrust": thrust.clamp(*self.thrust_limits_n), "body_rates": torch.minimum(torch.maximum(rates, -most), most)}

    def motion(self, sensors: Signals, memory: Memory) -> Motion:
        """What the inner loop knows after this reading, by what was sent in the last step."""
        period, velocity = 1.0 / self.rate_hz, sensors[VELOCITY]
        last = unpacked(memory.task)
        thrust = self.towards(last, memory.action)["collective_thrust"] / self.robot.mass_kg
        gravity = torch.cat([velocity[:, :2] * 0, velocity[:, :1] * 0 - GRAVITY], dim=1)
        explained = rotation_matrix(sensors[ORIENTATION])[:, :, 2] * thrust + gravity
        unexplained = shorten((velocity - last.velocity) / period - explained, self.disturbance_reach_m_s2)
        disturbance = last.disturbance + memory.started * (unexplained - last.disturbance) / (1.0 + last.steps)
        count = (last.steps + 1.0).clamp(max=self.disturbance_s * self.rate_hz)
        return Motion(sensors[ORIENTATION], sensors[RATES], velocity, memory.started * (explained + disturbance), disturbance, count)

    # --- what the actor and the safeguard see ---

    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        error = command[GOAL] - sensors[POSITION]
        rotation = rotation_matrix(sensors[ORIENTATION])
        sensed = in_world(sensors[OBSTACLES], rotation)
        offset, radius = sensed[:, :, :3], sensed[:, :, 3]
        distance = length(offset)
        close = torch.exp(-(distance - radius).clamp(min=0.0) / CLOSE_M)
        obstacles = torch.cat([offset / distance.unsqueeze(2), radius.unsqueeze(2)], dim=2) * close.unsqueeze(2)
        near_walls = torch.exp(-walls(sensors[POSITION]).clamp(min=0.0) / CLOSE_M)
        parts = [
            shorten(error, self.goal_reach_m),
            shorten(error, self.near_reach_m),
            sensors[VELOCITY],
            rotation[:, :, 2],
            obstacles.flatten(1),
            near_walls,
            ahead(error, offset, radius),
            memory.action,
        ]
        return torch.cat(parts, dim=1), torch.cat(self.motion(sensors, memory), dim=1)

    def guarded_state(self, sensors: Signals, command: Signals, memory: Memory) -> Tensor:
        """Position, velocity, then offset and radius of every sensed obstacle, in the world ``[batch, 6 + 4 · 6]``."""
        sensed = in_world(sensors[OBSTACLES], rotation_matrix(sensors[ORIENTATION]))
        return torch.cat([sensors[POSITION], sensors[VELOCITY], sensed.flatten(1)], dim=1)

    def outer_loop(self) -> SensedOuterLoop:
        """The set-points that keep clear of walls and of obstacles as they are sensed."""
        axes = torch.eye(3)
        faces, offsets = torch.cat([-axes, axes]), [-low for low in LOW] + list(HIGH)
        return SensedOuterLoop(faces, offsets, SLOTS, speed=SPEED_M_S, alpha=ALPHA, lag_s=LAG_S, tube=CONTACT_M + SENSED_M + TUBE_M)

    safeguards: ClassVar[dict[str, Callable[[Room], Safeguard]]] = {
        "ray_mask": lambda task: RayMask(task.outer_loop()),
        "deflection": lambda task: Deflection(task.outer_loop()),
    }

    # --- the world ---

    def sense(self, state: Signals, world: Signals) -> dict[str, Tensor]:
        """The obstacle sensor's ideal reading, and ``clearance`` [m] of the vehicle's surface from what is nearest ``[num_envs, 1]``."""
        position = state[POSITION]
        seen = around(position, world["obstacles"])
        gap = torch.cat([seen.gap, walls(position)], dim=1).amin(1, keepdim=True)
        return {OBSTACLES: nearest(seen, rotation_matrix(state[ORIENTATION]), SLOTS), CLEARANCE: gap - CONTACT_M}

    def sample(self, suite: FlightSuite, num_envs: int, generator: torch.Generator) -> Start:
        """Draw rooms, each as often as the others, and starts and goals in them; the rest as for every flight."""
        assert isinstance(suite, RoomSuite)
        draw = Draw(num_envs, generator)
        base = super().sample(suite, num_envs, generator)
        seed, count = suite.rooms
        first = int(torch.randint(count, (1,), generator=generator, device=draw.device))
        room = rooms(seed, count, str(draw.device))[(first + torch.arange(num_envs, device=draw.device)) % count]
        start = free(room, suite.free_m[0], generator)
        goal = free(room, suite.free_m[1], generator, start, suite.apart_m)
        wrong = suite.obstacle_bias_m
        sensed = {OBSTACLES: draw.uniform(-wrong, wrong, 4 * SLOTS)}
        noise = {OBSTACLES: torch.full((num_envs, 4 * SLOTS), suite.obstacle_noise_m, device=draw.device)}
        return base._replace(
            state={**base.state, POSITION: start, "rate_integral": self.trimmed(base.parameters)},
            command={GOAL: goal},
            sensor_noise={**base.sensor_noise, **noise},
            sensor_bias=sensed,
            world={"obstacles": room},
        )

    def trimmed(self, parameters: Signals) -> Tensor:
        """The rate loop's integral [rad/s] of a vehicle that hovered before it was handed over: it holds the centre of mass that is off.

        Thrust f at the rotors' middle turns about a centre of mass c by (−c_y f, c_x f, 0).
        """
        x, y, _ = parameters["centre_of_mass"].unbind(1)
        needed = torch.stack([y, -x, x * 0.0], dim=1) * (parameters["mass"] * GRAVITY / parameters["thrust_scale"].mean(1, keepdim=True))
        stiffness = [j * gain for j, gain in zip(self.robot.inertia_kg_m2, self.robot.rate_gain_1_s, strict=True)]
        limit = self.robot.rate_integral_limit_rad_s
        return (needed / needed.new_tensor(stiffness)).clamp(-limit, limit)

    # --- what an episode is worth ---

    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """See the module's docstring."""
        period, state = 1.0 / self.rate_hz, transition.state
        distance = self.tracking_error(state, transition.command)
        clearance = state[CLEARANCE].squeeze(1).clamp(min=0.0)
        change = self.scaled(transition.actuation) - self.scaled(transition.previous_actuation)
        return {
            "alive": torch.full_like(distance, 10.0 * period),
            "distance": -1.0 * period * distance,
            "at_goal": 10.0 * period * torch.exp(-distance / 0.3),
            "proximity": -10.0 * period * torch.exp(-clearance / 0.08),
            "rotation": -0.2 * period * length(state[RATES]),
            "smoothness": -0.5 * period * change.square().sum(1),
            "collision": -20.0 * self.terminated(transition),
        }

    def terminated(self, transition: Transition) -> Tensor:
        """Touching anything, or not finite (every comparison with NaN is false)."""
        state = transition.state
        clear = (state[CLEARANCE].squeeze(1) > 0.0) & torch.isfinite(state[RATES]).all(1)
        return ~clear | state["ground_contact"].flatten().bool()

    def measures(self, transition: Transition) -> dict[str, Tensor]:
        """Clearance of the vehicle's surface, and speed."""
        return {"clearance_m": transition.state[CLEARANCE].squeeze(1), "speed_m_s": length(transition.state[VELOCITY])}

    def judged(self, tracking_errors: Tensor) -> Tensor:
        """The last second."""
        return tracking_errors[-round(self.success_s * self.rate_hz) :]

    def success(self, tracking_errors: Tensor, terminated: Tensor) -> Tensor:
        """Within 0.2 m throughout the last second, and never terminated."""
        return (self.judged(tracking_errors).amax(0) <= self.success_m) & ~terminated

    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """Noise-free error, position, velocity, attitude, rotor speeds, sensed obstacles and clearance; relative parameters."""
        error = command[GOAL] - state[POSITION]
        distance = length(error).unsqueeze(1)
        clearance = state[CLEARANCE].clamp(min=0.0)
        shaped = [distance, torch.exp(-distance / 0.3), torch.exp(-clearance / 0.08), torch.exp(-clearance / 0.3)]
        motion = [error, state[POSITION], state[VELOCITY], rotation_matrix(state[ORIENTATION])[:, :, 2], state["rotor_speeds"]]
        return torch.cat([*motion, *shaped, *self.relative(parameters)], dim=1)


def in_world(reading: Tensor, rotation: Tensor) -> Tensor:
    """A reading of the obstacle sensor ``[batch, 4 slots]`` as offset in the world and radius ``[batch, slots, 4]``."""
    slots = reading.unflatten(1, (SLOTS, 4))
    return torch.cat([torch.bmm(slots[:, :, :3], rotation.transpose(1, 2)), slots[:, :, 3:]], dim=2)


def ahead(error: Tensor, offset: Tensor, radius: Tensor) -> Tensor:
    """What is in the way to the goal, softly weighted ``[batch, 4]``: how much it is, and from its centre to the line, over its radius.

    Args:
        error: goal − position ``[batch, 3]``.
        offset, radius: of obstacles ``[batch, slots, 3]``, ``[batch, slots]``.
    """
    line = error / length(error).unsqueeze(1)
    along = (offset * line.unsqueeze(1)).sum(2)
    beside = along.unsqueeze(2) * line.unsqueeze(1) - offset
    miss = length(beside)
    before = torch.minimum(along, length(error).unsqueeze(1)).clamp(min=0.0)
    weight = torch.sigmoid((radius + 0.2 - miss) / 0.1) * torch.exp(-before / 1.0) * torch.sigmoid(along / 0.1)
    return torch.cat([weight.amax(1, keepdim=True), (beside / miss.unsqueeze(2) * weight.unsqueeze(2)).sum(1)], dim=1)
