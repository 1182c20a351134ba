"""Compile neural networks to compute-in-memory and neuromorphic chips, and simulate them.

    program = neutrams.compile("model.onnx", target="cim", calibration=x)
    result = neutrams.simulate(program, x, labels=y)

Names resolve on first use, so that importing a part loads no more than that part.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neutrams.driver import (
        Preprocess,
        Record,
        Simulation,
        check,
        compile,
        export,
        simulate,
        simulate_together,
        sweep,
        together,
        verify,
    )
    from neutrams.frontends import load_model
    from neutrams.ir.diagnostics import Diagnostic, NeutramsError
    from neutrams.ir.program import Program
    from neutrams.ir.target import Target
    from neutrams.ir.version import VERSION as __version__
    from neutrams.passes import PassContext, PassManager
    from neutrams.simulator.physics import Physics
    from neutrams.targets import load as load_target

__all__ = [
    "Diagnostic",
    "NeutramsError",
    "PassContext",
    "PassManager",
    "Physics",
    "Preprocess",
    "Program",
    "Record",
    "Simulation",
    "Target",
    "__version__",
    "check",
    "compile",
    "export",
    "load_model",
    "load_target",
    "simulate",
    "simulate_together",
    "sweep",
    "together",
    "verify",
]

_HOMES = {
    "Diagnostic": "neutrams.ir.diagnostics",
    "NeutramsError": "neutrams.ir.diagnostics",
    "PassContext": "neutrams.passes",
    "PassManager": "neutrams.passes",
    "Physics": "neutrams.simulator.physics",
    "Preprocess": "neutrams.driver",
    "Program": "neutrams.ir.program",
    "Record": "neutrams.driver",
    "Simulation": "neutrams.driver",
    "Target": "neutrams.ir.target",
    "__version__": "neutrams.ir.version:VERSION",
    "check": "neutrams.driver",
    "compile": "neutrams.driver",
    "export": "neutrams.driver",
    "load_model": "neutrams.frontends",
    "load_target": "neutrams.targets:load",
    "simulate": "neutrams.driver",
    "simulate_together": "neutrams.driver",
    "sweep": "neutrams.driver",
    "together": "neutrams.driver",
    "verify": "neutrams.driver",
}

_PARTS = ("costs", "driver", "frontends", "passes", "report", "reproduce", "targets")
"""Packages that are there once named, as the manual writes them."""


def __getattr__(name: str) -> object:
    if name in _PARTS:
        return import_module(f"neutrams.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module `neutrams` has no attribute `{name}`")
    module, _, attribute = _HOMES[name].partition(":")
    found: object = getattr(import_module(module), attribute or name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
