"""Numbers in digits: exact, within what rows are driven with, whatever a product reads."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.ops.digits import Digits
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.ranges import proved_range
from neutrams.ir.types import Array
from neutrams.passes import PassContext, PassManager
from neutrams.passes.digits import WeightDigits
from tests.driver.unit_graphs import recurrent_graphs, unit_graphs


@settings(max_examples=25, deadline=None)
@given(
    graph_and_samples=st.one_of(unit_graphs(), recurrent_graphs()),
    bits=st.integers(1, 8),
    weight_bits=st.integers(2, 6),
)
def test_digits_change_no_bit(
    graph_and_samples: tuple[Graph, Array], bits: int, weight_bits: int
) -> None:
    graph, x = graph_and_samples
    name = graph.inputs[0].name
    before = interpret(graph, {name: x})
    PassManager(f"split-digits{{bits={bits} weight-bits={weight_bits}}}").run(
        graph, PassContext(verify_each=True)
    )
    after = interpret(graph, {name: x})
    for found, expected in zip(after.values(), before.values(), strict=True):
        np.testing.assert_array_equal(found, expected)
    for each in (graph, *graph.cells()):
        for op in each.ops:
            if isinstance(op, Mvm) and isinstance(op.x.op, Digits):
                assert op.input_bits == bits
                low, high = op.drive()
                assert (low, high) == proved_range(op.x) == (0, 2**bits - 1)


@given(
    weights=st.lists(st.integers(-32768, 32767), min_size=1),
    bits=st.integers(2, 8),
    coding=st.sampled_from(["offset", "differential"]),
)
@settings(deadline=None)
def test_weights_in_digits_are_the_weights(weights: list[int], bits: int, coding: str) -> None:
    kind = WeightDigits.of(bits, coding=coding)
    held = np.array(weights)
    count = kind.needed(int(np.abs(held).max()))
    parts = kind.split(held, count)
    np.testing.assert_array_equal(
        sum(part << kind.shift * place for place, part in enumerate(reversed(parts))), held
    )
    high = 2 ** (bits - 1) - 1
    for part in parts:
        assert part.min() >= -high - (coding == "offset")
        assert part.max() <= high
    assert count == 1 or kind.most(count - 1) < np.abs(held).max()
