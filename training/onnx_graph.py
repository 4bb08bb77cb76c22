"""A control law, or a part of one, as an ONNX graph: opset 18, IR 8, standard domain, weights inside.

Nothing in it names this machine.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence

import onnx
import torch
from torch import Tensor, nn

from deploy.policy.wire import IR_VERSION, OPSET
from robots.contract import Contract
from training.control_law import ControlLaw

EXAMPLE_BATCH = 3  # neither 0 nor 1, which torch.export takes for constants


class _Flat(nn.Module):
    """The law with its inputs and outputs in contract order, as the graph has them."""

    def __init__(self, law: ControlLaw, contract: Contract) -> None:
        super().__init__()
        self.law = law
        self.sensors = [signal.name for signal in contract.sensors]
        self.commands = [signal.name for signal in contract.commands]
        self.actuation = [signal.name for signal in contract.actuation]
        self.outputs = len(contract.output_sizes)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        count = len(self.sensors)
        sensors = dict(zip(self.sensors, inputs[:count], strict=True))
        command = dict(zip(self.commands, inputs[count:-1], strict=True))
        output = self.law(sensors, command, inputs[-1])
        return (*(output.actuation[name] for name in self.actuation), *output[1:])[: self.outputs]


class _Unpacked(nn.Module):
    """A module with its arguments as one tuple, whatever their number, and its result as a plain one."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.module(*inputs))


def to_onnx(law: ControlLaw, contract: Contract) -> onnx.ModelProto:
    """The graph of one step of ``law``; inputs and outputs named as ``contract`` says, the batch dimension free."""
    return graph_of(_Flat(law, contract), contract.input_sizes, list(contract.output_sizes))


def graph_of(module: nn.Module, input_sizes: Mapping[str, int], outputs: Sequence[str]) -> onnx.ModelProto:
    """The graph of any module that maps tensors ``[batch, size]`` in float32, one an argument, to a tuple of such."""
    inputs = tuple(torch.zeros(EXAMPLE_BATCH, size) for size in input_sizes.values())
    batch = torch.export.Dim("batch")
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            _Unpacked(copy.deepcopy(module)).to("cpu", torch.float32).eval(),
            inputs,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(input_sizes),
            output_names=list(outputs),
            dynamic_shapes=(tuple({0: batch} for _ in inputs),),
            external_data=False,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    return _cleaned(program.model_proto)


def _cleaned(exported: onnx.ModelProto) -> onnx.ModelProto:
    """A fresh model with what a runtime needs; stack traces, paths, doc strings and inferred shapes stay behind."""
    graph = onnx.helper.make_graph(
        [_bare(node) for node in exported.graph.node],
        "policy",
        [_typed(value) for value in exported.graph.input],
        [_typed(value) for value in exported.graph.output],
        [_named(tensor) for tensor in exported.graph.initializer],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="tether"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _bare(node: onnx.NodeProto) -> onnx.NodeProto:
    bare = onnx.NodeProto(op_type=node.op_type, input=node.input, output=node.output, attribute=node.attribute)
    for attribute in bare.attribute:
        attribute.ClearField("doc_string")
        for graph in [attribute.g] if attribute.HasField("g") else []:
            nodes = [_bare(inner) for inner in graph.node]
            graph.ClearField("metadata_props")
            graph.ClearField("value_info")
            graph.ClearField("node")
            graph.node.extend(nodes)
    return bare


def _typed(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    width = value.type.tensor_type.shape.dim[1].dim_value
    return onnx.helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, ["batch", width])


def _named(tensor: onnx.TensorProto) -> onnx.TensorProto:
    return onnx.TensorProto(
        name=tensor.name, dims=tensor.dims, data_type=tensor.data_type, raw_data=onnx.numpy_helper.to_array(tensor).tobytes()
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's remarks about its own internals; what matters about the result is checked after."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
