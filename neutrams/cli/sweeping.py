"""The verb that compiles and simulates a network over a grid."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from neutrams.cli import options as shared

MOST_JOBS = 4
"""Processes by default: each keeps a batch a core in memory, so that more seldom help."""

AsJson = Annotated[str, typer.Option("--format", metavar="text|json", help="How to print results.")]


def sweep(
    model: shared.Model,
    over: Annotated[
        list[str],
        typer.Option(
            "--over",
            metavar="AXIS=A,B,...",
            help="What to vary: a limit (fan-in), a key of the chip (core.rows), strategy, "
            "observer, seed, target. Repeatable: the grid holds every combination.",
        ),
    ],
    inputs: Annotated[
        str, typer.Option("--inputs", "-i", metavar="NPZ", help="Samples: `x`, and labels `y`.")
    ],
    calibrate: Annotated[
        str, typer.Option("--calibrate", "-c", metavar="NPZ", help="Real inputs: `x` in an `.npz`.")
    ] = "",
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
    passes: shared.Passes = "",
    observer: shared.Observer = "mse",
    strategy: shared.Strategy = "split-and-merge",
    dim: shared.Dims = None,
    fix: shared.Fixed = None,
    replicate: Annotated[
        bool, typer.Option(help="Hold slow layers in several copies where crossbars are free.")
    ] = True,
    metric: Annotated[
        str,
        typer.Option(help="accuracy, topk:5, mse, mae, correlation, auc, ap, or file.py:function."),
    ] = "",
    samples: Annotated[int | None, typer.Option(min=1, help="Use only the first samples.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what the table holds.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=0, help="Processes; 0 to decide.")] = 0,
    seed: shared.Seed = 0,
    format: AsJson = "text",
) -> None:
    """Compile and simulate over a grid of limits: error against cores, area, energy, latency."""
    from neutrams import driver, report
    from neutrams.cli.output import Bar, say, show, show_json
    from neutrams.cli.streams import readable

    if format not in ("text", "json"):
        raise typer.BadParameter(f"`{format}` is not text or json", param_hint="--format")
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
            jobs=jobs or min(os.cpu_count() or 1, MOST_JOBS),
            seed=seed,
            progress=bar,
            passes=passes,
            observer=observer,
            strategy=strategy,
            dims=shared.sizes(dim),
            fixed=shared.constants(fix),
            replicate=replicate,
        )
    if plot:
        report.plot(found, plot)
    if format == "json":
        show_json(report.sweep_json(found))
    else:
        show(*report.sweep_text(found))
    for written in filter(None, (output, plot)):
        say(f"wrote {written}")
