"""What is done of a simulation, kept so that it goes on later as if it had never stopped.

That is batches that are done, and machines of the cycle grain as they stood. A checkpoint is taken
up only for the program, inputs and options that it is of.
"""

from __future__ import annotations

import functools
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from neutrams.driver.checkpoints.file import damaged, read_checkpoint, write_checkpoint
from neutrams.driver.checkpoints.interrupts import Interrupted, Stop, stoppable
from neutrams.driver.effects import without_effect
from neutrams.driver.outputs import check_writable
from neutrams.driver.progress import Progress
from neutrams.driver.sweeping.cache import arrays_digest, code_digest
from neutrams.ir.diagnostics import Diagnostic, NeutramsError
from neutrams.ir.program import Program
from neutrams.ir.text import print_module
from neutrams.ir.types import Array
from neutrams.simulator.cycle import Machine
from neutrams.simulator.cycle.snapshot import restore, snapshot
from neutrams.simulator.run import OtherParts, Parts

EVERY_S = 600.0
"""Seconds from one checkpoint to the next, where nothing else is said."""
SHARE = 0.05
"""Part of the time that writing checkpoints may take."""


@dataclass(slots=True)
class Book:
    """What is done of a run, stage by stage."""

    tell: Progress
    """Told how far the run is; stops it where that is asked."""
    check: Callable[[], None] = lambda: None
    """Stops the run where that is asked, and writes down what is done where it is time to."""
    parts: dict[str, Parts] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    source: Path | None = None
    """Where what is held was read."""
    held: dict[str, dict[str, Array]] = field(default_factory=dict)
    """Machines as they were read, by stage."""
    warnings: list[Diagnostic] = field(default_factory=list)
    gather: list[Callable[[], None]] = field(default_factory=list)
    """What brings in what others have done, before it is written down."""
    prefix: str = ""

    def within(self, name: str) -> Book:
        """Return the same book for stages of one of several networks."""
        return replace(self, prefix=f"{name}: ")

    def batches(self, stage: str) -> Parts:
        """Return the batches of a stage that are done; who runs it adds to them."""
        return self.parts.setdefault(self.prefix + stage, [])

    def machine(self, stage: str, machine: Machine) -> Machine:
        """Keep a machine, put where it was when it was read.

        Raises:
            NeutramsError: NT0577, it was read from a file that no machine like this one wrote.
        """
        stage = self.prefix + stage
        self.machines[stage] = machine
        if stage in self.held:
            try:
                restore(machine, self.held.pop(stage))
            except ValueError as fault:
                assert self.source is not None
                raise damaged(self.source, f"{stage}: {fault}") from None
        return machine


def identity(
    programs: Sequence[Program], inputs: Mapping[str, Array], options: Mapping[str, object]
) -> dict[str, str]:
    """Return what a checkpoint belongs to: hashes of programs, inputs and code, and options."""
    chips = [replace(each.target, source="") for each in programs]  # wherever it was read from
    text = "".join(
        print_module(p.module, {}) + repr(c) for p, c in zip(programs, chips, strict=True)
    )
    return {
        "program": hashlib.sha256(text.encode()).hexdigest(),
        "inputs": arrays_digest(sorted(inputs.items())),
        **{name: str(value) for name, value in options.items()},
        "version of neutrams": code_digest(),
    }


@contextmanager
def kept(
    tell: Progress,
    programs: Sequence[Program],
    inputs: Mapping[str, Array],
    options: Mapping[str, object],
    *,
    checkpoint: str | Path = "",
    resume: str | Path = "",
    every: float | None = None,
) -> Iterator[Book]:
    """Yield a book; now and then, and where the block is interrupted, write it down.

    Args:
        tell: Told how far the run is.
        programs: What runs, and what runs beside it.
        inputs: On what.
        options: All else that results depend on, by name.
        checkpoint: Where to write it; without one and ``resume``, nothing is kept.
        resume: What to go on from; by default it is also where to write.
        every: Seconds from one checkpoint to the next; 0 for none, by default :data:`EVERY_S`.

    Raises:
        NeutramsError: NT0576, ``resume`` is of another run; NT0577, it is no whole checkpoint;
            NT0020, nothing can be written there; NT0590, ``every`` is given, and no place.
        Interrupted: a signal came; it says where the checkpoint is. Where the block cannot
            write a file (NT0020), what is done is kept too.
    """
    if not checkpoint and not resume:
        if every:
            what = "say where: --checkpoint FILE"
            raise NeutramsError(without_effect("--checkpoint-every", "nothing is kept", what))
        yield Book(tell)
        return
    path = Path(checkpoint or resume)
    mine = functools.cache(lambda: identity(programs, inputs, options))
    found = Book(tell)
    if resume:
        content = read_checkpoint(Path(resume), mine())
        found = Book(tell, parts=content.parts, held=content.states, source=Path(resume))
    check_writable(path)
    with stoppable(lambda: tell("stopping; Ctrl-C again stops at once", 0, 0)) as stop:
        keeper = _Keeper(path, found, mine, stop, EVERY_S if every is None else every)
        found.check = keeper.look

        def told(stage: str, done: int, total: int) -> None:
            if not stop.asked:  # else that is what stays told
                tell(stage, done, total)
            keeper.look()

        found.tell = told
        try:
            yield found
        except OtherParts as fault:
            raise damaged(path, str(fault)) from None
        except Interrupted as fault:
            keeper.write()
            fault.checkpoint = str(path)
            raise
        except NeutramsError as fault:
            if any(each.code == "NT0020" for each in fault.diagnostics) and keeper.tried():
                go_on = f"what is done is in `{path}`: go on with --resume {path}"
                raise NeutramsError(*(each.help(go_on) for each in fault.diagnostics)) from None
            raise


class _Keeper:
    """Writes a book down when it is time to, and stops the run when that is asked."""

    def __init__(
        self,
        path: Path,
        book: Book,
        mine: Callable[[], Mapping[str, str]],
        stop: Stop,
        every: float,
    ) -> None:
        self._path, self._book, self._mine, self._stop = path, book, mine, stop
        self._every, self._due = every, time.monotonic() + every
        self._busy = threading.Lock()

    def look(self) -> None:
        """Do what is due; runs may ask from several threads."""
        if self._stop.asked:
            self._gather()
        self._stop.check()
        if not self._every or time.monotonic() < self._due:
            return
        if self._busy.acquire(blocking=False):
            try:
                self._keep()
            finally:
                self._busy.release()

    def write(self) -> None:
        """Write down what is done."""
        book = self._book
        states = {stage: snapshot(machine) for stage, machine in book.machines.items()}
        write_checkpoint(self._path, book.parts, states | book.held, self._mine())

    def tried(self) -> bool:
        """Write down what is done, and return whether that went well."""
        try:
            self.write()
        except NeutramsError:
            return False
        return True

    def _keep(self) -> None:
        """Write, though a full disk is no reason to end a run; the next is due as late again."""
        begun = time.monotonic()
        try:
            self._gather()
            self.write()
        except NeutramsError as fault:
            if not self._book.warnings:
                self._book.warnings += [replace(d, severity="warning") for d in fault.diagnostics]
        ended = time.monotonic()
        self._due = ended + max(self._every, (ended - begun) / SHARE)

    def _gather(self) -> None:
        for bring in self._book.gather:
            bring()
