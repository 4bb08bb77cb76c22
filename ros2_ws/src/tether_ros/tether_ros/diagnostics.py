"""What /diagnostics says about the policy node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from deploy.runtime import Runtime, State

LEVELS = {State.HOLD: DiagnosticStatus.WARN, State.DAMPING: DiagnosticStatus.ERROR, State.ESTOP: DiagnosticStatus.ERROR}


def status(name: str, runtime: Runtime, more: Mapping[str, str], rivals: Sequence[str]) -> DiagnosticStatus:
    """State, trips, step durations, misses and recording as the runtime tells them, with ``more``; rivals publish on the command topic."""
    values = {**runtime.diagnostics(), **more}
    level, remarks = LEVELS.get(runtime.state, DiagnosticStatus.OK), [runtime.state.name]
    if values["recorder"] not in ("ok", "off"):
        level = max(level, DiagnosticStatus.WARN)
        remarks.append(f"recording stopped: {values['recorder']}")
    if rivals:
        level = DiagnosticStatus.ERROR
        remarks.append(f"the command topic is also published by {', '.join(rivals)}")
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticStatus(level=level, name=name, message="; ".join(remarks), values=pairs)
