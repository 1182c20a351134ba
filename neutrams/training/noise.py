"""What cells and converters do at random, added to the sums of products.

The three sources of error that cells of RRAM and PCM show in every published fit: what programming
leaves (Joshi et al., Nature Communications 2020; Wan et al., Nature 2022: 2 to 6 % of the largest
conductance for RRAM), what every read adds (about 1 %), and converters that are off by a part of a
step. Errors of different cells are independent and normal. Training under them is noise-aware
training (Joshi et al., section "hardware-aware training").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.training import crossbar


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviations, and the draw: the same seed is the same chip."""

    program: float = 0.0
    """Of each cell as it is programmed, as a share of the cell's range."""
    read: float = 0.0
    """Of each cell in each read, likewise."""
    offset: float = 0.0
    """Of the converter of each column, in its steps; the same in every read."""
    seed: int = 0

    def __bool__(self) -> bool:
        return bool(self.program or self.read or self.offset)

    def of(self, op: Mvm, x: Tensor, w: Tensor, product: Callable[[Tensor], Tensor]) -> Tensor:
        """Return what is added to the sum over all rows; ``product`` multiplies ``x`` by weights.

        A chip is drawn anew for each seed; batches of one seed meet the same chip.
        """
        spread = _spread(op)
        cells = op.encoding.cell_max * spread
        added = product(self._normal(op, "program", w) * (self.program * cells))
        shape = (1, -1, *(1,) * (added.ndim - 3)) if op.kernel else (-1,)
        if self.offset:
            steps = sqrt(op.splits) * 2**op.encoding.shift * _phases(op)
            size = self.offset * _spread(op, op.encoding.reads) * steps
            added = added + self._normal(op, "offset", w[:, 0]).reshape(shape) * size
        if self.read:
            deviation = crossbar.scatter(op, _driven(op, x).sqrt(), tuple(x.shape)).to(added)
            added = added + self._normal(op, "read", deviation) * deviation * (self.read * cells)
        return added

    def _normal(self, op: Mvm, kind: str, like: Tensor) -> Tensor:
        place = crc32(f"{kind} {op.result.name}".encode())
        random = np.random.default_rng((self.seed, place))
        drawn = random.standard_normal(tuple(like.shape), dtype=np.float32)
        return torch.from_numpy(drawn).to(like)


def _spread(op: Mvm, polarities: int = 2) -> float:
    """Return how far errors of one step in every slice of a weight spread its sum."""
    return float(np.sqrt(np.square(op.encoding.worth[:polarities].astype(np.float64)).sum()))


def _phases(op: Mvm) -> int:
    e = op.encoding
    return int(sum(2 ** (e.dac_bits * phase) for phase in range(e.phases)))


def _driven(op: Mvm, x: Tensor) -> Tensor:
    """Return ``[1, windows, neurons]``: the squared drive of all rows, phases by their weight."""
    e = op.encoding
    drive = crossbar.windows(op, x.detach())
    total = torch.zeros(drive.shape[:2], device=x.device, dtype=drive.dtype)
    for phase in range(e.phases):
        digits = torch.floor(drive / 2 ** (phase * e.dac_bits)) % (e.digit_max + 1)
        total = total + 4.0 ** (phase * e.dac_bits) * digits.square().sum(dim=2)
    return total.repeat_interleave(op.outputs // op.groups, dim=1)[None]


QUIET = Noise()
