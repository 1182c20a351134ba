"""Walks an ONNX graph and builds the ``nn`` graph that means the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

from neutrams.frontends.onnx import attributes, control, functions
from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.checks import (
    CONTROL, depth_of, ordered, place_of, unknown_ops,
)  # fmt: skip
from neutrams.frontends.onnx.inputs import input_types
from neutrams.frontends.onnx.limits import ImportLimits
from neutrams.frontends.onnx.loading import check_versions
from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.nonfinite import check_finite
from neutrams.frontends.onnx.registry import HANDLERS, handler_of, load_handlers, plain_domain
from neutrams.frontends.onnx.scope import Scope
from neutrams.frontends.onnx.tensors import TensorReader
from neutrams.ir.diagnostics import NeutramsError, Place, error
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value, Weight
from neutrams.ir.types import Array


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
    limits: ImportLimits = ImportLimits()
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
        self.build = Builder(self.graph, limits=options.limits)
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
        for name, type in types.items():
            self.build.check_size(type, Place(self.where.file, f"input {name}"))
            scope.values[name] = self._input(name, type=type)
        self.walk(graph.node, scope)
        for output in graph.output:
            self.graph.output(self.read(output.name, scope, self.where), output.name)
        self.graph.prune()
        if self.options.finite:
            check_finite(self.graph, self.where)
        return self.graph

    def walk(self, nodes: Sequence[NodeProto], scope: Scope) -> None:
        """Import the nodes of one graph or function body into ``scope``."""
        for node in ordered(nodes, known=scope.names(), file=self.where.file):
            self._count(node)
            place = place_of(node, self.where.file)
            outside = self.build.where
            self.build.where = place
            self.build.hint = node.name or next(iter(node.output), "")
            results = self._locate(place, lambda node=node: self._convert(node, scope))
            self._bind(node, results, scope)
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

    def _input(self, name: str, *, type: object) -> Value:
        raise NotImplementedError
