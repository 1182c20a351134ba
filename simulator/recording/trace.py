"""Traces in the trace-event format of Chrome, which Perfetto opens too.

A process is a tile (its number is the tile's and 1), or a router that has no tile in use. Threads
of a tile are its vector unit and its stations on crossbars: "X" events say when each works on an
item. Counters ("C" events) belong to a process: flits over each link in each bin of clocks, clocks
that the bus is taken for, bytes in the buffer and flits held by the router at the end of a bin.
``ts`` and ``dur`` are microseconds, to the nanosecond; ``args`` hold exact clocks.

Format: "Trace Event Format", Google, 2016. Events are written as they come, so that a trace of any
length takes little memory.
"""

from __future__ import annotations

import json
from typing import IO, Literal, get_args

import numpy as np

from neutrams.simulator.cycle import Machine
from neutrams.simulator.network.mesh import NEVER
from neutrams.simulator.network.state import I64
from neutrams.simulator.recording.gauges import Gauge, Gauges
from neutrams.simulator.recording.places import Places

Detail = Literal["items", "busy"]
"""``items``: a span for each item of a station; ``busy``: spans that touch are one."""
DETAILS: tuple[Detail, ...] = get_args(Detail)

CHIP = 1 << 21
"""Number of the process of the chip: of programming, and of what goes on and off it."""
VECTOR_UNIT = 1
"""Number of the thread of a tile's vector unit, and of the chip's for what is between rounds;
stations on crossbars follow."""


