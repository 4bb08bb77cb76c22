"""The parameters of a MuJoCo model, set from its pristine values each time, so that nothing is left over from the time before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco

from robots.errors import unknown
from robustness.gymnasium_tasks.parameters import AXES


class Dynamics:
    """Friction, masses and forces of one model.

    Args:
        model: MuJoCo's ``MjModel``, as compiled; it is changed in place.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._scratch = mujoco.MjData(model)
        self._friction, self._mass, self._inertia = model.geom_friction.copy(), model.body_mass.copy(), model.body_inertia.copy()

    def set(self, values: Mapping[str, float]) -> None:
        """Give the model ``values`` of friction and masses, and its own of everything else; forces are not the model's.

        With a density that is ρ = m/m₀ of the pristine one a body of unchanged shape has the mass m and the inertia ρ·I₀. What MuJoCo
        derives from masses, above all the inverse weights that contacts are regularised with, is derived anew.

        Raises:
            TetherError: for a body that the model does not have.
        """
        model = self._model
        model.geom_friction[:], model.body_mass[:], model.body_inertia[:] = self._friction, self._mass, self._inertia
        for name, value in values.items():
            if name == "friction":
                model.geom_friction[:, 0] = value  # the larger of two equal ones is that one, whichever geoms meet
            elif name.startswith("mass."):
                body = self._body(name)
                model.body_mass[body] = value
                model.body_inertia[body] = self._inertia[body] * (value / self._mass[body])
        mujoco.mj_setConst(model, self._scratch)

    def push(self, data: Any, values: Mapping[str, float]) -> None:
        """Apply the forces among ``values`` until the next reset of ``data``, which clears them, in N, in the world's axes."""
        data.xfrc_applied[:] = 0.0
        for name, value in values.items():
            if name.startswith("force."):
                data.xfrc_applied[self._body(name), AXES.index(name.rpartition(".")[2])] = value

    def nominal(self, name: str) -> float:
        """The pristine value: of a mass in kg, of a force 0; of friction the largest coefficient of a contact with the world."""
        if name == "friction":
            return float(self._friction[:, 0].max())
        return 0.0 if name.startswith("force.") else float(self._mass[self._body(name)])

    def _body(self, name: str) -> int:
        body = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_BODY, name.split(".")[1])
        if body < 1 or not self._mass[body] > 0.0:
            bodies = [self._model.body(index).name for index in range(1, self._model.nbody)]
            raise unknown("body", name.split(".")[1], [body for body in bodies if body])
        return int(body)
