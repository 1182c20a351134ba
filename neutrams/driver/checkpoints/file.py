"""A checkpoint as a file: safetensors, whose metadata say of which run it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from neutrams.driver.sweeping.cache import arrays_digest
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, error
from neutrams.ir.files import atomic_write
from neutrams.ir.types import Array
from neutrams.simulator.run import Parts

FORMAT = "neutrams checkpoint 2"

State = Mapping[str, Array]
"""A machine as it stood."""


@dataclass(slots=True)
class Content:
    """What a checkpoint holds, by stage."""

    parts: dict[str, Parts] = field(default_factory=dict)
    """Batches that are done."""
    states: dict[str, dict[str, Array]] = field(default_factory=dict)


def write_checkpoint(
    path: Path, parts: Mapping[str, Parts], states: Mapping[str, State], mine: Mapping[str, str]
) -> None:
    """Write what is done; others may add batches meanwhile.

    Raises:
        NeutramsError: NT0020, it cannot be written.
    """
    from safetensors.numpy import save

    arrays: dict[str, Array] = {}
    for stage, done in list(parts.items()):
        for number, part in enumerate(list(done)):
            arrays |= {f"batch/{_key(stage)}/{number}/{name}": a for name, a in part.items()}
    for stage, state in states.items():
        arrays |= {f"machine/{_key(stage)}/{name}": array for name, array in state.items()}
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    about = {
        "format": FORMAT,
        "of": json.dumps(mine),
        "sha256": arrays_digest(sorted(arrays.items())),
    }
    with atomic_write(path) as file:
        file.write(save(arrays, about))


def read_checkpoint(path: Path, mine: Mapping[str, str]) -> Content:
    """Return what a checkpoint holds.

    Raises:
        NeutramsError: NT0576, it is of another run; NT0577, it is no whole checkpoint.
    """
    arrays, about = _arrays(path)
    if about.get("format") != FORMAT:
        raise damaged(path, f"it is not of format `{FORMAT}`")
    if about.get("sha256") != arrays_digest(sorted(arrays.items())):
        raise damaged(path, "its content does not match its SHA-256")
    try:
        theirs = json.loads(about.get("of", ""))
    except (ValueError, RecursionError):
        theirs = None
    if not isinstance(theirs, dict):
        raise damaged(path, "it does not say of what it is")
    if theirs != mine:
        raise NeutramsError(_of_another_run(path, theirs, mine))
    found = Content()
    for key in sorted(arrays, key=_place):
        match key.split("/", 3):
            case ["machine", stage, name]:
                found.states.setdefault(unquote(stage), {})[name] = arrays[key]
            case ["batch", stage, number, name] if _place(key)[0] >= 0:
                parts = found.parts.setdefault(unquote(stage), [])
                _add(path, parts, stage, int(number), {name: arrays[key]})
            case _:
                raise damaged(path, f"`{key}` is no part of a run")
    return found


def _key(stage: str) -> str:
    """Return a stage's name without slashes."""
    return quote(stage, safe=" :")


def _place(key: str) -> tuple[int, str]:
    """Return the number of the batch that a key names, and the key; -1 where it names none."""
    number = (key.split("/", 3) + [""] * 3)[2]
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else -1, key


def _add(path: Path, parts: Parts, stage: str, number: int, part: dict[str, Array]) -> None:
    """Add an output to a batch; batches come in order."""
    if number > len(parts):
        raise damaged(path, f"a batch of `{stage}` is missing")
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
        raise damaged(path, str(fault)) from None


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


def damaged(path: Path, why: str) -> NeutramsError:
    """Return the fault of a file that is no whole checkpoint."""
    fault = error("NT0577", f"`{path}` is not a whole checkpoint").at(Place(str(path)))
    return NeutramsError(fault.note(why).help("start anew, without --resume"))
