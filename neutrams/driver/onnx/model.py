"""A program's unit graph as one ONNX model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx
from onnx import helper

from neutrams.driver.onnx import (
    elementwise,
    images,
    layers,
    moves,
    products,
    sequences,
    steps,
    units,
)
from neutrams.driver.onnx.emitter import ONNX_TYPES, RULES, Emitter
from neutrams.driver.onnx.qdq import QdqEmitter
from neutrams.ir.crossbar import lossless
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error, warning
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value, Weight
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.version import VERSION

_RULES = (elementwise, images, layers, moves, products, sequences, steps, units)
"""The modules that fill the table of rules."""

OPSET = 21
IR_VERSION = 10
"""The newest that onnxruntime 1.20, the oldest one supported, reads."""

LARGEST = 2**31 - 2**20
"""Bytes of weights that one file may hold; a protobuf message ends at 2 GiB."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An ONNX model of a unit graph, and what there is to say about it."""

    model: onnx.ModelProto
    tensors: dict[str, str]
    """For each value of the graph the tensor that holds it; partial sums that were merged at
    once have none."""
    lossy: tuple[str, ...]
    """Units whose converters may lose bits, so that their integers need not agree."""
    warnings: tuple[Diagnostic, ...]


def to_onnx(program: Program, *, keep: Iterable[str] = (), qdq: bool = False) -> Exported:
    """Write the ``main`` graph of a program with standard ONNX operators over integers.

    Args:
        program: What :func:`neutrams.compile` made.
        keep: Names of values that become outputs as well, under the names of their tensors.
        qdq: Write float operators between DequantizeLinear and QuantizeLinear where there are
            such, which is approximate; what ``keep`` names within them is left out.

    Raises:
        NeutramsError: NT0550, some ops have no spelling in ONNX, all of them named; NT0553, the
            weights are too many for one file.
    """
    graph = program.module["main"]
    original = program.module.graphs.get("float")
    emit = QdqEmitter(graph, original) if qdq else Emitter(graph)
    _write(graph, emit)
    tensors = {value.name: name for value, name in emit.names.items() if name}
    outputs = _outputs(graph, emit)
    values = {value.name: value for value in graph.values()}
    shown = {info.name for info in outputs}
    for name in keep:
        if name in tensors and tensors[name] not in shown:
            outputs.append(_info(values[name], tensors[name]))
            shown.add(tensors[name])
    mvms = [op for op, _ in working_ops(graph) if isinstance(op, Mvm)]
    lossy = tuple(op.result.name for op in mvms if not _exact(op))
    return Exported(_model(program, emit, outputs, lossy), tensors, lossy, _warnings(lossy))


def _write(graph: Graph, emit: Emitter) -> None:
    faults: list[Diagnostic] = []
    missing: set[Value] = set()
    for op in graph.ops:
        if any(value in missing for value in op.present):
            missing.update(op.results)
        try:
            if type(op) not in RULES:
                raise op.fault("NT0550", "has no spelling in ONNX")
            if not any(value in missing for value in op.results):
                emit.write(op)
        except NeutramsError as fault:
            missing.update(op.results)
            made = ", ".join(f"`{value.name}`" for value in op.results) or "nothing"
            faults += [d.note(f"it makes {made}") for d in fault.diagnostics]
    if faults:
        raise NeutramsError(*faults)


def _outputs(graph: Graph, emit: Emitter) -> list[onnx.ValueInfoProto]:
    """Give every output a tensor of the name that users know it by."""
    found = []
    for value, name in zip(graph.outputs, graph.output_names, strict=True):
        emit.nodes.append(helper.make_node("Identity", [emit[value]], [name], name=name))
        found.append(_info(value, name))
    return found


def _info(value: Value, name: str) -> onnx.ValueInfoProto:
    dims = [dim if isinstance(dim, int) else str(dim) for dim in value.type.shape]
    return helper.make_tensor_value_info(name, ONNX_TYPES[value.type.dtype], dims)


def _model(
    program: Program, emit: Emitter, outputs: list[onnx.ValueInfoProto], lossy: tuple[str, ...]
) -> onnx.ModelProto:
    size = sum(prod(t.dims) * 8 for t in emit.constants.values())
    if size > LARGEST and sum(t.ByteSize() for t in emit.constants.values()) > LARGEST:
        raise NeutramsError(
            error("NT0553", "the weights take more than the 2 GiB that one ONNX file may hold")
        )
    inputs = [_info(value, emit.names[value]) for value in emit.graph.inputs]
    made = helper.make_graph(
        emit.nodes, program.module["main"].name, inputs, outputs, list(emit.constants.values())
    )
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="neutrams",
        producer_version=VERSION,
    )
    facts = {"target": program.target.name, "lossy_units": " ".join(lossy)}
    helper.set_model_props(model, {key: text for key, text in facts.items() if text})
    return model


def _exact(op: Mvm) -> bool:
    """Whether the converters lose nothing, whatever the input."""
    if not op.encoding.adc_bits:
        return True
    if not isinstance(op.w, Weight) or op.w.data is None:
        return False
    held = (op.block_weights(op.w.data, block) for block in op.table())
    return all(np.all(lossless(weights, op.encoding)) for weights in held)


def _warnings(lossy: tuple[str, ...]) -> tuple[Diagnostic, ...]:
    if not lossy:
        return ()
    count = "a unit" if len(lossy) == 1 else f"{len(lossy)} units"
    return (
        warning("NT0551", f"converters may lose bits in {count}, and ONNX has no such converter")
        .note("the exported model gives the exact sums of " + ", ".join(f"`{n}`" for n in lossy))
        .help("with wider converters (`--set core.adc_bits=...`) the integers agree"),
    )
