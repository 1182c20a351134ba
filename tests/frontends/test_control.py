"""Branches, loops and functions are decided while compiling, and mean what onnxruntime says."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from neutrams.frontends import load_model
from neutrams.ir.interpreter import interpret

X = {"x": np.arange(-6, 6, dtype=np.float32).reshape(3, 4)}

TAKEN = """g (float[N,4] x) => (float[N,4] y) <bool c = {%d}> {
  y = If(c) <
    then_branch = t () => (float[N,4] a) { a = Relu(x) },
    else_branch = e () => (float[N,4] b) { b = Neg(x) }
  >
}"""

LOOP = """g (float[N,4] x) => (float[N,4] y) <int64 trips = {3}, bool go = {1}> {
  y = Loop(trips, go, x) <
    body = b (int64 i, bool c, float[N,4] v) => (bool d, float[N,4] w) {
      d = Identity(c)
      k = Cast<to = 1>(i)
      w = Add(v, k)
    }
  >
}"""

STACKED = """g (float[2,4] x) => (float[2,4] y, float[2,2,4] s) <int64 trips = {2}, bool go = {1}> {
  y, s = Loop(trips, go, x) <
    body = b (int64 i, bool c, float[2,4] v) => (bool d, float[2,4] w, float[2,4] o) {
      d = Identity(c)
      w = Add(v, v)
      o = Neg(v)
    }
  >
}"""

SCAN = """g (float[4] h, float[3,4] x) => (float[4] y, float[3,4] s) {
  y, s = Scan<num_scan_inputs = 1,
    body = b (float[4] h0, float[4] xt) => (float[4] h1, float[4] o) {
      h1 = Add(h0, xt)
      o = Mul(h1, xt)
    }
  >(h, x)
}"""


def check(proto: onnx.ModelProto, inputs: Any, run_onnx: Any, assert_close: Any) -> None:
    assert_close(interpret(load_model(proto), inputs), run_onnx(proto, inputs))


@pytest.mark.parametrize("taken", [0, 1])
def test_only_the_branch_that_is_taken_is_imported(
    taken: int, model: Any, run_onnx: Any, assert_close: Any
) -> None:
    proto = model(TAKEN % taken)
    check(proto, X, run_onnx, assert_close)
    assert [op.name for op in load_model(proto).ops] == [["nn.neg", "nn.relu"][taken]]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_branch_that_data_decides_is_chosen_at_run_time(
    sign: float, model: Any, run_onnx: Any, assert_close: Any
) -> None:
    text = TAKEN.replace(" <bool c = {%d}>", "").replace("y = If", "z = ReduceSum<keepdims=0>(x) "
        "zero = Constant<value_float = 0.0>() c = Greater(z, zero) y = If")  # fmt: skip
    inputs = {"x": np.full((2, 4), sign, np.float32)}
    check(model(text), inputs, run_onnx, assert_close)


@pytest.mark.parametrize("text", [LOOP, STACKED])
def test_a_loop_is_unrolled(text: str, model: Any, run_onnx: Any, assert_close: Any) -> None:
    check(model(text), {"x": X["x"][:2]}, run_onnx, assert_close)


def test_a_scan_is_unrolled(model: Any, run_onnx: Any, assert_close: Any) -> None:
    inputs = {"h": np.ones(4, np.float32), "x": X["x"]}
    check(model(SCAN), inputs, run_onnx, assert_close)


def test_a_loop_without_a_known_end_is_located(model: Any, fault: Any) -> None:
    text = LOOP.replace("float[N,4] x)", "float[N,4] x, int64 trips)", 1)
    text = text.replace("int64 trips = {3}, ", "")
    found = fault(lambda: load_model(model(text)))
    assert found.code == "NT0605"
    assert "(Loop)" in str(found.labels[0].where)


def test_a_functions_body_takes_the_place_of_its_call(run_onnx: Any, assert_close: Any) -> None:
    proto = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 17, "mine" : 1]>
        g (float[N,4] x) => (float[N,4] y) {
          a = mine.scaled<gain = 2.0>(x)
          y = mine.scaled<gain = 3.0>(a)
        }
        <domain: "mine", opset_import: ["" : 17]>
        scaled<gain>(v) => (w) {
          k = Constant<value_float: float = @gain>()
          m = Mul(v, k)
          w = Relu(m)
        }
    """)
    check(proto, X, run_onnx, assert_close)


def test_an_operator_without_a_handler_is_replaced_by_its_definition(
    model: Any, run_onnx: Any, assert_close: Any
) -> None:
    text = "g (float[N,4] x) => (float[N,4] y) { y = MeanVarianceNormalization<axes = [1]>(x) }"
    check(model(text), X, run_onnx, assert_close)


def test_shapes_are_computed_with_an_open_batch(
    model: Any, run_onnx: Any, assert_close: Any
) -> None:
    text = """g (float[N,4,6] x) => (float[N,K,3] y)
    <int64 zero = {0}, int64 one = {1}, int64 two = {2}, int64[1] first = {0}> {
      s = Shape(x)
      n = Gather(s, zero)
      c = Gather(s, one)
      l = Gather(s, two)
      h = Div(l, two)
      p = Mul(c, two)
      n1 = Unsqueeze(n, first)
      p1 = Unsqueeze(p, first)
      h1 = Unsqueeze(h, first)
      t = Concat<axis = 0>(n1, p1, h1)
      y = Reshape(x, t)
    }"""
    proto = model(text)
    graph = load_model(proto)
    assert [op.name for op in graph.ops] == ["tensor.reshape"]
    assert str(graph.outputs[0].type) == "f32[N, 8, 3]"
    inputs = {"x": np.arange(48, dtype=np.float32).reshape(2, 4, 6)}
    check(proto, inputs, run_onnx, assert_close)


def test_a_symbolic_size_may_be_given(model: Any) -> None:
    proto = model("g (float[N,len] x) => (float[N,len] y) { y = Relu(x) }")
    assert str(load_model(proto, dims={"len": 8}).inputs[0].type) == "f32[N, 8]"


def test_an_input_may_be_fixed(model: Any, run_onnx: Any, assert_close: Any) -> None:
    text = TAKEN.replace("float[N,4] x)", "float[N,4] x, bool c)", 1).replace(
        " <bool c = {%d}>", ""
    )
    graph = load_model(model(text), fixed={"c": np.array(False)})
    assert [op.name for op in graph.ops] == ["nn.neg"]
    assert [value.name for value in graph.inputs] == ["x"]


def test_nodes_in_any_order_are_sorted() -> None:
    nodes = [helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Neg", ["x"], ["a"])]
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 2]) for n in "xy"]
    proto = helper.make_model(
        helper.make_graph(nodes, "g", info[:1], info[1:]),
        opset_imports=[helper.make_opsetid("", 13)],
    )
    assert [op.name for op in load_model(proto).ops] == ["nn.neg", "nn.relu"]
