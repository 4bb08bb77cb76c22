"""Guard thresholds from YAML: what is misspelt or meaningless is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.guards import GuardConfig
from robots.errors import TetherError


def test_yaml_overrides_defaults(tmp_path: Path) -> None:
    file = tmp_path / "guards.yaml"
    file.write_text("dead_man_s: .inf\nmissed_in_row: 5\n")
    assert GuardConfig.from_yaml(file) == GuardConfig(dead_man_s=float("inf"), missed_in_row=5)
    file.write_text("")
    assert GuardConfig.from_yaml(file) == GuardConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("deadman_s: 1", "unknown key 'deadman_s'; known: clock_warn_periods"),
        ("dead_man_s: 0", "dead_man_s is 0; it must be a number above 0"),
        ("dead_man_s: .nan", "it must be a number above 0"),
        ("dead_man_s: yes", "it must be a number above 0"),
        ("dead_man_s: soon", "it must be a number above 0"),
        ("envelope_ticks: 2.5", "it must be a whole number"),
        ("[1, 2]", "must map names to numbers, found list"),
        ("a: [", "cannot read the guards file"),
    ],
)
def test_errors_teach(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "guards.yaml"
    file.write_text(text)
    with pytest.raises(TetherError) as caught:
        GuardConfig.from_yaml(file)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TetherError, match=r"cannot read the guards file .*No such file"):
        GuardConfig.from_yaml(tmp_path / "none.yaml")
