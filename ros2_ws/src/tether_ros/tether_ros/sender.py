"""Publishes what the robot is sent: actuation, with its gains where positions go out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import JointState

from deploy.runtime import State
from deploy.runtime.gains import GainTable
from robots.contract import Contract
from tether_ros import outputs, qos

DEADLINE_PERIODS = 2  # what the command topic offers
FAREWELL = Duration(seconds=0.2)  # how long a closing node waits until its last words are acknowledged


class Sender:
    """The topics of one output.

    Args:
        node: that publishes.
        contract: what is sent.
        gains: that go with it, by state.
        form: one of `outputs.FORMS`.
        order: of joints in a `position_array`.

    Attributes:
        damps: whether the robot can be told to give way; if not, nothing is sent that it would hold on to.
        encode: actuation and stamp → message.

    Raises:
        TetherError: for an actuation that the output cannot carry.
    """

    def __init__(self, node: LifecycleNode, contract: Contract, gains: GainTable, form: str, order: Sequence[str]) -> None:
        self._node, self._gains = node, gains
        kind, self.encode = outputs.encoder(form, contract, order)
        self.damps = form == outputs.JOINT_STATE
        profile = qos.actuation(DEADLINE_PERIODS * contract.period_s)
        self._actuation = node.create_publisher(kind, "actuation", profile)
        with_gains = self.damps and gains.joints
        self._publish_gains = node.create_publisher(JointState, "~/gains", profile) if with_gains else None

    @property
    def topic(self) -> str:
        """Full name of the command topic."""
        return str(self._actuation.topic_name)

    def send(self, actuation: Mapping[str, np.ndarray], state: State, stamp_ns: int) -> None:
        """Publish ``actuation`` and the gains of ``state``, which go first: a robot that gives way should do so at once."""
        message = self.encode(actuation, stamp_ns)
        if self._publish_gains is not None:
            self._publish_gains.publish(outputs.gains_message(self._gains.joints, self._gains.of(state), stamp_ns))
        self._actuation.publish(message)

    def flush(self) -> None:
        """Wait until what was sent has arrived, but not long."""
        for publisher in self._publishers:
            publisher.wait_for_all_acked(FAREWELL)

    def close(self) -> None:
        """Leave the topics."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)

    @property
    def _publishers(self) -> list[Any]:
        return [publisher for publisher in (self._publish_gains, self._actuation) if publisher is not None]
