"""The verb that holds the executors of a program against each other."""

from __future__ import annotations

from typing import Annotated

import typer

from neutrams.cli import options as shared


def verify(
    program: shared.ProgramFile,
    inputs: Annotated[str, typer.Option("--inputs", "-i", metavar="NPZ", help="Samples: `x`.")],
    limit: Annotated[int, typer.Option(min=1, help="Use only the first samples.")] = 32,
    retention: Annotated[
        float,
        typer.Option(min=0, max=1, help="Least share of the float network's answers to keep."),
    ] = 0.9,
    onnx: Annotated[
        str, typer.Option(metavar="FILE", help="Check this export instead of a fresh one.")
    ] = "",
    image: Annotated[
        str, typer.Option(metavar="BASE", help="Check this image (BASE.json, BASE.npz) instead.")
    ] = "",
    format: shared.Format = "text",
) -> None:
    """Hold all that runs a program against each other, link by link, from float net to ONNX."""
    from neutrams import driver, report
    from neutrams.cli.output import Bar, show, show_json
    from neutrams.cli.streams import readable
    from neutrams.ir.program import Program

    shared.checked_format(format)
    with readable(program, suffix=".ntp") as path:
        loaded = Program.load(path)
    with readable(inputs, suffix=".npz") as path, Bar() as bar:
        found = driver.verify(
            loaded,
            path,
            limit=limit,
            retention=retention,
            onnx=onnx or None,
            image=image or None,
            progress=bar,
        )
    if format == "json":
        show_json(report.verification_json(found))
    else:
        show(*report.verification_text(found))
    if not found.passed:
        raise typer.Exit(1)
