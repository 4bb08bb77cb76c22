"""C++ and CUDA text of a kernel.

A kernel computes outputs from inputs; a part of it may be a loop, whose carry stays in the kernel. Every tensor is feature-major: row r of
tensor k at ``p_k + r · s_k``, environments contiguous. On the CPU environments are taken in blocks of `BLOCK`, so that what one step of the
loop leaves for the next stays in the first-level cache, and the loop over a block is vectorised by the compiler; on a GPU every thread is a
block of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from sim.fused.adjoint import gradients
from sim.fused.elementary import helpers
from sim.fused.graph import WORD, Graph, Loop, Node

BLOCK = 32

STORED = {"real": "real", "bool": "unsigned char", "word": "int", "count": "long long"}
TRUTH = "int"  # as wide as a float: compilers vectorise that, but not bool
BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
COMPARE = {"lt": "<", "le": "<=", "eq": "=="}
FORMS = {
    "neg": "-{}",
    "and": "{} & {}",
    "or": "{} | {}",
    "not": "{} ^ 1",
    "where": "{} ? {} : {}",
    "min": "fmin_({}, {})",
    "max": "fmax_({}, {})",
    "finite": "finite_({})",
    "stop": "{}",
    "abs": "abs_({})",
    "sqrt": "sqrt_({})",
    "exp": "exp_({})",
    "sin": "sin_({})",
    "cos": "cos_({})",
    "tanh": "tanh_({})",
    "log": "log_({})",
    "floor": "floor_({})",
    "word_hi": "hi_({}, {})",
    "word_lo": "{} * {}",
    "word_xor": "{} ^ {}",
    "word_add": "{} + {}",
    "word_unit": "unit_({})",
}


@dataclass(frozen=True)
class Body:
    """What a kernel computes.

    Attributes:
        graph: the arithmetic; an input node's value is (tensor, row, kind).
        rows: of every input tensor.
        kinds: of every input tensor: real, bool, word, or count: a whole number that is used as a real one.
        shared: which input tensors have one row of values for all environments.
        outputs: elements of every output tensor.
    """

    graph: Graph
    rows: tuple[int, ...]
    kinds: tuple[str, ...]
    shared: tuple[bool, ...]
    outputs: tuple[tuple[Node, ...], ...]

    def elements(self, tensor: int) -> list[Node]:
        """The input nodes of a tensor."""
        return [self.graph.input(tensor, row, self.kinds[tensor]) for row in range(self.rows[tensor])]


def literal(value: float, real: str) -> str:
    """A constant in the kernel's precision."""
    if value != value:
        return "(real)NAN"
    if value in (float("inf"), float("-inf")):
        return "(real)INFINITY" if value > 0 else "(-(real)INFINITY)"
    return f"{value!r}{'f' if real == 'float' else ''}"


class Lines(NamedTuple):
    """Assignments, one for every node.

    Attributes:
        shared: of inputs that are the same for all environments, before the loop over them; in it they would cost compilers a minute.
        own: the others.
        name: the text of any node.
    """

    shared: list[str]
    own: list[str]
    name: Callable[[Node], str]


def assignments(body: Body, outputs: Sequence[Node], real: str, known: Mapping[Node, str] = MappingProxyType({}), **arrays: str) -> Lines:
    """What ``outputs`` need.

    Args:
        known: texts of nodes that were computed before.
        arrays: what local nodes are elements of, by name.
    """
    shared: list[str] = []
    own: list[str] = []

    def name(node: Node) -> str:
        return literal(node.value, real) if node.op == "const" else f"v{node.index}"

    for node in body.graph.needed(outputs, known):
        if node.op != "const":
            stored = known.get(node) or _stored(body, node, arrays)
            text = f"(real){stored} != 0" if stored and node.is_boolean else stored or expression(node, name)
            kind = TRUTH if node.is_boolean else "unsigned" if node.is_word else "real"
            (shared if _is_shared(body, node) else own).append(f"const {kind} v{node.index} = {text};")
    return Lines(shared, own, name)


