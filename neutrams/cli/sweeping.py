"""The verb that compiles and simulates a network over a grid."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from neutrams.cli import options as shared
from neutrams.ir.processors import processors

MOST_JOBS = 4
"""Processes by default: each keeps a batch a core in memory, so that more seldom help."""


@shared.declares(shared.lowering)
def sweep(
    model: shared.Model,
    over: Annotated[
        list[str],
        typer.Option(
            "--over",
            metavar="AXIS=A,B,...",
            help="What to vary: a limit (fan-in), precision (4/8), a key of the chip (core.rows), "
            "strategy, retrain, observer, seed, target. Repeatable: the grid holds every "
            "combination.",
        ),
    ],
    inputs: shared.Inputs,
    lowering: dict[str, Any],
    calibrate: shared.Calibration = "",
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="Table to write and continue: `.csv`, or `.parquet`."),
    ] = "",
    plot: Annotated[
        str, typer.Option(metavar="FILE", help="Picture to draw: `.png`, `.svg` or `.pdf`.")
    ] = "",
    target: shared.TargetName = "cim",
    settings: shared.Settings = None,
    limit: shared.Limits = None,
    preprocess: shared.Preprocessing = "",
    metric: shared.Metric = "",
    samples: Annotated[int | None, typer.Option(min=1, help="Use only the first samples.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what the table holds.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=0, help="Processes; 0 to decide.")] = 0,
    format: shared.Format = "text",
) -> None:
    """Compile and simulate over a grid of limits: error against cores, area, energy, latency."""
    from neutrams import driver, report
    from neutrams.cli.output import Bar, say, show, show_json
    from neutrams.cli.streams import readable

    shared.checked_format(format)
    if plot:
        report.check_plot(plot)
    with readable(model, suffix=".onnx") as source, Bar() as bar:
        found = driver.sweep(
            source,
            over=driver.parse_axes(over),
            inputs=inputs,
            calibration=calibrate or None,
            target=target,
            overrides=settings or [],
            limits=limit or [],
            preprocess=preprocess,
            metric=metric or None,
            samples=samples,
            output=output or None,
            fresh=fresh,
            jobs=jobs or min(processors(), MOST_JOBS),
            progress=bar,
            **lowering,
        )
    if plot:
        report.plot(found, plot)
    if format == "json":
        show_json(report.sweep_json(found))
    else:
        show(*report.sweep_text(found))
    for written in filter(None, (output, plot)):
        say(f"wrote {written}")
