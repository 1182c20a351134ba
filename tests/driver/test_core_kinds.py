"""Cores of several sizes on one chip: each matrix on the size that wastes least."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neutrams
from neutrams import targets
from neutrams.costs import Occupancy, charge, roll_up
from neutrams.driver.dry_run import block_counts
from neutrams.driver.placing.packing import kinds_of_units
from neutrams.driver.resources import resources
from neutrams.ir.blocks import used
from neutrams.ir.cores import crossbars_by_kind, kinds_of_crossbars, on_chip
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.op import Weight
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.chip import Group
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.target import Target
from neutrams.ir.types import DType, symbol, tensor
from neutrams.passes import PassManager
from neutrams.simulator import simulate

TWO = {
    "core.rows": 64, "core.columns": 64, "core.crossbars": 2, "tile.cores": 1, "chip.tiles": 4,
    "cores.small": "{rows = 16, columns = 16, per_tile = 3}",
}  # fmt: skip


def chip(**changes: object) -> Target:
    return targets.load("cim", {k: str(v) for k, v in {**TWO, **changes}.items()})


def chain(widths: list[int]) -> Graph:
    random = np.random.default_rng(0)
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), widths[0]))
    for index, (before, after) in enumerate(pairwise(widths)):
        w = graph.weight(f"w{index}", random.normal(size=(before, after)).astype(np.float32))
        x = graph.add(Relu(graph.add(Matmul(x, w), name=f"m{index}")), name=f"r{index}")
    graph.output(x)
    return graph


def units(program: Program) -> list[Mvm]:
    return [op for op in program.module["main"].ops if isinstance(op, Mvm)]


def held(program: Program) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
    found = {}
    for op in program.module["chip"].ops:
        if isinstance(op, Group) and isinstance(op.crossbars, Weight):
            assert op.crossbars.data is not None
            found[op.unit] = op.crossbars.data.astype(np.int64)
    return found


def cells_of(program: Program) -> int:
    machine = program.target.machine
    sizes = np.array([kind.cells for kind in machine.kinds])
    return sum(int(sizes[kinds_of_crossbars(h, machine)].sum()) for h in held(program).values())


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 70), min_size=2, max_size=4), st.booleans())
def test_no_block_exceeds_its_crossbar_and_no_single_size_takes_fewer_cells(
    widths: list[int], replicate: bool
) -> None:
    graph, both = chain(widths), chip(**{"chip.tiles": 64})
    x = np.random.default_rng(1).normal(size=(4, widths[0])).astype(np.float32)
    mixed = neutrams.compile(graph, target=both, calibration=x, replicate=replicate)
    machine = both.machine
    for unit in units(mixed):
        crossbars = held(mixed)[unit.result.name]
        rows, neurons = used(unit.table())
        for index in set(kinds_of_crossbars(crossbars, machine).tolist()):
            kind = machine.kinds[index]
            assert rows.max() <= kind.rows
            assert (neurons * unit.encoding.columns_per_neuron).max() <= kind.columns
    taken = np.concatenate(list(held(mixed).values()))
    assert len(set(taken.tolist())) == len(taken)
    assert taken.max() < machine.crossbars
    for size in (64, 16):
        alone = {"core.rows": size, "core.columns": size, "chip.tiles": 256}
        one = neutrams.compile(graph, overrides=alone, calibration=x, replicate=False)
        if not replicate:
            assert cells_of(mixed) <= cells_of(one)
        mine, theirs = (simulate(p, {"x": x}).outputs for p in (mixed, one))
        assert [a.tobytes() for a in mine.values()] == [a.tobytes() for a in theirs.values()]


def test_the_size_that_wastes_least() -> None:
    program = neutrams.compile(chain([64, 16, 16, 3]), target=chip(), replicate=False)
    kinds = kinds_of_units(units(program), program.target).tolist()
    assert kinds == [0, 1, 1]
    tables = [len(unit.table()) for unit in units(program)]
    assert tables == [1, 4, 1]
    found = resources(program)
    assert found.occupancy == Occupancy(6, 1 + 3, 1, 1, ((5, 3),))
    assert found.occupancy.crossbars_by_kind == (1, 5)
    assert found.utilisation == (64 * 64 + 16 * 64 + 16 * 12) / (64 * 64 + 5 * 16 * 16)


def test_what_the_small_ones_have_no_room_for_goes_to_the_large() -> None:
    few = chip(**{"chip.tiles": 1, "cores.small.per_tile": 1})
    program = neutrams.compile(chain([16, 4, 4, 4, 4]), target=few, replicate=False)
    assert sorted(kinds_of_units(units(program), few).tolist()) == [0, 0, 1, 1]
    with pytest.raises(NeutramsError, match="NT0401") as caught:
        neutrams.compile(chain([16, 4, 4, 4, 4, 4]), target=few)
    assert "crossbars of" in str(caught.value.diagnostics[0].notes)
    rounds = neutrams.compile(chain([16, 4, 4, 4, 4, 4]), target=few, rounds=None)
    x = np.random.default_rng(1).normal(size=(4, 16)).astype(np.float32)
    whole = neutrams.compile(chain([16, 4, 4, 4, 4, 4]), target=chip())
    mine, theirs = (simulate(p, {"x": x}).outputs for p in (rounds, whole))
    assert [a.tobytes() for a in mine.values()] == [a.tobytes() for a in theirs.values()]


def test_the_dry_run_counts_the_same() -> None:
    graph = chain([64, 16, 16, 3])
    counted = block_counts(graph, PassManager("split-fan-in").passes, chip())
    assert counted == {"m0": (0, 1), "m1": (1, 4), "m2": (1, 1)}


def test_crossbars_are_numbered_tile_by_tile() -> None:
    machine = chip().machine
    assert crossbars_by_kind(machine).tolist() == [8, 24]
    assert machine.crossbars == 32
    assert on_chip(np.arange(4), machine, 0).tolist() == [0, 1, 8, 9]
    assert on_chip(np.arange(8), machine, 1).tolist() == [2, 3, 4, 5, 6, 7, 10, 11]
    every = np.concatenate([on_chip(np.arange(n), machine, k) for k, n in ((0, 8), (1, 24))])
    assert sorted(every.tolist()) == list(range(32))
    assert kinds_of_crossbars(every, machine).tolist() == [0] * 8 + [1] * 24


def test_area_and_leakage_by_kind() -> None:
    both, one = chip(), targets.load("cim", {k: str(v) for k, v in list(TWO.items())[:-1]})
    parts = {part.component: part for part in roll_up(both).parts}
    plain = {part.component: part for part in roll_up(one).parts}
    cell = next(c for c in both.costs if c.name == "cells").area_mm2
    more = 4 * 3 * 2 * 16 * 16 * cell
    assert parts["cells"].chip.area_mm2 == pytest.approx(plain["cells"].chip.area_mm2 + more)
    assert parts["buffer"].chip == plain["buffer"].chip
    dac = next(c for c in both.costs if c.name == "dac")
    on = Occupancy(3, 2, 1, 1, ((2, 1),))
    leaked = {p.component: p.static_j for p in charge(both, {}, 1.0, occupancy=on).parts}
    assert leaked["dac"] == pytest.approx(dac.static_mw * 1e-3 * (64 + 2 * 16))


def test_a_chip_reads_back_and_a_program_keeps_it(tmp_path: Any) -> None:
    both = chip(**{"cores.small.parts.adc": 2})
    assert dict(both.machine.smaller[0].parts)["adc"] == 2
    assert targets.loads(targets.dump(both)) == both
    program = neutrams.compile(chain([64, 16, 3]), target=both)
    program.save(tmp_path / "net.ntp")
    assert Program.load(tmp_path / "net.ntp").target == both


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cores.small.rows": 65}, "`cores.small.rows` is above `core.rows`"),
        ({"cores.small.columns": 3}, "no neuron fits"),
        ({"cores.small.parts.wheel": 2}, "no crossbar and no core has a component `wheel`"),
        ({"cores.other.rows": 8}, "columns"),
        (
            {"costs.dac.area_um2": '{by = "core.rows", at.64 = 1.0}'},
            "`costs.dac` depends on `core.rows`, in which kinds of core differ",
        ),
    ],
)
def test_faults_of_a_kind(changes: dict[str, object], words: str) -> None:
    with pytest.raises(NeutramsError) as caught:
        chip(**changes)
    assert words in str(caught.value)