def _stored(body: Body, node: Node, arrays: Mapping[str, str]) -> str:
    """Where a node is that has no arguments; nothing for others."""
    if node.op == "local":
        return f"{arrays[node.value[0]]}[{node.value[1]}][i]"
    if node.op == "table":
        return f"t{node.index}[s]"
    if node.op not in ("input", "step"):
        return ""
    tensor, row, apart = node.value
    if node.op == "input" and _is_widened(body, tensor):
        return f"b{tensor}[{row}][i]"
    place = f"p{tensor}[({row} + s * {apart}) * s{tensor}" if node.op == "step" else f"p{tensor}[{row} * s{tensor}"
    return f"{place}]" if _is_shared(body, node) else f"{place} + i]"


def _is_shared(body: Body, node: Node) -> bool:
    return node.op in ("input", "step") and node.value[0] < len(body.shared) and body.shared[node.value[0]]


def _is_widened(body: Body, tensor: int) -> bool:
    """Whether an input is no wider or narrower than a real number only in a copy: a loop over several widths is vectorised badly."""
    return tensor < len(body.rows) and body.kinds[tensor] in ("bool", "count") and not body.shared[tensor]


def expression(node: Node, name: Callable[[Node], str]) -> str:
    """The right-hand side of a node's assignment."""
    if node.op in WORD:
        return FORMS[node.op].format(*[f"{int(arg.value)}u" if arg.op == "const" else name(arg) for arg in node.args])
    args = [name(arg) for arg in node.args]
    if node.op in BINARY:
        args = [f"(real){text}" if arg.is_boolean else text for arg, text in zip(node.args, args, strict=True)]
        return f"{args[0]} {BINARY[node.op]} {args[1]}"
    if node.op in COMPARE:
        return f"{args[0]} {COMPARE[node.op]} {args[1]}"
    return FORMS[node.op].format(*args)


def forward(body: Body, real: str) -> str:
    """The kernel that computes outputs."""
    lines = assignments(body, [node for output in body.outputs for node in output], real, final="c")
    stores, narrow, after = [], [kind == "bool" for kind in output_kinds(body)], []
    for tensor, output in enumerate(body.outputs):
        place = f"o{tensor}[{{0}}][i]" if narrow[tensor] else f"q{tensor}[{{0}} * z{tensor} + i]"
        stores += [f"{place.format(row)} = {lines.name(node)};" for row, node in enumerate(output)]
        if narrow[tensor]:
            after += _rows(len(output), f"q{tensor}[r * z{tensor} + i] = o{tensor}[r][i];")
    loop = body.graph.loop
    before = [f"{TRUTH} o{tensor}[{len(output)}][LANES];" for tensor, output in enumerate(body.outputs) if narrow[tensor]]
    if loop:
        inside = Inside(body, loop)
        before += [f"real c[{len(loop.carry)}][LANES];", *inside.begin(real, "c"), *inside.steps(real, loop.steps, "c", "c")]
    return _program(body, output_kinds(body), [*before, *_lanes(lines, stores), *after], real, inputs=len(body.rows))


def output_kinds(body: Body) -> list[str]:
    """``real`` or ``bool`` for every output tensor."""
    return ["bool" if output and all(node.is_boolean for node in output) else "real" for output in body.outputs]


class Inside:
    """What the steps of a loop have in common.

    Attributes:
        imported: nodes outside the loop that it uses; computed once, into the array k.
        known: their texts.
    """

    def __init__(self, body: Body, loop: Loop) -> None:
        self.body, self.loop, graph = body, loop, body.graph
        inside = graph.needed(loop.following)
        varying = graph.depending(node for node in inside if node in loop.carry or node.op in ("step", "table"))
        used = {argument for node in inside if node in varying for argument in node.args} | set(loop.following)
        kept = sorted((node for node in used - varying if node.args and not node.is_word), key=lambda node: node.index)
        self.imported = kept
        self.known = {node: f"k[{place}][i]" for place, node in enumerate(kept)}

    def begin(self, real: str, carry: str) -> list[str]:
        """Before the first step: what is imported, and the carry in the array ``carry``."""
        lines = assignments(self.body, [*self.loop.initial, *self.imported], real)
        stores = [f"{carry}[{k}][i] = {lines.name(node)};" for k, node in enumerate(self.loop.initial)]
        stores += [f"k[{k}][i] = {lines.name(node)};" for k, node in enumerate(self.imported)]
        tables = [node for node in self.body.graph.needed(self.loop.following) if node.op == "table"]
        texts = [f"const real t{node.index}[] = {{{', '.join(literal(value, real) for value in node.value)}}};" for node in tables]
        return [*texts, f"real k[{max(len(self.imported), 1)}][LANES];", *_lanes(lines, stores)]

    def steps(self, real: str, count: int, carry: str, following: str) -> list[str]:
        """So many of them, from one array to another or the same."""
        lines = assignments(self.body, self.loop.following, real, self.known, carry=carry)
        stores = [f"{following}[{k}][i] = {lines.name(node)};" for k, node in enumerate(self.loop.following)]
        return [f"for (int s = 0; s < {count}; ++s) {{", *_lanes(lines, stores), "}"]


