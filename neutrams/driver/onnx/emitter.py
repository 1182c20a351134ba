"""The ONNX graph in the making, and the table of rules that write ops into it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
import onnx
from onnx import helper, numpy_helper

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.types import Array, DType, Symbol

T = TypeVar("T", bound=Op)
Made = str | tuple[str, ...]
Rule = Callable[[Any, "Emitter"], Made]
"""Writes the nodes of one op and returns the name of each of its results."""

RULES: dict[type[Op], Rule] = {}

ONNX_TYPES = {
    DType.F16: onnx.TensorProto.FLOAT16,
    DType.F32: onnx.TensorProto.FLOAT,
    DType.F64: onnx.TensorProto.DOUBLE,
    DType.I8: onnx.TensorProto.INT8,
    DType.I16: onnx.TensorProto.INT16,
    DType.I32: onnx.TensorProto.INT32,
    DType.I64: onnx.TensorProto.INT64,
    DType.U8: onnx.TensorProto.UINT8,
    DType.U16: onnx.TensorProto.UINT16,
    DType.U32: onnx.TensorProto.UINT32,
    DType.U64: onnx.TensorProto.UINT64,
    DType.BOOL: onnx.TensorProto.BOOL,
}


def rule(*classes: type[T]) -> Callable[[Callable[[T, Emitter], Made]], Rule]:
    """Register the rule of one or several op classes."""

    def register(function: Callable[[T, Emitter], Made]) -> Rule:
        for each in classes:
            assert each not in RULES, f"two rules for {each.name}"
            RULES[each] = function
        return function

    return register


class Emitter:
    """Nodes and constants written so far; values are known by the names of their tensors."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.outputs = {v for each in (graph, *graph.cells()) for v in each.outputs}
        """What the graph and its cells give out."""
        self.rules: Mapping[type[Op], Rule] = RULES
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.names: dict[Value, str] = {}
        self._taken = {*graph.output_names}
        self._stored: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self.stem = ""
        for value in graph.inputs:
            self.names[value] = self.fresh(value.name)

    def __getitem__(self, value: Value) -> str:
        """Return the tensor of a value; a weight is stored when it is first read."""
        if value not in self.names:
            assert isinstance(value, Weight), f"{value!r} is read before it is made"
            assert value.data is not None
            self.names[value] = self.constant(value.data, value.name)
        return self.names[value]

    def fresh(self, hint: str) -> str:
        name, count = hint, 0
        while name in self._taken or not name:
            count += 1
            name = f"{hint}_{count}"
        self._taken.add(name)
        return name

    def constant(self, array: Array, hint: str = "") -> str:
        """Store an array, equal ones once, and return its name."""
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._stored:
            name = self.fresh(hint or f"{self.stem}.constant")
            self.constants[name] = numpy_helper.from_array(array, name)
            self._stored[key] = name
        return self._stored[key]

    def ints(self, numbers: Iterable[int]) -> str:
        """Store a vector of int64, such as axes or sizes."""
        return self.constant(np.array(list(numbers), np.int64))

    def scalar(self, number: float, dtype: DType) -> str:
        return self.constant(np.array(number).astype(dtype.numpy))

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one result and return its name; empty inputs are absent ones."""
        return self.several(op_type, *inputs, outputs=1, **attributes)[0]

    def several(self, op_type: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Add a node of several results and return their names."""
        read = list(inputs)
        while read and not read[-1]:
            read.pop()
        made = [self.fresh(f"{self.stem}.{op_type.lower()}") for _ in range(outputs)]
        self.nodes.append(helper.make_node(op_type, read, made, name=made[0], **attributes))
        return made

    def cast(self, x: str, source: DType, to: DType) -> str:
        return x if source is to else self.add("Cast", x, to=ONNX_TYPES[to])

    def write(self, op: Op) -> None:
        """Write the nodes of an op; the tensors of its results bear the names of the values."""
        self.stem, start = op.result.name, len(self.nodes)
        made = self.rules[type(op)](op, self)
        for value, name in zip(op.results, (made,) if isinstance(made, str) else made, strict=True):
            self.names[value] = self._renamed(name, value.name, start)

    def sizes(self, shape: Iterable[int | Symbol], x: str, known: tuple[int | Symbol, ...]) -> str:
        """Return a tensor that holds a shape, its symbols read from ``x`` of shape ``known``."""
        shape = tuple(shape)
        unknown = [dim for dim in shape if isinstance(dim, Symbol)]
        if len(unknown) < 2 and 0 not in shape:
            return self.ints(-1 if isinstance(dim, Symbol) else dim for dim in shape)
        free = [dim for dim in unknown if dim not in known]
        assert len(free) < 2, f"cannot tell {shape} from {known}"
        parts = [self._size(dim, x, known) for dim in shape]
        return self.add("Concat", *parts, axis=0)

    def _size(self, dim: int | Symbol, x: str, known: tuple[int | Symbol, ...]) -> str:
        if not isinstance(dim, Symbol) or dim not in known:
            return self.ints([-1 if isinstance(dim, Symbol) else dim])
        axis = known.index(dim)
        return self.add("Shape", x, start=axis, end=axis + 1)

    def _renamed(self, name: str, wanted: str, start: int) -> str:
        """Give a tensor made since a node the name of its value, where that is free."""
        fresh = [node for node in self.nodes[start:] if name in node.output]
        if not fresh or name in self.names.values():
            return name
        better = self.fresh(wanted)
        for node in self.nodes[start:]:
            for names in (node.input, node.output):
                for place, each in enumerate(names):
                    if each == name:
                        names[place] = better
        return better
