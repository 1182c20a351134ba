"""Ops of the nn level: their NumPy meaning against torch and closed forms, types, independence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import neutrams.ir.ops  # noqa: F401  (fills the op table)
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.interpreter import evaluate
from neutrams.ir.op import OPS, Op, Value, Weight
from neutrams.ir.ops import activations as act
from neutrams.ir.ops import elementwise as two
from neutrams.ir.ops import normalization as norm
from neutrams.ir.ops import reductions as red
from neutrams.ir.ops.convolution import Conv, ConvTranspose
from neutrams.ir.ops.indexing import Gather, OneHot, ScatterNd
from neutrams.ir.ops.pooling import AveragePool, LpPool, MaxPool
from neutrams.ir.ops.products import Einsum, Matmul
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.recurrent import Gru, Lstm
from neutrams.ir.ops.sampling import GridSample
from neutrams.ir.ops.spatial import DepthToSpace, Resize
from neutrams.ir.ops.tensors import (
    Concat,
    Expand,
    Pad,
    Reshape,
    Slice,
    Split,
    Tile,
    Transpose,
)  # fmt: skip
from neutrams.ir.types import Array, DType, Symbol, TensorType, symbol, tensor

N = symbol("N")
RNG = np.random.default_rng(7)


def floats(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def given(*arrays: Array) -> list[Value]:
    return [Weight(f"w{i}", array) for i, array in enumerate(arrays)]


def of(make: Callable[..., Op], *arrays: Array, **attributes: Any) -> Op:
    """Return an op of constants."""
    return make(*given(*arrays), **attributes)


def value(dtype: DType, *shape: int | Symbol) -> Value:
    return Value("x", tensor(dtype, *shape))


def run(op: Op) -> tuple[Array, ...]:
    """Evaluate an op of weights and hold its results against their types."""
    data = {v: v.data for v in op.present if isinstance(v, Weight)}
    made = evaluate(op, {v: a for v, a in data.items() if a is not None})
    for array, result in zip(made, op.results, strict=True):
        assert array.shape == result.type.shape
        assert DType.of(array.dtype) is result.type.dtype
    return made


def close(op: Op, expected: Any, tolerance: float = 1e-5) -> None:
    wanted = expected.detach().numpy() if isinstance(expected, torch.Tensor) else expected
    np.testing.assert_allclose(run(op)[0], wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("shape", "filters", "options"),
    [
        ((2, 3, 9, 8), (4, 3, 3, 3), {}),
        ((2, 3, 9, 8), (4, 3, 3, 2), {"stride": (2, 1), "padding": (1, 2), "dilation": (2, 1)}),
        ((2, 6, 7, 7), (4, 3, 3, 3), {"groups": 2, "padding": (1, 1)}),
        ((2, 5, 7, 7), (5, 1, 3, 3), {"groups": 5, "stride": (2, 2)}),
        ((2, 3, 4, 6, 5), (2, 3, 2, 3, 2), {"stride": (1, 2, 1), "padding": (0, 1, 1)}),
        ((3, 2, 11), (4, 2, 4), {"dilation": (2,)}),
    ],
)
def test_convolution_is_that_of_torch(
    shape: tuple[int, ...], filters: tuple[int, ...], options: dict[str, Any]
) -> None:
    x, w, b = floats(*shape), floats(*filters), floats(filters[0])
    functions: list[Callable[..., torch.Tensor]] = [F.conv1d, F.conv2d, F.conv3d]
    convolve = functions[len(shape) - 3]
    expected = convolve(*map(torch.from_numpy, (x, w, b)), **options)
    padding = tuple(options.get("padding", (0,) * (len(shape) - 2)))
    op = of(
        Conv,
        x,
        w,
        b,
        strides=tuple(options.get("stride", ())),
        pads=padding * 2,
        dilations=tuple(options.get("dilation", ())),
        groups=options.get("groups", 1),
    )
    close(op, expected)


def test_convolution_of_integers_is_exact() -> None:
    x = RNG.integers(-128, 128, (2, 64, 6, 6)).astype(np.int32)
    w = RNG.integers(-128, 128, (8, 64, 3, 3)).astype(np.int32)
    expected = F.conv2d(torch.from_numpy(x).double(), torch.from_numpy(w).double())
    assert np.array_equal(run(of(Conv, x, w))[0], expected.numpy().astype(np.int32))


def test_integers_too_large_for_doubles_are_multiplied_as_integers() -> None:
    a = np.array([[2**40 + 1, 2**40 - 1]], np.int64)
    b = np.array([[2**20 + 1], [2**20 - 1]], np.int64)
    exact = (2**40 + 1) * (2**20 + 1) + (2**40 - 1) * (2**20 - 1)
    assert run(of(Matmul, a, b))[0].item() == exact


def test_transposed_convolution_is_that_of_torch() -> None:
    x, w, b = floats(2, 4, 5, 6), floats(4, 3, 3, 3), floats(6)
    tensors = [torch.from_numpy(array) for array in (x, w, b)]
    expected = F.conv_transpose2d(
        tensors[0], tensors[1], tensors[2], stride=2, padding=1, output_padding=1, groups=2
    )
    op = of(ConvTranspose, x, w, b, strides=(2, 2), pads=(1,) * 4, output_pads=(1, 1), groups=2)
    close(op, expected)


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("include", [False, True])
def test_pools_are_those_of_torch(ceil_mode: bool, include: bool) -> None:
    x = floats(2, 3, 8, 9)
    t = torch.from_numpy(x)
    options: dict[str, Any] = {"kernel": (3, 2), "strides": (2, 2), "pads": (1, 1, 1, 1)}
    highest = F.max_pool2d(t, (3, 2), 2, 1, ceil_mode=ceil_mode)
    close(of(MaxPool, x, **options, ceil_mode=ceil_mode), highest)
    mean = F.avg_pool2d(t, (3, 2), 2, 1, ceil_mode=ceil_mode, count_include_pad=include)
    op = of(AveragePool, x, **options, ceil_mode=ceil_mode, count_include_pad=include)
    close(op, mean)
    close(of(LpPool, np.abs(x), kernel=(2, 2), p=3), F.lp_pool2d(t.abs(), 3.0, 2, 1))


def test_largest_of_integers_needs_no_floats() -> None:
    x = RNG.integers(-128, 128, (2, 3, 6, 6)).astype(np.int8)
    expected = x.reshape(2, 3, 3, 2, 3, 2).max(axis=(3, 5))
    assert np.array_equal(run(of(MaxPool, x, kernel=(2, 2), strides=(2, 2)))[0], expected)


ACTIVATIONS: list[tuple[Callable[[Value], Op], Callable[[torch.Tensor], torch.Tensor]]] = [
    (act.Relu, F.relu),
    (lambda x: act.LeakyRelu(x, alpha=0.2), lambda x: F.leaky_relu(x, 0.2)),
    (lambda x: act.Elu(x, alpha=0.7), lambda x: F.elu(x, 0.7)),
    (act.Selu, F.selu),
    (lambda x: act.Celu(x, alpha=2.0), lambda x: F.celu(x, 2.0)),
    (act.Gelu, F.gelu),
    (lambda x: act.Gelu(x, approximate="tanh"), lambda x: F.gelu(x, approximate="tanh")),
    (act.Sigmoid, torch.sigmoid),
    (act.HardSwish, F.hardswish),
    (act.Swish, F.silu),
    (act.Tanh, torch.tanh),
    (act.Softplus, F.softplus),
    (act.Softsign, F.softsign),
    (act.Mish, F.mish),
    (lambda x: act.Clip(x, low=-1.0, high=6.0), lambda x: x.clamp(-1, 6)),
    (red.Softmax, lambda x: F.softmax(x, -1)),
    (lambda x: red.LogSoftmax(x, axis=1), lambda x: F.log_softmax(x, 1)),
]


@pytest.mark.parametrize(("make", "expected"), ACTIVATIONS)
def test_activations_are_those_of_torch(
    make: Callable[[Value], Op], expected: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    x = 5 * floats(2, 7, 6)
    close(make(given(x)[0]), expected(torch.from_numpy(x)))


def test_extreme_inputs_stay_finite() -> None:
    x = np.array([[-1e4, -100, 0, 100, 1e4]], np.float32)
    for make, _ in ACTIVATIONS:
        assert np.isfinite(run(make(given(x)[0]))[0]).all()


def test_norms_are_those_of_torch() -> None:
    x, mean, variance = floats(2, 6, 4, 5), floats(6), np.abs(floats(6))
    scale, bias = floats(6), floats(6)
    t, s, b = map(torch.from_numpy, (x, scale, bias))
    running = (torch.from_numpy(mean), torch.from_numpy(variance))
    close(
        of(norm.BatchNorm, x, scale, bias, mean, variance),
        F.batch_norm(t, running[0], running[1], s, b),
    )
    close(of(norm.InstanceNorm, x, scale, bias), F.instance_norm(t, weight=s, bias=b))
    close(of(norm.GroupNorm, x, scale, bias, groups=3), F.group_norm(t, 3, s, b))
    wide = floats(4, 5), floats(4, 5)
    layer = F.layer_norm(t, (4, 5), torch.from_numpy(wide[0]), torch.from_numpy(wide[1]))
    close(of(norm.LayerNorm, x, *wide, axis=2), layer)
    root = F.rms_norm(t, (4, 5), torch.from_numpy(wide[0]), 1e-5)
    close(of(norm.RmsNorm, x, wide[0], axis=-2), root)
    local = F.local_response_norm(t, 3, 1e-2, 0.6, 2.0)
    close(of(norm.Lrn, x, size=3, alpha=1e-2, beta=0.6, bias=2.0), local)


@pytest.mark.parametrize("both", [False, True])
def test_recurrent_layers_are_those_of_torch(both: bool) -> None:
    x, ways = floats(5, 3, 4), 1 + both
    direction = "bidirectional" if both else "forward"
    lstm = torch.nn.LSTM(4, 6, bidirectional=both)
    ours = run(of(Lstm, x, *_weights(lstm, (0, 3, 1, 2)), direction=direction))
    y, (h, c) = lstm(torch.from_numpy(x))
    for found, wanted in zip(ours, (y.reshape(5, 3, ways, 6).transpose(1, 2), h, c), strict=True):
        np.testing.assert_allclose(found, wanted.detach().numpy(), atol=1e-5)
    gru = torch.nn.GRU(4, 6, bidirectional=both)
    weights = _weights(gru, (1, 0, 2))
    ours = run(of(Gru, x, *weights, direction=direction, linear_before_reset=True))
    np.testing.assert_allclose(ours[1], gru(torch.from_numpy(x))[1].detach().numpy(), atol=1e-5)


def _weights(layer: torch.nn.RNNBase, order: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Return w, r and b of a layer, its gates in ONNX's order."""
    found: dict[str, list[Array]] = {"w": [], "r": [], "b": []}
    for names in layer.all_weights:
        w, r, bw, br = (
            np.concatenate([np.split(p.detach().numpy(), len(order))[i] for i in order])
            for p in names
        )
        for key, array in (("w", w), ("r", r), ("b", np.concatenate([bw, br]))):
            found[key].append(array)
    return np.stack(found["w"]), np.stack(found["r"]), np.stack(found["b"])


