"""Numbers in digits: exact, within what rows are driven with, whatever a product reads."""

from __future__ import annotations

from typing import get_args

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.ops.digits import Digits
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Coding
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
            if isinstance(op, Mvm) and all(isinstance(user, Reduce) for user in op.result.users):
                least, most = op.drive()
                if any(op.result is out for out in graph.outputs):
                    continue
                assert op.input_bits <= bits
                assert op.weight_bits <= weight_bits
                if isinstance(op.x.op, Digits):
                    assert (least, most) == (0, 2**op.input_bits - 1)


@given(
    weights=st.lists(st.integers(-32768, 32767), min_size=1),
    bits=st.integers(2, 8),
    coding=st.sampled_from(get_args(Coding)),
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
        assert part.min() >= -high - ("differential" not in coding)
        assert part.max() <= high
    assert count == 1 or kind.most(count - 1) < np.abs(held).max()
