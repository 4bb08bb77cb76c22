"""Another package under one of our top-level names is refused, by the name pip knows it by."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = {
    "tether": "import sys, tether_entry; sys.argv = ['tether', '--version']; sys.exit(tether_entry.tether())",
    "policy_node": "import sys, tether_entry; sys.argv = ['policy_node']; sys.exit(tether_entry.policy_node())",
    "simulated_robot": "import sys, tether_entry; sys.argv = ['simulated_robot']; sys.exit(tether_entry.simulated_robot())",
}


def fake(site: Path, distribution: str, files: dict[str, str], record: bool = True) -> None:
    """A distribution as pip would have left it in ``site``."""
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    if record:
        (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))


def start(program: str, *, before: Path | None = None, after: Path | None = None) -> subprocess.CompletedProcess:
    """Run a console script's function with a directory put before or after everything else on the path."""
    code = f"import sys; sys.path.append({str(after)!r})\n" if after else ""
    env = {**os.environ, "PYTHONPATH": str(before or "")}
    return subprocess.run([sys.executable, "-c", code + PROGRAMS[program]], env=env, cwd="/", capture_output=True, text=True, check=False)


def assert_refused(result: subprocess.CompletedProcess, *words: str) -> None:
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_package_that_shadows_us_is_refused(program, tmp_path):
    fake(tmp_path, "robot-zoo", {"robots/__init__.py": "raise RuntimeError('imported')"})
    assert_refused(start(program, before=tmp_path), f"{program}: error:", "robot-zoo", "'robots'", "pip uninstall robot-zoo")


@pytest.mark.parametrize("name", ["tasks/__init__.py", "safety.py", "training/__init__.py", "tether_ros/__init__.py"])
def test_so_is_one_that_sits_behind_us(name, tmp_path):
    fake(tmp_path, "other-thing", {name: ""})
    assert_refused(start("tether", after=tmp_path), "other-thing", f"'{name.partition('/')[0].removesuffix('.py')}'")


def test_a_shadow_that_pip_did_not_install_is_named_by_its_place(tmp_path):
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "__init__.py").touch()
    assert_refused(start("tether", before=tmp_path), str(tmp_path / "deploy"), "PYTHONPATH")


def test_what_is_behind_us_and_not_installed_harms_nobody(tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").touch()
    assert start("tether", after=tmp_path).returncode == 0


def test_a_bare_directory_is_not_a_package(tmp_path):
    (tmp_path / "tasks").mkdir()
    assert start("tether", before=tmp_path).returncode == 0


def test_an_unrelated_distribution_is_let_be(tmp_path):
    fake(tmp_path, "innocent", {"innocent/tasks/__init__.py": ""})
    assert start("tether", before=tmp_path).returncode == 0


def test_an_old_style_distribution_is_found_by_its_top_level_file(tmp_path):
    fake(tmp_path, "older", {"sim/__init__.py": ""}, record=False)
    (tmp_path / "older-1.0.dist-info" / "top_level.txt").write_text("sim\n")
    assert_refused(start("tether", after=tmp_path), "older")


def test_an_editable_distribution_is_found_by_its_directory(tmp_path):
    project = tmp_path / "project"
    fake(tmp_path / "site", "editable-one", {"editable_one.pth": str(project)})
    (tmp_path / "site" / "editable_one-1.0.dist-info" / "direct_url.json").write_text(
        f'{{"url": "{project.as_uri()}", "dir_info": {{"editable": true}}}}'
    )
    (project / "tasks").mkdir(parents=True)
    (project / "tasks" / "__init__.py").touch()
    code = f"import sys; sys.path += [{str(tmp_path / 'site')!r}, {str(project)!r}]\n" + PROGRAMS["tether"]
    assert_refused(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False), "editable-one")


def test_a_package_merged_into_an_installed_copy_of_ours_is_refused(tmp_path):
    """Without its source tree: strangers among the files of our own package, and an ``__init__.py`` that is no longer ours."""
    here = Path(__file__).resolve().parents[1]
    site = tmp_path / "site"
    rooms = {"deploy": "", "robots": "", "safety": "", "tether_ros": ""}
    ours = {f"{room}/__init__.py": text for room, text in rooms.items()} | {"tether_entry.py": (here / "tether_entry.py").read_text()}
    fake(site, "tether-robot", ours)
    assert standalone(site).stdout == "[]\n"
    fake(site, "robot-zoo", {"robots/gorilla.py": ""})
    assert "robot-zoo" in standalone(site).stdout


def test_an_overwritten_file_of_ours_is_refused(tmp_path):
    here = Path(__file__).resolve().parents[1]
    ours = {f"{room}/__init__.py": "" for room in ("deploy", "robots", "safety", "tether_ros")}
    fake(tmp_path, "tether-robot", ours | {"tether_entry.py": (here / "tether_entry.py").read_text()})
    record = tmp_path / "tether_robot-1.0.dist-info" / "RECORD"
    empty = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    record.write_text(record.read_text().replace("__init__.py,,", f"__init__.py,{empty},0"))
    assert standalone(tmp_path).stdout == "[]\n"
    fake(tmp_path, "robot-zoo", {"robots/__init__.py": "ZOO = 1"})
    assert "robot-zoo" in standalone(tmp_path).stdout


def standalone(site: Path) -> subprocess.CompletedProcess:
    """`clashes` of a copy in ``site``, with nothing else installed."""
    code = f"import sys; sys.path.insert(0, {str(site)!r}); import tether_entry; print([clash.owner for clash in tether_entry.clashes()])"
    return subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
