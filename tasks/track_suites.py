"""What tracking is judged on, and what it is trained on: hover's randomisation and starts, about a reference that moves."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tasks import hover_suites
from tasks.flight_suite import FlightSuite


@dataclass(frozen=True, kw_only=True)
class TrackSuite(FlightSuite):
    """Ranges a tracking episode is drawn from.

    Attributes:
        figure_eight: share of the episodes that follow the figure-eight; the others follow a random smooth reference each.
    """

    figure_eight: float = 1.0


NOMINAL = TrackSuite(**vars(hover_suites.NOMINAL))
FULL = TrackSuite(**vars(hover_suites.FULL))
UNSEEN = TrackSuite(**vars(hover_suites.UNSEEN))
FULL_RANDOM = replace(FULL, name="full_random", figure_eight=0.0)
TRAINING = TrackSuite(**vars(hover_suites.TRAINING) | {"figure_eight": 0.5})
