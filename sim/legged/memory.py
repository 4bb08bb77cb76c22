"""Whether so many environments fit, before anything is built."""

from __future__ import annotations

import mujoco

from robots.errors import TetherError

COPIES = 3  # of state and readings: the batch's, ours as float32 rows, and those a task or a save keeps
LEFT = 0.8  # of what is available; the rest is for learning


def needed(model: mujoco.MjModel, substeps: int) -> int:
    """Bytes of one environment in MuJoCo's batch: state, readings, targets of a period, and model fields that parameters make its own."""
    state = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION)
    numbers = COPIES * (state + model.nsensordata + model.nu) + 4 * substeps * model.nu
    fields = 3 * model.ngeom + 10 * model.nu + 2 * model.nu + 2 * model.nv
    derived = 40 * model.nbody + 8 * model.nv + 8 * model.ngeom  # by mj_setConst
    return 8 * (numbers + fields + derived)


def available() -> int | None:
    """Bytes that can be had, None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def check(num_envs: int, each: int, room: int | None) -> None:
    """Refuse more environments, of ``each`` bytes, than there is ``room`` for."""
    if room is not None and num_envs * each > LEFT * room:
        most = int(LEFT * room) // each
        raise TetherError(
            f"{num_envs} environments need {num_envs * each / 1e9:.1f} GB, and {room / 1e9:.1f} GB are available; choose at most {most}"
        )
