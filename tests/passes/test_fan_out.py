"""Results go to no more crossbars than a chip allows, and mean exactly what they meant."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from neutrams.driver.placing.mapping import map_units
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.fan_out import fan_out
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.tensors import Concat, Reshape
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.text import parse, print_graph
from neutrams.ir.types import DType, symbol, tensor
from neutrams.ir.verifier import verify
from neutrams.passes import PassContext, PassManager
from neutrams.targets import load

X = {"x": np.random.default_rng(1).normal(size=(8, 2, 5, 5)).astype(np.float32)}
UNITS = "canonicalise,calibrate,quantize,lower-units,split-fan-in"


def network(seed: int = 0, classes: int = 20) -> Graph:
    """A convolution with three readers (one grouped, one joined with the input), and two layers."""
    rng = np.random.default_rng(seed)
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 2, 5, 5))

    def const(*shape: int) -> Value:
        return graph.weight("c", rng.normal(size=shape).astype(np.float32))

    a = graph.add(Relu(graph.add(Conv(x, const(8, 2, 3, 3), const(8), pads=(1, 1, 1, 1)))))
    b = graph.add(Relu(graph.add(Conv(a, const(16, 2, 3, 3), const(16), groups=4))))
    c = graph.add(Relu(graph.add(Conv(a, const(16, 8, 3, 3), const(16)))))
    joined = graph.add(Concat((graph.add(Add(b, c)), b), axis=1))
    flat = graph.add(Reshape(joined, shape=(symbol("N"), 32 * 9)))
    hidden = graph.add(Relu(graph.add(Add(graph.add(Matmul(flat, const(288, 24))), const(24)))))
    graph.output(graph.add(Matmul(hidden, const(24, classes))), "y")
    return graph


def units(limits: dict[str, object], graph: Graph | None = None) -> Graph:
    graph = graph or network()
    PassManager(UNITS).run(graph, PassContext(target=load("cim", limits=limits), calibration=X))
    return graph


def copy_of(graph: Graph) -> Graph:
    store: dict[str, np.ndarray] = {}
    return parse(print_graph(graph, store), weights=store).main


def limit(graph: Graph, limits: dict[str, object]) -> Graph:
    made = copy_of(graph)
    PassManager("limit-fan-out").run(made, PassContext(target=load("cim", limits=limits)))
    return made


def crossbars(graph: Graph) -> int:
    return sum(len(op.table()) for op in graph.ops if isinstance(op, Mvm))


@given(
    fan_in=st.integers(16, 40),
    neurons=st.integers(4, 12),
    fan_out_of_a_neuron=st.integers(1, 4),
    adc=st.sampled_from([5, 8]),
)
@settings(
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    max_examples=8,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_no_fan_out_is_exceeded_and_nothing_changes(
    fan_in: int, neurons: int, fan_out_of_a_neuron: int, adc: int
) -> None:
    size: dict[str, object] = {"fan-in": fan_in, "neurons": neurons, "adc-bits": adc}
    before = units(size)
    limits = {**size, "fan-out": fan_out_of_a_neuron}
    after = limit(before, limits)
    assert max(reads.most for reads in fan_out(after).values()) <= fan_out_of_a_neuron
    assert verify(after, load("cim", limits=limits)) == []
    np.testing.assert_array_equal(interpret(after, X)["y"], interpret(before, X)["y"])
    assert print_graph(limit(before, limits), {}) == print_graph(after, {})


def test_crossbars_together_obey_their_fan_out() -> None:
    size: dict[str, object] = {"fan-in": 36, "neurons": 8}
    limits = {**size, "crossbar-fan-out": 4}
    before = units(size)
    after = limit(before, limits)
    assert max(reads.together for reads in fan_out(before).values()) > 4
    assert max(reads.together for reads in fan_out(after).values()) <= 4
    np.testing.assert_array_equal(interpret(after, X)["y"], interpret(before, X)["y"])


def test_copies_of_a_mapping_count_too() -> None:
    limits: dict[str, object] = {"fan-in": 36, "neurons": 8, "fan-out": 5}
    chip, graph = load("cim", limits=limits), limit(units(limits), limits)
    free = map_units(graph, load("cim"))
    mapping = map_units(graph, chip)
    most = [max(r.most for r in fan_out(graph, m.copies).values()) for m in (mapping, free)]
    assert most[0] <= 5 < most[1]
    assert max(mapping.copies.values()) > 1


def layers(*sizes: int) -> Graph:
    rng = np.random.default_rng(3)
    graph = Graph("net")
    value = graph.input("x", tensor(DType.F32, symbol("N"), sizes[0]))
    for a, b in pairwise(sizes):
        w = graph.weight("c", rng.normal(size=(a, b)).astype(np.float32))
        value = graph.add(Relu(graph.add(Matmul(value, w))))
    graph.output(value, "y")
    return graph


@pytest.mark.parametrize(
    ("sizes", "made"),
    [
        # 8 inputs, 16 results: 1 crossbar a copy, 2 a relay (8 neurons); 8 readers, 4 a source
        ((8, 8, 64), "copies"),
        # 288 inputs of the unit: 9 crossbars a copy, 1 a relay
        ((288, 8, 64), "relays"),
    ],
)
def test_the_cheaper_way_is_taken(sizes: tuple[int, ...], made: str) -> None:
    x = {"x": np.random.default_rng(0).normal(size=(4, sizes[0])).astype(np.float32)}
    limits: dict[str, object] = {"fan-in": 32, "neurons": 8, "fan-out": 5}
    graph, ctx = layers(*sizes), PassContext(target=load("cim", limits=limits), calibration=x)
    PassManager(UNITS).run(graph, ctx)
    before, wanted = crossbars(graph), interpret(graph, x)["y"]
    PassManager("limit-fan-out").run(graph, ctx)
    (remark,) = [r for r in ctx.remarks if r.by == "limit-fan-out"]
    assert f"goes to 8 crossbars, over 1 {made} of 1 crossbars" in remark.text
    assert crossbars(graph) == before + 1
    np.testing.assert_array_equal(interpret(graph, x)["y"], wanted)


def test_relays_make_a_tree() -> None:
    x = {"x": np.random.default_rng(0).normal(size=(4, 96)).astype(np.float32)}
    limits: dict[str, object] = {"fan-in": 32, "neurons": 8, "fan-out": 2}
    graph, ctx = layers(96, 8, 64), PassContext(target=load("cim", limits=limits), calibration=x)
    PassManager(f"{UNITS},limit-fan-out").run(graph, ctx)
    relays = [op for op in graph.ops if isinstance(op, Mvm) and "relay" in op.result.name]
    assert len(relays) == 6  # each gives one more than it takes, and 8 read
    assert sum("relay" in relay.x.name for relay in relays) == 4


def test_what_no_way_serves_is_refused_and_located() -> None:
    limits: dict[str, object] = {"fan-in": 8, "neurons": 8, "fan-out": 1}
    graph = units(limits)  # a channel of a 3 by 3 kernel lies in two blocks of 8 rows
    with pytest.raises(NeutramsError) as caught:
        limit(graph, limits)
    fault = caught.value.diagnostics[0]
    assert fault.code == "NT0150"
    assert "; `cim` allows 1" in fault.message
    assert "limit-fan-out" in fault.render()


def test_without_a_limit_nothing_is_done() -> None:
    graph = units({})
    assert not PassManager("limit-fan-out").run(graph, PassContext(target=load("cim")))
