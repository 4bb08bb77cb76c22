"""C++ and CUDA text of a kernel.

A kernel advances `Body.steps` times a body that maps (carry, inputs of the step, constants) to the next carry; a plain function is one
step without carry, whose results are outputs. Every tensor is feature-major: row r of tensor k at ``p_k + r · s_k``, environments
contiguous. On the CPU environments are taken in blocks of `BLOCK`, so that what one step leaves for the next stays in the first-level
cache, and the loop over a block is vectorised by the compiler; on a GPU every thread is a block of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sim.fused.adjoint import gradients
from sim.fused.elementary import helpers
from sim.fused.graph import WORD, Graph, Node

BLOCK = 32

STORED = {"real": "real", "bool": "unsigned char", "word": "int"}
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
    """One step of a kernel.

    Attributes:
        graph: the arithmetic; an input node's value is (tensor, row, kind).
        roles: of every input tensor: ``carry``, ``step`` (it has ``steps`` times the rows that one step sees) or ``constant``.
        rows: of every input tensor, as one step sees it.
        kinds: of every input tensor: real, bool or word.
        shared: which input tensors have one row of values for all environments; none of the carry.
        carry: next values of all elements of the carry, in the order of the carry tensors.
        outputs: elements of every output tensor; empty for a body with a carry, whose final carry is the output.
        steps: how often the body runs.
    """

    graph: Graph
    roles: tuple[str, ...]
    rows: tuple[int, ...]
    kinds: tuple[str, ...]
    shared: tuple[bool, ...]
    carry: tuple[Node, ...]
    outputs: tuple[tuple[Node, ...], ...]
    steps: int = 1

    def tensors(self, role: str) -> list[int]:
        """Input tensors of a role."""
        return [tensor for tensor, own in enumerate(self.roles) if own == role]

    def offset(self, tensor: int) -> int:
        """First element of a carry tensor within the carry."""
        return sum(self.rows[other] for other in self.tensors("carry") if other < tensor)

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


def assignments(body: Body, outputs: Sequence[Node], carry: str, real: str) -> Lines:
    """What ``outputs`` need; ``carry`` is where the carry is."""
    shared: list[str] = []
    own: list[str] = []

    def name(node: Node) -> str:
        return literal(node.value, real) if node.op == "const" else f"v{node.index}"

    for node in body.graph.needed(outputs):
        if node.op != "const":
            text = _load(body, node, carry) if node.op == "input" else expression(node, name)
            if node.op == "input" and node.is_boolean:
                text = f"(real){text} != 0"
            kind = TRUTH if node.is_boolean else "unsigned" if node.is_word else "real"
            (shared if node.op == "input" and _is_shared(body, node) else own).append(f"const {kind} v{node.index} = {text};")
    return Lines(shared, own, name)


def _is_shared(body: Body, node: Node) -> bool:
    return node.value[0] < len(body.shared) and body.shared[node.value[0]]


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
    """The kernel that computes outputs, or the final carry."""
    results = [node for output in body.outputs for node in output] or list(body.carry)
    lines = assignments(body, results, "c", real)
    stores = [f"c[{k}][i] = {lines.name(node)};" for k, node in enumerate(body.carry)]
    for tensor, output in enumerate(body.outputs):
        stores += [f"q{tensor}[{row} * z{tensor} + i] = {lines.name(node)};" for row, node in enumerate(output)]
    text = [*_carry_in(body, "c"), f"for (int s = 0; s < {body.steps}; ++s) {{", *_lanes(lines, stores), "}"]
    for tensor, own in enumerate(body.tensors("carry")):
        text += _rows_out(tensor, body.rows[own], f"c[{body.offset(own)} + r][i]")
    return _program(body, output_kinds(body), text, real, inputs=len(body.roles))


def output_kinds(body: Body) -> list[str]:
    """``real`` or ``bool`` for every output tensor."""
    return ["bool" if output and all(node.is_boolean for node in output) else "real" for output in body.outputs] or ["real"] * len(
        body.tensors("carry")
    )


def backward(body: Body, wanted: Sequence[int], real: str) -> str:
    """The kernel that computes gradients of the inputs ``wanted`` from the inputs and, after them, the gradients of all outputs.

    It runs the body again instead of keeping what it computed: arithmetic is cheaper than memory.
    """
    graph, count = body.graph, len(body.roles)
    results = [[node for tensor in [own] for node in _next(body, tensor)] for own in body.tensors("carry")] or [
        list(o) for o in body.outputs
    ]
    seeds: dict[Node, Node] = {}
    for tensor, output in enumerate(results):
        for row, node in enumerate(output):
            seed = graph.input(count + tensor, row, "real")
            seeds[node] = graph.make("add", seeds[node], seed) if node in seeds else seed
    sources = [*body.tensors("carry"), *(tensor for tensor in wanted if body.roles[tensor] != "carry")]
    found = gradients(graph, seeds, [node for tensor in sources for node in body.elements(tensor)])
    lines = assignments(body, found, "h[s]", real)
    stores, before, after, position = [], [], [], 0
    for tensor in sources:
        slot, rows, role = wanted.index(tensor) if tensor in wanted else -1, body.rows[tensor], body.roles[tensor]
        texts = [lines.name(node) for node in found[position : position + rows]]
        position += rows
        if role == "carry":
            stores += [f"g[{body.offset(tensor) + row}][i] = {text};" for row, text in enumerate(texts)]
            after += _rows_out(slot, rows, f"g[{body.offset(tensor)} + r][i]") if slot >= 0 else []
        elif role == "step":
            stores += [f"q{slot}[(s * {rows} + {row}) * z{slot} + i] = {text};" for row, text in enumerate(texts)]
        elif body.steps == 1:
            stores += [f"q{slot}[{row} * z{slot} + i] = {text};" for row, text in enumerate(texts)]
        else:
            before.append(f"real a{slot}[{rows}][LANES] = {{}};")
            stores += [f"a{slot}[{row}][i] += {text};" for row, text in enumerate(texts)]
            after += _rows_out(slot, rows, f"a{slot}[r][i]")
    text = [*_history(body, real), *before]
    text += [f"for (int s = {body.steps - 1}; s >= 0; --s) {{", *_lanes(lines, stores), "}", *after]
    return _program(body, ["real"] * len(wanted), text, real, inputs=count + len(results))


def _next(body: Body, tensor: int) -> tuple[Node, ...]:
    """Next values of one carry tensor."""
    return body.carry[body.offset(tensor) : body.offset(tensor) + body.rows[tensor]]


def _load(body: Body, node: Node, carry: str) -> str:
    """The text of an input; tensors after the body's own are gradients of the outputs."""
    tensor, row, _ = node.value
    if tensor >= len(body.roles):
        own = body.tensors("carry")
        return f"g[{body.offset(own[tensor - len(body.roles)]) + row}][i]" if own else f"p{tensor}[{row} * s{tensor} + i]"
    role = body.roles[tensor]
    if role == "carry":
        return f"{carry}[{body.offset(tensor) + row}][i]"
    place = f"(s * {body.rows[tensor]} + {row}) * s{tensor}" if role == "step" else f"{row} * s{tensor}"
    return f"p{tensor}[{place}]" if body.shared[tensor] else f"p{tensor}[{place} + i]"


