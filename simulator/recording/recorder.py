"""A machine that runs as any other, and is looked at on the way."""

from __future__ import annotations

from dataclasses import dataclass

from neutrams.simulator.cycle import Machine
from neutrams.simulator.cycle.watch import watch_nothing
from neutrams.simulator.network.mesh import NEVER
from neutrams.simulator.network.state import I64
from neutrams.simulator.recording.trace import Trace
from neutrams.simulator.recording.vcd import Waveform

MOST = 1 << 14
"""Clocks of which a waveform keeps changes until it writes them."""


@dataclass(frozen=True, slots=True)
class Window:
    """The clocks that are recorded, from ``first`` up to, not including, ``last``."""

    first: int = 0
    last: int = NEVER


class Recorder:
    """Leads a machine through a run and tells a trace and a waveform what it does."""

    def __init__(
        self, machine: Machine, window: Window, *, trace: Trace | None, wave: Waveform | None
    ) -> None:
        self._machine, self._window = machine, window
        self._trace, self._wave = trace, wave
        machine.tell_starts(self._starts)
        if trace is not None:
            trace.look(machine)
        if wave is not None:
            machine.watch(wave.watch(machine.edges, machine.network.ports), wave.changes)

    def advance(self, until: int) -> bool:
        """Go on until a clock, as :meth:`Machine.advance`."""
        machine, finished = self._machine, False
        while machine.clock < until and not finished:
            look = self._next_look()
            most = machine.clock + MOST if self._wave is not None else NEVER
            most = min(most, self._window.last) if machine.clock < self._window.last else most
            finished = machine.advance(min(until, look, most))
            ended = finished and look < NEVER
            if self._trace is not None and (machine.clock == look or ended):
                self._trace.look(machine, last=finished or look == self._window.last)
            if self._wave is not None:
                self._wave.settle(machine.clock)
                if machine.clock >= self._window.last:
                    machine.watch(watch_nothing(), None)
        return finished

    def _next_look(self) -> int:
        """Return the clock at which a bin of the trace ends; no place between is one."""
        clock, last = self._machine.clock, self._window.last
        if self._trace is None or clock >= last:
            return NEVER
        return min(self._trace.next_look(clock), last)

    def _starts(self, rows: I64) -> None:
        if self._trace is not None:
            self._trace.starts(rows)
        if self._wave is not None:
            self._wave.starts(rows)
