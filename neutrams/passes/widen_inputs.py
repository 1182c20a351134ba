"""``widen-inputs``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.tensors import Concat, Pad
from neutrams.ir.ops.unit import Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.ranges import MOVES
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.counterparts import carry
from neutrams.passes.match import constant, located, read_once, scalar


@dataclass(frozen=True)
class WidenInputs(Pass):
    """Give the network's inputs to crossbars in several copies, rounded a part of a step apart.

    Where units read few bits, what is lost at the very first rounding cannot be made good later.
    The sum of ``copies`` roundings, each shifted by its share of a step, is as fine as that of
    log2(copies) bits more; the weights stand in the crossbars once for each copy. What is moved on
    the way to its products (padded, cut, pooled by maxima) is moved in each copy. This is data
    re-encoding (NEUTRAMS, ASPLOS 2018): precision is bought with width. Run it before
    `split-fan-in`. See `split-digits` for another way.
    """

    name: ClassVar[str] = "widen-inputs"
    takes: ClassVar = ("unit",)
    rms_bound: ClassVar[float] = 1.0

    copies: int = 4
    """Copies of every input; 1 changes nothing."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        changed = False
        for op in list(graph.ops):
            if self.copies < 2 or not isinstance(op, Quantize) or op.x not in graph.inputs:
                continue
            moves, products = _readers(graph, op.result)
            units = [found for mvm in products if (found := _unit(graph, mvm)) is not None]
            if not units or len(units) < len(products):
                ctx.remark(op, "not widened: other than plain products read it", kind="missed")
                continue
            shown = [_moved(graph, op.result, part, moves) for part in self._copies(graph, op)]
            wide: dict[tuple[Value, int], Value] = {}
            for mvm, reduce, post in units:
                key = mvm.x, 1 if mvm.kernel else mvm.x.type.rank - 1
                if key not in wide:
                    wide[key] = _joined(graph, mvm, [each[mvm.x] for each in shown], key[1], ctx)
                held = self._widen(graph, mvm, reduce, post, wide[key])
                carry(ctx.counterparts, mvm.w, held)
            rows = sum(mvm.fan_in for mvm in products)
            text = f"in {self.copies} copies: {rows} to {rows * self.copies} rows of crossbars"
            ctx.remark(op, text)
            changed = True
        return graph.prune() or changed

    def _copies(self, graph: Graph, op: Quantize) -> list[Value]:
        """Insert the roundings of an input and return them."""
        step = scalar(op.scale)
        assert step is not None, "crossbars read it, so its scale is one constant"
        parts = []
        for place in range(self.copies):
            by = np.float32(step * (place / self.copies - (self.copies - 1) / (2 * self.copies)))
            shift = graph.weight(f"{op.x.name}.shift", np.array(by))
            name = op.result.name
            moved = graph.add(located(Add(op.x, shift), op), before=op, name=f"{name}.moved")
            part = graph.add(located(replace(op, x=moved), op), before=op, name=f"{name}.copy")
            part.type = op.result.type
            parts.append(part)
        return parts

    def _widen(
        self, graph: Graph, mvm: Mvm, reduce: Reduce, post: Rescale | Dequantize, wide: Value
    ) -> Value:
        """Repeat the weights of a unit and return them; its sums, and its bias, grow as much."""
        held = (constant(mvm.w), constant(reduce.bias), constant(post.scale))
        w, bias, scale = (np.asarray(array) for array in held)
        wider = graph.weight(mvm.w.name, np.tile(w, self.copies))
        new = located(replace(mvm, x=wide, w=wider), mvm)
        graph.replace(mvm, new)
        sums = graph.weight("bias", (bias.astype(np.int64) * self.copies).astype(bias.dtype))
        finer = graph.weight(post.scale.name, (scale / self.copies).astype(np.float32))
        after = located(replace(reduce, partials=new.result, bias=sums), reduce)
        graph.replace(reduce, after)
        graph.replace(post, located(replace(post, x=after.result, scale=finer), post))
        return wider


def _readers(graph: Graph, value: Value) -> tuple[list[Op], list[Mvm]]:
    """Return the products that read a value and the moves by which it gets there, in order.

    There are no products where anything else reads it.
    """
    reached, moves, products = {value}, list[Op](), list[Mvm]()
    for op in graph.ops:
        if not reached.intersection(op.present):
            continue
        if isinstance(op, Mvm):
            products.append(op)
        elif isinstance(op, (Concat, Pad, *MOVES)):
            moves.append(op)
            reached.update(op.results)
        else:
            return [], []
    outside = any(out in reached for out in graph.outputs)
    return ([], []) if outside else (moves, products)


def _moved(graph: Graph, old: Value, new: Value, moves: list[Op]) -> dict[Value, Value]:
    """Do to a value what is done to another; return what stands for each value on the way."""
    shown = {old: new}
    for op in moves:
        same: Op = replace(op)  # type: ignore[type-var]
        for value in op.present:
            same.swap(value, shown.get(value, value))
        graph.insert(located(same, op), before=op, name=[f"{v.name}.copy" for v in op.results])
        for before, after in zip(op.results, same.results, strict=True):
            after.type = before.type
            shown[before] = after
    return shown


def _joined(graph: Graph, mvm: Mvm, parts: list[Value], axis: int, ctx: PassContext) -> Value:
    """Put what a product is to read side by side."""
    joined = located(Concat(tuple(parts), axis=axis), mvm)
    wide = graph.add(joined, before=mvm, name=f"{mvm.x.name}.wide")
    if mvm.x.type.range is not None:
        wide.type = wide.type.with_range(*mvm.x.type.range)
    if mvm.x.name in ctx.grids:
        ctx.grids[wide.name] = ctx.grids[mvm.x.name]
    return wide


def _unit(graph: Graph, op: Op) -> tuple[Mvm, Reduce, Rescale | Dequantize] | None:
    """Return a product with constant weights in one group, its sum and what follows."""
    if not isinstance(op, Mvm) or op.groups > 1 or not read_once(graph, op.result):
        return None
    reduce = op.result.users[0]
    if not isinstance(reduce, Reduce) or not read_once(graph, reduce.result):
        return None
    post = reduce.result.users[0]
    if not isinstance(post, Rescale | Dequantize):
        return None
    known = all(
        isinstance(value, Weight) and value.data is not None
        for value in (op.w, reduce.bias, post.scale)
    )
    return (op, reduce, post) if known else None
