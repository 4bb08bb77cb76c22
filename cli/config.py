"""Configuration: frozen dataclasses, overridden by typed ``key=value`` words, read from and written to YAML.

    config = override(TrainConfig(), ["num_envs=2048", "ppo.learning_rate=1e-3", "ppo.hidden=64,64"])

A key that does not exist and a value of another type are errors that name what would have been right; nothing is ignored.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import yaml

from robots.errors import TetherError

Config = TypeVar("Config")


def override(config: Config, assignments: Sequence[str]) -> Config:
    """``config`` with every ``key=value`` applied, left to right; nested keys are joined by dots.

    Raises:
        TetherError: for a word without ``=``, an unknown key, or a value of the wrong type.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise TetherError(f"{assignment!r} is not an override; write key=value, for example seed=1")
        config = _set(config, key.split("."), text, key)
    return config


def load_yaml(config: Config, path: Path | str) -> Config:
    """``config`` with every key of the YAML file applied; what the file leaves out stays as it is."""
    try:
        data = yaml.safe_load(Path(path).read_text())
    except yaml.YAMLError as error:
        raise TetherError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    return config if data is None else from_dict(config, data, str(path))


def dump_yaml(config: Any, path: Path | str) -> None:
    """Write ``config`` so that `load_yaml` reads back an equal one."""
    Path(path).write_text(yaml.safe_dump(_plain(dataclasses.asdict(config)), sort_keys=False))


def from_dict(config: Config, data: Any, where: str) -> Config:
    """``config`` with the keys of a parsed mapping applied; ``where`` begins every error."""
    if not isinstance(data, Mapping):
        raise TetherError(f"{where}: expected keys and values, found {type(data).__name__}")
    changes = {}
    for key, value in data.items():
        current, kind = _field(config, str(key), f"{where}: {key}")
        changes[key] = _nested(current, kind, value, f"{where}: {key}")
    return _replace(config, changes, where)


