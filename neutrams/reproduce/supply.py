"""A target at another supply voltage."""

from __future__ import annotations

from pathlib import Path

from neutrams import targets
from neutrams.ir.target import Target


def at_supply(file: Path, times: float, *, read_ns: float) -> Target:
    """Return a chip whose supply is so many times as high, and whose read takes so long.

    All of its energies go with the square of the supply, and so does what resistors take while
    they are on.
    """
    chip = targets.load(str(file))
    faster = chip.machine.core.read_ns / read_ns
    changes = {"core.read_ns": read_ns}
    for part in chip.costs:
        if part.static_mw:
            moving = (part.power_mw - part.static_mw) * faster
            changes[f"costs.{part.name}.static_mw"] = part.static_mw * times**2
            changes[f"costs.{part.name}.power_mw"] = (part.static_mw + moving) * times**2
        for event, energy in part.energy_pj:
            changes[f"costs.{part.name}.energy_pj.{event}"] = energy * times**2
    return targets.load(str(file), {key: repr(value) for key, value in changes.items()})