def _lanes(lines: Lines, stores: list[str]) -> list[str]:
    return [*lines.shared, "SIMD", "for (int i = 0; i < LANES; ++i) {", *lines.own, *stores, "}"]


def _rows_out(tensor: int, rows: int, text: str) -> list[str]:
    return [f"for (int r = 0; r < {rows}; ++r)", "for (int i = 0; i < LANES; ++i)", f"q{tensor}[r * z{tensor} + i] = {text};"]


def _carry_in(body: Body, name: str) -> list[str]:
    """The carry as it is before the first step."""
    own = body.tensors("carry")
    if not own:
        return []
    declared = [f"real {name}[{len(body.carry)}][LANES];"] if name == "c" else []
    for tensor in own:
        declared += [f"for (int r = 0; r < {body.rows[tensor]}; ++r)", "for (int i = 0; i < LANES; ++i)"]
        declared.append(f"{name}[{body.offset(tensor)} + r][i] = p{tensor}[r * s{tensor} + i];")
    return declared


def _history(body: Body, real: str) -> list[str]:
    """The carry before every step, and the gradient of the last one."""
    own = body.tensors("carry")
    if not own:
        return []
    size = len(body.carry)
    text = [f"real h[{body.steps}][{size}][LANES];", f"real g[{size}][LANES];", *_carry_in(body, "h[0]")]
    if body.steps > 1:
        lines = assignments(body, body.carry, "h[s]", real)
        stores = [f"h[s + 1][{k}][i] = {lines.name(node)};" for k, node in enumerate(body.carry)]
        text += [f"for (int s = 0; s < {body.steps - 1}; ++s) {{", *_lanes(lines, stores), "}"]
    for tensor, carry in enumerate(own):
        seed = len(body.roles) + tensor
        text += [f"for (int r = 0; r < {body.rows[carry]}; ++r)", "for (int i = 0; i < LANES; ++i)"]
        text.append(f"g[{body.offset(carry)} + r][i] = p{seed}[r * s{seed} + i];")
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
        text="\n".join(text),
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
