"""Small networks, initialised as reinforcement learning likes them."""

from __future__ import annotations

import math

from torch import nn

from robots.errors import unknown
from training.replicas import Streams, side_by_side

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "elu": nn.ELU, "relu": nn.ReLU, "silu": nn.SiLU}


def perceptron(
    inputs: int, hidden: tuple[int, ...], outputs: int, activation: str, last_gain: float = 1.0, streams: Streams | None = None
) -> nn.Sequential:
    """Linear layers with ``activation`` between, orthogonal weights of gain √2 (``last_gain`` in the last), zero biases.

    With ``streams`` there is one for each of them, side by side.
    """
    if activation not in ACTIVATIONS:
        raise unknown("activation", activation, list(ACTIVATIONS))
    return side_by_side((streams or Streams(1)).draw(lambda: _perceptron(inputs, hidden, outputs, activation, last_gain)))


def _perceptron(inputs: int, hidden: tuple[int, ...], outputs: int, activation: str, last_gain: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [_linear(inputs, width, math.sqrt(2.0)), ACTIVATIONS[activation]()]
        inputs = width
    return nn.Sequential(*layers, _linear(inputs, outputs, last_gain))


def _linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
