"""Cells, noise and converters: exact where nothing is on, and as stated where something is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from neutrams.ir.crossbar import Encoding, multiply
from neutrams.ir.graph import Graph
from neutrams.ir.kernel import kernel
from neutrams.ir.ops.time import Run
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Coding
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.simulator import simulate
from neutrams.simulator.exact.collect import COLUMNS, I64, LANES, Bytes
from neutrams.simulator.physics import DEVICES, Physics
from neutrams.simulator.physics.array import Analog
from neutrams.simulator.physics.bytes import ByteCells, cells_of_bits, square_bytes
from neutrams.simulator.physics.conductances import program
from neutrams.simulator.physics.matrix import Chance
from neutrams.simulator.physics.normals import TOGETHER, fill_normals, mixed
from neutrams.simulator.physics.readout import convert
from neutrams.simulator.physics.rounding import rounded, sigma_of
from neutrams.simulator.physics.seeds import Draws
from neutrams.simulator.physics.tables import BITS, ENTRIES, MOST, Words, fill, look_up, quick
from neutrams.simulator.run import Runner
from tests.simulator.conftest import BuildNet

ALL = Physics(
    device="pcm", flicker=True, compensate=True, time_s=3600, read_additive=0.01,
    read_proportional=0.02, stuck_on=0.001, stuck_off=0.002, on_off=50, row_ohm=0.2,
    column_ohm=0.2, adc_offset=0.3, adc_gain=0.01, adc_inl=0.2, adc_noise=0.3,
)  # fmt: skip
CODINGS = get_args(Coding)
DRAWS = Draws(0, 0, "array")


def encoding(**changed: Any) -> Encoding:
    base = Encoding(
        input_bits=8, weight_bits=8, cell_bits=2, dac_bits=1, adc_bits=8, coding="offset",
        column_flip=True, adc_mode="clip", rows=128,
    )  # fmt: skip
    return replace(base, **changed)


def read(weights: Array, drive: Array, e: Encoding, physics: Physics, run: int = 0) -> Array:
    """Return ``[places, neurons]`` of an array as made in one of several runs."""
    array = Analog(weights, e, physics, Draws(5, run, "a"), adcs=1)
    return read_array(array, drive.T, 0).T


def read_array(array: Analog, drive: Array, first: int) -> Array:
    """Return ``[neurons, places]`` for ``drive`` ``[rows, places]`` of places from one on."""
    ids = mixed(np.arange(first, first + drive.shape[1], dtype=np.uint64))
    held = np.zeros((array.neurons, drive.shape[1]))
    array.read(np.ascontiguousarray(drive, np.uint16), ids, held)
    return held


@given(
    st.sampled_from(CODINGS), st.booleans(), st.sampled_from(["clip", "scale"]),
    st.sampled_from([0, 4, 6, 8]), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 8]),
    st.integers(1, 40), st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(deadline=None)
def test_nothing_on_is_exact_arithmetic(
    coding: str, flip: bool, mode: str, adc_bits: int, cell_bits: int, dac_bits: int, rows: int,
    seed: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    e = encoding(
        coding=coding, column_flip=flip, adc_mode=mode, adc_bits=adc_bits, cell_bits=cell_bits,
        dac_bits=dac_bits, rows=rows,
    )  # fmt: skip
    weights, drive = rng.integers(-127, 128, (rows, 5)), rng.integers(0, 256, (9, rows))
    found = read(weights, drive, e, Physics())
    np.testing.assert_array_equal(found, multiply(drive, weights, e))


def test_a_pedestal_costs_nothing_where_converters_are_ideal() -> None:
    """Cells that never switch off add the same to all, which the unit column or the pair takes."""
    rng = np.random.default_rng(0)
    weights, drive = rng.integers(-127, 128, (64, 6)), rng.integers(0, 256, (20, 64))
    for coding in CODINGS:
        e = encoding(adc_bits=0, coding=coding)
        found = read(weights, drive, e, Physics(on_off=4.5))
        np.testing.assert_allclose(found, drive @ weights, atol=1)


@pytest.mark.parametrize("dac_bits", [1, 4])
def test_ideal_converters_do_not_tell_where_pairs_are_subtracted(dac_bits: int) -> None:
    rng = np.random.default_rng(1)
    weights, drive = rng.integers(-127, 128, (64, 6)), rng.integers(0, 256, (40, 64))
    stays = replace(ALL, read_additive=0, read_proportional=0, adc_gain=0)
    stays = replace(stays, adc_offset=0, adc_inl=0, adc_noise=0)
    after, before = (
        read(weights, drive, encoding(adc_bits=0, coding=coding, dac_bits=dac_bits), stays)
        for coding in ("differential", "analog-differential")
    )
    np.testing.assert_allclose(before, after, atol=1)
    assert np.abs(before - drive @ weights).max() > 50


def test_normals_are_normal_and_apart() -> None:
    ids = mixed(np.arange(200_000, dtype=np.uint64))
    z = np.empty((2, TOGETHER, len(ids)), np.float32)
    for key, out in zip((17, 18), z, strict=True):
        fill_normals(ids, 0, key, out)
    rows = z.reshape(-1, len(ids))
    for out in rows:
        assert kstest(out, "norm").pvalue > 0.01
        assert out.std() == pytest.approx(1, abs=0.01)
        assert (out**4).mean() == pytest.approx(3, abs=0.1)  # the tails are there
        assert abs(np.corrcoef(out[1:], out[:-1])[0, 1]) < 0.01
    for each in (rows, np.abs(rows)):  # two of a pair share a radius, and yet are independent
        assert np.abs(np.corrcoef(each) - np.eye(len(rows))).max() < 0.01


def test_compiled_normals_equal_plain_ones() -> None:
    ids = mixed(np.arange(300, dtype=np.uint64))
    compiled, plain = np.empty((2, TOGETHER, 290), np.float32)
    fill_normals(ids, 7, 2**32 - 1, compiled)
    fill_normals.py_func(ids, 7, 2**32 - 1, plain)
    np.testing.assert_array_equal(compiled, plain)


@given(
    st.sampled_from(CODINGS), st.sampled_from(["clip", "scale"]),
    st.sampled_from([5, 8]), st.sampled_from([1, 2, 3]), st.sampled_from([1, 2]),
    st.sampled_from(["read_additive", "read_proportional", "adc_noise", "adc_inl"]),
    st.integers(1, 150), st.integers(0, 2**32 - 1),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_look_ups_equal_products(
    coding: str, mode: str, adc_bits: int, cell_bits: int, dac_bits: int, what: str, rows: int,
    seed: int,
) -> None:  # fmt: skip
    """Few places are multiplied, many are looked up; noise depends on a place alone."""
    rng = np.random.default_rng(seed)
    e = encoding(
        coding=coding, adc_mode=mode, adc_bits=adc_bits, cell_bits=cell_bits, dac_bits=dac_bits,
        rows=rows,
    )  # fmt: skip
    noise: Any = {what: 0.3}
    physics = Physics(device="rram-wan", adc_gain=0.02, **noise)
    weights, drive = rng.integers(-127, 128, (rows, 5)), rng.integers(0, 256, (rows, 150))
    array = Analog(weights, e, physics, DRAWS, adcs=3)
    whole = read_array(array, drive, 0)
    parts = [read_array(array, drive[:, low : low + 10], low) for low in range(0, 150, 10)]
    np.testing.assert_array_equal(whole, np.concatenate(parts, axis=1))


WHOLE = {"dac_bits": 8, "coding": "differential"}


@pytest.mark.parametrize(
    ("changed", "noise"),
    [
        ({"adc_bits": 0}, {}),
        ({"adc_bits": 0}, {"read_proportional": 0.1, "row_ohm": 1.0, "column_ohm": 1.0}),
        ({"dac_bits": 8, "adc_bits": 12}, {"read_additive": 0.1}),
        ({**WHOLE, "adc_mode": "scale"}, {"read_proportional": 0.1}),
        ({"dac_bits": 2}, {"read_proportional": 0.1}),
        ({"dac_bits": 4}, {"dac_inl": 0.5}),
        (WHOLE, {"dac_inl": 0.5, "read_proportional": 0.1}),
        ({**WHOLE, "coding": "analog-differential"}, {"read_proportional": 0.1}),
    ],
)
def test_sums_do_not_depend_on_how_many_places_are_read_at_once(
    changed: dict[str, Any], noise: dict[str, Any]
) -> None:
    """Where converters are fine or ideal, too: currents are exact sums in any order."""
    rng = np.random.default_rng(0)
    weights, drive = rng.integers(-127, 128, (128, 7)), rng.integers(0, 256, (128, 210))
    array = Analog(weights, encoding(**changed), Physics(device="rram-wan", **noise), DRAWS, adcs=3)
    whole = read_array(array, drive, 0)
    for step in (1, 7, 30, 100):
        parts = [read_array(array, drive[:, low : low + step], low) for low in range(0, 210, step)]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.skipif(not quick(), reason="the processor has no look-ups of 16 bits")
def test_tables_mean_what_they_say() -> None:
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 3000, (6, 20)).astype(np.uint16)
    sources = rng.integers(0, 2, (4, BITS, 2))
    sources[..., 0] = rng.integers(0, 20, (4, BITS))
    index = rng.integers(0, ENTRIES, (2, 3, 4, LANES)).astype(np.uint8)
    tables, plain = np.empty((2, 4, COLUMNS, ENTRIES), np.uint16)
    sums, slow = np.empty((2, COLUMNS, LANES), np.uint16)
    compiled_tables(cells, 3, sources, tables, index, sums)
    fill(cells, 3, sources, plain)
    look_up(plain, index, 1, 2, slow)
    np.testing.assert_array_equal(tables, plain)
    np.testing.assert_array_equal(sums, slow)


@kernel
def compiled_tables(
    cells: Words, first: int, sources: I64, tables: Words, index: Bytes, sums: Words
) -> None:
    fill(cells, first, sources, tables)
    look_up(tables, index, 1, 2, sums)


def test_rounded_conductances_are_near() -> None:
    cells = np.random.default_rng(0).uniform(0, 3, (7, 128))
    cells[0] = 0
    found = rounded(cells, 1)
    assert (found.cells.sum(axis=1, dtype=np.int64) <= MOST).all()
    off = (found.values() - cells).sum(axis=1)
    assert np.abs(off).max() < 4 * sigma_of(cells, 1) < 0.1


@pytest.mark.parametrize("level", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("device", ["pcm", "pcm-hermes", "rram-wan", "rram-milo"])
def test_programming_has_the_published_deviation(device: str, level: float) -> None:
    """The formulas of cim.md 7.5, written out once more, in µS."""
    g_max, low = {"pcm": (25.0, 0.0), "pcm-hermes": (20.7, 0.0), "rram-wan": (40.0, 1 / 40)}.get(
        device, (225.0, 1 / 4.5)
    )
    x = low + (1 - low) * level
    sigma = {
        "pcm": 0.26348 + 1.9650 * x - 1.1731 * x**2,
        "pcm-hermes": 0.16603 + 4.71807 * x - 8.48101 * x**2 + 4.68961 * x**3,
        "rram-wan": 0.348 + 16.030 * x - 43.853 * x**2 + 45.393 * x**3 - 16.815 * x**4,
        "rram-milo": 4.782 - 0.009107 * 225 * x,
    }[device]
    made = program(np.full((200, 250), level), Physics(device=device), DRAWS)
    z = (made.g.ravel() - x) * g_max / sigma
    assert kstest(z, "norm").pvalue > 0.01


def test_two_fits_of_one_figure_agree() -> None:
    """Another published cubic of Wan's figure, in µS."""
    g = np.linspace(4, 39, 50)
    cubic = 1.536e-4 * g**3 - 0.01167 * g**2 + 0.2374 * g + 1.053
    ours = DEVICES["rram-wan"].sigma(g / 40, 1.0) * 40
    assert np.abs(ours - cubic).max() < 0.55
    assert np.abs(ours - cubic).mean() < 0.3


