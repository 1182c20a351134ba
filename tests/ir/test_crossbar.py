"""The meaning of a crossbar, spelt once more in whole numbers, one column at a time."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir.crossbar import Encoding, lossless, multiply, never_errs
from neutrams.ir.target import Coding


def encoding(**fields: Any) -> Encoding:
    plain = {
        "input_bits": 8, "weight_bits": 8, "cell_bits": 2, "dac_bits": 1, "adc_bits": 8,
        "coding": "offset", "column_flip": False, "adc_mode": "clip", "rows": 128,
    }  # fmt: skip
    return Encoding(**{**plain, **fields})


def converted(total: int, largest: int, e: Encoding, *, signed: bool) -> int:
    """Return what a converter says of a sum whose range is 0, or its negative, to ``largest``."""
    if not e.adc_bits:
        return total
    magnitude = e.adc_bits - signed
    step = 1
    while e.adc_mode == "scale" and largest // step >= 2**magnitude:
        step *= 2
    code = (2 * total + step) // (2 * step) if step > 1 else total
    low, high = (-(2**magnitude) if signed else 0), 2**magnitude - 1
    return int(max(low, min(high, code)) * step)


def columns(weights: list[int], e: Encoding) -> list[tuple[int, list[int]]]:
    """Return what each column of one neuron is worth, and its levels."""
    base = 2**e.cell_bits
    half = 2 ** (e.weight_bits - 1)
    if e.coding == "offset":
        held, count = [w + half for w in weights], -(-e.weight_bits // e.cell_bits)
        return [(base**k, [u // base**k % base for u in held]) for k in range(count)]
    count = -(-(e.weight_bits - 1) // e.cell_bits)
    if e.coding == "twos-complement":
        held = [w % half for w in weights]
        low = [(base**k, [u // base**k % base for u in held]) for k in range(count)]
        return [*low, (-half, [int(w < 0) for w in weights])]
    pairs = []
    for k in range(count):
        plus, minus = ([max(s * w, 0) // base**k % base for w in weights] for s in (1, -1))
        if e.coding == "differential":
            pairs += [(base**k, plus), (-(base**k), minus)]
        else:
            pairs.append((base**k, [p - m for p, m in zip(plus, minus, strict=True)]))
    return pairs


def neuron(x: list[int], weights: list[int], e: Encoding) -> int:
    top, digit = 2**e.cell_bits - 1, 2**e.dac_bits
    signed, offset = e.coding == "analog-differential", e.coding == "offset"
    whole = e.rows * top * (digit - 1)
    largest = (whole + 1) // 2 if e.column_flip else whole
    total = 0
    for phase in range(-(-e.input_bits // e.dac_bits)):
        driven = [each // digit**phase % digit for each in x]
        ones = converted(sum(driven), e.rows * (digit - 1), e, signed=signed)
        found = -ones * 2 ** (e.weight_bits - 1) if offset else 0
        for worth, levels in columns(weights, e):
            turned = e.column_flip and offset and sum(levels) > len(levels) * top / 2
            cells = [top - level for level in levels] if turned else levels
            seen = sum(d * c for d, c in zip(driven, cells, strict=True))
            code = converted(seen, largest, e, signed=signed)
            found += worth * (top * ones - code if turned else code)
        total += digit**phase * found
    return total


@st.composite
def encodings(draw: st.DrawFn) -> Encoding:
    coding = draw(st.sampled_from(get_args(Coding)))
    return encoding(
        input_bits=draw(st.integers(1, 9)),
        weight_bits=draw(st.integers(2, 9)),
        cell_bits=draw(st.integers(1, 8)),
        dac_bits=draw(st.integers(1, 8)),
        adc_bits=draw(st.sampled_from([0, *range(2, 13)])),
        coding=coding,
        column_flip=coding == "offset" and draw(st.booleans()),
        adc_mode=draw(st.sampled_from(["clip", "scale"])),
        rows=draw(st.sampled_from([1, 9, 128])),
    )


@settings(max_examples=80, deadline=None)
@given(encodings(), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_block_gives_what_its_columns_add_up_to(e: Encoding, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    half, top = 2 ** (e.weight_bits - 1), 2**e.input_bits
    weights, x = rng.integers(-half + 1, half, (rows, 3)), rng.integers(0, top, (4, rows))
    x[0], weights[:, 0] = top - 1, half - 1
    found = multiply(x, weights, e)
    for place, one in enumerate(x.tolist()):
        for index, column in enumerate(weights.T.tolist()):
            assert found[place, index] == neuron(one, column, e)
    exact = (found == x @ weights).all(axis=0)
    assert (exact | ~lossless(weights, e)).all()
    assert lossless(weights, e).all() or not never_errs(rows, e)


@pytest.mark.parametrize(
    ("rows", "level", "changed"),
    [
        (85, 127, {}),  # 85 cells of level 3 sum to 255
        (255, 1, {"column_flip": True}),  # a column of level 2, turned: 255 of level 1
        (127, 3, {"coding": "analog-differential", "cell_bits": 1}),  # codes of 8 bits end at 127
        (128, -3, {"coding": "analog-differential", "cell_bits": 1}),  # and at -128
        (17, 127, {"coding": "twos-complement", "dac_bits": 4, "cell_bits": 1}),  # 17 × 15
    ],
)
def test_a_neuron_is_lossless_just_as_long_as_its_sums_are_codes(
    rows: int, level: int, changed: dict[str, Any]
) -> None:
    e = encoding(**changed)
    for count, wanted in ((rows, True), (rows + 1, False)):
        weights = np.full((count, 2), level)
        assert lossless(weights, e).tolist() == [wanted, wanted]
        x = np.full((1, count), 255)
        assert ((multiply(x, weights, e) == x @ weights).all()) == wanted


@pytest.mark.parametrize(("rows", "safe"), [(85, True), (86, False)])
def test_whatever_a_block_holds(rows: int, safe: bool) -> None:
    assert never_errs(rows, encoding()) == safe
    assert never_errs(2 * rows, encoding(column_flip=True)) == safe
    assert never_errs(rows, encoding(adc_bits=0))


def test_where_bits_are_dropped_only_empty_columns_are_safe() -> None:
    e = encoding(adc_bits=4, adc_mode="scale", coding="differential", cell_bits=1)
    assert e.shift
    weights = np.array([[0, 1, -1]])
    assert lossless(weights, e).tolist() == [True, False, False]
    assert multiply(np.array([[1]]), weights, e).tolist() == [[0, 0, 0]]
    assert encoding(coding="analog-differential").reads_per_neuron == 4
    assert encoding(coding="differential").reads_per_neuron == 8
