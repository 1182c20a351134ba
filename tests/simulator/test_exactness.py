"""The kernels give, bit for bit, what the interpreter gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir.graph import Graph, Module
from neutrams.ir.interpreter import interpret
from neutrams.ir.ops.quantization import Dequantize
from neutrams.ir.ops.reductions import Softmax
from neutrams.ir.ops.unit import Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.target import Coding
from neutrams.ir.types import Array, DType, TensorType, symbol
from neutrams.simulator import simulate
from neutrams.simulator.exact.lookup import processor
from neutrams.targets import load

ROOT = Path(__file__).resolve().parents[2]


@st.composite
def encodings(draw: st.DrawFn) -> dict[str, Any]:
    bits = draw(st.integers(1, 9))
    return {
        "input_bits": bits,
        "input_offset": draw(st.sampled_from([0, 2 ** (bits - 1)])),
        "weight_bits": draw(st.integers(2, 8)),
        "cell_bits": draw(st.integers(1, 7)),
        "dac_bits": draw(st.sampled_from([1, 2, 3, 5])),
        "adc_bits": draw(st.integers(0, 9)),
        "coding": draw(st.sampled_from(get_args(Coding))),
        "column_flip": draw(st.booleans()),
        "adc_mode": draw(st.sampled_from(["clip", "scale"])),
        "rows": draw(st.sampled_from([0, 3, 20, 150])),
        "neurons": draw(st.sampled_from([0, 2, 20])),
        "groups": draw(st.integers(1, 3)),
    }


@st.composite
def geometries(draw: st.DrawFn) -> dict[str, Any]:
    rank = draw(st.integers(0, 3))

    def numbers(low: int, high: int, count: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(low, high), min_size=count, max_size=count)))

    if not rank:
        return {}
    return {
        "kernel": numbers(1, 3, rank),
        "strides": numbers(1, 3, rank),
        "pads": numbers(0, 2, 2 * rank),
        "dilations": numbers(1, 2, rank),
    }


def network(
    encoding: dict[str, Any], geometry: dict[str, Any], readers: int, seed: int
) -> tuple[Program, Array]:
    """One matrix product with 0 to 2 of the ops that may be fused into it, and an input.

    Some have so many samples that windows of whole vectors lie one behind the other.
    """
    rng = np.random.default_rng(seed)
    samples = 66 if seed % 3 else 3
    rank, groups = len(geometry.get("kernel", ())), encoding["groups"]
    channels, neurons = (
        int(rng.integers(1, 60 if not rank else 5)),
        groups * int(rng.integers(1, 6)),
    )
    fan_in = channels * int(np.prod(geometry.get("kernel", ())))
    inside = rng.integers(5, 8, rank)
    shape = (samples, *((groups * channels, *inside) if rank else (2, groups * channels)))
    top = 2 ** encoding["input_bits"]
    x = rng.integers(0, top, shape) * (rng.random(shape) < rng.random()) - encoding["input_offset"]
    half = 2 ** (encoding["weight_bits"] - 1)
    w = rng.integers(-half + 1, half, (neurons, fan_in)).astype(np.int8)
    graph = Graph("main", "unit")
    source = graph.input("x", TensorType(DType.I16, (symbol("N"), *map(int, shape[1:]))))
    outside = {"pad_value": -encoding["input_offset"] + top // 2} if rank else {}
    axis = 1 if rank else 2
    y = graph.add(Mvm(source, graph.weight("w", w), **encoding, **geometry, **outside))
    if readers:
        bias = rng.integers(-99, 99, neurons).astype(np.int32)
        y = graph.add(Reduce(y, graph.weight("b", bias) if seed % 2 else None, axis=axis))
    if readers > 1:
        scale = (rng.random(neurons if seed % 4 < 2 else ()) * 0.1).astype(np.float32)
        rescale = Rescale(y, graph.weight("s", np.asarray(scale)), axis=axis, zero=3, low=-100)
        y = graph.add(rescale)
    graph.output(y, "y")
    return Program(Module([graph]), load("cim")), x.astype(np.int16)


def exact(encoding: dict[str, Any]) -> dict[str, Any]:
    return {**encoding, "adc_bits": 0, "input_bits": min(encoding["input_bits"], 8)}


@settings(deadline=None, max_examples=250)
@given(
    st.one_of(encodings(), encodings().map(exact)),
    geometries(),
    st.integers(0, 2),
    st.integers(0, 1000),
)
def test_matrix_products(
    encoding: dict[str, Any], geometry: dict[str, Any], readers: int, seed: int
) -> None:
    program, x = network(encoding, geometry, readers, seed)
    expected = interpret(program.module["main"], {"x": x})["y"]
    found = simulate(program, {"x": x}, batch=None if seed % 5 else 3).outputs["y"]
    assert found.dtype == expected.dtype
    assert (found == expected).all()


@pytest.mark.parametrize(
    "encoding",
    [
        {},
        {"adc_bits": 0},
        {"adc_bits": 6},
        {"adc_bits": 6, "adc_mode": "scale"},
        {"adc_bits": 5, "coding": "differential"},
        {"adc_bits": 5, "coding": "analog-differential"},
        {"adc_bits": 5, "coding": "twos-complement"},
        {"adc_bits": 9, "dac_bits": 2},
    ],
)
def test_networks(build_net: Any, encoding: dict[str, Any]) -> None:
    program = build_net(**encoding)
    x = np.random.default_rng(0).integers(0, 256, (7, 1, 12, 12)).astype(np.uint8)
    expected = interpret(program.module["main"], {"x": x})["scores"]
    assert (simulate(program, {"x": x}).outputs["scores"] == expected).all()
    assert len(np.unique(expected)) > 10


def test_floats_do_not_depend_on_how_sums_lie_in_memory() -> None:
    rng = np.random.default_rng(1)
    graph = Graph("main", "unit")
    x = graph.input("x", TensorType(DType.U8, (symbol("N"), 64)))
    w = graph.weight("w", rng.integers(-127, 128, (10, 64)).astype(np.int8))
    sums = graph.add(Reduce(graph.add(Mvm(x, w)), axis=1))
    scale = graph.weight("scale", rng.uniform(1e-4, 2e-4, 10).astype(np.float32))
    zero = graph.weight("zero", np.zeros(10, np.int32))
    graph.output(graph.add(Softmax(graph.add(Dequantize(sums, scale, zero, axis=1)))), "y")
    samples = {"x": rng.integers(0, 256, (200, 64)).astype(np.uint8)}
    program = Program(Module([graph]), load("cim"))
    assert np.array_equal(simulate(program, samples).outputs["y"], interpret(graph, samples)["y"])


def test_sixteen_bit_networks() -> None:
    """ISAAC's own widths, whose sums need 64-bit integers."""
    rng = np.random.default_rng(0)
    for adc_bits in (8, 7):
        graph = Graph("main", "unit")
        x = graph.input("x", TensorType(DType.U16, (symbol("N"), 300)))
        w = rng.integers(-(2**15), 2**15, (20, 300)).astype(np.int16)
        y = graph.add(
            Mvm(
                x, graph.weight("w", w), rows=128, neurons=16, input_bits=16, weight_bits=16,
                adc_bits=adc_bits, column_flip=True,
            )
        )  # fmt: skip
        graph.output(graph.add(Reduce(y)), "y")
        program = Program(Module([graph]), load("isaac"))
        data = rng.integers(0, 2**16, (4, 300)).astype(np.uint16)
        expected = interpret(graph, {"x": data})["y"]
        assert (simulate(program, {"x": data}).outputs["y"] == expected).all()
        exact = data.astype(np.int64) @ w.T.astype(np.int64)
        assert (expected == exact).all() == (adc_bits == 8)


