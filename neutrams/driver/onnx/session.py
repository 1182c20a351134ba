"""An exported model in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from neutrams.driver.onnx.model import Exported
from neutrams.driver.parity.traces import Trace
from neutrams.ir.diagnostics import NeutramsError, Place, error
from neutrams.ir.graph import Graph
from neutrams.ir.program import Program
from neutrams.ir.types import Array
from neutrams.simulator import run_batched


@dataclass(frozen=True, slots=True)
class Session:
    """A model ready to run on samples, and which of its outputs are values of the graph."""

    graph: Graph
    session: Any
    inputs: dict[str, str]
    """For each input of the graph the tensor it feeds."""
    values: dict[str, str]
    """For each value of the graph that is to be had the output that holds it."""

    @staticmethod
    def of(program: Program, exported: Exported, path: str | Path | None) -> Session | str:
        """Load an export, or a file that should be one; a text where onnxruntime refuses it.

        Raises:
            NeutramsError: NT0552, the file is no export of the program.
        """
        import onnxruntime as ort
        from onnxruntime.capi import onnxruntime_pybind11_state as faults

        graph = program.module["main"]
        model = exported.model if path is None else _read(Path(path), exported, graph)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        refusals = (faults.Fail, faults.InvalidArgument, faults.InvalidGraph, faults.NotImplemented)
        try:
            session = ort.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except refusals as fault:
            return f"onnxruntime refuses the model: {str(fault).splitlines()[0]}"
        made = {output.name for output in model.graph.output}
        values = {name: tensor for name, tensor in exported.tensors.items() if tensor in made}
        values |= {v.name: name for v, name in zip(graph.outputs, graph.output_names, strict=True)}
        inputs = {value.name: exported.tensors[value.name] for value in graph.inputs}
        return Session(graph, session, inputs, values)

    def run(self, samples: Mapping[str, Array]) -> dict[str, Array]:
        """Return every value that is to be had, for all samples."""
        trace = Trace.of(self.graph, only=set(self.values))
        tensors = {name: self.values[value] for value, name in trace.shown.items()}
        # a value may be an output under several names
        pairs = zip(trace.graph.output_names, trace.graph.outputs, strict=True)
        held = [(name, value.name) for name, value in pairs]

        def batch(part: dict[str, Array]) -> dict[str, Array]:
            feed = {self.inputs[name]: array for name, array in part.items()}
            made = dict(zip(tensors, self.session.run(list(tensors.values()), feed), strict=True))
            return {name: made[trace.shown[value]] for name, value in held}

        return trace.values_of(run_batched(trace.graph, samples, batch).outputs)


def _read(path: Path, exported: Exported, graph: Graph) -> onnx.ModelProto:
    """Read a model, and make outputs of the tensors that hold values of the graph."""
    try:
        model = onnx.load(path)
    except (OSError, DecodeError) as fault:
        why = getattr(fault, "strerror", None) or "it is no ONNX model"
        raise _foreign(path, why) from None
    given = {info.name for info in (*model.graph.input, *model.graph.output)}
    wanted = [*(info.name for info in exported.model.graph.input), *graph.output_names]
    if missing := [name for name in wanted if name not in given]:
        raise _foreign(path, f"it has no input or output `{missing[0]}`")
    made = {name for node in model.graph.node for name in node.output}
    shown = {info.name for info in model.graph.output}
    for info in exported.model.graph.output:
        if info.name in made - shown:
            model.graph.output.append(info)
    return model


def _foreign(path: Path, why: str) -> NeutramsError:
    return NeutramsError(
        error("NT0552", "the model is no export of this program")
        .at(Place(str(path)))
        .note(why)
        .help("write it again: neutrams export PROGRAM --to onnx -o FILE")
    )
