"""Cells in torch are those of the interpreter, and their units learn through time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.driver import Options, compile_model, load_target
from neutrams.driver.compiler import Compiled
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.recurrent import DIRECTIONS, Gru, Lstm, Recurrent, Rnn
from neutrams.ir.ops.tensors import Reshape, Transpose
from neutrams.ir.target import Coding
from neutrams.ir.types import Array, Dim, DType, symbol, tensor
from neutrams.ir.verifier import verify
from neutrams.passes import default_pipeline
from neutrams.simulator import simulate
from neutrams.training.executor import execute, run_graph
from neutrams.training.run import Run

LAYERS: dict[str, tuple[type[Recurrent], int]] = {
    "rnn": (Rnn, 1),
    "gru": (Gru, 3),
    "lstm": (Lstm, 4),
}
INPUTS, CLASSES = 5, 4


def network(
    kind: str,
    *,
    hidden: int = 12,
    steps: Dim = 9,
    batch: Dim | None = None,
    time_major: bool = False,
    seed: int = 3,
    **options: Any,
) -> Graph:
    """A recurrent layer and a classifier on every step; without a batch, of one sequence."""
    rng = np.random.default_rng(seed)
    cls, gates = LAYERS[kind]
    graph = Graph("net")
    ways = len(DIRECTIONS[options.get("direction", "forward")])
    one = batch == 1
    batch = symbol("N") if batch is None else batch

    def weight(name: str, *shape: int) -> Value:
        scale = 1.5 / np.sqrt(shape[-1])
        return graph.weight(name, rng.normal(0, scale, shape).astype(np.float32))

    x = graph.input("x", tensor(DType.F32, *((steps, INPUTS) if one else (batch, steps, INPUTS))))
    if one:
        x = graph.add(Reshape(x, shape=(steps, 1, INPUTS)))
    elif time_major:
        x = graph.add(Transpose(x, permutation=(1, 0, 2)))
    first = not time_major and not one
    w, r = weight("w", ways, gates * hidden, INPUTS), weight("r", ways, gates * hidden, hidden)
    b = weight("b", ways, 2 * gates * hidden)
    y = graph.add(cls(x, w, r, b, batch_first=first, **options), name="layer")
    shape = (batch, steps, ways * hidden) if first else (steps, batch, ways * hidden)
    flat = graph.add(Reshape(y, shape=shape))
    graph.output(graph.add(Matmul(flat, weight("out", ways * hidden, CLASSES))), "scores")
    return graph


def walks(count: int, steps: int = 9, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((count, steps, INPUTS)).cumsum(axis=1) * 0.5).astype(np.float32)


def compiled(graph: Graph, data: Array, retraining: str = "", **limits: Any) -> Compiled:
    passes = default_pipeline()
    if retraining:
        passes = passes.replace(
            "check-acc", f"retrain-units{{{retraining} enough=0 threads=1}},check-acc"
        )
    return compile_model(
        graph,
        target=load_target("cim", limits),
        calibration={"x": data},
        options=Options(passes=passes),
    )


def error_of(found: Compiled, data: Array) -> float:
    """Return the share of the float scores' variance that the units miss."""
    wanted = interpret(found.program.module["float"], {"x": data})["scores"]
    made = interpret(found.program.module["main"], {"x": data})["scores"]
    return float(((made - wanted) ** 2).mean() / wanted.var())


COARSE: dict[str, Any] = {"limits.weight_bits": 3, "limits.input_bits": 5}


