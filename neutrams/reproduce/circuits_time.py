"""How long a conversion of NeuroSim V1.4's SRAM array takes: the clock of its chip."""

from __future__ import annotations

from math import log

from neutrams.reproduce.circuits import (
    ARRAY,
    INVERTER,
    NAND,
    PROCESS,
    ROW,
    SENSE,
    cell_ohm,
    column_switch,
    filling,
    gate,
    row_switch,
    row_switch_height,
    sides,
)
from neutrams.reproduce.process import NS, Gate, delay_ns

_ACCESS = Gate("inverter", 1, 1, 0)
_CHARGER = Gate("inverter", 1, 0, ROW - PROCESS.outside)


def clock_ns(rows: int) -> float:
    """Return the time of a conversion with so many rows read at once.

    A row and the selection of columns settle at the same time; then columns are charged, compared
    and encoded.
    """
    settled = max(_row_ns(), _select_ns(rows))
    return SENSE["margin"] * (settled + _charge_ns() + compare_ns(rows) + _encode_ns())


def compare_ns(rows: int) -> float:
    """Return the time of the slowest of the comparisons that a conversion is."""
    return max(_compare_ns(level, rows) for level in (1, ARRAY["levels"] - 2))


def _column_ff() -> float:
    high, _ = sides()
    return PROCESS.wire_ff(high) + PROCESS.output_ff(_ACCESS) * ARRAY["rows"]


def _row_ns() -> float:
    high, wide = sides()
    switch = row_switch(wide)
    ohm = _pass_ohm(switch)
    own = 2 * PROCESS.output_ff(switch, row_switch_height(high)) + PROCESS.input_ff(switch) / 2
    wire = PROCESS.wire_ff(wide) * (0.69 * ohm + 0.38 * PROCESS.wire_ohm(wide))
    return (0.69 * ohm * own + wire) * NS


def _select_ns(rows: int) -> float:
    """Return the time of the decoder that selects columns, and of the switch of one of them."""
    switch, driver = column_switch(rows), gate("select_driver")
    switches = ARRAY["columns"] / ARRAY["shared"]
    n_side = switches * PROCESS.input_ff(Gate("inverter", 1, switch.n, 0))
    p_side = switches * PROCESS.input_ff(Gate("inverter", 1, 0, switch.p))
    inverter, nand, nor = (filling(each) for each in (INVERTER, NAND, gate("nor2")))
    times = (
        _ohm(inverter.n) * (PROCESS.output_ff(inverter) + 2 * PROCESS.input_ff(nand)),
        2 * _ohm(nand.n) * (PROCESS.output_ff(nand) + 2 * PROCESS.input_ff(nor)),
        2 * _ohm(nor.p, p=True) * (PROCESS.output_ff(nor) + PROCESS.input_ff(nand)),
        _ohm(nand.n) * (PROCESS.output_ff(nand) + PROCESS.input_ff(inverter)),
        _ohm(driver.p, p=True) * (PROCESS.output_ff(driver) + PROCESS.input_ff(driver) + n_side),
        _ohm(driver.n) * (PROCESS.output_ff(driver) + p_side),
    )
    tall = switch.n + switch.p + PROCESS.outside + PROCESS.between
    own = PROCESS.output_ff(switch, tall) + PROCESS.input_ff(switch) / 2
    return delay_ns(time * NS for time in times) + 2.3 * _pass_ohm(switch) * own * NS


def _charge_ns() -> float:
    high, _ = sides()
    charge = _ohm(_CHARGER.p, p=True) * (_column_ff() + 2 * PROCESS.output_ff(_CHARGER))
    return delay_ns([(charge + PROCESS.wire_ohm(high) * _column_ff() / 2) * NS])


def reference_ohm(level: int, rows: int) -> float:
    """Return the resistance of the reference of a level."""
    return cell_ohm() / rows * ARRAY["levels"] / (ARRAY["levels"] - level)


def _compare_ns(level: int, rows: int) -> float:
    levels, ohm = ARRAY["levels"], reference_ohm(level, rows)
    if ohm < SENSE["low_ohm"]:
        time = SENSE["low_ns"] + SENSE["low_ns_log"] * log(ohm)
    else:
        time = SENSE["high_ns"] + SENSE["high_ns_ohm"] * ohm
    if ohm > SENSE["loaded_ohm"]:
        gates = PROCESS.input_ff(Gate("inverter", 1, INVERTER.n, 0)) * (levels - 3)
        larger = (_column_ff() + gates) / SENSE["loaded_ff"] - 1
        time += SENSE["loaded_ns"] * (ohm - SENSE["loaded_ohm"]) * larger
    return time


def _encode_ns() -> float:
    first, last = gate("encoder"), gate("collector")
    loads = PROCESS.output_ff(first) + last.inputs * PROCESS.input_ff(last)
    times = (
        _ohm(INVERTER.n) * (PROCESS.output_ff(INVERTER) + 2 * PROCESS.input_ff(first)),
        2 * _ohm(first.n) * loads,
    )
    return delay_ns(time * NS for time in times)


def _ohm(width: float, *, p: bool = False) -> float:
    """Return the resistance of a transistor that switches."""
    return PROCESS.switching * PROCESS.resistance(width, p=p)


def _pass_ohm(switch: Gate) -> float:
    return 1 / (1 / PROCESS.resistance(switch.n) + 1 / PROCESS.resistance(switch.p, p=True))
