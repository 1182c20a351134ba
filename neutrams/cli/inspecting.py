"""The verbs that show and try out parts: passes, targets, diagnostics, graphs in text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neutrams.cli import options as shared

targets = typer.Typer(help="List the built-in chips, or show one.", invoke_without_command=True)


def opt(
    graph: Annotated[str, typer.Argument(help="A graph in text (`.nt`) or a model; `-` is stdin.")],
    passes: Annotated[
        str, typer.Option("--passes", metavar="PIPELINE", help="Passes to run.")
    ] = "",
    output: Annotated[str, typer.Option("--output", "-o", help="Where to write the text.")] = "-",
    target: Annotated[
        str, typer.Option("--target", "-t", help="The chip whose limits passes obey.")
    ] = "",
    settings: shared.Settings = None,
    limit: shared.Limits = None,
    calibrate: Annotated[str, typer.Option("--calibrate", "-c", metavar="NPZ")] = "",
    verify_each: shared.VerifyEach = False,
    print_after: shared.PrintAfter = "",
    timing: shared.Timing = False,
    remarks: shared.Remarks = False,
    seed: shared.Seed = 0,
) -> None:
    """Run passes over a graph and print it: text in, text out."""
    from neutrams import driver
    from neutrams.cli.output import say
    from neutrams.cli.streams import readable
    from neutrams.ir.diagnostics import NeutramsError
    from neutrams.ir.text import print_module
    from neutrams.passes import PassContext, PassManager

    for name, values in (("--set", settings), ("--limit", limit)):
        if values and not target:
            what = "name one: --target cim"
            raise NeutramsError(driver.without_effect(name, "there is no chip", what))
    manager = PassManager(passes) if passes else PassManager([])
    driver.check_printed(shared.selected(print_after), manager.passes)
    chip = driver.load_target(target, settings or [], limits=limit or []) if target else None
    with readable(graph, suffix=".nt") as path:
        module = driver.load_module(path)
    data = driver.load_samples(calibrate, module.main).inputs if calibrate else None
    ctx = PassContext(
        target=chip,
        calibration=data,
        seed=seed,
        verify_each=verify_each,
        print_after=shared.selected(print_after),
        timing=timing,
        emit=say,
    )
    for part in module.roots():
        manager.run(part, ctx)
    if remarks:
        for remark in ctx.remarks:
            say(str(remark))
    if output == "-":
        print(print_module(module), end="")
    else:
        driver.save_module(module, Path(output))


def passes(format: shared.Format = "text") -> None:
    """List the passes and their options."""
    from dataclasses import asdict

    from rich.table import Table

    from neutrams.cli.output import show, show_json
    from neutrams.passes import describe

    found = describe()
    if format == "json":
        show_json([asdict(info) for info in found])
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for info in found:
        table.add_row(f"[bold]{info.name}[/]", info.summary)
        for name, type, default in info.options:
            table.add_row("", f"[dim]{name} = {default}   ({type})[/]")
    table.add_row("[bold]every pass[/]", "[dim]retention = 0.0   (a number)[/]")
    show(table)


def explain(code: Annotated[str, typer.Argument(help="A code such as NT0301.")]) -> None:
    """Say what a diagnostic code means."""
    import textwrap

    from neutrams.cli.output import show_diagnostics
    from neutrams.ir.codes import CODES
    from neutrams.ir.diagnostics import error

    wanted = code.upper()
    if wanted not in CODES:
        near = ", ".join(known for known in CODES if known[:4] == wanted[:4]) or ", ".join(CODES)
        show_diagnostics([error("NT0542", f"there is no code `{code}`").note(f"codes: {near}")])
        raise typer.Exit(1)
    print(f"{wanted}\n\n{textwrap.fill(CODES[wanted], width=88)}")


@targets.callback()
def list_targets(context: typer.Context, format: shared.Format = "text") -> None:
    """List the built-in chips."""
    from rich.table import Table

    from neutrams import targets as known
    from neutrams.cli.output import show, show_json

    if context.invoked_subcommand is not None:
        return
    chips = [known.load(name) for name in known.names()]
    if format == "json":
        show_json([{"name": chip.name, "description": chip.description} for chip in chips])
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for chip in chips:
        table.add_row(f"[bold]{chip.name}[/]", chip.description)
    show(table)


@targets.command("show")
def show_target(
    name: Annotated[str, typer.Argument(help="A chip: its name, or a `.toml` file.")],
    settings: shared.Settings = None,
    sources: Annotated[
        bool, typer.Option("--sources", help="Show where every cost comes from.")
    ] = False,
    format: shared.Format = "text",
) -> None:
    """Show a chip's limits, machine and costs."""
    from dataclasses import asdict

    from neutrams import driver, report
    from neutrams.cli.output import show, show_json

    chip = driver.load_target(name, settings or [])
    if format == "json":
        show_json(asdict(chip))
    else:
        show(*report.target_text(chip, sources=sources))
