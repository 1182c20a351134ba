"""One fully connected layer, compiled to a chip: what one inference of it does and costs there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neutrams import driver
from neutrams.costs import Charge, Occupancy, charge, charged_events
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.target import Target
from neutrams.ir.text import parse_graph
from neutrams.simulator.batching import batching
from neutrams.simulator.events import Counts, events
from neutrams.simulator.timing.schedule import schedule_graph

_NET = """neutrams 1

graph @net(%x: f32[N, {inputs}]) {{
  weight @w : f32[{inputs}, {neurons}] = splat 0.5
  %y = nn.matmul(%x, @w) : f32[N, {neurons}]
  return %y
}}
"""


@dataclass(frozen=True, slots=True)
class Layer:
    program: Program
    macs: int
    """Multiply-adds of one inference."""
    counts: Counts
    """Events of its crossbars in one inference."""
    latency_cycles: float
    """Reads from the buffer that its input is in to the one its result is put in; a core alone does
    not wait for the bus of a tile."""


def one_layer(target: Target, *, inputs: int, neurons: int) -> Layer:
    """Compile a layer of ``inputs`` × ``neurons`` at the precision of the target's limits."""
    graph = parse_graph(_NET.format(inputs=inputs, neurons=neurons))
    samples = np.linspace(0, 1, 4 * inputs, dtype=np.float32).reshape(4, inputs)
    program = driver.compile(graph, target=target, calibration=samples, replicate=False)
    how = batching(program.module["main"])
    crossbars = [made for made in events(program, how, inferences=1) if made.op == Mvm.name]
    timing = schedule_graph(program.target, program.module["main"])
    stages = [stage for stage in timing.stages if stage.op == Mvm.name]
    return Layer(
        program=program,
        macs=inputs * neurons,
        counts=crossbars[0].counts,
        latency_cycles=stages[0].alone_cycles,
    )


def conversions_per_mac(layer: Layer) -> float:
    """Return the converter readings that one multiply-add takes, unit columns included."""
    return layer.counts["adc_conversions"] / layer.macs


@dataclass(frozen=True, slots=True)
class Product:
    """One product of a full crossbar with a vector."""

    macs: int
    cell_macs: int
    """Multiply-adds of one cell with the part of an input that one read drives."""
    time_s: float
    charge: Charge
    """Of the parts that the target has; events that none of them is charged for are left out."""

    def energy_of(self, component: str) -> float:
        return sum(part.energy_j for part in self.charge.parts if part.component == component)


def full_product(target: Target) -> Product:
    """Return what a product of one core, all of its rows and columns in use, takes."""
    core = target.machine.core
    neurons = core.columns // target.columns_per_neuron
    layer = one_layer(target, inputs=core.rows, neurons=neurons)
    known = charged_events(target)
    counts = {event: n for event, n in layer.counts.items() if event in known}
    time_s = layer.latency_cycles * core.read_ns * 1e-9
    found = charge(target, counts, time_s, occupancy=Occupancy(1, 1, 1, 1))
    return Product(layer.macs, layer.counts["cell_macs"], time_s, found)
