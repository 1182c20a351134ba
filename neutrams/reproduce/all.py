"""The recipes there are, and the page of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.files import atomic_write
from neutrams.reproduce.adc import ADC
from neutrams.reproduce.cimloop import CIMLOOP
from neutrams.reproduce.elements import ELEMENTS
from neutrams.reproduce.isaac import ACTIONS, ISAAC
from neutrams.reproduce.jia import JIA
from neutrams.reproduce.lenet import LENET
from neutrams.reproduce.neurosim import NEUROSIM
from neutrams.reproduce.neurosim_sram import NEUROSIM_SRAM
from neutrams.reproduce.neurram import NEURRAM
from neutrams.reproduce.physics import CELLS, IR_DROP
from neutrams.reproduce.pruning import PRUNING
from neutrams.reproduce.puma import PUMA
from neutrams.reproduce.recipe import Recipe, Result
from neutrams.reproduce.sinangil import SINANGIL
from neutrams.reproduce.spikesim import SPIKESIM
from neutrams.reproduce.sram_circuits import CIRCUITS
from neutrams.reproduce.wang import WANG
from neutrams.reproduce.words import page

RECIPES: tuple[Recipe, ...] = (
    ISAAC,
    ACTIONS,
    PUMA,
    ELEMENTS,
    NEUROSIM,
    NEUROSIM_SRAM,
    CIRCUITS,
    SPIKESIM,
    NEURRAM,
    JIA,
    WANG,
    SINANGIL,
    CIMLOOP,
    ADC,
    IR_DROP,
    CELLS,
    PRUNING,
    LENET,
)

_ABOUT = """# Validation

Published numbers beside what neutrams gives for them, misses included. `neutrams reproduce NAME`
runs one recipe, `neutrams reproduce --all` runs all and writes this page.

`error` is ours over the published number, less one; `bound` is the error to be held, the same in
the tests, or all digits as published. A recipe runs our own targets and code; what it takes as
given from the publication stands with it.
"""


def recipes_named(names: Sequence[str]) -> tuple[Recipe, ...]:
    """Return recipes by name.

    Raises:
        NeutramsError: NT0580, there is no such recipe.
    """
    known = {recipe.name: recipe for recipe in RECIPES}
    missing = [name for name in names if name not in known]
    if missing:
        faults = [error("NT0580", f"there is no recipe `{name}`") for name in missing]
        listed = ", ".join(known)
        raise NeutramsError(*(fault.note(f"recipes: {listed}") for fault in faults))
    return tuple(known[name] for name in names)


def write_page(results: Sequence[Result], path: Path) -> None:
    """Write the page of these results, whole or not at all."""
    with atomic_write(path) as file:
        file.write(page(results, _ABOUT).encode())