def test_drift_follows_its_law_and_is_compensated() -> None:
    levels = np.full((100, 400), 0.5)
    early = program(levels, Physics(device="pcm"), DRAWS)
    late = program(levels, Physics(device="pcm", time_s=86_400, compensate=True), DRAWS)
    nu = -np.log(late.g / early.g) / np.log(86_400 / 20)
    mean, spread = 0.049, 0.008  # both laws are at their bounds at half of the range
    inside = nu > 0  # exponents below zero are cut off
    assert inside.mean() > 0.999
    assert kstest(((nu - mean) / spread)[inside], "norm").pvalue > 0.01
    assert late.gain * late.g.sum() == pytest.approx(early.g.sum())


def test_read_noise_has_its_variance() -> None:
    """Of independent cells, at every read: Σ (x σ)² of a column, over codings without slices."""
    drive = np.random.default_rng(0).integers(0, 2, (1, 64)).repeat(20_000, axis=0)
    ideal = encoding(input_bits=1, weight_bits=3, cell_bits=2, coding="differential", adc_bits=0)
    one = replace(ideal, coding="analog-differential")
    # a column of level 3, less twice the unit column, each with a converter
    real = encoding(input_bits=1, weight_bits=2, cell_bits=2, column_flip=False)
    for e, physics, sigma in (
        (real, Physics(read_additive=0.5), 0.5 * 3 * np.sqrt(1 + 2**2)),
        (real, Physics(read_proportional=0.5), 0.5 * np.sqrt(3**2 + 2**2)),
        (ideal, Physics(read_additive=2.0), 2.0 * 3 * np.sqrt(2)),  # both columns of the pair
        (ideal, Physics(read_proportional=3.0), 3.0 * 3),  # the other column's cells are off
        (one, Physics(read_additive=2.0), 2.0 * 3 * np.sqrt(2)),
        (one, Physics(read_proportional=3.0, on_off=4), np.hypot(3.0 * 4, 3.0)),
    ):
        weight = 1 if e is real else 3
        found = read(np.full((64, 1), weight), drive, e, physics)
        z = (found - weight * drive[0].sum()) / np.sqrt(drive[0].sum())
        spread = np.random.default_rng(1).uniform(-0.5, 0.5, z.shape) / np.sqrt(drive[0].sum())
        assert kstest((z + spread)[:, 0] / sigma, "norm").pvalue > 0.01


