"""Graphs keep names unique and user lists true through every rewrite; the verifier sees breaks."""

from __future__ import annotations

import numpy as np
import pytest

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Op
from neutrams.ir.ops.activations import Clip, Relu
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.types import DType, symbol, tensor
from neutrams.ir.verifier import verify


@pytest.fixture
def graph() -> Graph:
    """``relu(x) + clip(relu(x))``."""
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 3))
    a = graph.add(Relu(x), name="a")
    b = graph.add(Clip(a, low=0.0, high=1.0), name="b")
    graph.output(graph.add(Add(a, b), name="c"), "sum")
    return graph


def test_a_valid_graph_has_no_faults(graph: Graph) -> None:
    assert verify(graph) == []
    assert _users_are_true(graph)


def test_names_stay_unique(graph: Graph) -> None:
    again = graph.add(Relu(graph.inputs[0]), name="a")
    assert again.name == "a_1"
    assert verify(graph) == []


def test_replace_keeps_the_name_the_range_and_the_users(graph: Graph) -> None:
    old = graph.ops[1]
    old.result.type = old.result.type.with_range(0, 1)
    graph.replace(old, Clip(graph.inputs[0], low=0.0, high=1.0))
    assert graph.ops[1].result.name == "b"
    assert graph.ops[1].result.type.range == (0, 1)
    assert graph.ops[2].operands[1] is graph.ops[1].result
    assert _users_are_true(graph)


def test_prune_removes_what_no_output_needs(graph: Graph) -> None:
    graph.add(Relu(graph.add(Relu(graph.inputs[0]))))
    graph.weight("unused", np.zeros(3))
    assert graph.prune()
    assert [op.result.name for op in graph.ops] == ["a", "b", "c"]
    assert not graph.weights
    assert not graph.prune()
    assert _users_are_true(graph)


def test_the_verifier_reports_every_fault_at_once(graph: Graph) -> None:
    graph.ops[0], graph.ops[2] = graph.ops[2], graph.ops[0]
    graph.ops[1].result.name = "a"
    graph.level = "chip"
    assert {d.code for d in verify(graph)} == {"NT0140", "NT0141", "NT0142"}


def test_the_interpreter_runs_any_batch(graph: Graph) -> None:
    x = np.array([[-1, 0.5, 2], [3, -4, 5]], np.float32)
    assert interpret(graph, {"x": x})["sum"].tolist() == [[0, 1, 3], [4, 0, 6]]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "is missing"),
        ({"y": np.zeros((1, 3))}, "has no input `y`"),
        ({"x": np.zeros((2, 4))}, r"is `f32\[N, 3\]`, given \[2, 4\]"),
    ],
)
def test_wrong_inputs_are_named(graph: Graph, inputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(NeutramsError, match=message):
        interpret(graph, inputs)


def test_every_value_is_seen_once_in_order(graph: Graph) -> None:
    seen: list[str] = []
    interpret(graph, {"x": np.zeros((1, 3), np.float32)}, watch=lambda v, _: seen.append(v.name))
    assert seen == ["x", "a", "b", "c"]


def _users_are_true(graph: Graph) -> bool:
    def reads(op: Op) -> list[int]:
        return [id(value) for value in op.present]

    return all(
        sorted(map(id, value.users))
        == sorted(id(op) for op in graph.ops for key in reads(op) if key == id(value))
        for value in graph.values()
    )
