"""How often what happens in a chip, in closed form: events that do not depend on the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.blocks import used
from neutrams.ir.graph import Graph
from neutrams.ir.ops.chip import Group, Place, Round
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.target import Target
from neutrams.ir.types import Array, bind
from neutrams.simulator.batching import Batching
from neutrams.simulator.constants import constant
from neutrams.simulator.digital import Sizes, elements, traffic, work
from neutrams.simulator.network.state import LOCAL
from neutrams.simulator.network.trees import NODE
from neutrams.simulator.traffic.border import sent_form
from neutrams.simulator.traffic.loads import network_load

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class LayerEvents:
    """What one op, or the network between tiles, made happen in a whole run."""

    name: str
    """The op's first result; ``network`` and ``io`` for what no op does."""
    op: str
    counts: Counts
    """By names of :data:`neutrams.ir.events.EVENTS`; none is 0."""


def events(program: Program, how: Batching, *, inferences: int) -> tuple[LayerEvents, ...]:
    """Return the events of a run of so many inferences, op by op."""
    graph, chip = program.module["main"], program.module.graphs.get("chip")
    sizes = how.one()
    groups = {op.unit: op for op in chip.ops if isinstance(op, Group)} if chip else {}
    found = []
    for op, times in working_ops(graph):
        if isinstance(op, Mvm):
            counts = crossbar_events(op, program.target, sizes, groups.get(op.result.name))
        else:
            counts = {**work(op, sizes), **traffic(op, sizes)}
        found.append(LayerEvents(op.result.name, op.name, _times(counts, bind(times, sizes))))
    if chip is not None:
        found.append(LayerEvents("network", "chip.flow", network_events(chip, program.target)))
    io = _io_bytes(graph, sizes)
    rounds = [op for op in chip.ops if isinstance(op, Round)] if chip is not None else []
    spilled = sum(op.spilled_bytes for op in rounds)
    found.append(LayerEvents("io", "chip.io", {"io_bytes": io + spilled}))
    made = [LayerEvents(x.name, x.op, _times(x.counts, inferences)) for x in found]
    if rounds:
        counts = programming_events(rounds, inferences=inferences)
        made.append(LayerEvents("programming", "chip.round", counts))
    return tuple(made)


def programming_events(rounds: Sequence[Round], *, inferences: int) -> Counts:
    """Return the events of programming cells anew, each batch of an endless stream alike.

    Inferences that fill no batch are charged with their share of one.
    """
    batch = rounds[0].batch
    totals = {
        "cell_writes": sum(op.cell_writes for op in rounds),
        "io_bytes": sum(op.load_bytes for op in rounds),
    }
    return {event: -(-count * inferences // batch) for event, count in totals.items() if count}


def crossbar_events(op: Mvm, target: Target, sizes: Sizes, group: Group | None) -> Counts:
    """Return the events of one inference of a ``unit.mvm``.

    Conversions follow ISAAC's law: windows × neurons × ceil(fan-in / rows) × slices × phases
    (twice as many where pairs of columns are subtracted after them), and one for the unit column
    of each block, window and phase. Copies share the windows and change no count. A tile sends
    each input once over its bus to all cores that hold the row.
    """
    e, table = op.encoding, op.table()
    windows = bind(op.windows, dict(sizes))
    rows, neurons = used(table)
    columns = neurons * e.columns_per_neuron + (e.bias != 0)
    reads = windows * e.phases
    sums = int((neurons * e.reads_per_neuron + (e.bias != 0)).sum())
    core = target.machine.core
    per_tile = core.crossbars * target.machine.cores_per_tile
    inputs = -(-e.input_bits // 8) * windows
    result = windows * int((neurons * _result_bytes(op, rows)).sum())
    to_tiles = inputs * _distinct_rows(table, rows, group, per_tile)
    return {
        "crossbar_reads": reads * len(table),
        "cell_macs": reads * int((rows * columns).sum()),
        "dac_drives": reads * int(rows.sum()),
        "adc_conversions": reads * sums,
        "shift_adds": reads * sums,
        "input_register_bytes": inputs * _distinct_rows(table, rows, group, core.crossbars),
        "output_register_bytes": result,
        "buffer_read_bytes": to_tiles,
        "bus_bytes": to_tiles + result,
    }


def network_events(chip: Graph, target: Target) -> Counts:
    """Return the flits of one inference: over links, and out of routers, to tiles or links."""
    if not any(isinstance(op, Place) for op in chip.ops):
        return {}
    load = network_load(chip, target)
    return {"router_flits": int(load[..., :NODE].sum()), "link_flits": int(load[..., :LOCAL].sum())}


def _distinct_rows(
    table: Array, rows: NDArray[np.int64], group: Group | None, crossbars: int
) -> int:
    """Return the rows that one window sends to places of so many crossbars.

    Blocks of one place that hold the same rows share them, in one round. Of several copies, the
    mean counts.
    """
    if group is None:
        return int(rows.sum())
    home = constant(group.crossbars) // crossbars
    turn = np.zeros_like(home) if group.rounds is None else constant(group.rounds)
    copy = np.repeat(np.arange(group.copies), len(table))
    chunk = np.tile(table[:, [0, 2]], (group.copies, 1))
    seen = np.column_stack([turn, copy, home, chunk])
    _, first = np.unique(seen, axis=0, return_index=True)
    return round(int(np.tile(rows, group.copies)[first].sum()) / group.copies)


def _result_bytes(op: Mvm, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    widths = op.input_bits + op.weight_bits + np.ceil(np.log2(rows)).astype(np.int64)
    return np.asarray(-(-widths // 8))


def _io_bytes(graph: Graph, sizes: Sizes) -> int:
    """Count what crosses the chip's edge: an input as the integers it is rounded to at once."""
    values = [sent_form(value) for value in graph.inputs] + graph.outputs
    return sum(elements(v, sizes) * v.type.dtype.numpy.itemsize for v in values)


def _times(counts: Mapping[str, int], inferences: int) -> Counts:
    return {event: count * inferences for event, count in counts.items() if count}
