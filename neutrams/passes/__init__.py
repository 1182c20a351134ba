"""Passes over graphs: canonicalise, quantise, lower to units, obey a target's limits."""

from neutrams.passes.base import Pass, PassContext, PassLoss, Remark
from neutrams.passes.describe import describe
from neutrams.passes.manager import PassManager
from neutrams.passes.pipeline import parse_pipeline, print_pipeline
from neutrams.passes.table import PASSES, STRATEGIES, default_pipeline

__all__ = [
    "PASSES",
    "STRATEGIES",
    "Pass",
    "PassContext",
    "PassLoss",
    "PassManager",
    "Remark",
    "default_pipeline",
    "describe",
    "parse_pipeline",
    "print_pipeline",
]
