"""What is compared with what: groups of cases that are measured in turn, on the same dt, sub-steps and number of environments.

Every peer runs its own model of about the same vehicle, a Crazyflie; ours has motor lag, a rate loop and, in an environment, sensor noise,
action delay and randomised parameters. On a GPU, mjlab's quadruped (Go1) walks beside ours (Go2), both on MuJoCo Warp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

OURS = "tether"
PEERS = ("crazyflow", "l2f", "rotorpy", "pyflyt", "mjlab")
NEEDED = ("crazyflow",)  # the others are listed as not measured where they are missing
GROUPS = ("physics", "environment", "gym", "throughput", "legs")
UNAVAILABLE = {
    "gym-pybullet-drones": "not on the package index; its repository is installed from source",
    "QuadSwarm": "not on the package index (quad-swarm-rl, gym-art); its repository is installed from source",
}
PHYSICS_DT_S = 0.002  # crazyflow's 500 Hz
SUBSTEPS = 10
TABLE_ENVS = 4096
SWEEP_ENVS = tuple(4**power for power in range(9))  # 1 … 65,536
PHYSICS, CONTROL = "steps_per_second", "env_steps_per_second"


@dataclass(frozen=True)
class Member:
    """One case of a group.

    Attributes:
        engine: whose worker runs it.
        label: unique in the group.
        integrator: as the report names it.
        case: what the worker is told.
        against: for a peer, the label of ours that it is compared with.
    """

    engine: str
    label: str
    integrator: str
    case: dict[str, Any]
    against: str = ""


@dataclass(frozen=True)
class Group:
    """Cases measured in turn; ``metric`` is what is compared."""

    name: str
    kind: str
    title: str
    metric: str
    members: tuple[Member, ...]


def groups(kinds: Sequence[str], device: str, table_envs: int, sweep: Sequence[int], substeps: int) -> list[Group]:
    """The groups of ``kinds`` in order."""
    found: list[Group] = []
    if "physics" in kinds:
        found.append(physics(device, table_envs, substeps))
    if "environment" in kinds:
        found += [crazyflow_environment(device, table_envs, rate_hz) for rate_hz in (500.0, 100.0)]
    if "gym" in kinds and device == "cpu":
        found += [batched_environments(table_envs), single_environment(table_envs)]
    if "throughput" in kinds:
        found += [throughput(device, num_envs, substeps) for num_envs in sweep]
    if "legs" in kinds and device != "cpu":
        found += [legged_physics(device, table_envs), legged_environment(device, table_envs)]
    return found


def physics(device: str, num_envs: int, substeps: int) -> Group:
    """Simulators alone: rotor commands and body rates, at the same order and, since it is crazyflow's default, against explicit Euler."""
    shared = {"kind": "physics", "num_envs": num_envs, "physics_dt": PHYSICS_DT_S, "substeps": substeps, "device": device}
    kinds = [("first_principles", control, order) for control in ("rotor_vel", "body_rate") for order in ("rk4", "euler")]
    members = [_crazyflow(shared, *kind) for kind in (*kinds, ("so_rpy", "attitude", "euler"))]
    members += [_ours(shared, mode) for mode in ("rotor_thrusts", "ctbr")]
    title = f"Physics steps, {num_envs} environments, {PHYSICS_DT_S * 1e3:g} ms, {substeps} sub-steps a call"
    return Group("physics", "physics", title, PHYSICS, tuple(members))


def throughput(device: str, num_envs: int, substeps: int) -> Group:
    """The simulators over the number of environments."""
    shared = {"kind": "physics", "num_envs": num_envs, "physics_dt": PHYSICS_DT_S, "substeps": substeps, "device": device}
    kinds = (("first_principles", "body_rate", "rk4"), ("so_rpy", "attitude", "euler"))
    members = (*(_crazyflow(shared, *kind) for kind in kinds), _ours(shared, "ctbr"))
    title = f"Physics steps, {num_envs} environments"
    return Group(f"throughput_{num_envs}", "throughput", title, PHYSICS, members)


