"""Stations, edges and tiles as arrays of records: what the cycle grain works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neutrams.simulator.network.state import I32, I64, Records

STATION = np.dtype(
    [
        # What it is.
        ("tile", "i4"),
        ("shared", "i4"),  # 1 where it works on its tile's vector unit, 0 on crossbars of its own
        ("items", "i8"),  # items of the whole run
        ("each", "i8"),  # items of one inference
        ("windows", "i8"),  # windows of its op in one inference, over all copies
        ("copies", "i8"),
        ("copy", "i8"),  # it does windows copy, copy + copies, ...
        ("fetch", "i8"),  # clocks on the tile's bus, to read one item
        ("work", "i8"),  # clocks from one item to the next
        ("after", "i8"),  # clocks in the pipeline behind that
        ("store", "i8"),  # clocks on the tile's bus, to write one result
        ("ahead", "i8"),  # items that its input register holds
        ("depth", "i8"),  # results that it holds before they are stored
        ("in_begin", "i4"),  # its edges come one after the other
        ("in_end", "i4"),
        ("out_begin", "i4"),  # into the list of edges by source
        ("out_end", "i4"),
        # How far it is: each counts items, and none is ahead of the one before.
        ("asked", "i8"),  # asked for on the bus
        ("fetched", "i8"),
        ("started", "i8"),
        ("finished", "i8"),
        ("stored", "i8"),
        ("sent", "i8"),
        ("storing", "i4"),
        ("queued", "i4"),  # whether it waits for, or works on, the vector unit
        ("woken", "i4"),  # whether an event will wake it
        ("spare", "i4"),
        ("free", "i8"),  # clock from which its crossbars are free
        ("begin", "i8"),  # clock of its first start; -1 before
        ("end", "i8"),  # clock of its last result
        ("busy", "i8"),  # clocks in which it worked
    ]
)
EDGE = np.dtype(
    [
        ("source", "i4"),
        ("target", "i4"),
        ("flits", "i4"),  # of one item; 0 within a tile, and where a packet comes by another edge
        ("follows", "i4"),  # 1 where its items come with those of the edge before it
        ("next", "i4"),  # the edge that follows it; -1 for none
        ("number", "i4"),  # in the order of planning
        ("room", "i8"),  # items that the buffer behind it holds
        ("needs", "i8"),  # first place in the table: windows of the source before each window
        ("sent", "i8"),
        ("arrived", "i8"),
        ("used", "i8"),  # items that the target needs no more
    ]
)
TILE = np.dtype(
    [
        ("bus_head", "i4"),  # request at the head of the line; -1 for none
        ("bus_tail", "i4"),
        ("bus_on", "i4"),
        ("vector_head", "i4"),
        ("vector_tail", "i4"),
        ("vector_on", "i4"),
        ("bus_busy", "i8"),
        ("vector_busy", "i8"),
    ]
)
EVENT = np.dtype([("time", "i8"), ("number", "i8"), ("kind", "i4"), ("who", "i4")])

SIZE, NUMBER, PACKETS, DONE, TRACED = range(5)
"""Places among the counters: events to come; events so far; packets so far; stations that are
done; records of the trace."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run: stations, the edges between them, and what each window waits for."""

    stations: Records
    edges: Records
    """In the order of their targets."""
    outgoing: I32
    """Edges in the order of their sources."""
    needs: I64
    """``[windows, 2]`` blocks of rows: of the source's windows, how many a window of the target
    waits for, and how many it and all later ones need no more."""
    routers: I32
    """``[tiles]`` router of each."""
