"""Energies of one read of NeuroSim V1.4's SRAM array, in picojoules."""

from __future__ import annotations

from math import log, log2

from neutrams.reproduce.circuits import (
    ACTIVITY,
    ARRAY,
    INVERTER,
    NAND,
    PROCESS,
    SENSE,
    cell_ohm,
    column_switch,
    filling,
    gate,
    row_switch,
    row_switch_height,
    sides,
    sum_bits,
)
from neutrams.reproduce.circuits_time import compare_ns, reference_ohm
from neutrams.reproduce.process import Gate

_PJ = 1e-3
"""Picojoules of a femtofarad and a square volt."""
_SUPPLY = PROCESS.supply_v**2 * _PJ
_READ = SENSE["read_v"] ** 2 * _PJ
_N = Gate("inverter", 1, INVERTER.n, 0)
_P = Gate("inverter", 1, 0, INVERTER.p)


def sums_pj(rows: int) -> float:
    """Return the energy of all adders and registers, for a bit of a vector through an array.

    Sums of rows read one after the other are added, then those of the bits of a weight, then the
    result is added to that of the bit of the input before.
    """
    units, times = ARRAY["columns"] // ARRAY["shared"], ARRAY["rows"] // rows
    bits, converted = sum_bits(rows), int(log2(ARRAY["levels"]))
    again = ARRAY["shared"] * (times - 1)
    moved = units * (converted + (bits - converted) / 2)
    over_rows = again * (units * _adder_pj(bits - 1) + _registers_pj(bits * units, moved))
    weights = ARRAY["weight_bits"]
    over_weights = (weights - 1) * _shift_add_pj(bits, units)
    return over_rows + over_weights + _shift_add_pj(bits + weights, units)


def drives_pj(rows: int, ones: float) -> float:
    """Return the energy of row and column switches and the decoder, for a bit of a vector.

    Args:
        rows: Read at once.
        ones: Rows whose input is one.
    """
    high, wide = sides()
    row, column = row_switch(wide), column_switch(rows)
    tall = column.n + column.p + PROCESS.outside + PROCESS.between
    row_pj = 3 * PROCESS.output_ff(row, row_switch_height(high)) * _READ
    row_pj += PROCESS.input_ff(row) * _SUPPLY
    column_pj = 2 * PROCESS.output_ff(column, tall) * _READ
    column_pj += PROCESS.input_ff(Gate("inverter", 1, column.n, 0)) * _SUPPLY
    scanned = _registers_pj(ARRAY["rows"], ARRAY["rows"]) / ACTIVITY["registers"]
    units = ARRAY["columns"] // ARRAY["shared"]
    return ARRAY["shared"] * (ones * row_pj + units * column_pj + scanned + _select_pj())


def conversion_pj(rows: int, ones: float) -> float:
    """Return the energy of a conversion, with its share of the rows that are driven.

    Args:
        rows: Read at once.
        ones: Rows of the whole array whose input is one; all of them set the current of a column.
    """
    _, wide = sides()
    row_ff = PROCESS.wire_ff(wide) + PROCESS.input_ff(Gate("inverter", 1, 1, 0)) * ARRAY["columns"]
    levels = ARRAY["levels"]
    shared = levels  # comparators of a reference column
    driven = row_ff * ones / ARRAY["columns"] * ARRAY["shared"] * rows / ARRAY["rows"] * _SUPPLY
    references = sum(_compare_uw(reference_ohm(i, rows)) for i in range(1, levels - 2)) / shared
    power = _compare_uw(cell_ohm() / ones) + references
    return driven + _switched_pj(row_ff / shared) + power * compare_ns(rows) * _PJ


def _switched_pj(reference_ff: float) -> float:
    """Return the energy of the nodes of all comparators of a converter."""
    n, p, n_drain, p_drain = (
        *(PROCESS.input_ff(each) for each in (_N, _P)),
        *(PROCESS.output_ff(each) for each in (_N, _P)),
    )
    levels = ARRAY["levels"]
    mirrored = 2 * n + (n_drain + n) * (1 / (levels - 1) + 1 / levels)
    latched = 6 * p + 5 * n + 4 * p_drain + 3 * n_drain
    one = (reference_ff + latched) * _SUPPLY + mirrored * _READ
    return one * (levels - 1)


def _compare_uw(ohm: float) -> float:
    """Return the power of the comparators of a converter, by the resistance of a column."""
    ohm *= SENSE["fitted_v"] / SENSE["read_v"]
    if ohm < SENSE["low_ohm"]:
        one = SENSE["low_uw"] + SENSE["low_uw_ohm"] * ohm
    elif ohm < SENSE["far_ohm"]:
        one = SENSE["middle_uw"] + SENSE["middle_uw_log"] * log(ohm)
    else:
        one = SENSE["far_uw"] + SENSE["far_uw_log"] * log(ohm)
    return one * (ARRAY["levels"] - 1)


def _shift_add_pj(bits: int, units: int) -> float:
    held = (bits + ARRAY["input_bits"]) * units
    return units * _adder_pj(bits) + _registers_pj(held, held)


def _adder_pj(bits: int) -> float:
    """Return the energy of an addition, a carry through all bits."""
    wide = filling(NAND)
    into, out = PROCESS.input_ff(wide), PROCESS.output_ff(wide)
    first, next_ = 14 * into + 7 * out, 13 * into + 7 * out
    return ACTIVITY["adders"] * (first + (bits - 1) * next_) * _SUPPLY


def _registers_pj(held: float, moved: float) -> float:
    """Return the energy of a clock in registers, of which some bits move on."""
    into, out = PROCESS.input_ff(INVERTER), PROCESS.output_ff(INVERTER)
    clocked, passed = 6 * into + 4 * out, 2 * into + 6 * out
    return ACTIVITY["registers"] * (held * clocked + moved * passed) * _SUPPLY


def _select_pj() -> float:
    """Return the energy of the decoder of three bits that selects columns."""
    inverter, nand, nor = (filling(each) for each in (INVERTER, NAND, gate("nor2")))
    driver = gate("select_driver")
    into, out = PROCESS.input_ff, PROCESS.output_ff
    loads = (
        3 * into(inverter),
        5 * into(nand),
        6 * into(nor),
        2 * out(nand),
        out(nor),
        2 * into(driver),
        2 * out(driver),
    )
    return ACTIVITY["control"] * sum(loads) * _SUPPLY
