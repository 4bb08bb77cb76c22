"""Stands in for NVIDIA's Isaac Gym Preview 4, as far as the worker uses it: the documented rules, checked, around MuJoCo's physics.

Unlike in the arrays, bodies are in the order of the alphabet and joints in the reverse.
"""

import os
import sys

if "torch" in sys.modules and not os.environ.get("ISAACGYM_STANDIN_AFTER_TORCH"):
    raise ImportError("PyTorch was imported before isaacgym modules. Please import torch after isaacgym modules.")
