"""Layers of a target: ``--limit`` and ``--set`` over a file, over the file it inherits from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from neutrams.ir.diagnostics import Location, Place
from neutrams.targets.schema import Key

Tree = dict[str, object]

_ONE_OF = {"area_um2": "area_mm2", "area_mm2": "area_um2"}
"""Two spellings of one quantity: a layer that states one takes the other from those below."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one file, or one ``--set``, says."""

    file: str
    """What a diagnostic calls it."""
    tree: Tree
    places: Mapping[Key, Location]
    """Where each key stands."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers, topmost first."""

    layers: tuple[Layer, ...]
    tree: Tree = field(init=False)
    """The layers merged."""

    def __post_init__(self) -> None:
        merged: Tree = {}
        for layer in reversed(self.layers):
            merged = merge(merged, layer.tree)
        object.__setattr__(self, "tree", merged)

    def where(self, key: Key) -> Location:
        """Return where the key, else the table that should hold it, is written."""
        for length in range(len(key), 0, -1):
            for layer in self.layers:
                if (place := layer.places.get(key[:length])) is not None:
                    return place
        files = [layer.file for layer in self.layers if not layer.file.startswith("--")]
        return Place(files[0])


_KINDS = {
    "table": ("by", "at"),
    "survey": ("survey",),
    "widths": ("fixed", "adc_bit", "dac_bit", "dac_step"),
}
"""Keys that tell which kind of number a table stands for."""


def kind_of_number(table: Mapping[str, object]) -> str | None:
    """Return how a table says a number: by values, survey or widths; ``None`` if it does not."""
    return next((kind for kind, keys in _KINDS.items() if any(k in table for k in keys)), None)


def _other_kind(old: Mapping[str, object], new: Mapping[str, object]) -> bool:
    """Tell whether two tables stand for one number in different ways."""
    kinds = {kind_of_number(old), kind_of_number(new)}
    return len(kinds) == 2 and None not in kinds


def merge(below: Tree, above: Tree) -> Tree:
    """Return ``below`` with the keys of ``above`` put over it, table by table."""
    merged = dict(below)
    for key, value in above.items():
        if (other := _ONE_OF.get(key)) is not None and other not in above:
            merged.pop(other, None)
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and not _other_kind(old, value):
            merged[key] = merge(cast(Tree, old), cast(Tree, value))
        else:
            merged[key] = value
    return merged