def test_stuck_cells() -> None:
    made = program(np.full((300, 300), 0.5), Physics(stuck_on=0.02, stuck_off=0.05), DRAWS)
    assert (made.g == 1).mean() == pytest.approx(0.02, abs=0.002)
    assert (made.g == 0).mean() == pytest.approx(0.05, abs=0.003)
    assert (made.g[(made.g > 0) & (made.g < 1)] == 0.5).all()


@pytest.mark.parametrize("bottom", [0, -256])
def test_converters_err_as_stated(bottom: int) -> None:
    """Gain, offset and bow of the transfer curve, in steps of 4, of three columns."""
    at = np.arange(4.0 * bottom - 80, 1100.0, 0.5, dtype=np.float32)
    currents = np.stack([at] * 3)
    errors = np.array([[1, 1.02, 1], [0, 0, -1.5], [0.75, 0, 0]], np.float32)
    convert(currents, 4.0, bottom, 255, *errors)
    x = at.astype(np.float64) / 4
    for found, (gain, offset, bow) in zip(currents, errors.T.astype(np.float64), strict=True):
        code = x * gain + offset
        part = np.clip((code - bottom) / (255 - bottom), 0, 1)
        wanted = np.clip(code + 4 * bow * part * (1 - part), bottom, 255)
        assert np.abs(found / 4 - wanted).max() <= 0.501  # the step of the converter
        assert set(np.unique(found / 4)) <= set(range(bottom, 256))


