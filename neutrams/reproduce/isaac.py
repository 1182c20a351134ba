"""ISAAC-CE: its totals, from the parts of ``isaac.toml``, and its pipeline, from a compiled net."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neutrams import targets
from neutrams.costs import peak, roll_up
from neutrams.ir.crossbar import Encoding, program
from neutrams.reproduce.layer import conversions_per_mac, one_layer
from neutrams.reproduce.recipe import Recipe, Row


def _rows() -> Iterator[Row]:
    chip = targets.load("isaac")
    whole, best = roll_up(chip), peak(chip)
    parts = {part.component: part.tile for part in whole.parts}
    yield Row("power of an IMA", "24.1", 1e3 * whole.core.power_w, "mW", 0.01)
    yield Row("area of an IMA", "0.0131", whole.core.area_mm2, "mm²", 0.01)
    yield Row("power of a tile", "330", 1e3 * whole.tile.power_w, "mW", 0.01)
    yield Row("area of a tile", "0.372", whole.tile.area_mm2, "mm²", 0.01)
    share = parts["adc"].power_w / whole.tile.power_w
    yield Row("converters of the tile's power", "58.2", 100 * share, "%", 0.01)
    share = parts["adc"].area_mm2 / whole.tile.area_mm2
    yield Row("converters of the tile's area", "31", 100 * share, "%", 0.01)
    yield Row("power of 168 tiles", "55.4", 168 * whole.tile.power_w, "W", 0.01)
    yield Row("power of the chip", "65.8", whole.chip.power_w, "W", 0.01)
    yield Row("area of the chip", "85.4", whole.chip.area_mm2, "mm²", 0.01)
    yield Row("throughput by area", "478.95", best.gops_per_mm2, "GOPS/mm²", 0.015)
    yield Row("throughput by power", "627.5", best.gops_per_w, "GOPS/W", 0.015)
    yield Row("storage by area", "0.74", best.storage_mib_per_mm2, "MB/mm²", 0.01)
    yield Row("converter that holds a column", "9", _bits(flip=False), "bits")
    yield Row("the same, dense columns flipped", "8", _bits(flip=True), "bits")
    made = one_layer(chip, inputs=128, neurons=16)
    yield Row("buffer to buffer, 16 bits", "22", made.latency_cycles, "cycles")
    law = conversions_per_mac(made)
    yield Row("conversions a multiply-add", "1.0", law, note=f"{law:.4f} with the unit column")


_LOAD = (
    "the library divides a part's power by what it could move, 256 bits a nanosecond for the "
    "buffer, 128 for the bus, 512 for the router (which give its numbers within 2 %); ours by what "
    "a chip at full load moves, 1 KB in a read of 100 ns and 256 bits a nanosecond for a router, "
    "so that energies add up to the published power"
)


def _actions() -> Iterator[Row]:
    energy = {
        (part.name, event): value
        for part in targets.load("isaac").costs
        for event, value in part.energy_pj
    }
    for quantity, published, part, event, events in (
        ("a conversion", "1.667", "adc", "adc_conversions", 1.0),
        ("a drive of a row", "0.417", "dac", "dac_drives", 1.0),
        ("a shift and addition", "0.021", "shift-add", "shift_adds", 1.0),
        ("256 bits from the buffer", "20.45", "buffer", "buffer_read_bytes", 32.0),
        ("256 bits on the bus", "13.8", "bus", "bus_bytes", 32.0),
        ("256 bits through a router", "20.74", "router", "router_flits", 8.0),
    ):
        ours = events * energy[part, event]
        yield Row(f"energy of {quantity}", published, ours, "pJ", 0.1, _LOAD)


def _bits(*, flip: bool) -> int:
    """Return the bits of the largest sum that a column of ISAAC's can have."""
    core = targets.load("isaac").machine.core
    encoding = Encoding(
        input_bits=16,
        weight_bits=16,
        cell_bits=core.cell_bits,
        dac_bits=core.dac_bits,
        adc_bits=core.adc_bits,
        coding=core.coding,
        column_flip=flip,
        adc_mode=core.adc_mode,
        rows=core.rows,
    )
    # columns from empty to full: one more row each holds the largest weight
    weights = np.where(np.tri(core.rows, core.rows + 1, dtype=bool), 2**15 - 1, -(2**15))
    sums = program(weights, encoding).codes.sum(axis=2) * encoding.digit_max
    return int(sums.max()).bit_length()


ISAAC = Recipe(
    name="isaac",
    title="ISAAC-CE: tile, chip, peak figures and pipeline",
    source="Shafiee et al., ISCA 2016, Table I and section 8, version of October 2016",
    about=(
        "Totals are the sum of the parts in `isaac.toml` (`costs.roll_up`), which holds Table I "
        "divided by instances, and `costs.peak`. Cycles and conversions are those of a full "
        "128×16 layer of 16 bits, compiled and counted."
    ),
    rows=lambda: tuple(_rows()),
)

ACTIONS = Recipe(
    name="isaac-actions",
    title="ISAAC: energies of single actions, beside another derivation",
    source="AccelForge's component library, derived from the same Table I",
    about=(
        "The energies of events in `isaac.toml`, times the events of an action. Where the two "
        "derivations differ, `cim` has those of `isaac` but for the router, where it has the "
        "library's."
    ),
    rows=lambda: tuple(_actions()),
)
