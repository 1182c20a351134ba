"""A ``unit.mvm`` on arrays that are not ideal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.simulator.exact.matrix import Matrix, Moment
from neutrams.simulator.physics.array import Analog
from neutrams.simulator.physics.normals import Ids, mixed
from neutrams.simulator.physics.physics import Physics
from neutrams.simulator.physics.scratch import SCRATCH
from neutrams.simulator.physics.seeds import Draws


@dataclass(frozen=True, slots=True)
class Chance:
    """What a run draws its random numbers from."""

    physics: Physics
    seed: int = 0
    run: int = 0
    """Which of several runs on chips made alike."""
    adcs: int = 1
    """Converters of one array."""
    place: str = ""
    """Which cell of a recurrent network this is for: arrays of others have the same names."""

    def within(self, cell: str) -> Chance:
        """Return what the arrays of a cell draw from."""
        return replace(self, place=f"{self.place}{cell}/")


class AnalogMatrix:
    """One ``unit.mvm`` with its weights in analog cells, ready for batches of any size."""

    ready = True

    def __init__(self, op: Mvm, weights: Array, chance: Chance) -> None:
        self.op, self._name = op, chance.place + op.result.name
        self._exact = Matrix(op, weights)
        self._arrays = []
        for number, block in enumerate(op.table()):
            draws = Draws(chance.seed, chance.run, f"{self._name} {number}")
            held = op.block_weights(weights, block)
            array = Analog(held, op.encoding, chance.physics, draws, adcs=chance.adcs)
            group_lo, group_hi, row_lo, row_hi = map(int, block[:4])
            rows = slice(group_lo * op.fan_in + row_lo, (group_hi - 1) * op.fan_in + row_hi)
            split = row_lo // op.rows if op.rows else 0
            self._arrays.append((array, rows, split, op.columns_of(block)))

    def places(self, x: Array) -> tuple[int, ...]:
        """Return how often the matrix is applied; see :meth:`Matrix.places`."""
        return self._exact.places(x)

    def sums(self, x: Array, moment: Moment, *, merged: bool) -> Iterator[tuple[slice, Array]]:
        """Yield ``[splits, neurons, places]`` for a few of the :meth:`places` at a time."""
        ids = self._ids(x, moment)
        number = self.op.result.type.dtype.numpy
        most = 2.0 ** (8 * number.itemsize - 1) - 1024  # noise cannot wrap what adds up
        for part, columns in self._exact.unfolded(x):
            shape = (1 if merged else self.op.splits, self.op.outputs, columns.shape[1])
            found = SCRATCH.array("found", shape, np.float64)
            found[:] = 0
            for array, rows, split, neurons in self._arrays:
                array.read(columns[rows], ids[part], found[0 if merged else split, neurons])
            yield part, np.clip(found, -most, most, out=found).astype(number)

    def _ids(self, x: Array, moment: Moment) -> Ids:
        """Return 32 random bits for every place, whatever batch its sample is in."""
        use = moment.reads[self._name]
        moment.reads[self._name] += 1
        number = np.arange(prod(self.places(x)), dtype=np.uint64)
        if self.op.kernel:
            window, sample = np.divmod(number, np.uint64(len(x)))
        else:
            sample, window = np.divmod(number, np.uint64(prod(x.shape[1:-1])))
        seen = mixed(sample + np.uint64(moment.first)) + mixed(window + np.uint64(use << 24))
        return mixed(seen)
