"""Walk: a quadruped follows a commanded velocity over flat ground.

The policy commands joint positions around the stand, 50 times a second, and sees only what the robot measures: no velocity of the base, no
contacts. A trot clock shapes the gait; it stands still while nothing is asked.

## Observation (107)

| index | name | meaning | unit | frame |
|---|---|---|---|---|
| 0–2 | `up_*` | direction of the world's vertical | 1 | base |
| 3–5 | `rate_*` | angular velocity | rad/s | base |
| 6–8 | `command_*` | velocity forward, to the left, and about the vertical | m/s, rad/s | base |
| 9–10 | `clock_sin`, `clock_cos` | of the trot's phase; zero while nothing is asked | 1 | – |
| 11–22 | `position_0_*` | joint position − stand | rad | – |
| 23–34 | `velocity_0_*` | joint velocity, times 0.1 | 10 rad/s | – |
| 35–82 | `position_1_*`, `velocity_1_*`, `position_2_*`, `velocity_2_*` | the same one and two steps before | | – |
| 83–106 | `action_1_*`, `action_2_*` | last action and the one before | 1 | – |

## Action (12)

Joint position target − stand, over 0.4 rad (hips) or 0.7 rad (thighs and calves), held within the joints' ranges.

Safeguard `joint_viability`: targets that stay within the joints' ranges, move no faster than the joints can, and can always be stopped in
time, in two control periods from full speed (`safety.safeguards.joints`). It judges by the targets sent before, and promises nothing of
the joints themselves, which follow them with an error that is larger under load: `joints_beyond` counts the steps in which one is out of
its range.

## Task memory (61)

The trot's phase in 0…1, joint positions and velocities of the two steps before (as observed), the action before the last.

## Reward (per second, times the control period); e is an error, F the force on a foot, z its height, s the swing's progress 0…1

| term | value |
|---|---|
| `velocity` | exp(−‖e‖²/0.25) + exp(−‖e‖²/0.04), horizontal velocity in the base's frame |
| `yaw` | ½ exp(−e²/0.25) + ½ exp(−e²/0.04) |
| `clock` | ½ mean over feet of [F > 1 N is as the trot wants it] |
| `swing` | −20 Σ over swinging feet (z − 0.08 m sin πs)², each shortened to 0.08 m |
| `slip` | −0.1 Σ over feet on the ground min(‖horizontal velocity‖², 1) |
| `impact` | −0.002 Σ max(F − 100 N, 0) |
| `bounce`, `sway` | −2 v_z², −0.05 (ω_x² + ω_y²) |
| `tilt` | −2 (up_x² + up_y²) |
| `height` | −20 (height − 0.30 m)² |
| `posture` | −0.05 Σ (q − stand)², −0.5 Σ while nothing is asked; of hips −0.3 Σ |
| `still` | −0.5 Σ min(q̇², 0.25) while nothing is asked |
| `smoothness` | −0.2 Σ (change of target, over its range)² |
| `torque`, `power` | −1e-4 Σ τ², −5e-4 Σ |τ q̇| |
| `fall` | −1 once |
| `floor` | what the others lack to −0.5, so that early falls do not teach to stay down |

## End

*Terminated*: base, hip or thigh on the ground, more than 70° of tilt, or a state that is not finite. *Truncated*: after 10 s.
*Success*: not terminated, and the mean tracking error is below 0.3 m/s. *Tracking error*: of the horizontal velocity; `yaw_error_rad_s`
beside it. Both are judged but for the second after a push or a new command.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from robots.description import LeggedRobot, Robot
from robots.errors import TetherError
from robots.go2 import go2
from robots.signals import Command
from safety.safeguards import JointLimits, Safeguard, Scaled
from tasks.draw import Draw
from tasks.go2_suites import FULL, IDLE, NOMINAL, TRAINING, UNSEEN, VelocitySuite
from tasks.rotation import from_yaw_tilt, rotation_matrix, to_body
from tasks.symmetry import Mirror, reflection
from tasks.task import Memory, Signals, Start, Task, Transition

ORIENTATION, RATES = "orientation_base_in_world", "angular_velocity_base_in_base"
POSITION, VELOCITY = "position_base_in_world", "linear_velocity_base_in_world"
JOINTS, SPEEDS, TARGET = "joint_position", "joint_velocity", "joint_position_target"
TORQUES, CONTACTS = "joint_torque", "foot_contact"
FORCES, PLACES, MOTIONS = "foot_force_in_world", "foot_position_in_world", "foot_velocity_in_world"
WALK, TURN = "linear_velocity_command", "yaw_rate_command"
COMMANDS = (
    Command(WALK, ("x", "y"), "m/s", "base", (-2.0,) * 2, (2.0,) * 2, default=(0.0, 0.0), stale_after_s=0.5, on_stale="zero"),
    Command(TURN, ("z",), "rad/s", "base", (-3.0,), (3.0,), default=(0.0,), stale_after_s=0.5, on_stale="zero"),
)
SIDES = (("FR", "FL"), ("RR", "RL"))
# what changes its sign in a mirror that swaps left and right: to the left, rolling, turning; and half a period of the trot
ACROSS = ("up_y", "command_y", "rate_x", "rate_z", "command_z", "clock", "hip")


class Go2Velocity(Task):
    """Follow a commanded velocity on legs. See the module's docstring for every number.

    Args:
        robot: any `LeggedRobot` with the Go2's legs and the actuation mode ``joint_position``; the Go2 by default.
    """

    name = "go2_velocity"
    actuation_mode = "joint_position"
    rate_hz = 50.0
    episode_s = 10.0
    clock = "joint_state"
    sensors: tuple[str, ...] = (ORIENTATION, RATES, JOINTS, SPEEDS)
    commands = COMMANDS
    suites: ClassVar = {suite.name: suite for suite in (NOMINAL, FULL, UNSEEN, IDLE)}
    training_suite = TRAINING
    push_every_s = 4.0
    safeguards: ClassVar = {"joint_viability": lambda task: task.joint_viability()}
    presets: ClassVar = {
        "ppo": {
            "physics_dt": 0.01,
            "num_envs": 640,
            "iterations": 550,
            "threads": 2,
            "check_from": 300,
            "check_every": 50,
            "actor": {"hidden": (128, 128), "activation": "elu", "symmetric": True},
            "ppo": {
                "horizon": 24,
                "epochs": 4,
                "minibatches": 4,
                "discount": 0.99,
                "trace": 0.95,
                "learning_rate": 1e-3,
                "target_kl": 0.02,
                "initial_std": 0.4,
                "entropy_coefficient": 0.003,
                "entropy_iterations": 600,
                "critic_hidden": (128, 128),
                "critic_activation": "elu",
            },
        },
    }

    across_names: tuple[str, ...] = ACROSS
    fall = 1.0  # what it costs, once
    command_every_s = 5.0
    settling_s = 1.0
    success_m_s = 0.3
    judged_part = "all but the second after a push or a new command"
    trot_s = 0.42
    clearance_m = 0.08
    height_m = 0.30
    start_height_m = 0.35
    sole_m = 0.022  # below the centre of a foot
    idle_below = 0.1  # m/s or rad/s
    braking_steps = 2  # in which the joint_viability safeguard stops a target from the joint's full speed
    fall_tilt_rad = math.radians(70.0)

    def __init__(self, robot: Robot | None = None) -> None:
        robot = go2 if robot is None else robot
        if not isinstance(robot, LeggedRobot) or len(robot.joints) != 12 or len(robot.feet) != 4:
            raise TetherError(f"{self.name} walks on four legs with three joints each; {robot.name} is a {type(robot).__name__}")
        self.robot: LeggedRobot = robot
        self.legs = tuple(foot.removesuffix("_foot") for foot in robot.feet)
        names = [joint.name.removesuffix("_joint") for joint in robot.joints]
        self.reach_rad = tuple(0.4 if "hip" in name else 0.7 for name in names)
        self.hips = tuple(k for k, name in enumerate(names) if "hip" in name)
        frames = [f"{what}_{age}_{name}" for age in range(3) for what in ("position", "velocity") for name in names]
        self.observation_names = (
            *(f"{what}_{axis}" for what in ("up", "rate", "command") for axis in "xyz"),
            *("clock_sin", "clock_cos"),
            *frames,
            *(f"action_{age}_{name}" for age in (1, 2) for name in names),
        )
        self.action_names = tuple(names)
        self.action_size, self.task_memory_size = 12, 1 + 4 * 12 + 12

    # --- what the policy sees and does ---

    def observe(self, sensors: Signals, command: Signals, memory: Memory) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        phase, frame_1, frame_2, older_action = memory.task.split([1, 24, 24, 12], dim=1)
        stand = sensors[JOINTS].new_tensor(self.robot.stand)
        frame = torch.cat([sensors[JOINTS] - stand, sensors[SPEEDS] * 0.1], dim=1)
        frame_1 = frame + memory.started * (frame_1 - frame)
        frame_2 = frame + memory.started * (frame_2 - frame)
        phase = phase + memory.started / (self.rate_hz * self.trot_s)
        phase = phase - torch.floor(phase)
        wanted = torch.cat([command[WALK], command[TURN]], dim=1)
        moving = self.moving(command).unsqueeze(1).to(phase.dtype)
        clock = torch.cat([torch.sin(2 * math.pi * phase), torch.cos(2 * math.pi * phase)], dim=1) * moving
        up = rotation_matrix(sensors[ORIENTATION])[:, 2]
        observation = torch.cat([up, sensors[RATES], wanted, clock, frame, frame_1, frame_2, memory.action, older_action], dim=1)
        return observation, torch.cat([phase, frame, frame_1, memory.action], dim=1)

    def actuate(self, action: Tensor) -> dict[str, Tensor]:
        """Joint position targets [rad]."""
        target = action.new_tensor(self.robot.stand) + action * action.new_tensor(self.reach_rad)
        lower, upper = ([getattr(joint, side) for joint in self.robot.joints] for side in ("lower", "upper"))
        return {TARGET: torch.minimum(torch.maximum(target, action.new_tensor(lower)), action.new_tensor(upper))}

    def joint_viability(self) -> Safeguard:
        """See the module's docstring."""
        joints = self.robot.joints
        lower, upper, speed = (torch.tensor([getattr(joint, name) for joint in joints]) for name in ("lower", "upper", "speed"))
        period = 1.0 / self.rate_hz
        limits = JointLimits(lower, upper, speed, speed / (self.braking_steps * period), period, command="position")
        return Scaled(limits, self.robot.stand, self.reach_rad)

    def guarded_state(self, sensors: Signals, command: Signals, memory: Memory) -> Tensor:
        """The target that was sent last and its velocity, of the joints ``[batch, 24]``."""
        reach, before = memory.action.new_tensor(self.reach_rad), memory.task[:, -12:]
        target = memory.action.new_tensor(self.robot.stand) + reach * memory.action
        return torch.cat([target, reach * (memory.action - before) * self.rate_hz], dim=1)

    def moving(self, command: Signals) -> Tensor:
        """Whether anything is asked, bool ``[batch]``."""
        walk, turn = command[WALK], command[TURN]
        return (walk.square().sum(1) + turn.square().sum(1)) > self.idle_below**2

    def mirror(self) -> Mirror:
        """Left for right."""
        return Mirror(*[reflection(names, SIDES, self._changes_sign) for names in (self.observation_names, self.action_names)])

    def _changes_sign(self, name: str) -> bool:
        return any(part in name for part in self.across_names)

    # --- what it is worth ---

    def rewards(self, transition: Transition) -> dict[str, Tensor]:
        """See the module's docstring."""
        terms = {name: value / self.rate_hz for name, value in self.worths(transition).items()}
        total = torch.stack(list(terms.values()), dim=1).sum(1)
        return terms | {
            "floor": (-0.5 / self.rate_hz - total).clamp(min=0.0),
            "fall": -self.fall * self.terminated(transition),
        }

    def worths(self, transition: Transition) -> dict[str, Tensor]:
        """Terms of the reward per second, but for what depends on the others and the fall."""
        state, command = transition.state, transition.command
        up, speed = rotation_matrix(state[ORIENTATION])[:, 2], base_speed(state)
        moving = self.moving(command)
        stance, progress = self.trot(transition.time_s, moving)
        contact, force = state[CONTACTS], force_up(state)
        walk, turn = (speed[:, :2] - command[WALK]).square().sum(1), (state[RATES][:, 2:] - command[TURN]).square().sum(1)
        lift = (self.foot_height(state) - self.clearance_m * torch.sin(math.pi * progress)).clamp(-self.clearance_m, self.clearance_m)
        offset = state[JOINTS] - state[JOINTS].new_tensor(self.robot.stand)
        bent, splayed = offset.square().sum(1), torch.stack([offset[:, k] for k in self.hips], dim=1).square().sum(1)
        change = target_change(transition) / offset.new_tensor(self.reach_rad)
        return {
            "velocity": torch.exp(-walk / 0.25) + torch.exp(-walk / 0.04),
            "yaw": 0.5 * torch.exp(-turn / 0.25) + 0.5 * torch.exp(-turn / 0.04),
            "clock": 0.5 * torch.where(contact == stance, 1.0, 0.0).mean(1),
            "swing": -20.0 * torch.where(stance, 0.0, lift.square()).sum(1),
            "slip": -0.1 * torch.where(contact, foot_speed(state).square().clamp(max=1.0), 0.0).sum(1),
            "impact": -0.002 * (force - 100.0).clamp(min=0.0).sum(1),
            "bounce": -2.0 * state[VELOCITY][:, 2].square(),
            "sway": -0.05 * state[RATES][:, :2].square().sum(1),
            "tilt": -2.0 * up[:, :2].square().sum(1),
            "height": -20.0 * (state[POSITION][:, 2] - self.height_m).square(),
            "posture": -torch.where(moving, 0.05, 0.5) * bent - 0.3 * splayed,
            "still": -torch.where(moving, 0.0, 0.5) * state[SPEEDS].square().clamp(max=0.25).sum(1),
            "smoothness": -0.2 * change.square().sum(1),
            "torque": -1e-4 * state[TORQUES].square().sum(1),
            "power": -5e-4 * power(state),
        }

    def foot_height(self, state: Signals) -> Tensor:
        """Of the soles [m], ``[num_envs, 4]``."""
        return state[PLACES].unflatten(1, (-1, 3))[:, :, 2] - self.sole_m

    def trot(self, time_s: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
        """Which feet should stand, bool ``[num_envs, 4]``, and how far a swing is, 0…1; all stand while nothing is asked."""
        phase = time_s / self.trot_s + time_s.new_tensor([0.0 if leg in ("FR", "RL") else 0.5 for leg in self.legs])
        phase = phase - torch.floor(phase)
        return (phase < 0.5) | ~moving.unsqueeze(1), (2.0 * phase - 1.0).clamp(0.0, 1.0)

    def terminated(self, transition: Transition) -> Tensor:
        """Base, hip or thigh on the ground, fallen over, or not finite (every comparison with NaN is false)."""
        state = transition.state
        upright = rotation_matrix(state[ORIENTATION])[:, 2, 2] >= math.cos(self.fall_tilt_rad)
        touched = state["base_contact"].any(1) | state["thigh_contact"].any(1) | state["diverged"].flatten()
        return ~upright | touched | ~torch.isfinite(state[RATES]).all(1) | ~torch.isfinite(state[SPEEDS]).all(1)

    def tracking_error(self, state: Signals, command: Signals) -> Tensor:
        """Of the horizontal velocity in the base's frame [m/s]."""
        return (base_speed(state)[:, :2] - command[WALK]).square().sum(1).sqrt()

    def measures(self, transition: Transition) -> dict[str, Tensor]:
        """Yaw, and what speed must not be bought with."""
        state, command = transition.state, transition.command
        change = target_change(transition) * self.rate_hz
        return {
            "yaw_error_rad_s": (state[RATES][:, 2:] - command[TURN]).abs()[:, 0],
            "joint_speed_rad_s": state[SPEEDS].square().mean(1).sqrt(),
            "target_rate_rad_s": change.square().mean(1).sqrt(),
            "torque_n_m": state[TORQUES].square().mean(1).sqrt(),
            "power_w": power(state),
            "foot_impact_n": force_up(state).amax(1),
            "feet_on_ground": torch.where(state[CONTACTS], 1.0, 0.0).sum(1),
            "foot_slip_m_s": torch.where(state[CONTACTS], foot_speed(state), 0.0).amax(1),
            "joints_beyond": self.beyond(state[JOINTS]),
        }

    def beyond(self, joints: Tensor) -> Tensor:
        """1 where any joint is out of its range ``[num_envs]``."""
        lower, upper = (joints.new_tensor([getattr(joint, side) for joint in self.robot.joints]) for side in ("lower", "upper"))
        return torch.where((joints < lower) | (joints > upper), 1.0, 0.0).amax(1)

    def judged(self, tracking_errors: Tensor) -> Tensor:
        """All but the second after a push or a new command."""
        steps = torch.arange(1, len(tracking_errors) + 1, device=tracking_errors.device)
        settled = steps > 0
        for every in (self.push_every_s, self.command_every_s):
            settled = settled & ((steps - 1) % round(every * self.rate_hz) >= round(self.settling_s * self.rate_hz))
        return tracking_errors[settled] if settled.any() else tracking_errors[-1:]

    def success(self, tracking_errors: Tensor, terminated: Tensor) -> Tensor:
        """Never fallen, and going where it should: standing still is no success."""
        return ~terminated & (self.judged(tracking_errors).mean(0) < self.success_m_s)

    def privileged_observation(self, state: Signals, parameters: Signals, command: Signals) -> Tensor:
        """The base's true motion, the feet, the torques, and the parameters over what they usually are."""
        return torch.cat(
            [
                rotation_matrix(state[ORIENTATION])[:, 2],
                state[RATES],
                base_speed(state),
                state[POSITION][:, 2:],
                force_up(state) * 0.01,
                self.foot_height(state) * 10.0,
                foot_speed(state),
                state[TORQUES] * 0.1,
                parameters["friction"],
                (parameters["base_mass"] - self.robot.base_mass_kg + parameters["payload_mass"]) / 5.0,
                parameters["base_centre_of_mass_offset"] * 20.0,
                parameters["action_delay"] * 50.0,
                parameters["kp_scale"],
                parameters["kd_scale"],
                parameters["strength_scale"],
            ],
            dim=1,
        )

    # --- how episodes begin ---

    def command_at(self, start: Start, time_s: Tensor) -> Signals:
        """The command of the present `command_every_s`; the last one stays."""
        assert start.reference is not None
        asked = start.reference["commands"]
        chosen = asked[:, 0]
        for k in range(1, asked.shape[1]):
            chosen = torch.where(time_s >= k * self.command_every_s, asked[:, k], chosen)
        return {WALK: chosen[:, :2], TURN: chosen[:, 2:]}

    def sample(self, suite: VelocitySuite, num_envs: int, generator: torch.Generator) -> Start:
        """Draw ``num_envs`` starts, parameters, commands, pushes and sensors' errors from ``suite``."""
        draw = Draw(num_envs, generator)
        commands = torch.stack([self.sample_command(suite, draw) for _ in range(math.ceil(self.episode_s / self.command_every_s))], dim=1)
        pushes = torch.stack([self.sample_push(suite, draw) for _ in range(math.ceil(self.episode_s / self.push_every_s) - 1)], dim=1)
        yaw, none = draw.uniform(-math.pi, math.pi), torch.zeros(num_envs, device=draw.device)
        stand = torch.tensor(self.robot.stand, device=draw.device)
        joints = len(self.robot.joints)
        askew = draw.uniform(-suite.misalignment_rad, suite.misalignment_rad, 3)  # of the IMU, whose gyro and attitude err alike
        height = torch.full((num_envs, 1), self.start_height_m, device=draw.device)
        return Start(
            state={
                POSITION: torch.cat([draw.uniform(-1.0, 1.0, 2), height], dim=1),
                ORIENTATION: from_yaw_tilt(yaw[:, 0], none, none),
                VELOCITY: draw.uniform(-suite.speed_start_m_s, suite.speed_start_m_s, 3),
                JOINTS: stand + draw.uniform(-suite.posture_rad, suite.posture_rad, joints),
            },
            parameters=self.sample_parameters(suite, draw),
            command={WALK: commands[:, 0, :2], TURN: commands[:, 0, 2:]},
            sensor_noise={
                ORIENTATION: torch.full((num_envs, 3), suite.attitude_noise_rad, device=draw.device),
                RATES: torch.full((num_envs, 3), suite.gyro_noise_rad_s, device=draw.device),
                JOINTS: torch.full((num_envs, joints), suite.joint_noise_rad, device=draw.device),
                SPEEDS: torch.full((num_envs, joints), suite.joint_velocity_noise_rad_s, device=draw.device),
            },
            sensor_bias={
                ORIENTATION: askew,
                JOINTS: draw.uniform(-suite.encoder_bias_rad, suite.encoder_bias_rad, joints),
            },
            sensor_turn={RATES: askew},
            reference={"commands": commands},
            push_m_s=pushes if suite.push_m_s else None,
        )

    def sample_command(self, suite: VelocitySuite, draw: Draw) -> Tensor:
        """Velocity forward, to the left, and turning, ``[num_envs, 3]``; some ask for nothing."""
        largest = (suite.speed_m_s, suite.side_speed_m_s, suite.yaw_rate_rad_s)
        asked = torch.cat([draw.uniform(-limit, limit) for limit in largest], dim=1)
        return torch.where(draw.uniform(0.0, 1.0) < suite.idle, torch.zeros_like(asked), asked)

    def sample_push(self, suite: VelocitySuite, draw: Draw) -> Tensor:
        """A change of velocity in a random horizontal direction, ``[num_envs, 3]``."""
        return sideways(draw, (0.0, suite.push_m_s))

    def sample_parameters(self, suite: VelocitySuite, draw: Draw) -> dict[str, Tensor]:
        """Physical parameters by the simulator's names, in SI units or as a factor where the name ends in ``_scale``."""
        joints = len(self.robot.joints)
        spread = (1.0 - suite.gain_spread, 1.0 + suite.gain_spread)
        strength = draw.uniform(*spread, joints)
        armature = strength.new_tensor([motor.armature for motor in self.robot.actuators])
        if suite.weak_motor < 1.0:
            strength = strength * (1.0 - (1.0 - suite.weak_motor) * torch.nn.functional.one_hot(draw.integer(joints), joints))
        return {
            "friction": draw.uniform(*suite.friction),
            "base_mass": self.robot.base_mass_kg + draw.uniform(*suite.base_mass_kg),
            "payload_mass": torch.full((draw.num_envs, 1), suite.payload_kg, device=draw.device),
            "base_centre_of_mass_offset": draw.uniform(-suite.centre_of_mass_m, suite.centre_of_mass_m, 3),
            "kp_scale": draw.uniform(*spread, joints),
            "kd_scale": draw.uniform(*spread, joints),
            "strength_scale": strength,
            "armature": draw.uniform(*suite.armature_scale, joints) * armature,
            "joint_friction": draw.uniform(*suite.joint_friction_n_m),
            "action_delay": draw.uniform(*suite.delay_s),
            "action_delay_jitter": draw.uniform(*suite.jitter_s),
        }


def sideways(draw: Draw, size: tuple[float, float]) -> Tensor:
    """Horizontal vectors of any direction, their length within ``size``, ``[num_envs, 3]``."""
    heading, length = draw.uniform(-math.pi, math.pi), draw.uniform(*size)
    return torch.cat([heading.cos() * length, heading.sin() * length, heading * 0.0], dim=1)


def base_speed(state: Signals) -> Tensor:
    """Velocity of the base in its own frame [m/s], ``[num_envs, 3]``."""
    return to_body(rotation_matrix(state[ORIENTATION]), state[VELOCITY].unsqueeze(1))[:, 0]


def target_change(transition: Transition) -> Tensor:
    """Of the joint targets since the step before [rad], ``[num_envs, 12]``."""
    return transition.actuation[TARGET] - transition.previous_actuation[TARGET]


def power(state: Signals) -> Tensor:
    """What the joints do or brake, summed [W], ``[num_envs]``."""
    return (state[TORQUES] * state[SPEEDS]).abs().sum(1)


def force_up(state: Signals) -> Tensor:
    """What the ground pushes each foot upwards with [N], ``[num_envs, 4]``."""
    return state[FORCES].unflatten(1, (-1, 3))[:, :, 2]


def foot_speed(state: Signals) -> Tensor:
    """Horizontal speed of each foot [m/s], ``[num_envs, 4]``."""
    return state[MOTIONS].unflatten(1, (-1, 3))[:, :, :2].square().sum(2).sqrt()
