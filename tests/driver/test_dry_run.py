"""What does not fit is refused before calibration, and exactly what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neutrams
from neutrams.driver.dry_run import block_counts
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import DType, symbol, tensor
from neutrams.passes.split_fan_in import SplitFanIn
from neutrams.targets import load

SMALL = {"chip.tiles": 1, "tile.cores": 1, "core.crossbars": 2}


def net(channels: int = 6, groups: int = 2) -> Graph:
    random = np.random.default_rng(0)
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), channels, 5, 5))
    w = random.normal(size=(12, channels // groups, 3, 3)).astype(np.float32)
    c = graph.add(Conv(x, graph.weight("w", w), groups=groups), name="c")
    r = graph.add(Relu(c), name="r")
    flat = graph.add(Reshape(r, shape=(symbol("N"), 108)), name="flat")
    v = random.normal(size=(108, 90)).astype(np.float32)
    graph.output(graph.add(Matmul(flat, graph.weight("v", v)), name="y"))
    return graph


@settings(deadline=None, max_examples=15)
@given(st.integers(9, 128), st.integers(2, 32), st.sampled_from([1, 2, 6]), st.booleans())
def test_the_count_is_that_of_the_compiled_network(
    rows: int, neurons: int, groups: int, prune: bool
) -> None:
    graph = net(groups=groups)
    chip = load("cim", limits={"fan-in": rows, "neurons": neurons})
    strategy = "prune-to-blocks" if prune else "split-and-merge"
    program = neutrams.compile(graph, target=chip, replicate=False, strategy=strategy)
    units = [op for op in program.module["main"].ops if isinstance(op, Mvm)]
    taken = sum(len(unit.table()) for unit in units)
    counted = block_counts(graph if not prune else _float_of(graph, chip), [SplitFanIn()], chip)
    assert sum(count for _, count in counted.values()) == taken


def _float_of(graph: Graph, chip: neutrams.Target) -> Graph:
    from neutrams.driver.sources import clone
    from neutrams.passes import PassContext, PassManager

    copy = clone(graph, name="copy")
    PassManager("prune-to-blocks").run(copy, PassContext(target=chip))
    return copy


def test_a_network_that_does_not_fit_is_never_calibrated() -> None:
    stages: list[str] = []
    with pytest.raises(NeutramsError) as caught:
        neutrams.compile(
            net(), overrides=SMALL, progress=lambda stage, done, total: stages.append(stage)
        )
    (fault,) = caught.value.diagnostics
    assert fault.code == "NT0401"
    assert "crossbars" in fault.message
    assert "`y` takes 3" in str(fault.notes)
    assert not any("calibrat" in stage for stage in stages)


def test_what_just_fits_compiles() -> None:
    chip = {**SMALL, "core.crossbars": 4}
    program = neutrams.compile(net(), overrides=chip, limits={"fan-in": 110})
    assert program.target.limits.fan_in == 110


def test_a_strategy_that_does_not_exist() -> None:
    with pytest.raises(NeutramsError, match="NT0543"):
        neutrams.compile(net(), strategy="prune")


def test_the_float_network_of_a_pruned_one_is_the_original() -> None:
    x = np.random.default_rng(1).normal(size=(8, 6, 5, 5)).astype(np.float32)
    program = neutrams.compile(
        net(), calibration=x, strategy="prune-to-blocks", limits={"fan-in": 20}
    )
    from neutrams.ir.interpreter import interpret

    wanted = interpret(net(), {"x": x})["y"]
    np.testing.assert_allclose(interpret(program.module["float"], {"x": x})["y"], wanted, rtol=1e-5)
    found = neutrams.simulate(program, x)
    assert found.relative_error is not None
    assert found.relative_error > 0.1
