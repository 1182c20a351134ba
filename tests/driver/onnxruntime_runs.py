"""Graphs exported to ONNX and run by onnxruntime, beside the interpreter's values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import pytest

from neutrams import targets
from neutrams.driver.onnx import Exported, to_onnx
from neutrams.ir.graph import Graph, Module
from neutrams.ir.interpreter import interpret
from neutrams.ir.program import Program
from neutrams.ir.types import Array

ort = pytest.importorskip("onnxruntime")


def program_of(graph: Graph) -> Program:
    graph.name = "main"
    return Program(Module([graph]), targets.load("cim"))


def run(exported: Exported, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return every output of a model, its float functions left as they are written."""
    onnx.checker.check_model(exported.model, full_check=True)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        exported.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {exported.tensors[name]: array for name, array in inputs.items()}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def every_value(graph: Graph, inputs: Mapping[str, Array]) -> list[tuple[str, Array, Array]]:
    """Return name, meaning and onnxruntime's result of every value that ONNX holds."""
    meant: dict[str, Array] = {}
    with np.errstate(all="ignore"):
        interpret(graph, inputs, watch=lambda value, array: meant.update({value.name: array}))
    made = [value.name for op in graph.ops for value in op.results]
    exported = to_onnx(program_of(graph))
    kept = [name for name in made if name in exported.tensors]
    exported = to_onnx(program_of(graph), keep=kept)
    found = run(exported, inputs)
    named = dict(zip((v.name for v in graph.outputs), graph.output_names, strict=True))
    tensors = {name: exported.tensors[name] for name in kept}
    pairs = [(name, meant[name], found[tensor]) for name, tensor in tensors.items()]
    return pairs + [(output, meant[name], found[output]) for name, output in named.items()]