def test_resampling_is_that_of_torch() -> None:
    x = floats(2, 3, 5, 7)
    t = torch.from_numpy(x)
    options: dict[str, Any] = {"axes": (2, 3), "sizes": (10, 21), "scales": (2.0, 3.0)}
    for mode, name in (("linear", "bilinear"), ("cubic", "bicubic")):
        close(of(Resize, x, **options, mode=mode), F.interpolate(t, (10, 21), mode=name))
        corners = F.interpolate(t, (10, 21), mode=name, align_corners=True)
        close(of(Resize, x, **options, mode=mode, coordinates="align_corners"), corners)
    nearest = F.interpolate(t, (10, 21), mode="nearest")
    close(of(Resize, x, **options, coordinates="asymmetric", nearest="floor"), nearest)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("corners", [False, True])
def test_grid_sampling_is_that_of_torch(padding: str, mode: str, corners: bool) -> None:
    x, grid = floats(2, 3, 5, 4), 0.8 * floats(2, 6, 3, 2)
    names = {"linear": "bilinear", "cubic": "bicubic"}
    expected = F.grid_sample(
        torch.from_numpy(x),
        torch.from_numpy(grid),
        mode=names.get(mode, mode),
        padding_mode=padding,
        align_corners=corners,
    )
    op = of(GridSample, x, grid, mode=mode, padding=padding, align_corners=corners)
    close(op, expected, 1e-4)


