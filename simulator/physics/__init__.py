"""What cells, wires and converters make of exact arithmetic: noise, drift, faults, IR drop."""

from __future__ import annotations

from neutrams.simulator.physics.devices import DEVICES
from neutrams.simulator.physics.physics import PRESETS, Physics
from neutrams.simulator.physics.support import check_physics

__all__ = ["DEVICES", "PRESETS", "Physics", "check_physics"]
