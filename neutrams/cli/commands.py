"""The verbs that work on models and programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neutrams.cli import options as shared

if TYPE_CHECKING:
    from neutrams.driver import Compiled

Output = Annotated[str, typer.Option("--output", "-o", help="Where to write; `-` is stdout.")]
AsJson = Annotated[str, typer.Option("--format", metavar="text|json", help="How to print results.")]


def compile_(
    model: shared.Model,
    target: shared.TargetName = "cim",
    calibrate: Annotated[
        str, typer.Option("--calibrate", "-c", metavar="NPZ", help="Real inputs: `x` in an `.npz`.")
    ] = "",
    output: Output = "",
    settings: shared.Settings = None,
    limit: shared.Limits = None,
    preprocess: shared.Preprocessing = "",
    passes: shared.Passes = "",
    observer: shared.Observer = "mse",
    strategy: shared.Strategy = "split-and-merge",
    bits: shared.Bits = "",
    widen: shared.Widen = 1,
    retrain: shared.Retrain = False,
    dim: shared.Dims = None,
    fix: shared.Fixed = None,
    replicate: Annotated[
        bool, typer.Option(help="Hold slow layers in several copies where crossbars are free.")
    ] = True,
    keep_float: Annotated[
        bool, typer.Option("--float/--no-float", help="Keep the float network, to compare with.")
    ] = True,
    verify_each: shared.VerifyEach = False,
    print_after: shared.PrintAfter = "",
    timing: shared.Timing = False,
    remarks: shared.Remarks = False,
    seed: shared.Seed = 0,
    no_cache: shared.NoCache = False,
    format: AsJson = "text",
) -> None:
    """Compile a model to a chip: quantise, cut into crossbars, place, schedule."""
    from neutrams import driver
    from neutrams.cli.output import Bar, say
    from neutrams.cli.streams import readable, writable

    _check_format(format)
    written = output or ("program.ntp" if model == "-" else f"{Path(model).stem}.ntp")
    if written != "-":
        driver.check_writable(written)
    chosen = driver.Options(
        passes=passes,
        observer=observer,
        strategy=strategy,
        bits=bits,
        widen=widen,
        retrain=retrain,
        replicate=replicate,
        keep_float=keep_float,
        seed=seed,
        dims=shared.sizes(dim),
        fixed=shared.constants(fix),
        verify_each=verify_each,
        timing=timing,
        print_after=shared.selected(print_after),
        emit=say,
    )
    looks_inside = verify_each or timing or remarks or bool(print_after)
    chip = driver.load_target(target, settings or [], limits=limit or [])
    with readable(model, suffix=".onnx") as source, Bar() as bar:
        compiled = driver.compile_model(
            source,
            target=chip,
            calibration=calibrate or None,
            preprocess=driver.Preprocess.parse(preprocess),
            options=chosen,
            cache=None if no_cache or looks_inside else driver.Cache.default(),
            progress=bar,
        )
        with writable(written, suffix=".ntp") as path:
            compiled.program.save(path)
    _tell(compiled, remarks=remarks)
    _show_compiled(compiled, written, format)


def _tell(compiled: Compiled, *, remarks: bool) -> None:
    from neutrams.cli.output import say, show_diagnostics

    show_diagnostics(d for d in compiled.warnings if remarks or d.severity != "note")
    if remarks:
        for remark in compiled.remarks:
            say(str(remark))


def _show_compiled(compiled: Compiled, written: str, format: str) -> None:
    from neutrams import driver, report
    from neutrams.cli.output import show, show_json, width

    resources = driver.resources(compiled.program)
    if format == "json" and written != "-":
        show_json(report.resources_json(resources))
    elif written != "-":
        show(
            *report.resources_text(resources, width=width()),
            report.footer(written, compiled.reused),
        )


def simulate(
    program: shared.ProgramFile,
    inputs: Annotated[
        str, typer.Option("--inputs", "-i", metavar="NPZ", help="Samples: `x`, and labels `y`.")
    ],
    outputs: Annotated[
        str, typer.Option(metavar="NPZ", help="Save the raw outputs under the network's names.")
    ] = "",
    metric: Annotated[
        str,
        typer.Option(help="accuracy, topk:5, mse, mae, correlation, auc, ap, or file.py:function."),
    ] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first samples.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples simulated at once.")] = None,
    compare: Annotated[
        bool, typer.Option("--float/--no-float", help="Run the float network too, to compare.")
    ] = True,
    format: AsJson = "text",
) -> None:
    """Simulate a program on samples: accuracy, latency, energy, area, utilisation."""
    from neutrams import driver, report
    from neutrams.cli.output import Bar, show, show_json, width
    from neutrams.cli.streams import readable
    from neutrams.ir.program import Program

    _check_format(format)
    if outputs:
        driver.check_writable(outputs)
    with readable(program, suffix=".ntp") as path:
        loaded = Program.load(path)
    with readable(inputs, suffix=".npz") as path, Bar() as bar:
        found = driver.simulate(
            loaded,
            path,
            metric=metric or None,
            limit=limit,
            batch=batch,
            compare=compare,
            progress=bar,
        )
    if outputs:
        driver.write_npz(outputs, found.outputs)
    if format == "json":
        show_json(report.simulation_json(found))
    else:
        show(*report.simulation_text(found, width=width()))


def check(
    model: shared.Model,
    target: shared.TargetName = "cim",
    settings: shared.Settings = None,
    limit: shared.Limits = None,
    strategy: shared.Strategy = "split-and-merge",
    dim: shared.Dims = None,
    fix: shared.Fixed = None,
    format: AsJson = "text",
) -> None:
    """Say which ops go to crossbars, which to the digital unit and why, and what chip fits."""
    from neutrams import driver, report
    from neutrams.cli.output import Bar, show, show_json
    from neutrams.cli.streams import readable

    _check_format(format)
    chip = driver.load_target(target, settings or [], limits=limit or [])
    with readable(model, suffix=".onnx") as source, Bar() as bar:
        found = driver.check(
            source,
            target=chip,
            strategy=strategy,
            dims=shared.sizes(dim),
            fixed=shared.constants(fix),
            progress=bar,
        )
    if format == "json":
        show_json(report.check_json(found))
    else:
        show(*report.check_text(found))
    if not found.fits:
        raise typer.Exit(1)


def export(
    program: shared.ProgramFile,
    to: Annotated[
        str, typer.Option(help="`image`: JSON and npz for a chip; `onnx`: standard ONNX.")
    ] = "image",
    output: Output = "",
) -> None:
    """Write a program for other tools: an image for a chip, or integers in ONNX."""
    from neutrams import driver
    from neutrams.cli.output import say, show_diagnostics
    from neutrams.cli.streams import readable
    from neutrams.ir.diagnostics import Diagnostic
    from neutrams.ir.program import Program

    if to not in driver.EXPORTS:
        wanted = " or ".join(f"`{kind}`" for kind in driver.EXPORTS)
        raise typer.BadParameter(f"`{to}` is not {wanted}", param_hint="--to")
    with readable(program, suffix=".ntp") as path:
        loaded = Program.load(path)
    stem = "program" if program == "-" else Path(program).stem
    notes: list[Diagnostic] = []
    default = f"{stem}.image" if to == "image" else f"{stem}.onnx"
    written = driver.export(loaded, output or default, to=to, notes=notes)
    show_diagnostics(notes)
    for path in written:
        say(f"wrote {path}")


def demo(format: AsJson = "text") -> None:
    """Compile a digit classifier to the `cim` chip and simulate it on 1,000 real digits."""
    import contextlib
    import tempfile

    import neutrams
    from neutrams.cli.output import say

    examples = Path(neutrams.__file__).resolve().parents[1] / "examples"
    if not (examples / "mnist8_cntk.onnx").is_file():
        say("the demo's model and digits are in `examples/` of a clone: run it there")
        raise typer.Exit(1)
    model, calibration, test = (
        examples / name
        for name in ("mnist8_cntk.onnx", "digits_calibration.npz", "digits_test.npz")
    )
    with tempfile.TemporaryDirectory(prefix="neutrams-") as folder, contextlib.chdir(folder):
        say(f"$ neutrams compile {_short(model)} --calibrate {_short(calibration)} -o mnist8.ntp")
        compile_(str(model), calibrate=str(calibration), output="mnist8.ntp", format=format)
        say(f"\n$ neutrams simulate mnist8.ntp --inputs {_short(test)}")
        simulate("mnist8.ntp", str(test), format=format)


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _check_format(format: str) -> None:
    if format not in ("text", "json"):
        raise typer.BadParameter(f"`{format}` is not text or json", param_hint="--format")
