"""Waveforms of chosen signals as a value change dump (IEEE 1364-2005, clause 18)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

import numpy as np

from neutrams.simulator.cycle.watch import Watch
from neutrams.simulator.network.mesh import NEVER
from neutrams.simulator.network.state import I64, Records
from neutrams.simulator.recording.places import Places
from neutrams.simulator.recording.signals import Signal, signals_of, watch_of

_FIRST, _CODES = 33, 94
"""Identifiers are spelt in the printable characters from ``!`` to ``~``."""


class Waveform:
    """A dump as it is written. Everything is kept as a step of a signal until its clock is over."""

    def __init__(
        self,
        file: IO[bytes],
        signals: Sequence[Signal],
        *,
        clock_ns: float,
        first: int = 0,
        last: int = NEVER,
    ) -> None:
        """Begin a dump of some signals, from clock ``first`` up to, not including, ``last``."""
        self._file, self._first, self._last = file, first, last
        whole = float(clock_ns).is_integer()
        self._tick = clock_ns if whole else 1000 * clock_ns
        watched = ("link", "router", "bus", "buffer")
        self._watched = [s for kind in watched for s in signals if s.kind == kind]
        self._signals = [*self._watched, *(s for s in signals if s.kind not in watched)]
        self._links = sum(signal.kind == "link" for signal in self._watched)
        self._value = np.zeros(len(self._signals), np.int64)
        self._level = self._value.copy()
        self._steps: list[I64] = []
        self._begun = False
        self._written = -1
        self._file.write(self._header("1 ns" if whole else "1 ps").encode())

    def place(self, places: Places, *, base: int = 0) -> None:
        """From now on tell of these stations, whose clocks count from ``base``."""
        self._places, self._base = places, base
        self._of: list[list[int]] = [[] for _ in places.layers]
        known = {signal.name: signal for signal in signals_of(places)}
        for number, signal in enumerate(self._signals):
            here = known.get(signal.name)
            for station in here.stations if here is not None else ():
                self._of[station].append(number)
        left = np.flatnonzero(self._level)  # a machine is watched from zero on
        self._steps.append(np.column_stack([np.full(len(left), base), left, -self._level[left]]))
        self._level[left] = 0

    def hold(self, name: str, begin: int, end: int = NEVER) -> None:
        """Let a signal be one more from one clock to another, or to the end."""
        steps = [
            step
            for number, signal in enumerate(self._signals)
            if signal.name == name and begin < end
            for step in ((begin, number, 1), (end, number, -1))
        ]
        self._steps.append(np.array(steps, np.int64).reshape(-1, 3))

    def watch(self, edges: Records, ports: Records) -> Watch:
        """Return what a machine has to watch."""
        return watch_of(self._watched, self._places, edges, ports)

    def starts(self, rows: I64) -> None:
        """Take up items that were started: station, item, clock, clocks."""
        steps = [
            step
            for station, _, start, clocks in rows.tolist()
            if clocks > 0
            for number in self._of[station]
            for step in (
                (start + self._base, number, 1),
                (start + self._base + clocks, number, -1),
            )
        ]
        self._steps.append(np.array(steps, np.int64).reshape(-1, 3))

    def changes(self, rows: I64) -> None:
        """Take up changes of what is watched: signal, clock, value."""
        rows = rows + np.array([0, self._base, 0])
        pulses, levels = rows[rows[:, 0] < self._links], rows[rows[:, 0] >= self._links]
        number, clock, _ = pulses.T
        one = np.ones(len(pulses), np.int64)
        self._steps.append(np.column_stack([clock, number, one]))
        self._steps.append(np.column_stack([clock + 1, number, -one]))
        number, clock, value = levels[np.argsort(levels[:, 0], kind="stable")].T
        begins = np.append(True, number[1:] != number[:-1])[: len(number)]
        before = np.where(begins, self._level[number], np.append(0, value[:-1])[: len(number)])
        self._level[number] = value  # of several the last
        self._steps.append(np.column_stack([clock, number, value - before]))

    def settle(self, clock: int) -> None:
        """Write what happened before a clock of the machine: nothing more will come of that."""
        if not self._steps:
            return
        steps = np.concatenate(self._steps)
        over = steps[:, 0] < clock + self._base
        self._steps = [steps[~over]]
        self._write(steps[over])

    def close(self, clock: int) -> None:
        """Write what is left, up to the clock in which the run ended."""
        self._base = 0
        self.settle(NEVER)
        self._begin()
        end = min(clock, self._last)
        if end > self._written:
            self._file.write(f"#{self._time(end)}\n".encode())

    def _write(self, steps: I64) -> None:
        pairs, index = np.unique(steps[:, :2], axis=0, return_inverse=True)
        change = np.bincount(index.reshape(-1), steps[:, 2], len(pairs)).astype(np.int64)
        lines: list[str] = []
        for (clock, number), step in zip(pairs.tolist(), change.tolist(), strict=True):
            if clock >= self._last:
                break
            if clock > self._first:
                self._begin()
            self._value[number] += step
            if step == 0 or clock <= self._first:
                continue
            if clock > self._written:
                lines.append(f"#{self._time(clock)}")
                self._written = clock
            lines.append(self._spelt(number))
        if lines:
            self._file.write(("\n".join(lines) + "\n").encode())

    def _begin(self) -> None:
        """Write the values with which the window begins."""
        if self._begun:
            return
        self._begun, self._written = True, self._first
        values = "\n".join(self._spelt(number) for number in range(len(self._signals)))
        self._file.write(f"#{self._time(self._first)}\n$dumpvars\n{values}\n$end\n".encode())

    def _spelt(self, number: int) -> str:
        value, code = int(self._value[number]), _code(number)
        if self._signals[number].width == 1:
            return f"{value}{code}"
        return f"b{value:b} {code}"

    def _time(self, clock: int) -> int:
        return round(clock * self._tick)

    def _header(self, timescale: str) -> str:
        lines = [
            "$version neutrams $end",
            f"$comment one clock is {self._tick:.12g} x {timescale} $end",
            f"$timescale {timescale} $end",
            "$scope module chip $end",
        ]
        for number, signal in enumerate(self._signals):
            size = f" [{signal.width - 1}:0]" if signal.width > 1 else ""
            lines.append(f"$var wire {signal.width} {_code(number)} {signal.word}{size} $end")
        return "\n".join([*lines, "$upscope $end", "$enddefinitions $end", ""])


def _code(number: int) -> str:
    """Return the identifier of a signal, the shortest there is."""
    code = ""
    while True:
        code += chr(_FIRST + number % _CODES)
        number = number // _CODES - 1
        if number < 0:
            return code
