"""Operators against onnxruntime, one small graph each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from neutrams.frontends.onnx.importer import ImportOptions, import_graph
from neutrams.ir.diagnostics import Diagnostic
from neutrams.ir.interpreter import interpret

X = "float[2,3,4] x"
IMAGE = "float[2,4,7,6] x"

CASES: dict[str, tuple[int, str]] = {
    # arithmetic
    "broadcast": (13, f"g ({X}, float[3,1] b) => (float[a,b,c] y) {{ y = Mul(x, b) }}"),
    "old add": (7, f"g ({X}, float[4] b) => (float[a,b,c] y) {{ y = Add(x, b) }}"),
    "integer division": (13, "g (int32[9] x, int32[9] b) => (int32[9] y)"
     " <int32[1] one = {100}> { c = Abs(b) d = Add(c, one) e = Mul(x, d) y = Div(e, d) }"),
    "pow of another type": (15, f"g ({X}) => (float[a,b,c] y)"
     " <int64 p = {3}> { y = Pow(x, p) }"),
    "mod": (13, "g (int32[9] x) => (int32[9] y) <int32 m = {5}> { y = Mod(x, m) }"),
    "fmod": (13, f"g ({X}) => (float[a,b,c] y) <float m = {{0.7}}> {{ y = Mod<fmod = 1>(x, m) }}"),
    "mean of three": (13, f"g ({X}, float[4] b, float[1] c) => (float[a,b,c] y)"
     " { y = Mean(x, b, c) }"),
    "max of three": (13, f"g ({X}, float[4] b, float[1] c) => (float[a,b,c] y)"
     " { y = Max(x, b, c) }"),
    "sum of one": (13, f"g ({X}) => (float[a,b,c] y) {{ a = Sum(x) y = Neg(a) }}"),
    "where": (16, f"g ({X}, float[4] b) => (float[a,b,c] y)"
     " { c = Less(x, b) d = Greater(x, b) e = Or(c, d) f = Not(e) h = Xor(f, c)"
     " y = Where(h, x, b) }"),
    "comparisons": (16, f"g ({X}, float[4] b) => (bool[a,b,c] y)"
     " { c = LessOrEqual(x, b) d = GreaterOrEqual(x, x) y = And(c, d) }"),
    "bit shift": (11, "g (uint32[4] x) => (uint32[4] y) <uint32[1] s = {2}>"
     ' { a = BitShift<direction = "LEFT">(x, s) y = BitShift<direction = "RIGHT">(a, s) }'),
    "bitwise": (18, "g (int32[9] x, int32[9] b) => (int32[9] y)"
     " { a = BitwiseAnd(x, b) c = BitwiseXor(a, x) d = BitwiseNot(c) y = BitwiseOr(d, b) }"),
    "functions": (13, f"g ({X}) => (float[a,b,c] y)"
     " { a = Sin(x) b = Cos(a) c = Erf(b) d = Abs(c) e = Sqrt(d) f = Log(e) h = Floor(f)"
     " i = Sign(h) j = Exp(i) y = Reciprocal(j) }"),
    "is inf": (10, f"g ({X}) => (bool[a,b,c] y) <float z = {{0}}>"
     " { a = Relu(x) b = Div(x, a) y = IsInf<detect_positive = 0>(b) }"),
    "clip by attributes": (7, f"g ({X})"
     f" => (float[a,b,c] y) {{ y = Clip<min = -0.5, max = 0.7>(x) }}"),
    "clip from below": (13, f"g ({X})"
     f" => (float[a,b,c] y) <float l = {{-0.25}}> {{ y = Clip(x, l) }}"),
    "clip from above": (13, f"g ({X})"
     f" => (float[a,b,c] y) <float h = {{0.25}}> {{ y = Clip(x, , h) }}"),
    "clip by data": (13, f"g ({X}, float b) => (float[a,b,c] y)"
     " { l = Neg(b) y = Clip(x, l, b) }"),
    "clip of integers": (13, "g (int64[9] x) => (int64[9] y)"
     " <int64 l = {-2}, int64 h = {3}> { y = Clip(x, l, h) }"),
    # lists of pieces
    "pieces of one size": (13, f"g ({X}) => (float[a,b,c] y) <int64 n = {{2}}, int64 i = {{-1}}>"
     " { l = SplitToSequence<axis = 1>(x, n) a = SequenceAt(l, i) y = Neg(a) }"),
    "pieces of stated sizes": (13, f"g ({X}) => (float[a,b,c] y)"
     " <int64[2] n = {1, 3}, int64 i = {1}>"
     " { l = SplitToSequence<axis = 2>(x, n) a = SequenceAt(l, i) y = Neg(a) }"),
    "slices": (13, f"g ({X}) => (float[a,b] y) <int64 i = {{2}}>"
     " { l = SplitToSequence<axis = 1, keepdims = 0>(x) a = SequenceAt(l, i) y = Neg(a) }"),
    # element types, shapes
    "cast": (13, f"g ({X}) => (int8[a,b,c] y) <float s = {{40}}>"
     " { a = Mul(x, s) y = Cast<to = 3>(a) }"),
    "cast like": (15, "g (int32[9] x, float[1] b) => (float[9] y) { y = CastLike(x, b) }"),
    "reshape": (13, f"g ({X}) => (float[a,b] y) <int64[2] s = {{0, -1}}> {{ y = Reshape(x, s) }}"),
    "reshape of an empty": (14, "g (float[0,3] x) => (float[a,b] y)"
     " <int64[2] s = {3, 0}> { y = Reshape<allowzero = 1>(x, s) }"),
    "flatten": (13, f"g ({X}) => (float[a,b] y) {{ y = Flatten<axis = -1>(x) }}"),
    "flatten all": (9, f"g ({X}) => (float[a,b] y) {{ y = Flatten<axis = 0>(x) }}"),
    "squeeze and back": (11, "g (float[1,3,1] x) => (float[a,b,c,d] y)"
     " { a = Squeeze(x) y = Unsqueeze<axes = [0, -1, 1]>(a) }"),
    "squeeze by input": (13, "g (float[1,3,1] x) => (float[a,b,c] y)"
     " <int64[1] s = {-1}, int64[1] u = {0}> { a = Squeeze(x, s) y = Unsqueeze(a, u) }"),
    "transpose": (13, f"g ({X}) => (float[a,b,c] y) {{ y = Transpose(x) }}"),
    "concat": (13, f"g ({X}, float[2,1,4] b)"
     f" => (float[a,b,c] y) {{ y = Concat<axis = -2>(x, b) }}"),
    "split by attribute": (11, f"g ({X}) => (float[a,b,c] y, float[d,e,f] z)"
     " { y, z = Split<axis = 2, split = [1, 3]>(x) }"),
    "split by input": (13, f"g ({X}) => (float[a,b,c] y, float[d,e,f] z)"
     " <int64[2] s = {2, 1}> { y, z = Split<axis = 1>(x, s) }"),
    "split evenly": (13, f"g ({X}) => (float[a,b,c] y, float[d,e,f] z)"
     " { y, z = Split<axis = -1>(x) }"),
    "split unevenly": (18, f"g ({X}) => (float[a,b,c] y, float[d,e,f] z)"
     " { y, z = Split<axis = 1, num_outputs = 2>(x) }"),
    "slice by attributes": (9, f"g ({X}) => (float[a,b,c] y)"
     " { y = Slice<starts = [0, -3], ends = [1, 9], axes = [0, 2]>(x) }"),
    "slice backwards": (13, f"g ({X}) => (float[a,b,c] y)"
     " <int64[1] s = {-1}, int64[1] e = {-9223372036854775807}, int64[1] a = {2},"
     " int64[1] t = {-2}> { y = Slice(x, s, e, a, t) }"),
    "slice to the end": (13, f"g ({X}) => (float[a,b,c] y)"
     " <int64[1] s = {1}, int64[1] e = {9223372036854775807}> { y = Slice(x, s, e) }"),
    "pad by attributes": (10, f"g ({X}) => (float[a,b,c] y)"
     " { y = Pad<pads = [0, 1, -1, 0, 0, 2], value = 0.5>(x) }"),
    "pad by inputs": (13, f"g ({X}) => (float[a,b,c] y)"
     " <int64[6] p = {0, 1, 0, 0, 0, 2}, float v = {3}> { y = Pad(x, p, v) }"),
    "pad by axes": (18, f"g ({X}) => (float[a,b,c] y)"
     " <int64[2] p = {1, 2}, int64[1] a = {-1}> { y = Pad<mode = \"reflect\">(x, p, , a) }"),
    "pad with edges": (13, f"g ({X}) => (float[a,b,c] y)"
     " <int64[6] p = {0, 1, 0, 0, 2, 1}> { y = Pad<mode = \"edge\">(x, p) }"),
    "wrap": (19, f"g ({X}) => (float[a,b,c] y)"
     " <int64[6] p = {0, 1, 0, 0, 2, 1}> { y = Pad<mode = \"wrap\">(x, p) }"),
    "expand": (13, "g (float[3,1] x) => (float[a,b,c] y)"
     " <int64[3] s = {2, 1, 4}> { y = Expand(x, s) }"),
    "tile": (13, "g (float[3,1] x) => (float[a,b] y) <int64[2] r = {2, 3}> { y = Tile(x, r) }"),
    "constant of shape": (13, f"g ({X}) => (float[a,b,c] y)"
     " { s = Shape(x) c = ConstantOfShape<value = float[1] {2.5}>(s) y = Mul(x, c) }"),
    "part of a shape": (15, f"g ({X}) => (int64[a] y) {{ y = Shape<start = -2, end = 3>(x) }}"),
    "size": (13, f"g ({X}) => (int64 y) {{ y = Size(x) }}"),
    "range": (13, "g (float[4] x) => (float[4] y)"
     " <float s = {1}, float l = {2.9}, float d = {0.5}> { r = Range(s, l, d) y = Mul(x, r) }"),
    "eye": (13, "g (float[3,4] x) => (float[3,4] y)"
     " { e = EyeLike<k = 1>(x) y = Mul(x, e) }"),
    "trilu": (14, f"g ({X})"
     f" => (float[a,b,c] y) <int64 k = {{-1}}> {{ y = Trilu<upper = 0>(x, k) }}"),
    "dropout": (13, f"g ({X}) => (float[a,b,c] y, bool[d,e,f] m) {{ y, m = Dropout(x) }}"),
    "old dropout": (7, f"g ({X}) => (float[a,b,c] y) {{ y = Dropout<ratio = 0.3>(x) }}"),
    "shape arithmetic": (13, f"g ({X}) => (float[a,b] y) <int64[1] i = {{0}}, int64[1] m = {{-1}}>"
     " { s = Shape(x) n = Gather(s, i) t = Concat<axis = 0>(n, m) y = Reshape(x, t) }"),
    # products
    "matmul": (13, f"g ({X}, float[4,5] b) => (float[a,b,c] y) {{ y = MatMul(x, b) }}"),
    "gemm": (13, "g (float[3,4] x, float[5] c) => (float[a,b] y)"
     " <float[5,4] w = {1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2}>"
     " { y = Gemm<transB = 1, alpha = 0.5, beta = 2.0>(x, w, c) }"),
    "gemm transposed": (11, "g (float[4,3] x, float[4,5] b) => (float[a,b] y)"
     " { y = Gemm<transA = 1>(x, b) }"),
    "integer product": (10, "g (uint8[2,3] x, int8[3,2] b, uint8 p, int8[2] q) => (int32[2,2] y)"
     " { y = MatMulInteger(x, b, p, q) }"),
    "einsum": (12, f"g ({X}, float[5,4] b) => (float[a,b,c] y)"
     ' { y = Einsum<equation = "nij, kj -> nik">(x, b) }'),
    # convolutions
    "conv": (11, f"g ({IMAGE}, float[6,2,3,2] w, float[6] b) => (float[a,b,c,d] y)"
     " { y = Conv<group = 2, strides = [2, 1], pads = [1, 0, 2,"
     " 1], dilations = [1, 2]>(x, w, b) }"),
    "conv in one dimension": (11, "g (float[2,3,9] x, float[4,3,3] w) => (float[a,b,c] y)"
     " { y = Conv<pads = [1, 1]>(x, w) }"),
    "conv in three dimensions": (11, "g (float[1,2,4,5,4] x, float[3,2,2,2,2] w)"
     " => (float[a,b,c,d,e] y) { y = Conv<strides = [1, 2, 1]>(x, w) }"),
    "conv same upper": (11, f"g ({IMAGE}, float[3,4,2,3] w) => (float[a,b,c,d] y)"
     ' { y = Conv<auto_pad = "SAME_UPPER", strides = [2, 2]>(x, w) }'),
    "conv same lower": (11, f"g ({IMAGE}, float[3,4,2,3] w) => (float[a,b,c,d] y)"
     ' { y = Conv<auto_pad = "SAME_LOWER", strides = [2, 2]>(x, w) }'),
    "conv valid": (11, f"g ({IMAGE}, float[3,4,2,3] w) => (float[a,b,c,d] y)"
     ' { y = Conv<auto_pad = "VALID", kernel_shape = [2, 3]>(x, w) }'),
    "conv transpose": (11, f"g ({IMAGE}, float[4,3,3,2] w, float[6] b) => (float[a,b,c,d] y)"
     " { y = ConvTranspose<group = 2, strides = [2, 3], pads = [1, 0, 1, 1],"
     " output_padding = [1, 0]>(x, w, b) }"),
    "conv transpose to a size": (11, f"g ({IMAGE}, float[4,3,3,3] w) => (float[a,b,c,d] y)"
     " { y = ConvTranspose<strides = [2, 2], output_shape = [14, 12]>(x, w) }"),
    "conv transpose same": (11, f"g ({IMAGE}, float[4,3,3,3] w) => (float[a,b,c,d] y)"
     ' { y = ConvTranspose<auto_pad = "SAME_LOWER", strides = [2, 2]>(x, w) }'),
    "integer conv": (10, "g (uint8[1,2,4,4] x, uint8[3,2,3,3] w, uint8 p) => (int32[a,b,c,d] y)"
     " { y = ConvInteger<pads = [1, 1, 1, 1]>(x, w, p) }"),
    # pools
    "max pool": (12, f"g ({IMAGE}) => (float[a,b,c,d] y)"
     " { y = MaxPool<kernel_shape = [3, 2], strides = [2, 2],"
     " pads = [1, 0, 1, 1], ceil_mode = 1>(x) }"),
    "average pool": (19, f"g ({IMAGE}) => (float[a,b,c,d] y)"
     " { y = AveragePool<kernel_shape = [3, 2], strides = [2, 2], pads = [1, 0, 1, 1],"
     " count_include_pad = 1>(x) }"),
    "average pool same": (11, f"g ({IMAGE}) => (float[a,b,c,d] y)"
     ' { y = AveragePool<kernel_shape = [3, 2], strides = [2, 2], auto_pad = "SAME_UPPER">(x) }'),
    "global pools": (13, f"g ({IMAGE}) => (float[a,b,c,d] y)"
     " { a = GlobalAveragePool(x) b = GlobalMaxPool(x) y = Sub(a, b) }"),
    # normalisation, reductions
    "batch norm": (15, f"g ({IMAGE}, float[4] s, float[4] b, float[4] m, float[4] r)"
     " => (float[a,b,c,d] y) { v = Abs(r) y = BatchNormalization<epsilon = 0.01>(x, s, b, m, v) }"),
    "layer norm": (17, f"g ({X}, float[4] s, float[4] b) => (float[a,b,c] y)"
     " { y = LayerNormalization<axis = -1>(x, s, b) }"),
    "softmax": (13, f"g ({X}) => (float[a,b,c] y) {{ y = Softmax<axis = 1>(x) }}"),
    "old softmax": (11, f"g ({X}) => (float[a,b,c] y) {{ y = Softmax<axis = 1>(x) }}"),
    "log softmax": (13, f"g ({X}) => (float[a,b,c] y) {{ y = LogSoftmax(x) }}"),
    "reduce mean": (13, f"g ({X}) => (float[a,b,c] y) {{ y = ReduceMean<axes = [1, -1]>(x) }}"),
    "reduce sum": (13, f"g ({X}) => (float[a,b] y)"
     " <int64[1] a = {-1}> { y = ReduceSum<keepdims = 0>(x, a) }"),
    "reduce max": (18, f"g ({X}) => (float y) {{ y = ReduceMax<keepdims = 0>(x) }}"),
    "argmax": (13, f"g ({X}) => (int64[a,b] y) {{ y = ArgMax<axis = 1, keepdims = 0>(x) }}"),
    # quantisation, indices
    "quantize": (13, f"g ({X}) => (uint8[a,b,c] y)"
     " <float s = {0.02}, uint8 z = {120}> { y = QuantizeLinear(x, s, z) }"),
    "quantize by channel": (13, f"g ({X}) => (float[a,b,c] y)"
     " <float[3] s = {0.02, 0.01, 0.5}, int8[3] z = {0, 3, -4}>"
     " { q = QuantizeLinear<axis = 1>(x, s, z) y = DequantizeLinear<axis = 1>(q, s, z) }"),
    "gather": (13, f"g ({X}) => (float[a,b,c,d] y)"
     " <int64[2,1] i = {-1, 0}> { y = Gather<axis = 1>(x, i) }"),
}  # fmt: skip

ACTIVATIONS = {
    **dict.fromkeys(("Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "HardSwish", "Mish"), ""),
    **dict.fromkeys(("LeakyRelu", "Elu", "Celu", "ThresholdedRelu", "Selu", "HardSigmoid"), ""),
    "LeakyRelu ": "alpha = 0.3",
    "Elu ": "alpha = 0.3",
    "Celu ": "alpha = 0.3",
    "Selu ": "alpha = 1.5, gamma = 0.7",
    "HardSigmoid ": "alpha = 0.7, beta = 0.3",
    "Shrink": "lambd = 0.4, bias = 0.1",
    "Gelu": "",
    "Gelu ": 'approximate = "tanh"',
}

UNSUPPORTED = {
    "automatic pads": f"g ({IMAGE}, float[3,4,2,3] w) => (float[a,b,c,d] y)"
    ' { y = Conv<auto_pad = "SAME">(x, w) }',
    "kernel": f"g ({IMAGE}, float[3,4,2,3] w) => (float[a,b,c,d] y)"
    " { y = Conv<kernel_shape = [3, 3]>(x, w) }",
    "mode": f"g ({X}) => (float[a,b,c] y) <int64[6] p = {{0, 1, 0, 0, 2, 1}}>"
    ' { y = Pad<mode = "mirror">(x, p) }',
    "approximation": f'g ({X}) => (float[a,b,c] y) {{ y = Gelu<approximate = "sigmoid">(x) }}',
    "pieces": f"g ({X}) => (float[a,b,c] y, float[d,e,f] z) {{ y, z = Split<axis = 1>(x) }}",
    "target": f"g ({X}) => (float[a,b] y) <int64[2] s = {{-1, -1}}> {{ y = Reshape(x, s) }}",
    "axis": f"g ({X}) => (float[a,b] y) {{ y = Flatten<axis = 5>(x) }}",
    "direction": "g (uint32[4] x) => (uint32[4] y) <uint32[1] s = {2}>"
    ' { y = BitShift<direction = "UP">(x, s) }',
    "step": "g (float[4] x) => (float[4] y) <float z = {0}> { r = Range(z, z, z) y = Mul(x, r) }",
}


@pytest.mark.parametrize("case", CASES)
def test_meaning(case: str, model: Any, run_onnx: Any, assert_close: Any) -> None:
    opset, text = CASES[case]
    made = model(text, opset=opset)
    inputs = _inputs(made)
    found = interpret(import_graph(made), inputs)
    assert_close(found, run_onnx(made, inputs))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str, model: Any, run_onnx: Any, assert_close: Any) -> None:
    attributes = f"<{ACTIVATIONS[name]}>" if ACTIVATIONS[name] else ""
    text = f"g ({X}) => (float[a,b,c] y) {{ y = {name.strip()}{attributes}(x) }}"
    made = model(text, opset=20)
    inputs = _inputs(made)
    assert_close(interpret(import_graph(made), inputs), run_onnx(made, inputs))


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_unsupported(case: str, model: Any, fault: Callable[..., Diagnostic]) -> None:
    found = fault(lambda: import_graph(model(UNSUPPORTED[case], opset=17 if "Gelu" not in
                                             UNSUPPORTED[case] else 20)))  # fmt: skip
    assert found.code in ("NT0610", "NT0611")
    assert found.labels


def test_a_transposed_weight_is_stored_transposed(model: Any) -> None:
    made = model(CASES["gemm"][1])
    names = [op.name for op in import_graph(made).ops]
    assert names.count("nn.matmul") == 1
    assert "tensor.transpose" not in names


@pytest.mark.parametrize(
    "text",
    [
        "g (float[N,3,4] x) => (float[a,b] y) <int64[2] s = {0, -1}> { y = Reshape(x, s) }",
        "g (float[N,3,4] x) => (float[a,b] y) <int64[2] s = {-1, 12}> { y = Reshape(x, s) }",
        "g (float[N,3,4] x) => (float[a,b] y) { y = Flatten(x) }",
        "g (float[N,3,4] x) => (float[a,b,c] y)"
        " { s = Shape(x) c = ConstantOfShape<value = float[1] {2}>(s) y = Add(x, c) }",
        "g (float[N,3,4] x) => (float[a,b,c] y)"
        " <float[1,1,4] t = {1, 2, 3, 4}, int64[1] i = {0}, int64[2] m = {1, 1}>"
        " { s = Shape(x) n = Gather(s, i) r = Concat<axis = 0>(n, m) e = Tile(t, r)"
        " y = Concat<axis = 1>(e, x) }",
        "g (float[N,3,4] x) => (float[a,b,c] y)"
        " <float[1,1,4] t = {1, 2, 3, 4}, int64[1] i = {0}, int64[2] m = {-1, -1},"
        " int64[2] o = {1, 4}>"
        " { s = Shape(x) n = Gather(s, i) r = Concat<axis = 0>(n, o) e = Expand(t, r)"
        " y = Concat<axis = 1>(e, x) }",
        "g (float[N,3,4] x) => (int64 y) { y = Size(x) }",
    ],
)
def test_a_symbol_is_carried(text: str, model: Any, run_onnx: Any, assert_close: Any) -> None:
    made = model(text)
    inputs = {"x": np.random.default_rng(3).normal(size=(5, 3, 4)).astype(np.float32)}
    graph = import_graph(made, ImportOptions())
    assert_close(interpret(graph, inputs), run_onnx(made, inputs))


def _inputs(made: onnx.ModelProto) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    found = {}
    for value in made.graph.input:
        tensor = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        shape = [d.dim_value for d in tensor.shape.dim]
        if dtype.kind == "f":
            found[value.name] = rng.normal(size=shape).astype(dtype)
        else:
            low = 0 if dtype.kind == "u" else -9
            found[value.name] = rng.integers(low, 10, size=shape).astype(dtype)
    return found
