"""Which op makes what a value shows, across cells and steps."""

from __future__ import annotations

from dataclasses import dataclass

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.time import Next, Run, State


@dataclass(frozen=True, slots=True)
class Links:
    """How values pass into cells, out of them, and from one step to the next."""

    sources: dict[Value, Value]
    """For an input of a cell, a state and a result of a run: the value it shows."""

    @staticmethod
    def of(graph: Graph) -> Links:
        links = Links({})
        for each in (graph, *graph.cells()):
            links._add(each)
        return links

    def _add(self, graph: Graph) -> None:
        written = {op.slot: op.value for op in graph.ops if isinstance(op, Next)}
        for op in graph.ops:
            if isinstance(op, State):
                self.sources[op.result] = written[op.slot]
            if isinstance(op, Run):
                self.sources.update(zip(op.cell.inputs, op.sources, strict=True))
                self.sources.update(zip(op.results, op.cell.outputs, strict=True))

    def maker(self, value: Value) -> Op | None:
        """Return the op that computes what a value shows; ``None`` for inputs and constants."""
        seen = {value}
        while value in self.sources and (value := self.sources[value]) not in seen:
            seen.add(value)
        return value.op if value not in self.sources else None

    def readers(self, value: Value) -> list[Op]:
        """Return the ops that compute with what a value shows."""
        shown, found = [value], list[Op]()
        for each in shown:
            found += [op for op in each.users if not isinstance(op, Run | Next)]
            shown += [v for v, source in self.sources.items() if source is each and v not in shown]
        return found
