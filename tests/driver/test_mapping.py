from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from neutrams import targets
from neutrams.driver.placing.mapping import chip_graph, map_units
from neutrams.driver.placing.replication import balance, input_ns
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.chip import Group, Vector
from neutrams.ir.ops.unit import Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.stripes import choices
from neutrams.ir.target import Target
from neutrams.ir.types import DType, symbol, tensor


def chip(tiles: int = 4, cores: int = 1, crossbars: int = 2) -> Target:
    cim = targets.load("cim")
    machine = cim.machine
    return dataclasses.replace(
        cim,
        machine=dataclasses.replace(
            machine,
            core=dataclasses.replace(machine.core, crossbars=crossbars),
            tile=dataclasses.replace(machine.tile, cores=cores),
            network=dataclasses.replace(machine.network, columns=4, rows=4, tiles_per_router=1),
            tiles=tiles,
        ),
    )


def two_layers(fan_in: int = 8, rows: int = 4) -> Graph:
    """Two matrix products of 8 → 4 → 2, the rows of the first cut in two."""
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), fan_in))
    for name, inputs, outputs in (("a", fan_in, 4), ("b", 4, 2)):
        w = graph.weight(f"{name}.w", np.ones((outputs, inputs), np.int8))
        scale = graph.weight(f"{name}.s", np.float32(1) * np.ones((), np.float32))
        sums = graph.add(Mvm(x, w, rows=rows, neurons=4), name=f"{name}.mvm")
        total = graph.add(Reduce(sums), name=f"{name}.sum")
        x = graph.add(Rescale(total, scale, dtype=DType.U8, low=0, high=255), name=name)
    graph.output(x)
    return graph


def worth(windows: int, most: int = 100) -> tuple[np.ndarray, np.ndarray]:
    return choices((windows, 1), most)


def test_the_slowest_unit_gets_the_next_copy() -> None:
    blocks, wanted = [1, 2, 4], [worth(100), worth(30), worth(1)]
    assert balance(blocks, wanted, 0) == [1, 1, 1]
    assert balance(blocks, wanted, 3) == [4, 1, 1]
    assert balance(blocks, wanted, 5) == [4, 2, 1]


def test_nothing_is_made_faster_than_its_input() -> None:
    blocks, wanted = [1, 2], [worth(100), worth(30)]
    assert balance(blocks, wanted, 100, enough=25) == [4, 2]


def test_an_image_comes_place_by_place() -> None:
    """10 × 10 places of 3 bytes: 300 bytes over the link, 100 flits of 32 bits into the mesh."""
    graph = Graph("main", "unit")
    graph.input("x", tensor(DType.U8, symbol("N"), 3, 10, 10))
    assert input_ns(graph, chip()) == max(300 / 6.4, 100)


def test_copies_stop_at_the_number_of_windows() -> None:
    assert balance([1], [worth(3)], 50) == [3]


def test_copies_that_would_help_nothing_are_left_out() -> None:
    """Of 8 columns, 5 to 7 stripes leave as many to the widest as 4 do."""
    image = choices((1, 8), 7)
    assert balance([1], [image], 50) == [4]


def test_blocks_of_one_neuron_lie_side_by_side() -> None:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 8))
    w = graph.weight("w", np.ones((8, 8), np.int8))
    graph.output(graph.add(Reduce(graph.add(Mvm(x, w, rows=4, neurons=4)))))
    (held,) = map_units(graph, chip(), replicate=False).crossbars.values()
    assert held.tolist() == [0, 2, 1, 3]


def test_every_block_has_a_crossbar_of_its_own() -> None:
    graph = two_layers()
    mapping = map_units(graph, chip(), replicate=False)
    held = np.concatenate(
        [op.crossbars.data for op in chip_graph(graph, mapping).ops if isinstance(op, Group)]  # type: ignore[attr-defined]
    )
    assert sorted(held.tolist()) == [0, 1, 2]


def test_every_digital_op_has_a_tile() -> None:
    graph = two_layers()
    made = chip_graph(graph, map_units(graph, chip(), replicate=False))
    units = {op.unit for op in made.ops if isinstance(op, Vector)}
    assert units == {"a.sum", "a", "b.sum", "b"}


def test_only_what_leaves_a_tile_is_sent() -> None:
    graph = two_layers()
    one_tile = map_units(graph, chip(crossbars=4), replicate=False).flows
    assert not one_tile
    apart = map_units(graph, chip(crossbars=1), replicate=False).flows
    flows = {
        (value, row["source"], row["target"]): row["bits"]
        for value, sent in apart.items()
        for row in sent.rows()
    }
    partial_sums = 4 * 32
    activations = 4 * 8
    inputs, outputs = 4 * 8, 2 * 8  # of the link, which ends at tile 0
    between = {("a.mvm", 1, 0): partial_sums, ("a", 0, 2): activations}
    assert flows == {**between, ("x", 0, 1): inputs, ("b", 2, 0): outputs}


def test_a_network_that_does_not_fit_says_what_would() -> None:
    with pytest.raises(NeutramsError, match="smallest chip") as fault:
        map_units(two_layers(), chip(tiles=1, crossbars=2))
    assert fault.value.diagnostics[0].code == "NT0401"


def test_the_same_seed_gives_the_same_places() -> None:
    graph = two_layers(fan_in=64)
    first, second = (map_units(graph, chip(tiles=16, crossbars=2), seed=3) for _ in range(2))
    assert (first.placement.x == second.placement.x).all()
    assert (first.placement.y == second.placement.y).all()


def test_homes_do_not_depend_on_the_order_in_which_readers_came() -> None:
    """A program that is read from its text lists readers in the order of the graph."""
    graph = Graph("main", "unit")
    moved = graph.add(Relu(graph.input("x", tensor(DType.U8, symbol("N"), 4))), name="moved")
    for name in "abc":
        w = graph.weight(f"{name}.w", np.ones((2, 4), np.int8))
        total = graph.add(Reduce(graph.add(Mvm(moved, w), name=f"{name}.mvm")), name=name)
        graph.output(total)
    found = []
    for _ in range(2):
        made = map_units(graph, chip(crossbars=1), replicate=False)
        found.append(made.homes.tiles(graph.ops[0]).tolist())
        moved.users.reverse()
    assert found[0] == found[1]
