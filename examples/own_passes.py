"""Passes by hand: canonicalise a network, then a pass of your own, and look at the graph."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import neutrams
from neutrams.ir.graph import Graph
from neutrams.ir.text import print_graph
from neutrams.passes import Pass, PassContext

HERE = Path(__file__).parent


@dataclass(frozen=True)
class CountOps(Pass):
    """Remark how many ops of each kind there are; change nothing."""

    name: ClassVar[str] = "count-ops"

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        names = [op.name for op in graph.ops]
        for op in graph.ops:
            ctx.remark(op, f"one of {names.count(op.name)}")
        return False


def main() -> None:
    graph = neutrams.load_model(HERE / "mnist8_cntk.onnx")
    ctx = PassContext()
    neutrams.PassManager(["canonicalise", CountOps()]).run(graph, ctx)
    for remark in ctx.remarks:
        print(remark)
    print(print_graph(graph))


if __name__ == "__main__":
    main()
