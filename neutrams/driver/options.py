"""What a compile is asked for, and the pipeline that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neutrams.driver.bits.plans import AUTO, BitSource, load_bits
from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.types import Array
from neutrams.passes import STRATEGIES, Pass, default_pipeline
from neutrams.passes.bits import print_bits

DIGITS = {"digits": "inputs", "digits:all": "all", "digits:named": "named"}
"""What may be read in digits, as :attr:`Options.widen` and as `quantize{digits=}` say it."""
MOST_COPIES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a compile is asked for, besides the model, the chip and the data."""

    passes: str | Sequence[Pass | str] = ""
    """The pipeline; empty for :func:`neutrams.passes.default_pipeline`."""
    observer: str = "mse"
    strategy: str = "split-and-merge"
    """How the usual pipeline obeys the fan-in: one of :data:`neutrams.passes.STRATEGIES`."""
    bits: BitSource = ""
    """Weight and input bits of single layers; see :func:`neutrams.driver.bits.plans.load_bits`.
    ``auto`` lets them be chosen within ``budget``."""
    budget: Mapping[str, float] = field(default_factory=dict)
    """Fields of :class:`neutrams.driver.bits.budget.Budget`."""
    widen: int | str = 1
    """What crossbars read in more bits than rows have: the network's inputs in so many copies, a
    part of a step apart, or in ``digits``. ``digits:all`` gives all that they read in digits,
    ``digits:named`` what layers read whose ``bits`` say so."""
    retrain: bool | str = False
    """Retrain units against the float network on the calibration data, by a method if it is named:
    one of those of `retrain-units`, or ``none``."""
    device: str = "auto"
    """Where retraining runs: ``cpu``, ``cuda``, or a GPU where there is one."""
    checkpoints: str = ""
    """A folder in which retraining keeps each step, so that a run that is cut off can go on."""
    replicate: bool = True
    """Hold slow layers in several copies where crossbars are free."""
    rounds: int | None = 1
    """Rounds that a network may take on cores programmed anew; ``None``, or ``auto``, for as many
    as it takes."""
    batch: int = 1
    """Inferences that run through a round before the next one."""
    keep_float: bool = True
    """Keep the float network in the program, to compare with."""
    seed: int = 0
    dims: Mapping[str, int] | None = None
    """Sizes for symbolic dimensions of the model, by name."""
    fixed: Mapping[str, Array] | None = None
    """Inputs of the model that become constants, by name."""
    gate: float = 0.0
    """Share of the answers on calibration data that every pass must keep."""
    road_gate: float = 0.0
    """Share of the original network's answers that all passes together must leave."""
    loss_per_pass: bool = False
    """Judge the network before and after every pass; kept in the program's manifest."""
    verify_each: bool = False
    timing: bool = False
    print_after: bool | frozenset[str] = False
    emit: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        rounds: object = self.rounds
        if rounds == AUTO:
            object.__setattr__(self, "rounds", None)
        elif rounds is not None and (not isinstance(rounds, int) or rounds < 1):
            fault = error("NT0406", f"`{rounds}` is no number of rounds")
            raise NeutramsError(fault.help("give 1 or more, or `auto` for as many as it takes"))


def usual_pipeline(options: Options) -> str:
    """Return the pipeline that options ask for.

    Raises:
        NeutramsError: NT0543, there is no such strategy; NT0549, no such way to widen.
    """
    if options.strategy not in STRATEGIES:
        fault = error("NT0543", f"there is no strategy `{options.strategy}`")
        raise NeutramsError(fault.help("choose one of: " + ", ".join(STRATEGIES)))
    return default_pipeline(
        observer=options.observer,
        strategy=options.strategy,
        retrain=options.retrain,
        device=options.device,
        bits="" if options.bits == AUTO else print_bits(load_bits(options.bits)),
        **_widening(options.widen),
    )


def _widening(widen: int | str) -> dict[str, Any]:
    """Return the arguments of the usual pipeline for :attr:`Options.widen`."""
    text = str(widen)
    if text in DIGITS:
        return {"digits": DIGITS[text]}
    if text.isdecimal() and 1 <= int(text) <= MOST_COPIES:
        return {"widen": int(text)}
    fault = error("NT0549", f"`{text}` says no way to widen what crossbars read")
    choices = ", ".join(DIGITS)
    raise NeutramsError(fault.help(f"give 1 to {MOST_COPIES} copies, or one of: {choices}"))
