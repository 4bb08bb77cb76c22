"""What counts as a policy, and what is said of what does not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from benchmarks.linear_policies import graph
from robots.errors import TetherError
from robustness.gymnasium_tasks.policies import load

OURS = "policies/hover.onnx"


def saved(path, model) -> str:
    onnx.save(model, path)
    return str(path)


def test_an_onnx_file_is_the_function_it_describes(tmp_path):
    generator = np.random.default_rng(0)
    matrix, mean, scale, observation = (generator.standard_normal(shape) for shape in ((3, 11), 11, 11, 11))
    policy = load(saved(tmp_path / "linear.onnx", graph(matrix, mean, scale)), 11, 3)
    np.testing.assert_allclose(np.ravel(policy(observation)), matrix @ ((observation - mean) * scale), rtol=1e-4, atol=1e-5)


def test_an_onnx_file_may_be_double_and_without_a_batch(tmp_path):
    described = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [2]) for name in ("o", "a")]
    made = helper.make_graph([helper.make_node("Neg", ["o"], ["a"])], "negative", described[:1], described[1:])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    policy = load(saved(tmp_path / "negative.onnx", model), 2, 2)
    np.testing.assert_array_equal(policy(np.array([0.1, -2.0])), [-0.1, 2.0])


def test_another_tasks_file_is_refused(tmp_path):
    path = saved(tmp_path / "linear.onnx", graph(np.zeros((3, 11)), np.zeros(11), np.ones(11)))
    with pytest.raises(TetherError, match="takes 11 numbers, and this task observes 17"):
        load(path, 17, 6)
    with pytest.raises(TetherError, match="6 actuators"):
        load(path, 11, 6)


def test_a_tether_policy_file_is_sent_to_evaluate(pytestconfig):
    with pytest.raises(TetherError, match="tether evaluate"):
        load(str(pytestconfig.rootpath / OURS), 11, 3)


def test_a_function_is_found_in_the_current_directory(tmp_path, monkeypatch):
    (tmp_path / "rrls_test_pilot.py").write_text("def steer(observation):\n    return -observation[:3]\n\nnumber = 3\n")
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(load("rrls_test_pilot:steer", 11, 3)(np.ones(11)), [-1.0, -1.0, -1.0])
    for source, words in (
        ("rrls_test_pilot:nobody", "nobody"),
        ("rrls_test_pilot:number", "is a int"),
        ("rrls_test_no_module:steer", "rrls_test_no_module"),
        ("rrls_test_pilot", "MODULE:FUNCTION"),
    ):
        with pytest.raises(TetherError, match=words):
            load(source, 11, 3)


def test_what_is_no_file_of_onnx_is_refused(tmp_path):
    (tmp_path / "text.onnx").write_text("not what it says it is")
    with pytest.raises(TetherError, match="cannot be read"):
        load(str(tmp_path / "text.onnx"), 11, 3)
    with pytest.raises(TetherError, match="no file"):
        load(str(tmp_path / "nosuch.onnx"), 11, 3)
