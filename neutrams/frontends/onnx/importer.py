"""Walks an ONNX graph and builds the ``nn`` graph that means the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto

from neutrams.frontends.onnx import control, functions
from neutrams.frontends.onnx.attributes import read_attributes
from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.checks import (
    CONTROL,
    check_schema,
    depth_of,
    ordered,
    place_of,
    unknown_ops,
)  # fmt: skip
from neutrams.frontends.onnx.inputs import BATCH, input_types
from neutrams.frontends.onnx.limits import ImportLimits
from neutrams.frontends.onnx.loading import check_versions
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.nonfinite import check_finite
from neutrams.frontends.onnx.registry import (
    HANDLERS,
    Handler,
    handler_of,
    load_handlers,
    plain_domain,
)
from neutrams.frontends.onnx.scope import Scope
from neutrams.frontends.onnx.tensors import TensorReader
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, error
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value, Weight
from neutrams.ir.types import Array, Shape, TensorType


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to read a model."""

    file: str = ""
    """What diagnostics call it."""
    folder: Path | None = None
    """Where external data may lie; ``None`` for a model in memory."""
    dims: Mapping[str, int] = field(default_factory=dict)
    """Sizes for symbolic dimensions."""
    fixed: Mapping[str, Array] = field(default_factory=dict)
    """Inputs that become constants, such as a sampling rate."""
    batch: Mapping[str, int] = field(default_factory=dict)
    """Axes of size 1 that become the batch symbol, by input."""
    limits: ImportLimits = field(default_factory=ImportLimits)
    finite: bool = True
    """Refuse NaN and infinite weights."""


def import_graph(model: ModelProto, options: ImportOptions | None = None) -> Graph:
    """Return the ``nn`` graph of a model, exactly as exported but for ``options``.

    Inputs, outputs and values keep their ONNX names; ops are located at their nodes.

    Raises:
        NeutramsError: NT0601 to NT0617, located at the node or tensor at fault.
    """
    load_handlers()
    return Importer(model, options or ImportOptions()).run()


