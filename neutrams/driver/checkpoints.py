"""What is done of a simulation, kept so that it goes on later as if it had never stopped.

A checkpoint is one safetensors file: batches that are done, and machines of the cycle grain as they
stood. Its metadata say of which program, inputs and options it is; it is taken up for no others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from neutrams.driver.cache import arrays_digest, code_digest
from neutrams.driver.interrupts import Interrupted, Stop, stoppable
from neutrams.driver.progress import Progress
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, error
from neutrams.ir.files import atomic_write
from neutrams.ir.program import Program
from neutrams.ir.text import print_module
from neutrams.ir.types import Array
from neutrams.simulator.cycle import Machine
from neutrams.simulator.cycle.snapshot import restore, snapshot
from neutrams.simulator.run import OtherParts, Parts

FORMAT = "neutrams checkpoint 1"


@dataclass(slots=True)
class Book:
    """What is done of a run, stage by stage."""

    tell: Progress
    """Told how far the run is; stops it where that is asked."""
    check: Callable[[], None] = lambda: None
    """Stops the run where that is asked."""
    parts: dict[str, Parts] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    source: Path | None = None
    """Where what is held was read."""
    held: dict[str, dict[str, Array]] = field(default_factory=dict)
    """Machines as they were read, by stage."""

    def batches(self, stage: str) -> Parts:
        """Return the batches of a stage that are done; who runs it adds to them."""
        return self.parts.setdefault(stage, [])

    def machine(self, stage: str, machine: Machine) -> Machine:
        """Keep a machine, put where it was when it was read.

        Raises:
            NeutramsError: NT0577, it was read from a file that no machine like this one wrote.
        """
        self.machines[stage] = machine
        if stage in self.held:
            try:
                restore(machine, self.held.pop(stage))
            except ValueError as fault:
                assert self.source is not None
                raise _damaged(self.source, f"{stage}: {fault}") from None
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
) -> Iterator[Book]:
    """Yield a book; where the block is interrupted, write it down.

    Args:
        tell: Told how far the run is.
        programs: What runs, and what runs beside it.
        inputs: On what.
        options: All else that results depend on, by name.
        checkpoint: Where to write it; without one and ``resume``, nothing is kept.
        resume: What to go on from; by default it is also where to write.

    Raises:
        NeutramsError: NT0576, ``resume`` is of another run; NT0577, it is no whole checkpoint.
        Interrupted: SIGINT or SIGTERM came; it says where the checkpoint is.
    """
    if not checkpoint and not resume:
        yield Book(tell)
        return
    mine = identity(programs, inputs, options) if resume else {}
    found = _read(Path(resume), mine) if resume else Book(tell)
    path = Path(checkpoint or resume)
    with stoppable(lambda: tell("stopping; Ctrl-C again stops at once", 0, 0)) as stop:
        found.tell, found.check = _watched(tell, stop), stop.check
        try:
            yield found
        except OtherParts as fault:
            raise _damaged(path, str(fault)) from None
        except Interrupted as fault:
            _write(path, found, mine or identity(programs, inputs, options))
            fault.checkpoint = str(path)
            raise


def _watched(tell: Progress, stop: Stop) -> Progress:
    def told(stage: str, done: int, total: int) -> None:
        tell(stage, done, total)
        stop.check()

    return told


def _write(path: Path, book: Book, mine: Mapping[str, str]) -> None:
    from safetensors.numpy import save

    arrays: dict[str, Array] = {}
    for stage, parts in book.parts.items():
        for number, part in enumerate(parts):
            arrays |= {f"batch/{stage}/{number}/{name}": array for name, array in part.items()}
    states = {stage: snapshot(machine) for stage, machine in book.machines.items()} | book.held
    for stage, state in states.items():
        arrays |= {f"machine/{stage}/{name}": array for name, array in state.items()}
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    about = {
        "format": FORMAT,
        "of": json.dumps(mine),
        "sha256": arrays_digest(sorted(arrays.items())),
    }
    with atomic_write(path) as file:
        file.write(save(arrays, about))


def _read(path: Path, mine: Mapping[str, str]) -> Book:
    arrays, about = _arrays(path)
    if about.get("format") != FORMAT:
        raise _damaged(path, f"it is not of format `{FORMAT}`")
    if about.get("sha256") != arrays_digest(sorted(arrays.items())):
        raise _damaged(path, "its content does not match its SHA-256")
    try:
        theirs = json.loads(about.get("of", ""))
    except (ValueError, RecursionError):
        theirs = None
    if not isinstance(theirs, dict):
        raise _damaged(path, "it does not say of what it is")
    if theirs != mine:
        raise NeutramsError(_of_another_run(path, theirs, mine))
    book = Book(lambda *_: None, source=path)
    for key in sorted(arrays, key=_place):
        match key.split("/", 3):
            case ["machine", stage, name]:
                book.held.setdefault(stage, {})[name] = arrays[key]
            case ["batch", stage, number, name] if _place(key)[0] >= 0:
                _add(path, book.batches(stage), stage, int(number), {name: arrays[key]})
            case _:
                raise _damaged(path, f"`{key}` is no part of a run")
    return book


def _place(key: str) -> tuple[int, str]:
    """Return the number of the batch that a key names, and the key; -1 where it names none."""
    number = (key.split("/", 3) + [""] * 3)[2]
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else -1, key


def _add(path: Path, parts: Parts, stage: str, number: int, part: dict[str, Array]) -> None:
    """Add an output to a batch; batches come in order."""
    if number > len(parts):
        raise _damaged(path, f"a batch of `{stage}` is missing")
    if number == len(parts):
        parts.append({})
    parts[number] |= part


def _arrays(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            names: list[str] = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError, ValueError, TypeError) as fault:
        raise _damaged(path, str(fault)) from None


def _of_another_run(
    path: Path, theirs: Mapping[str, object], mine: Mapping[str, str]
) -> Diagnostic:
    """Say in what a checkpoint is of another run."""
    fault = error("NT0576", f"`{path}` is a checkpoint of another run").at(Place(str(path)))
    for name in dict.fromkeys([*mine, *theirs]):
        held, given = str(theirs.get(name, "none")), mine.get(name, "none")
        if held != given:
            fault = fault.note(f"{name}: there {_short(held)}, here {_short(given)}")
    return fault.help("give the same program, inputs and options, or start anew without --resume")


def _short(text: str) -> str:
    return f"`{text[:12]}…`" if len(text) > 40 else f"`{text}`"


def _damaged(path: Path, why: str) -> NeutramsError:
    fault = error("NT0577", f"`{path}` is not a whole checkpoint").at(Place(str(path)))
    return NeutramsError(fault.note(why).help("start anew, without --resume"))
