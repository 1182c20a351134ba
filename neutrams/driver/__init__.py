"""The whole road: compile, check, simulate, export."""

from neutrams.driver.checker import Check, Verdict, check
from neutrams.driver.checkpoints.interrupts import Interrupted
from neutrams.driver.clocked.clocks import Cycles
from neutrams.driver.clocked.recording import Record, signal_names
from neutrams.driver.compiler import Compiled, compile, compile_model
from neutrams.driver.effects import check_effects, check_printed, without_effect
from neutrams.driver.exporter import KINDS as EXPORTS
from neutrams.driver.exporter import export
from neutrams.driver.monte_carlo import CONFIDENCE, Spread
from neutrams.driver.npz import write_npz
from neutrams.driver.options import Options
from neutrams.driver.outputs import check_writable, is_writable
from neutrams.driver.parity.links import Link
from neutrams.driver.parity.verification import Verification, verify
from neutrams.driver.physics import described, load_physics
from neutrams.driver.placing.sharing import together
from neutrams.driver.preprocess import Preprocess
from neutrams.driver.progress import Progress
from neutrams.driver.quality import Quality
from neutrams.driver.resources import LayerUse, Resources, resources
from neutrams.driver.samples import Samples, load_samples
from neutrams.driver.shares import Share
from neutrams.driver.simulation import (
    GRAINS,
    LayerCost,
    Simulation,
    simulate,
    simulate_together,
)
from neutrams.driver.sources import load_graph, load_module, load_target, save_module
from neutrams.driver.sweeping.cache import Cache
from neutrams.driver.sweeping.grid import parse_axes
from neutrams.driver.sweeping.sweeper import Sweep, sweep
from neutrams.driver.trial import dry_run
from neutrams.simulator.recording import DETAILS

__all__ = [
    "CONFIDENCE",
    "DETAILS",
    "EXPORTS",
    "GRAINS",
    "Cache",
    "Check",
    "Compiled",
    "Cycles",
    "Interrupted",
    "LayerCost",
    "LayerUse",
    "Link",
    "Options",
    "Preprocess",
    "Progress",
    "Quality",
    "Record",
    "Resources",
    "Samples",
    "Share",
    "Simulation",
    "Spread",
    "Sweep",
    "Verdict",
    "Verification",
    "check",
    "check_effects",
    "check_printed",
    "check_writable",
    "compile",
    "compile_model",
    "described",
    "dry_run",
    "export",
    "is_writable",
    "load_graph",
    "load_module",
    "load_physics",
    "load_samples",
    "load_target",
    "parse_axes",
    "resources",
    "save_module",
    "signal_names",
    "simulate",
    "simulate_together",
    "sweep",
    "together",
    "verify",
    "without_effect",
    "write_npz",
]
