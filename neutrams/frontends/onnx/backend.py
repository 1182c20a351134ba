"""The reference interpreter as an ONNX backend, so that ONNX's own test suite can judge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, helper
from onnx.backend.base import Backend, BackendRep, Device, DeviceType

from neutrams.frontends.onnx.importer import ImportOptions, import_graph
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.types import Array

NEEDED = frozenset({"NT0605"})
"""Diagnostics that say that an input must be known when compiling."""


class ReferenceRep(BackendRep):
    """A model ready to run.

    A compiler has to know shapes, axes and counts. Where a model takes them as inputs, it is
    compiled anew for the values given (:func:`specialised`).
    """

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        stored = {tensor.name for tensor in model.graph.initializer}
        self.names = [v.name for v in model.graph.input if v.name not in stored]

    def run(self, inputs: Sequence[Array] | Mapping[str, Array], **_: Any) -> tuple[Array, ...]:
        """Return the outputs, in the model's order.

        Raises:
            NeutramsError: the model cannot be imported, or the inputs do not fit it.
        """
        if not isinstance(inputs, Mapping):
            inputs = dict(zip(self.names, inputs, strict=False))
        graph = specialised(self.model, inputs)
        given = {name: inputs[name] for name in (v.origin for v in graph.inputs)}
        named = {v.name: given[v.origin] for v in graph.inputs}
        with np.errstate(all="ignore"):
            found = interpret(graph, named)
        return tuple(found[value.name] for value in self.model.graph.output)


class ReferenceBackend(Backend):
    """Runs models on the reference interpreter, on the CPU."""

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **_: Any) -> ReferenceRep:
        return ReferenceRep(model)

    @classmethod
    def run_node(
        cls, node: NodeProto, inputs: Sequence[Array], device: str = "CPU",
        outputs_info: Sequence[tuple[Any, tuple[int, ...]]] | None = None, **_: Any,
    ) -> tuple[Array, ...]:  # fmt: skip
        """Run one node; its inputs must all be given, its outputs need not be described."""
        arrays = [np.asarray(array) for array in inputs]
        names = [name for name in node.input if name]
        taken = [_described(n, a) for n, a in zip(names, arrays, strict=True)]
        made = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        graph = helper.make_graph([node], node.op_type, taken, made)
        return ReferenceRep(helper.make_model(graph)).run(arrays)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return bool(Device(device).type == DeviceType.CPU)


def specialised(model: ModelProto, inputs: Mapping[str, Array]) -> Graph:
    """Import a model with as few inputs made constant as it needs.

    Tried in turn: no input; integer vectors and numbers but the first input; all vectors and
    numbers but the first input; the first input too.

    Raises:
        NeutramsError: as :func:`import_graph`.
    """
    small = [name for name, array in inputs.items() if np.ndim(array) <= 1]
    rest = [name for name in small if name != next(iter(inputs))]
    whole = [name for name in rest if np.asarray(inputs[name]).dtype.kind in "iu"]
    tries = list(dict.fromkeys(tuple(names) for names in ([], whole, rest, small)))
    for fixed in tries:
        options = ImportOptions(finite=False, fixed={name: inputs[name] for name in fixed})
        try:
            return import_graph(model, options)
        except NeutramsError as fault:
            codes = {d.code for d in fault.diagnostics}
            if not codes & NEEDED or fixed == tries[-1]:
                raise
    raise AssertionError("the last try returns or raises")


def _described(name: str, array: Array) -> Any:
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
    )


prepare = ReferenceBackend.prepare
run = ReferenceBackend.run_model
supports_device = ReferenceBackend.supports_device
