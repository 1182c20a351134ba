"""Wrong and malicious models: each gives one located diagnostic, and costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from neutrams.frontends import load_model
from neutrams.ir.codes import CODES
from neutrams.ir.diagnostics import Diagnostic

Fault = Callable[[Callable[[], object]], Diagnostic]


def build(
    nodes: list[onnx.NodeProto],
    *,
    weights: list[TensorProto] | None = None,
    opset: int = 17,
    shape: Any = ("N", 4),
    output: str = "y",
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        weights or [],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def matmul(weight: TensorProto) -> onnx.ModelProto:
    return build([helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")], weights=[weight])


def relu() -> onnx.ModelProto:
    return build([helper.make_node("Relu", ["x"], ["y"], name="r")])


def file(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"hello, this is not a model at all", "not a whole ONNX model"),
        (b"PK\x03\x04" + bytes(64), "torch checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS"),
        (bytes(range(256)) * 8, "not a whole ONNX model"),
    ],
)
def test_not_a_model(data: bytes, said: str, tmp_path: Path, fault: Fault) -> None:
    path = file(tmp_path, data)
    found = fault(lambda: load_model(path))
    assert found.code == "NT0601"
    assert said in found.render()
    assert str(path) in found.render()


def test_a_model_cut_short_anywhere(tmp_path: Path, fault: Fault) -> None:
    weight = numpy_helper.from_array(np.ones((4, 8), np.float32), "w")
    data = matmul(weight).SerializeToString()
    for size in range(1, len(data), 7):
        path = file(tmp_path, data[:size])
        found = fault(partial(load_model, path))
        assert found.code == "NT0601", (size, found.render())


@pytest.mark.parametrize("name", ["absent.onnx", "folder.onnx"])
def test_a_path_without_a_file(name: str, tmp_path: Path, fault: Fault) -> None:
    (tmp_path / "folder.onnx").mkdir()
    found = fault(lambda: load_model(tmp_path / name))
    assert found.code == "NT0601"
    assert name in found.render()


def test_other_things_are_no_models(tmp_path: Path, fault: Fault) -> None:
    assert fault(lambda: load_model(tmp_path / "model.h5")).code == "NT0616"
    assert fault(lambda: load_model(42)).code == "NT0616"


@pytest.mark.parametrize("opset", [5, 999])
def test_operator_sets_that_are_not_supported(opset: int, fault: Fault) -> None:
    proto = relu()
    proto.opset_import[0].version = opset
    found = fault(lambda: load_model(proto))
    assert found.code == "NT0606"
    assert f"operator set {opset}" in found.message
    assert f"6 to {onnx.defs.onnx_opset_version()}" in found.render()


def test_a_newer_file_format(fault: Fault) -> None:
    proto = relu()
    proto.ir_version = 1000
    assert fault(lambda: load_model(proto)).code == "NT0606"


def test_all_unknown_operators_are_named_at_once(fault: Fault) -> None:
    nodes = [
        helper.make_node("Rellu", ["x"], ["a"], name="first"),
        helper.make_node("FancyAttention", ["a"], ["b"], name="second", domain="com.acme"),
        helper.make_node("Relu", ["b"], ["y"]),
    ]
    found = fault(lambda: load_model(build(nodes)))
    assert found.code == "NT0609"
    assert found.message == "2 operators are not known: `Rellu`, `com.acme:FancyAttention`"
    assert [str(label.where) for label in found.labels] == [
        "(memory): node first (Rellu)",
        "(memory): node second (FancyAttention)",
    ]
    assert "`Relu`" in found.labels[0].text
    assert "com.acme" in found.labels[1].text


@pytest.mark.parametrize(("value", "said"), [(np.nan, "2 NaN"), (np.inf, "2 infinite")])
def test_weights_that_are_not_finite(value: float, said: str, fault: Fault) -> None:
    data = np.ones((4, 2), np.float32)
    data[1] = value
    found = fault(lambda: load_model(matmul(numpy_helper.from_array(data, "w"))))
    assert found.code == "NT0607"
    assert found.message == f"weight `w` holds {said} of 8 numbers"
    assert "tensor w" in found.render()


def test_a_mask_of_minus_infinity_is_a_weight_like_any_other() -> None:
    mask = numpy_helper.from_array(np.array([[0, 0, -np.inf, -np.inf]], np.float32), "m")
    nodes = [helper.make_node("Add", ["x", "m"], ["s"]), helper.make_node("Softmax", ["s"], ["y"])]
    assert load_model(build(nodes, weights=[mask])).ops


@pytest.mark.parametrize("dims", [(1 << 40, 4), (1 << 62, 1 << 62), (4, 1 << 33)])
@pytest.mark.parametrize("stored", [b"", bytes(32)])
def test_gigantic_declared_shapes(
    dims: tuple[int, ...], stored: bytes, fault: Fault, at_most: Any
) -> None:
    weight = TensorProto(name="w", dims=dims, data_type=TensorProto.FLOAT, raw_data=stored)
    with at_most(20):
        found = fault(lambda: load_model(matmul(weight)))
    assert found.code == "NT0604"
    assert "tensor w" in found.render()


@pytest.mark.parametrize("field", ["raw_data", "float_data"])
def test_data_that_does_not_fit_its_shape(field: str, fault: Fault) -> None:
    weight = TensorProto(name="w", dims=(4, 2), data_type=TensorProto.FLOAT)
    if field == "raw_data":
        weight.raw_data = bytes(28)
    else:
        weight.float_data.extend([1.0] * 7)
    found = fault(lambda: load_model(matmul(weight)))
    assert found.code == "NT0603"
    assert "tensor w" in found.render()


def test_a_negative_size(fault: Fault) -> None:
    weight = TensorProto(name="w", dims=(-1, -4), data_type=TensorProto.FLOAT, raw_data=bytes(16))
    assert fault(lambda: load_model(matmul(weight))).code == "NT0603"


def test_constants_that_would_fill_the_memory(fault: Fault, at_most: Any) -> None:
    shape = numpy_helper.from_array(np.array([1 << 20, 1 << 20], np.int64), "s")
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["c"], name="big"),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    with at_most(20):
        found = fault(lambda: load_model(build(nodes, weights=[shape])))
    assert found.code == "NT0604"
    assert "node big (ConstantOfShape)" in found.render()


def test_a_gigantic_input(fault: Fault) -> None:
    proto = build([helper.make_node("Relu", ["x"], ["y"])], shape=(1 << 30, 1 << 30))
    assert fault(lambda: load_model(proto)).code == "NT0604"


def nested(depth: int) -> onnx.ModelProto:
    body = helper.make_node("Relu", ["x"], ["y0"])
    output = helper.make_tensor_value_info("e", TensorProto.FLOAT, ["N", 4])
    other = helper.make_graph([helper.make_node("Neg", ["x"], ["e"])], "other", [], [output])
    for level in range(depth):
        out = [helper.make_tensor_value_info(f"y{level}", TensorProto.FLOAT, ["N", 4])]
        graph = helper.make_graph([body], f"g{level}", [], out)
        body = helper.make_node(
            "If", ["c"], [f"y{level + 1}"], then_branch=graph, else_branch=other
        )
    flag = numpy_helper.from_array(np.array(True), "c")
    return build([body], weights=[flag], output=f"y{depth}")


def test_deeply_nested_graphs(tmp_path: Path, fault: Fault) -> None:
    graph = load_model(nested(3))
    assert [op.name for op in graph.ops] == ["nn.relu"]
    assert fault(lambda: load_model(nested(18))).code == "NT0612"


def call(name: str, x: str, y: str) -> onnx.NodeProto:
    return helper.make_node(name, [x], [y], domain="mine")


def with_functions(*functions: onnx.FunctionProto, first: str) -> onnx.ModelProto:
    proto = build([call(first, "x", "y")])
    proto.functions.extend(functions)
    proto.opset_import.append(helper.make_opsetid("mine", 1))
    return proto


def function(name: str, nodes: list[onnx.NodeProto]) -> onnx.FunctionProto:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    return helper.make_function("mine", name, ["a"], ["b"], nodes, opsets)


def test_a_function_that_calls_itself(fault: Fault) -> None:
    proto = with_functions(function("f", [call("f", "a", "b")]), first="f")
    assert fault(lambda: load_model(proto)).code == "NT0612"


def test_functions_that_multiply(fault: Fault) -> None:
    """Ten levels of ten calls are ten thousand million nodes."""
    functions = []
    for level in range(10):
        inner = "leaf" if level == 0 else f"f{level - 1}"
        names = ["a", *(f"v{i}" for i in range(9)), "b"]
        calls = [call(inner, x, y) for x, y in pairwise(names)]
        functions.append(function(f"f{level}", calls))
    functions.append(function("leaf", [helper.make_node("Identity", ["a"], ["b"])]))
    assert fault(lambda: load_model(with_functions(*functions, first="f9"))).code == "NT0612"


def test_a_loop_without_end(model: Any, fault: Fault) -> None:
    proto = model("""g (float[N,4] x) => (float[N,4] y) <int64 n = {9000000000}, bool go = {1}> {
      y = Loop(n, go, x) <
        body = b (int64 i, bool c, float[N,4] v) => (bool d, float[N,4] w)
          { d = Identity(c) w = Identity(v) }
      >
    }""")
    assert fault(lambda: load_model(proto)).code == "NT0612"


def test_values_that_depend_on_themselves(fault: Fault) -> None:
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"], name="one"),
        helper.make_node("Relu", ["a"], ["b"], name="two"),
        helper.make_node("Neg", ["b"], ["y"], name="three"),
    ]
    found = fault(lambda: load_model(build(nodes)))
    assert found.code == "NT0608"
    assert "depend on their own results" in found.message
    assert "node one (Add)" in found.render()


def test_values_that_are_never_made(fault: Fault) -> None:
    nodes = [
        helper.make_node("Neg", ["x"], ["negated"], name="n"),
        helper.make_node("Relu", ["negatd"], ["y"], name="r"),
    ]
    found = fault(lambda: load_model(build(nodes)))
    assert found.code == "NT0608"
    assert "node r (Relu)" in found.render()
    assert "negated" in found.render()


def test_an_output_that_is_never_made(fault: Fault) -> None:
    proto = build([helper.make_node("Relu", ["x"], ["a"])])
    assert fault(lambda: load_model(proto)).code == "NT0608"


def test_values_that_are_made_twice(fault: Fault) -> None:
    nodes = [
        helper.make_node("Neg", ["x"], ["y"], name="n"),
        helper.make_node("Relu", ["x"], ["y"], name="r"),
    ]
    found = fault(lambda: load_model(build(nodes)))
    assert found.code == "NT0608"
    assert "made twice" in found.message


@pytest.mark.parametrize("kind", [TensorProto.STRING, TensorProto.COMPLEX64, 999])
def test_element_types_without_a_counterpart(kind: int, fault: Fault) -> None:
    proto = relu()
    proto.graph.input[0].type.tensor_type.elem_type = kind
    found = fault(lambda: load_model(proto))
    assert found.code == "NT0101"
    assert "input x" in found.render()


def test_an_input_that_is_no_tensor(fault: Fault) -> None:
    proto = relu()
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [2]))
    proto.graph.input[0].type.CopyFrom(kind)
    assert fault(lambda: load_model(proto)).code == "NT0617"


def test_a_node_without_an_input_it_needs(fault: Fault) -> None:
    found = fault(lambda: load_model(build([helper.make_node("Relu", [], ["y"], name="r")])))
    assert found.code == "NT0611"
    assert "node r (Relu)" in found.render()


def test_an_attribute_of_the_wrong_type(fault: Fault) -> None:
    node = helper.make_node("Softmax", ["x"], ["y"], name="s", axis="last")
    found = fault(lambda: load_model(build([node])))
    assert found.code == "NT0611"
    assert "node s (Softmax)" in found.render()


def test_shapes_that_do_not_fit_are_located(fault: Fault) -> None:
    weight = numpy_helper.from_array(np.ones((5, 2), np.float32), "w")
    found = fault(lambda: load_model(matmul(weight)))
    assert found.code.startswith("NT01")
    assert "node fc (MatMul)" in found.render()


def test_a_size_for_a_dimension_that_is_not_there(fault: Fault) -> None:
    found = fault(lambda: load_model(relu(), dims={"M": 3}))
    assert found.code == "NT0614"
    assert "N" in found.render()


def test_an_input_to_fix_that_is_not_there(fault: Fault) -> None:
    found = fault(lambda: load_model(relu(), fixed={"sr": np.array(16000)}))
    assert found.code == "NT0614"
    assert "inputs: x" in found.render()


def test_every_code_of_models_is_explained() -> None:
    for code in (f"NT06{number:02}" for number in range(1, 19)):
        assert len(CODES[code]) > 40
