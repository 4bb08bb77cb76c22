"""Scalar arithmetic of one environment as a graph in which every value is computed once.

A `Node` is one scalar; operators on nodes make new ones, simplified where a constant allows it and shared where the same value exists
already. Nodes are made in an order in which every argument comes before its use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

COMMUTATIVE = {"add", "mul", "and", "or", "word_hi", "word_lo", "word_xor", "word_add"}
BOOLEAN = {"lt", "le", "eq", "and", "or", "not", "finite"}
WORD = {"word_hi", "word_lo", "word_xor", "word_add"}  # of unsigned 32-bit numbers

FOLD: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b if b else math.copysign(math.inf, a) * math.copysign(1.0, b) if a else math.nan,
    "neg": lambda a: -a,
    "min": lambda a, b: a if a < b or a != a else b,
    "max": lambda a, b: a if a > b or a != a else b,
    "abs": abs,
    "sqrt": lambda a: math.sqrt(a) if a >= 0 else math.nan,
    "exp": lambda a: math.exp(a) if a < 700 else math.inf,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "log": lambda a: math.log(a) if a > 0 else -math.inf if a == 0 else math.nan,
    "floor": math.floor,
    "stop": lambda a: a,
    "lt": lambda a, b: float(a < b),
    "le": lambda a, b: float(a <= b),
    "eq": lambda a, b: float(a == b),
    "and": lambda a, b: float(bool(a) and bool(b)),
    "or": lambda a, b: float(bool(a) or bool(b)),
    "not": lambda a: float(not a),
    "finite": lambda a: float(math.isfinite(a)),
    "where": lambda c, a, b: a if c else b,
    "word_hi": lambda a, b: float(int(a) * int(b) >> 32),
    "word_lo": lambda a, b: float(int(a) * int(b) & 0xFFFFFFFF),
    "word_xor": lambda a, b: float(int(a) ^ int(b)),
    "word_add": lambda a, b: float(int(a) + int(b) & 0xFFFFFFFF),
    "word_unit": lambda a: (int(a) >> 8) * 2.0**-24,
}


class Node:
    """One scalar: an operation on other nodes, or by ``op`` and ``value`` what has no arguments.

    const: a number. input: an element of a tensor, (tensor, row, kind). local: an element of an array in the kernel, (name, index).
    In a `Loop` also step: an element that is another one in every step, (tensor, row in the first, rows from one to the next); table: a
    number for every step.
    """

    __slots__ = ("args", "graph", "index", "is_boolean", "is_word", "op", "value")

    def __init__(self, graph: Graph, index: int, op: str, args: tuple[Node, ...], value: Any) -> None:
        self.graph, self.index, self.op, self.args, self.value = graph, index, op, args, value
        chosen: list[bool] = [arg.is_boolean for arg in args[1:] if arg.op != "const"] if op == "where" else []
        self.is_boolean: bool = op in BOOLEAN or (op == "input" and value[2] == "bool") or (bool(chosen) and all(chosen))
        self.is_word = op in WORD or (op == "input" and value[2] == "word")

    def __add__(self, other: Any) -> Node:
        return self.graph.make("add", self, other)

    def __radd__(self, other: Any) -> Node:
        return self.graph.make("add", other, self)

    def __sub__(self, other: Any) -> Node:
        return self.graph.make("sub", self, other)

    def __rsub__(self, other: Any) -> Node:
        return self.graph.make("sub", other, self)

    def __mul__(self, other: Any) -> Node:
        return self.graph.make("mul", self, other)

    def __rmul__(self, other: Any) -> Node:
        return self.graph.make("mul", other, self)

    def __truediv__(self, other: Any) -> Node:
        return self.graph.make("div", self, other)

    def __rtruediv__(self, other: Any) -> Node:
        return self.graph.make("div", other, self)

    def __neg__(self) -> Node:
        return self.graph.make("neg", self)

    def __bool__(self) -> bool:
        raise Untraceable("a branch in Python depends on the value of a tensor; use torch.where")

    __hash__ = object.__hash__


class Untraceable(Exception):
    """What a function does that cannot become a kernel; it runs eagerly instead."""


class Loop(NamedTuple):
    """Arithmetic that runs ``steps`` times, each step on what the last one left.

    Attributes:
        carry: stand for the values before a step.
        initial: before the first.
        following: after a step, from ``carry``, from nodes outside the loop, and from those that differ from step to step.
        final: stand for the values after the last.
    """

    steps: int
    carry: tuple[Node, ...]
    initial: tuple[Node, ...]
    following: tuple[Node, ...]
    final: tuple[Node, ...]


class Graph:
    """All nodes of one function, each value once.

    Attributes:
        loop: the one part that runs several times, if any.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.loop: Loop | None = None
        self._known: dict[tuple[Any, ...], Node] = {}

    def constant(self, value: Any) -> Node:
        """A number, or a node as it is."""
        if isinstance(value, Node):
            return value
        return self._share("const", (), float(value))

    def input(self, tensor: int, row: int, kind: str) -> Node:
        """Element ``row`` of input ``tensor``; kind is real, bool, word or count."""
        return self._share("input", (), (tensor, row, kind))

    def local(self, name: str, index: int) -> Node:
        """Element ``index`` of an array in the kernel."""
        return self._share("local", (), (name, index))

    def of_step(self, tensor: int, row: int, apart: int) -> Node:
        """Element ``row`` of input ``tensor`` in the first step of the loop, and so many rows further on in each one after it."""
        return self._share("step", (), (tensor, row, apart))

    def table(self, values: tuple[float, ...]) -> Node:
        """One of ``values`` in each step of the loop."""
        return self.constant(values[0]) if len(set(values)) == 1 else self._share("table", (), values)

    def make(self, op: str, *values: Any) -> Node:
        """The result of ``op``, simplified."""
        args = tuple(self.constant(value) for value in values)
        if all(arg.op == "const" for arg in args):
            return self.constant(FOLD[op](*(arg.value for arg in args)))
        simpler = SIMPLER.get(op)
        found = simpler(self, *args) if simpler else None
        if found is not None:
            return found
        if op in COMMUTATIVE and args[0].index > args[1].index:
            args = args[::-1]
        return self._share(op, args, None)

    def _share(self, op: str, args: tuple[Node, ...], value: Any) -> Node:
        key = (op, tuple(arg.index for arg in args), repr(value))
        if key not in self._known:
            self._known[key] = Node(self, len(self.nodes), op, args, value)
            self.nodes.append(self._known[key])
        return self._known[key]

    def needed(self, outputs: Iterable[Node], known: Collection[Node] = ()) -> list[Node]:
        """Everything ``outputs`` depend on, arguments first; nothing that only ``known`` nodes depend on.

        What has no arguments comes right before what first needs it: compilers would keep it in memory from its place to there.
        """
        seen: set[int] = set()
        stack = list(outputs)
        while stack:
            node = stack.pop()
            if node.index not in seen:
                seen.add(node.index)
                stack += () if node in known else node.args
        ordered: dict[Node, None] = {}
        for index in sorted(seen):
            node = self.nodes[index]
            if node.args and node not in known:
                ordered |= dict.fromkeys((*node.args, node))
        return list(ordered | dict.fromkeys(outputs))

    def depending(self, sources: Iterable[Node]) -> set[Node]:
        """Everything that depends on any of ``sources``, and they."""
        found = set(sources)
        for node in self.nodes:
            if any(argument in found for argument in node.args):
                found.add(node)
        return found