def test_offsets_vary_from_converter_to_converter() -> None:
    """Pairs of columns with a converter each differ by √2 σ; on one converter they do not.

    A pair with one converter has its offset once.
    """
    pair = encoding(weight_bits=2, cell_bits=1, coding="differential", input_bits=1, rows=1000)
    one = replace(pair, coding="analog-differential")
    weights, drive = np.tile([[1], [-1]], (60, 3000)), np.ones((1, 120), int)
    for e, adcs, sigma in ((pair, 6000, 4 * np.sqrt(2)), (pair, 1, 0.0), (one, 3000, 4.0)):
        array = Analog(weights, e, Physics(adc_offset=4.0), Draws(0, 0, "a"), adcs=adcs)
        found = read_array(array, drive.T, 0)
        assert found.std() == pytest.approx(np.hypot(sigma, 2**-0.5 / 3**0.5 * (sigma > 0)), 0.04)


def test_a_bow_of_dacs_leaves_their_ends() -> None:
    e = encoding(dac_bits=4, adc_bits=0)
    weights = np.random.default_rng(0).integers(-127, 128, (32, 4))
    ends = np.array([[0], [15], [240], [255]]).repeat(32, axis=1)
    middle = np.full((1, 32), 7 + 16 * 8)
    physics = Physics(dac_inl=0.5)
    np.testing.assert_array_equal(read(weights, ends, e, physics), multiply(ends, weights, e))
    assert (read(weights, middle, e, physics) != multiply(middle, weights, e)).any()


def test_runs_repeat_and_do_not_depend_on_batches(build_net: BuildNet) -> None:
    program_ = build_net()
    x = np.random.default_rng(0).integers(0, 256, (7, 1, 12, 12)).astype(np.uint8)
    first, again, batched, other, reseeded = (
        simulate(program_, {"x": x}, batch=batch, chance=Chance(ALL, seed, run, adcs=8))
        for batch, seed, run in ((7, 1, 0), (7, 1, 0), (2, 1, 0), (7, 1, 1), (7, 2, 0))
    )
    for name, found in first.outputs.items():
        np.testing.assert_array_equal(again.outputs[name], found)
        np.testing.assert_array_equal(batched.outputs[name], found)
        assert (other.outputs[name] != found).any()
        assert (reseeded.outputs[name] != found).any()