class Trace:
    """A trace as it is written."""

    def __init__(
        self,
        file: IO[bytes],
        *,
        clock_ns: float,
        bin: int,
        first: int = 0,
        last: int = NEVER,
        limit: int = 1_000_000,
        detail: Detail = "items",
    ) -> None:
        """Begin a trace.

        Args:
            file: Where it goes.
            clock_ns: Length of a clock.
            bin: Clocks of each value of a counter.
            first: First clock of the window.
            last: The clock behind it.
            limit: Most spans and values of counters; what comes later is left out.
            detail: How spans are told.
        """
        self._file, self._limit, self._bin = file, limit, bin
        self._first, self._last, self._detail = first, last, detail
        self.events = 0
        """Spans and values of counters that were written."""
        self.ended: int | None = None
        """The clock from which on nothing was written for want of room."""
        self._separator = "\n"
        self._clock_ns = clock_ns
        self._since = 0
        self._open: dict[int, list[int]] = {}
        self._gauges = Gauges.none()
        self._threads = VECTOR_UNIT + 1
        facts = {
            "producer": "neutrams",
            "clock_ns": clock_ns,
            "bin_clocks": bin,
            "first_clock": first,
            "units": "ts, dur: microseconds; args.clock, args.clocks: clocks of the network",
        }
        head = f'{{"displayTimeUnit":"ns","otherData":{json.dumps(facts)},"traceEvents":['
        file.write(head.encode())
        self._titles = {(CHIP, 0): "chip", (CHIP, VECTOR_UNIT): "rounds"}
        self._known: set[tuple[int, int]] = set()

    def place(self, places: Places, *, base: int = 0) -> None:
        """From now on tell of these stations, whose clocks count from ``base``."""
        self._flush()
        self._places, self._base = places, base
        own = ~places.shared
        self._pids = np.where(places.link, CHIP, places.tiles + 1).tolist()
        self._tids = np.where(own, self._threads + np.arange(len(own)), VECTOR_UNIT).tolist()
        self._threads += len(own)
        self._names = [json.dumps(layer) for layer in places.layers]
        before, self._gauges = self._gauges, Gauges.of(places)
        gone = [(gauge, 0) for gauge in self._gauges.after(before)]
        self._values(gone, base, 1)
        self._titles |= {(pid, 0): title for pid, title in self._gauges.processes}
        for station, (pid, tid) in enumerate(zip(self._pids, self._tids, strict=True)):
            title = places.title(station) if own[station] else "vector unit"
            self._titles[pid, tid] = title

    def next_look(self, clock: int) -> int:
        """Return the next clock at which the machine has to be looked at."""
        gone = clock + self._base - self._first
        then = (gone // self._bin + 1) * self._bin if gone >= 0 else 0
        return self._first + then - self._base

    def starts(self, rows: I64) -> None:
        """Write the spans of items that were started: station, item, clock, clocks."""
        begin = rows[:, 2] + self._base
        inside = (rows[:, 3] > 0) & (begin + rows[:, 3] > self._first) & (begin < self._last)
        kept = np.column_stack([rows[inside], np.ones(int(inside.sum()), np.int64)])
        self._spans(kept.tolist() if self._detail == "items" else self._joined(kept.tolist()))

    def look(self, machine: Machine, *, last: bool = False) -> None:
        """Write the counters of the bin that ends now; ``last`` where no other follows."""
        flow, level = self._gauges.flow(machine), self._gauges.level(machine)
        clock = machine.clock + self._base
        since, self._since = self._since, clock
        if flow is None or clock == since or since < self._first:
            return
        self._counters(since, 0, flow, clock - since)
        self._counters(clock, len(flow), level, 1)
        if last:
            self._counters(clock, 0, np.zeros_like(flow), 1)

    def mark(self, name: str, begin: int, end: int) -> None:
        """Write a span of the chip as a whole, between what others do."""
        if begin < end and end > self._first and begin < self._last:
            name, clocks = json.dumps(name), end - begin
            self._write([self._span(CHIP, VECTOR_UNIT, name, begin, clocks)], begin)

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._file.write(b"\n]}\n")

    def _flush(self) -> None:
        """Write the spans that nothing to come can touch."""
        if self._open:
            self._spans(list(self._open.values()))
            self._open.clear()

    def _joined(self, rows: list[list[int]]) -> list[list[int]]:
        """Return the spans that are over: those that no item to come touches."""
        over = []
        for station, item, begin, clocks, count in rows:
            held = self._open.get(station)
            if held is not None and held[2] + held[3] == begin:
                held[3] += clocks
                held[4] += count
                continue
            if held is not None:
                over.append(held)
            self._open[station] = [station, item, begin, clocks, count]
        return over

    def _spans(self, rows: list[list[int]]) -> None:
        each = self._places.layout.plan.stations["each"].tolist()
        lines = []
        for station, item, start, clocks, count in rows:
            inference, nth = divmod(item, each[station])
            begin = start + self._base
            facts = f'"inference":{inference},"item":{nth},'
            if self._detail == "busy":
                facts += f'"items":{count},'
            lane = self._pids[station], self._tids[station]
            lines.append(self._span(*lane, self._names[station], begin, clocks, facts))
        self._write(lines, rows[0][2] + self._base if rows else 0)

    def _span(self, pid: int, tid: int, name: str, begin: int, clocks: int, facts: str = "") -> str:
        ts, end = self._ns(begin), self._ns(begin + clocks)
        line = f'{{"ph":"X","pid":{pid},"tid":{tid},"ts":{_us(ts)},"dur":{_us(end - ts)},'
        args = f'{facts}"clock":{begin},"clocks":{clocks}'
        return f'{self._named(pid, tid)}{line}"name":{name},"args":{{{args}}}}}'

    def _counters(self, clock: int, first: int, values: I64, width: int) -> None:
        self._values(list(self._gauges.changed(first, values)), clock, width)

    def _values(self, values: list[tuple[Gauge, int]], clock: int, width: int) -> None:
        self._write([self._counter(gauge, clock, value, width) for gauge, value in values], clock)

    def _counter(self, gauge: Gauge, clock: int, value: int, width: int) -> str:
        share = f',"utilisation":{value / width:.4g}' if gauge.unit == "flits" else ""
        return (
            f'{self._named(gauge.pid)}{{"ph":"C","pid":{gauge.pid},"tid":0,"ts":{_us(self._ns(clock))},'
            f'"name":"{gauge.name}","args":{{"{gauge.unit}":{value}{share}}}}}'
        )

    def _write(self, lines: list[str], clock: int) -> None:
        room = self._limit - self.events
        if len(lines) > room and self.ended is None:
            self.ended = clock
        kept = lines[:room]
        self.events += len(kept)
        if kept:
            self._file.write((self._separator + ",\n".join(kept)).encode())
            self._separator = ",\n"

    def _named(self, pid: int, tid: int = 0) -> str:
        """Return what says how a process, and a thread of it, is called: before its first event."""
        if (pid, tid) in self._known:
            return ""
        self._known.add((pid, tid))
        kind, args = "thread" if tid else "process", json.dumps({"name": self._titles[pid, tid]})
        line = f'{{"ph":"M","pid":{pid},"tid":{tid},"name":"{kind}_name","args":{args}}},\n'
        return (self._named(pid) if tid else "") + line

    def _ns(self, clock: int) -> int:
        return round(clock * self._clock_ns)


def _us(ns: int) -> str:
    return f"{ns // 1000}.{ns % 1000:03d}"