def _is(node: Node, value: float) -> bool:
    return node.op == "const" and node.value == value


def _add(graph: Graph, a: Node, b: Node) -> Node | None:
    if _is(a, 0.0) or _is(b, 0.0):
        return b if _is(a, 0.0) else a
    if a.op == "neg" or b.op == "neg":
        return graph.make("sub", b, a.args[0]) if a.op == "neg" else graph.make("sub", a, b.args[0])
    return None


def _sub(graph: Graph, a: Node, b: Node) -> Node | None:
    if _is(b, 0.0):
        return a
    if _is(a, 0.0):
        return graph.make("neg", b)
    return graph.make("add", a, b.args[0]) if b.op == "neg" else None


def _mul(graph: Graph, a: Node, b: Node) -> Node | None:
    for one, other in ((a, b), (b, a)):
        if _is(one, 0.0):
            return one
        if _is(one, 1.0):
            return other
        if _is(one, -1.0):
            return graph.make("neg", other)
        if one.op == "neg":
            return graph.make("neg", graph.make("mul", one.args[0], other))
    return None


def _div(graph: Graph, a: Node, b: Node) -> Node | None:
    if _is(a, 0.0):
        return a
    return graph.make("mul", a, 1.0 / b.value) if b.op == "const" and b.value else None


def _neg(graph: Graph, a: Node) -> Node | None:
    return a.args[0] if a.op == "neg" else None


def _where(graph: Graph, c: Node, a: Node, b: Node) -> Node | None:
    if c.op == "const":
        return a if c.value else b
    if a is b:
        return a
    return graph.make("where", c.args[0], b, a) if c.op == "not" else None


def _and(graph: Graph, a: Node, b: Node) -> Node | None:
    for one, other in ((a, b), (b, a)):
        if one.op == "const":
            return other if one.value else one
    return a if a is b else None


def _or(graph: Graph, a: Node, b: Node) -> Node | None:
    for one, other in ((a, b), (b, a)):
        if one.op == "const":
            return one if one.value else other
    return a if a is b else None


def _not(graph: Graph, a: Node) -> Node | None:
    return a.args[0] if a.op == "not" else None


SIMPLER: dict[str, Callable[..., Node | None]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "where": _where,
    "and": _and,
    "or": _or,
    "not": _not,
}
