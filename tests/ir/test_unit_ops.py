"""Unit ops against torch, closed forms and brute force."""

from __future__ import annotations

import itertools
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from neutrams.ir.blocks import blocks, used
from neutrams.ir.crossbar import Encoding, lossless, multiply
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Weight
from neutrams.ir.ops.digits import Digits, Join
from neutrams.ir.ops.unit import Add, AveragePool, Lut, Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Coding
from neutrams.ir.types import Array, DType, TensorType, symbol


def run(kind: Any, *arrays: Array, **attributes: Any) -> tuple[Op, Array]:
    """Build an op on a batched input and constants, and evaluate it."""
    graph = Graph("main", "unit")
    first = TensorType(DType.of(arrays[0].dtype), (symbol("N"), *arrays[0].shape[1:]))
    constants = [graph.weight(f"c{i}", array) for i, array in enumerate(arrays[1:])]
    op = kind(graph.input("x", first), *constants, **attributes)
    graph.add(op)
    return op, op.evaluate(*arrays)


def integers(shape: tuple[int, ...], low: int, high: int, dtype: str, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("rows", [0, 7])
def test_ideal_convolution_is_torchs(rank: int, rows: int) -> None:
    groups, channels, neurons = 3, 2, 4
    x = integers((2, groups * channels, *(6, 7, 5)[:rank]), 0, 256, "uint8")
    taps = (3, 2, 2)[:rank]
    w = integers((groups * neurons, channels * int(np.prod(taps))), -128, 128, "int8")
    geometry = {
        "strides": (2, 1, 1)[:rank],
        "pads": (1, 0, 2)[:rank] + (2, 1, 1)[:rank],
        "dilations": (1, 2, 1)[:rank],
    }
    _, found = run(
        Mvm, x, w, kernel=taps, groups=groups, pad_value=5, rows=rows, neurons=rows, **geometry
    )
    around = [(0, 0), (0, 0), *zip((1, 0, 2)[:rank], (2, 1, 1)[:rank], strict=True)]
    padded = torch.from_numpy(np.pad(x, around, constant_values=5).astype(np.float64))
    kernel = torch.from_numpy(w.reshape(len(w), channels, *taps).astype(np.float64))
    convolve = (torch.conv1d, torch.conv2d, torch.conv3d)[rank - 1]
    expected = convolve(
        padded,
        kernel,
        stride=geometry["strides"],
        dilation=geometry["dilations"],
        groups=groups,
    )
    assert found.shape[1:] == tuple(expected.shape)
    assert (found.sum(axis=0) == expected.numpy()).all()
    assert len(found) == (-(-w.shape[1] // rows) if rows else 1)


def test_offset_is_added_to_what_the_rows_see() -> None:
    x = integers((3, 4, 10), -128, 128, "int8")
    w = integers((5, 10), -128, 128, "int8")
    _, found = run(Mvm, x, w, input_offset=128, rows=4, neurons=2)
    assert found.shape == (3, 3, 4, 5)
    assert (found.sum(axis=0) == (x.astype(int) + 128) @ w.T.astype(int)).all()


def test_wide_sums_get_wide_integers() -> None:
    x = np.full((1, 9), 2**16 - 1, np.uint16)
    w = np.full((1, 9), -(2**15), np.int16)
    op, found = run(Mvm, x, w, input_bits=16, weight_bits=16)
    assert op.result.type.dtype is DType.I64
    assert found.ravel().tolist() == [-9 * 2**15 * (2**16 - 1)]


@given(
    groups=st.integers(1, 6),
    fan_in=st.integers(1, 40),
    neurons=st.integers(1, 20),
    rows=st.integers(0, 30),
    columns=st.integers(0, 12),
)
def test_blocks_hold_every_weight_once(
    groups: int, fan_in: int, neurons: int, rows: int, columns: int
) -> None:
    table = blocks(groups, fan_in, neurons, rows, columns)
    held = np.zeros((groups, fan_in, neurons), int)
    for group_lo, group_hi, row_lo, row_hi, col_lo, col_hi in table:
        held[group_lo:group_hi, row_lo:row_hi, col_lo:col_hi] += 1
    assert (held == 1).all()
    used_rows, used_neurons = used(table)
    assert not rows or used_rows.max() <= rows
    assert not columns or used_neurons.max() <= columns


def test_depthwise_groups_share_blocks() -> None:
    assert len(blocks(64, 9, 1, 128, 32)) == -(-64 // min(128 // 9, 32))


def encoding(**changes: Any) -> Encoding:
    base = {
        "input_bits": 8,
        "weight_bits": 8,
        "cell_bits": 2,
        "dac_bits": 1,
        "adc_bits": 8,
        "coding": "offset",
        "column_flip": True,
        "adc_mode": "clip",
        "rows": 128,
    }
    return Encoding(**{**base, **changes})


def test_flipping_saves_the_bit_isaac_says_it_saves() -> None:
    """ISAAC section V: 128 rows of 2-bit cells need 9 bits, and 8 with flipped columns."""
    weights = np.full((128, 1), 127)
    assert lossless(weights, encoding()).all()
    assert not lossless(weights, encoding(column_flip=False)).any()
    assert lossless(weights, encoding(column_flip=False, adc_bits=9)).all()


@given(
    weights=st.lists(st.integers(-4, 3), min_size=3, max_size=3),
    adc_bits=st.integers(1, 4),
    cell_bits=st.integers(1, 3),
    dac_bits=st.integers(1, 2),
    coding=st.sampled_from(get_args(Coding)),
    flip=st.booleans(),
    mode=st.sampled_from(["clip", "scale"]),
)
def test_what_is_called_lossless_is(
    weights: list[int],
    adc_bits: int,
    cell_bits: int,
    dac_bits: int,
    coding: str,
    flip: bool,
    mode: str,
) -> None:
    """Brute force over every input of three rows; a lossless neuron is exact on all of them."""
    e = encoding(
        input_bits=2,
        weight_bits=3,
        cell_bits=cell_bits,
        dac_bits=dac_bits,
        adc_bits=adc_bits,
        coding=coding,
        column_flip=flip,
        adc_mode=mode,
        rows=3,
    )
    low = -3 if "differential" in coding else -4
    held = np.maximum(np.array(weights)[:, None], low)
    every = np.array(list(itertools.product(range(4), repeat=3)))
    exact = (multiply(every, held, e) == every @ held).all()
    assert exact or not lossless(held, e)[0]
    alone = cell_bits == 3 and coding == "offset" and not flip
    if mode == "clip" and (alone or (cell_bits >= 2 and coding == "analog-differential")):
        assert exact == lossless(held, e)[0]


@given(
    sums=st.lists(st.integers(0, 500), min_size=1, max_size=20),
    bits=st.integers(1, 10),
)
def test_scaling_converters_round_to_a_step(sums: list[int], bits: int) -> None:
    """One row, one phase and one slice: the column sum is the weight's code itself."""
    e = encoding(
        input_bits=1,
        weight_bits=9,
        cell_bits=9,
        adc_bits=bits,
        column_flip=False,
        adc_mode="scale",
        rows=1,
    )
    codes = np.array(sums)
    found = multiply(np.ones((1, 1), int), (codes - 256)[None], e)[0] + 256
    step = 2 ** max(0, 9 - bits)
    expected = np.minimum(np.floor(codes / step + 0.5), 2**bits - 1) * step
    assert (found == expected).all()


@given(
    weights=st.lists(st.integers(-15, 15), min_size=4, max_size=4),
    x=st.lists(st.integers(0, 7), min_size=4, max_size=4),
    bits=st.integers(1, 10),
    mode=st.sampled_from(["clip", "scale"]),
)
def test_one_converter_reads_the_difference_of_a_pair(
    weights: list[int], x: list[int], bits: int, mode: str
) -> None:
    """One phase and one slice: the sum of a pair is the product, the converter is signed."""
    e = encoding(
        input_bits=3, weight_bits=5, cell_bits=4, dac_bits=3, adc_bits=bits, rows=4,
        coding="analog-differential", column_flip=False, adc_mode=mode,
    )  # fmt: skip
    held, drive = np.array(weights)[:, None], np.array(x)[None]
    least = -(2.0 ** (bits - 1))
    step = 2.0 ** max(0, 9 - (bits - 1)) if mode == "scale" else 1.0  # 4 · 15 · 7 takes 9 bits
    expected = np.clip(np.floor(drive @ held / step + 0.5), least, -least - 1) * step
    assert (multiply(drive, held, e) == expected).all()


def test_reduce_adds_splits_and_bias() -> None:
    x = integers((4, 2, 3, 5), -99, 99, "int32")
    graph = Graph("main", "unit")
    partials = graph.input("x", TensorType(DType.I32, (4, symbol("N"), 3, 5)))
    op = Reduce(partials, graph.weight("b", np.array([1, -2, 3], np.int32)), axis=1)
    found = op.evaluate(x, np.array([1, -2, 3], np.int32))
    assert (found == x.sum(axis=0) + np.array([1, -2, 3])[:, None]).all()
    assert str(op.result.type) == "i32[N, 3, 5]"


def test_rescale_rounds_half_to_even_and_saturates() -> None:
    x = np.array([[1, 3, 5, -1, -3, 1000, -1000]], np.int32)
    _, found = run(Rescale, x, np.array(0.5, np.float32), zero=1, low=-5, high=7)
    assert found.tolist() == [[1, 3, 3, 1, -1, 7, -5]]
    assert found.dtype == np.int8


def test_add_is_what_its_formula_says() -> None:
    a, b = integers((2, 3), 0, 256, "uint8"), integers((2, 3), -128, 128, "int8", seed=1)
    graph = Graph("main", "unit")
    op = Add(
        graph.weight("a", a), graph.weight("b", b), a_scale=0.25, b_scale=0.5, a_zero=7, zero=3
    )
    exact = (a.astype(float) - 7) * 0.25 + b * 0.5  # sums of quarters are exact in float32
    assert (op.evaluate(a, b) == np.clip(np.rint(exact) + 3, -128, 127)).all()


def test_lut_looks_up_from_low_on() -> None:
    table = np.array([10, 20, 30], np.uint8)
    op, found = run(Lut, np.array([[-1, 0, 1]], np.int8), table, low=-1)
    assert found.tolist() == [[10, 20, 30]]
    assert op.result.type.dtype is DType.U8


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_average_pool_is_torchs(include: bool, ceil_mode: bool) -> None:
    x = integers((2, 3, 7, 8), 0, 256, "uint8")
    geometry = {"kernel": (3, 2), "strides": (2, 3), "pads": (1, 1, 1, 1)}
    _, found = run(
        AveragePool, x, **geometry, ceil_mode=ceil_mode, count_include_pad=include,
        scale=1024.0, low=-(2**24), high=2**24, dtype=DType.I32,
    )  # fmt: skip
    expected = torch.nn.functional.avg_pool2d(
        torch.from_numpy(x.astype(np.float64)), (3, 2), (2, 3), 1, ceil_mode, include
    )
    assert found.shape == expected.shape
    assert np.abs(found - 1024 * expected.numpy()).max() <= 0.51


def weight(data: NDArray[Any]) -> Weight:
    return Graph("main", "unit").weight("w", data)


@pytest.mark.parametrize(
    ("code", "x", "w", "attributes"),
    [
        ("NT0130", np.zeros((1, 4), np.float32), np.zeros((2, 4), np.int8), {}),
        ("NT0131", np.zeros((1, 4), np.uint8), np.full((2, 4), 9, np.int8), {"weight_bits": 4}),
        (
            "NT0131",
            np.zeros((1, 4), np.uint8),
            np.full((2, 4), -128, np.int8),
            {"coding": "differential"},
        ),
        ("NT0120", np.zeros((1, 1, 4), np.uint8), np.zeros((2, 5), np.int8), {"kernel": (5,)}),
        ("NT0107", np.zeros((1, 4), np.uint8), np.zeros((2, 5), np.int8), {}),
        ("NT0108", np.zeros((1, 4), np.uint8), np.zeros((2, 4), np.int8), {"coding": "gray"}),
    ],
)
def test_faults_name_themselves(code: str, x: Array, w: Array, attributes: dict[str, Any]) -> None:
    with pytest.raises(NeutramsError) as caught:
        Mvm(weight(x), weight(w), **attributes)
    assert caught.value.diagnostics[0].code == code


@pytest.mark.parametrize(("count", "bits", "axis"), [(2, 4, 1), (5, 2, -1), (3, 3, 2)])
def test_digits_put_together_are_the_number(count: int, bits: int, axis: int) -> None:
    offset = 2 ** (count * bits - 1)
    x = integers((2, 3, 4), -offset, offset, "int16")
    _, digits = run(Digits, x, count=count, bits=bits, offset=offset, axis=axis)
    assert digits.max() < 2**bits
    _, joined = run(Join, digits.astype(np.int32), count=count, bits=bits, axis=axis)
    np.testing.assert_array_equal(joined - offset, x)


def test_sums_of_digits_are_joined_group_by_group() -> None:
    x = np.array([[1, 2, 3, 4, 5, 6, 7, 8]], np.int32)
    _, found = run(Join, x, count=2, bits=3, groups=2)
    assert found.tolist() == [[1 * 8 + 3, 2 * 8 + 4, 5 * 8 + 7, 6 * 8 + 8]]
    _, highest = run(Join, x, count=4, bits=1, groups=1)
    assert highest.tolist() == [[8 + 3 * 4 + 5 * 2 + 7, 2 * 8 + 4 * 4 + 6 * 2 + 8]]
