"""CiMLoop's own errors on measured macros, which are means, beside the like means of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from neutrams.reproduce.jia import JIA
from neutrams.reproduce.neurram import NEURRAM
from neutrams.reproduce.recipe import Recipe, Row
from neutrams.reproduce.sinangil import SINANGIL
from neutrams.reproduce.wang import WANG

_MACROS = {"Jia": JIA, "NeuRRAM": NEURRAM, "Wang": WANG, "Sinangil": SINANGIL}
_Chosen = Callable[[Row], bool]


def _named(*words: str) -> _Chosen:
    """Choose quantities that hold all of these words."""
    return lambda row: all(word in row.quantity for word in words)


_FIGURES: tuple[tuple[str, str, dict[str, _Chosen]], ...] = (
    (
        "energy over supplies",
        "7",
        dict.fromkeys(("Jia", "Wang"), _named("by power")) | {"Sinangil": _named(" V")},
    ),
    (
        "throughput over supplies",
        "2",
        {"Jia": _named(" 1 bit: throughput"), "Wang": _named("throughput by area")},
    ),
    ("energy over bits of input", "6", {"NeuRRAM": _named("by power")}),
    (
        "throughput over bits of input",
        "5",
        {"Jia": _named("0.85 V", "throughput"), "NeuRRAM": _named("throughput")},
    ),
    ("energy of parts", "4", dict.fromkeys(("Jia", "NeuRRAM"), _named("energy of"))),
    ("area", "8", {"Jia": _named("by area")}),
)
"""What is meant, CiMLoop's mean error in percent (Fig. 7 to 10), and rows of ours alike."""


def _rows() -> Iterator[Row]:
    found = {name: recipe.rows() for name, recipe in _MACROS.items()}
    for quantity, published, macros in _FIGURES:
        chosen = {name: [*filter(choose, found[name])] for name, choose in macros.items()}
        if len(chosen) > 1:
            yield _mean(quantity, published, [row for rows in chosen.values() for row in rows])
        for name, rows in chosen.items():
            yield _mean(f"{quantity}, {name}", published, rows)


def _mean(quantity: str, published: str, rows: Sequence[Row]) -> Row:
    """Return the mean error of rows, and what it is without those that are given."""
    apart = [row for row in rows if not row.given]
    note = ""
    if len(apart) < len(rows):
        note = f"{_percent(apart):.1f} % over the {len(apart)} that no constant of ours is from"
    quantity = f"{quantity}: {len(rows)} numbers"
    return Row(quantity, published, _percent(rows), "%", note=note, most=True)


def _percent(rows: Sequence[Row]) -> float:
    return 100 * float(np.mean([abs(row.error or 0.0) for row in rows]))


CIMLOOP = Recipe(
    name="cimloop",
    title="Mean errors on macros that CiMLoop models, no larger than CiMLoop's",
    source="Andrulis et al., ISPASS 2024 (arXiv 2405.07259), section V.A, Fig. 7 to 10",
    about=(
        "CiMLoop is validated by average errors over all data of a figure, each over several "
        "macros: 7 and 2 % over supplies, 6 and 5 % over bits of input, 4 % over parts of the "
        "energy, 8 % over those of the area. It calibrates its parts to published values, and "
        "counts those. Here are the means of our errors in `neurram`, `jia-sram`, `wang-sram` and "
        "`sinangil-sram`, over macros and for each, where ours predict what its figures show. "
        "Numbers that constants of ours are from are counted, as "
        "there; the notes say what the means are without them. Splits that a target only repeats "
        "(of areas, and of Wang's energy) are not."
    ),
    rows=lambda: tuple(_rows()),
)
