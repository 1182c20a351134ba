"""Chips as TOML: read, checked, and written back (format: ``docs/targets.md``)."""

from neutrams.targets.files import names
from neutrams.targets.limits import LIMITS, parse_limits, tightened
from neutrams.targets.load import load, loads
from neutrams.targets.overrides import parse_overrides
from neutrams.targets.survey import survey_converter
from neutrams.targets.text import dump

__all__ = [
    "LIMITS",
    "dump",
    "load",
    "loads",
    "names",
    "parse_limits",
    "parse_overrides",
    "survey_converter",
    "tightened",
]
