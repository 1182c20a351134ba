"""What the routers of a chip carry for one inference, as its chip graph states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.graph import Graph
from neutrams.ir.ops.chip import Flow, Place
from neutrams.ir.target import Target
from neutrams.ir.traffic import Mesh
from neutrams.simulator.constants import constant
from neutrams.simulator.network.trees import NODE, tree_loads
from neutrams.simulator.traffic.flows import Flows

I64 = NDArray[np.int64]


def network_load(chip: Graph, target: Target) -> I64:
    """Return what :func:`tree_loads` says of all that is sent."""
    network = target.machine.network
    load = np.zeros((network.rows, network.columns, NODE + 1), np.int64)
    for _, sent in sent_by(chip, target):
        load += load_of(sent, target)
    return load


def sent_by(chip: Graph, target: Target) -> Iterator[tuple[str, Flows]]:
    """Yield values by name and what is sent of them, from router to router."""
    network = target.machine.network
    for place in (op for op in chip.ops if isinstance(op, Place)):
        router = constant(place.y) * network.columns + constant(place.x)
        for op in chip.ops:
            if isinstance(op, Flow):
                sent = Flows.of(op, network.flit_bits)
                sent = sent.where(sent.source != sent.target)
                ends = {"source": router[sent.source], "target": router[sent.target]}
                yield op.unit, replace(sent, **ends)


def load_of(sent: Flows, target: Target) -> I64:
    """Return the load of what goes from router to router."""
    mesh = Mesh(target.machine.network.columns, target.machine.network.rows)
    return tree_loads(mesh, sent.source, sent.target, sent.packet, sent.flits)