def test_quantising_rounds_halves_to_even_and_saturates() -> None:
    x = np.array([0.25, 0.75, 1.25, -0.25, 100.0, -100.0], np.float32)
    scale, zero = np.array(0.5, np.float32), np.array(1, np.int8)
    q = of(Quantize, x, scale, zero, low=-7, high=7)
    assert run(q)[0].tolist() == [1, 3, 3, 1, 7, -7]
    back = of(Dequantize, run(q)[0], scale, zero)
    assert run(back)[0].tolist() == [0, 1, 1, 0, 3, -4]


def test_quantising_by_channel_is_that_of_torch() -> None:
    x, scale = floats(2, 3, 4), np.array([0.1, 0.02, 0.5], np.float32)
    zero = np.array([0, 3, -5], np.int8)
    fake: Callable[..., torch.Tensor] = torch.fake_quantize_per_channel_affine
    expected = fake(*map(torch.from_numpy, (x, scale, zero.astype(np.int32))), 1, -128, 127)
    q = run(of(Quantize, x, scale, zero, axis=1))[0]
    close(of(Dequantize, q, scale, zero, axis=1), expected)


def test_integer_division_truncates() -> None:
    a, b = np.array([7, -7, 7, -7], np.int32), np.array([2, 2, -2, -2], np.int32)
    assert run(of(two.Div, a, b))[0].tolist() == [3, -3, -3, 3]