def backward(body: Body, wanted: Sequence[int], real: str) -> str:
    """The kernel that computes gradients of the inputs ``wanted`` from the inputs and, after them, the gradients of all outputs.

    It runs the body again instead of keeping what it computed: arithmetic is cheaper than memory.
    """
    graph, count = body.graph, len(body.rows)
    seeds = _seeds(
        graph,
        [(node, graph.input(count + tensor, row, "real")) for tensor, output in enumerate(body.outputs) for row, node in enumerate(output)],
    )
    sources = [node for tensor in wanted for node in body.elements(tensor)]
    places = [f"q{slot}[{row} * z{slot} + i]" for slot, tensor in enumerate(wanted) for row in range(body.rows[tensor])]
    if graph.loop:
        text = _backward_through(body, graph.loop, seeds, sources, places, real)
    else:
        found = gradients(graph, seeds, sources)
        lines = assignments(body, found, real)
        text = _lanes(lines, [f"{place} = {lines.name(node)};" for place, node in zip(places, found, strict=True)])
    return _program(body, ["real"] * len(wanted), text, real, inputs=count + len(body.outputs))


def _seeds(graph: Graph, pairs: Sequence[tuple[Node, Node]]) -> dict[Node, Node]:
    """Seeds by node, added up where a node has several."""
    seeds: dict[Node, Node] = {}
    for node, seed in pairs:
        seeds[node] = graph.make("add", seeds[node], seed) if node in seeds else seed
    return seeds


def _backward_through(
    body: Body, loop: Loop, seeds: Mapping[Node, Node], sources: Sequence[Node], places: Sequence[str], real: str
) -> list[str]:
    """From what follows the loop to its end, backward through it, and from its beginning to what is before.

    Arrays: h the carry before every step and after the last, g its gradient, a that of what is imported, e that of ``sources``.
    """
    graph, inside, size = body.graph, Inside(body, loop), len(loop.carry)
    position, depending = {node: k for k, node in enumerate(sources)}, graph.depending(sources)
    imported = [node for node in inside.imported if node in depending]
    used = [node for node in graph.needed(loop.following, inside.known) if node in position and node not in inside.known]
    moving = {node: graph.input(node.value[0], node.value[1], "real") for node in graph.needed(loop.following) if node.op == "step"}
    moving = {node: first for node, first in moving.items() if first in position}
    arrays = {"carry": "h[s]", "final": f"h[{loop.steps}]", "gradient": "g", "imported": "a"}
    of_carry = [f"g[{k}][i] =" for k in range(size)]

    def section(seeds: Mapping[Node, Node], wanted: Mapping[str, Node], known: Mapping[Node, str]) -> list[str]:
        """Store or add the gradients of ``wanted``, by the beginning of the text that does it."""
        found = gradients(graph, seeds, list(wanted.values()))
        lines = assignments(body, found, real, known, **arrays)
        stores = [f"{store} {lines.name(node)};" for store, node in zip(wanted, found, strict=True)]
        return _lanes(lines, stores)

    after = [*zip(of_carry, loop.final, strict=True), *[(f"e[{k}][i] =", node) for k, node in enumerate(sources)]]
    within = [*zip(of_carry, loop.carry, strict=True), *[(f"a[{k}][i] +=", node) for k, node in enumerate(imported)]]
    within += [(f"e[{position[node]}][i] +=", node) for node in used]
    within += [(f"e[{position[first]} + s * {node.value[2]}][i] +=", node) for node, first in moving.items()]
    before = [(f"{place} = e[{k}][i] +", node) for k, (place, node) in enumerate(zip(places, sources, strict=True))]

    last = [(node, graph.local("gradient", k)) for k, node in enumerate(loop.following)]
    first = [(node, graph.local("gradient", k)) for k, node in enumerate(loop.initial)]
    first += [(node, graph.local("imported", k)) for k, node in enumerate(imported)]
    return [
        *[f"real {name}[{max(length, 1)}][LANES] = {{}};" for name, length in (("g", size), ("a", len(imported)), ("e", len(sources)))],
        f"real h[{loop.steps + 1}][{size}][LANES];",
        *inside.begin(real, "h[0]"),
        *inside.steps(real, loop.steps, "h[s]", "h[s + 1]"),
        *section(seeds, dict(after), {}),
        f"for (int s = {loop.steps - 1}; s >= 0; --s) {{",
        *section(_seeds(graph, last), dict(within), inside.known),
        "}",
        *section(_seeds(graph, first), dict(before), {}),
    ]


