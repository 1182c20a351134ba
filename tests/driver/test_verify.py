"""The parity chain holds, and a fault put into one executor is found at its link."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import neutrams
from neutrams.driver import Link, Verification, verify
from neutrams.driver.parity import links
from neutrams.driver.parity.weights import check_weights
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.op import Weight
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.reductions import Softmax
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.types import DType, symbol, tensor
from neutrams.simulator import simulate

pytest.importorskip("onnxruntime")

RANDOM = np.random.default_rng(9)
X = RANDOM.standard_normal((24, 1, 8, 8)).astype(np.float32)
N = symbol("N")
FLOAT, WEIGHTS, TORCH, PLACEMENT, CELLS, SIMULATOR, ONNX = (
    "float network → unit graph",
    "float weights → unit weights",
    "unit graph → torch executor",
    "unit graph → placement",
    "unit graph → programmed cells",
    "unit graph → simulator",
    "simulator → onnxruntime",
)


def network() -> Graph:
    """A convolution, a matrix product and a softmax."""
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, N, 1, 8, 8))
    filters = RANDOM.standard_normal((4, 1, 3, 3)).astype(np.float32)
    c = graph.add(Conv(x, graph.weight("filters", filters), strides=(2, 2)), name="c")
    flat = graph.add(Reshape(graph.add(Relu(c), name="r"), shape=(N, 36)), name="flat")
    matrix = RANDOM.standard_normal((36, 5)).astype(np.float32)
    y = graph.add(Matmul(flat, graph.weight("matrix", matrix)), name="y")
    graph.output(graph.add(Softmax(y), name="p"), "scores")
    return graph


def compiled(**options: Any) -> Program:
    return neutrams.compile(network(), calibration=X, **options)


@pytest.fixture(scope="module")
def program() -> Program:
    return compiled()


def states(found: Verification) -> dict[str, str]:
    return {link.name: link.state for link in found.links}


def link_of(found: Verification, name: str) -> Link:
    return next(link for link in found.links if link.name == name)


def copy_of(program: Program, tmp_path: Path) -> Program:
    program.save(tmp_path / "copy.ntp")
    return Program.load(tmp_path / "copy.ntp")


def change_a_weight(program: Program, unit: str, by: int = 9) -> None:
    """Move one weight of a unit by some steps."""
    (op,) = (op for op in program.module["main"].ops if op.result.origin == unit)
    assert isinstance(op, Mvm)
    assert isinstance(op.w, Weight)
    assert op.w.data is not None
    data = op.w.data.copy()
    data[2, 3] += -by if data[2, 3] > 0 else by
    op.w.data = data


def test_the_chain_holds(program: Program) -> None:
    found = verify(program, X)
    assert found.passed
    assert set(states(found).values()) == {"passed"}
    assert found.samples == 24
    for name in (TORCH, CELLS, SIMULATOR, ONNX):
        link = link_of(found, name)
        assert link.difference == 0
        assert link.compared > 24 * (64 + 36 + 36 + 5)
    inside = 24 * (2 * 36 + 5)
    for name in (TORCH, CELLS):
        assert link_of(found, name).compared >= link_of(found, SIMULATOR).compared + inside
    assert link_of(found, WEIGHTS).compared == 4 * 9 + 36 * 5
    assert link_of(found, WEIGHTS).difference <= 1
    float_link = link_of(found, FLOAT)
    assert float_link.compared == 24 * 5
    assert float_link.retention is not None
    assert float_link.retention > 0.9


def test_few_samples_can_be_asked_for(program: Program) -> None:
    assert verify(program, X, limit=3).samples == 3


def test_a_wrong_weight_is_found_in_its_unit(program: Program, tmp_path: Path) -> None:
    broken = copy_of(program, tmp_path)
    assert verify(broken, X).passed
    change_a_weight(broken, "y")
    found = verify(broken, X)
    assert not found.passed
    link = link_of(found, WEIGHTS)
    assert (link.state, link.first) == ("broken", "y.mvm, neuron 2, weight 3")
    assert link.difference > 8
    assert states(found)[SIMULATOR] == states(found)[ONNX] == "passed"


def test_a_scrambled_network_keeps_too_little(program: Program, tmp_path: Path) -> None:
    broken = copy_of(program, tmp_path)
    (bias,) = (w for n, w in broken.module["main"].weights.items() if n.startswith("y.bias"))
    assert bias.data is not None
    bias.data = bias.data + np.array([0, 0, 0, 0, 10**6], bias.data.dtype)
    assert states(verify(broken, X))[FLOAT] == "broken"
    assert verify(broken, X, retention=0.0).passed


def test_a_wrong_simulator_is_found(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    from neutrams.driver.parity import verification

    def wrong(traced: Program, inputs: Any) -> Any:
        change_a_weight(traced, "c")
        return simulate(traced, inputs)

    monkeypatch.setattr(verification, "simulate", wrong)
    found = verify(program, X)
    assert [name for name, state in states(found).items() if state == "broken"] == [SIMULATOR, ONNX]
    assert link_of(found, SIMULATOR).first == "r.q"
    assert link_of(found, SIMULATOR).difference > 0


def test_a_wrong_export_is_found(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    neutrams.export(program, file, to="onnx")
    assert verify(program, X, onnx=file).passed
    model = onnx.load(file)
    name = next(n.input[1] for n in model.graph.node if n.op_type == "ConvInteger")
    stored = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    weights = numpy_helper.to_array(stored).copy()
    weights.reshape(-1)[3] ^= 8
    stored.CopyFrom(numpy_helper.from_array(weights, name))
    onnx.save(model, file)
    found = verify(program, X, onnx=file)
    assert [name for name, state in states(found).items() if state == "broken"] == [ONNX]
    assert link_of(found, ONNX).first
    assert link_of(found, ONNX).compared == link_of(verify(program, X), ONNX).compared


def test_another_programs_export_is_refused(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    graph = network()
    graph.output_names = ["other"]
    neutrams.export(neutrams.compile(graph, calibration=X), file, to="onnx")
    for wrong in (file, tmp_path / "absent.onnx", Path(__file__)):
        with pytest.raises(NeutramsError) as fault:
            verify(program, X, onnx=wrong)
        assert fault.value.diagnostics[0].code == "NT0552"


def test_what_cannot_be_run_is_named_and_does_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    from neutrams.driver.parity import executors

    monkeypatch.setattr(executors, "find_spec", lambda name: None)
    found = verify(compiled(keep_float=False), X)
    assert found.passed
    idle = [link.name for link in found.links if link.state == "not run"]
    assert idle == [WEIGHTS, FLOAT, TORCH, ONNX]
    for name in (TORCH, ONNX):
        assert "not installed" in link_of(found, name).note
    assert "--no-float" in link_of(found, FLOAT).note


def test_values_behind_lossy_converters_are_left_out() -> None:
    lossy = compiled(overrides={"core.adc_bits": 5})
    found = verify(lossy, X, retention=0.0)
    link = link_of(found, ONNX)
    assert link.state == "passed"
    assert "lose bits" in link.note
    assert link.compared < link_of(found, SIMULATOR).compared


def test_a_link_that_compares_nothing_is_broken() -> None:
    empty = links.compare("a → b", {"v": np.zeros(3)}, {}, exact={"v"})
    assert (empty.state, empty.compared) == ("broken", 0)
    assert empty.note


def test_values_of_another_type_or_shape_are_different() -> None:
    same = {"v": np.zeros(3, np.int8)}
    for other in (np.zeros(3, np.int16), np.zeros((1, 3), np.int8)):
        assert links.compare("a → b", same, {"v": other}, exact={"v"}).state == "broken"


def test_exact_values_may_not_differ_at_all_and_others_little() -> None:
    a = {"v": np.linspace(1, 2, 5, dtype=np.float32)}
    near = {"v": np.nextafter(a["v"], np.float32(3))}
    far = {"v": a["v"] + np.float32(0.01)}
    assert links.compare("l", a, near, exact={"v"}).state == "broken"
    assert links.compare("l", a, near, exact=set()).state == "passed"
    assert links.compare("l", a, far, exact=set()).state == "broken"
    broken = {"v": np.array([np.nan, *a["v"][1:]], np.float32)}
    assert links.compare("l", a, broken, exact={"v"}).state == "broken"


def test_weights_are_compared_for_every_seed_and_width() -> None:
    for bits in (8, 4):
        program = compiled(overrides={"limits.weight_bits": bits})
        link = link_of(verify(program, X, retention=0.0), WEIGHTS)
        assert (link.state, link.compared) == ("passed", 216)
    pipeline = {**program.manifest, "pipeline": "quantize,retrain-units,lower-units"}
    retrained = dataclasses.replace(program, manifest=pipeline)
    assert link_of(verify(retrained, X, retention=0.0), WEIGHTS).state == "not run"


def test_weights_that_came_as_integers_may_not_move_at_all() -> None:
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, N, 6))
    scale, zero = graph.weight("s", np.float32(0.1) * np.ones((), np.float32)), np.int8(0)
    point = graph.weight("z", np.asarray(zero))
    held = graph.weight("held", RANDOM.integers(-90, 90, (6, 4)).astype(np.int8))
    real = graph.add(Dequantize(held, scale, point), name="real")
    ints = graph.add(Quantize(x, scale, point), name="ints")
    back = graph.add(Dequantize(ints, scale, point), name="back")
    graph.output(graph.add(Matmul(back, real), name="y"), "scores")
    samples = RANDOM.standard_normal((9, 6)).astype(np.float32)
    program = neutrams.compile(graph)
    assert link_of(verify(program, samples), WEIGHTS).state == "passed"
    change_a_weight(program, "y", by=1)
    assert link_of(verify(program, samples), WEIGHTS).first == "y.mvm, neuron 2, weight 3"


FORMS: dict[str, tuple[dict[str, Any], int, str]] = {
    "pruned": ({"strategy": "prune-to-blocks", "limits": {"fan-in": 16}}, 36 + 96, ""),
    "merged": ({"limits": {"partial-sums": 1, "fan-in": 16}}, 216, "1 of units that merge"),
    "widened": ({"widen": 4}, 4 * 36 + 180, ""),
    "relayed": (
        {"limits": {"fan-out": 3, "fan-in": 64, "neurons": 1}},
        216,
        "hand a result on",
    ),
    "copied": ({"limits": {"fan-out": 2, "neurons": 2, "fan-in": 64}}, 36 + 216, ""),
    "unsigned": ({"limits": {"weight-range": (0, 127)}}, 2 * 216, ""),
    "unsigned and cut": (
        {"limits": {"neurons": 2, "fan-out": 3, "weight-range": (0, 15)}},
        2 * 216,
        "",
    ),
    "in digits": ({"widen": "digits:all", "limits": {"input-bits": 4}}, 2 * 216, ""),
    "widened and merged": (
        {"widen": 4, "limits": {"partial-sums": 1, "fan-in": 16}},
        4 * 36 + 180,
        "2 of units that merge",
    ),
    "spelled": ({"limits": {"functions": ("relu",)}}, 216 + 5, "2 of units that add two tensors"),
}


@pytest.mark.parametrize("form", FORMS)
def test_transformed_units_have_their_counterparts(form: str, tmp_path: Path) -> None:
    options, compared, note = FORMS[form]
    made = compiled(**options)
    link = check_weights(made)
    assert (link.state, link.compared) == ("passed", compared)
    assert note in link.note
    program = copy_of(made, tmp_path)
    assert check_weights(program) == link
    units = [op for op in program.module["main"].ops if isinstance(op, Mvm)]
    unit = [op for op in units if not isinstance(known_of(program, op), str)][-1]
    assert isinstance(unit.w, Weight)
    assert unit.w.data is not None
    data = unit.w.data.copy()
    data[0, 0] += -60 if data[0, 0] > 0 else 60
    unit.w.data = data
    broken = check_weights(program)
    assert broken.state == "broken"
    assert broken.first.startswith(f"{unit.result.name}, neuron")


def known_of(program: Program, unit: Mvm) -> Any:
    return program.manifest.get("counterparts", {}).get(unit.result.name)


def test_a_unit_that_nothing_is_known_of_breaks_the_link() -> None:
    program = compiled(limits={"partial-sums": 1, "fan-in": 16})
    known = program.manifest["counterparts"]
    gone = next(name for name, held in known.items() if not isinstance(held, str))
    rest = {name: held for name, held in known.items() if name != gone}
    manifest = {**program.manifest, "counterparts": rest}
    link = check_weights(dataclasses.replace(program, manifest=manifest))
    assert (link.state, link.first) == ("broken", f"{gone}, of which no counterpart is known")
