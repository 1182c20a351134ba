"""Options that say what is written down of a run clock by clock."""

from __future__ import annotations

from inspect import signature
from typing import Annotated, Any

import typer

LIST = "list"
PANEL = "Traces and waveforms of --grain cycle"


def record(
    trace: Annotated[
        str,
        typer.Option(
            rich_help_panel=PANEL,
            metavar="JSON",
            help="Write a trace for ui.perfetto.dev or chrome://tracing; "
            "compressed where the name ends in `.gz`.",
        ),
    ] = "",
    vcd: Annotated[
        str,
        typer.Option(rich_help_panel=PANEL, metavar="VCD", help="Write a waveform of `--signals`."),
    ] = "",
    signals: Annotated[
        str,
        typer.Option(
            rich_help_panel=PANEL,
            metavar="NAMES",
            help="Signals of the waveform: 'core(3,*),link(0,0)->(1,0)'; `list` prints them all.",
        ),
    ] = "",
    trace_from: Annotated[
        int,
        typer.Option(
            rich_help_panel=PANEL, min=0, metavar="CLOCK", help="First clock that is written."
        ),
    ] = 0,
    trace_to: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=PANEL, min=1, metavar="CLOCK", help="The clock behind the last one."
        ),
    ] = None,
    trace_bin: Annotated[
        int,
        typer.Option(
            rich_help_panel=PANEL,
            min=0,
            metavar="CLOCKS",
            help="Clocks of a counter's value; 0: about 1,000 of them.",
        ),
    ] = 0,
    trace_limit: Annotated[
        int,
        typer.Option(
            rich_help_panel=PANEL, min=1, metavar="EVENTS", help="Most events of a trace."
        ),
    ] = 1_000_000,
    trace_detail: Annotated[
        str,
        typer.Option(
            rich_help_panel=PANEL,
            metavar="items|busy",
            help="A span an item, or one where spans touch.",
        ),
    ] = "items",
    trace_inferences: Annotated[
        int,
        typer.Option(
            rich_help_panel=PANEL, min=1, metavar="N", help="Inferences of the run that is written."
        ),
    ] = 1,
) -> dict[str, Any]:
    """Say what is written down: fields of :class:`neutrams.driver.Record`; none for nothing."""
    chosen = {
        "trace": trace,
        "vcd": vcd,
        "signals": signals,
        "first": trace_from,
        "last": trace_to,
        "bin": trace_bin,
        "limit": trace_limit,
        "detail": trace_detail,
        "inferences": trace_inferences,
    }
    usual = [each.default for each in signature(record).parameters.values()]
    return chosen if list(chosen.values()) != usual else {}


def list_signals(program: str) -> None:
    """Print the signals that a waveform of a program may show."""
    from neutrams import driver
    from neutrams.cli.output import show_lines
    from neutrams.cli.streams import readable
    from neutrams.ir.program import Program

    with readable(program, suffix=".ntp") as path:
        show_lines(driver.signal_names(Program.load(path)))
