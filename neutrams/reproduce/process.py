"""Transistors and gates of a process: what ground they take, their resistance and capacity.

Lengths are in features of the process, areas in square features, resistances in ohms, capacities in
femtofarads, times in nanoseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, log, pow, sqrt

NS = 1e-6
"""Nanoseconds of an ohm and a femtofarad."""


@dataclass(frozen=True, slots=True)
class Gate:
    kind: str
    """``inverter``, ``nand`` (n-channel transistors in series) or ``nor`` (p-channel ones)."""
    inputs: int
    n: float
    """Width of each n-channel transistor; 0 where there is none."""
    p: float

    def sized(self, times: float) -> Gate:
        return Gate(self.kind, self.inputs, self.n * times, self.p * times)


@dataclass(frozen=True, slots=True)
class Process:
    """Fields are explained where their numbers are, in ``circuits.toml``."""

    feature_nm: float
    cell_height: float
    outside: float
    between: float
    pitch: float
    drain: float
    wire_pitch: float
    supply_v: float
    on_n_ua_um: float
    on_p_ua_um: float
    switching: float
    gate_ff_um: float
    junction_ff_um2: float
    isolation_ff_um: float
    channel_ff_um: float
    built_in_v: float
    wire_ff_um: float
    wire_ohm_um: float

    @property
    def um(self) -> float:
        """Micrometres of a feature."""
        return self.feature_nm * 1e-3

    @property
    def ratio(self) -> float:
        """Width of a p-channel transistor that conducts as well, over the n-channel one's."""
        return self.on_n_ua_um / self.on_p_ua_um

    def width(self, gate: Gate, height: float | None = None) -> float:
        """Return how wide a gate is laid out; transistors too wide for its height are folded."""
        fingers = max(count for _, count, _ in self._folded(gate, height))
        if fingers == 1:
            return (gate.inputs + 1) * self.pitch
        return gate.inputs * (fingers + 1) * self.pitch

    def ground(self, gate: Gate) -> float:
        """Return the area of a gate in a row of standard cells."""
        return self.width(gate) * self.cell_height

    def resistance(self, n: float, *, p: bool = False) -> float:
        """Return that of a conducting transistor of width ``n``."""
        return self.supply_v * 1e6 / ((self.on_p_ua_um if p else self.on_n_ua_um) * n * self.um)

    def input_ff(self, gate: Gate) -> float:
        return self.gate_ff_um * (gate.n + gate.p) * self.um

    def output_ff(self, gate: Gate, height: float | None = None) -> float:
        """Return the capacity of the drains at the output of a gate."""
        series = {"nand": "n", "nor": "p"}.get(gate.kind, "")
        return sum(
            self._drains_ff(height_each, fingers, gate.inputs, series=name == series)
            for name, fingers, height_each in self._folded(gate, height)
        )

    def wire_ohm(self, length: float) -> float:
        return self.wire_ohm_um * length * self.um

    def wire_ff(self, length: float) -> float:
        return self.wire_ff_um * length * self.um

    def _folded(self, gate: Gate, height: float | None) -> list[tuple[str, int, float]]:
        """Return name, fingers, and width of a finger, of each transistor that there is."""
        room = (self.cell_height if height is None else height) - self.outside
        if gate.n and gate.p:
            room -= self.between
        widths = {"n": gate.n, "p": gate.p}
        found = []
        for name, width in widths.items():
            if width:
                most = room * width / (gate.n + gate.p)
                fingers = ceil(width / most - 1e-9)
                found.append((name, fingers, width if fingers == 1 else most))
        return found

    def _drains_ff(self, height: float, fingers: int, inputs: int, *, series: bool) -> float:
        if fingers > 1:
            strips, ends = ceil((fingers + 1) / 2), 1 + (fingers + 1) % 2
        else:
            strips, ends = (inputs, 1) if series else ((inputs + 1) // 2, inputs % 2)
        wide = strips * self.drain
        biased = 1 + self.supply_v / self.built_in_v
        bottom = self.junction_ff_um2 / sqrt(biased) * wide * height * self.um**2
        sides = self.isolation_ff_um * (2 * wide + ends * height)
        return (
            bottom + (sides + self.channel_ff_um * fingers * height) / pow(biased, 0.33) * self.um
        )


def delay_ns(times: Iterable[float]) -> float:
    """Return the delay of gates one after the other, from the time constant of each.

    The input of a gate rises as slowly as the one before it drives (Horowitz 1983).
    """
    whole = before = 0.0
    for time in times:
        before = sqrt((time * log(2)) ** 2 + time * before)
        whole += before
    return whole