def test_nothing_on_runs_a_network_exactly(build_net: BuildNet) -> None:
    program_ = build_net()
    x = np.random.default_rng(0).integers(0, 256, (5, 1, 12, 12)).astype(np.uint8)
    exact = simulate(program_, {"x": x})
    analog = simulate(program_, {"x": x}, chance=Chance(Physics()))
    np.testing.assert_array_equal(analog.outputs["scores"], exact.outputs["scores"])


def test_common_random_numbers() -> None:
    """Chips of one run differ only in what differs between their physics."""
    rng = np.random.default_rng(0)
    weights, drive = rng.integers(-127, 128, (64, 6)), rng.integers(0, 256, (50, 64))
    e, base = encoding(), Physics(device="rram-wan")
    harmless = replace(base, adc_offset=1e-9)
    np.testing.assert_array_equal(read(weights, drive, e, base), read(weights, drive, e, harmless))
    more = [read(weights, drive, e, replace(base, stuck_off=part)) for part in (0, 1e-9, 0.01)]
    np.testing.assert_array_equal(more[0], more[1])
    assert (more[0] != more[2]).any()


def test_arrays_of_two_cells_differ() -> None:
    """Both directions of a recurrent layer have the same names inside, and cells of their own."""
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 3, 6))
    for name in ("forth", "back"):
        cell = Graph("cell", "unit")
        step = cell.input("step", tensor(DType.U8, symbol("N"), 6))
        w = cell.weight("w", np.full((2, 6), 3, np.int8))
        cell.output(cell.add(Reduce(cell.add(Mvm(step, w, dac_bits=8), name="sums"))))
        run = Run((x,), cell=cell, over=(1,), stack=(1,))
        graph.insert(run, name=[name])
        graph.output(run.results[0], name)
    drive = np.full((2, 3, 6), 200, np.uint8)
    noisy = Chance(Physics(programming_additive=0.1))
    one, other = Runner(graph, chance=noisy)({"x": drive}).values()
    assert (one != other).any()
    np.testing.assert_array_equal(one[:, 0], one[:, 2])  # cells stay as they were programmed
    read = Chance(Physics(read_additive=0.1))
    one, other = Runner(graph, chance=read)({"x": drive}).values()
    assert (one[:, 0] != one[:, 2]).any()
    assert (one[0] != one[1]).any()


def test_rounding_can_be_turned_off() -> None:
    """Codes then are those of conductances as programmed; else one in a hundred is a step off."""
    rng = np.random.default_rng(0)
    weights, drive = rng.integers(-127, 128, (512, 6)), rng.integers(0, 256, (300, 512))
    e = encoding(
        coding="analog-differential", dac_bits=8, cell_bits=7, adc_mode="scale", rows=512
    )  # fmt: skip
    physics = Physics(programming_additive=0.02)
    near, fine = (read(weights, drive, e, replace(physics, rounding=by)) for by in (1 / 12, 0.0))
    finer = read(weights, drive, e, replace(physics, rounding=1e-6))
    np.testing.assert_array_equal(fine, finer)
    apart = np.abs(near - fine)
    assert 0.0 < (apart > 0).mean() < 0.05
    assert apart.std() < 0.3 * fine.std()
    assert Physics(rounding=0.0).ideal


def test_cells_as_bytes_are_near() -> None:
    """Rounding changes currents by what is stated, and variances by a part that noise hides."""
    rng = np.random.default_rng(0)
    cells, digits = rng.normal(0, 40, (12, 512)), rng.integers(0, 256, (512, 300)).astype(np.uint8)
    made = ByteCells(cells, cells_of_bits(7))
    found = made.times(digits, "currents").copy()
    off, sigma = found - cells @ digits, made.fine * 255 * np.sqrt(512 / 12)
    assert 0.3 * sigma.max() < off.std() < sigma.min()
    assert not made.fit(sigma * 0.9)
    assert made.fit(sigma * 1.1)
    few = made.times(np.ascontiguousarray(digits[:, 100:110]), "few")
    np.testing.assert_array_equal(few, found[:, 100:110])
    squares = np.empty_like(digits)
    square_bytes(digits, 255, squares)
    whole = np.square(digits.astype(np.float64))
    assert np.abs(squares - whole / 255).max() < 0.51
    varying = ByteCells(np.square(cells) * 255, 1e-30).times(squares, "varying")
    np.testing.assert_allclose(varying, np.square(cells) @ whole, rtol=0.01)
