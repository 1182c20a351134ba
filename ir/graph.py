"""Graphs: ordered ops over SSA values, named weights beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.types import Array, TensorType

Level = Literal["nn", "unit", "chip"]


class Graph:
    """One graph at one level. Ops stand in an order in which every value is made before use.

    Build and change it only through its methods: they keep names unique and user lists true.
    """

    def __init__(self, name: str, level: Level = "nn") -> None:
        self.name = name
        self.level: Level = level
        self.inputs: list[Value] = []
        self.weights: dict[str, Weight] = {}
        self.ops: list[Op] = []
        self.outputs: list[Value] = []
        self.output_names: list[str] = []
        """Names a user knows the outputs by; one for each of ``outputs``."""
        self._names: set[str] = set()
        self._serial = 0

    # building

    def input(self, name: str, type: TensorType) -> Value:
        value = Value(self.fresh(name), type)
        self.inputs.append(value)
        return value

    def weight(self, name: str, data: Array | None, type: TensorType | None = None) -> Weight:
        """Add a constant; abstract (shape only) where ``data`` is ``None``."""
        value = Weight(self.fresh(name), data, type)
        self.weights[value.name] = value
        return value

    def add(self, op: Op, *, name: str | Sequence[str] = "", before: Op | None = None) -> Value:
        """Insert an op at the end, or before another, and return its first result."""
        self.insert(op, name=name, before=before)
        return op.results[0]

    def insert(self, op: Op, *, name: str | Sequence[str] = "", before: Op | None = None) -> None:
        """Insert an op, which may have no result, at the end or before another."""
        hints = [name] if isinstance(name, str) else list(name)
        for index, value in enumerate(op.results):
            value.name = self.fresh(hints[index] if index < len(hints) else "")
        for value in op.present:
            value.users.append(op)
        self.ops.insert(len(self.ops) if before is None else self.ops.index(before), op)

    def output(self, value: Value, name: str = "") -> None:
        self.outputs.append(value)
        self.output_names.append(name or value.name)

    # rewriting

    def replace(self, old: Op, new: Op) -> None:
        """Put ``new`` in ``old``'s place; its results take over the names, ranges and users."""
        assert len(new.results) >= len(old.results)
        position = self.ops.index(old)
        self._unlink(old)
        self.ops[position] = new
        for value in new.present:
            value.users.append(new)
        for index, value in enumerate(new.results):
            if index >= len(old.results):
                value.name = self.fresh("")
                continue
            before = old.results[index]
            value.name, value.origin = before.name, value.origin or before.origin
            if value.type.range is None and before.type.plain() == value.type:
                value.type = before.type
            self.replace_value(before, value)

    def replace_value(self, old: Value, new: Value) -> None:
        """Read ``new`` wherever ``old`` was read, graph outputs included."""
        for user in dict.fromkeys(old.users):
            count = old.users.count(user)
            user.swap(old, new)
            new.users += [user] * count
        old.users = []
        self.outputs = [new if value is old else value for value in self.outputs]

    def redirect(self, old: Value, new: Value, users: Iterable[Op]) -> None:
        """Let some of the readers of ``old`` read ``new`` instead."""
        for user in dict.fromkeys(users):
            new.users += [user] * old.users.count(user)
            old.users = [other for other in old.users if other is not user]
            user.swap(old, new)

    def erase(self, op: Op) -> None:
        """Remove an op whose results nobody reads."""
        assert not any(self.is_read(value) for value in op.results), f"{op!r} still has users"
        self._unlink(op)
        self.ops.remove(op)
        self._names -= {value.name for value in op.results}

    def prune(self) -> bool:
        """Remove every op and weight that no output depends on; say whether any was."""
        before = len(self.ops) + len(self.weights)
        while self._erase_idle():
            pass
        outputs = set(map(id, self.outputs))
        for weight in list(self.weights.values()):
            if not weight.users and id(weight) not in outputs:
                del self.weights[weight.name]
                self._names.discard(weight.name)
        return len(self.ops) + len(self.weights) != before

    def is_read(self, value: Value) -> bool:
        return bool(value.users) or any(value is out for out in self.outputs)

    def cells(self) -> list[Graph]:
        """Return the graphs that its ops call, each once, and after those that it calls itself."""
        found: dict[Graph, None] = {}
        for op in self.ops:
            for graph in op.graphs:
                found.update(dict.fromkeys([*graph.cells(), graph]))
        return list(found)

    # naming

    def rename(self, value: Value, name: str) -> None:
        """Give a value of the graph another name, with a number where that is taken."""
        stored = self.weights.pop(value.name, None) if isinstance(value, Weight) else None
        self._names.discard(value.name)
        value.name = self.fresh(name)
        if stored is not None:
            self.weights[value.name] = stored

    def fresh(self, hint: str) -> str:
        """Return ``hint``, or it with a number, as a name not used before."""
        name = hint
        if not hint:
            name, self._serial = str(self._serial), self._serial + 1
        count = 0
        while name in self._names:
            count += 1
            name = f"{hint or 'v'}_{count}"
        self._names.add(name)
        return name

    def values(self) -> Iterator[Value]:
        """Every value, in the order the text form shows them."""
        yield from self.inputs
        yield from self.weights.values()
        for op in self.ops:
            yield from op.results

    def _erase_idle(self) -> bool:
        before = len(self.ops)
        for op in reversed(self.ops[:]):
            if not op.is_needed(self):
                self.erase(op)
        return len(self.ops) != before

    def _unlink(self, op: Op) -> None:
        for value in op.present:
            value.users.remove(op)


class Module:
    """Named graphs that belong together, such as a unit graph and the chip it is mapped to."""

    def __init__(self, graphs: Iterable[Graph] = ()) -> None:
        self.graphs: dict[str, Graph] = {graph.name: graph for graph in graphs}

    def __getitem__(self, name: str) -> Graph:
        return self.graphs[name]

    @property
    def main(self) -> Graph:
        """The first graph."""
        return next(iter(self.graphs.values()))

    def every_graph(self) -> list[Graph]:
        """Return its graphs, in order, and behind each the graphs it calls that are not named."""
        named = set(self.graphs.values())
        found: dict[Graph, None] = {}
        for graph in self.graphs.values():
            found[graph] = None
            found.update(dict.fromkeys(cell for cell in graph.cells() if cell not in named))
        return list(found)

    def roots(self) -> list[Graph]:
        """Return the graphs that no other calls."""
        called = {cell for graph in self.graphs.values() for cell in graph.cells()}
        return [graph for graph in self.graphs.values() if graph not in called]
