"""The runtime: readings in, guarded actuation out, everything recorded. The same on a robot, over ROS 2 and against a simulator."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from deploy.guards.commands import CommandBox
from deploy.guards.config import GuardConfig
from deploy.guards.intake import STALE_ORDER, Intake
from deploy.guards.timing import TimingGuard
from deploy.guards.trips import Trip, Warn, names
from deploy.record.layout import StepLayout
from deploy.record.writer import Recorder
from deploy.runtime.gains import GainTable
from deploy.runtime.journal import Journal
from deploy.runtime.stand import Stand
from deploy.runtime.state_machine import FLYING, STANDING, STOPPED, Event, State, next_state
from deploy.runtime.stepper import RunnablePolicy, Stepper
from deploy.runtime.tick import Tick, Timing, by_name
from robots.behaviour import Behaviour
from robots.description import Robot
from safety.envelope import Envelope

DEFAULTS = GuardConfig()


class Runtime:
    """Runs one policy on one robot.

    The latest reading of every source is kept; the arrival of the contract's clock source triggers a step. Nothing a robot, a user or a
    policy supplies raises: it trips a guard, and a trip hands control to the robot's declared behaviour. Only calls that make no sense in
    the present state raise `IllegalTransition`. One thread calls all methods.

    Args:
        policy: a `deploy.policy.Policy`.
        robot: the installed description; its limits hold whatever the policy file says.
        recorder: writes every step, if given; closing it is the caller's.
        config: guard thresholds.
        now: the monotonic clock that ``receipt_s`` is taken from.
        behaviour: stand and damping data; `Behaviour.of` the robot unless given.

    Attributes:
        state: who is in control.
        failsafe: the robot's own failsafe has been asked to take over.
        gains: what accompanies joint positions, by state.
        journal: counts and timings for diagnostics.

    Raises:
        TetherError: if the policy does not fit the robot.
    """

    def __init__(
        self,
        policy: RunnablePolicy,
        *,
        robot: Robot,
        recorder: Recorder | None = None,
        config: GuardConfig = DEFAULTS,
        now: Callable[[], float] = time.monotonic,
        behaviour: Behaviour | None = None,
    ) -> None:
        self.contract = policy.contract
        self.config = config
        self.behaviour = behaviour or Behaviour.of(robot)
        self.state = State.UNCONFIGURED
        self.failsafe = False
        self.envelope = Envelope(self.contract, robot, trip_after=config.envelope_ticks)
        layout = StepLayout.from_contract(self.contract)
        self._intake = Intake(self.contract, config.clock_trip_periods * self.contract.period_s)
        self._commands = CommandBox(self.contract, self._intake, self.envelope.tightened.limits.distance_m)
        self._timing = TimingGuard(self._intake, self.contract.period_s, config)
        self._stepper = Stepper(policy, self.envelope, layout)
        self.gains = GainTable(self.contract, robot, self.behaviour)
        self._stand = Stand(self.behaviour, self.contract, robot, self._intake, self.envelope.tightened)
        self.journal = Journal(layout, recorder, self.contract.rate_hz)
        self._now = now
        self._latest_s = now()
        self._enable_s = -math.inf
        self._since_s = 0.0
        self._announce = False
        self._out = np.zeros(self.envelope.size, dtype=np.float32)
        self._go(Event.CONFIGURE)

    # What the operator does

    def activate(self) -> None:
        """From IDLE get READY (standing up first where the robot does); from HOLD give control back to the policy."""
        if self.state is State.IDLE:
            self._commands.forget()
            self._stand.restart()
            self._go(Event.STAND_UP if self._stand.needed else Event.ACTIVATE)
        else:
            self._go(Event.ACTIVATE)

    def deactivate(self) -> None:
        """Back to IDLE; a robot that was flying is handed to its failsafe."""
        self._go(Event.DEACTIVATE)

    def enable(self, receipt_s: float) -> None:
        """The dead-man switch is held, as of ``receipt_s``."""
        self._enable_s = max(self._enable_s, min(receipt_s, self._now()) if math.isfinite(receipt_s) else -math.inf)

    def release(self) -> None:
        """The dead-man switch was let go."""
        self._enable_s = -math.inf

    def estop(self, reason: str) -> None:
        """Stop now; latched until `reset`. The next tick or `watch` tells the driver."""
        self._go(Event.ESTOP)
        self.journal.note(Trip.ESTOP.value, reason)

    def reset(self) -> None:
        """Out of DAMPING or ESTOP to IDLE, forgetting readings and commands."""
        self._go(Event.RESET)
        self._intake.reset()
        self._commands.forget()
        self.release()

    def on_command(self, name: str, value: Any, receipt_s: float) -> bool:
        """Take a command for the policy, within its bounds; false if refused: wrong, not finite, beyond the geofence, before activation."""
        receipt_s = self._receipt(receipt_s, self._now())
        warning = self._commands.take(name, value, receipt_s) if self.state in (*STANDING, *FLYING) else Warn.COMMAND_REFUSED.value
        self.journal.warn(warning)
        return warning != Warn.COMMAND_REFUSED.value

    def final_command(self) -> dict[str, np.ndarray]:
        """The safe command to send last, float32 by actuation name."""
        return by_name(self.contract.actuation, self._stand.safe)

    # What the robot says

    def on_sensors(self, source: str, readings: Mapping[str, Any], stamp_ns: int, receipt_s: float) -> Tick | None:
        """Take a message; a `Tick` if it triggered a step (its source is the clock) or tripped a guard."""
        started_s = self._now()
        receipt_s = self._receipt(receipt_s, started_s)
        entry = self._intake.sources.get(source)
        if entry is None:
            return None
        age = entry.age(receipt_s)
        fault = self._intake.take(entry, readings, stamp_ns, receipt_s)
        if fault == STALE_ORDER:
            self.journal.warn(Warn.OUT_OF_ORDER.value)
            return self.watch(receipt_s)
        is_clock = entry is self._intake.clock
        if self._controlling and (fault or is_clock):
            trips = fault or self._guard(age, receipt_s, entry.period_s)
            if trips:
                return self._tripped(trips, receipt_s, started_s)
        elif fault:
            self.journal.note(fault)
        if not is_clock:
            return None
        return self._finish(self._safe(), receipt_s, started_s) if fault else self._step(receipt_s, started_s)

    def watch(self, now_s: float) -> Tick | None:
        """Call about once per period, whatever arrives: a `Tick` if silence tripped a guard or a stopped robot must be told again."""
        started_s = self._now()
        now_s = self._receipt(now_s, started_s)
        age = self._intake.clock.age(now_s)
        if self._controlling and self._timing.silent(age):
            return self._tripped(Trip.STALE_CLOCK.value, now_s, started_s)
        if self.state in STOPPED and (self._announce or not 0 <= age <= self.contract.period_s):
            return self._finish(self._safe(), now_s, started_s)
        return None

    def diagnostics(self) -> dict[str, str]:
        """What an operator wants to see, as text by name."""
        return {
            "state": self.state.name,
            "failsafe": str(self.failsafe).lower(),
            **self.journal.summary(),
            "clamped": str(self.envelope.clamped),
            "missed": str(self._timing.deadlines.misses),
            "out_of_order": str(self._intake.out_of_order),
            **self._commands.summary(),
            "policy_error": self._stepper.error,
            "limits_refused": "; ".join(self.envelope.tightened.refused),
            "limits_unchecked": ", ".join(self.envelope.unchecked),
        }

    @property
    def _controlling(self) -> bool:
        """Whether what is sent moves the robot."""
        return self.state in FLYING or (self._stand.needed and self.state in STANDING)

    def _go(self, event: Event) -> None:
        controlled, self.state = self._controlling, next_state(self.state, event)
        if self._controlling:
            self.failsafe = False
        elif self.behaviour.silent and (self.state in STOPPED or controlled):
            self.failsafe = True
        self._announce = self._announce or self.state in STOPPED

    def _receipt(self, receipt_s: float, now_s: float) -> float:
        """A time of receipt that neither runs backwards nor lies in the future, whatever we are told: either would make old data young."""
        self._latest_s = max(self._latest_s, receipt_s if receipt_s <= now_s else now_s)
        return self._latest_s

    def _guard(self, age: float, receipt_s: float, period_s: float) -> int:
        """Judge time, the dead-man switch and the envelope at a clock tick; `Trip` mask."""
        trips, warnings = self._timing.check(age, period_s, receipt_s)
        self.journal.warn(warnings)
        if self.state in FLYING:
            trips |= self._let_go(receipt_s)
            if self._commands.fill(receipt_s, hold=self.state is State.HOLD):
                self.journal.warn(Warn.COMMAND_STALE.value)
        # Of a robot that is asked to stand something may never have been measured yet; nothing is sent until it is.
        outside, tripped = self.envelope.state(self._intake.sensors, self._commands.commands) if self._intake.complete else (0, 0)
        if outside:
            self.journal.warn(Warn.OUTSIDE_ENVELOPE.value)
        return trips | tripped

    def _let_go(self, receipt_s: float) -> int:
        if self.state is State.HOLD:
            return Trip.HOLD_TIMEOUT.value if receipt_s - self._since_s > self.config.hold_s else 0
        if receipt_s - self._enable_s <= self.config.dead_man_s:
            return 0
        self.journal.note(Trip.DEAD_MAN.value)
        if not self.behaviour.holds:
            return Trip.DEAD_MAN.value
        self._go(Event.LET_GO)
        self._since_s = receipt_s
        self._commands.capture_defaults()
        return 0

    def _step(self, receipt_s: float, started_s: float) -> Tick:
        """A clock tick on which no guard tripped."""
        if self.state is State.STAND:
            return self._finish(self._stand_up(receipt_s), receipt_s, started_s)
        if self.state is State.READY and self._can_engage(receipt_s):
            self._engage(receipt_s)
        if self.state in FLYING:
            return self._fly(receipt_s, started_s)
        return self._finish(self._stand.hold if self._controlling else self._safe(), receipt_s, started_s)

    def _stand_up(self, receipt_s: float) -> np.ndarray | None:
        if not self._intake.complete:
            self.journal.warn(Warn.NOT_READY.value)
            return None
        if self._stand.advance(receipt_s, self._out):
            self._go(Event.STOOD)
        self.envelope.clamp(self._out)
        return self._out

    def _can_engage(self, receipt_s: float) -> bool:
        """Fresh sensors, inside the envelope, dead-man switch held."""
        self._commands.capture_defaults()
        if self._commands.drop_too_far():
            self.journal.warn(Warn.COMMAND_REFUSED.value)
        self._commands.fill(receipt_s, hold=False)
        fresh = self._intake.complete and not self._intake.stale(receipt_s)
        ready = fresh and receipt_s - self._enable_s <= self.config.dead_man_s
        if ready and not self.envelope.state(self._intake.sensors, self._commands.commands)[0]:
            return True
        self.journal.warn(Warn.NOT_READY.value)
        return False

    def _engage(self, receipt_s: float) -> None:
        self._go(Event.ENGAGE)
        self.envelope.reset()
        self._timing.restart()
        self._stepper.restart()
        self.journal.restart()
        self._since_s = receipt_s

    def _fly(self, receipt_s: float, started_s: float) -> Tick:
        stamp_ns = self._intake.clock.stamp_ns or 0
        self.journal.snapshot(self._stepper.memory, stamp_ns)
        fault = self._stepper.step(self._intake.sensors, self._commands.commands, self.journal.row)
        if fault:
            return self._tripped(fault, receipt_s, started_s)
        self.journal.ran()
        self._out[:] = self._stepper.actuation
        if self._stand.needed:
            self._stand.blend(receipt_s - self._since_s, self._out)
        if self.envelope.clamp(self._out):
            self.journal.warn(Warn.CLAMPED.value)
        self.envelope.sent(self._out)
        return self._finish(self._out, receipt_s, started_s)

    def _tripped(self, trips: int, receipt_s: float, started_s: float) -> Tick:
        self._go(Event.TRIP)
        self.journal.note(trips)
        return self._finish(self._safe(), receipt_s, started_s)

    def _safe(self) -> np.ndarray | None:
        """What a stopped robot is sent."""
        return None if self.behaviour.silent or self.state not in STOPPED else self._stand.safe

    def _finish(self, values: np.ndarray | None, receipt_s: float, started_s: float) -> Tick:
        self._announce = self._announce and self.state not in STOPPED
        clock = self._intake.clock
        finished_s = self._now()
        self._timing.lateness_s = finished_s - receipt_s
        timing = Timing(receipt_s, started_s, finished_s, clock.period_s)
        number, tripped, warned = self.journal.write(self._intake, self._commands, values, self.state, clock.stamp_ns or 0, timing)
        sent = None if values is None else by_name(self.contract.actuation, values)
        return Tick(number, sent, clock.stamp_ns or 0, self.state, self.failsafe, names(Trip, tripped), names(Warn, warned), timing)
