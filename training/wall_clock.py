"""How long ago the command was started, interpreter start and imports included."""

from __future__ import annotations

import os
import time

_IMPORTED = time.monotonic()


def since_command_start() -> float:
    """Seconds since this process began; where the system does not say (no /proc), since this module was imported."""
    try:
        with open("/proc/self/stat") as stat, open("/proc/uptime") as uptime:
            ticks = int(stat.read().rpartition(")")[2].split()[19])  # field 22, starttime; the name in brackets may hold spaces
            return float(uptime.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return time.monotonic() - _IMPORTED
