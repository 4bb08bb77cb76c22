"""Typed overrides: nothing is ignored, nothing is guessed, and errors name what would have been right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.config import dump_yaml, from_dict, load_yaml, override
from robots.errors import TetherError


@dataclass(frozen=True)
class Optimiser:
    learning_rate: float = 1e-3
    hidden: tuple[int, ...] = (64, 64)
    activation: Literal["tanh", "elu"] = "tanh"

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be positive, not {self.learning_rate}")


@dataclass(frozen=True)
class Config:
    steps: int = 10
    name: str = "run"
    compiled: bool = True
    limit_s: float | None = None
    tag: Optional[str] = None  # noqa: UP045, the older spelling must work too
    span: tuple[float, float] = (0.0, 1.0)
    out: Path = Path("runs")
    level: Literal[1, 2] = 1
    optimiser: Optimiser = Optimiser()
    weights: Mapping[str, float] = field(default_factory=lambda: {"pose": 1.0, "effort": 0.1})


@pytest.mark.parametrize(
    ("word", "read", "expected"),
    [
        ("steps=20", lambda config: config.steps, 20),
        ("name=7", lambda config: config.name, "7"),
        ("name=a=b", lambda config: config.name, "a=b"),
        ("compiled=false", lambda config: config.compiled, False),
        ("limit_s=60", lambda config: config.limit_s, 60.0),
        ("limit_s=none", lambda config: config.limit_s, None),
        ("tag=null", lambda config: config.tag, None),
        ("tag=x", lambda config: config.tag, "x"),
        ("span=0.5,2", lambda config: config.span, (0.5, 2.0)),
        ("span=[0.5, 2]", lambda config: config.span, (0.5, 2.0)),
        ("out=a/b", lambda config: config.out, Path("a/b")),
        ("level=2", lambda config: config.level, 2),
        ("optimiser.learning_rate=1e-4", lambda config: config.optimiser.learning_rate, 1e-4),
        ("optimiser.learning_rate=1", lambda config: config.optimiser.learning_rate, 1.0),
        ("optimiser.hidden=32", lambda config: config.optimiser.hidden, (32,)),
        ("optimiser.hidden=(32, 16, 8)", lambda config: config.optimiser.hidden, (32, 16, 8)),
        ("optimiser.hidden=", lambda config: config.optimiser.hidden, ()),
        ("optimiser.activation=elu", lambda config: config.optimiser.activation, "elu"),
        ("weights.pose=3", lambda config: config.weights["pose"], 3.0),
    ],
)
def test_overrides_are_typed(word, read, expected):
    found = read(override(Config(), [word]))
    assert found == expected
    assert type(found) is type(expected)


def test_the_rest_stays():
    changed = override(Config(), ["weights.pose=3", "optimiser.hidden=8", "steps=1", "steps=2"])
    assert changed.weights == {"pose": 3.0, "effort": 0.1}
    assert changed.optimiser == Optimiser(hidden=(8,))
    assert changed.steps == 2
    assert changed.span == Config().span


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("step=1", "valid keys: steps, name, compiled"),
        ("optimiser.rate=1", "valid keys: learning_rate, hidden, activation"),
        ("weights.speed=1", "valid keys: pose, effort"),
        ("steps.x=1", "steps has no keys inside"),
        ("optimiser=1", "set one of: optimiser.learning_rate"),
        ("steps", "write key=value"),
        ("=1", "write key=value"),
        ("steps=1.5", "steps: expected int, got 1.5"),
        ("steps=many", "expected int"),
        ("steps=true", "expected int"),
        ("compiled=1", "expected bool"),
        ("limit_s=soon", "expected float or none"),
        ("span=1", r"2 values \(float, float\)"),
        ("span=1,2,3", "2 values"),
        ("level=3", "one of: 1, 2"),
        ("optimiser.activation=relu", "one of: tanh, elu, got 'relu'"),
        ("optimiser.hidden=a,b", "expected int"),
        ("optimiser.learning_rate=-1", "must be positive"),
        ("optimiser.learning_rate=[1", "expected float"),
    ],
)
def test_mistakes_are_told(word, message):
    with pytest.raises(TetherError, match=message):
        override(Config(), [word])


@given(
    steps=st.integers(-(10**9), 10**9),
    rate=st.floats(1e-12, 1e6),
    name=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12),
    hidden=st.lists(st.integers(1, 512), max_size=4),
)
def test_yaml_reads_back_what_it_wrote(tmp_path_factory, steps, rate, name, hidden):
    config = Config(steps=steps, name=name, limit_s=rate, optimiser=Optimiser(learning_rate=rate, hidden=tuple(hidden)), out=Path("a/b"))
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    dump_yaml(config, path)
    assert load_yaml(Config(), path) == config


def test_yaml_leaves_out_what_stays(tmp_path):
    (tmp_path / "some.yaml").write_text("steps: 3\noptimiser:\n  learning_rate: 1e-2\n")
    assert load_yaml(Config(), tmp_path / "some.yaml") == Config(steps=3, optimiser=Optimiser(learning_rate=1e-2))
    (tmp_path / "empty.yaml").write_text("")
    assert load_yaml(Config(), tmp_path / "empty.yaml") == Config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step: 1", "some.yaml: step.*valid keys"),
        ("optimiser: 3", "expected keys and values"),
        ("- 1", "expected keys and values"),
        ("steps: [1", "is not YAML"),
        ("steps: !!python/object:os.system x", "is not YAML"),
        ("compiled: 3", "expected bool"),
    ],
)
def test_yaml_mistakes_are_told(tmp_path, text, message):
    (tmp_path / "some.yaml").write_text(text)
    with pytest.raises(TetherError, match=message):
        load_yaml(Config(), tmp_path / "some.yaml")


def test_from_dict_names_where():
    with pytest.raises(TetherError, match="checkpoint"):
        from_dict(Config(), {"nope": 1}, "checkpoint")
