"""How long the parts of an op take for one item, in clocks of the network."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from neutrams.ir.op import Op
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Target
from neutrams.simulator.digital import Sizes, work
from neutrams.simulator.traffic.parts import Part


@dataclass(frozen=True, slots=True)
class Paces:
    """Of the parts of a chip."""

    target: Target

    def clocks(self, ns: float) -> int:
        """Return nanoseconds as clocks, begun ones counted whole."""
        return ceil(ns * self.target.machine.network.clock_ghz - 1e-9)

    @property
    def read(self) -> int:
        """Clocks of one crossbar read."""
        return self.clocks(self.target.machine.core.read_ns)

    def fetch(self, op: Mvm, part: Part) -> int:
        """Return clocks on the tile's bus until the input registers hold a window."""
        return self._bus(part.reads * op.groups * op.fan_in * -(-op.input_bits // 8))

    def store(self, op: Mvm, part: Part) -> int:
        """Return clocks on the tile's bus until the results of a window are in the buffer."""
        return self._bus(part.share * op.outputs * op.result.type.dtype.bits / 8)

    def vector_ns(self, op: Op, part: Part, *, windows: int, sizes: Sizes) -> float:
        """Return the time that a tile's vector unit works on a window of a digital op."""
        tile = self.target.machine.tile
        total = sum(work(op, sizes).values()) / max(windows, 1)
        return total * part.share / tile.vector_lanes / tile.clock_ghz

    def link_ns(self, bits: float) -> float:
        """Return the time that bits take over the link of the chip."""
        return bits / 8 / self.target.machine.io_gbytes_per_s

    def _bus(self, count: float) -> int:
        tile = self.target.machine.tile
        return self.clocks(ceil(count * 8 / tile.bus_bits - 1e-9) / tile.clock_ghz)
