"""A machine under way as plain arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from neutrams.ir.types import Array
from neutrams.simulator.cycle.agenda import ARRIVE, KNOWN
from neutrams.simulator.cycle.run import Machine
from neutrams.simulator.cycle.state import DONE, NUMBER, PACKETS, SIZE, TRACED
from neutrams.simulator.cycle.tally import deliveries_sent, items_sent, packets_each
from neutrams.simulator.network.run import shape_of
from neutrams.simulator.network.soundness import MANY, check_network, check_packets, within
from neutrams.simulator.network.state import Records, State

PARTS = ("stations", "edges", "legs", "tiles", "line", "queue", "packets", "events", "counters")
PROGRESS = ("sent", "stored", "finished", "started", "fetched", "asked")
"""What a station has done, each no more than the next."""
MOVING = {
    "stations": {*PROGRESS, "storing", "queued", "woken", "unused", "free", "begin", "end", "busy"},
    "edges": {"sent", "arrived", "used", "known", "told"},
    "legs": {"landed"},
}
"""Fields that change in a run; all others are as they were planned."""


def snapshot(machine: Machine) -> dict[str, Array]:
    """Return all that changes in a run, as bytes by name. Of what is done, results alone."""
    held = {name: getattr(machine, name) for name in PARTS}
    held["packets"] = machine.packets[: machine.counters[PACKETS]]
    held["events"] = machine.events[: machine.counters[SIZE]]
    if machine.done:
        held["packets"], held["events"] = machine.packets[:0], machine.events[:0]
    for field in fields(State):
        held[f"network.{field.name}"] = getattr(machine.network, field.name)
    return {name: _bytes(array) for name, array in held.items()}


def restore(machine: Machine, held: Mapping[str, Array]) -> None:
    """Put a fresh machine of the same plan where another was when a snapshot was taken.

    Raises:
        ValueError: the arrays are not those of a machine of this plan; what it is then is open.
    """
    rest = set(held)
    for name in PARTS:
        _fill(getattr(machine, name), held, name, grows=name in ("packets", "events"))
        rest.discard(name)
    for field in fields(State):
        name = f"network.{field.name}"
        _fill(getattr(machine.network, field.name), held, name)
        rest.discard(name)
    if rest:
        raise ValueError(f"`{min(rest)}` is no part of a machine")
    _check(machine, len(held["packets"]), len(held["events"]))


def _bytes(array: Array) -> Array:
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)


def _fill(into: Records, held: Mapping[str, Array], name: str, *, grows: bool = False) -> None:
    if name not in held:
        raise ValueError(f"`{name}` is missing")
    raw = np.ascontiguousarray(held[name]).tobytes()
    size, whole = into.dtype.itemsize, into.nbytes
    if len(raw) % size or (len(raw) > whole if grows else len(raw) != whole):
        raise ValueError(f"`{name}` holds {len(raw)} bytes, not {whole}")
    found = np.frombuffer(raw, into.dtype)
    if grows:
        into[: len(found)] = found
    else:
        into[...] = found.reshape(into.shape)


def _check(machine: Machine, packets_bytes: int, events_bytes: int) -> None:
    plan, counters = machine.plan, machine.counters
    stations, edges = machine.stations, machine.edges
    for name in MOVING:
        now, planned = getattr(machine, name), getattr(plan, name)
        for key in planned.dtype.names or ():
            if key not in MOVING[name] and (now[key] != planned[key]).any():
                raise ValueError(f"`{key}` of {name} is not as planned")
    steps = np.stack([np.zeros(len(stations), np.int64)] + [stations[key] for key in PROGRESS])
    if (np.diff(steps, axis=0) < 0).any() or (steps[-1] > stations["items"]).any():
        raise ValueError("a station has done more than it can have")
    flag = (0, 2)
    within(stations, "a station", storing=flag, queued=flag, woken=flag)
    made = deliveries_sent(plan, stations["sent"])
    sent = items_sent(plan, made)
    if (edges["sent"] != sent).any() or (edges["arrived"] > sent).any():
        raise ValueError("an edge brings other items than were sent")
    if edges["arrived"].min(initial=0) < 0 or edges["used"].min(initial=0) < 0:
        raise ValueError("an edge has brought fewer items than none")
    if (edges["known"] > edges["used"]).any() or (edges["told"] > edges["used"]).any():
        raise ValueError("a source knows of more room than there is")
    within(edges, "an edge", known=(0, MANY), told=(-1, MANY))
    _check_queues(machine)
    if counters[DONE] != (stations["sent"] == stations["items"]).sum() or counters[TRACED]:
        raise ValueError("stations are done that have items left")
    if machine.done:
        return
    count = packets_bytes // machine.packets.dtype.itemsize
    depth = machine.routers.depth
    if counters[PACKETS] != count or count != (made * packets_each(plan, depth)).sum():
        raise ValueError("other packets were sent than items")
    known = machine.packets[:count]
    check_packets(known, len(machine.network.nodes), count)
    within(known, "a packet", tag=(0, len(plan.deliveries)))
    _check_goals(machine, known)
    _check_events(machine, events_bytes // machine.events.dtype.itemsize)
    check_network(machine.network, shape_of(machine.routers), known)


def _check_goals(machine: Machine, known: Records) -> None:
    """Refuse packets that go elsewhere than their delivery does."""
    plan = machine.plan
    made = plan.deliveries[known["tag"]]
    many = made["end"] - made["begin"]
    where = np.where(many > 1, made["begin"], machine.goals[made["begin"]])
    longest = np.where(many > 1, machine.routers.depth, made["flits"])
    wrong = (known["copies"] != many) | (known["target"] != where)
    if (wrong | (known["left"] > many) | (known["length"] > longest)).any():
        raise ValueError("a packet goes elsewhere than was planned")
    within(machine.legs, "a leg", landed=(0, MANY))
    within(known, "a packet", left=(0, MANY))


def _check_queues(machine: Machine) -> None:
    stations = len(machine.stations)
    request, station, flag = (-1, 2 * stations), (-1, stations), (0, 2)
    within(machine.tiles, "a tile", bus_head=request, bus_tail=request, bus_on=flag)
    within(machine.tiles, "a tile", vector_head=station, vector_tail=station, vector_on=flag)
    for line, end in ((machine.line, 2 * stations), (machine.queue, stations)):
        if line.size and not -1 <= line.min() <= line.max() < end:
            raise ValueError("a line of requests is out of range")


def _check_events(machine: Machine, count: int) -> None:
    if machine.counters[SIZE] != count or count > len(machine.events) - 2:
        raise ValueError("there are other events to come than are held")
    events = machine.events[:count]
    within(events, "an event", kind=(0, KNOWN + 1), who=(0, MANY))
    arrive = events["kind"] == ARRIVE
    ends = np.where(arrive, len(machine.legs), len(machine.stations))
    ends[events["kind"] == KNOWN] = len(machine.edges)
    if (events["who"] >= ends).any() or machine.counters[NUMBER] < count:
        raise ValueError("an event is of no station, no leg and no edge")
