"""``remove-unused``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neutrams.ir.graph import Graph
from neutrams.passes.base import Pass, PassContext


@dataclass(frozen=True)
class RemoveUnused(Pass):
    """Remove ops and weights that no output depends on."""

    name: ClassVar[str] = "remove-unused"
    descends: ClassVar[bool] = True

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        return graph.prune()
