"""A program for other tools: JSON and arrays for a chip (``docs/image.md``), or ONNX."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from neutrams.driver.effects import without_effect
from neutrams.driver.npz import write_npz
from neutrams.driver.resources import ChipFacts, numbers, turns
from neutrams.driver.samples import SampleSource
from neutrams.driver.sources import clone
from neutrams.ir.crossbar import program as cells_of
from neutrams.ir.diagnostics import Diagnostic, NeutramsError
from neutrams.ir.files import atomic_write
from neutrams.ir.graph import Graph
from neutrams.ir.op import Weight
from neutrams.ir.ops.chip import Flow, Stage
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.text import print_graph
from neutrams.ir.types import Array
from neutrams.simulator.traffic.flows import Flows

FORMAT = 3

KINDS = ("image", "onnx", "qdq")
"""What a program can be exported to."""


def export(
    program: Program,
    out: str | Path,
    *,
    to: str = "image",
    inputs: SampleSource | None = None,
    notes: list[Diagnostic] | None = None,
) -> list[Path]:
    """Write a program for other tools and return the paths of the files.

    An ``image`` is ``OUT.json``, which describes blocks, crossbars, routes and schedule, and
    ``OUT.npz``, signed integer weights and cell levels. With ``onnx`` the file ``OUT`` holds the
    unit graph in standard ONNX, spelled in integers; with ``qdq`` in floats between
    QuantizeLinear and DequantizeLinear, which is approximate: ``inputs`` are samples on which that
    is measured. Each file appears whole or not at all. ``notes`` is given the warnings.

    Raises:
        NeutramsError: NT0020, a file cannot be written; NT0550 and NT0553, there is no such ONNX;
            NT0590, there are samples and nothing to measure.
    """
    assert to in KINDS, to
    if inputs is not None and to != "qdq":
        why, what = f"`{to}` is exact, so nothing is measured", "leave it out, or --to qdq"
        raise NeutramsError(without_effect("--inputs", why, what))
    if to in ("onnx", "qdq"):
        return [_write_onnx(program, Path(out), notes, qdq=to == "qdq", inputs=inputs)]
    arrays: dict[str, Array] = {}
    description = describe(program, arrays)
    base = Path(out)
    paths = [base.with_name(base.name + suffix) for suffix in (".npz", ".json")]
    write_npz(paths[0], arrays)
    with atomic_write(paths[1]) as file:
        file.write((json.dumps(description, indent=1) + "\n").encode())
    return paths


def _write_onnx(
    program: Program,
    path: Path,
    notes: list[Diagnostic] | None,
    *,
    qdq: bool,
    inputs: SampleSource | None,
) -> Path:
    from neutrams.driver.approximation import approximate
    from neutrams.driver.onnx import to_onnx

    made = to_onnx(program, qdq=qdq)
    if notes is not None:
        notes += made.warnings
        notes += [approximate(program, inputs)] if qdq else []
    with atomic_write(path) as file:
        file.write(made.model.SerializeToString(deterministic=True))
    return path


def describe(program: Program, arrays: dict[str, Array]) -> dict[str, Any]:
    """Return the JSON part of an image and put its arrays in ``arrays``."""
    facts = ChipFacts.of(program)
    main, machine = program.module["main"], program.target.machine
    units = [op for op, _ in working_ops(main) if isinstance(op, Mvm)]
    return {
        "format": FORMAT,
        "target": program.target.name,
        "core": asdict(machine.core),
        "crossbars_per_core": machine.core.crossbars,
        "cores_per_tile": machine.cores_per_tile,
        "units": [_unit(op, facts, arrays) for op in units],
        "digital": [
            {"value": name, "tiles": numbers(op.tiles).tolist()}
            for name, op in facts.vectors.items()
        ],
        "network": {
            "flit_bits": machine.network.flit_bits,
            "multicast": machine.network.multicast,
        },
        "tiles": _tiles(facts),
        "routes": _routes(program, facts),
        "schedule": [op.attributes() for op in program.module["chip"].ops if isinstance(op, Stage)],
        "program": _text(main, arrays).splitlines(),
    }


def _text(main: Graph, arrays: dict[str, Array]) -> str:
    """Print the unit graph; cells hold its matrices, so that only their shapes are in the text."""
    shown = clone(main, name=main.name)
    for op, _ in working_ops(shown):
        if isinstance(op, Mvm):
            assert isinstance(op.w, Weight)
            op.w.data = None
    return print_graph(shown, arrays)


def _unit(op: Mvm, facts: ChipFacts, arrays: dict[str, Array]) -> dict[str, Any]:
    """Describe a unit's blocks; cells hold levels, 0 the least conductance."""
    assert isinstance(op.w, Weight)
    assert op.w.data is not None
    name = op.result.name
    group = facts.groups[name]
    table = op.table()
    for index, block in enumerate(table):
        weights = op.block_weights(op.w.data, block)
        cells = cells_of(weights, op.encoding)
        arrays[f"{name}/{index}/weights"] = weights
        arrays[f"{name}/{index}/cells"] = cells.codes.astype(
            np.min_scalar_type(op.encoding.cell_max)
        )
        arrays[f"{name}/{index}/flipped"] = cells.flipped
    return {
        "value": name,
        "copies": group.copies,
        "blocks": table.tolist(),
        "crossbars": numbers(group.crossbars).reshape(group.copies, -1).tolist(),
        "rounds": turns(group)[: len(table)].tolist(),
        "converter_rows": op.encoding.rows,
        **{key: value for key, value in op.attributes().items() if key not in ("rows", "neurons")},
    }


def _tiles(facts: ChipFacts) -> list[dict[str, int]]:
    xs, ys = numbers(facts.place.x), numbers(facts.place.y)
    return [{"x": x, "y": y} for x, y in zip(xs.tolist(), ys.tolist(), strict=True)]


def _routes(program: Program, facts: ChipFacts) -> list[dict[str, Any]]:
    """Flows go along the row of their source first, then along the column of their target."""
    found: list[dict[str, Any]] = []
    xs, ys = numbers(facts.place.x), numbers(facts.place.y)
    for op in program.module["chip"].ops:
        if not isinstance(op, Flow):
            continue
        for row in Flows.of(op, program.target.machine.network.flit_bits).rows():
            start, end = row["source"], row["target"]
            path = _xy((int(xs[start]), int(ys[start])), (int(xs[end]), int(ys[end])))
            found.append({"value": op.unit, **row, "routers": path})
    return found


def _xy(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the routers from start to end, both included."""
    (x, y), (to_x, to_y) = start, end
    along = [(column, y) for column in _steps(x, to_x)]
    return along + [(to_x, row) for row in _steps(y, to_y)][1:]


def _steps(start: int, end: int) -> range:
    return range(start, end + 1) if start <= end else range(start, end - 1, -1)