def test_kernels_mean_the_same_uncompiled_and_on_other_processors(tmp_path: Path) -> None:
    """Lossy and lossless networks give the same sums with Numba's compiler off, or held to less."""
    script = tmp_path / "run.py"
    script.write_text(
        "import numpy as np\n"
        "from neutrams.ir.graph import Graph, Module\n"
        "from neutrams.ir.ops.unit import Reduce, Rescale\n"
        "from neutrams.ir.ops.unit_mvm import Mvm\n"
        "from neutrams.ir.program import Program\n"
        "from neutrams.ir.types import DType, symbol, tensor\n"
        "from neutrams.simulator import simulate\n"
        "from neutrams.targets import load\n"
        "rng = np.random.default_rng(0)\n"
        "pairs = 'analog-differential'\n"
        "for adc_bits, mode, coding in ((0, 'clip', 'offset'), (4, 'clip', 'offset'),\n"
        "                               (4, 'scale', 'offset'), (4, 'clip', pairs)):\n"
        "    g = Graph('main', 'unit')\n"
        "    x = g.input('x', tensor(DType.U8, symbol('N'), 5, 5, 5))\n"
        "    w = rng.integers(-127, 128, (6, 45)).astype(np.int8)\n"
        "    y = g.add(Mvm(x, g.weight('w', w), kernel=(3, 3), pads=(1, 1, 0, 0), rows=10,\n"
        "                  adc_bits=adc_bits, adc_mode=mode, coding=coding,\n"
        "                  column_flip=True))\n"
        "    y = g.add(Reduce(y, axis=1))\n"
        "    s = g.weight('s', np.array(0.01, np.float32))\n"
        "    g.output(g.add(Rescale(y, s, axis=1)), 'y')\n"
        "    data = rng.integers(0, 256, (20, 5, 5, 5)).astype(np.uint8)\n"
        "    out = simulate(Program(Module([g]), load('cim')), {'x': data}).outputs['y']\n"
        "    print(out.ravel().tolist())\n"
    )
    printed = []
    for held in ({}, {"NUMBA_DISABLE_JIT": "1"}, *_processors()):
        variables = {**os.environ, **held, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, str(script)], env=variables, capture_output=True, text=True, check=True
        )
        printed.append(done.stdout)
    assert len(set(printed)) == 1
    assert printed[0].count("\n") == 4


def _processors() -> list[dict[str, str]]:
    """Return how to have Numba compile for lesser processors that this one can stand for."""
    features = processor()
    known = [("+ssse3",), ("+avx2", "+avxvnni")]
    return [
        {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ",".join(each)}
        for each in known
        if features.issuperset(each)
    ]
