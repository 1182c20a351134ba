"""What is to happen when: a heap of events, those of one clock in the order they were foreseen."""

from __future__ import annotations

from neutrams.ir.kernel import lean_kernel
from neutrams.simulator.cycle.state import NUMBER, SIZE
from neutrams.simulator.network.state import I64, Records

ARRIVE, WAKE, FETCHED, STORED, FREE, FINISH, COMPUTED, KNOWN = range(8)
"""Kinds of events: an item at the end of a leg; a station that may go on; the end of a step."""


@lean_kernel
def foresee(events: Records, counters: I64, time: int, kind: int, who: int) -> None:
    """Add an event to the heap; there is always room, unless a snapshot was forged."""
    assert counters[SIZE] < len(events) - 2
    place, number = counters[SIZE], counters[NUMBER]
    counters[SIZE] += 1
    counters[NUMBER] += 1
    while place > 0:
        parent = (place - 1) // 2
        if events[parent]["time"] <= time:
            break
        events[place] = events[parent]
        place = parent
    events[place]["time"] = time
    events[place]["number"] = number
    events[place]["kind"] = kind
    events[place]["who"] = who


@lean_kernel
def earlier(events: Records, a: int, b: int) -> bool:
    if events[a]["time"] != events[b]["time"]:
        return bool(events[a]["time"] < events[b]["time"])
    return bool(events[a]["number"] < events[b]["number"])


@lean_kernel
def drop_first(events: Records, counters: I64) -> None:
    """Take the first event off the heap."""
    counters[SIZE] -= 1
    size, place = counters[SIZE], 0
    if size == 0:
        return
    events[size + 1] = events[size]
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and earlier(events, child + 1, child):
            child += 1
        if earlier(events, size + 1, child):
            break
        events[place] = events[child]
        place = child
    events[place] = events[size + 1]
