"""Tiles of two sizes for a whole network, with copies of small matrices inside of them.

This is the floor plan of NeuroSim (Peng et al., IEDM 2019; manual of V1.3): matrices of the usual
kernel size lie on tiles that hold one tap of the kernel in each processing element, all others on
plain tiles. Either size is the power of two that leaves fewest cells empty. Since V1.4 whole tiles
are repeated too, for layers that are read more often than the last convolution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SMALLEST = (4, 8)
"""Crossbars along the side of the smallest processing element, and of the smallest plain tile."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """The weights of a layer, in cells."""

    rows: int
    """Inputs of one tap of the kernel."""
    columns: int
    taps: int = 1


@dataclass(frozen=True, slots=True)
class FloorPlan:
    tile_side: int
    """Cells along the side of a plain tile; 0 where there is none."""
    element_side: int
    """Cells along the side of a processing element of the other tiles; 0 where there are none."""
    taps: int
    """Processing elements of one of those."""
    tiles: tuple[int, ...]
    """Of each matrix."""
    copies: tuple[int, ...]
    """Times each part of the matrix is held, in one tile and in repeated ones."""
    cells: tuple[int, ...]
    """Cells of all tiles of each matrix."""
    utilisation: tuple[float, ...]
    """Share of these that hold weights of the matrix, copies counted."""

    @property
    def mean_utilisation(self) -> float:
        """Of all tiles, each counted alike."""
        return float(np.average(self.utilisation, weights=self.tiles))

    @property
    def cell_utilisation(self) -> float:
        """Of all cells."""
        return float(np.average(self.utilisation, weights=self.cells))


def floor_plan(
    matrices: Sequence[Matrix],
    *,
    array: int,
    spread_taps: bool = True,
    smallest: tuple[int, int] = SMALLEST,
    windows: Sequence[int] = (),
) -> FloorPlan:
    """Return the tiles of a network on crossbars of ``array`` × ``array`` cells.

    Args:
        matrices: One a layer.
        array: Cells along the side of a crossbar.
        spread_taps: Lay the taps of the most frequent kernel on processing elements of their own,
            where a matrix fills the rows of a crossbar; otherwise taps are rows of plain tiles.
        smallest: Crossbars along the side of the smallest element, and of the smallest plain tile.
        windows: Times each matrix is read for one image. Where given, tiles are repeated until no
            copy is read more often than that of the convolution with fewest windows.
    """
    taps = Counter(matrix.taps for matrix in matrices).most_common(1)[0][0] if spread_taps else 0
    spread = [m.taps == taps and m.rows * m.taps >= array for m in matrices]
    shapes = [
        (m.rows if there else m.rows * m.taps, m.columns)
        for m, there in zip(matrices, spread, strict=True)
    ]
    sides = [
        _best_side([s for s, there in zip(shapes, spread, strict=True) if there is kind], least)
        for kind, least in ((True, smallest[0] * array), (False, smallest[1] * array))
    ]
    own = [sides[0] if there else sides[1] for there in spread]
    laid = [_lay(shape, side, array) for shape, side in zip(shapes, own, strict=True)]
    if windows:
        laid = _repeated(laid, windows)
    tiles, copies = tuple(t for t, _ in laid), tuple(c for _, c in laid)
    used = tuple(
        rows * columns * held / (count * side * side)  # repeated tiles are in both
        for (rows, columns), side, count, held in zip(shapes, own, tiles, copies, strict=True)
    )
    cells = tuple(
        count * side * side * (taps if there else 1)
        for count, side, there in zip(tiles, own, spread, strict=True)
    )
    return FloorPlan(sides[1], sides[0], taps, tiles, copies, cells, used)


def _best_side(shapes: Sequence[tuple[int, int]], least: int) -> int:
    """Return the power of two, up to the widest matrix, that leaves fewest cells empty."""
    if not shapes:
        return 0
    side = max(least, *(1 << (columns - 1).bit_length() for _, columns in shapes))
    sizes = []
    while side >= least:
        sizes.append(side)
        side //= 2
    return max(sizes, key=lambda s: 1 / (s * s * sum(_tiles(shape, s) for shape in shapes)))


def _tiles(shape: tuple[int, int], side: int) -> int:
    return -(-shape[0] // side) * -(-shape[1] // side)


def _lay(shape: tuple[int, int], side: int, array: int) -> tuple[int, int]:
    """Return tiles of a matrix, and copies in each: as often as its crossbars fit either way."""
    across = side // array
    copies = 1
    for length in shape:
        copies *= max(across // -(-length // array), 1)
    return _tiles(shape, side), copies


def _repeated(laid: Sequence[tuple[int, int]], windows: Sequence[int]) -> list[tuple[int, int]]:
    """Return tiles and copies, whole tiles repeated for matrices that are read most often."""
    least = min((count for count in windows if count > 1), default=1)
    times = [-(-n // (held * least)) for (_, held), n in zip(laid, windows, strict=True)]
    return [(tiles * n, held * n) for (tiles, held), n in zip(laid, times, strict=True)]
