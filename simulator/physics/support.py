"""Which non-idealities a program can be run with; the others are refused, never left out."""

from __future__ import annotations

from dataclasses import fields, replace

from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.op import Op, Weight
from neutrams.ir.ops.chip import Round
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.simulator.physics.devices import DEVICES
from neutrams.simulator.physics.physics import ROUNDING, Physics

MOST = {
    "stuck_on": 1.0,
    "stuck_off": 1.0,
    "on_off": float("inf"),
    "time_s": 1e12,
    "rounding": ROUNDING,
    "row_ohm": 1e9,
    "column_ohm": 1e9,
}
"""The most that a value may be; of others, which are beyond sense long before, a million."""


def check_physics(physics: Physics, program: Program | None = None) -> None:
    """Refuse values that mean nothing, and what a program cannot be run with.

    Raises:
        NeutramsError: NT0571 a value is out of range; NT0572 it has no effect, or its effect is
            not modelled, on the device or on this program. Every fault at once.
    """
    faults = _values(physics) or _device(physics)
    if program is not None and not faults:
        faults = _program(physics, program)
    if faults:
        raise NeutramsError(*faults)


def _values(p: Physics) -> list[Diagnostic]:
    if p.device not in DEVICES:
        known = ", ".join(f"`{name}`" for name in DEVICES)
        return [error("NT0571", f"there is no device `{p.device}`").help(f"known: {known}")]
    if p.wires not in ("fast", "exact"):
        return [error("NT0571", f"`wires` is `fast` or `exact`, not `{p.wires}`")]
    faults = []
    for each in fields(p):
        value = getattr(p, each.name)
        if not isinstance(value, float | int) or isinstance(value, bool):
            continue
        most = MOST.get(each.name, 1e6)
        if not 0.0 <= value <= most:
            allowed = f"0 to {most:g}"
            faults.append(error("NT0571", f"`{each.name}` is {value:g}; it must be {allowed}"))
    if p.on_off and not p.on_off > 1.0:
        faults.append(error("NT0571", f"`on_off` is {p.on_off:g}; it must be above 1, or 0"))
    if p.stuck_on + p.stuck_off > 1.0:
        faults.append(error("NT0571", "`stuck_on` and `stuck_off` are more than 1 together"))
    return faults


def _device(p: Physics) -> list[Diagnostic]:
    """Say what has no meaning for the device that was chosen."""
    device, faults = DEVICES[p.device], []
    drifts = device.drifts or p.drift_nu or p.drift_nu_sigma
    if p.time_s and len(device.sigmas) == 1 and not drifts:
        fault = error("NT0572", f"`time_s` is {p.time_s:g}, and `{device.name}` was measured once")
        faults.append(fault.help("state drift_nu, or choose a device that was measured over time"))
    elif p.time_s > device.known_until_s and not drifts:
        known = f"measurements of `{device.name}` end at {device.known_until_s:g} s"
        fault = error("NT0572", f"`time_s` is {p.time_s:g}, and {known}")
        faults.append(fault.help("state drift_nu to go on from there, or take an earlier time"))
    elif p.time_s and not drifts and not device.sigmas:
        fault = error("NT0572", f"`time_s` is {p.time_s:g}, and nothing changes with time")
        faults.append(fault.help("choose a device that drifts, or state drift_nu"))
    if p.flicker and not device.flickers:
        faults.append(error("NT0572", f"no 1/f noise is known of device `{device.name}`"))
    if p.compensate and not drifts:
        faults.append(error("NT0572", "`compensate` is given, and nothing drifts"))
    if not (p.row_ohm or p.column_ohm):
        alone = ["g_max_us"] * bool(p.g_max_us) + ["wires"] * (p.wires == "exact")
        for name in alone:
            fault = error("NT0572", f"`{name}` is given, and wires have no resistance")
            faults.append(fault.help("state row_ohm or column_ohm"))
    return faults


def _program(p: Physics, program: Program) -> list[Diagnostic]:
    faults = []
    chip = program.module.graphs.get("chip")
    if chip is not None and any(isinstance(op, Round) for op in chip.ops):
        fault = error("NT0572", "a program in rounds cannot be run with physics: cells are written")
        faults.append(fault.note("again for every batch, which is not modelled"))
    main = program.module["main"]
    units = [op for op, _ in working_ops(main) if isinstance(op, Mvm)]
    if not units:
        faults.append(error("NT0572", "nothing runs on crossbars, so physics change nothing"))
    for op in units:
        faults += _unit(p, op)
    return faults


def _unit(p: Physics, op: Mvm) -> list[Diagnostic]:
    found = []
    if not isinstance(op.w, Weight):
        found.append((op, "its matrix is not programmed but computed", ""))
    errors = ("adc_offset", "adc_gain", "adc_inl", "adc_noise")
    given = [name for name in errors if getattr(p, name)]
    if given and not op.adc_bits:
        found.append((op, f"its converters are ideal, and `{given[0]}` is given", ""))
    if p.dac_inl and op.dac_bits == 1:
        help = "a DAC of 1 bit has no level between its ends: set core.dac_bits to 2 or more"
        found.append((op, "its DACs have 1 bit, and `dac_inl` is given", help))
    rest = replace(
        p, on_off=0.0, dac_inl=0.0, adc_offset=0.0, adc_gain=0.0, adc_inl=0.0, adc_noise=0.0
    )
    if op.encoding.subtracts and p.on_off and rest.ideal:
        why = "`on_off` is given alone, and what the lowest level conducts cancels in its pairs"
        found.append((op, why, "state what else is not ideal about cells or wires"))
    return [_located(op, why, help) for op, why, help in found]


def _located(op: Op, why: str, help: str) -> Diagnostic:
    fault = error("NT0572", f"`{op.name}` cannot be run with these physics: {why}").at(op.where)
    return fault.help(help) if help else fault
