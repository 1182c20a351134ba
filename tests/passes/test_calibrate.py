"""Ranges from data: observers against closed forms, and data that does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.text import parse_graph
from neutrams.ir.types import Array
from neutrams.passes import PassContext, PassManager
from neutrams.passes.observers import Histogram, choose

NET = """graph @net(%x: f32[N, 3]) {
  weight @w : f32[3, 2] = [1.0, 0.0, 0.0, 2.0, 0.0, 0.0]
  %h = nn.matmul(%x, @w) : f32[N, 2]
  %y = nn.relu(%h) : f32[N, 2]
  return %y
}"""


def histogram_of(*arrays: Array) -> Histogram:
    histogram = Histogram()
    for array in arrays:
        histogram.add(array)
    return histogram


def calibrated(data: Array, pipeline: str) -> Graph:
    graph = parse_graph(NET)
    PassManager(pipeline).run(graph, PassContext(calibration={"x": data}))
    return graph


@pytest.mark.parametrize(
    ("bits", "gauss", "laplace"), [(2, 1.71, 2.83), (3, 2.15, 3.89), (4, 2.55, 5.03)]
)
def test_least_squares_ranges_are_the_known_ones(bits: int, gauss: float, laplace: float) -> None:
    """Optimal clipping in units of σ and b: Banner et al., NeurIPS 2019, section 3.1.

    That paper counts 2^bits steps in the range, so the range is a step wider here.
    """
    rng = np.random.default_rng(0)
    wider = (2**bits - 1) / 2**bits
    for sample, known in (
        (rng.normal(size=2**20), gauss),
        (rng.laplace(size=2**20), laplace),
    ):
        low, high = choose(histogram_of(sample), "mse", bits=bits, percentile=0)
        assert -low == pytest.approx(high, rel=0.15)
        assert wider * known * 0.85 < high < known * 1.15


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=30), min_size=1, max_size=5
    )
)
def test_histograms_count_every_number_however_the_stream_is_cut(parts: list[list[float]]) -> None:
    arrays = [np.array(part, np.float32) for part in parts]
    whole = np.concatenate(arrays)
    cut, once = histogram_of(*arrays), histogram_of(whole)
    for histogram in (cut, once):
        assert (histogram.low, histogram.high) == (whole.min(), whole.max())
        assert histogram.counts.sum() == whole.size
    assert cut.exponent == once.exponent
    assert np.array_equal(np.trim_zeros(cut.counts), np.trim_zeros(once.counts))


def test_percentile_cuts_rare_ends() -> None:
    data = np.concatenate([np.linspace(0, 1, 9999), [1000.0]])
    assert choose(histogram_of(data), "percentile", bits=8, percentile=99.9)[1] < 1.5
    assert choose(histogram_of(data), "min-max", bits=8, percentile=99.9) == (0, 1000)


def test_whole_numbers_with_an_integer_each_are_covered() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, 10_000).astype(np.float32) ** 1
    pixels[:9000] = 0
    assert choose(histogram_of(pixels), "mse", bits=8, percentile=0) == (0, pixels.max())


def test_ranges_are_written_on_every_float_value() -> None:
    data = np.array([[1, -2, 0], [3, 0.5, 9], [-1, 1, 1]], np.float32)
    graph = calibrated(data, "calibrate{observer=min-max}")
    ranges = {value.name: value.type.range for value in graph.values()}
    assert ranges == {"x": (-2, 9), "w": None, "h": (-4, 3), "y": (0, 3)}


def test_samples_are_limited() -> None:
    data = np.arange(30, dtype=np.float32).reshape(10, 3)
    graph = calibrated(data, "calibrate{observer=min-max samples=2}")
    assert graph.inputs[0].type.range == (0, 5)


def test_a_fixed_batch_is_looped_over() -> None:
    graph = parse_graph(NET.replace("N", "2"))
    data = np.arange(15, dtype=np.float32).reshape(5, 3)
    PassManager("calibrate{observer=min-max}").run(graph, PassContext(calibration={"x": data}))
    assert graph.inputs[0].type.range == (0, 11), "a rest of one sample fills no batch"


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (None, "NT0207", "--calibrate data.npz"),
        ({}, "NT0207", "needs calibration data"),
        ({"y": np.ones((2, 3), np.float32)}, "NT0208", "no input `y`"),
        ({"x": np.ones((2, 4), np.float32)}, "NT0208", "has shape [2, 4]"),
        ({"x": np.ones((2, 3, 1), np.float32)}, "NT0208", "f32[N, 3]"),
        ({"x": np.ones((0, 3), np.float32)}, "NT0208", "is empty"),
        ({"x": np.full((2, 3), np.nan, np.float32)}, "NT0208", "NaN or infinite"),
        ({"x": np.array([["a", "b", "c"]])}, "NT0208", "holds no numbers"),
    ],
)
def test_data_that_does_not_fit_is_refused(
    data: dict[str, Array] | None, code: str, says: str
) -> None:
    with pytest.raises(NeutramsError) as caught:
        PassManager("calibrate").run(parse_graph(NET), PassContext(calibration=data))
    assert f"error[{code}]" in str(caught.value)
    assert says in str(caught.value)


def test_a_value_that_becomes_infinite_is_named() -> None:
    graph = parse_graph(NET.replace("nn.relu", "nn.reciprocal"))
    with pytest.raises(NeutramsError, match=r"NT0213.*`%y`"):
        PassManager("calibrate").run(
            graph, PassContext(calibration={"x": np.zeros((1, 3), np.float32)})
        )


def test_quantize_without_ranges_is_refused() -> None:
    with pytest.raises(NeutramsError, match="NT0211"):
        PassManager("quantize").run(parse_graph(NET))


@pytest.mark.parametrize("widths", ["weight-bits=1", "weight-bits=17", "activation-bits=17"])
def test_widths_that_nothing_holds_are_refused(widths: str) -> None:
    with pytest.raises(NeutramsError, match="NT0212"):
        PassManager(f"quantize{{{widths}}}").run(parse_graph(NET))


@pytest.mark.parametrize("numbers", [(0.957, 1.0), (-3.0, -2.9), (-1.0, 0.2)])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_range_of_few_bits_is_not_empty(numbers: tuple[float, float], bits: int) -> None:
    histogram = Histogram()
    histogram.add(np.random.default_rng(0).uniform(*numbers, 999).astype(np.float32))
    low, high = choose(histogram, "mse", bits=bits, percentile=99.9)
    assert low <= high
    assert min(low, 0) >= min(numbers[0], 0)
    assert max(high, 0) <= max(numbers[1], 0)
