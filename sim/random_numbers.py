"""Random numbers that are a function of where they are used: Philox 4×32 with seven rounds, the fewest that pass all of BigCrush.

Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". A generator with a state hands out numbers one after the other, on one
core. Here each is computed from seed, environment, tick, purpose and position alone, so that a kernel draws them where it needs them, in
any order, the same on every device and for any number of environments.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sim.fused.traced import Traced, record

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)  # the golden ratio and √3 − 1
ROUNDS = 7
WORD = 0xFFFFFFFF
FEW, AHEAD = 2048, 64  # without a kernel, up to so many words are drawn for so many ticks at once


class Key(NamedTuple):
    """What a batch of random numbers follows from, int32.

    Attributes:
        environment: its index among those of its seed, ``[num_envs, 1]``.
        seed: its low and high word, ``[1, 2]``, or each environment's, ``[num_envs, 2]``.
        tick: when, ``[1, 1]``.
    """

    environment: Tensor
    seed: Tensor
    tick: Tensor


class RandomNumbers:
    """Keys, one after the other, for ``num_envs`` environments from ``seed`` on.

    With several seeds each has an equal share of the environments, which draw what they would if they were alone.

    Attributes:
        key: the present one; good for any number of purposes.
    """

    def __init__(self, num_envs: int, seed: int | Sequence[int], device: torch.device | str = "cpu") -> None:
        self.num_envs, self.device = num_envs, torch.device(device)
        self.restart(seed)

    def restart(self, seed: int | Sequence[int]) -> None:
        """Begin anew with ``seed``, of which 64 bits count; several share out the environments."""
        seeds = as_seeds(seed)
        share = self.num_envs // len(seeds)
        environment = torch.arange(share, dtype=torch.int32, device=self.device).repeat(len(seeds)).unsqueeze(1)
        words = torch.tensor([[_signed(each & WORD), _signed(each >> 32 & WORD)] for each in seeds], dtype=torch.int32, device=self.device)
        words = words if len(seeds) == 1 else words.repeat_interleave(share, dim=0)
        self.key = Key(environment, words, torch.zeros(1, 1, dtype=torch.int32, device=self.device))

    def advance(self) -> Key:
        """Go to the next key."""
        self.key = self.key._replace(tick=self.key.tick + 1)
        return self.key

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit for bit."""
        return {"seed": self.key.seed, "tick": self.key.tick}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self.key = self.key._replace(seed=state["seed"].to(self.device), tick=state["tick"].to(self.device))


def as_seeds(seed: int | Sequence[int]) -> list[int]:
    """One seed as a list of it, several as they are."""
    return [seed] if isinstance(seed, int) else list(seed)


def uniform(key: Key, purpose: int, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Uniform in 0…1 without 1, multiples of 2⁻²⁴, ``[num_envs, size]``. One key gives other numbers for each ``purpose``."""
    words = _words(key, purpose, size)
    return record("word_unit", (words,)) if isinstance(words, Traced) else (words >> 8).to(dtype) * 2.0**-24


def normal(key: Key, purpose: int, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal, ``[num_envs, size]``, by Box and Muller's transformation; at most 5.8 in size."""
    pairs = -(-size // 2)
    drawn = uniform(key, purpose, 2 * pairs, dtype)
    radius = (-2.0 * (1.0 - drawn[:, :pairs]).log()).sqrt()
    angle = (2.0 * math.pi) * drawn[:, pairs:]
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :size]


def _words(key: Key, purpose: int, size: int) -> Any:
    """Random words ``[num_envs, size]``: int64 in 0…2³² − 1, or traced."""
    environment, seed, tick = key
    if isinstance(environment, Traced):
        blocks = [philox((environment, tick, purpose, block), (seed[:, :1], seed[:, 1:])) for block in range(-(-size // 4))]
        return torch.cat([block[k] for k in range(4) for block in blocks], dim=1)[:, :size]
    if environment.device.type == "cpu" and len(environment) * size <= FEW:
        when = int(tick.item()) & WORD
        return _ahead(tuple(environment.flatten().tolist()), tuple(map(tuple, seed.tolist())), when // AHEAD, purpose, size)[when % AHEAD]
    return _drawn(environment, seed, tick, purpose, size)


@functools.lru_cache(maxsize=8)
def _ahead(environments: tuple[int, ...], seed: tuple[tuple[int, ...], ...], period: int, purpose: int, size: int) -> Tensor:
    """Words of a few environments for the next ticks, ``[AHEAD, num_envs, size]``: they cost no more than those for one."""
    ticks = torch.arange(period * AHEAD, (period + 1) * AHEAD).view(-1, 1, 1)
    return _drawn(torch.tensor(environments).unsqueeze(1), torch.tensor(seed), ticks, purpose, size)


def _drawn(environment: Tensor, seed: Tensor, tick: Tensor, purpose: int, size: int) -> Tensor:
    environment, seed, tick = (word.long() & WORD for word in (environment, seed, tick))
    blocks = torch.arange(-(-size // 4), device=environment.device)
    return torch.cat(philox((environment, tick, purpose, blocks), (seed[:, :1], seed[:, 1:])), dim=-1)[..., :size]


def philox(counter: tuple[Any, ...], key: tuple[Any, ...], rounds: int = ROUNDS) -> tuple[Any, ...]:
    """Four random words from a counter of four and a key of two; each an int64 tensor in 0…2³² − 1, an int, or traced."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(rounds):
        high, low = _high(a, MULTIPLIERS[0]), _low(a, MULTIPLIERS[0])
        a, b = _xor(_xor(_high(c, MULTIPLIERS[1]), b), k), _low(c, MULTIPLIERS[1])
        c, d = _xor(_xor(high, d), m), low
        k, m = _add(k, WEYL[0]), _add(m, WEYL[1])
    return a, b, c, d


def _high(a: Any, b: int) -> Any:
    return record("word_hi", (a, b)) if isinstance(a, Traced) else (a * b) >> 32 & WORD  # also of a product that overflows


def _low(a: Any, b: int) -> Any:
    return record("word_lo", (a, b)) if isinstance(a, Traced) else a * b & WORD


def _xor(a: Any, b: Any) -> Any:
    return record("word_xor", (a, b)) if isinstance(a, Traced) or isinstance(b, Traced) else a ^ b


def _add(a: Any, b: int) -> Any:
    return record("word_add", (a, b)) if isinstance(a, Traced) else a + b & WORD


def _signed(word: int) -> int:
    return word - (1 << 32) if word >> 31 else word