def test_moves_are_those_of_numpy() -> None:
    x = floats(3, 4, 5)
    (v,) = given(x)
    close(Transpose(v, permutation=(2, 0, 1)), x.transpose(2, 0, 1))
    far = -(2**63)
    close(Slice(v, starts=(-1,), ends=(far,), axes=(1,), steps=(-2,)), x[:, ::-2])
    close(Slice(v, starts=(1, 0), ends=(2**62, -1), axes=(0, 2)), x[1:, :, :-1])
    close(Pad(v, pads=(1, 0, -1, 0, 2, 3), mode="edge"),
          np.pad(x[:, :, 1:], [(1, 0), (0, 2), (0, 3)], mode="edge"))  # fmt: skip
    close(Concat((v, v), axis=-1), np.concatenate([x, x], -1))
    close(Tile(v, repeats=(1, 2, 3)), np.tile(x, (1, 2, 3)))
    close(of(Expand, x[:, :1], shape=(2, 3, 4, 5)), np.broadcast_to(x[:, :1], (2, 3, 4, 5)))
    parts = run(Split(v, axis=1, sizes=(1, 3)))
    assert np.array_equal(np.concatenate(parts, 1), x)
    close(Einsum((v, v), equation="bij, bkj -> bik"), x @ x.transpose(0, 2, 1))
    pixels = floats(1, 8, 2, 3)
    shuffled = F.pixel_shuffle(torch.from_numpy(pixels), 2)
    close(of(DepthToSpace, pixels, block=2, mode="CRD"), shuffled)


