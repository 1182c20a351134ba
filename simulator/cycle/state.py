"""Stations, edges and tiles as arrays of records: what the cycle grain works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neutrams.simulator.network.state import I32, I64, Records

PARTS = 1 << 12
"""Parts of a clock."""

STATION = np.dtype(
    [
        # What it is.
        ("tile", "i4"),
        ("shared", "i4"),  # 1 where it works on its tile's vector unit, 0 on crossbars of its own
        ("items", "i8"),  # items of the whole run
        ("each", "i8"),  # items of one inference
        ("copy", "i4"),  # of its op
        ("copies", "i4"),
        ("classes", "i8"),  # first place in the table: which lists its items leave by
        ("fetch", "i8"),  # clocks on the tile's bus, to read one item
        ("work", "i8"),  # clocks from one item to the next
        ("parts", "i4"),  # and parts of a clock, which make whole ones from time to time
        ("link", "i4"),  # 1 where it works on the link of the chip, not on its tile's vector unit
        ("after", "i8"),  # clocks in the pipeline behind that
        ("store", "i8"),  # clocks on the tile's bus, to write one result
        ("ahead", "i8"),  # items that its input register holds
        ("depth", "i8"),  # results that it holds before they are stored
        ("in_begin", "i4"),  # into the list of edges by target
        ("in_end", "i4"),
        ("ends", "i4"),  # 1 where it brings an output off the chip
        ("spare", "i4"),
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
        ("unused", "i4"),
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
        ("each", "i8"),  # items of one inference
        ("room", "i8"),  # items that the buffer behind it holds
        ("needs", "i8"),  # first place in the table: items that each window of the target needs
        ("sent", "i8"),
        ("arrived", "i8"),
        ("used", "i8"),  # items that the target needs no more
        ("known", "i8"),  # the same, as far as the source knows
        ("told", "i8"),  # what the word under way to the source says; -1 for none
        ("delay", "i8"),  # clocks that it takes
    ]
)
DELIVERY = np.dtype(
    [
        ("flits", "i4"),  # of one item; 0 within a tile
        ("begin", "i4"),  # its legs come one after the other
        ("end", "i4"),
    ]
)
LEG = np.dtype(
    [
        ("router", "i4"),  # where it ends
        ("begin", "i4"),  # into the list of edges that it serves
        ("end", "i4"),
        ("landed", "i4"),  # packets of the next item that have come
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
    incoming: I32
    """Edges in the order of their targets."""
    needs: I64
    """``[windows, 2]`` for each edge between copies: of the items that go over it in an inference,
    how many each window of the target waits for, and how many it and all later ones need no more.
    """
    routers: I32
    """``[tiles]`` router of each."""
    classes: I32
    """``[items]`` of an inference of all stations: by which list each leaves."""
    lists: I32
    """``[lists, 2]`` begin and end among ``chosen``."""
    chosen: I32
    """Deliveries of each list."""
    deliveries: Records
    legs: Records
    landing: I32
    """Edges that each leg serves."""
