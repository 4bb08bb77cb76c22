"""Integrity: no byte of a policy file can change unnoticed, and what is no policy file is refused with a reason."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.policy import Policy, PolicyFileError, seal
from robots.errors import TetherError

SHIPPED = Path(__file__).parents[3] / "policies" / "hover_geometric.onnx"
DATA = SHIPPED.read_bytes()


def test_digest_is_the_last_64_bytes_and_covers_all_before() -> None:
    assert DATA[-64:].decode() == hashlib.sha256(DATA[:-64]).hexdigest() == seal.verify(DATA)


def test_unseal_undoes_seal_and_a_sealed_file_is_still_plain_onnx() -> None:
    model = seal.unseal(DATA)
    assert seal.seal(model) == DATA
    metadata = onnxruntime.InferenceSession(DATA, providers=["CPUExecutionProvider"]).get_modelmeta().custom_metadata_map
    assert metadata[seal.KEY] == seal.verify(DATA)


def test_a_change_of_any_byte_is_refused() -> None:
    changed = bytearray(DATA)
    for position in range(len(DATA)):
        changed[position] ^= 1 << position % 8
        with pytest.raises(PolicyFileError) as caught:
            seal.verify(bytes(changed))
        assert caught.value.check == ("seal" if len(DATA) - 64 - len(seal.PREFIX) <= position < len(DATA) - 64 else "digest")
        changed[position] = DATA[position]


@settings(deadline=None, derandomize=True)
@given(st.integers(0, len(DATA) - 1), st.binary(min_size=1, max_size=80))
def test_any_overwritten_run_of_bytes_is_refused_by_load(position: int, replacement: bytes) -> None:
    changed = DATA[:position] + replacement + DATA[position + len(replacement) :]
    if changed == DATA:
        return
    with pytest.raises(PolicyFileError) as caught:
        Policy(SHIPPED, changed, "cpu")
    assert caught.value.check in ("seal", "digest")


@settings(deadline=None, derandomize=True)
@given(st.integers(0, len(DATA) - 1))
def test_a_truncated_file_is_refused(size: int) -> None:
    with pytest.raises(PolicyFileError, match=r"cut short|changed since export"):
        seal.verify(DATA[:size])


@settings(deadline=None, derandomize=True)
@given(st.binary(min_size=1, max_size=200))
def test_appended_bytes_are_refused(more: bytes) -> None:
    with pytest.raises(PolicyFileError):
        seal.verify(DATA + more)


def refusal(path: Path) -> PolicyFileError:
    """What loading ``path`` says; one line that names the file."""
    with pytest.raises(PolicyFileError) as caught:
        Policy.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def test_changed_file_is_refused_by_load_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "changed.onnx"
    path.write_bytes(DATA[:5000] + b"!" + DATA[5001:])
    error = refusal(path)
    assert error.check == "digest"
    assert "changed since export" in str(error)


def test_plain_onnx_without_seal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.onnx"
    path.write_bytes(seal.unseal(DATA))
    assert refusal(path).check == "seal"


def test_missing_empty_and_directory_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    assert "no such file" in str(refusal(tmp_path / "missing.onnx"))
    assert "empty" in str(refusal(tmp_path / "empty.onnx"))
    assert "not a regular file" in str(refusal(tmp_path))
    assert "not a regular file" in str(refusal(Path("/dev/null")))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.onnx"
    path.write_bytes(DATA)
    path.chmod(0)
    assert "permissions" in str(refusal(path))


def test_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(seal.MAX_BYTES + 1)  # sparse: takes no space
    assert "not a control policy" in str(refusal(path))


def test_write_replaces_atomically_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "new" / "policy.onnx"
    digest = seal.write(path, seal.unseal(DATA))
    assert path.read_bytes() == DATA
    assert digest == seal.verify(DATA)
    assert os.listdir(path.parent) == ["policy.onnx"]


def test_write_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TetherError, match="cannot be written"):
        seal.write(tmp_path / "file" / "policy.onnx", b"")
    (tmp_path / "directory.onnx").mkdir()
    with pytest.raises(TetherError, match="cannot be written"):
        seal.write(tmp_path / "directory.onnx", b"")
    assert sorted(os.listdir(tmp_path)) == ["directory.onnx", "file"]
