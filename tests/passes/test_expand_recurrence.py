"""Recurrent layers as runs of a cell mean what the single op means, and what torch computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir.graph import Graph, Module
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value
from neutrams.ir.ops.recurrent import DIRECTIONS, Gru, Lstm, Recurrent, Rnn
from neutrams.ir.ops.time import Run
from neutrams.ir.text import parse, print_module
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.ir.verifier import verify
from neutrams.passes import PassContext, PassManager

STEPS, BATCH, INPUTS, HIDDEN = 5, 3, 4, 6
LAYERS: dict[str, tuple[type[Recurrent], int]] = {
    "rnn": (Rnn, 1),
    "gru": (Gru, 3),
    "lstm": (Lstm, 4),
}


def layer(
    kind: str,
    *,
    direction: str = "forward",
    batch_first: bool = False,
    bias: bool = True,
    initial: str = "none",
    peepholes: bool = False,
    symbols: bool = False,
    **attributes: Any,
) -> tuple[Graph, dict[str, Array]]:
    """Return a graph of one layer that returns all results, and inputs for it."""
    rng = np.random.default_rng(7)
    cls, gates = LAYERS[kind]
    ways = len(DIRECTIONS[direction])

    def numbers(*shape: int) -> Array:
        return (rng.standard_normal(shape) * 0.7).astype(np.float32)

    graph = Graph("net")
    sizes = (symbol("T"), symbol("N")) if symbols else (STEPS, BATCH)
    time, batch = sizes
    front = (batch, time) if batch_first else (time, batch)
    inputs = {"x": numbers(*((BATCH, STEPS) if batch_first else (STEPS, BATCH)), INPUTS)}
    x = graph.input("x", tensor(DType.F32, *front, INPUTS))
    weights: dict[str, Value | None] = {
        "w": graph.weight("w", numbers(ways, gates * HIDDEN, INPUTS)),
        "r": graph.weight("r", numbers(ways, gates * HIDDEN, HIDDEN)),
        "b": graph.weight("b", numbers(ways, 2 * gates * HIDDEN)) if bias else None,
    }
    for name in ("h", "c")[: 2 if kind == "lstm" else 1]:
        state = numbers(*((BATCH, ways) if batch_first else (ways, BATCH)), HIDDEN)
        if initial == "constant":
            weights[name] = graph.weight(name, state)
        elif initial == "input":
            shape = (batch, ways, HIDDEN) if batch_first else (ways, batch, HIDDEN)
            weights[name] = graph.input(name, tensor(DType.F32, *shape))
            inputs[name] = state
    if peepholes:
        weights["p"] = graph.weight("p", numbers(ways, 3 * HIDDEN))
    made = cls(x, direction=direction, batch_first=batch_first, **weights, **attributes)  # type: ignore[arg-type]
    graph.insert(made, name=["y", "y_h", "y_c"])
    for value in made.results:
        graph.output(value)
    return graph, inputs


def expanded(graph: Graph) -> None:
    PassManager("expand-recurrence").run(graph, PassContext())
    assert verify(graph) == []
    assert not any(isinstance(op, Recurrent) for op in graph.ops)
    assert any(isinstance(op, Run) for op in graph.ops)


def same(graph: Graph, inputs: dict[str, Array]) -> None:
    before = interpret(graph, inputs)
    expanded(graph)
    after = interpret(graph, inputs)
    assert list(before) == list(after)
    for name, old in before.items():
        np.testing.assert_allclose(after[name], old, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("initial", ["none", "constant", "input"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_run_of_the_cell_means_the_layer(
    kind: str, initial: str, direction: str, batch_first: bool
) -> None:
    same(*layer(kind, initial=initial, direction=direction, batch_first=batch_first))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("lstm", {"peepholes": True}),
        ("lstm", {"peepholes": True, "direction": "bidirectional"}),
        ("lstm", {"input_forget": True}),
        ("lstm", {"clip": 0.5}),
        ("lstm", {"bias": False}),
        ("lstm", {"symbols": True, "initial": "input"}),
        ("gru", {"linear_before_reset": True}),
        ("gru", {"linear_before_reset": True, "direction": "bidirectional"}),
        ("gru", {"linear_before_reset": True, "bias": False}),
        ("gru", {"symbols": True}),
        ("rnn", {"symbols": True, "batch_first": True}),
        ("rnn", {"functions": ("Relu",)}),
        ("rnn", {"functions": ("Affine",), "alphas": (0.3,), "betas": (0.1,)}),
        ("rnn", {"functions": ("ScaledTanh",), "alphas": (1.7,), "betas": (0.6,)}),
        ("gru", {"functions": ("HardSigmoid", "Softsign")}),
        ("lstm", {"functions": ("Sigmoid", "LeakyRelu", "Elu"), "alphas": (0.0, 0.2, 0.5)}),
    ],
)
def test_options_of_the_layers_are_kept(kind: str, options: dict[str, Any]) -> None:
    same(*layer(kind, **options))


@given(
    kind=st.sampled_from(sorted(LAYERS)),
    direction=st.sampled_from(sorted(DIRECTIONS)),
    read=st.sets(st.integers(0, 2), min_size=1),
)
@settings(max_examples=15, deadline=None)
def test_only_what_is_read_is_kept(kind: str, direction: str, read: set[int]) -> None:
    graph, inputs = layer(kind, direction=direction)
    chosen = sorted({index % len(graph.outputs) for index in read})
    graph.outputs = [graph.outputs[i] for i in chosen]
    graph.output_names = [graph.output_names[i] for i in chosen]
    same(graph, inputs)
    runs = [op for op in graph.ops if isinstance(op, Run)]
    assert all(len(run.results) == len(chosen) for run in runs)


@pytest.mark.parametrize("kind", LAYERS)
def test_torch_computes_the_same(kind: str) -> None:
    """PyTorch orders gates input, forget, cell, output, and reset, update, new."""
    torch.manual_seed(0)
    order = {"rnn": [0], "gru": [1, 0, 2], "lstm": [0, 3, 1, 2]}[kind]
    made = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind](INPUTS, HIDDEN)

    def gates(name: str) -> Array:
        array = getattr(made, f"{name}_l0").detach().numpy()
        parts = np.split(array, len(order))
        return np.concatenate([parts[i] for i in order])[None]

    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, STEPS, BATCH, INPUTS))
    biases = np.concatenate([gates("bias_ih"), gates("bias_hh")], axis=1)
    arrays = {"w": gates("weight_ih"), "r": gates("weight_hh"), "b": biases}
    options = {"linear_before_reset": True} if kind == "gru" else {}
    weights = {name: graph.weight(name, array) for name, array in arrays.items()}
    op = LAYERS[kind][0](x, **weights, **options)  # type: ignore[arg-type]
    graph.insert(op, name=["y"])
    graph.output(op.result)
    expanded(graph)
    data = torch.randn(STEPS, BATCH, INPUTS)
    wanted = made(data)[0].detach().numpy()
    found = interpret(graph, {"x": data.numpy()})["y"][:, 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_sequences_of_different_lengths_stay_one_op() -> None:
    graph, _ = layer("gru")
    op = graph.ops[0]
    assert isinstance(op, Gru)
    lengths = graph.weight("lengths", np.array([5, 2, 3], np.int32))
    graph.replace(op, Gru(op.x, op.w, op.r, op.b, lengths))
    ctx = PassContext()
    assert not PassManager("expand-recurrence").run(graph, ctx)
    assert "differ in length" in ctx.remarks[0].text


def test_cells_survive_printing() -> None:
    graph, inputs = layer("lstm", direction="bidirectional", initial="input", symbols=True)
    expanded(graph)
    store: dict[str, Array] = {}
    text = print_module(Module([graph]), store)
    again = parse(text, weights=store)
    assert print_module(again) == text
    for name, array in interpret(graph, inputs).items():
        assert np.array_equal(array, interpret(again.main, inputs)[name])
