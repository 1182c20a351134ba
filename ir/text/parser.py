"""Read the text form. Every independent fault in a file is reported, with its line."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from lark import Lark, Token, Tree, UnexpectedInput

import neutrams.ir.ops  # noqa: F401  (fills the op table)
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Span, error
from neutrams.ir.graph import Graph, Module
from neutrams.ir.op import OPS, Op, Value, operand_fields
from neutrams.ir.text.attributes import Attributes, Node, read_number, read_raw
from neutrams.ir.text.contents import digest, read_elements, read_splat
from neutrams.ir.text.names import unquote
from neutrams.ir.text.printer import VERSION
from neutrams.ir.types import Array, DType, Symbol, TensorType, symbol


def parse(
    text: str,
    *,
    file: str = "<text>",
    weights: Mapping[str, Array] | None = None,
    trusted: bool = False,
) -> Module:
    """Return the module a text describes.

    Args:
        text: The graphs.
        file: What faults call it.
        weights: Its external arrays by key.
        trusted: Whether they are known to be those printed; else their hashes are taken.

    Raises:
        NeutramsError: NT0001 to NT0009, with every independent fault.
    """
    reader = _Reader(text, file, weights or {}, trusted=trusted)
    try:
        tree = _grammar().parse(text)
    except UnexpectedInput as fault:
        raise NeutramsError(reader.syntax_error(fault)) from None
    return reader.module(tree)


def parse_graph(
    text: str, *, file: str = "<text>", weights: Mapping[str, Array] | None = None
) -> Graph:
    """Return the first graph of a text."""
    return parse(text, file=file, weights=weights).main


@cache
def _grammar() -> Lark:
    return Lark.open("grammar.lark", rel_to=__file__, parser="lalr", propagate_positions=True)


class _Reader:
    def __init__(
        self, text: str, file: str, weights: Mapping[str, Array], *, trusted: bool
    ) -> None:
        self.trusted = trusted
        self.lines = text.split("\n")
        self.file = file
        self.external = weights
        self.faults: list[Diagnostic] = []
        self.graph = Graph("")
        self.values: dict[str, Value] = {}
        self.nodes: dict[str, Node] = {}
        self.graphs: dict[str, Graph] = {}
        self.begun: set[str] = set()

    def module(self, tree: Node) -> Module:
        for child in tree.children:
            if child.data == "version":
                self._version(child.children[0])
                continue
            name = unquote(child.children[0])
            if name in self.nodes:
                self._fault("NT0004", f"graph `@{name}` stands twice", child.children[0])
            self.nodes.setdefault(name, child)
        for name, node in self.nodes.items():
            if name not in self.begun:
                self._read_graph(name, node)
        if self.faults:
            raise NeutramsError(*self.faults)
        return Module(self.graphs[name] for name in self.nodes)

    def syntax_error(self, fault: UnexpectedInput) -> Diagnostic:
        line, column = max(fault.line, 1), max(fault.column, 1)
        if line > len(self.lines):
            line, column = len(self.lines), len(self.lines[-1]) + 1
        token = getattr(fault, "token", None)
        at_end = token is not None and token.type == "$END"
        length = 1 if token is None or at_end else len(token)
        span = Span(self.file, line, column, length, self.lines[line - 1])
        found = (
            "the text ends too early"
            if at_end and token is not None
            else "this does not belong here"
        )
        expected = sorted(getattr(fault, "accepts", None) or getattr(fault, "expected", ()) or ())
        names = ", ".join(_TERMINALS.get(name, name.lower()) for name in expected[:8])
        diagnostic = error("NT0001", "the text is not a neutrams graph").at(span, found)
        return diagnostic.note(f"expected one of: {names}") if names else diagnostic

    def _version(self, token: Token) -> None:
        if int(token) > VERSION:
            fault = f"format version {token} is newer than this program reads"
            self._fault("NT0008", fault, token, f"newest known is {VERSION}")

    def _read_graph(self, name: str, node: Node) -> Graph:
        """Read a graph, perhaps from within another that calls it."""
        self.begun.add(name)
        outer = self.graph, self.values
        self.graphs[name] = self._graph(node)
        self.graph, self.values = outer
        return self.graphs[name]

    def _called(self, token: Token) -> Graph | None:
        name = unquote(token)
        if name in self.graphs:
            return self.graphs[name]
        if name not in self.nodes:
            near = get_close_matches(name, self.nodes, n=1)
            hint = f"did you mean `@{near[0]}`?" if near else ""
            self._fault("NT0010", f"no graph is called `{token}`", token, hint)
        elif name in self.begun:
            self._fault("NT0010", f"graph `{token}` calls itself", token)
        else:
            return self._read_graph(name, self.nodes[name])
        return None

    def _graph(self, node: Node) -> Graph:
        name, *rest = node.children
        self.graph = Graph(unquote(name))
        self.values = {}
        for child in rest:
            match getattr(child, "data", None):
                case "level":
                    self._level(child.children[0])
                case "params":
                    for param in child.children:
                        self._define(param.children[0], self._input(*param.children))
                case "weight":
                    self._weight(*child.children)
                case "operation":
                    self._operation(child)
                case "returns":
                    for item in child.children:
                        self._returned(*item.children)
        return self.graph

    def _level(self, token: Token) -> None:
        match str(token):
            case "nn" | "unit" | "chip" as level:
                self.graph.level = level
            case _:
                self._fault("NT0001", f"`{token}` is not a level", token, "nn, unit or chip")

    def _input(self, name: Token, type: Node) -> Value:
        stated, origin = self._type(type)
        value = self.graph.input(unquote(name), stated)
        value.origin = origin
        return value

    def _weight(self, name: Token, type_node: Node, contents: Node | None = None) -> None:
        type, origin = self._type(type_node)
        data = self._contents(name, type, contents)
        weight = self.graph.weight(unquote(name), data, type)
        weight.origin = origin
        self._define(name, weight)

    def _contents(self, name: Token, type: TensorType, node: Node | None) -> Array | None:
        if node is None or node.data == "abstract":
            return None
        if node.data == "external":
            return self._load(name, type, *map(unquote, node.children))
        texts = _texts(node)
        try:
            return (
                read_splat(texts[0], type) if node.data == "splat" else read_elements(texts, type)
            )
        except (ValueError, OverflowError):
            message = f"weight `@{unquote(name)}` does not fit its type"
            self._fault("NT0006", message, name, f"{len(texts)} numbers for `{type.plain()}`")
            return None

    def _load(self, name: Token, type: TensorType, key: str, sha256: str) -> Array | None:
        array = self.external.get(key)
        if array is None:
            self._fault(
                "NT0007", f"the numbers of `@{unquote(name)}` are not here", name, f"key `{key}`"
            )
        elif array.shape != type.shape or DType.of(array.dtype) is not type.dtype:
            self._fault("NT0006", f"weight `@{unquote(name)}` does not fit its type", name)
        elif not self.trusted and digest(array) != sha256:
            self._fault(
                "NT0007",
                f"the numbers of `@{unquote(name)}` are not those printed",
                name,
                "SHA-256 differs",
            )
        return array

    def _operation(self, node: Node) -> None:
        parts: dict[str, Node] = {c.data: c for c in node.children if isinstance(c, Tree)}
        token = next(child for child in node.children if isinstance(child, Token))
        names = list(parts["results"].children) if "results" in parts else []
        types = [self._type(child) for child in parts["types"].children] if "types" in parts else []
        op = self._build(token, parts.get("operands"), parts.get("attributes"))
        if op is None or len(op.results) != len(names):
            if op is not None:
                self._fault(
                    "NT0009",
                    f"`{op.name}` has {len(op.results)} results",
                    token,
                    f"{len(names)} named",
                )
            for name, (type, _) in zip(names, types, strict=False):
                self._define(name, Value(unquote(name), type))
            return
        self.graph.insert(op, name=[unquote(name) for name in names])
        for name, value in zip(names, op.results, strict=True):
            self._define(name, value)
        for value, (type, origin), name in zip(op.results, types, names, strict=False):
            self._check_type(value, type, name)
            value.origin = origin

    def _check_type(self, value: Value, stated: TensorType, name: Token) -> None:
        if stated.plain() != value.type.plain():
            message = f"`%{value.name}` is `{value.type.plain()}`, not `{stated.plain()}`"
            self._fault("NT0006", message, name)
        value.type = stated

    def _build(self, token: Token, operands: Node | None, attributes: Node | None) -> Op | None:
        cls = OPS.get(str(token))
        span = self._span(token)
        if cls is None:
            near = get_close_matches(str(token), OPS, n=1)
            fault = error("NT0002", f"no op is called `{token}`").at(span)
            self.faults.append(fault.help(f"did you mean `{near[0]}`?") if near else fault)
            return None
        before = len(self.faults)
        found = [self._lookup(child) for child in operands.children] if operands else []
        kwargs = self._bind_operands(cls, token, found)
        reader = Attributes(cls, self._fault, self._called)
        kwargs |= reader.read(token, attributes)
        if len(self.faults) > before:
            return None
        try:
            op = cls(**kwargs)
        except NeutramsError as fault_found:
            self.faults += [d.at(span) if not d.labels else d for d in fault_found.diagnostics]
            return None
        op.where = span
        return op

    def _bind_operands(
        self, cls: type[Op], token: Token, found: list[Value | None]
    ) -> dict[str, Any]:
        fields = operand_fields(cls)
        kwargs: dict[str, Any] = {}
        for index, field in enumerate(fields):
            if field.metadata["kind"] == "operands":
                kwargs[field.name] = tuple(found[index:])
                return kwargs
            if index < len(found):
                kwargs[field.name] = found[index]
        required = sum(f.default is not None for f in fields)
        if not required <= len(found) <= len(fields):
            wanted = f"{required}" if required == len(fields) else f"{required} to {len(fields)}"
            self._fault(
                "NT0009", f"`{cls.name}` reads {wanted} values", token, f"given {len(found)}"
            )
        return kwargs

    def _lookup(self, child: Node | Token) -> Value | None:
        if isinstance(child, Tree):
            return None
        if (value := self.values.get(_key(child))) is None:
            near = get_close_matches(_key(child), self.values, n=1)
            fault = error("NT0003", f"`{child}` is read before it is made").at(self._span(child))
            self.faults.append(fault.help(f"did you mean `{near[0]}`?") if near else fault)
        return value

    def _returned(self, name: Token, alias: Token | None = None) -> None:
        if (value := self._lookup(name)) is not None:
            self.graph.output(value, unquote(alias) if alias is not None else "")

    def _define(self, token: Token, value: Value) -> None:
        if _key(token) in self.values:
            self._fault("NT0004", f"`{token}` is made twice", token)
        self.values[_key(token)] = value

    def _type(self, node: Node) -> tuple[TensorType, str]:
        name, *rest = node.children
        try:
            dtype = DType(str(name))
        except ValueError:
            known = ", ".join(d.value for d in DType)
            self._fault("NT0001", f"`{name}` is not an element type", name, known)
            dtype = DType.F32
        shape: list[int | Symbol] = []
        bounds: list[float] = []
        origin = ""
        for child in rest:
            if isinstance(child, Token):
                origin = unquote(child)
            elif child.data == "bounds":
                bounds = [float(read_number(c)) for c in child.children]
            else:
                raw = read_raw(child)
                size = symbol(raw) if isinstance(raw, str) else raw
                if (size.factor if isinstance(size, Symbol) else size) < 0:
                    self._fault("NT0001", f"`{size}` is no size", name, "0 or more")
                shape.append(size)
        type = TensorType(dtype, tuple(shape))
        return (type.with_range(*bounds) if bounds else type), origin

    def _span(self, token: Token) -> Span:
        line, column = token.line or 1, token.column or 1
        return Span(self.file, line, column, len(token), self.lines[line - 1])

    def _fault(self, code: str, message: str, token: Token, label: str = "") -> None:
        self.faults.append(error(code, message).at(self._span(token), label))


def _texts(contents: Node) -> list[str]:
    """The numbers of a weight, as spelt."""
    return [str(number.children[0]) for number in contents.children]


def _key(token: Token) -> str:
    return str(token)[0] + unquote(token)


_TERMINALS = {
    "PERCENT": "`%value`",
    "AT": "`@name`",
    "NAME": "a name",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "COLON": "`:`",
    "COMMA": "`,`",
    "EQUAL": "`=`",
    "INT": "a number",
    "FLOAT": "a number",
    "NONFINITE": "a number",
    "STRING": "a string",
    "GRAPH": "`graph`",
    "$END": "the end",
}
