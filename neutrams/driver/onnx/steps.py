"""Runs of a cell over a sequence, as ONNX's ``Scan``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from neutrams.driver.onnx.emitter import ONNX_TYPES, RULES, Emitter, rule
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.time import SAME, Next, Run, State
from neutrams.ir.types import Dim, Symbol, TensorType


@rule(Run)
def run(op: Run, emit: Emitter) -> tuple[str, ...]:
    """Write a cell as the body of a scan; weights and what every step reads are of the outside."""
    before = dict(emit.names)
    pairs = list(zip(op.cell.inputs, op.sources, op.over, strict=True))
    emit.names.update((inner, emit[outer]) for inner, outer, axis in pairs if axis == SAME)
    states = [_chain(op, each, emit) for each in op.cell.ops if isinstance(each, State)]
    body = _body(op, states, emit)
    scanned = [(emit[outer], axis) for _, outer, axis in pairs if axis != SAME]
    if not scanned:
        scanned = [(emit.ints(range(op.steps)), 0)]
    made = emit.several(
        "Scan",
        *(state.first for state in states for _ in state.places),
        *(tensor for tensor, _ in scanned),
        outputs=len(body.output),
        body=body,
        num_scan_inputs=len(scanned),
        scan_input_axes=[axis for _, axis in scanned],
        scan_input_directions=[int(op.reverse)] * len(scanned),
        scan_output_axes=[max(axis, 0) for axis in op.stack],
        scan_output_directions=[int(op.reverse and axis != SAME) for axis in op.stack],
    )
    emit.names = before | {v: name for v, name in emit.names.items() if isinstance(v, Weight)}
    results = made[len(made) - len(op.stack) :]
    last = emit.constant(_LAST) if SAME in op.stack else ""
    return tuple(
        emit.add("Gather", name, last, axis=0) if axis == SAME else name
        for name, axis in zip(results, op.stack, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _State:
    """A state with a tensor for every step of its delay, the newest first."""

    op: State
    first: str
    places: tuple[str, ...]


def _chain(run: Run, op: State, emit: Emitter) -> _State:
    for maker in _makers(run, op.initial):
        emit.write(maker)
    first = emit.add("Expand", emit[op.initial], _shape(run, op.shape, emit))
    name = op.result.name
    places = tuple(emit.fresh(f"{name}.{index}") for index in range(op.delay))
    return _State(op, first, places)


def _makers(run: Run, value: Value) -> list[Op]:
    """Return the ops of the cell that make an initial value, operands first."""
    inputs = dict(zip(run.cell.inputs, run.over, strict=True))
    if inputs.get(value, SAME) != SAME or isinstance(value.op, State | Run):
        raise run.fault("NT0550", "a state begins with what only a step knows")
    if value.op is None:
        return []
    found: list[Op] = []
    for operand in value.op.present:
        found += [op for op in _makers(run, operand) if op not in found]
    return [*found, value.op]


def _shape(run: Run, shape: Sequence[Dim], emit: Emitter) -> str:
    """Return a tensor that holds a shape, its symbols read from the operands of the run."""
    if not any(isinstance(dim, Symbol) for dim in shape):
        return emit.ints(dim for dim in shape if isinstance(dim, int))
    parts = [_size(run, dim, emit) for dim in shape]
    return emit.add("Concat", *parts, axis=0)


def _size(run: Run, dim: Dim, emit: Emitter) -> str:
    if isinstance(dim, int):
        return emit.ints([dim])
    for source in run.sources:
        if dim in source.type.shape:
            axis = source.type.shape.index(dim)
            return emit.add("Shape", emit[source], start=axis, end=axis + 1)
    raise run.fault("NT0550", f"no operand has the size `{dim}` of a state")


def _body(run: Run, states: Sequence[_State], emit: Emitter) -> onnx.GraphProto:
    outside, emit.nodes = emit.nodes, []
    cell = run.cell
    inputs = [_info(p, s.op.result.type) for s in states for p in s.places]
    for value, axis in zip(cell.inputs, run.over, strict=True):
        if axis != SAME:
            emit.names[value] = emit.fresh(value.name)
            inputs.append(_info(emit.names[value], value.type))
    if all(axis == SAME for axis in run.over):
        inputs.append(helper.make_tensor_value_info(emit.fresh("step"), _COUNT, []))
    emit.names.update((s.op.result, s.places[-1]) for s in states)
    written = {op.slot: op.value for op in cell.ops if isinstance(op, Next)}
    for op in cell.ops:
        if isinstance(op, State | Next):
            continue
        if type(op) not in RULES:
            raise op.fault("NT0550", "has no spelling in ONNX")
        emit.write(op)
    outputs = []
    for state in states:
        moved = (emit[written[state.op.slot]], *state.places[:-1])
        outputs += [_output(name, state.op.result.type, emit) for name in moved]
    outputs += [_output(emit[value], value.type, emit) for value in cell.outputs]
    nodes, emit.nodes = emit.nodes, outside
    return helper.make_graph(nodes, cell.name, inputs, outputs)


def _output(name: str, type: TensorType, emit: Emitter) -> onnx.ValueInfoProto:
    """Name a value once more, since a graph may give each tensor out only once."""
    return _info(emit.add("Identity", name), type)


def _info(name: str, type: TensorType) -> onnx.ValueInfoProto:
    dims = [dim if isinstance(dim, int) else str(dim) for dim in type.shape]
    return helper.make_tensor_value_info(name, ONNX_TYPES[type.dtype], dims)


_COUNT = onnx.TensorProto.INT64
_LAST = np.array(-1, np.int64)
