"""Several networks on one chip: tiles of their own, the same answers, one network on chip."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neutrams
from neutrams.driver.placing import sharing
from neutrams.driver.resources import ChipFacts, numbers
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.products import Matmul
from neutrams.ir.program import Program
from neutrams.ir.traffic import Mesh, Placement, Traffic
from neutrams.ir.types import DType, symbol, tensor
from neutrams.simulator.cycle import Job, Machine, lay_out, lay_out_all, routers_of

CHIP = {"tile.cores": 1, "core.crossbars": 1, "core.rows": 16, "core.columns": 16}
SLOW = {**CHIP, "network.flit_bits": 1}


def network(seed: int, widths: tuple[int, ...]) -> Graph:
    random = np.random.default_rng(seed)
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), widths[0]))
    for index, (before, after) in enumerate(pairwise(widths)):
        w = graph.weight(f"w{index}", random.normal(size=(before, after)).astype(np.float32))
        x = graph.add(Relu(graph.add(Matmul(x, w), name=f"m{index}")), name=f"r{index}")
    graph.output(x, "y")
    return graph


def samples(width: int) -> dict[str, Any]:
    return {"x": np.random.default_rng(width).normal(size=(6, width)).astype(np.float32)}


X = {"a": samples(48), "b": samples(40)}


def compiled(chip: dict[str, Any]) -> dict[str, Program]:
    nets = {"a": network(1, (48, 32, 20)), "b": network(2, (40, 24, 24, 8))}
    return {
        name: neutrams.compile(net, overrides=chip, calibration=X[name])
        for name, net in nets.items()
    }


def used(program: Program) -> tuple[set[int], set[int]]:
    """Return the crossbars and the tiles of a program."""
    facts = ChipFacts.of(program)
    crossbars = {int(c) for group in facts.groups.values() for c in numbers(group.crossbars)}
    tiles = {int(t) for vector in facts.vectors.values() for t in numbers(vector.tiles)}
    return crossbars, tiles | crossbars  # tiles of one crossbar


def test_each_has_tiles_of_its_own_and_stays_what_it_is(tmp_path: Path) -> None:
    alone = compiled(CHIP)
    both = neutrams.together(alone)
    for mine, theirs in zip(used(both["a"]), used(both["b"]), strict=True):
        assert not mine & theirs
    sites = [(numbers(f.x), numbers(f.y)) for f in (ChipFacts.of(p).place for p in both.values())]
    assert all((one == other).all() for one, other in zip(*sites, strict=True))
    assert len({tuple(site) for site in zip(*map(list, sites[0]), strict=True)}) == len(sites[0][0])
    for name, program in both.items():
        program.save(tmp_path / f"{name}.ntp")
        moved, own = (
            neutrams.simulate(p, X[name])
            for p in (Program.load(tmp_path / f"{name}.ntp"), alone[name])
        )
        assert (moved.outputs["y"] == own.outputs["y"]).all()
        network = {"router_flits", "link_flits"}  # ways are others; all else is the same
        assert {k: v for k, v in moved.counts.items() if k not in network} == {
            k: v for k, v in own.counts.items() if k not in network
        }
        assert moved.resources.occupancy == own.resources.occupancy
    again = neutrams.together({"b": both["b"], "a": both["a"]})
    assert min(used(again["b"])[0]) == 0


def interleaved(traffic: Traffic, mesh: Mesh, **_: Any) -> Placement:
    """Lay tiles of all networks along one column, so that they share its links."""
    order = np.random.default_rng(0).permutation(traffic.nodes).astype(np.int32)
    return Placement(mesh, np.zeros(traffic.nodes, np.int32), order)


def test_networks_that_share_links_hold_each_other_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers, flits and the work done are those of each by itself; only times are not."""
    monkeypatch.setattr(sharing, "place", interleaved)
    chip = {**SLOW, "network.rows": 72, "network.columns": 1, "chip.tiles": 72}
    both = neutrams.together(compiled(chip))
    shared = neutrams.simulate_together(both, X)
    slower = 0
    for name, program in both.items():
        own = neutrams.simulate(program, X[name], grain="cycle")
        here, there = shared[name].cycles, own.cycles
        assert here is not None
        assert there is not None
        assert (shared[name].outputs["y"] == own.outputs["y"]).all()
        assert shared[name].counts == own.counts
        assert here.alone == (there.clocks, there.period_s)
        assert here.clocks >= there.clocks
        slower += here.clocks > there.clocks
        other = next(each for each in both if each != name)
        assert shared[name].beside.keys() == {other}
        assert here.beside == (other,)
    assert slower
    beside = neutrams.simulate(both["a"], X["a"], grain="cycle", beside={"b": both["b"]})
    assert beside.cycles == shared["a"].cycles


