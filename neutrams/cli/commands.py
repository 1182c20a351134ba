"""The verbs that work on models and programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neutrams.cli import options as shared
from neutrams.cli import recording

if TYPE_CHECKING:
    from neutrams.driver import Compiled
    from neutrams.ir.target import Target

Output = Annotated[str, typer.Option("--output", "-o", help="Where to write; `-` is stdout.")]


@shared.declares(shared.lowering)
def compile_(
    model: shared.Model,
    lowering: dict[str, Any],
    target: shared.TargetName = "cim",
    calibrate: shared.Calibration = "",
    output: Output = "",
    settings: shared.Settings = None,
    limit: shared.Limits = None,
    preprocess: shared.Preprocessing = "",
    keep_float: Annotated[
        bool, typer.Option("--float/--no-float", help="Keep the float network, to compare with.")
    ] = True,
    verify_each: shared.VerifyEach = False,
    loss_per_pass: Annotated[
        bool, typer.Option("--loss-per-pass", help="Show what each pass costs in answers.")
    ] = False,
    print_after: shared.PrintAfter = "",
    timing: shared.Timing = False,
    remarks: shared.Remarks = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say in seconds whether it fits and what it takes; no data."
        ),
    ] = False,
    no_cache: shared.NoCache = False,
    format: shared.Format = "text",
) -> None:
    """Compile a model to a chip: quantise, cut into crossbars, place, schedule."""
    from neutrams import driver
    from neutrams.cli.output import Bar, say
    from neutrams.cli.streams import readable, writable

    shared.checked_format(format)
    chip = driver.load_target(target, settings or [], limits=limit or [])
    if dry_run:
        unused = {
            "--calibrate": calibrate, "--output": output, "--preprocess": preprocess,
            "--verify-each": verify_each, "--loss-per-pass": loss_per_pass,
            "--print-after": print_after, "--timing": timing, "--remarks": remarks,
        }  # fmt: skip
        _dry_run(model, chip, lowering, format, unused=[name for name in unused if unused[name]])
        return
    written = output or ("program.ntp" if model == "-" else f"{Path(model).stem}.ntp")
    if written != "-":
        driver.check_writable(written)
        shared.spare("--output", written, model, calibrate)
    chosen = driver.Options(
        **lowering,
        keep_float=keep_float,
        loss_per_pass=loss_per_pass,
        verify_each=verify_each,
        timing=timing,
        print_after=shared.selected(print_after),
        emit=say,
    )
    driver.check_effects(chosen)
    looks_inside = verify_each or timing or remarks or bool(print_after)
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


def _dry_run(
    model: str, chip: Target, lowering: dict[str, Any], format: str, *, unused: list[str]
) -> None:
    from neutrams import driver, report
    from neutrams.cli.output import Bar, say, show, show_json, width
    from neutrams.cli.streams import readable

    if unused:
        say(f"a dry run has no use for {', '.join(unused)}: it looks at shapes, and writes nothing")
    with readable(model, suffix=".onnx") as source, Bar() as bar:
        found = driver.dry_run(source, target=chip, progress=bar, **lowering)
    if format == "json":
        show_json({"dry_run": True, "fits": True, **report.resources_json(found)})
    else:
        show(*report.resources_text(found, width=width()), report.fits(found))


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
        show_json({**report.resources_json(resources), **report.losses_json(compiled.losses)})
    elif written != "-":
        show(
            *report.resources_text(resources, width=width()),
            *report.losses_text(compiled.losses),
            report.footer(written, compiled.reused),
        )


@shared.declares(recording.record)
def simulate(
    program: shared.ProgramFile,
    record: dict[str, Any],
    inputs: shared.Inputs = "",
    outputs: Annotated[
        str, typer.Option(metavar="NPZ", help="Save the raw outputs under the network's names.")
    ] = "",
    metric: shared.Metric = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first samples.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples simulated at once.")] = None,
    compare: Annotated[
        bool, typer.Option("--float/--no-float", help="Run the float network too, to compare.")
    ] = True,
    grain: Annotated[
        str,
        typer.Option(
            metavar="tick|cycle",
            help="`tick`: times from the schedule; `cycle`: measured clock by clock, with buses, "
            "buffers and the network.",
        ),
    ] = "tick",
    physics: Annotated[
        str,
        typer.Option(
            rich_help_panel=shared.PHYSICS,
            metavar="TEXT",
            help="What is not ideal: a preset or `.toml`, then values: "
            "rram-wan,read-additive=0.01,adc-offset=0.5. See docs/physics.md.",
        ),
    ] = "",
    time: Annotated[
        float,
        typer.Option(
            rich_help_panel=shared.PHYSICS, min=0.0, help="Seconds since cells were programmed."
        ),
    ] = 0.0,
    seed: Annotated[
        int, typer.Option(rich_help_panel=shared.PHYSICS, min=0, help="Of what physics draw.")
    ] = 0,
    monte_carlo: Annotated[
        int,
        typer.Option(
            "--monte-carlo",
            rich_help_panel=shared.PHYSICS,
            min=1,
            help="Runs, each on a chip of its own.",
        ),
    ] = 1,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", "-j", min=0, help="Processes; 0: one, whose threads use all processors."
        ),
    ] = 0,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROGRAM",
            help="With `--grain cycle`: what runs on the same chip meanwhile, as `neutrams map` "
            "placed it; repeatable.",
        ),
    ] = None,
    checkpoint: Annotated[
        str,
        typer.Option(
            rich_help_panel=shared.STOPPING,
            metavar="FILE",
            help="Where Ctrl-C leaves what is done; by default PROGRAM.checkpoint, here.",
        ),
    ] = "",
    checkpoint_every: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=shared.STOPPING,
            min=0.0,
            metavar="SECONDS",
            help="Write a checkpoint so often as well, 0 for never; by default every 600 s with "
            "`--checkpoint` or `--resume`.",
        ),
    ] = None,
    resume: Annotated[
        str,
        typer.Option(
            rich_help_panel=shared.STOPPING,
            metavar="FILE",
            help="Go on from a checkpoint, as if never interrupted.",
        ),
    ] = "",
    sources: Annotated[
        bool,
        typer.Option(
            "--sources", help="Show which numbers of the chip the energy is made of, and whence."
        ),
    ] = False,
    format: shared.Format = "text",
) -> None:
    """Simulate a program on samples: accuracy, latency, energy, area, utilisation."""
    from neutrams import driver, report
    from neutrams.cli.output import Bar, show, show_json, width
    from neutrams.cli.sharing import load_all
    from neutrams.cli.streams import readable
    from neutrams.ir.program import Program

    shared.checked_format(format)
    if record.get("signals") == recording.LIST:
        recording.list_signals(program)
        return
    if not inputs:
        raise typer.BadParameter("no samples are given", param_hint="--inputs")
    if outputs == "-":
        raise typer.BadParameter("stdout is for the report: name a file", param_hint="--outputs")
    files = {"--outputs": outputs, "--checkpoint": checkpoint}
    files |= {f"--{name}": record.get(name, "") for name in ("trace", "vcd")}
    for option, written in files.items():
        if written:
            driver.check_writable(written)
            shared.spare(option, written, program, inputs)
    asked, usual = bool(checkpoint or resume), f"{_stem(program)}.checkpoint"
    if not asked and checkpoint_every is None:
        checkpoint_every = 0.0
    if not asked and (checkpoint_every or driver.is_writable(usual)):
        checkpoint = usual
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
            grain=shared.one_of("--grain", grain, driver.GRAINS),
            physics=f"{physics or 'ideal'},time-s={time!r}" if time else physics,
            seed=seed,
            monte_carlo=monte_carlo,
            jobs=jobs,
            record=driver.Record(**record) if record else None,
            beside=load_all(beside or []),
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            resume=resume,
            progress=bar,
        )
    try:
        if outputs:
            driver.write_npz(outputs, found.outputs)
    finally:
        if format == "json":
            show_json(report.simulation_json(found))
        else:
            show(*report.simulation_text(found, width=width(), sources=sources))


def check(
    model: shared.Model,
    target: shared.TargetName = "cim",
    settings: shared.Settings = None,
    limit: shared.Limits = None,
    strategy: shared.Strategy = "split-and-merge",
    dim: shared.Dims = None,
    fix: shared.Fixed = None,
    format: shared.Format = "text",
) -> None:
    """Say which ops go to crossbars, which to the digital unit and why, and what chip fits."""
    from neutrams import driver, report
    from neutrams.cli.output import Bar, show, show_json
    from neutrams.cli.streams import readable

    shared.checked_format(format)
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
        str,
        typer.Option(
            help="`image`: JSON and npz for a chip; `onnx`: standard ONNX in integers; "
            "`qdq`: ONNX with QuantizeLinear and DequantizeLinear, approximate."
        ),
    ] = "image",
    output: Output = "",
    inputs: Annotated[
        str, typer.Option("--inputs", "-i", metavar="NPZ", help="Samples to measure `qdq` on.")
    ] = "",
) -> None:
    """Write a program for other tools: an image for a chip, or ONNX."""
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
    stem = _stem(program)
    notes: list[Diagnostic] = []
    ending = {"qdq": "qdq.onnx"}.get(to, to)
    default = f"{stem}.{ending}"
    written = driver.export(loaded, output or default, to=to, inputs=inputs or None, notes=notes)
    show_diagnostics(notes)
    for path in written:
        say(f"wrote {path}")


def demo(format: shared.Format = "text") -> None:
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
        simulate("mnist8.ntp", inputs=str(test), format=format)


def _stem(program: str) -> str:
    return "program" if program == "-" else Path(program).stem


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
