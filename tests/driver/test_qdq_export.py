"""QDQ models: near the simulator, each layer within a step, and fused by onnxruntime."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings

import neutrams
from neutrams.driver.approximation import approximation
from neutrams.driver.onnx import Exported, to_onnx
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value, Weight
from neutrams.ir.program import Program
from neutrams.ir.types import Array

from .onnxruntime_runs import ort, program_of, run
from .test_onnx_export import digits, jpegs, small
from .unit_graphs import recurrent_graphs, unit_graphs

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("NEUTRAMS_DATA", ROOT.parent / "shared" / "data"))


def fused(exported: Exported, folder: Path) -> Counter[str]:
    """Return the operators that onnxruntime runs in the end."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(
        exported.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    nodes = onnx.load(folder / "optimised.onnx").graph.node
    return Counter(node.op_type for node in nodes)


def layers(graph: Graph, found: dict[str, Array]) -> list[tuple[Value, Array]]:
    """Return each value with what its op, and those inside it, make of what was found before."""
    live: dict[Value, Array] = {}
    wanted = []
    for value in (*graph.inputs, *graph.weights.values()):
        data = value.data if isinstance(value, Weight) else found[value.name]
        assert data is not None
        live[value] = data
    for op in graph.ops:
        made = op.evaluate(*(None if v is None else live[v] for v in op.operands))
        for value, array in zip(
            op.results, made if isinstance(made, tuple) else (made,), strict=True
        ):
            live[value] = found.get(value.name, array)
            if value.name in found:
                wanted.append((value, array.astype(value.type.dtype.numpy)))
    return wanted


def test_each_layer_is_within_a_step() -> None:
    written: Counter[str] = Counter()

    @given(made=unit_graphs())
    @settings(max_examples=80, deadline=None, derandomize=True)
    def check(made: tuple[Graph, Array]) -> None:
        graph, x = made
        names = [value.name for op in graph.ops for value in op.results]
        exported = to_onnx(program_of(graph), keep=names, qdq=True)
        written.update({node.op_type for node in exported.model.graph.node})
        made_there = run(exported, {"x": x})
        tensors = {name: exported.tensors[name] for name in names if name in exported.tensors}
        found = {"x": x, **{name: made_there[tensor] for name, tensor in tensors.items()}}
        assert graph.outputs[-1].name in found
        for value, wanted in layers(graph, found):
            there = found[value.name]
            assert (there.dtype, there.shape) == (wanted.dtype, wanted.shape)
            moved = np.abs(there.astype(np.int64) - wanted.astype(np.int64)).max(initial=0)
            assert moved <= 1, value

    check()
    for form in ("Conv", "Gemm", "Add", "AveragePool", "Clip", "ConvInteger", "MatMulInteger"):
        assert written[form], f"no example is written with {form}"


@given(made=recurrent_graphs())
@settings(max_examples=8, deadline=None)
def test_cells_run_in_qdq_form_too(made: tuple[Graph, Array]) -> None:
    graph, x = made
    exported = to_onnx(program_of(graph), qdq=True)
    body = next(n for n in exported.model.graph.node if n.op_type == "Scan").attribute
    inner = {node.op_type for a in body for node in a.g.node}
    assert {"QuantizeLinear", "DequantizeLinear", "Gemm"} <= inner
    found = run(exported, {"x": x})
    assert found["all"].shape == (3, 5, 4)


def resnet8() -> tuple[Path, Array]:
    file, data = (
        DATA / "models/onnx/mlperf_tiny_resnet8.onnx", DATA / "images/cifar10_jpeg.npz",
    )  # fmt: skip
    for each in (file, data):
        if not each.exists():
            pytest.skip(f"no {each.name}")
    return file, jpegs(data, 100)


def mnist8() -> tuple[Path, Array]:
    data = DATA / "images/mnist.npz"
    if not data.exists():
        pytest.skip(f"no {data.name}")
    return ROOT / "examples/mnist8_cntk.onnx", digits(data, 200)


@pytest.mark.parametrize("network", [mnist8, resnet8])
def test_real_networks_keep_their_answers_and_are_fused(network: object, tmp_path: Path) -> None:
    file, x = network()  # type: ignore[operator]
    program = neutrams.compile(file, calibration=x[:64])
    found = approximation(program, x)
    assert found.kept >= 0.99
    assert found.integers > 10_000 * found.samples
    assert found.differ <= found.integers / 1000
    assert found.steps <= 1
    exported = to_onnx(program, qdq=True)
    simulated = neutrams.simulate(program, x, compare=False).outputs
    name, scores = next(iter(simulated.items()))
    here = run(exported, {program.module["main"].inputs[0].name: x})[name]
    assert np.mean(here.argmax(axis=1) == scores.argmax(axis=1)) >= 0.99
    operators = fused(exported, tmp_path)
    convolutions = sum(node.op_type == "Conv" for node in exported.model.graph.node)
    assert operators["QLinearConv"] == convolutions > 0
    assert operators["Conv"] == operators["Gemm"] == 0


def chain() -> Program:
    return program_of(small(rows=2))


def test_a_warning_says_that_it_is_approximate(tmp_path: Path) -> None:
    notes: list[neutrams.Diagnostic] = []
    neutrams.export(chain(), tmp_path / "a.onnx", to="qdq", notes=notes)
    assert [note.code for note in notes] == ["NT0555"]
    assert "--inputs" in notes[0].render()


def test_equal_programs_give_equal_files(tmp_path: Path) -> None:
    for name in "ab":
        neutrams.export(chain(), tmp_path / name, to="qdq")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
