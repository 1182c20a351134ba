"""The program ``neutrams``: its verbs, and what the exit code says."""

from __future__ import annotations

import errno
import shlex
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Annotated

import typer

from neutrams.cli import commands, inspecting, reproducing, sharing, sweeping, verifying
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.version import VERSION

OURS = 70
"""Exit code of a fault of our own (EX_SOFTWARE of sysexits.h)."""
INTERRUPTED = 130
LESS = "Ask for less at once: a smaller --batch, fewer --jobs, fewer samples of calibration."

app = typer.Typer(
    name="neutrams",
    help="Compile neural networks to compute-in-memory and neuromorphic chips, and simulate them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("compile")(commands.compile_)
app.command("simulate")(commands.simulate)
app.command("check")(commands.check)
app.command("map")(sharing.map_)
app.command("export")(commands.export)
app.command("verify")(verifying.verify)
app.command("sweep")(sweeping.sweep)
app.command("reproduce")(reproducing.reproduce)
app.command("demo")(commands.demo)
app.command("opt")(inspecting.opt)
app.command("passes")(inspecting.passes)
app.command("explain")(inspecting.explain)
app.add_typer(inspecting.targets, name="targets")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"neutrams {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code.

    0 done, 1 the input is at fault, 2 the command line is, 70 we are, 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    with _ExitCode(given) as result:
        app(args=given, prog_name="neutrams")
    return result.code


class _ExitCode:
    """Turns what ends a command into its exit code, and says on stderr what was wrong."""

    code = 0

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments

    def __enter__(self) -> _ExitCode:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self.code = _code_of(fault, self._arguments)
        return True


def _code_of(fault: BaseException | None, arguments: Sequence[str]) -> int:
    if (stop := _interrupt(fault)) is not None:
        return _interrupted(stop, arguments)
    match fault:
        case None:
            return 0
        case SystemExit():
            return fault.code if isinstance(fault.code, int) else int(fault.code is not None)
        case NeutramsError():
            from neutrams.cli.output import show_diagnostics

            show_diagnostics(fault.diagnostics)
            return 1
        case BrokenPipeError():
            sys.stderr.close()
            return 1
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EIO):
            print(f"neutrams: cannot write: {fault.strerror}", file=sys.stderr)
            return 1
        case MemoryError():
            print(f"neutrams: memory ran out. {LESS}", file=sys.stderr)
            return 1
        case _:
            return _own_fault(fault)


def _interrupt(fault: BaseException | None) -> KeyboardInterrupt | None:
    """Return the interrupt that ended a command; Typer makes an exit code of it."""
    if isinstance(fault, SystemExit) and fault.code == INTERRUPTED:
        while fault is not None and not isinstance(fault, KeyboardInterrupt):
            fault = fault.__context__
    return fault if isinstance(fault, KeyboardInterrupt) else None


def _interrupted(stop: KeyboardInterrupt, arguments: Sequence[str]) -> int:
    """Say how to go on, where that is possible."""
    path = getattr(stop, "checkpoint", "")
    if not path:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    again, skip = ["neutrams"], False
    for argument in arguments:
        if not skip and not argument.startswith("--resume"):
            again.append(argument)
        skip = argument == "--resume"
    print(f"interrupted; what is done is in {path}, and this goes on:", file=sys.stderr)
    print(f"  {shlex.join([*again, '--resume', path])}", file=sys.stderr)
    return INTERRUPTED


def _own_fault(fault: BaseException) -> int:
    import traceback

    traceback.print_exception(fault)
    print(
        f"\nneutrams {VERSION} failed; this is a fault in neutrams, not in your input.\n"
        "Please report it with the lines above and, if you can, the model.",
        file=sys.stderr,
    )
    return OURS