def crazyflow_environment(device: str, num_envs: int, rate_hz: float) -> Group:
    """crazyflow's ReachPosEnv, as shipped and at our order, against hover; then hover with the sub-step that it is trained with."""
    shared = {"kind": "environment", "num_envs": num_envs, "rate_hz": rate_hz, "device": device}
    same = f"hover, {PHYSICS_DT_S * 1e3:g} ms"
    peers = tuple(
        Member("crazyflow", f"ReachPosEnv, {dynamics}", order, shared | {"dynamics": dynamics, "integrator": order}, same)
        for dynamics, order in (("so_rpy", "euler"), ("first_principles", "rk4"))
    )
    ours = [Member(OURS, same, "rk4", shared | {"task": "hover", "physics_dt": PHYSICS_DT_S})]
    if rate_hz * PHYSICS_DT_S < 0.5:
        ours.append(Member(OURS, "hover, as trained", "rk4", shared | {"task": "hover", "physics_dt": None}))
    return Group(f"environment_{rate_hz:g}", "environment", _title(num_envs, rate_hz, PHYSICS_DT_S), CONTROL, (*peers, *ours))


def batched_environments(num_envs: int) -> Group:
    """l2f and RotorPy, which take one RK4 step of 10 ms a control step."""
    shared = {"kind": "environment", "num_envs": num_envs, "rate_hz": 100.0, "physics_dt": 0.01, "device": "cpu"}
    ours = Member(OURS, "hover, 10 ms", "rk4", shared | {"task": "hover"})
    peers = (("l2f", "vector environment, 82 observed"), ("rotorpy", "QuadrotorEnv, cmd_ctbr"))
    members = (*(Member(name, label, "rk4", shared, ours.label) for name, label in peers), ours)
    return Group("batched", "gym", _title(num_envs, 100.0, 0.01), CONTROL, members)


def single_environment(num_envs: int) -> Group:
    """PyFlyt, which has one environment a process, as shipped: 40 Hz control on Bullet's 240 Hz; ours as one, and as many."""
    shared = {"kind": "environment", "num_envs": 1, "rate_hz": 40.0, "physics_dt": 1.0 / 240.0, "device": "cpu"}
    many = (("hover, one environment", 1), (f"hover, {num_envs} side by side", num_envs))
    ours = [Member(OURS, label, "rk4", shared | {"task": "hover", "num_envs": count}) for label, count in many]
    peer = Member("pyflyt", "QuadX-Hover-v4", "semi-implicit euler", shared, ours[0].label)
    return Group("single", "gym", _title(1, 40.0, 1.0 / 240.0), CONTROL, (peer, *ours))


def legged_physics(device: str, num_envs: int) -> Group:
    """Quadrupeds on MuJoCo Warp, four sub-steps a control step; ours with its delays and readings, mjlab's bare `Simulation.step`."""
    shared = {"kind": "physics", "num_envs": num_envs, "physics_dt": 0.005, "substeps": 4, "device": device}
    ours = Member(OURS, "go2", "implicitfast", shared | {"robot": "go2", "actuation_mode": "joint_position", "engine": "mujoco_warp"})
    peer = Member("mjlab", "Go1, flat", "implicitfast", shared, ours.label)
    return Group("legged_physics", "legs", f"Physics steps of a quadruped, {num_envs} environments, 5 ms", PHYSICS, (peer, ours))


def legged_environment(device: str, num_envs: int) -> Group:
    """Both velocity tasks on flat ground as they are trained, under random actions."""
    shared = {"kind": "environment", "num_envs": num_envs, "rate_hz": 50.0, "physics_dt": 0.005, "device": device}
    ours = Member(OURS, "go2_velocity", "implicitfast", shared | {"task": "go2_velocity", "engine": "mujoco_warp"})
    peer = Member("mjlab", "Mjlab-Velocity-Flat-Unitree-Go1", "implicitfast", shared, ours.label)
    return Group("legged_environment", "legs", _title(num_envs, 50.0, 0.005), CONTROL, (peer, ours))


def _title(num_envs: int, rate_hz: float, physics_dt: float) -> str:
    count = f"{num_envs} environments" if num_envs > 1 else "one environment"
    return f"Control steps of the whole environment, {count}, {rate_hz:g} Hz control, {physics_dt * 1e3:.3g} ms physics"


def _crazyflow(shared: dict[str, Any], dynamics: str, control: str, order: str) -> Member:
    case = shared | {"dynamics": dynamics, "control": control, "integrator": order}
    return Member("crazyflow", f"{dynamics}, {control}, {order}", order, case, "rotor_thrusts" if control == "rotor_vel" else "ctbr")


def _ours(shared: dict[str, Any], mode: str) -> Member:
    return Member(OURS, mode, "rk4", shared | {"robot": "crazyflie", "actuation_mode": mode})
