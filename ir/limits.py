"""How an op that breaks a limit of a chip says so."""

from __future__ import annotations

import numpy as np

from neutrams.ir.diagnostics import Diagnostic, error
from neutrams.ir.functions import has, needed
from neutrams.ir.op import Op
from neutrams.ir.target import Target
from neutrams.ir.types import Array

SPLIT = 'split and round it first: --passes "…,quantize,lower-units,split-fan-in"'
MERGE = 'merge them on crossbars: --passes "…,lower-units,merge-through-cores,split-fan-in"'
ROUND = "quantise the float network for this chip: its scales follow from the range"
SPELL = "compile the float network for this chip, which spells functions in those it has"


def broken(op: Op, target: Target, limit: str, message: str, remedy: str) -> Diagnostic:
    """Return the diagnostic NT0145 of an op that breaks a limit, as ``message`` says."""
    fault = error("NT0145", f"`{op.name}` {message}").at(op.where)
    made = f", of the unit that makes `%{op.results[0].name}`" if op.results else ""
    return fault.note(f"the limit is `{limit}`{made}").help(remedy)


def more(
    op: Op, target: Target, limit: str, given: int, allowed: int, what: str, remedy: str = SPLIT
) -> list[Diagnostic]:
    """Return the fault of an op that has more of something than the target allows, if it has."""
    if given <= allowed:
        return []
    message = f"has {given} {what}; `{target.name}` allows {allowed}"
    return [broken(op, target, limit, message, remedy)]


def outside(
    op: Op,
    target: Target,
    limit: str,
    given: tuple[int, int],
    allowed: tuple[int, int],
    what: str,
    remedy: str,
) -> list[Diagnostic]:
    """Return the fault of an op with integers outside a range of the target, if there are any."""
    if allowed[0] <= given[0] and given[1] <= allowed[1]:
        return []
    message = f"has {what} from {given[0]} to {given[1]}"
    message += f"; `{target.name}` allows {allowed[0]} to {allowed[1]}"
    return [broken(op, target, limit, message, remedy)]


def no_powers(op: Op, target: Target, factors: Array) -> list[Diagnostic]:
    """Return the fault of an op that multiplies by what a target that shifts cannot, if it does."""
    mantissas, _ = np.frexp(np.abs(np.asarray(factors, np.float64)))
    odd = np.asarray(factors)[(mantissas != 0.5) & (mantissas != 0)]
    if target.limits.rescale != "power-of-two" or not odd.size:
        return []
    message = f"multiplies by {odd.flat[0]:g}; `{target.name}` has powers of two only"
    return [broken(op, target, "rescale", message, ROUND)]


def missing_functions(op: Op, target: Target, names: tuple[str, ...] = ()) -> list[Diagnostic]:
    """Return the fault of an op that needs functions a chip lacks: its own, and ``names``."""
    lacking = [name for name in (*needed(op), *names) if not has(target, name)]
    if not lacking:
        return []
    wanted = " and ".join(f"`{name}`" for name in lacking)
    fault = error("NT0149", f"`{op.name}` needs {wanted}, which `{target.name}` does not have")
    held = ", ".join(f"`{name}`" for name in target.limits.functions) or "none"
    made = f"the limit is `functions`, of what makes `%{op.results[0].name}`; it has {held}"
    return [fault.at(op.where).note(made).help(SPELL)]
