"""Who does what, and needs what: against a look at every window."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import DType, symbol, tensor
from neutrams.simulator.traffic.division import Division

SIZE = st.integers(1, 3)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_each_copy_reads_what_its_windows_see(data: st.DataObject) -> None:
    """Of two convolutions, each in copies of its own."""
    kernel = data.draw(st.tuples(SIZE, SIZE))
    strides = data.draw(st.tuples(SIZE, SIZE))
    pads = tuple(data.draw(st.integers(0, size - 1)) for size in kernel * 2)
    height, width = data.draw(st.integers(3, 9)), data.draw(st.integers(3, 9))
    assume(height >= kernel[0] and width >= kernel[1])
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 1, height, width))
    first = Mvm(x, graph.weight("a", np.ones((1, 1), np.int8)), kernel=(1, 1))
    reduce = Reduce(graph.add(first))
    summed = graph.add(reduce)
    w = graph.weight("b", np.ones((1, kernel[0] * kernel[1]), np.int8))
    second = Mvm(summed, w, kernel=kernel, strides=strides, pads=pads)
    graph.output(graph.add(second))
    copies = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    tiles: dict[Op, NDArray[np.int32]] = {
        op: np.arange(count, dtype=np.int32)[:, None]
        for op, count in zip((first, second), copies, strict=True)
    }
    division = Division(graph, {"N": 1}, tiles, {})
    places = np.arange(height * width).reshape(height, width)
    padded = np.pad(places, (pads[::2], pads[1::2]), constant_values=-1)
    wanted: dict[int, set[int]] = {}
    need = division.need(second, summed)
    out = second.result.type.shape[-1]
    assert isinstance(out, int)
    for window, owner in enumerate(division.ops[second].owners.tolist()):
        y, x_ = window // out * strides[0], window % out * strides[1]
        seen = set(padded[y : y + kernel[0], x_ : x_ + kernel[1]].ravel().tolist()) - {-1}
        wanted.setdefault(owner, set()).update(seen)
        assert not seen or max(seen) < need.table[window, 0]
        assert not seen or min(seen) >= need.table[window, 1]
    makers = division.ops[reduce].owners
    found: dict[int, set[int]] = {owner: set() for owner in wanted}
    for read in need.reads:
        assert (makers[read.windows] == read.source).all()
        assert not found[read.target] & set(read.windows.tolist())
        found[read.target].update(read.windows.tolist())
    for owner, seen in wanted.items():
        assert seen <= found[owner]
        rows = {place // width for place in seen}
        columns = {place % width for place in seen}
        inside = {(p // width, p % width) for p in found[owner]}
        assert all(r <= max(rows) and c <= max(columns) for r, c in inside)
        assert all(r >= min(rows) and c >= min(columns) for r, c in inside)
