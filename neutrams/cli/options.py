"""Options that several commands share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

C = TypeVar("C", bound=str)

PHYSICS, STOPPING = "Chips that are not ideal", "Stop and go on"
"""Headings of the help."""

if TYPE_CHECKING:
    from numpy.typing import NDArray

Model = Annotated[
    str,
    typer.Argument(help="An `.onnx` model or a graph in text (`.nt`); `-` reads ONNX from stdin."),
]
ProgramFile = Annotated[
    str, typer.Argument(metavar="PROGRAM", help="A compiled `.ntp`; `-` is stdin.")
]
TargetName = Annotated[
    str,
    typer.Option("--target", "-t", help="A chip: a name of `neutrams targets`, or a `.toml` file."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a value of the chip: --set core.rows=64."
    ),
]
Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--limit", metavar="NAME=VALUE", help="Tighten a limit of the chip: --limit fan-in=64."
    ),
]
Strategy = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="How a fan-in is obeyed: split-and-merge, merge-through-cores, prune-to-blocks or "
        "prune-and-refit.",
    ),
]
Preprocessing = Annotated[
    str,
    typer.Option(
        "--preprocess",
        metavar="STEPS",
        help="Done to every sample and kept in the program: "
        "scale=1/255,mean=0.5:0.5:0.5,std=...,layout=nhwc,dtype=f32.",
    ),
]
Dims = Annotated[
    list[str] | None,
    typer.Option("--dim", metavar="NAME=SIZE", help="Size of a symbolic dimension of the model."),
]
Fixed = Annotated[
    list[str] | None,
    typer.Option("--fix", metavar="NAME=VALUE", help="Make an input of the model a constant."),
]
Passes = Annotated[
    str,
    typer.Option("--passes", metavar="PIPELINE", help="Passes to run in place of the usual ones."),
]
Observer = Annotated[
    str, typer.Option(help="How ranges are chosen: min-max, percentile or mse.", metavar="NAME")
]
Retrain = Annotated[
    bool,
    typer.Option(
        "--retrain", help="Retrain units on the calibration data, against the float network."
    ),
]
Device = Annotated[
    str, typer.Option(metavar="NAME", help="Where retraining runs: cpu, cuda or auto.")
]
Checkpoints = Annotated[
    str,
    typer.Option(
        metavar="FOLDER", help="Keep each step of retraining; after a break, go on from there."
    ),
]
Bits = Annotated[
    str,
    typer.Option(
        "--bits",
        metavar="PLAN",
        help="Weight and input bits by layer: conv1=8/8,fc=4/4 (`*` for all others), "
        "or a `.toml` or `.json` file of such entries. `auto` chooses them within a budget.",
    ),
]
Loss = Annotated[
    float | None,
    typer.Option(
        "--loss",
        metavar="POINTS",
        help="Budget of `--bits auto`: points of accuracy (labels `y`), else of agreement with "
        "the float network, that fewer bits may cost. 0.5 where no budget is given.",
    ),
]
Energy = Annotated[
    float | None,
    typer.Option("--energy", metavar="SHARE", help="The same: share of the energy at full bits."),
]
Crossbars = Annotated[
    float | None,
    typer.Option("--crossbars", metavar="SHARE", help="The same: share of the crossbars."),
]
Latency = Annotated[
    float | None,
    typer.Option("--latency", metavar="SHARE", help="The same: share of the latency."),
]
Widen = Annotated[
    str,
    typer.Option(
        "--widen",
        metavar="N|digits",
        help="Finer inputs for more crossbars: N copies of the network's inputs, a part of a step "
        "apart; or `digits` of them, exactly. `digits:all`: of all that crossbars read; "
        "`digits:named`: where --bits asks for more bits than the chip has.",
    ),
]
VerifyEach = Annotated[
    bool, typer.Option("--verify-each", help="Check structure and meaning after every pass.")
]
PrintAfter = Annotated[
    str,
    typer.Option(
        "--print-after", metavar="PASS", help="Print the graph after a pass, or after `all`."
    ),
]
Timing = Annotated[bool, typer.Option("--timing", help="Print the time of every pass.")]
Remarks = Annotated[
    bool, typer.Option("--remarks", help="Print what each pass did, nearly did, and why.")
]
Rounds = Annotated[
    str,
    typer.Option(
        metavar="N|auto",
        help="Rounds a network may take on cores programmed anew, where the chip is too small.",
    ),
]
Batch = Annotated[
    int,
    typer.Option(min=1, help="Inferences that run through a round before cells are programmed."),
]
Seed = Annotated[int, typer.Option(help="Fixes everything random.")]
Calibration = Annotated[
    str, typer.Option("--calibrate", "-c", metavar="NPZ", help="Real inputs: `x` in an `.npz`.")
]
Inputs = Annotated[
    str, typer.Option("--inputs", "-i", metavar="NPZ", help="Samples: `x`, and labels `y`.")
]
Metric = Annotated[
    str,
    typer.Option(help="accuracy, topk:5, mse, mae, correlation, auc, ap, or file.py:function."),
]
Format = Annotated[str, typer.Option("--format", metavar="text|json", help="How to print results.")]
Replicate = Annotated[
    bool, typer.Option(help="Hold slow layers in several copies where crossbars are free.")
]
Gate = Annotated[
    float,
    typer.Option(
        metavar="SHARE",
        min=0,
        max=1,
        help="Stop where a pass keeps less of the answers on the calibration data: --gate 0.99.",
    ),
]
RoadGate = Annotated[
    float,
    typer.Option(
        metavar="SHARE",
        min=0,
        max=1,
        help="Stop where all passes together leave less of the original network's answers.",
    ),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Do not reuse earlier compiles.")]


def lowering(
    passes: Passes = "",
    observer: Observer = "mse",
    strategy: Strategy = "split-and-merge",
    bits: Bits = "",
    loss: Loss = None,
    energy: Energy = None,
    crossbars: Crossbars = None,
    latency: Latency = None,
    widen: Widen = "1",
    retrain: Retrain = False,
    device: Device = "auto",
    checkpoints: Checkpoints = "",
    gate: Gate = 0.0,
    road_gate: RoadGate = 0.0,
    dim: Dims = None,
    fix: Fixed = None,
    replicate: Replicate = True,
    rounds: Rounds = "1",
    batch: Batch = 1,
    seed: Seed = 0,
) -> dict[str, Any]:
    """Say how a model is compiled: fields of :class:`neutrams.driver.Options`."""
    budget = {"loss": loss, "energy": energy, "crossbars": crossbars, "latency": latency}
    return {
        "passes": passes,
        "observer": observer,
        "strategy": strategy,
        "bits": bits,
        "budget": {name: most for name, most in budget.items() if most is not None},
        "widen": widen,
        "retrain": retrain,
        "device": device,
        "checkpoints": checkpoints,
        "gate": gate,
        "road_gate": road_gate,
        "dims": sizes(dim),
        "fixed": constants(fix),
        "replicate": replicate,
        "rounds": round_limit(rounds),
        "batch": batch,
        "seed": seed,
    }


def declares(group: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that a group declares, so that they are declared once.

    The command has a parameter of the group's name, and is given what the group returns.
    """
    name = group.__name__
    shared = inspect.signature(group, eval_str=True).parameters

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True)
        parameters = [
            each
            for parameter in own.parameters.values()
            for each in (shared.values() if parameter.name == name else [parameter])
        ]
        whole = own.replace(parameters=parameters)

        @functools.wraps(command)
        def run(*given: object, **named: object) -> None:
            bound = whole.bind(*given, **named)
            bound.apply_defaults()
            chosen = {key: bound.arguments.pop(key) for key in shared}
            command(**bound.arguments, **{name: group(**chosen)})

        run.__signature__ = whole  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        return run

    return decorate


