"""What may befall a robot that is an equation: its published disturbance, and its sensors. There is no body for forces and loads."""

from __future__ import annotations

import torch

from robots.description import EquationRobot
from robustness.disturbance import Disturbance
from robustness.quadrotor import changed
from robustness.sensing import begin
from sim.sensor_faults import Drift, Freeze
from tasks.draw import Draw
from tasks.task import Start, Task

SHARE = 0.1  # of the state box: what a factor of 1 means


def disturbances(task: Task) -> list[Disturbance]:
    """All of them."""
    return [
        Disturbance("disturbance", "×", "half-widths of the published disturbance over the published ones", 0.0, 0.0, 4.0, disturbance),
        Disturbance("bias", "×", f"every state is measured off by a constant, ± {SHARE:g} of its box", 0.0, 0.0, 3.0, bias),
        Disturbance("drift", "×", f"every measured state drifts by ± {SHARE:g} of its box until the end", 0.0, 0.0, 3.0, drift),
        Disturbance(
            "freeze", "s", "all measured states stand still for so long, from a random time on", 0.0, 0.0, 0.2 * task.episode_s, freeze
        ),
    ]


def default_grid(task: Task) -> tuple[str, ...]:
    """Both that are always there."""
    return "disturbance=0:3:4", "bias=0:2:4"


def robot_of(task: Task) -> EquationRobot:
    """The task's, as what it is."""
    assert isinstance(task.robot, EquationRobot)
    return task.robot


def disturbance(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """Whatever the suite drew."""
    return changed(start, disturbance_scale=torch.full((draw.num_envs, 1), value, device=draw.device))


def bias(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """In place of the suite's."""
    return start._replace(sensor_bias={name: value * part for name, part in offsets(task, draw).items()})


def drift(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """Linear, from the beginning on."""
    begins = torch.zeros(draw.num_envs, 1, device=draw.device)
    lasts = begins + task.episode_s
    return start._replace(sensor_drift={name: Drift(value * part, begins, lasts) for name, part in offsets(task, draw).items()})


def freeze(task: Task, start: Start, value: float, draw: Draw) -> Start:
    """All at once."""
    when = Freeze(begin(task, draw), torch.full((draw.num_envs, 1), value, device=draw.device))
    return start._replace(sensor_freeze=dict.fromkeys(robot_of(task).states, when))


def offsets(task: Task, draw: Draw) -> dict[str, torch.Tensor]:
    """± `SHARE` of the state box by sensor, ``[num_envs, size]``."""
    robot = robot_of(task)
    sizes = [robot.sensor(name).size for name in robot.states]
    sign = torch.where(draw.uniform(0.0, 1.0, sum(sizes)) < 0.5, -1.0, 1.0)
    return dict(zip(robot.states, (SHARE * sign * sign.new_tensor(robot.state_box)).split(sizes, dim=1), strict=True))
