"""Every finding has a verdict, and every bad one a remedy."""

from __future__ import annotations

import json
import sys

import pytest

from cli import doctor
from cli.main import main


@pytest.fixture
def findings(tmp_path, capsys):
    def look() -> dict[str, dict]:
        main(["doctor", "--json", str(tmp_path / "doctor.json")])
        return {item["check"]: item for item in json.loads((tmp_path / "doctor.json").read_text())["findings"]}

    return look


def test_it_looks_at_everything(findings):
    found = findings()
    assert {"tether", "names", "numpy", "onnxruntime", "torch", "mujoco_warp", "isaac", "compiler"} <= found.keys()
    assert {"ros", "rmw", "clock", "real time", "governor", "disk"} <= found.keys()
    for item in found.values():
        assert item["status"] in ("ok", "warn", "fail")
        assert item["found"]
        assert item["remedy"] or item["status"] == "ok"


def test_it_fails_when_a_needed_package_is_missing(findings, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert findings()["onnxruntime"]["status"] == "fail"
    assert main(["doctor"]) == 1
    assert "→" in capsys.readouterr().out


def test_it_warns_when_ros_is_missing(findings, monkeypatch):
    monkeypatch.setitem(sys.modules, "rclpy", None)
    found = findings()
    assert found["ros"]["status"] == "warn"
    assert "tether[ros]" in found["ros"]["remedy"]
    assert found["rmw"]["status"] in ("ok", "warn")


def test_it_warns_when_an_engine_is_missing(monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda name: "")
    assert doctor.warp().status == "warn"
    assert "tether[warp]" in doctor.warp().remedy


def test_it_warns_without_isaac(monkeypatch):
    monkeypatch.setenv("TETHER_ISAAC_PYTHON", "/nowhere/python")
    assert doctor.isaac().status == "warn"
    assert "make isaac-env" in doctor.isaac().remedy
    monkeypatch.setenv("TETHER_ISAAC_PYTHON", sys.executable)
    assert doctor.isaac().status == "ok"


def test_it_warns_without_a_compiler(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor.compiler().status == "warn"


def test_it_warns_when_the_cpu_package_hides_the_gpu_one(monkeypatch):
    monkeypatch.setattr(doctor, "_installed", lambda name: name == "onnxruntime-gpu")
    assert doctor.onnxruntime().status == "warn"


def test_versions_of_the_two_distributions_must_agree(monkeypatch):
    monkeypatch.setattr(doctor.metadata, "version", lambda name: {"tether": "0.1.0", "tether-robot": "0.2.0"}[name])
    assert doctor.distributions().status == "fail"


def test_a_clash_of_names_fails(monkeypatch):
    import tether_entry

    monkeypatch.setattr(tether_entry, "clashes", lambda: [tether_entry.Clash("tasks", "/x/tasks", "celery-tasks")])
    finding = doctor.names()
    assert finding.status == "fail"
    assert "celery-tasks" in finding.found


def test_a_full_disk_is_a_warning(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 2**29})())
    assert doctor.disk().status == "warn"
