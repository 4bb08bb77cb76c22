"""Keeps the path from observation to command warm."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.serialization import serialize_message

from deploy.policy.policy import Policy
from tether_ros.inputs import Input
from tether_ros.outputs import Encoder


class Preheater:
    """Runs recorded steps whose results nobody uses: the first real step is then as fast as the rest.

    A core that idled for most of a period has lost the code and weights from its caches, and a step takes up to three times as long; one
    unused step shortly before an observation is due brings them back.
    """

    def __init__(self, policy: Policy, sources: Iterable[Input], encode: Encoder) -> None:
        self._policy, self._sources, self._encode = policy, tuple(sources), encode
        self._inputs, self._memory = policy.recorded_step()

    def run(self, steps: int) -> None:
        """Decode, step and encode ``steps`` times."""
        for _ in range(steps):
            for source in self._sources:
                source.decode(source.example)
            serialize_message(self._encode(self._policy.step(self._inputs, self._inputs, self._memory).actuation, 0))
