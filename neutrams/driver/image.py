"""What an exported image says by itself: a network to run, and the cells that hold its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neutrams.driver.exporter import FORMAT, describe
from neutrams.driver.samples import read_npz
from neutrams.ir.crossbar import Cells, Encoding, convert, read, safe, unit_safe
from neutrams.ir.diagnostics import NeutramsError, Place, error
from neutrams.ir.graph import Graph
from neutrams.ir.program import Program
from neutrams.ir.text import parse
from neutrams.ir.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """What one crossbar of a unit holds."""

    table: tuple[int, ...]
    """group_lo, group_hi, row_lo, row_hi, col_lo, col_hi; see :mod:`neutrams.ir.blocks`."""
    cells: Cells
    weights: Array
    """``[rows, neurons]``: the integers that the image says the cells hold."""

    def integers(self, e: Encoding) -> Array:
        """Return ``[rows, neurons]``: the integers that the cells do hold."""
        flipped = self.cells.flipped[:, :, None]
        codes = np.where(flipped, e.cell_max - self.cells.codes, self.cells.codes)
        found: Array = np.tensordot(e.worth, codes, axes=2) - e.bias
        return found

    def product(self, drive: Array, e: Encoding) -> Array:
        """Return ``[windows, neurons]``: what the columns give for a drive ``[windows, rows]``."""
        if not (e.bias and not unit_safe(drive.shape[1], e)) and safe(self.cells, e).all():
            return _product(drive, self.integers(e))
        levels = read(self.cells, e)
        total = np.zeros((len(drive), self.weights.shape[1]), np.int64)
        for phase in range(e.phases):
            digits = drive >> phase * e.dac_bits & e.digit_max
            unit = convert(digits.sum(axis=1, keepdims=True), e, e.unit_shift)
            for place in np.ndindex(levels.shape[:2]):
                sums = convert(_product(digits, levels[place]), e, e.shift)
                sums = np.where(self.cells.flipped[place], e.cell_max * unit - sums, sums)
                total += e.worth[place] * sums << phase * e.dac_bits
            total -= e.bias * unit << phase * e.dac_bits
        return total


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """A matrix unit of an image."""

    facts: dict[str, Any]
    blocks: tuple[Block, ...]

    @property
    def crossbars(self) -> list[list[int]]:
        """For each copy the crossbar of every block."""
        found: list[list[int]] = self.facts["crossbars"]
        return found

    @property
    def encoding(self) -> Encoding:
        """Return the encoding that the image states."""
        names = ("input_bits", "weight_bits", "cell_bits", "dac_bits", "adc_bits", "coding")
        chosen = {name: self.facts[name] for name in (*names, "column_flip", "adc_mode")}
        return Encoding(**chosen, rows=self.facts["converter_rows"])

    def sums(self, drive: Array, neurons: int) -> Array:
        """Return ``[splits, windows, neurons]`` for a drive ``[windows, groups, fan_in]``."""
        lows = sorted({block.table[2] for block in self.blocks})
        found = np.zeros((len(lows), len(drive), neurons), np.int64)
        each = neurons // drive.shape[1]
        for block in self.blocks:
            group, end, low, high, first, last = block.table
            rows = drive[:, group:end, low:high].reshape(len(drive), -1)
            columns = slice(group * each + first, (end - 1) * each + last)
            found[lows.index(low), :, columns] = block.product(rows, self.encoding)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """An image in memory."""

    facts: dict[str, Any]
    """The JSON part, as ``docs/image.md`` describes it."""
    arrays: Mapping[str, Array]

    @staticmethod
    def of(program: Program) -> Image:
        """Return the image that an export of a program would write."""
        arrays: dict[str, Array] = {}
        facts = describe(program, arrays)
        return Image(json.loads(json.dumps(facts)), arrays)

    @staticmethod
    def read(base: str | Path) -> Image:
        """Read ``BASE.json`` and ``BASE.npz``.

        Raises:
            NeutramsError: NT0520, the arrays cannot be read; NT0554, the JSON is of no image.
        """
        path = Path(base).with_name(Path(base).name + ".json")
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as fault:
            raise no_image(path, str(fault)) from None
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            raise no_image(path, f"it is not of format {FORMAT}")
        return Image(facts, read_npz(path.with_suffix(".npz")))

    def network(self) -> Graph:
        """Return the unit graph that the image states; crossbars hold its matrices, not text.

        Raises:
            NeutramsError: NT00xx, the text is no graph, or an array is not the one it names.
        """
        return parse("\n".join(self.facts["program"]), file="image", weights=self.arrays).main

    def units(self) -> dict[str, Unit]:
        """Return its units by the value each makes.

        Raises:
            NeutramsError: NT0554, arrays are missing or of another shape.
        """
        try:
            return {facts["value"]: self._unit(facts) for facts in self.facts["units"]}
        except (KeyError, IndexError, TypeError, ValueError) as fault:
            raise no_image(Path("image"), f"its parts do not fit: {fault}") from None

    def _unit(self, facts: dict[str, Any]) -> Unit:
        name = facts["value"]
        return Unit(facts, tuple(self._block(name, i, t) for i, t in enumerate(facts["blocks"])))

    def _block(self, name: str, index: int, table: list[int]) -> Block:
        parts = (self.arrays[f"{name}/{index}/{part}"] for part in ("cells", "flipped", "weights"))
        codes, flipped, weights = parts
        if codes.shape[2:] != weights.shape or flipped.shape != codes[:, :, 0].shape:
            raise ValueError(f"`{name}`, block {index}")
        return Block(tuple(table), Cells(codes.astype(np.int64), flipped), weights)


def _product(a: Array, b: Array) -> Array:
    """Multiply integers whose sums stay below 2^53, by way of the fast product of floats."""
    return np.rint(a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def no_image(path: Path, why: str) -> NeutramsError:
    """Return the fault of files that no export wrote."""
    return NeutramsError(
        error("NT0554", "this is not a whole image of a program")
        .at(Place(str(path)))
        .note(why)
        .help("write it again: neutrams export PROGRAM --to image -o BASE")
    )
