"""A record of what benches have flown, through kills, neighbours and strangers' files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robots.errors import TetherError
from robustness import kept
from robustness.kept import Kept

ENTRIES: list[tuple[dict[str, Any], Any]] = [
    ({"part": name, "values": (0.1, 2.0)}, {"return": number}) for number, name in enumerate("abc")
]


def written(path: Path, entries: list[tuple[dict[str, Any], Any]]) -> None:
    record = Kept(path)
    for depends, found in entries:
        record.add(depends, found)


def test_without_a_file_nothing_is_kept(tmp_path: Path) -> None:
    record = Kept()
    record.add(*ENTRIES[0])
    assert record.get(ENTRIES[0][0]) is None
    assert list(tmp_path.iterdir()) == []


def test_what_was_added_is_there_now_and_for_who_reads_it_again(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    record = Kept(path)
    assert not path.exists()
    record.add(*ENTRIES[0])
    assert record.get(ENTRIES[0][0]) == ENTRIES[0][1]
    assert record.get({**ENTRIES[0][0], "values": (0.1, 2.1)}) is None
    written(path, ENTRIES[1:])
    again = Kept(path)
    assert [again.get(depends) for depends, _ in ENTRIES] == [found for _, found in ENTRIES]


def test_another_version_flies_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "kept", ENTRIES)
    monkeypatch.setattr(kept, "version", lambda package: "99.0")
    assert Kept(tmp_path / "kept").get(ENTRIES[0][0]) is None


def test_two_that_add_to_one_file_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    first, second = Kept(path), Kept(path)
    first.add(*ENTRIES[0])
    second.add(*ENTRIES[1])
    first.add(*ENTRIES[2])
    assert [Kept(path).get(depends) for depends, _ in ENTRIES] == [found for _, found in ENTRIES]


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 10_000))
def test_wherever_a_run_is_killed_only_the_torn_line_is_lost(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "kept"
    written(path, ENTRIES)
    whole = path.read_bytes()
    cut %= len(whole) + 1
    path.write_bytes(whole[:cut])
    if 0 < cut < len(kept.HEADER):  # a file that is not even begun is not ours to write to
        with pytest.raises(TetherError, match="is no record of a bench"):
            Kept(path)
        return
    survivors = [Kept(path).get(depends) for depends, _ in ENTRIES]
    count = len(set(whole.split(b"\n")[1:]) & set(whole[:cut].split(b"\n")))
    assert survivors == [found for _, found in ENTRIES[:count]] + [None] * (len(ENTRIES) - count)
    written(path, ENTRIES[count:])
    assert [Kept(path).get(depends) for depends, _ in ENTRIES] == [found for _, found in ENTRIES]


@pytest.mark.parametrize("content", [b"some notes\n", b"\x89PNG\r\n\x1a\n\x00\xff", b'{"policies": []}\n'])
def test_a_strangers_file_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "theirs"
    path.write_bytes(content)
    with pytest.raises(TetherError, match="theirs is no record of a bench; name another file"):
        Kept(path)
    assert path.read_bytes() == content