def test_networks_apart_do_not_feel_each_other() -> None:
    """One in each half of the mesh: nothing is shared, so a run of both is two runs."""
    both = neutrams.together(compiled(CHIP))
    for inferences in (1, 3):
        jobs = [Job(program, inferences) for program in both.values()]
        layout = lay_out_all(jobs)
        found = Machine(layout.plan, routers_of(both["a"].target)).run()
        flits = 0
        for number, job in enumerate(jobs):
            own = Machine(
                lay_out(job.program, inferences=inferences).plan, routers_of(job.program.target)
            ).run()
            mine = found.stations[layout.jobs == number]
            assert (mine["busy"] == own.stations["busy"]).all()
            assert (mine["sent"] == own.stations["sent"]).all()
            assert mine["end"].max() >= own.stations["end"].max()
            flits += own.flits
        assert found.flits == flits


def test_what_runs_together_is_written_down_together(tmp_path: Path) -> None:
    """Layers by network and name; their spans are the work of a run of both."""
    both = neutrams.together(compiled(CHIP))
    record = neutrams.Record(tmp_path / "t.json", tmp_path / "t.vcd", "layer(b/*)")
    neutrams.simulate_together(both, X, record=record, compare=False)
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    layout = lay_out_all([Job(program) for program in both.values()])
    found = Machine(layout.plan, routers_of(both["a"].target)).run()
    for job, name in enumerate(both):
        mine = sum(s["args"]["clocks"] for s in spans if s["name"].startswith(f"{name}/"))
        assert mine == found.stations["busy"][layout.jobs == job].sum()
    wires = [line for line in (tmp_path / "t.vcd").read_text().splitlines() if "$var" in line]
    assert wires
    assert all(" layer_b_" in wire for wire in wires)


def test_what_does_not_fit_names_the_resource() -> None:
    programs = compiled({**CHIP, "chip.tiles": 80, "network.columns": 10, "network.rows": 8})
    needed = sum(sharing.Claim.of(program).tiles for program in programs.values())
    three = {**programs, "c": programs["a"]}
    assert needed <= 80 < needed + sharing.Claim.of(programs["a"]).tiles
    neutrams.together(programs)
    with pytest.raises(NeutramsError, match=r"NT0579") as fault:
        neutrams.together(three)
    text = str(fault.value)
    taken = needed + sharing.Claim.of(programs["a"]).tiles
    assert f"the networks take {taken} tiles together, and there are 80" in text
    assert "`c` takes" in text


def test_programs_that_cannot_share_are_told_apart() -> None:
    programs = compiled(CHIP)
    other = compiled(SLOW)["b"]
    with pytest.raises(NeutramsError, match=r"NT0578.: `a` and `b` are made for different chips"):
        neutrams.together({"a": programs["a"], "b": other})
    with pytest.raises(NeutramsError, match=r"NT0578.: `a` and `b` both use tile 0"):
        neutrams.simulate_together(programs, X)
    both = neutrams.together(programs)
    elsewhere = neutrams.together({"b": programs["b"], "a": programs["a"]})
    with pytest.raises(NeutramsError, match="NT0578"):
        neutrams.simulate_together({"a": both["a"], "b": elsewhere["b"]}, X)
    small = {**CHIP, "chip.tiles": 4}
    rounds = neutrams.compile(
        network(1, (48, 32, 20)), overrides=small, calibration=X["a"], rounds=None
    )
    with pytest.raises(NeutramsError, match=r"NT0578.: `a` runs in rounds"):
        neutrams.together({"a": rounds})
    with pytest.raises(NeutramsError, match="NT0575"):
        neutrams.simulate(both["a"], X["a"], beside={"b": both["b"]})
