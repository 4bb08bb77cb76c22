"""Legged robots in MuJoCo on the CPU, many at a time."""
