"""crazyflow (JAX): its simulator, and its ReachPosEnv."""

from __future__ import annotations

import functools
import itertools
import warnings
from typing import Any

import crazyflow.envs.drone_env as drone_env  # type: ignore[import-not-found]
import jax  # type: ignore[import-not-found]
import jax.numpy as jnp  # type: ignore[import-not-found]
import numpy as np
from crazyflow.control import Control  # type: ignore[import-not-found]
from crazyflow.dynamics import load_params  # type: ignore[import-not-found]
from crazyflow.envs.reach_pos_env import ReachPosEnv  # type: ignore[import-not-found]
from crazyflow.sim import Sim  # type: ignore[import-not-found]
from crazyflow.sim.sim import rotor_vel_limits  # type: ignore[import-not-found]
from protocol import Case, serve  # type: ignore[import-not-found]

DRONE = "cf2x_L250"
SEED = 0


def build(case: dict[str, Any]) -> Any:
    """A case: ``kind`` is ``physics`` or ``environment``."""
    wanted = {"cpu": "cpu", "cuda": "gpu"}[case["device"]]
    found = sorted({device.platform for device in jax.devices()})
    if wanted not in found:
        raise RuntimeError(f"jax sees {found} and no {wanted} here; its CUDA wheels are not installed in this environment")
    return physics(case, wanted) if case["kind"] == "physics" else environment(case, wanted)


def physics(case: dict[str, Any], device: str) -> Any:
    """`Sim.step` under ten random commands in turn; every controller runs at the physics rate."""
    n, freq = case["num_envs"], round(1.0 / case["physics_dt"])
    rates = dict.fromkeys(("attitude_freq", "body_rate_freq", "force_torque_freq"), freq)
    kinds = {"dynamics": case["dynamics"], "control": case["control"], "integrator": case["integrator"]}
    sim = Sim(n_worlds=n, n_drones=1, drone=DRONE, freq=freq, device=device, **kinds, **rates)
    setter = {"rotor_vel": sim.rotor_vel_control, "body_rate": sim.body_rate_control, "attitude": sim.attitude_control}[case["control"]]
    commands = itertools.cycle(random_commands(case, sim.device))
    substeps = case["substeps"]

    def advance() -> None:
        setter(next(commands))
        sim.step(substeps)

    info = {"device": str(sim.device), "drone": DRONE, "freq": freq}
    return Case(advance, lambda: jax.block_until_ready(sim.data.states), n, substeps, info)


def random_commands(case: dict[str, Any], device: Any) -> list[Any]:
    """Ten commands, uniform in the middle half of the range ``[num_envs, 1, 4]``; angles ± 0.3 rad, body rates ± 3 rad/s."""
    share = 0.25 + 0.5 * np.random.default_rng(SEED).random((10, case["num_envs"], 1, 4), dtype=np.float32)
    if Control(case["control"]) == Control.rotor_vel:
        low, high = rotor_vel_limits(case["dynamics"], DRONE)
        values = low + share * (high - low)
    else:
        params = load_params(case["dynamics"], DRONE)
        thrust = 4.0 * (params["thrust_min"] + share[..., :1] * (params["thrust_max"] - params["thrust_min"]))
        turn = (share[..., 1:] - 0.5) * (12.0 if Control(case["control"]) == Control.body_rate else 1.2)
        values = np.concatenate([turn, thrust], axis=-1)
    return [jax.device_put(jnp.asarray(value, dtype=jnp.float32), device) for value in np.asarray(values)]


def environment(case: dict[str, Any], device: str) -> Any:
    """`ReachPosEnv.step`: observation, reward, end and reset. The environment does not pass an integrator on to `Sim`; here it does."""
    warnings.simplefilter("ignore")
    drone_env.Sim = functools.partial(Sim, integrator=case["integrator"])
    n, freq = case["num_envs"], round(case["rate_hz"])
    env = ReachPosEnv(num_envs=n, freq=freq, dynamics=case["dynamics"], device=device)
    env.reset(seed=SEED)
    low, high = env.single_action_space.low, env.single_action_space.high
    share = 0.25 + 0.5 * np.random.default_rng(SEED).random((10, n, 4), dtype=np.float32)
    actions = itertools.cycle([jax.device_put(jnp.asarray(low + each * (high - low)), env.device) for each in share])
    last: list[Any] = [None]

    def advance() -> None:
        last[0] = env.step(next(actions))[:4]

    return Case(advance, lambda: jax.block_until_ready(last[0]), n, env.n_substeps, {"device": str(env.device), "freq": env.sim.freq})


if __name__ == "__main__":
    serve(build, "crazyflow", "jax", "jaxlib")
