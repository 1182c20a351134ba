"""Options that would change nothing where they are given: refused before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

from neutrams.driver.bits.plans import AUTO
from neutrams.driver.options import Options, usual_pipeline
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.passes import Pass, PassManager

_IN_PASSES = {
    "strategy": "`prune-to-blocks`, `merge-through-cores{partial-sums=1}`",
    "observer": "`calibrate{observer=...}`",
    "bits": "`quantize{bits=...}`",
    "widen": "`widen-inputs{copies=...}`, `quantize{digits=...}`",
    "retrain": "`retrain-units`",
    "device": "`retrain-units{device=...}`",
}
"""What the usual pipeline is made of, and where another one says the same."""


def without_effect(option: str, why: str, what: str) -> Diagnostic:
    """Say that an option changes nothing, why, and what to do."""
    return error("NT0590", f"`{option}` changes nothing: {why}").help(what)


def check_effects(options: Options) -> None:
    """Refuse options of a compile that others leave without effect, all at once.

    Raises:
        NeutramsError: NT0590; NT0560, a budget where bits are given.
    """
    if faults := list(_idle(options)):
        raise NeutramsError(*faults)


def _idle(options: Options) -> Iterator[Diagnostic]:
    usual = {field.name: field.default for field in fields(Options)}
    given = [n for n in _IN_PASSES if str(getattr(options, n)) != str(usual[n])]
    chosen = options.bits == AUTO
    passes = {made.name for made in PassManager(options.passes or usual_pipeline(options)).passes}
    if options.budget and not chosen:
        fault = error("NT0560", "a budget serves nothing where bits are given")
        yield fault.help("let them be chosen: --bits auto")
    for name in given if options.passes else []:
        if name != "bits" or not chosen:
            why = "`--passes` says all that is done"
            yield without_effect(f"--{name}", why, f"say it there: {_IN_PASSES[name]}")
    if "device" in given and not options.passes and options.retrain is False:
        yield without_effect("--device", "nothing is retrained", "add --retrain")
    if options.checkpoints and "retrain-units" not in passes:
        yield without_effect("--checkpoints", "nothing is retrained", "add --retrain")
    if options.rounds == 1 and options.batch != usual["batch"]:
        yield without_effect("--batch", "the network runs in no rounds", "add --rounds auto")
    yield from _unprinted(options.print_after, passes)


def check_printed(chosen: bool | frozenset[str], passes: Sequence[Pass]) -> None:
    """Refuse to print the graph after passes that a pipeline has not.

    Raises:
        NeutramsError: NT0590; all of them at once.
    """
    if faults := list(_unprinted(chosen, {made.name for made in passes})):
        raise NeutramsError(*faults)


def _unprinted(chosen: bool | frozenset[str], passes: set[str]) -> Iterator[Diagnostic]:
    for name in sorted(chosen - passes) if isinstance(chosen, frozenset) else []:
        why, what = f"no pass of the pipeline is called `{name}`", "see: neutrams passes"
        yield without_effect("--print-after", why, what)