@pytest.mark.parametrize("time_major", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_cells_learn_through_time(kind: str, time_major: bool) -> None:
    graph, data, unseen = network(kind, time_major=time_major), walks(96), walks(100, seed=1)
    plain = error_of(compiled(graph, data, **COARSE), unseen)
    graph = network(kind, time_major=time_major)
    solved = compiled(graph, data, "method=gptq", **COARSE)
    assert error_of(solved, unseen) < 0.75 * plain
    graph = network(kind, time_major=time_major)
    learned = compiled(graph, data, "steps=40", **COARSE)
    assert error_of(learned, unseen) < 0.75 * plain
    texts = [remark.text for remark in learned.remarks if remark.by == "retrain-units"]
    assert not any("not retrained" in text for text in texts)


def test_one_sequence_learns_in_chunks() -> None:
    """The first axis counts steps; states go on from chunk to chunk."""
    made = network("lstm", batch=1, steps=symbol("T"))
    data, unseen = walks(1, 700)[0], walks(1, 400, seed=1)[0]
    data, unseen = np.sin(data), np.sin(unseen)
    plain = error_of(compiled(made, data, **COARSE), unseen)
    again = network("lstm", batch=1, steps=symbol("T"))
    assert error_of(compiled(again, data, "steps=30 batch=4", **COARSE), unseen) < 0.6 * plain


def test_same_seed_same_bytes_and_checkpoints(tmp_path: Path) -> None:
    options = f'steps=6 checkpoints="{tmp_path}"'
    first = weights(compiled(network("gru"), walks(40), options, **COARSE))
    for path in sorted(tmp_path.glob("*.safetensors"))[1:]:
        path.unlink()
    assert weights(compiled(network("gru"), walks(40), options, **COARSE)) == first
    assert weights(compiled(network("gru"), walks(40), "steps=6", **COARSE)) == first


def weights(found: Compiled) -> dict[str, bytes]:
    main = found.program.module["main"]
    held = [weight for graph in (main, *main.cells()) for weight in graph.weights.values()]
    return {weight.name: weight.data.tobytes() for weight in held if weight.data is not None}


@settings(deadline=None, max_examples=8)
@given(
    kind=st.sampled_from(sorted(LAYERS)),
    direction=st.sampled_from(sorted(DIRECTIONS)),
    hidden=st.integers(3, 20),
    bits=st.tuples(st.integers(2, 8), st.integers(3, 8)),
    rows=st.sampled_from([8, 32, 128]),
    time_major=st.booleans(),
    coding=st.sampled_from(get_args(Coding)),
)
def test_any_limits(
    kind: str,
    direction: str,
    hidden: int,
    bits: tuple[int, int],
    rows: int,
    time_major: bool,
    coding: str,
) -> None:
    graph = network(kind, hidden=hidden, direction=direction, time_major=time_major)
    limits: dict[str, Any] = {
        "limits.weight_bits": bits[0],
        "limits.input_bits": bits[1],
        "core.rows": rows,
        "core.coding": coding,
        "core.column_flip": coding == "offset",
    }
    found = compiled(graph, walks(24), "steps=2 batch=8", **limits)
    main, data = found.program.module["main"], {"x": walks(5, seed=8)}
    assert verify(main, found.program.target) == []
    wanted = interpret(main, data)["scores"]
    assert np.array_equal(simulate(found.program, data).outputs["scores"], wanted)
    assert np.array_equal(run_graph(main, data)["scores"], wanted)
    assert error_of(found, data["x"]) < 1.5


def test_gradients_reach_back_through_steps() -> None:
    main = compiled(network("rnn"), walks(16)).program.module["main"]
    (cell,) = main.cells()
    held: dict[Value, torch.Tensor] = {
        w: run_weight(w) for w in cell.weights.values() if w.name.endswith(".weights")
    }
    data = torch.from_numpy(walks(4, seed=2))
    live = {main.inputs[0]: data}
    run = Run(weights=held, fast=True)
    execute(main.ops, live, run)
    live[main.outputs[0]][:, -1].sum().backward()  # type: ignore[no-untyped-call]
    (gradient,) = (w.grad for w in held.values())
    assert gradient is not None
    assert gradient.abs().sum() > 0


def run_weight(weight: Value) -> torch.Tensor:
    data = weight.data  # type: ignore[attr-defined]
    return torch.from_numpy(data.astype(np.float32)).requires_grad_(True)
