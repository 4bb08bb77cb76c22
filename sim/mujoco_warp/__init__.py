"""Legged robots in MuJoCo Warp: on a GPU, thousands at a time; on the CPU the same code, to check it."""

from importlib.util import find_spec

for _name in ("mujoco_warp", "warp"):
    if find_spec(_name) is None:
        _remedy = "install it with: pip install 'tether[warp]'"
        raise ModuleNotFoundError(f"the engine mujoco_warp needs the Python package {_name}; {_remedy}", name=_name)