def test_indexing_takes_negative_indices() -> None:
    x, index = floats(4, 3), np.array([[-1, 0], [2, -4]], np.int64)
    close(of(Gather, x, index), x[index])
    hot = of(OneHot, index[:, :1], np.array([0, 1], np.float32), depth=4)
    assert run(hot)[0].argmax(-1).ravel().tolist() == [3, 2]
    updates = np.ones((2, 3), np.float32)
    places = np.array([[1], [1]], np.int64)
    added = run(of(ScatterNd, x, places, updates, reduction="add"))[0]
    np.testing.assert_allclose(added[1], x[1] + 2, rtol=1e-6)


def test_of_equal_elements_the_first_is_chosen() -> None:
    x = np.array([[1, 3, 3, 2, 3]], np.float32)
    values, places = run(of(red.Topk, x, k=4))
    assert values.tolist() == [[3, 3, 3, 2]]
    assert places.tolist() == [[1, 2, 4, 3]]
    assert run(of(red.Argmax, x, axis=1, keepdims=False))[0].tolist() == [1]
    assert run(of(red.Argmax, x, axis=1, keepdims=False, last=True))[0].tolist() == [4]


def test_symbols_go_through_shapes() -> None:
    x = value(DType.F32, N, 3, 8, 8)
    w = Weight("w", floats(4, 3, 3, 3))
    assert Conv(x, w).result.type.shape == (N, 4, 6, 6)
    assert MaxPool(x, kernel=(2, 2), strides=(2, 2)).result.type.shape == (N, 3, 4, 4)
    assert Reshape(x, shape=(Symbol(3, ("N",)), 64)).result.type.shape == (Symbol(3, ("N",)), 64)
    assert two.Add(x, value(DType.F32, 1, 3, 1, 1)).result.type.shape == (N, 3, 8, 8)
    assert red.ReduceMean(x, axes=(2, 3), keepdims=False).result.type.shape == (N, 3)


def test_a_reshape_finds_the_batch_when_it_runs() -> None:
    flat = Reshape(value(DType.F32, N, 3, 4), shape=(Symbol(3, ("N",)), 4))
    assert flat.evaluate(floats(5, 3, 4)).shape == (15, 4)
    back = Reshape(flat.result, shape=(N, 3, 4))
    assert back.evaluate(floats(15, 4)).shape == (5, 3, 4)


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("NT0103", lambda: two.Add(value(DType.F32, 3), value(DType.F32, 4))),
        ("NT0104", lambda: two.Add(value(DType.F32, 3), value(DType.F64, 3))),
        ("NT0105", lambda: act.Tanh(value(DType.I8, 3))),
        ("NT0106", lambda: red.Softmax(value(DType.F32, 3), axis=1)),
        ("NT0106", lambda: Conv(value(DType.F32, 3), value(DType.F32, 3))),
        ("NT0107", lambda: Matmul(value(DType.F32, 3, 4), value(DType.F32, 5, 6))),
        ("NT0107", lambda: Conv(value(DType.F32, N, 3, 8, 8), value(DType.F32, 4, 2, 3, 3))),
        ("NT0108", lambda: act.Gelu(value(DType.F32, 3), approximate="tan")),
        ("NT0109", lambda: Reshape(value(DType.F32, 3, 4), shape=(5,))),
        ("NT0120", lambda: MaxPool(value(DType.F32, N, 3, 2, 2), kernel=(3, 3))),
        ("NT0102", lambda: MaxPool(value(DType.F32, 1, 3, N, 2), kernel=(2, 1))),
    ],
)
def test_what_does_not_fit_is_told(code: str, make: Callable[[], Op]) -> None:
    with pytest.raises(NeutramsError) as caught:
        make()
    assert caught.value.diagnostics[0].code == code


def test_every_digital_op_may_stand_in_unit_graphs() -> None:
    for name, cls in OPS.items():
        if name.startswith(("nn.", "tensor.")):
            assert cls.levels == {"nn", "unit"}, name


def test_types_keep_no_range_through_ops() -> None:
    x = Value("x", TensorType(DType.F32, (3,)).with_range(0, 1))
    assert act.Relu(x).result.type.range is None
