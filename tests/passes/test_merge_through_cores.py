"""Merging by further units: limits are obeyed without an adder, and sums are as exact as bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value
from neutrams.ir.ops.indexing import Gather
from neutrams.ir.ops.quantization import Dequantize
from neutrams.ir.ops.unit import Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Range, Target
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.ir.verifier import verify
from neutrams.passes import PassContext, PassManager
from neutrams.passes.match import constant
from neutrams.passes.merging.codes import Form, signed_codes
from neutrams.passes.merging.cut import find_cut
from neutrams.passes.merging.tree import Room, crossbars, depth, plan, widths
from neutrams.targets import load

IDEAL = load("cim", {"core.adc_bits": "0"})
quick = settings(deadline=None, max_examples=40)
ONE_STEP = 0.5 + 2.0**-10
"""The most that rounding moves an output, float32 factors included, in steps."""


def chip(**limits: Any) -> Target:
    return replace(IDEAL, limits=replace(IDEAL.limits, partial_sums=1, **limits))


@dataclass
class Case:
    """A product whose sums are put out as floats, in random steps."""

    graph: Graph
    shape: tuple[int, ...]
    low: int
    top: int
    """The least and the largest input."""

    @staticmethod
    def of(
        seed: int,
        shape: tuple[int, ...],
        neurons: int,
        *,
        bits: int = 8,
        low: int = 0,
        top: int = 255,
        **geometry: Any,
    ) -> Case:
        random = np.random.default_rng(seed)
        graph = Graph("net", "unit")
        kernel = geometry.get("kernel", ())
        groups = geometry.get("groups", 1)
        x = graph.input("x", tensor(DType.I16, symbol("N"), *shape).with_range(low, top))
        fan_in = shape[0 if kernel else -1] // groups * prod(kernel)
        high = 2 ** (bits - 1) - 1
        w = random.integers(-high, high, (neurons, fan_in), endpoint=True).astype(np.int8)
        bias = random.integers(-1000, 1000, neurons) + low * w.sum(axis=1, dtype=np.int64)
        mvm = Mvm(
            x,
            graph.weight("w", w),
            input_offset=-low,
            weight_bits=bits,
            column_flip=True,
            **geometry,
        )
        axis = 1 if kernel else len(shape)
        sums = graph.add(
            Reduce(graph.add(mvm), graph.weight("b", bias.astype(np.int32)), axis=axis)
        )
        scale = random.uniform(0.5, 2, neurons).astype(np.float32)
        zero = graph.weight("z", np.zeros(neurons, np.int32))
        graph.output(graph.add(Dequantize(sums, graph.weight("s", scale), zero, axis=axis)), "y")
        return Case(graph, shape, low, top)

    def samples(self, seed: int, count: int = 6) -> dict[str, Array]:
        random = np.random.default_rng(seed)
        x = random.integers(self.low, self.top, (count, *self.shape), endpoint=True)
        x[:2] = np.array([self.low, self.top]).reshape(2, *(1,) * len(self.shape))
        return {"x": x.astype(np.int16)}

    def lowered(self, target: Target, *, passes: str = "merge-through-cores,split-fan-in") -> None:
        PassManager(passes).run(self.graph, PassContext(target=target))

    def units(self) -> list[Mvm]:
        return [op for op in self.graph.ops if isinstance(op, Mvm)]


def numbers(value: Value | None) -> Array:
    found = constant(value)
    assert found is not None
    return found


def bound(graph: Graph) -> Array:
    """Return how far rounding moves each channel of the output, spread through the units."""
    off: dict[Value, Array] = {}
    for op in graph.ops:
        match op:
            case Gather() if op.x in off:
                off[op.result] = off[op.x][numbers(op.indices)]
            case Mvm() if op.x in off:
                weights = np.abs(numbers(op.w).astype(np.float64))
                apart = weights.reshape(op.groups, -1, op.fan_in)
                off[op.result] = (apart @ off[op.x].reshape(op.groups, -1, 1)).reshape(-1)
            case Mvm():
                off[op.result] = np.zeros(op.outputs)
            case Reduce():
                off[op.result] = off[op.partials]
            case Rescale():
                off[op.result] = off[op.x] * np.abs(numbers(op.scale)) + ONE_STEP
            case Dequantize():
                return off[op.x] * numbers(op.scale)
    raise AssertionError("no sums are put out")


def check_merged(case: Case, target: Target, pairs: bool) -> None:
    data = case.samples(1)
    before = interpret(case.graph, data)["y"]
    signed = "{signed=pairs}" if pairs else ""
    ctx = PassContext(target=target, grids={"x": (1.0, 0)})
    PassManager(f"merge-through-cores{signed},split-fan-in").run(case.graph, ctx)
    assert verify(case.graph, target) == []
    after = interpret(case.graph, data)["y"]
    most = bound(case.graph).reshape(-1, *(1,) * (before.ndim - 2))
    missed = np.abs(after.astype(np.float64) - before)
    assert (missed <= most * (1 + 1e-6) + 1e-6 * np.abs(before)).all()


@quick
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 200),
    st.integers(1, 12),
    st.integers(4, 64),
    st.integers(2, 32),
    st.integers(2, 8),
    st.integers(2, 8),
    st.booleans(),
)
def test_any_matrix_obeys_a_chip_without_an_adder(
    seed: int, inputs: int, neurons: int, rows: int, columns: int, bits: int, out: int, pairs: bool
) -> None:
    case = Case.of(seed, (inputs,), neurons, bits=bits, low=-100, top=155)
    target = chip(fan_in=rows, neurons=columns, weight_bits=bits, output_bits=out)
    check_merged(case, target, pairs)
    parts = -(-inputs // rows)
    if parts > 1 and not pairs:
        assert len(case.units()) == 1 + depth(parts, rows)


GEOMETRY = st.fixed_dictionaries(
    {
        "kernel": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "strides": st.tuples(st.integers(1, 2), st.integers(1, 2)),
        "dilations": st.tuples(st.integers(1, 2), st.integers(1, 2)),
        "pads": st.tuples(*[st.integers(0, 2)] * 4),
        "pad_value": st.integers(0, 3),
        "groups": st.sampled_from([1, 1, 2, 3, 6]),
    }
)


@quick
@given(
    st.integers(0, 2**32 - 1),
    GEOMETRY,
    st.sampled_from([1, 2, 5]),
    st.integers(1, 3),
    st.integers(4, 40),
    st.integers(3, 8),
    st.booleans(),
)
def test_any_convolution_obeys_a_chip_without_an_adder(
    seed: int,
    geometry: dict[str, Any],
    channels: int,
    neurons: int,
    rows: int,
    out: int,
    pairs: bool,
) -> None:
    groups = geometry["groups"]
    shape = (channels * groups, 7, 9)
    case = Case.of(seed, shape, neurons * groups, **geometry)
    check_merged(case, chip(fan_in=rows, neurons=8, output_bits=out), pairs)


@quick
@given(st.integers(0, 2**32 - 1), st.integers(20, 150), st.integers(4, 16), st.integers(3, 8))
def test_units_of_relu_without_large_biases_put_out_pairs(
    seed: int, inputs: int, rows: int, out: int
) -> None:
    case = Case.of(seed, (inputs,), 5)
    held = {"bias_range": Range(-1000, 1000), "functions": ("relu",)}
    check_merged(case, chip(fan_in=rows, output_bits=out, **held), pairs=False)
    first = case.units()[0]
    assert 5 < first.outputs // first.groups <= 10
    for op in case.graph.ops:
        assert not isinstance(op, Rescale) or op.zero == op.low == 0


@quick
@given(st.integers(0, 2**32 - 1), st.integers(20, 150), st.integers(4, 16), st.integers(3, 8))
def test_units_of_signed_outputs_need_neither_pairs_nor_biases(
    seed: int, inputs: int, rows: int, out: int
) -> None:
    case = Case.of(seed, (inputs,), 5, low=-128, top=127)
    half = 2 ** (out - 1)
    target = chip(
        fan_in=rows,
        input_range=Range(-128, 127),
        output_range=Range(-half, half - 1),
        bias_range=Range(-1000, 1000),
    )
    check_merged(case, target, pairs=False)
    first = case.units()[0]
    assert first.outputs // first.groups == 5
    for op in case.graph.ops:
        assert not isinstance(op, Rescale) or (op.zero, op.low) == (0, -half)


@quick
@given(st.integers(0, 2**32 - 1), st.integers(5, 150), st.integers(4, 40), st.booleans())
def test_sums_are_exact_where_bits_suffice(seed: int, inputs: int, rows: int, pairs: bool) -> None:
    case = Case.of(seed, (inputs,), 5, bits=3, top=7)
    data = case.samples(2)
    before = interpret(case.graph, data)["y"]
    signed = "{signed=pairs}" if pairs else ""
    target = chip(fan_in=rows, neurons=16, input_bits=14, output_bits=14)
    case.lowered(target, passes=f"merge-through-cores{signed},split-fan-in")
    assert verify(case.graph, target) == []
    np.testing.assert_array_equal(interpret(case.graph, data)["y"], before)
    if len(case.units()) > 1:
        assert np.abs(numbers(case.units()[-1].w)).max() <= 1


def test_ranges_seen_are_finer_than_ranges_proved() -> None:
    near, proved = Case.of(3, (300,), 20), Case.of(3, (300,), 20)
    data = near.samples(4, 64)
    before = interpret(near.graph, data)["y"]
    target = chip(fan_in=64, output_bits=6)
    for case, calibration in ((near, data), (proved, None)):
        PassManager("merge-through-cores").run(
            case.graph, PassContext(target=target, calibration=calibration)
        )
    missed = [
        np.abs(interpret(case.graph, data)["y"] - before)[2:].mean() for case in (near, proved)
    ]
    assert missed[0] < 0.5 * missed[1]


def test_a_chip_that_adds_some_partial_sums_has_larger_units() -> None:
    case = Case.of(5, (100,), 4)
    target = replace(IDEAL, limits=replace(IDEAL.limits, fan_in=16, partial_sums=3))
    case.lowered(target)
    assert verify(case.graph, target) == []
    first, last = case.units()
    assert (first.groups, first.splits) == (3, 3)
    assert last.fan_in == 3


def test_nothing_is_done_where_the_chip_adds_up_or_the_matrix_fits() -> None:
    for target, inputs in ((IDEAL, 300), (chip(), 128)):
        case = Case.of(6, (inputs,), 4)
        case.lowered(target)
        assert len(case.units()) == 1


def test_only_sums_of_both_signs_are_pairs() -> None:
    low, high = np.array([[0, -9, -9]]), np.array([[9, 9, 0]])
    form = Form.resting(0, 15)
    found = signed_codes(low, high, form, most=7)
    assert found.sign.tolist() == [[[1, 0], [1, -1], [0, -1]]]
    single = signed_codes(low[:, :1], high[:, :1], form, most=7)
    assert single.sign.shape == (1, 1, 1)


def test_depth_is_the_logarithm() -> None:
    for fan_in in (2, 3, 7, 128):
        for parts in (1, 2, fan_in, fan_in + 1, fan_in**2, fan_in**2 + 1):
            least = next(n for n in range(20) if fan_in**n >= parts)
            assert depth(parts, fan_in) == least
            sizes = plan(parts, 10, Room(fan_in, 8, fan_in, 1))
            assert len(sizes) == least
            assert all(size <= fan_in for size in sizes)


@pytest.mark.parametrize("parts", [3, 9, 17, 30])
def test_no_tree_of_as_few_levels_takes_fewer_crossbars(parts: int) -> None:
    room = Room(rows=8, neurons=5, most=8, entries=2)

    def cost(left: int, sizes: tuple[int, ...]) -> int:
        total = 0
        for level, size in enumerate(sizes, start=1):
            left = -(-left // size)
            total += crossbars(6 * left, size, room, last=level == len(sizes))
        return total

    def trees(left: int, levels: int) -> list[tuple[int, ...]]:
        if not levels:
            return [()]
        found = widths(left, levels, room.fan_in)
        return [(w, *rest) for w in found for rest in trees(-(-left // w), levels - 1)]

    every = [cost(parts, sizes) for sizes in trees(parts, depth(parts, room.fan_in))]
    assert cost(parts, plan(parts, 6, room)) == min(every)


@pytest.mark.parametrize(
    ("channels", "kernel", "rows", "parts", "boxes"),
    [
        (784, (), 256, 4, 1),
        (8, (5, 5), 128, 2, 1),
        (1, (5, 5), 16, 2, 2),
        (8, (7, 7), 32, 13, 49),
        (3, (3,), 4, 3, 1),
    ],
)
def test_a_cut_has_the_fewest_parts(
    channels: int, kernel: tuple[int, ...], rows: int, parts: int, boxes: int
) -> None:
    found = find_cut(channels, kernel, rows=rows)
    assert (found.parts, found.boxes) == (parts, boxes)
    assert found.rows <= rows


@pytest.mark.parametrize(
    ("passes", "limits"),
    [
        ("merge-through-cores", {"weight_bits": 1}),
        ("merge-through-cores", {"fan_in": 1}),
        ("merge-through-cores{signed=pairs}", {"fan_in": 3}),
    ],
)
def test_units_too_small_to_merge_are_refused(passes: str, limits: dict[str, int]) -> None:
    with pytest.raises(NeutramsError, match="NT0230"):
        Case.of(7, (300,), 4).lowered(chip(**limits), passes=passes)