class Importer:
    """One import; :mod:`control` and :mod:`functions` call back into it for bodies."""

    def __init__(self, model: ModelProto, options: ImportOptions) -> None:
        self.model = model
        self.options = options
        self.where = Place(options.file or "(memory)")
        self.graph = Graph(model.graph.name or "main")
        batch = BATCH if options.batch else ""
        self.build = Builder(self.graph, limits=options.limits, batch=batch)
        self.reader = TensorReader(
            file=self.where.file, folder=options.folder, limits=options.limits
        )
        self.functions = functions.local_functions(model)
        self._nodes = 0

    def run(self) -> Graph:
        opsets = check_versions(self.model, self.where)
        graph = self.model.graph
        self.check_depth(depth_of(graph, limit=self.options.limits.depth), self.where)
        self._check_known(graph.node, opsets)
        scope = Scope(opsets)
        stored = self._declare(graph, scope)
        types = input_types(
            [value for value in graph.input if value.name not in stored],
            dims=self.options.dims,
            batch=self.options.batch,
            file=self.where.file,
        )
        if unknown := sorted(set(self.options.fixed) - set(types)):
            message = f"the model has no input `{unknown[0]}` to fix"
            known = f"inputs: {', '.join(types)}"
            raise NeutramsError(error("NT0614", message).at(self.where).note(known))
        for name, type in types.items():
            self.build.check_size(type, Place(self.where.file, f"input {name}"))
            scope.values[name] = self._input(name, type=type)
        self.walk(graph.node, scope)
        for output in graph.output:
            self.graph.output(self.read(output.name, scope, self.where), output.name)
        self.graph.prune()
        self._restore_names()
        if self.options.finite:
            check_finite(self.graph, self.where)
        return self.graph

    def walk(self, nodes: Sequence[NodeProto], scope: Scope) -> None:
        """Import the nodes of one graph or function body into ``scope``."""
        outside = self.build.where
        for node in ordered(nodes, scope=scope, file=self.where.file):
            place = place_of(node, self.where.file)
            self.count(place)
            self.build.where = place
            self.build.hint = scope.prefix + next(iter(node.output), node.name)
            try:
                made = self._convert(node, scope, place)
            except NeutramsError as fault:
                raise _located(fault, place) from None
            self._bind(node, made, scope, place)
        self.build.where = outside

    def body(self, graph: GraphProto, scope: Scope, where: Place) -> list[Value]:
        """Import an inner graph, whose inputs ``scope`` binds, and return its outputs."""
        self.check_depth(scope.depth, where)
        self._declare(graph, scope)
        self.walk(graph.node, scope)
        return [self.read(output.name, scope, where) for output in graph.output]

    def read(self, name: str, scope: Scope, where: Place) -> Value:
        """Return the value of a name.

        Raises:
            NeutramsError: NT0608, there is none.
        """
        value = scope.find(name)
        if value is None:
            raise NeutramsError(
                error("NT0608", f"the value `{name}` is read but never made").at(where)
            )
        return value

    def check_depth(self, depth: int, where: Place) -> None:
        if depth > self.options.limits.depth:
            raise NeutramsError(
                error("NT0612", "graphs or functions are nested too deeply")
                .at(where)
                .note(f"at most {self.options.limits.depth} levels are read")
            )

    def _restore_names(self) -> None:
        """Name weights after what they were made from, now that the originals are gone."""
        for weight in list(self.graph.weights.values()):
            self.graph.rename(weight, weight.origin or weight.name)

    def _input(self, name: str, *, type: TensorType) -> Value:
        if name not in self.options.fixed:
            value = self.graph.input(name, type)
            value.origin = name
            return value
        data = np.asarray(self.options.fixed[name]).astype(type.dtype.numpy)
        if not _fits(data.shape, type.shape):
            message = f"the value fixed for `{name}` has shape {list(data.shape)}"
            where = Place(self.where.file, f"input {name}")
            raise NeutramsError(error("NT0614", message).at(where, f"is declared `{type}`"))
        return self._weight(name, data)

    def _weight(self, name: str, data: Array, *, prefix: str = "") -> Weight:
        weight = self.graph.weight(prefix + name, data)
        weight.origin = weight.name
        return weight

    def _declare(self, graph: GraphProto, scope: Scope) -> set[str]:
        """Bind the stored tensors of a graph and return their names."""
        if graph.sparse_initializer:
            name = graph.sparse_initializer[0].values.name
            raise NeutramsError(error("NT0617", f"weight `{name}` is sparse").at(self.where))
        self.reader.check_total(graph.initializer)
        for tensor in graph.initializer:
            data = self.reader.array(tensor)
            scope.values[tensor.name] = self._weight(tensor.name, data, prefix=scope.prefix)
        return {tensor.name for tensor in graph.initializer}

    def _check_known(self, nodes: Sequence[NodeProto], opsets: Mapping[str, int]) -> None:
        fault = unknown_ops(
            nodes,
            is_known=lambda node: self._is_known(node, opsets),
            names=[*HANDLERS, *(("", name) for name in sorted(CONTROL))],
            file=self.where.file,
        )
        if fault is not None:
            raise NeutramsError(fault)

    def _is_known(self, node: NodeProto, opsets: Mapping[str, int]) -> bool:
        domain = plain_domain(node.domain)
        version = opsets.get(domain, 1)
        return (
            (not domain and node.op_type in CONTROL)
            or handler_of(node.op_type, domain=domain, version=version) is not None
            or functions.local_function(node, self.functions) is not None
            or functions.has_body(node, version)
        )

    def _convert(self, proto: NodeProto, scope: Scope, where: Place) -> tuple[Value | None, ...]:
        node = self._node(proto, scope, where)
        local = functions.local_function(proto, self.functions)
        if local is None and onnx.defs.has(proto.op_type, node.domain):
            check_schema(proto, opset=node.version, where=where)
        if local is None and not node.domain and proto.op_type in CONTROL:
            return self._control(node, proto, scope)
        handler = handler_of(proto.op_type, domain=node.domain, version=node.version)
        if local is None and handler is not None:
            return _handled(handler, node)
        proto = functions.bound(proto, scope.attributes)
        body = local or functions.body_of(proto, node.version, node.inputs)
        if body is None:
            self._check_known([proto], {})
            raise node.fault("NT0610", f"`{proto.op_type}` has no body for these inputs")
        return functions.expand(self, body, proto, inputs=node.inputs, scope=scope, where=where)

    def _control(self, node: Node, proto: NodeProto, scope: Scope) -> tuple[Value, ...]:
        match node.op_type:
            case "Constant":
                return control.constant(self, node)
            case "Identity":
                return (node[0],)
            case "If":
                return control.branch(self, node, proto, scope)
            case "Loop":
                return control.loop(self, node, proto, scope)
        return control.scan(self, node, proto, scope)

    def _node(self, proto: NodeProto, scope: Scope, where: Place) -> Node:
        domain = plain_domain(proto.domain)
        return Node(
            op_type=proto.op_type,
            name=proto.name,
            attrs=read_attributes(
                proto.attribute, bound=scope.attributes, reader=self.reader, where=where
            ),
            version=scope.opsets.get(domain, 1),
            inputs=tuple(
                None if scope.lacks(name) else self.read(name, scope, where) for name in proto.input
            ),
            outputs=len(proto.output),
            where=where,
            build=self.build,
            domain=domain,
            output_names=tuple(proto.output),
        )

    def _bind(
        self, node: NodeProto, made: Sequence[Value | None], scope: Scope, where: Place
    ) -> None:
        used = max((i for i, name in enumerate(node.output, start=1) if name), default=0)
        if used > len(made):
            message = f"output {len(made)} of `{node.op_type}` is not supported"
            raise NeutramsError(error("NT0610", message).at(where))
        for name, value in zip(node.output, made, strict=False):
            if not name or value is None:
                continue
            scope.values[name] = value
            if not value.origin:
                value.origin = scope.prefix + name
                self.graph.rename(value, scope.prefix + name)

    def count(self, where: Place) -> None:
        """Count a node, or a round of a loop.

        Raises:
            NeutramsError: NT0612, there are too many.
        """
        self._nodes += 1
        if self._nodes > self.options.limits.nodes:
            raise NeutramsError(
                error("NT0612", "the model has too many nodes")
                .at(where)
                .note(f"at most {self.options.limits.nodes}, functions and loops written out")
            )


def _fits(sizes: tuple[int, ...], shape: Shape) -> bool:
    return len(sizes) == len(shape) and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(shape, sizes, strict=True)
    )


def _handled(handler: Handler, node: Node) -> tuple[Value, ...]:
    """Call a handler; what Python or NumPy refuses in the model's numbers is the model's fault."""
    try:
        made = handler(node, node.build)
    except (IndexError, KeyError, OverflowError, TypeError, ValueError, ZeroDivisionError) as fault:
        message = f"inputs or attributes of `{node.op_type}` do not fit together"
        raise node.fault("NT0611", message, note=f"{type(fault).__name__}: {fault}") from fault
    return made if isinstance(made, tuple) else (made,)


def _located(fault: NeutramsError, where: Place) -> NeutramsError:
    """Return the error with a place for each diagnostic that has none, and what to do."""
    return NeutramsError(*(_explained(d if d.labels else d.at(where)) for d in fault.diagnostics))


def _explained(diagnostic: Diagnostic) -> Diagnostic:
    if diagnostic.code != "NT0102" or diagnostic.helps:
        return diagnostic
    return diagnostic.help("fix the size when exporting the model, or with `--dim NAME=SIZE`")
