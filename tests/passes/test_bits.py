"""Bits of single layers: the text, the checks, and units that have just these widths."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neutrams.driver.bits.plans import load_bits
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.unit import Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import DType, symbol, tensor
from neutrams.passes import PassContext, PassManager, default_pipeline, parse_pipeline
from neutrams.passes.bits import Bits, parse_bits, print_bits
from neutrams.passes.pipeline import print_pipeline
from neutrams.simulator.run import Runner
from neutrams.targets import load

names = st.text(string.printable + "éß,=%\"'", min_size=1).filter(lambda s: s == s.strip())
widths = st.builds(Bits, st.integers(2, 16), st.integers(1, 16))


@given(st.dictionaries(names, widths))
def test_a_printed_plan_reads_back_and_passes_through_a_pipeline(plan: dict[str, Bits]) -> None:
    text = print_bits(plan)
    assert parse_bits(text) == plan
    passes = parse_pipeline(f'quantize{{bits="{text}"}}')
    assert parse_pipeline(print_pipeline(passes)) == passes


def test_a_file_or_a_mapping_serves_as_well(tmp_path: Path) -> None:
    wanted = {"conv1": Bits(8, 8), "/fc/Gemm": Bits(4, 2)}
    toml, json = tmp_path / "plan.toml", tmp_path / "plan.json"
    toml.write_text('[bits]\nconv1 = 8\n"/fc/Gemm" = "4/2"\n')
    json.write_text('{"conv1": "8/8", "/fc/Gemm": [4, 2]}')
    assert load_bits(toml) == load_bits(str(json)) == wanted
    assert load_bits({"conv1": 8, "/fc/Gemm": (4, 2)}) == load_bits("conv1=8,/fc/Gemm=4/2")


@pytest.mark.parametrize("text", ["fc", "=8/8", "fc=8/", "fc=1/8", "fc=8/17", "fc=8/8/8", "a=x"])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(NeutramsError, match="NT0240"):
        parse_bits(text)


@pytest.mark.parametrize("text", ["conv1 8", "bits = 3", "a = 1.5", '{"a"'])
def test_what_is_no_file_of_a_plan_is_refused(text: str, tmp_path: Path) -> None:
    for ending in ("toml", "json"):
        file = tmp_path / f"plan.{ending}"
        with pytest.raises(NeutramsError, match="NT0240"):
            load_bits(file)
        file.write_text(text)
        with pytest.raises(NeutramsError, match="NT0240"):
            load_bits(file)


class Net:
    """A chain of convolutions, every second one with a shortcut around it."""

    def __init__(self, seed: int, layers: int, channels: int) -> None:
        random = np.random.default_rng(seed)
        self.graph = Graph("net")
        value = self.graph.input("x", tensor(DType.F32, symbol("N"), channels, 5, 5))
        self.layers = [f"c{n}" for n in range(layers)]
        for number, name in enumerate(self.layers):
            weights = random.normal(size=(channels, channels, 3, 3)).astype(np.float32)
            made = Conv(value, self.graph.weight("w", weights), pads=(1, 1, 1, 1))
            conv = self.graph.add(made, name=name)
            summed = self.graph.add(Add(conv, value)) if number % 2 else conv
            value = self.graph.add(Relu(summed))
        self.graph.output(value, "y")
        shape = (24, channels, 5, 5)
        self.data = {"x": random.normal(size=shape).astype(np.float32)}


def lowered(net: Net, plan: dict[str, Bits]) -> dict[str, Mvm]:
    """Lower a net to a chip and return its units by layer."""
    ctx = PassContext(target=load("cim"), calibration=net.data)
    PassManager(default_pipeline(bits=print_bits(plan))).run(net.graph, ctx)
    return {op.result.origin: op for op in net.graph.ops if isinstance(op, Mvm)}


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 99), st.integers(1, 4), st.sampled_from([3, 40]), st.data())
def test_units_have_their_bits_and_all_executors_agree(
    seed: int, layers: int, channels: int, data: st.DataObject
) -> None:
    net = Net(seed, layers, channels)
    width = st.builds(Bits, st.integers(2, 8), st.integers(1, 8))
    plan = {name: data.draw(width, label=name) for name in net.layers}
    units = lowered(net, plan)
    assert {name: Bits(op.weight_bits, op.input_bits) for name, op in units.items()} == plan
    for op in units.values():
        columns = op.neurons * op.encoding.columns_per_neuron
        assert columns <= 128
        assert op.encoding.slices == -(-op.weight_bits // 2)
        blocks = -(-channels * 9 // 128) * -(-channels * op.encoding.slices // 128)
        assert len(op.table()) == blocks
    expected = interpret(net.graph, net.data)["y"]
    np.testing.assert_array_equal(Runner(net.graph)(net.data)["y"], expected)


def test_a_narrow_reader_of_a_shared_value_rounds_it_once_more() -> None:
    net = Net(0, 4, 3)
    units = lowered(net, {"*": Bits(8, 4)})
    shared = units["c1"].x.op
    assert isinstance(shared, Rescale)
    assert (shared.x.type.range, shared.result.type.range) == ((0, 255), (0, 15))


def test_fewer_bits_change_only_their_layer() -> None:
    every = lowered(Net(1, 3, 3), {"*": Bits(8, 8)})
    some = lowered(Net(1, 3, 3), {"c2": Bits(3, 8)})
    for name in ("c0", "c1"):
        np.testing.assert_array_equal(every[name].w.data, some[name].w.data)  # type: ignore[attr-defined]
    assert some["c2"].weight_bits == 3


@pytest.mark.parametrize(
    ("plan", "code", "says"),
    [
        ({"c3": Bits(8, 8)}, "NT0241", "did you mean `c2`|there are"),
        ({"c0": Bits(9, 8)}, "NT0242", "9-bit weights; `cim` allows 8"),
        ({"c0": Bits(8, 12)}, "NT0242", "12-bit inputs; `cim` allows 8"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(plan: dict[str, Bits], code: str, says: str) -> None:
    with pytest.raises(NeutramsError, match=says) as caught:
        lowered(Net(0, 3, 3), plan)
    assert [d.code for d in caught.value.diagnostics] == [code]
