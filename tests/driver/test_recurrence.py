"""Recurrent networks on crossbars: the whole road, cells placed once and run every step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neutrams.driver import check
from neutrams.driver.compiler import compile
from neutrams.driver.exporter import describe
from neutrams.driver.onnx import to_onnx
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value
from neutrams.ir.ops.chip import Group
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.recurrent import Gru, Lstm, Recurrent, Rnn
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.ops.time import Run, State, working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.types import Array, Dim, DType, symbol, tensor
from neutrams.simulator import simulate, usage

DATA = Path(os.environ.get("NEUTRAMS_DATA", Path(__file__).parents[3] / "shared" / "data"))
STEPS, INPUTS, HIDDEN, CLASSES = 12, 8, 24, 5
LAYERS: dict[str, tuple[type[Recurrent], int]] = {
    "rnn": (Rnn, 1),
    "gru": (Gru, 3),
    "lstm": (Lstm, 4),
}


def network(kind: str, steps: Dim = STEPS, **options: Any) -> Graph:
    """A recurrent layer over ``[N, T, inputs]`` and a classifier on every step."""
    rng = np.random.default_rng(5)
    cls, gates = LAYERS[kind]
    graph, batch = Graph("net"), symbol("N")
    ways = 2 if options.get("direction") == "bidirectional" else 1

    def weight(name: str, *shape: int) -> Value:
        scale = 1 / np.sqrt(shape[-1])
        return graph.weight(name, (rng.normal(0, scale, shape)).astype(np.float32))

    x = graph.input("x", tensor(DType.F32, batch, steps, INPUTS))
    w, r = weight("w", ways, gates * HIDDEN, INPUTS), weight("r", ways, gates * HIDDEN, HIDDEN)
    b = weight("b", ways, 2 * gates * HIDDEN)
    y = graph.add(cls(x, w, r, b, batch_first=True, **options), name="layer")
    flat = graph.add(Reshape(y, shape=(batch, steps, ways * HIDDEN)))
    out = rng.normal(0, 1 / np.sqrt(ways * HIDDEN), (ways * HIDDEN, CLASSES))
    graph.output(graph.add(Matmul(flat, graph.weight("out", out.astype(np.float32)))), "scores")
    return graph


def samples(count: int, steps: int = STEPS, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    walk = rng.standard_normal((count, steps, INPUTS)).cumsum(axis=1) * 0.5
    return {"x": walk.astype(np.float32)}


def program(kind: str, **options: Any) -> Program:
    return compile(network(kind, **options), target="cim", calibration=samples(64))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"direction": "bidirectional"},
        {"steps": symbol("T")},
        {"linear_before_reset": True},
    ],
    ids=["forward", "bidirectional", "symbolic", "reset"],
)
def test_the_simulator_is_the_interpreter_and_close_to_float(
    kind: str, options: dict[str, Any]
) -> None:
    if "linear_before_reset" in options and kind != "gru":
        pytest.skip("only a GRU has this")
    made, data = program(kind, **options), samples(40, seed=9)
    main = made.module["main"]
    assert not any(isinstance(op, Matmul) for op, _ in working_ops(main))
    found = simulate(made, data)
    assert found.samples == 40
    assert np.array_equal(found.outputs["scores"], interpret(main, data)["scores"])
    wanted = interpret(network(kind, **options), data)["scores"]
    assert np.corrcoef(found.outputs["scores"].ravel(), wanted.ravel())[0, 1] > 0.998


def test_batches_of_any_size_give_the_same() -> None:
    made, data = program("lstm"), samples(23)
    whole = simulate(made, data).outputs["scores"]
    assert np.array_equal(whole, simulate(made, data, batch=4).outputs["scores"])


def test_states_are_integers() -> None:
    cells = program("lstm").module["main"].cells()
    states = {op.slot: op for cell in cells for op in cell.ops if isinstance(op, State)}
    assert {slot: op.result.type.dtype for slot, op in states.items()} == {
        "h": DType.U8,
        "c": DType.U16,
    }


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_every_unit_of_a_cell_is_placed_once_and_works_at_every_step(kind: str) -> None:
    made = program(kind)
    (cell,) = made.module["main"].cells()
    units = [op for op in cell.ops if isinstance(op, Mvm)]
    groups = {op.unit: op for op in made.module["chip"].ops if isinstance(op, Group)}
    assert all(groups[unit.result.name].copies == 1 for unit in units), "a step has one window"
    assert set(groups) == set(usage(made)) >= {unit.result.name for unit in units}
    arrays: dict[str, Array] = {}
    assert len(describe(made, arrays)["units"]) == len(groups)
    layers = {layer.name: layer.counts for layer in simulate(made, samples(3)).layers}
    for unit in units:
        reads = len(unit.table()) * unit.encoding.phases
        assert layers[unit.result.name]["crossbar_reads"] == 3 * STEPS * reads


def test_steps_take_their_time_one_after_another() -> None:
    """Twice the steps take the cell twice as long, from its first read to its last write."""
    spans = []
    for steps in (STEPS, 2 * STEPS):
        made = compile(
            network("lstm", steps=steps), target="cim", calibration=samples(8, steps=steps)
        )
        (cell,) = made.module["main"].cells()
        names = {op.result.name for op in cell.ops if op.results}
        timing = simulate(made, samples(1, steps=steps)).timing
        inside = [stage for stage in timing.stages if stage.unit in names]
        first = min(stage.start_cycle for stage in inside)
        spans.append(max(stage.finish_cycle for stage in inside) - first)
        assert timing.period_s >= 0.99 * spans[-1] * timing.cycle_s
    assert spans[1] == 2 * spans[0]


def test_programs_with_cells_survive_their_file(tmp_path: Path) -> None:
    made, data = program("gru", direction="bidirectional"), samples(5)
    made.save(tmp_path / "a.ntp")
    again = Program.load(tmp_path / "a.ntp")
    again.save(tmp_path / "b.ntp")
    assert (tmp_path / "a.ntp").read_bytes() == (tmp_path / "b.ntp").read_bytes()
    first, second = (simulate(p, data) for p in (made, again))
    assert np.array_equal(first.outputs["scores"], second.outputs["scores"])
    assert first.counts == second.counts


def test_no_two_values_of_a_program_share_a_name() -> None:
    graph = network("lstm")
    graph.rename(graph.inputs[0], "layer.step.product.mvm")
    data = {graph.inputs[0].name: samples(16)["x"]}
    main = compile(graph, target="cim", calibration=data).module["main"]
    names = [value.name for each in (main, *main.cells()) for value in each.values()]
    assert len(set(names)) == len(names)


def test_check_counts_what_cells_hold() -> None:
    found = check(network("lstm"), "cim")
    on_crossbars = [verdict for verdict in found.ops if verdict.place == "crossbar"]
    assert len(on_crossbars) == 3
    assert found.crossbars == sum(
        len(op.table())
        for op, _ in working_ops(program("lstm").module["main"])
        if isinstance(op, Mvm)
    )


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_an_export_scans_the_sequence(kind: str, direction: str) -> None:
    """Rounding undoes the last bits in which float functions differ, but for rare steps."""
    import onnxruntime

    steps = symbol("T")
    made = compile(
        network(kind, steps=steps, direction=direction),
        target="cim",
        overrides={"core.adc_bits": 0},
        calibration=samples(64),
    )
    data = samples(6, seed=4)
    session = onnxruntime.InferenceSession(to_onnx(made).model.SerializeToString())
    found, wanted = session.run(None, data)[0], simulate(made, data).outputs["scores"]
    assert np.mean(found == wanted) > 0.9
    np.testing.assert_allclose(found, wanted, atol=0.02)


def speech(numbers: Array, seed: int) -> dict[str, Array]:
    """Return spoken digits at 16 kHz, pauses between, cut as Silero's detector reads them."""
    from scipy.signal import resample_poly

    data = np.load(DATA / "audio/fsdd_test_audio.npz")
    rng = np.random.default_rng(seed)
    parts = []
    for i in numbers:
        pcm = data["pcm"][data["offset"][i] : data["offset"][i + 1]].astype(np.float64)
        pause = np.zeros(int(rng.uniform(0.2, 0.6) * 16000))
        parts += [resample_poly(0.5 * pcm / np.abs(pcm).max(), 2, 1), pause]
    sound = np.concatenate(parts)
    sound += rng.standard_normal(len(sound)) * 1e-3
    count = (len(sound) - 64) // 512
    rows = np.stack([sound[i * 512 : i * 512 + 576] for i in range(count)])
    zeros = np.zeros((1, 1, 128), np.float32)
    return {"input": rows.astype(np.float32), "h": zeros, "c": zeros}


def test_silero_vad_finds_the_same_speech() -> None:
    """Convolutions and an LSTM over a symbolic number of steps, against onnxruntime."""
    import onnxruntime

    model = DATA / "models/onnx/silero_vad_16k_sequence.onnx"
    if not model.exists():
        pytest.skip(f"{model.name} is not here; set NEUTRAMS_DATA")
    order = np.random.default_rng(1).permutation(300)
    test, calibration = speech(order[:30], 1), speech(order[30:130], 2)
    made = compile(model, target="cim", calibration=calibration)
    assert any(isinstance(op, Run) for op in made.module["main"].ops)
    found = simulate(made, test)
    assert found.samples == 1
    wanted = onnxruntime.InferenceSession(model).run(["speech_probs"], test)[0]
    probabilities = found.outputs["speech_probs"]
    assert np.corrcoef(probabilities, wanted)[0, 1] >= 0.99
    assert np.mean((probabilities > 0.5) == (wanted > 0.5)) >= 0.99
    exact = interpret(made.module["main"], test)
    assert all(np.array_equal(found.outputs[name], array) for name, array in exact.items())
