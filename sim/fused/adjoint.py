"""The gradient of a graph as more of the same graph: reverse accumulation.

With ȳ the derivative of the loss by y, every y = f(x, …) adds ȳ ∂f/∂x to x̄. Gradients equal torch's except on measure-zero sets: where two
arguments of a minimum or maximum are equal, the whole goes to the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sim.fused.graph import Graph, Node


def gradients(graph: Graph, outputs: Mapping[Node, Node], wanted: Sequence[Node]) -> list[Node]:
    """Derivatives of Σ seed · output by each of ``wanted``, from outputs and their seeds, as if no wanted node depended on another."""
    found: dict[int, Node] = {}

    def accumulate(node: Node, gradient: Node) -> None:
        if node.op != "const" and not node.is_boolean:
            found[node.index] = graph.make("add", found[node.index], gradient) if node.index in found else gradient

    for output, seed in outputs.items():
        accumulate(output, seed)
    leading, ends = _leading_to(graph, outputs, wanted), set(wanted)
    for node in reversed(leading):
        if node.args and node.index in found and node.op in RULES and node not in ends:
            for argument, gradient in zip(node.args, RULES[node.op](graph, node, found[node.index], *node.args), strict=True):
                if gradient is not None:
                    accumulate(argument, gradient)
    return [found.get(node.index, graph.constant(0.0)) for node in wanted]


def _leading_to(graph: Graph, outputs: Mapping[Node, Node], wanted: Sequence[Node]) -> list[Node]:
    """Nodes between ``wanted`` and ``outputs``, in order; gradients of the others are of no use."""
    useful = {node.index for node in wanted}
    between = []
    for node in graph.needed(outputs):
        if node.index in useful or any(argument.index in useful for argument in node.args):
            useful.add(node.index)
            between.append(node)
    return between


Rule = Callable[..., tuple["Node | None", ...]]


def _minimum(g: Graph, y: Node, d: Node, a: Node, b: Node) -> tuple[Node, Node]:
    first = g.make("le", a, b)
    return g.make("where", first, d, 0.0), g.make("where", first, 0.0, d)


def _maximum(g: Graph, y: Node, d: Node, a: Node, b: Node) -> tuple[Node, Node]:
    first = g.make("le", b, a)
    return g.make("where", first, d, 0.0), g.make("where", first, 0.0, d)


def _division(g: Graph, y: Node, d: Node, a: Node, b: Node) -> tuple[Node, Node]:
    share = d / b
    return share, -(share * y)


def _absolute(g: Graph, y: Node, d: Node, a: Node) -> tuple[Node]:
    return (g.make("where", g.make("lt", a, 0.0), -d, g.make("where", g.make("eq", a, 0.0), 0.0, d)),)


RULES: dict[str, Rule] = {
    "add": lambda g, y, d, a, b: (d, d),
    "sub": lambda g, y, d, a, b: (d, -d),
    "mul": lambda g, y, d, a, b: (d * b, d * a),
    "div": _division,
    "neg": lambda g, y, d, a: (-d,),
    "min": _minimum,
    "max": _maximum,
    "abs": _absolute,
    "sqrt": lambda g, y, d, a: (0.5 * d / y,),
    "log": lambda g, y, d, a: (d / a,),
    "exp": lambda g, y, d, a: (d * y,),
    "sin": lambda g, y, d, a: (d * g.make("cos", a),),
    "cos": lambda g, y, d, a: (-(d * g.make("sin", a)),),
    "tanh": lambda g, y, d, a: (d * (1.0 - y * y),),
    "where": lambda g, y, d, c, a, b: (None, g.make("where", c, d, 0.0), g.make("where", c, 0.0, d)),
}
