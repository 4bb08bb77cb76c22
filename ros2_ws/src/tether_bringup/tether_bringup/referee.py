"""Judges a walk by the ground truth of the simulated robot, which no policy sees."""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

import numpy as np
from nav_msgs.msg import Odometry

from tether_ros import qos
from tether_ros.walk_operator import Velocity, WalkOperator

SETTLING_S = 1.0  # after a new command; the task is judged in the same way
FALLEN_RAD = math.radians(70.0)


class Sample(NamedTuple):
    """The base's velocity as it is and as it was asked."""

    moved: Velocity
    asked: Velocity


class Referee:
    """Compares the base's velocity with what the operator asks for, but for the second after a new command.

    Attributes:
        samples: every judged moment.
        tilt_rad: largest tilt seen.
    """

    def __init__(self, operator: WalkOperator) -> None:
        self._operator = operator
        self.samples: list[Sample] = []
        self.tilt_rad = 0.0
        operator.node.create_subscription(Odometry, "ground_truth", self._on_truth, qos.STATE)

    @property
    def fell(self) -> bool:
        """Whether it ever lay on its side."""
        return self.tilt_rad > FALLEN_RAD

    def result(self) -> dict[str, Any]:
        """RMS errors over the judged moments, the largest tilt, and whether it fell."""
        errors = np.array([sample.moved for sample in self.samples]) - np.array([sample.asked for sample in self.samples])
        judged = len(self.samples) > 0
        return {
            "judged": len(self.samples),
            "rms_velocity_m_s": float(np.sqrt((errors[:, :2] ** 2).sum(axis=1).mean())) if judged else math.nan,
            "rms_yaw_rad_s": float(np.sqrt((errors[:, 2] ** 2).mean())) if judged else math.nan,
            "largest_tilt_rad": self.tilt_rad,
            "fell": self.fell,
        }

    def _on_truth(self, message: Odometry) -> None:
        asked, twist, q = self._operator.asked, message.twist.twist, message.pose.pose.orientation
        if asked is None:
            return
        self.tilt_rad = max(self.tilt_rad, math.acos(max(-1.0, min(1.0, 1.0 - 2.0 * (q.x * q.x + q.y * q.y)))))
        if time.monotonic() - self._operator.since_s > SETTLING_S:
            self.samples.append(Sample(Velocity(twist.linear.x, twist.linear.y, twist.angular.z), asked))