def _nested(current: Any, kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(current) and not isinstance(current, type):
        return from_dict(current, value, where)
    return _convert(value, kind, where)


def _set(config: Any, path: list[str], text: str, key: str) -> Any:
    current, kind = _field(config, path[0], key)
    if path[1:]:
        value = _set_inside(current, kind, path[1:], text, key)
    elif dataclasses.is_dataclass(current):
        names = ", ".join(f"{key}.{field.name}" for field in dataclasses.fields(current))
        raise TetherError(f"{key} is a group of keys; set one of: {names}")
    else:
        value = _convert(_parse(text, kind), kind, key)
    return _replace(config, {path[0]: value}, key)


def _set_inside(current: Any, kind: Any, path: list[str], text: str, key: str) -> Any:
    """Set a key of a nested dataclass or of a mapping."""
    if dataclasses.is_dataclass(current):
        return _set(current, path, text, key)
    if isinstance(current, Mapping) and len(path) == 1:
        if path[0] not in current:
            raise TetherError(f"unknown config key {key!r}; valid keys: {', '.join(map(str, current)) or '(none)'}")
        item = typing.get_args(kind)[1]
        return {**current, path[0]: _convert(_parse(text, item), item, key)}
    raise TetherError(f"unknown config key {key!r}; {key.rsplit('.', len(path))[0]} has no keys inside")


def _field(config: Any, name: str, where: str) -> tuple[Any, Any]:
    """(current value, declared type) of a field; a `TetherError` naming the valid keys when there is none."""
    names = [field.name for field in dataclasses.fields(config) if field.init]
    if name not in names:
        raise TetherError(f"unknown config key {where!r}; valid keys: {', '.join(names)}")
    return getattr(config, name), typing.get_type_hints(type(config))[name]


def _replace(config: Config, changes: dict[str, Any], where: str) -> Config:
    try:
        return dataclasses.replace(config, **changes)  # type: ignore[type-var]
    except ValueError as error:  # the dataclass's own checks
        raise TetherError(f"{where}: {error}") from error


def _options(kind: Any) -> tuple[Any, ...]:
    """The members of a union, or the type itself."""
    return typing.get_args(kind) if typing.get_origin(kind) in (Union, types.UnionType) else (kind,)


def _parse(text: str, kind: Any) -> Any:
    """The value a word on the command line stands for, given the type that is wanted."""
    options = _options(kind)
    if type(None) in options and text.lower() in ("none", "null", ""):
        return None
    if any(option in (str, Path) or typing.get_origin(option) is Literal for option in options):
        return text
    if any(typing.get_origin(option) in (tuple, list) for option in options):
        return _parse_items(text)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _parse_items(text: str) -> list[Any]:
    """``64,64``, ``[64, 64]`` and ``(64, 64)`` alike."""
    inner = text.strip().removeprefix("[").removeprefix("(").removesuffix("]").removesuffix(")")
    return [item.strip() for item in inner.split(",") if item.strip()]


def _convert(value: Any, kind: Any, where: str) -> Any:
    """``value`` as ``kind``, or a `TetherError` that says what was expected."""
    for option in _options(kind):
        try:
            return _as(value, option, where)
        except (TypeError, ValueError):
            continue
    raise TetherError(f"{where}: expected {_name(kind)}, got {value!r}")


def _as(value: Any, kind: Any, where: str) -> Any:
    """Strict conversion to one type; raises ValueError or TypeError when it does not fit."""
    origin = typing.get_origin(kind)
    if kind is Any:
        return value
    if kind is type(None):
        return _expect(value is None, value)
    if origin is Literal:
        chosen = [choice for choice in typing.get_args(kind) if str(choice) == str(value)]
        return _expect(bool(chosen), chosen)[0]
    if origin in (tuple, list):
        return _sequence(value, kind, where)
    if origin is not None and issubclass(origin, Mapping):
        item = typing.get_args(kind)[1]
        return {str(key): _convert(entry, item, f"{where}.{key}") for key, entry in _expect(isinstance(value, Mapping), value).items()}
    return _scalar(value, kind)


def _scalar(value: Any, kind: Any) -> Any:
    if kind is bool:
        if isinstance(value, str):
            value = {"true": True, "false": False}[value.lower()] if value.lower() in ("true", "false") else value
        return _expect(isinstance(value, bool), value)
    if kind is int:
        return int(_expect(isinstance(value, (int, str)) and not isinstance(value, bool), value))
    if kind is float:
        return float(_expect(isinstance(value, (int, float, str)) and not isinstance(value, bool), value))
    if kind in (str, Path):
        return kind(_expect(isinstance(value, (str, Path)), value))
    raise TypeError(kind)


def _sequence(value: Any, kind: Any, where: str) -> Any:
    _expect(isinstance(value, (list, tuple)), value)
    items = typing.get_args(kind)
    if typing.get_origin(kind) is tuple and Ellipsis not in items:
        _expect(len(value) == len(items), value)
    else:
        items = (items[0],) * len(value)
    return typing.get_origin(kind)(_convert(entry, item, where) for entry, item in zip(value, items))


def _expect(holds: bool, value: Any) -> Any:
    if not holds:
        raise ValueError(value)
    return value


def _name(kind: Any) -> str:
    """A type as a user would say it."""
    if typing.get_origin(kind) is Literal:
        return "one of: " + ", ".join(map(str, typing.get_args(kind)))
    if len(_options(kind)) > 1:
        return " or ".join("none" if option is type(None) else _name(option) for option in _options(kind))
    if typing.get_origin(kind) in (tuple, list):
        items = typing.get_args(kind)
        if Ellipsis in items or typing.get_origin(kind) is list:
            return f"any number of {_name(items[0])}, joined by commas"
        return f"{len(items)} values ({', '.join(map(_name, items))}), joined by commas"
    return getattr(kind, "__name__", str(kind))


def _plain(value: Any) -> Any:
    """Only what YAML's safe dumper knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
