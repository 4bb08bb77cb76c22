"""Legged robots in MuJoCo, whichever of its engines steps them."""
