"""Results as tables for people and as JSON for machines. Nothing is printed here."""

from neutrams.report.losses import losses_json, losses_text
from neutrams.report.machine import check_json, resources_json, simulation_json
from neutrams.report.people import check_text, fits, footer, resources_text, simulation_text
from neutrams.report.plot import check_plot, plot
from neutrams.report.sweeps import sweep_json, sweep_text
from neutrams.report.targets import target_text
from neutrams.report.verification import verification_json, verification_text

__all__ = [
    "check_json",
    "check_plot",
    "check_text",
    "fits",
    "footer",
    "losses_json",
    "losses_text",
    "plot",
    "resources_json",
    "resources_text",
    "simulation_json",
    "simulation_text",
    "sweep_json",
    "sweep_text",
    "target_text",
    "verification_json",
    "verification_text",
]
