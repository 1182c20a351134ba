"""States, runs of a cell over a sequence, and what of them is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.time import Next, Run, State, step_symbols, working_ops
from neutrams.ir.text import parse, parse_graph, print_graph, print_module
from neutrams.ir.types import Array, DType, Symbol, symbol, tensor
from neutrams.ir.verifier import verify

FILTER = """neutrams 1

graph @net(%x: f32[T, N]) {
  %y, %last = time.run(%x) {cell = @net/filter, over = [0], stack = [0, -1]} : f32[T, N], f32[N]
  return %y, %last
}

graph @net/filter(%x: f32[N]) {
  weight @zero : f32[] = [0]
  weight @a : f32[] = [0.5]
  weight @b : f32[] = [-0.25]
  %y1 = time.state(@zero) {slot = "y", shape = [N]} : f32[N]
  %y2 = time.state(@zero) {slot = "y", shape = [N], delay = 2} : f32[N]
  %s1 = nn.mul(%y1, @a) : f32[N]
  %s2 = nn.mul(%y2, @b) : f32[N]
  %s = nn.add(%s1, %s2) : f32[N]
  %y = nn.add(%s, %x) : f32[N]
  time.next(%y) {slot = "y"}
  return %y, %y as "last"
}
"""


def signal(*shape: int) -> Array:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def changed(old: str, new: str) -> str:
    assert old in FILTER
    return FILTER.replace(old, new)


def faults(text: str) -> list[str]:
    """Return the codes of what is wrong with the first graph, whoever finds it."""
    try:
        return [fault.code for fault in verify(parse(text).main)]
    except NeutramsError as found:
        return [fault.code for fault in found.diagnostics]


def test_a_filter_of_two_delays_is_the_closed_form() -> None:
    graph = parse_graph(FILTER)
    assert verify(graph) == []
    x = signal(40, 3)
    found = interpret(graph, {"x": x})
    wanted = lfilter([1.0], [1.0, -0.5, 0.25], x.astype(np.float64), axis=0)
    np.testing.assert_allclose(found["y"], wanted, rtol=1e-5, atol=1e-6)
    assert np.array_equal(found["last"], found["y"][-1])


def test_a_run_without_a_sequence_counts_its_own_steps() -> None:
    text = """
    graph @fibonacci() {
      %y = time.run() {cell = @step, over = [], stack = [0], steps = 20} : i64[20]
      return %y
    }
    graph @step() {
      weight @one : i64[] = [1]
      weight @zero : i64[] = [0]
      %a = time.state(@zero) {slot = "a", shape = []} : i64[]
      %b = time.state(@one) {slot = "b", shape = []} : i64[]
      %c = nn.add(%a, %b) : i64[]
      time.next(%b) {slot = "a"}
      time.next(%c) {slot = "b"}
      return %b
    }
    """
    found = interpret(parse_graph(text), {})["y"]
    assert found.tolist()[:10] == [1, 1, 2, 3, 5, 8, 13, 21, 34, 55]
    assert found[19] == 6765


@given(delay=st.integers(1, 6), length=st.integers(1, 8), reverse=st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_delay_line_shifts_the_sequence(delay: int, length: int, reverse: bool) -> None:
    cell = Graph("line")
    x = cell.input("x", tensor(DType.F32, 2))
    first = cell.input("first", tensor(DType.F32, 2))
    cell.output(cell.add(State(first, slot="x", shape=(2,), delay=delay)))
    cell.insert(Next(x, slot="x"))
    graph = Graph("net")
    sources = graph.input("x", tensor(DType.F32, length, 2)), graph.input("f", first.type)
    run = Run(sources, cell=cell, over=(0, -1), stack=(0,), reverse=reverse)
    graph.output(graph.add(run), "y")
    data, before = signal(length, 2), signal(2)
    forward = data[::-1] if reverse else data
    wanted = np.concatenate([np.tile(before, (delay, 1)), forward])[:length]
    found = interpret(graph, {"x": data, "f": before})["y"]
    assert np.array_equal(found, wanted[::-1] if reverse else wanted)


def test_steps_run_along_any_axis() -> None:
    text = changed("f32[T, N]", "f32[N, T]").replace(
        "over = [0], stack = [0", "over = [1], stack = [1"
    )
    x = signal(40, 3)
    along_first = interpret(parse_graph(FILTER), {"x": x})["y"]
    along_second = interpret(parse_graph(text), {"x": np.ascontiguousarray(x.T)})["y"]
    assert np.array_equal(along_second.T, along_first)


def test_runs_nest() -> None:
    """Each step of the outer run sums up a row; states of the inner run begin anew."""
    text = """
    graph @outer(%x: f32[R, T, N]) {
      %y = time.run(%x) {cell = @sums, over = [0], stack = [0]} : f32[R, T, N]
      return %y
    }
    graph @sums(%x: f32[T, N]) {
      %y = time.run(%x) {cell = @sum, over = [0], stack = [0]} : f32[T, N]
      return %y
    }
    graph @sum(%x: f32[N]) {
      weight @zero : f32[] = [0]
      %h = time.state(@zero) {slot = "h", shape = [N]} : f32[N]
      %y = nn.add(%h, %x) : f32[N]
      time.next(%y) {slot = "h"}
      return %y
    }
    """
    graph = parse_graph(text)
    assert verify(graph) == []
    assert [cell.name for cell in graph.cells()] == ["sum", "sums"]
    x = signal(4, 9, 2)
    np.testing.assert_allclose(interpret(graph, {"x": x})["y"], x.cumsum(axis=1), rtol=1e-5)
    assert {str(count) for _, count in working_ops(graph)} == {"R*T"}
    assert step_symbols(graph) == {"R", "T"}


def test_text_survives_whatever_the_order_of_graphs() -> None:
    module = parse(FILTER)
    assert print_module(module) == FILTER
    assert print_graph(module.main) == FILTER.removeprefix("neutrams 1\n\n")
    head, net, cell = FILTER.split("graph ")
    turned = f"{head}graph {cell}\ngraph {net.rstrip()}\n"
    again = parse(turned)
    assert [graph.name for graph in again.graphs.values()] == ["net/filter", "net"]
    assert [graph.name for graph in again.roots()] == ["net"]
    assert print_module(again) == turned
    assert again["net"].ops[0].graphs == (again["net/filter"],)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('  time.next(%y) {slot = "y"}\n', "", "NT0147"),
        ('time.next(%y) {slot = "y"}', 'time.next(%y) {slot = "z"}', "NT0147"),
        ('  time.next(%y) {slot = "y"}\n', 2 * '  time.next(%y) {slot = "y"}\n', "NT0147"),
        ("time.next(%y)", "time.next(@zero)", "NT0147"),
        ("delay = 2", "delay = 0", "NT0108"),
        ("cell = @net/filter", "cell = @net/filtre", "NT0010"),
        ("cell = @net/filter", "cell = @net", "NT0010"),
        ("cell = @net/filter", 'cell = "net/filter"', "NT0005"),
        ("over = [0]", "over = [2]", "NT0108"),
        ("over = [0]", "over = [-1]", "NT0107"),
        ("over = [0]", "over = [0, 0]", "NT0107"),
        ("stack = [0, -1]", "stack = [0]", "NT0107"),
        ("stack = [0, -1]", "stack = [3, -1]", "NT0108"),
        ("over = [0]", "over = [1]", "NT0107"),
        ("graph @net/filter(", "graph @net/filter unit (", "NT0148"),
    ],
)
def test_faults_are_found(old: str, new: str, code: str) -> None:
    assert code in faults(changed(old, new))


def test_a_state_has_no_value_outside_a_run() -> None:
    with pytest.raises(NeutramsError) as found:
        interpret(parse(FILTER)["net/filter"], {"x": signal(3)})
    assert found.value.diagnostics[0].code == "NT0112"


def test_a_run_has_at_least_one_step() -> None:
    with pytest.raises(NeutramsError) as found:
        interpret(parse_graph(FILTER), {"x": np.zeros((0, 3), np.float32)})
    assert found.value.diagnostics[0].code == "NT0112"


def test_what_nobody_reads_is_pruned_with_its_slot() -> None:
    cell = parse(FILTER)["net/filter"]
    weight = cell.weights["zero"]
    for slot, delay in (("idle", 1), ("chain", 2)):
        value = cell.add(State(weight, slot=slot, shape=(symbol("N"),), delay=delay))
        cell.insert(Next(cell.outputs[0], slot=slot))
        cell.add(Add(value, value))
    before = len(cell.ops)
    assert cell.prune()
    assert len(cell.ops) == before - 6
    assert verify(cell) == []


def test_values_inside_a_run_are_watched_at_every_step() -> None:
    graph = parse_graph(FILTER)
    seen: dict[str, list[Array]] = {}

    def watch(value: Value, array: Array) -> None:
        seen.setdefault(value.name, []).append(array)

    x = signal(5, 2)
    interpret(graph, {"x": x}, watch=watch)
    assert len(seen["y2"]) == 5
    assert not seen["y2"][1].any()
    assert np.array_equal(seen["y2"][2], seen["y1"][1])


def test_symbols_of_a_run_are_those_of_its_sequence() -> None:
    run = parse_graph(FILTER).ops[0]
    assert isinstance(run, Run)
    assert run.length == Symbol(1, ("T",))
