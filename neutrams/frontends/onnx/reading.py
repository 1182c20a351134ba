"""The import of a model under way, as control flow and functions see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from onnx import GraphProto, NodeProto

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.scope import Scope
from neutrams.ir.diagnostics import Place
from neutrams.ir.op import Value


class Reading(Protocol):
    """What imports a graph; see :class:`neutrams.frontends.onnx.importer.Importer`."""

    build: Builder

    def walk(self, nodes: Sequence[NodeProto], scope: Scope) -> None: ...

    def body(self, graph: GraphProto, scope: Scope, where: Place) -> list[Value]: ...

    def read(self, name: str, scope: Scope, where: Place) -> Value: ...

    def check_depth(self, depth: int, where: Place) -> None: ...

    def count(self, where: Place) -> None: ...
