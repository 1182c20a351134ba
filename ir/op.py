"""What an operation is: a dataclass of operands and attributes, with one NumPy meaning."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform

from neutrams.ir.diagnostics import Diagnostic, Location, NeutramsError, error
from neutrams.ir.target import Target
from neutrams.ir.types import Array, DType, TensorType

if TYPE_CHECKING:
    from neutrams.ir.graph import Graph

_MISSING = dataclasses.MISSING
T = TypeVar("T", bound="Op")


class Value:
    """One SSA value: a graph input, a weight, or a result of an op. Compared by identity."""

    __slots__ = ("index", "name", "op", "origin", "type", "users")

    def __init__(self, name: str, type: TensorType, op: Op | None = None, index: int = 0) -> None:
        self.name = name
        self.type = type
        self.op = op
        """The op that makes the value; ``None`` for graph inputs and weights."""
        self.index = index
        """Which result of ``op`` it is."""
        self.origin: str = ""
        """The value of the original network it stands for; empty where none is known."""
        self.users: list[Op] = []
        """Ops in a graph that read the value, one entry for each operand."""

    def __repr__(self) -> str:
        return f"%{self.name} : {self.type}"


Watch = Callable[[Value, Array], None]
"""Called with each value and its array as soon as it is known."""


class Weight(Value):
    """A named constant. ``data`` is ``None`` where only the shape is known (abstract)."""

    __slots__ = ("data",)

    def __init__(self, name: str, data: Array | None, type: TensorType | None = None) -> None:
        if type is None:
            assert data is not None, "an abstract weight needs a type"
            type = TensorType(DType.of(data.dtype), data.shape)
        super().__init__(name, type)
        self.data = data

    def __repr__(self) -> str:
        return f"@{self.name} : {self.type}"


def operand(*, default: Any = _MISSING) -> Any:
    """Declare a field that holds a value; ``default=None`` makes it optional."""
    return dataclasses.field(default=default, metadata={"kind": "operand"})


def operands() -> Any:
    """Declare a field that holds any number of values; it must be the last operand."""
    return dataclasses.field(metadata={"kind": "operands"})


def attr(*, default: Any = _MISSING) -> Any:
    """Declare an attribute: int, float, bool, str, a DType, or a tuple of one of them."""
    return dataclasses.field(default=default, kw_only=True, metadata={"kind": "attr"})


class Op:
    """The base of every operation; subclass it with the ``@op`` decorator.

    A subclass states its operands and attributes as fields, and defines

    - ``infer()``: the type of its result, or a tuple of types where it has several;
    - ``evaluate(*operands)``: the meaning, in NumPy. It is given one array for each operand
      (``None`` for an absent optional one; variadic operands last) and returns an array, or a
      tuple of arrays. It must be correct for any batch size.
    - ``mixes()``: for each operand, the axes along which different elements meet in one result.
      ``None`` (the default) says all axes may mix. It proves batch independence.
    """

    name: ClassVar[str]
    levels: ClassVar[frozenset[str]]
    """Levels a graph may have to hold the op: ``nn``, ``unit``, ``chip``."""

    results: tuple[Value, ...]
    where: Location | None = None

    def infer(self) -> TensorType | tuple[TensorType, ...]:
        raise AssertionError(f"{self.name} does not say what type it makes")

    def evaluate(self, *operands: Any) -> Any:
        raise AssertionError(f"{self.name} has no meaning of its own")

    def watched(self, watch: Watch | None, *operands: Any) -> Any:
        """Evaluate, and tell of the values inside the graphs it calls; most ops call none."""
        return self.evaluate(*operands)

    def mixes(self) -> tuple[frozenset[int], ...] | None:
        return None

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """The graphs it calls; most ops call none."""
        return ()

    def is_needed(self, graph: Graph) -> bool:
        """Say whether anything in its graph depends on it."""
        return not self.results or any(graph.is_read(value) for value in self.results)

    def violations(self, target: Target) -> list[Diagnostic]:
        """Return every limit of a target that the op breaks; only unit ops have any."""
        return []

    def __post_init__(self) -> None:
        types = self.infer()
        types = types if isinstance(types, tuple) else (types,)
        self.results = tuple(Value("", t.plain(), self, i) for i, t in enumerate(types))

    @property
    def result(self) -> Value:
        """The first result; most ops have just this one."""
        return self.results[0]

    @property
    def operands(self) -> tuple[Value | None, ...]:
        """Every operand in declared order, ``None`` for absent optional ones."""
        found: list[Value | None] = []
        for field in operand_fields(type(self)):
            value = getattr(self, field.name)
            found += value if field.metadata["kind"] == "operands" else [value]
        return tuple(found)

    @property
    def present(self) -> Iterator[Value]:
        """The operands that are there."""
        return (value for value in self.operands if value is not None)

    def attributes(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in attr_fields(type(self))}

    def swap(self, old: Value, new: Value) -> None:
        """Read ``new`` wherever the op read ``old``; user lists are the graph's business."""
        for field in operand_fields(type(self)):
            value = getattr(self, field.name)
            if value is old:
                setattr(self, field.name, new)
            elif isinstance(value, tuple):
                setattr(self, field.name, tuple(new if v is old else v for v in value))

    def fault(self, code: str, message: str) -> NeutramsError:
        """Return an error located at this op; raise it, or add to its diagnostic first."""
        return NeutramsError(error(code, f"`{self.name}`: {message}").at(self.where))

    def __repr__(self) -> str:
        names = ", ".join("_" if v is None else f"%{v.name}" for v in self.operands)
        return f"{self.name}({names})"


OPS: dict[str, type[Op]] = {}
"""Every op class by name; filled by the ``@op`` decorator when ``neutrams.ir.ops`` loads."""


@dataclass_transform(eq_default=False, field_specifiers=(operand, operands, attr))
def op(name: str, *, levels: str = "") -> Callable[[type[T]], type[T]]:
    """Register a class as the op ``name``; ``levels`` defaults to the name's dialect."""

    def register(cls: type[T]) -> type[T]:
        made = dataclasses.dataclass(eq=False, repr=False)(cls)
        made.name = name
        made.levels = frozenset((levels or name.split(".")[0]).split())
        assert name not in OPS, f"two classes claim {name}"
        OPS[name] = made
        return made

    return register


def operand_fields(cls: type[Op]) -> Fields:
    return _fields(cls)[0]


def attr_fields(cls: type[Op]) -> Fields:
    return _fields(cls)[1]


def attr_type(cls: type[Op], name: str) -> Any:
    """Return the declared type of an attribute."""
    if cls not in _HINTS:
        _HINTS[cls] = typing.get_type_hints(cls)
    return _HINTS[cls][name]


_HINTS: dict[type[Op], dict[str, Any]] = {}


def _fields(cls: type[Op]) -> tuple[Fields, Fields]:
    """Return the fields of operands, and those of attributes."""
    if cls not in _FIELDS:
        found: Fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
        operands = tuple(f for f in found if f.metadata.get("kind") in ("operand", "operands"))
        attributes = tuple(f for f in found if f.metadata.get("kind") == "attr")
        _FIELDS[cls] = operands, attributes
    return _FIELDS[cls]


Fields = tuple[dataclasses.Field[Any], ...]
_FIELDS: dict[type[Op], tuple[Fields, Fields]] = {}
