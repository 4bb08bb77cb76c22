"""Rules from YAML (or the JSON of a policy file):

rules:
  - name: settles
    signal: distance        # tilt, speed, body_rate, distance, a column or a signal of the log
    max: 0.1                # a number, or one for each channel
    from_s: 5               # since the policy took control
  - {name: above ground, signal: sensor.position_base_in_world.z, min: 0.05}
  - {name: gentle, signal: actuation.body_rates, max: 200, abs: true, rate: true}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from robots.errors import TetherError
from safety.rules.rule import Rule

KEYS = ("name", "signal", "min", "max", "abs", "rate", "from_s", "to_s", "when")
WHEN = ("policy", "sent", "always")


def load_rules(path: str | Path) -> tuple[Rule, ...]:
    """Read a rules file; raises `TetherError` naming the file, the rule and what is wrong with it."""
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TetherError(f"cannot read the rules file {path}: {' '.join(str(error).split())}") from error
    return parse_rules(data, str(path))


def parse_rules(data: Any, where: str) -> tuple[Rule, ...]:
    """Rules from parsed YAML or JSON; ``where`` names it in errors."""
    if not isinstance(data, Mapping) or not isinstance(data.get("rules"), list) or len(data) != 1:
        raise TetherError(f"{where}: expected `rules:` and a list below it, and nothing else")
    found = tuple(_rule(entry, f"{where}: rule {number + 1}") for number, entry in enumerate(data["rules"]))
    names = [rule.name for rule in found]
    for name in names:
        if names.count(name) > 1:
            raise TetherError(f"{where}: two rules are called {name!r}; give each its own name")
    return found


def _rule(data: Any, where: str) -> Rule:
    if not isinstance(data, Mapping):
        raise TetherError(f"{where}: expected keys and values, found {type(data).__name__}")
    for key in data:
        if key not in KEYS:
            raise TetherError(f"{where}: unknown key {key!r}; known: {', '.join(KEYS)}")
    for key in ("name", "signal"):
        if not isinstance(data.get(key), str) or not data[key]:
            raise TetherError(f"{where}: {key!r} must be a text")
    where = f"{where} ({data['name']})"
    lower, upper = _bounds(data, "min", where), _bounds(data, "max", where)
    if not lower and not upper:
        raise TetherError(f"{where}: give `min`, `max` or both")
    if len(lower) == len(upper) and any(low > high for low, high in zip(lower, upper)):
        raise TetherError(f"{where}: `min` is above `max`: nothing could satisfy it")
    from_s, to_s = _number(data.get("from_s", 0.0), "from_s", where), _number(data.get("to_s", math.inf), "to_s", where)
    if not 0 <= from_s < to_s:
        raise TetherError(f"{where}: from_s is {from_s:g} and to_s {to_s:g}; needed is 0 ≤ from_s < to_s")
    when = data.get("when", "policy")
    if when not in WHEN:
        raise TetherError(f"{where}: when is {when!r}; choose one of: {', '.join(WHEN)}")
    absolute, rate = _flag(data, "abs", where), _flag(data, "rate", where)
    return Rule(
        name=data["name"],
        signal=data["signal"],
        lower=lower,
        upper=upper,
        absolute=absolute,
        rate=rate,
        from_s=from_s,
        to_s=to_s,
        when=when,
    )


def _bounds(data: Mapping[str, Any], key: str, where: str) -> tuple[float, ...]:
    value = data.get(key)
    if value is None:
        return ()
    return tuple(_number(item, key, where) for item in (value if isinstance(value, (list, tuple)) else [value]))


def _number(value: Any, key: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise TetherError(f"{where}: {key} is {value!r}; it must be a number")
    return float(value)


def _flag(data: Mapping[str, Any], key: str, where: str) -> bool:
    value = data.get(key, False)
    if not isinstance(value, bool):
        raise TetherError(f"{where}: {key} is {value!r}; it must be true or false")
    return value