def checked_format(format: str) -> None:
    """Refuse a format that is neither text nor JSON; that is a fault of the command line."""
    if format not in ("text", "json"):
        raise typer.BadParameter(f"`{format}` is not text or json", param_hint="--format")


def one_of(option: str, given: str, known: tuple[C, ...]) -> C:
    """Return a choice; any other is a fault of the command line."""
    for each in known:
        if given == each:
            return each
    raise typer.BadParameter(f"`{given}` is not " + " or ".join(known), param_hint=option)


def spare(option: str, written: str, *read: str) -> None:
    """Refuse to write over what is read; that is a fault of the command line."""
    for each in map(Path, filter(None, read)):
        if Path(written).exists() and each.exists() and each.samefile(written):
            text = f"`{written}` is what is read, and would be written over"
            raise typer.BadParameter(text, param_hint=option)


def sizes(given: list[str] | None) -> dict[str, int]:
    """Read ``NAME=SIZE`` texts; a wrong one is a fault of the command line."""
    found = {}
    for text in given or []:
        name, _, size = text.partition("=")
        if not name or not size.isdecimal() or int(size) < 1:
            raise typer.BadParameter(f"`{text}` is not NAME=SIZE", param_hint="--dim")
        found[name] = int(size)
    return found


def round_limit(text: str) -> int | None:
    """Read ``--rounds``: a number, or ``auto`` for any."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"`{text}` is not a number or `auto`", param_hint="--rounds")
    return int(text)


def constants(given: list[str] | None) -> dict[str, NDArray[Any]]:
    """Read ``NAME=VALUE`` texts, where values are numbers."""
    import numpy as np

    found = {}
    for text in given or []:
        name, _, value = text.partition("=")
        try:
            found[name] = np.asarray(int(value) if value.lstrip("-").isdecimal() else float(value))
        except ValueError:
            raise typer.BadParameter(f"`{text}` is not NAME=NUMBER", param_hint="--fix") from None
    return found


def selected(text: str) -> bool | frozenset[str]:
    """Read ``--print-after``: nothing, ``all``, or names joined by commas."""
    if text in ("", "all"):
        return text == "all"
    return frozenset(text.split(","))
