"""Exported programs in onnxruntime: the same integers, bit for bit."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import neutrams
from neutrams.driver.onnx import to_onnx
from neutrams.driver.parity.traces import Trace, exact_values
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.op import OPS
from neutrams.ir.ops import unit
from neutrams.ir.ops.recurrent import Lstm
from neutrams.ir.ops.tensors import Cast, Reshape
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.types import Array, DType, TensorType, symbol, tensor
from neutrams.simulator import simulate

from .onnx_examples import Example, examples
from .onnxruntime_runs import every_value, program_of, run
from .unit_graphs import recurrent_graphs, unit_graphs

DATA = Path(os.environ.get("NEUTRAMS_DATA", Path(__file__).parents[3] / "shared" / "data"))
N = symbol("N")


def graph_of(example: Example) -> tuple[Graph, dict[str, Array]]:
    """Return a graph of one op that reads inputs; what crossbars hold is a weight."""
    build, arrays = example
    graph = Graph("main", "unit")
    types = [TensorType(DType.of(array.dtype), array.shape) for array in arrays]
    probe = build(*(Graph("probe", "unit").input("x", type) for type in types))
    held = 1 if isinstance(probe, Mvm) else len(arrays)
    values = [
        graph.input(f"x{i}", type) if i < held else graph.weight(f"w{i}", arrays[i])
        for i, type in enumerate(types)
    ]
    op = build(*values)
    graph.add(op, name=[f"r{i}" for i in range(len(op.results))])
    for i, value in enumerate(op.results):
        graph.output(value, f"y{i}")
    return graph, {f"x{i}": array for i, array in enumerate(arrays[:held])}


EXAMPLES = examples()
NAMES = [graph_of(example)[0].ops[0].name for example in EXAMPLES]


def test_every_op_of_the_unit_level_has_an_example() -> None:
    families = ("unit.", "nn.", "tensor.")
    wanted = {n for n, c in OPS.items() if "unit" in c.levels and n.startswith(families)}
    assert wanted == set(NAMES)


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_onnxruntime_computes_what_the_op_means(name: str) -> None:
    for example in (e for e, n in zip(EXAMPLES, NAMES, strict=True) if n == name):
        graph, inputs = graph_of(example)
        exact = exact_values(graph)
        for value, meant, found in every_value(graph, inputs):
            assert (meant.dtype, meant.shape) == (found.dtype, found.shape)
            if exact & {value, f"r{value[1:]}"}:
                np.testing.assert_array_equal(found, meant)
            else:
                np.testing.assert_allclose(found, meant, rtol=2e-5, atol=2e-6)


def jpegs(path: Path, count: int) -> Array:
    import io

    image = pytest.importorskip("PIL.Image")
    sets = np.load(path)
    data, offset = sets["test_jpeg"], sets["test_offset"]
    parts = [
        np.asarray(image.open(io.BytesIO(data[offset[i] : offset[i + 1]].tobytes())))
        for i in range(count)
    ]
    return np.stack(parts).transpose(0, 3, 1, 2).astype(np.float32)


def keywords(path: Path, count: int) -> Array:
    sets = np.load(path)
    x = (sets["x"][:count].astype(np.float32) - sets["zero_point"]) * sets["scale"]
    return np.asarray(x.reshape(-1, 1, 49, 10).astype(np.float32))


def digits(path: Path, count: int) -> Array:
    return np.asarray(np.load(path)["x_test"][:count, None].astype(np.float32))


def wake_words(path: Path, count: int) -> Array:
    return np.ascontiguousarray(np.load(path)["x"][:count].transpose(0, 3, 1, 2))


MODELS = {
    "mnist8_cntk": ("images/mnist", digits),
    "mlperf_tiny_resnet8": ("images/cifar10_jpeg", jpegs),
    "mlperf_tiny_kws_dscnn": ("audio/kws_mfcc_test1000", keywords),
    "mlperf_tiny_resnet8_int8_qdq": ("images/cifar10_jpeg", jpegs),
    "mlperf_tiny_kws_dscnn_int8_qdq": ("audio/kws_mfcc_test1000", keywords),
    "mlperf_tiny_streaming_wakeword_int8_qdq": ("audio/sww_logmel45", wake_words),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_real_network_has_the_simulators_integers(name: str) -> None:
    data, load = MODELS[name]
    files = DATA / "models" / "onnx" / f"{name}.onnx", DATA / f"{data}.npz"
    for file in files:
        if not file.exists():
            pytest.skip(f"no {file.name}")
    x = load(files[1], 40)
    quantised = name.endswith("_qdq")
    program = neutrams.compile(files[0], calibration=None if quantised else x)
    compared = same_integers(program, x)
    assert compared["integers"] > 10_000 * len(x) / 40
    assert compared["integers"] > 50 * compared["floats"]


def same_integers(program: Program, x: Array) -> dict[str, int]:
    """Assert that simulator and onnxruntime agree on every value; count what was compared."""
    trace = Trace.of(program.module["main"])
    name = trace.graph.inputs[0].name
    simulated = trace.values_of(simulate(trace.program(program), {name: x}).outputs)
    exported = to_onnx(program, keep=simulated)
    assert not exported.lossy
    found = run(exported, {name: x})
    exact = exact_values(program.module["main"])
    compared = {"integers": 0, "floats": 0}
    for value, wanted in simulated.items():
        made = found[exported.tensors[value]]
        compared["integers" if wanted.dtype.kind in "iu" else "floats"] += wanted.size
        if value in exact:
            np.testing.assert_array_equal(made, wanted, strict=True)
        else:
            step = 1 if wanted.dtype.kind in "iu" else 1e-5
            np.testing.assert_allclose(made, wanted, rtol=1e-5, atol=step)
    return compared


@given(made=unit_graphs())
@settings(max_examples=60, deadline=None)
def test_random_unit_graphs_give_the_same_integers(made: tuple[Graph, Array]) -> None:
    graph, x = made
    compared = 0
    for name, meant, found in every_value(graph, {"x": x}):
        np.testing.assert_array_equal(found, meant, err_msg=name, strict=True)
        compared += meant.size
    assert compared


@given(made=recurrent_graphs())
@settings(max_examples=12, deadline=None)
def test_cells_that_keep_integers_give_the_same_integers(made: tuple[Graph, Array]) -> None:
    graph, x = made
    names = set()
    for name, meant, found in every_value(graph, {"x": x}):
        np.testing.assert_array_equal(found, meant, err_msg=name, strict=True)
        names.add(name)
    assert {"all", "last"} <= names


def small(rows: int = 0, **encoding: Any) -> Graph:
    """One matrix product of 6 inputs and 3 neurons on a batch of unknown size."""
    random = np.random.default_rng(2)
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, N, 6))
    w = graph.weight("w", random.integers(-128, 128, (3, 6)).astype(np.int8))
    partials = graph.add(Mvm(x, w, rows=rows, **encoding), name="part")
    graph.output(graph.add(unit.Reduce(partials), name="sum"), "scores")
    return graph


def test_the_batch_stays_symbolic() -> None:
    exported = to_onnx(program_of(small()))
    dims = exported.model.graph.input[0].type.tensor_type.shape.dim
    assert (dims[0].dim_param, dims[1].dim_value) == ("N", 6)
    for batch in (1, 5):
        assert run(exported, {"x": np.zeros((batch, 6), np.uint8)})["scores"].shape == (batch, 3)


def test_only_standard_operators_over_integers() -> None:
    model = to_onnx(program_of(small(rows=2))).model
    assert [(domain.domain, domain.version) for domain in model.opset_import] == [("", 21)]
    assert {node.op_type for node in model.graph.node} == {"MatMulInteger", "Identity"}


def test_lossy_converters_are_named() -> None:
    exported = to_onnx(program_of(small(adc_bits=3)))
    assert exported.lossy == ("part",)
    (found,) = exported.warnings
    assert found.code == "NT0551"
    assert "`part`" in found.render()
    assert not to_onnx(program_of(small(adc_bits=16))).lossy


def test_all_ops_that_have_no_spelling_are_named() -> None:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.F32, 5, 2, 3))
    w, r = (graph.weight(f"w{n}", np.ones((1, 16, n), np.float32)) for n in (3, 4))
    graph.insert(Lstm(x, w, r, clip=0.5), name=["over", "h", "c"])
    bits = graph.add(Cast(x, dtype=DType.I32, bits=True), name="bits")
    after = graph.add(Reshape(bits, shape=(30,)), name="after")
    graph.output(after)
    with pytest.raises(NeutramsError) as fault:
        to_onnx(program_of(graph))
    found = fault.value.diagnostics
    assert [diagnostic.code for diagnostic in found] == ["NT0550", "NT0550"]
    assert "`nn.lstm`" in found[0].message
    assert "`bits`" in found[1].notes[0]


def test_weights_wider_than_a_file_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neutrams.driver.onnx.model.LARGEST", 10)
    with pytest.raises(NeutramsError) as fault:
        to_onnx(program_of(small()))
    assert fault.value.diagnostics[0].code == "NT0553"


def test_equal_programs_give_equal_files(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.onnx", "b.onnx")]
    for file in files:
        assert neutrams.export(program_of(small(rows=2)), file, to="onnx") == [file]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_warning_reaches_the_caller(tmp_path: Path) -> None:
    notes: list[neutrams.Diagnostic] = []
    neutrams.export(program_of(small(adc_bits=3)), tmp_path / "a", to="onnx", notes=notes)
    assert [note.code for note in notes] == ["NT0551"]


def test_a_fan_in_beyond_32_bits_is_summed_in_64() -> None:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, 2, 70_000))
    w = graph.weight("w", np.full((1, 70_000), -128, np.int8))
    graph.output(graph.add(unit.Reduce(graph.add(Mvm(x, w))), name="sum"))
    samples = np.full((2, 70_000), 255, np.uint8)
    ((_, meant, found), *_) = every_value(graph, {"x": samples})
    assert meant.dtype == np.int64
    assert meant.min() == -70_000 * 128 * 255
    np.testing.assert_array_equal(found, meant, strict=True)


def test_a_graph_is_not_changed_by_exporting_it() -> None:
    program = program_of(small())
    before = dataclasses.replace(program).members()
    to_onnx(program, keep=["sum"])
    assert program.members() == before
