"""Runs a policy on a robot: one state machine, guards around every step, everything recorded."""

from deploy.guards import GuardConfig
from deploy.runtime.runtime import Runtime
from deploy.runtime.state_machine import Event, IllegalTransition, State, next_state
from deploy.runtime.tick import Tick, Timing
from robots.behaviour import Behaviour

__all__ = ["Behaviour", "Event", "GuardConfig", "IllegalTransition", "Runtime", "State", "Tick", "Timing", "next_state"]
