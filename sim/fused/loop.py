"""A function that is repeated, as a loop in the kernel of what calls it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from sim.fused.graph import Graph, Loop, Node, Untraceable
from sim.fused.structure import flatten, map_tensors, unflatten
from sim.fused.traced import Traced

Step = Callable[[Any, Any, Any], Any]
TENSORS = (Traced, Tensor)


def repeated(function: Step, steps: int, carry: Any, of_step: Any, constants: Any) -> Any:
    """The carry after ``steps`` steps of ``function``, all traced; arguments as of `sim.fused.fuse.Fused`."""
    before: list[Any] = []
    structure = flatten(carry, before)
    like = next(leaf for leaf in before if isinstance(leaf, Traced))
    graph: Graph = like.graph
    if steps == 1:
        return function(carry, map_tensors(of_step, operator.itemgetter(0), TENSORS), constants)
    if graph.loop is not None:
        raise Untraceable("two functions that are repeated cannot share a kernel")
    symbols = [_symbols(graph, "carry", k, leaf) for k, leaf in zip(_begins(before), before, strict=True)]
    given = unflatten(structure, iter(symbols))
    after: list[Any] = []
    flatten(function(given, map_tensors(of_step, lambda leaf: _of_step(leaf, graph, like), TENSORS), constants), after)
    if [leaf.shape for leaf in after] != [leaf.shape for leaf in before]:
        raise Untraceable("a step leaves other shapes than it was given")
    final = [_symbols(graph, "final", k, leaf) for k, leaf in zip(_begins(before), before, strict=True)]
    graph.loop = Loop(steps, *(_nodes(graph, leaves) for leaves in (symbols, before, after, final)))
    return unflatten(structure, iter(final))


def _begins(leaves: list[Any]) -> list[int]:
    """Where each of them begins, if their elements are put one after the other."""
    return [0, *np.cumsum([leaf.nodes.size for leaf in leaves[:-1]]).tolist()]


def _symbols(graph: Graph, name: str, begin: int, leaf: Traced) -> Traced:
    nodes = np.empty(leaf.nodes.size, dtype=object)
    nodes[:] = [graph.local(name, begin + k) for k in range(len(nodes))]
    return Traced(graph, nodes.reshape(leaf.nodes.shape), leaf.like)


def _nodes(graph: Graph, leaves: list[Any]) -> tuple[Node, ...]:
    return tuple(graph.constant(node) for leaf in leaves for node in leaf.nodes.reshape(-1))


def _of_step(leaf: Traced | Tensor, graph: Graph, like: Traced) -> Traced:
    """What stands for a row of ``leaf`` ``[steps, …]`` in its step."""
    if isinstance(leaf, Tensor):
        rows = leaf.detach().cpu().double().flatten(1).t().tolist()
        found = [graph.table(tuple(row)) for row in rows]
    else:
        found = [_moving(graph, column) for column in leaf.nodes.reshape(len(leaf.nodes), -1).T]
    nodes = np.empty(len(found), dtype=object)
    nodes[:] = found
    return Traced(graph, nodes.reshape(leaf.shape[1:]), like.like)


def _moving(graph: Graph, column: np.ndarray) -> Node:
    """One node for elements of an input that are evenly apart."""
    if any(node.op != "input" or node.is_boolean or node.is_word for node in column):
        raise Untraceable("what differs from step to step has to be an argument or a constant")
    (tensor, first, _), (_, second, _) = column[0].value, column[1].value
    return graph.of_step(tensor, first, second - first)
