"""Blocks into crossbars, crossbars into cores, cores into tiles: one after the other, no gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.traffic import Mesh

from .fit import chip_settings

Border = Literal["crossbar", "core", "tile"]


@dataclass(frozen=True, slots=True)
class Packing:
    """Which crossbars every group holds, and how full that leaves the chip.

    A crossbar's global index is ``(tile * cores_per_tile + core) * crossbars_per_core + k``.
    """

    crossbars_per_core: int
    cores_per_tile: int
    tiles: int
    """Tiles of the chip, used or not."""
    sizes: NDArray[np.int64]
    """``[groups]`` crossbars of each group."""
    first: NDArray[np.int64]
    """``[groups]`` global index of each group's first crossbar; its others follow without a gap."""

    @property
    def crossbars(self) -> NDArray[np.int32]:
        """``[sum(sizes)]`` global index of every crossbar in use, group by group."""
        ends = np.cumsum(self.sizes)
        offset = np.repeat(self.first - (ends - self.sizes), self.sizes)
        crossbars: NDArray[np.int32] = (np.arange(self.used) + offset).astype(np.int32)
        return crossbars

    @property
    def group_tiles(self) -> NDArray[np.int32]:
        """``[sum(sizes)]`` tile of every crossbar in use, group by group."""
        per_tile = self.crossbars_per_core * self.cores_per_tile
        tiles: NDArray[np.int32] = (self.crossbars // per_tile).astype(np.int32)
        return tiles

    def crossbars_of(self, group: int) -> NDArray[np.int32]:
        first = int(self.first[group])
        return np.arange(first, first + int(self.sizes[group]), dtype=np.int32)

    @property
    def used(self) -> int:
        """Crossbars in use."""
        return int(self.sizes.sum())

    @property
    def available(self) -> int:
        """Crossbars of the chip."""
        return self.crossbars_per_core * self.cores_per_tile * self.tiles

    @property
    def used_cores(self) -> int:
        """Cores with a crossbar in use."""
        return len(np.unique(self.crossbars // self.crossbars_per_core))

    @property
    def used_tiles(self) -> int:
        """Tiles with a crossbar in use."""
        return len(np.unique(self.group_tiles))

    @property
    def utilisation(self) -> float:
        """Part of the chip's crossbars in use, between 0 and 1."""
        return self.used / self.available

    @property
    def fill(self) -> float:
        """Part of the crossbars of the used tiles in use, between 0 and 1."""
        per_tile = self.crossbars_per_core * self.cores_per_tile
        return self.used / (self.used_tiles * per_tile) if self.used else 0.0


def pack(
    sizes: NDArray[np.integer],
    *,
    crossbars_per_core: int,
    cores_per_tile: int,
    tiles: int,
    align: Border = "crossbar",
    mesh: Mesh | None = None,
    per_router: int = 1,
) -> Packing:
    """Give every group of ``sizes`` its crossbars, one group after the other.

    Args:
        sizes: ``[groups]`` crossbars each group needs; 0 for a group that needs none.
        crossbars_per_core: Crossbars of one core.
        cores_per_tile: Cores of one tile.
        tiles: Tiles of the chip.
        align: Where a group may start. ``"core"`` leaves crossbars empty so that no core, and
            ``"tile"`` so that no tile, holds two groups.
        mesh: Routers of the chip; they bound the tiles that the help of the error may propose.
        per_router: Tiles of one router.

    Raises:
        NeutramsError: NT0401, when the chip has too few crossbars.
    """
    wanted = np.asarray(sizes, dtype=np.int64)
    assert min(crossbars_per_core, cores_per_tile, tiles) > 0
    assert (wanted >= 0).all()
    per_tile = crossbars_per_core * cores_per_tile
    unit = {"crossbar": 1, "core": crossbars_per_core, "tile": per_tile}[align]
    taken = -(-wanted // unit) * unit
    first = np.cumsum(taken) - taken
    packing = Packing(crossbars_per_core, cores_per_tile, tiles, wanted, first)
    end = int((first + wanted).max(initial=0))
    if end > packing.available:
        fault = _too_small(packing, end, align)
        settings = chip_settings(-(-end // per_tile), mesh, per_router)
        raise NeutramsError(fault.help(f"the smallest chip that fits: {settings}"))
    return packing


def _too_small(packing: Packing, end: int, align: Border) -> Diagnostic:
    """Say what is missing; ``end`` counts the crossbars the groups span, gaps between them too."""
    fault = error(
        "NT0401",
        f"the chip has too few crossbars: {end} needed, {packing.available} available",
    ).note(
        f"{packing.tiles} tiles × {packing.cores_per_tile} cores × "
        f"{packing.crossbars_per_core} crossbars = {packing.available}"
    )
    if end == packing.used:
        return fault
    return fault.note(f"{end - packing.used} of them stay empty: every group starts a new {align}")