def _lanes(lines: Lines, stores: list[str]) -> list[str]:
    return [*lines.shared, "SIMD", "for (int i = 0; i < LANES; ++i) {", *lines.own, *stores, "}"]


def _rows(count: int, text: str) -> list[str]:
    """One assignment for every row and lane."""
    return [f"for (int r = 0; r < {count}; ++r)", "SIMD", "for (int i = 0; i < LANES; ++i)", text]


def _widened(body: Body) -> list[str]:
    """Copies of what `_is_widened`."""
    text: list[str] = []
    for tensor, rows in enumerate(body.rows):
        if _is_widened(body, tensor):
            text += [f"real b{tensor}[{rows}][LANES];", *_rows(rows, f"b{tensor}[r][i] = p{tensor}[r * s{tensor} + i];")]
    return text


def _program(body: Body, outputs: list[str], text: list[str], real: str, inputs: int) -> str:
    """A whole source file around the text of one block. Its one function, ``run``, takes `arguments`."""
    others = inputs - len(body.kinds)
    kinds, shared = [*body.kinds, *["real"] * others], [*body.shared, *[False] * others]
    kinds, outputs = ([STORED[kind] for kind in each] for each in (kinds, outputs))
    pointers = [f"const {kind}* const p{k}, const extent s{k}" for k, kind in enumerate(kinds)]
    pointers += [f"{kind}* const q{k}, const extent z{k}" for k, kind in enumerate(outputs)]
    given = [f"(const {kind}*)a.in[{k}]{'' if shared[k] else ' + begin'}, (extent)a.in_stride[{k}]" for k, kind in enumerate(kinds)]
    given += [f"({kind}*)a.out[{k}] + begin, (extent)a.out_stride[{k}]" for k, kind in enumerate(outputs)]
    return TEMPLATE.format(
        lanes=BLOCK,
        inputs=len(kinds),
        outputs=len(outputs),
        helpers=helpers(real),
        pointers=", ".join(pointers),
        given=", ".join(given),
        text="\n".join([*_widened(body), *text]),
    )


TEMPLATE = """#ifdef __CUDACC__
#define LANES 1
#define HD __device__ static inline
#define SIMD
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#endif
typedef int extent;  // 64 bits would cost a GPU several instructions an address; 2³¹ elements of one tensor are beyond its memory
#else
#include <math.h>
typedef long extent;
#define LANES {lanes}
#define HD static inline
#define SIMD _Pragma("omp simd")
#endif
struct Arguments {{
  const void* in[{inputs}];
  void* out[{outputs}];
  long in_stride[{inputs}];
  long out_stride[{outputs}];
  long n;
  long threads;
  long sparse;  // only where the first input, a mask, is set
}};
{helpers}
HD void block({pointers}) {{
{text}
}}

#ifdef __CUDACC__
extern "C" __global__ void run(const Arguments a) {{
  const long begin = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (begin >= a.n || (a.sparse && !((const unsigned char*)a.in[0])[begin])) return;
  block({given});
}}
#else
extern "C" void run(const Arguments& a) {{
  const long blocks = (a.n + LANES - 1) / LANES;
  #pragma omp parallel for schedule(static) num_threads(a.threads) if (a.threads > 1)
  for (long k = 0; k < blocks; ++k) {{
    const long begin = k == blocks - 1 ? a.n - LANES : k * LANES;  // the last block overlaps its neighbour: n is at least LANES
    if (a.sparse) {{
      int any = 0;
      for (int i = 0; i < LANES; ++i) any |= ((const unsigned char*)a.in[0])[begin + i];
      if (!any) continue;
    }}
    block({given});
  }}
}}
#endif
"""
