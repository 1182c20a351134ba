"""Chips that shift: every factor is a power of two, and sums are shifted exactly."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.driver import Options, compile_model
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add as FloatAdd
from neutrams.ir.ops.pooling import AveragePool as FloatPool
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.ops.unit import Add, AveragePool, Reduce, Rescale
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.ir.verifier import check
from neutrams.passes import PassContext, PassManager, default_pipeline
from neutrams.passes.answers import relative_error
from neutrams.targets import load

CIM = load("cim")
SHIFTS = load("cim", {"limits.rescale": "power-of-two"})


def net(seed: int, pool: int = 2) -> tuple[Graph, dict[str, Array]]:
    """A convolution, a residual one, an average pool and a matrix product."""
    random, graph, batch = np.random.default_rng(seed), Graph("net"), symbol("N")
    x = graph.input("x", tensor(DType.F32, batch, 3, 6, 6))

    def conv(value: object) -> Conv:
        w = (random.normal(size=(3, 3, 3, 3)) * random.uniform(0.1, 3)).astype(np.float32)
        b = random.normal(size=3).astype(np.float32)
        return Conv(value, graph.weight("w", w), graph.weight("b", b), pads=(1,) * 4)  # type: ignore[arg-type]

    first = graph.add(Relu(graph.add(conv(x))))
    summed = graph.add(Relu(graph.add(FloatAdd(graph.add(conv(first)), first))))
    pooled = graph.add(FloatPool(summed, kernel=(pool, pool), strides=(pool, pool)))
    count = 3 * (6 // pool) ** 2
    flat = graph.add(Reshape(pooled, shape=(batch, count)))
    v = random.normal(size=(count, 4)).astype(np.float32)
    graph.output(graph.add(Matmul(flat, graph.weight("v", v))), "y")
    return graph, {"x": random.normal(size=(32, 3, 6, 6)).astype(np.float32)}


def factors(graph: Graph) -> list[float]:
    """Return all that the units of a graph multiply by."""
    found: list[float] = []
    for op in graph.ops:
        if isinstance(op, Rescale):
            found += np.asarray(op.scale.data).reshape(-1).tolist()  # type: ignore[attr-defined]
        if isinstance(op, Add):
            found += [op.a_scale, op.b_scale]
        if isinstance(op, AveragePool):
            found += op.shares().tolist()
    return found


def lowered(seed: int, *, option: bool, pool: int = 2) -> tuple[Graph, dict[str, Array]]:
    graph, data = net(seed, pool)
    passes = default_pipeline()
    passes = passes.replace("quantize", "quantize{power-of-two=true}") if option else passes
    ctx = PassContext(target=CIM if option else SHIFTS, calibration=data)
    PassManager(passes).run(graph, ctx)
    return graph, data


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**16), st.booleans())
def test_every_factor_is_a_power_of_two_and_little_is_lost(seed: int, option: bool) -> None:
    original, data = net(seed)
    wanted = interpret(original, data)
    graph, _ = lowered(seed, option=option)
    check(graph, SHIFTS)
    found = factors(graph)
    assert len(found) == 3 + 3 + 2 + 1
    assert all(np.frexp(factor)[0] == 0.5 for factor in found)
    assert relative_error(interpret(graph, data), wanted) < 0.1


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**16))
def test_rescaling_equals_an_exact_shift(seed: int) -> None:
    graph, data = lowered(seed, option=False)
    sums: dict[object, Array] = {}
    interpret(graph, data, watch=lambda value, array: sums.update({value: array}))
    for op in graph.ops:
        if not isinstance(op, Rescale):
            continue
        scales = np.asarray(op.scale.data).reshape(-1)  # type: ignore[attr-defined]
        for channel, scale in enumerate(scales):
            taken = np.moveaxis(sums[op.x], op.axis, 0)[channel].ravel()[:50]
            made = np.moveaxis(sums[op.result], op.axis, 0)[channel].ravel()[:50]
            for number, got in zip(taken.tolist(), made.tolist(), strict=True):
                exact = round(number * Fraction(float(scale))) + op.zero
                assert got == min(max(exact, op.low), op.high)


def test_other_factors_are_refused_on_a_chip_that_shifts() -> None:
    graph, data = net(0)
    PassManager(default_pipeline()).run(graph, PassContext(target=CIM, calibration=data))
    with pytest.raises(NeutramsError, match="powers of two only") as caught:
        check(graph, SHIFTS)
    assert {d.code for d in caught.value.diagnostics} == {"NT0145"}
    check(graph, CIM)


@pytest.mark.parametrize(("pool", "units"), [(2, 1), (3, 0)])
def test_an_average_of_other_than_powers_of_two_stays_float(pool: int, units: int) -> None:
    graph, _ = lowered(0, option=False, pool=pool)
    assert sum(isinstance(op, AveragePool) for op in graph.ops) == units
    assert sum(isinstance(op, FloatPool) for op in graph.ops) == 1 - units


def test_sums_that_float32_rounds_are_refused_on_a_chip_that_shifts() -> None:
    graph, _ = lowered(0, option=False)
    reduce = next(op for op in graph.ops if isinstance(op, Reduce))
    bias = graph.weight("large", np.full(3, 2**25, np.int32))
    graph.replace(reduce, replace(reduce, bias=bias))
    PassManager("check-accumulators").run(graph, PassContext(target=CIM))
    with pytest.raises(NeutramsError, match="NT0243"):
        PassManager("check-accumulators").run(graph, PassContext(target=SHIFTS))


@pytest.mark.parametrize(
    ("method", "option"), [("gptq", False), ("learned", False), ("learned", True), ("sgd", False)]
)
def test_retraining_keeps_powers_of_two(method: str, option: bool) -> None:
    limits = {"limits.weight_bits": "2", "limits.rescale": "float" if option else "power-of-two"}
    extra = f",retrain-units{{method={method} enough=0 whole=40 steps=40 threads=1}}"
    graph, data = net(1)
    errors = []
    for tail in ("", extra + ",check-accumulators"):
        passes = default_pipeline() + tail
        passes = passes.replace("quantize", "quantize{power-of-two=true}") if option else passes
        found = compile_model(
            graph,
            target=load("cim", limits),
            calibration=data,
            options=Options(passes=passes),
        )
        main = found.program.module["main"]
        check(main, SHIFTS)
        assert all(np.frexp(abs(factor))[0] == 0.5 for factor in factors(main))
        errors.append(relative_error(interpret(main, data), interpret(graph, data)))
    assert errors[1] < 0.9 * errors[0]
