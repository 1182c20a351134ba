"""Which values must be integers so that crossbars and integer units can work on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from neutrams.ir.functions import lacks
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.convolution import Conv, ConvTranspose
from neutrams.ir.ops.elementwise import Add, Mul, Sub
from neutrams.ir.ops.pooling import AveragePool
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.reductions import ReduceMean
from neutrams.ir.target import Target
from neutrams.ir.types import DType
from neutrams.passes.base import PassContext
from neutrams.passes.cones import Cone, cone, elementwise
from neutrams.passes.fuse_clips import bounds
from neutrams.passes.linear import Linear, LinearOp, linear
from neutrams.passes.lowering.reasons import obstacle
from neutrams.passes.match import constant, read_once
from neutrams.passes.movement import moved_operands
from neutrams.passes.pooled import pools_all

Range = tuple[float, float]
LEVELS = 256
STRETCH = 8
"""Steps of the result of a function that one step of its source may span, of ``LEVELS`` each."""


@dataclass
class Plan:
    """Values to quantise, those that share one scale, and the ops that get integer weights."""

    values: list[Value] = field(default_factory=list)
    """In the order in which they are made."""
    linears: list[Linear] = field(default_factory=list)
    source_of: dict[Op, Value] = field(default_factory=dict)
    """The value whose integers each of ``linears`` reads."""
    leader: dict[Value, Value] = field(default_factory=dict)
    """Another member of a value's scale group; a value that leads its group leads itself."""
    digital: set[Value] = field(default_factory=set)
    """Values whose integers other units than crossbars read."""
    forced: set[Value] = field(default_factory=set)
    """Values that the chip cannot make from real numbers, only from integers."""
    moved: set[Value] = field(default_factory=set)
    """Values that only show elements of others, so that their own range says nothing new."""

    def lead(self, value: Value) -> Value:
        while self.leader[value] is not value:
            value = self.leader[value]
        return value

    def unite(self, a: Value, b: Value) -> None:
        self.leader[self.lead(b)] = self.lead(a)

    def widths(self, reads: Mapping[Op, int], *, usual: int) -> dict[Value, int]:
        """Return the bits of each value: what its group's crossbars read at most, or the usual.

        Args:
            reads: Input bits of each of ``linears``.
            usual: Bits of what other units read too.
        """
        found = {self.lead(value): usual for value in self.digital}
        for op, value in self.source_of.items():
            lead = self.lead(value)
            found[lead] = max(found.get(lead, 0), reads[op])
        return {value: found.get(self.lead(value), usual) for value in self.values}

    def ranges(
        self, widths: Mapping[Value, int], range_of: Callable[[Value, int], Range]
    ) -> dict[Value, Range]:
        """Return the range of each value; those of one group cover all their ranges alike."""
        ranges: dict[Value, Range] = {}
        for value in self.values:
            if value in self.moved:
                continue
            lead, (low, high) = self.lead(value), range_of(value, widths[value])
            known = ranges.get(lead, (low, high))
            ranges[lead] = (min(low, known[0]), max(high, known[1]))
        return {value: ranges[self.lead(value)] for value in self.values}


def plan(graph: Graph, ctx: PassContext) -> Plan:
    """Start at what crossbars read and walk back through everything that can stay integer."""
    found = Plan()
    needed: list[Value] = []
    for op in graph.ops:
        if not isinstance(op, Conv | ConvTranspose | Matmul):
            continue
        item = linear(op)
        if (reason := stays_float(op)) or item is None:
            ctx.remark(op, f"stays float: {reason}", kind="missed")
            continue
        found.linears.append(item)
        found.source_of[op] = item.x
        needed.append(item.x)
    found.forced = set(forced(graph, ctx.target))
    needed += sorted(found.forced - {*needed}, key=list(graph.values()).index)
    while needed:
        value = needed.pop()
        if value not in found.leader:
            found.leader[value] = value
            sources = _sources(graph, value, found, ctx.target)
            found.digital.update(sources if value not in found.moved else ())
            needed += sources
    for value in list(found.moved):
        for operand in moved_operands(value.op):
            found.unite(operand, value)
    found.values = [value for value in graph.values() if value in found.leader]
    return found


def forced(graph: Graph, target: Target | None) -> Iterator[Value]:
    """Yield values whose op needs a function that the chip lacks, or lacks on real numbers.

    Within a chain of element-wise functions only its end has to be made of integers.
    """
    for op in graph.ops:
        if not lacks(target, op) or isinstance(op, Conv | ConvTranspose | Matmul):
            continue
        for value in op.results:
            inner = value.users and all(elementwise(user, value) for user in value.users)
            if value.type.dtype is DType.F32 and (
                not inner or any(value is out for out in graph.outputs)
            ):
                yield value


def stays_float(op: LinearOp) -> str:
    """Return why an op cannot have integer weights; empty where it can."""
    if blocked := obstacle(op):
        return blocked
    if op.result.type.dtype is not DType.F32:
        return f"it computes in {op.result.type.dtype.value}"
    if linear(op) is None:
        return "its weights or bias are not constant, or only their shapes are known"
    return ""


def fused_head(graph: Graph, value: Value) -> Value:
    """Return the value before the activations that the unit which makes it applies itself."""
    while (found := bounds(value.op)) is not None and read_once(graph, found[0]):
        if found[0].op is None or isinstance(found[0], Weight):
            break
        value = found[0]
    return value


def _sources(graph: Graph, value: Value, found: Plan, target: Target | None) -> list[Value]:
    """Return the values that must be integers too, so that ``value`` is made from integers."""
    if moved := moved_operands(value.op):
        found.moved.add(value)
        return moved
    head = fused_head(graph, value)
    match head.op:
        case Conv() | Matmul() if linear(head.op) is not None:
            return []
        case Add(a=a, b=b) | Sub(a=a, b=b) if not _constant(a) and not _constant(b):
            return [a, b]
        case Add(a=Value(op=Matmul() as inner), b=b) if linear(inner) is not None and _constant(b):
            return []
        case AveragePool(x=x):
            return [x]
        case ReduceMean(x=x) if pools_all(head.op):
            return [x]
    function = cone(
        value, lambda v: (v in found.leader and v is not value) or _made_by_unit(graph, v)
    )
    match head.op:
        case Mul(a=a, b=b) if function is None and lacks(target, head.op):
            return [] if _constant(a) or _constant(b) else [a, b]
    if function is None:
        return []
    possible = not any(lacks(target, op) for op in function.ops)
    return [] if possible and _stretches(function) else [function.source]


def _stretches(function: Cone) -> bool:
    """Whether neighbouring integers of the source would lie many steps apart in the result.

    A square root does that near 0: of 256 steps, the first spans 16 of its result.
    """
    source, result = function.source.type.range, function.result.type.range
    if source is None or result is None or result[0] == result[1]:
        return False
    numbers = np.linspace(*source, LEVELS, dtype=np.float32)
    made = function.evaluate(numbers).astype(np.float64).clip(*result)
    steps = np.abs(np.diff(np.nan_to_num(made))) * (LEVELS - 1) / (result[1] - result[0])
    return bool(steps.max() > STRETCH)


def _made_by_unit(graph: Graph, value: Value) -> bool:
    """Whether a value ends what one unit makes, activation included."""
    head = fused_head(graph, value)
    return head is not value and isinstance(head.op, Conv | Matmul | Add | AveragePool)


def _constant(value: Value) -> bool:
    return constant(value) is not None
