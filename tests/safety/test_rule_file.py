"""Rules from YAML: what they mean, and what is said about mistakes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from robots.errors import TetherError
from safety.rules import Rule, load_rules

GOOD = """
rules:
  - name: settles
    signal: distance
    max: 0.1
    from_s: 5
  - {name: above ground, signal: sensor.position_base_in_world.z, min: 0.05, when: always}
  - {name: gentle, signal: actuation.body_rates, max: [1, 2, .inf], abs: true, rate: true, to_s: 9.5, when: sent}
"""


def test_a_good_file(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(GOOD)
    assert load_rules(tmp_path / "rules.yaml") == (
        Rule(name="settles", signal="distance", upper=(0.1,), from_s=5.0),
        Rule(name="above ground", signal="sensor.position_base_in_world.z", lower=(0.05,), when="always"),
        Rule(name="gentle", signal="actuation.body_rates", upper=(1.0, 2.0, math.inf), absolute=True, rate=True, to_s=9.5, when="sent"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected `rules:` and a list below it"),
        ("rules: 3", "expected `rules:` and a list below it"),
        ("rules: []\nrule: []", "expected `rules:` and a list below it, and nothing else"),
        ("rules: [1]", "rule 1: expected keys and values, found int"),
        ("rules: [{name: a, signal: tilt, maximum: 1}]", "rule 1: unknown key 'maximum'; known: name, signal, min, max"),
        ("rules: [{signal: tilt, max: 1}]", "rule 1: 'name' must be a text"),
        ("rules: [{name: a, max: 1}]", "rule 1: 'signal' must be a text"),
        ("rules: [{name: a, signal: tilt}]", "rule 1 (a): give `min`, `max` or both"),
        ("rules: [{name: a, signal: tilt, max: .nan}]", "rule 1 (a): max is nan; it must be a number"),
        ("rules: [{name: a, signal: tilt, max: high}]", "max is 'high'; it must be a number"),
        ("rules: [{name: a, signal: tilt, max: yes}]", "max is True; it must be a number"),
        ("rules: [{name: a, signal: tilt, min: 2, max: 1}]", "`min` is above `max`"),
        ("rules: [{name: a, signal: tilt, max: 1, from_s: 3, to_s: 2}]", "from_s is 3 and to_s 2; needed is 0 ≤ from_s < to_s"),
        ("rules: [{name: a, signal: tilt, max: 1, from_s: -1}]", "needed is 0 ≤ from_s < to_s"),
        ("rules: [{name: a, signal: tilt, max: 1, when: flying}]", "when is 'flying'; choose one of: policy, sent, always"),
        ("rules: [{name: a, signal: tilt, max: 1, abs: 1}]", "abs is 1; it must be true or false"),
        ("rules: [{name: a, signal: tilt, max: 1}, {name: a, signal: speed, max: 1}]", "two rules are called 'a'"),
        ("rules: [", "cannot read the rules file"),
        ("!!python/object/apply:os.system ['true']", "cannot read the rules file"),
    ],
)
def test_errors_teach(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(TetherError) as caught:
        load_rules(tmp_path / "rules.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TetherError, match=r"cannot read the rules file .*No such file"):
        load_rules(tmp_path / "none.yaml")
