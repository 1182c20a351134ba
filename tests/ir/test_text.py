"""The text form: what is printed reads back the same, bit for bit, and faults name their line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph, Module
from neutrams.ir.ops.activations import Clip, Relu
from neutrams.ir.ops.products import Matmul
from neutrams.ir.text import parse, parse_graph, print_graph, print_module
from neutrams.ir.types import Array, DType, symbol, tensor

SAMPLE = """\
graph @net(%x: f32[1, 4]) {
  weight @fc.w : f32[4, 2] = [1, 2, 3, 4, 0.1, -0.0, inf, -inf]
  %h = nn.matmul(%x, @fc.w) : f32[1, 2]
  %a = nn.clip(%h) {low = -1, high = 6} : f32[1, 2] in [-1, 6]
  %b = nn.relu(%a) : f32[1, 2] from "Relu/out:0"
  return %b as "Plus214_Output_0"
}
"""


def test_prints_what_it_reads() -> None:
    assert print_graph(parse_graph(SAMPLE)) == SAMPLE


def test_reads_what_it_prints_with_a_version() -> None:
    module = parse(SAMPLE)
    text = print_module(module)
    assert text.startswith("neutrams 1\n")
    assert print_module(parse(text)) == text


def test_symbols_and_awkward_names_survive() -> None:
    graph = Graph("a graph", "nn")
    x = graph.input('odd "name":0', tensor(DType.F32, symbol("N"), 3))
    graph.output(graph.add(Relu(x), name="модель/слой"), "out:0")
    text = print_graph(graph)
    again = parse_graph(text)
    assert print_graph(again) == text
    assert again.inputs[0].name == 'odd "name":0'
    assert again.outputs[0].type.shape == (symbol("N"), 3)


@pytest.mark.parametrize(
    "bits", [0x7FC00000, 0x7F800001, 0xFFC12345, 0x80000000, 0x00000001, 0x7F7FFFFF]
)
def test_every_bit_of_a_float_survives(bits: int) -> None:
    array = np.array([bits, 0x3F800000], np.uint32).view(np.float32)
    assert _round_trip(array).view(np.uint32).tolist() == array.view(np.uint32).tolist()


@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.int8, np.uint64, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
    )
)
def test_any_weight_survives(array: Array) -> None:
    again = _round_trip(array)
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert again.tobytes() == array.tobytes()


@pytest.mark.parametrize("numbers", ["[nan(0x1)]", "splat nan(0x7fc00000)", "[1.5]", "[300]"])
def test_what_no_integer_is_does_not_fit(numbers: str) -> None:
    with pytest.raises(NeutramsError, match="NT0006"):
        parse_graph(f"graph @net() {{ weight @w : i8[1] = {numbers} return @w }}")


@pytest.mark.parametrize("list_", ["[[]]", "[[1], 2]", "[true]", '["1"]', "[N*2]"])
def test_a_weight_lists_numbers_alone(list_: str) -> None:
    with pytest.raises(NeutramsError, match="NT0001"):
        parse_graph(f"graph @net() {{ weight @w : f32[1] = {list_} return @w }}")


@pytest.mark.parametrize("size", ["2.5", "1e3", "-3", "-2*N", "1" * 5000])
def test_a_size_is_a_whole_number(size: str) -> None:
    with pytest.raises(NeutramsError, match="NT0001"):
        parse_graph(f"graph @net(%x: f32[{size}]) {{ return %x }}")


def test_large_weights_live_beside_the_text() -> None:
    data = np.arange(100, dtype=np.float32)
    graph = Graph("net")
    graph.output(graph.weight("w", data))
    store: dict[str, Array] = {}
    text = print_module(Module([graph]), store)
    assert list(store) == ["net.w"]
    assert len(text) < 300
    assert np.array_equal(parse(text, weights=store).main.weights["w"].data, data)  # type: ignore[arg-type]
    store["net.w"] = data + 1
    with pytest.raises(NeutramsError, match="SHA-256 differs"):
        parse(text, weights=store)


def test_abstract_weights_have_a_shape_only() -> None:
    graph = Graph("net")
    weight = graph.weight("w", None, tensor(DType.I8, 3, 4))
    graph.output(weight)
    assert parse_graph(print_graph(graph)).weights["w"].data is None


def test_every_independent_fault_is_reported() -> None:
    text = SAMPLE.replace("nn.relu", "nn.rely").replace("low =", "lo =")
    with pytest.raises(NeutramsError) as caught:
        parse(text)
    assert [d.code for d in caught.value.diagnostics] == ["NT0005", "NT0002"]


def test_a_stated_type_is_checked() -> None:
    with pytest.raises(NeutramsError, match=r"is `f32\[1, 2\]`, not `f32\[1, 3\]`"):
        parse(SAMPLE.replace(": f32[1, 2]\n  %a", ": f32[1, 3]\n  %a"))


def test_optional_operands_may_be_absent() -> None:
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, 2, 2))
    w = graph.weight("w", np.eye(2, dtype=np.float32))
    graph.output(graph.add(Clip(graph.add(Matmul(x, w)), low=0.0)))
    assert print_graph(parse_graph(print_graph(graph))) == print_graph(graph)


def _round_trip(array: Array) -> Array:
    graph = Graph("net")
    graph.output(graph.weight("w", array))
    store: dict[str, Array] = {}
    data = parse(print_module(Module([graph]), store), weights=store).main.weights["w"].data
    assert data is not None
    return data
