"""Names in force at one place of an ONNX graph: its own values, and those of graphs around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from onnx import AttributeProto

from neutrams.ir.op import Value


@dataclass(slots=True)
class Scope:
    opsets: Mapping[str, int]
    """Operator set versions by domain."""
    values: dict[str, Value] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    """Inputs of a function that its caller leaves out."""
    outer: Scope | None = None
    """The graph around an inner graph; a function sees nothing of its caller."""
    attributes: Mapping[str, AttributeProto] = field(default_factory=dict)
    """What the attributes of a function are bound to at this call."""
    depth: int = 1
    prefix: str = ""
    """Put before names of values, so that copies of a body have names apart."""

    def find(self, name: str) -> Value | None:
        """Return the value of that name that is nearest, ``None`` where there is none."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        return None

    def lacks(self, name: str) -> bool:
        """Say whether the name is an input that the caller of a function left out."""
        if not name or name in self.absent:
            return True
        return name not in self.values and self.outer is not None and self.outer.lacks(name)

    def has(self, name: str) -> bool:
        """Say whether a name is in force, its value absent or not."""
        return self.find(name) is not None or self.lacks(name)

    def names(self) -> set[str]:
        """Every name in force."""
        inner = set(self.values) | self.absent
        return inner if self.outer is None else inner | self.outer.names()

    def inner(self, prefix: str) -> Scope:
        """Return the scope of a graph inside this one."""
        return Scope(
            self.opsets,
            outer=self,
            attributes=self.attributes,
            depth=self.depth + 1,
            prefix=self.prefix + prefix,
        )
