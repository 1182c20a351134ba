"""Judges the structure of an ONNX graph before it is imported."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from onnx import IR_VERSION, AttributeProto, GraphProto, NodeProto, checker

from neutrams.frontends.onnx.registry import plain_domain
from neutrams.frontends.onnx.scope import Scope
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, Place, error

CONTROL = frozenset({"Constant", "Identity", "If", "Loop", "Scan"})
"""Operators the importer handles itself."""


def place_of(node: NodeProto, file: str) -> Place:
    """Return where a node is: by its name, or by its first output where it has none."""
    name = node.name or next((f"`{o}`" for o in node.output if o), "(unnamed)")
    return Place(file or "(memory)", f"node {name} ({node.op_type})")


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def ordered(nodes: Sequence[NodeProto], *, scope: Scope, file: str) -> list[NodeProto]:
    """Return the nodes in an order in which every value is made before it is read.

    Args:
        nodes: of one graph, in any order.
        scope: holds the values that are there before: inputs, initialisers, outer values.
        file: for diagnostics.

    Raises:
        NeutramsError: NT0608, a value is undefined, made twice, or depends on itself.
    """
    makers = _makers(nodes, scope=scope, file=file)
    reads = [list(dict.fromkeys(_reads(node))) for node in nodes]
    missing = [
        _undefined(node, name, [*sorted(scope.names()), *makers], file)
        for node, names in zip(nodes, reads, strict=True)
        for name in names
        if name not in makers and not scope.has(name)
    ]
    if missing:
        raise NeutramsError(*missing)
    return _sorted(nodes, reads, makers, file)


def depth_of(graph: GraphProto, *, limit: int) -> int:
    """Return how deep graphs are nested, at most ``limit + 1``."""
    level, deepest = [graph], 0
    while level and deepest <= limit:
        deepest += 1
        level = [inner for outer in level for node in outer.node for inner in subgraphs(node)]
    return deepest


def check_schema(node: NodeProto, *, opset: int, where: Place) -> None:
    """Compare a node of the standard operator set with the definition of its operator.

    Nodes with inner graphs, and those of function bodies whose attributes are bound at the call,
    are left to what imports them.

    Raises:
        NeutramsError: NT0611, inputs, outputs or attributes are not as defined.
    """
    if plain_domain(node.domain) or any(True for _ in subgraphs(node)):
        return
    if any(attribute.ref_attr_name for attribute in node.attribute):
        return
    context = checker.C.CheckerContext()
    context.ir_version, context.opset_imports = IR_VERSION, {"": opset}
    try:
        checker.check_node(node, context)
    except (checker.ValidationError, UnicodeDecodeError) as fault:
        message = f"`{node.op_type}` is not used as operator set {opset} defines it"
        reason = str(fault).splitlines()[0]
        raise NeutramsError(error("NT0611", message).at(where).note(reason)) from None


def unknown_ops(
    nodes: Iterable[NodeProto],
    *,
    is_known: Callable[[NodeProto], bool],
    names: Collection[tuple[str, str]],
    file: str,
) -> Diagnostic | None:
    """Return one diagnostic that names every operator without a handler, or ``None``."""
    first: dict[tuple[str, str], NodeProto] = {}
    for node in nodes:
        if not is_known(node):
            first.setdefault((node.domain, node.op_type), node)
    if not first:
        return None
    shown = ", ".join(f"`{_show(domain, op_type)}`" for domain, op_type in first)
    plural = "operators are" if len(first) > 1 else "operator is"
    diagnostic = error("NT0609", f"{len(first)} {plural} not known: {shown}")
    for (domain, op_type), node in first.items():
        near = _near(op_type, names)
        text = f"domain `{domain or 'ai.onnx'}`" + (f"; near names: {near}" if near else "")
        diagnostic = diagnostic.at(place_of(node, file), text)
    return diagnostic.help("export with standard operators, or register a handler for them")


def _show(domain: str, op_type: str) -> str:
    return f"{domain}:{op_type}" if domain else op_type


def _near(op_type: str, names: Collection[tuple[str, str]]) -> str:
    spelt = {known.lower(): _show(domain, known) for domain, known in sorted(names)}
    close = difflib.get_close_matches(op_type.lower(), spelt, n=3, cutoff=0.7)
    return ", ".join(f"`{spelt[name]}`" for name in close)


def _reads(node: NodeProto) -> Iterator[str]:
    """Names a node reads, those its inner graphs capture included."""
    yield from (name for name in node.input if name)
    for graph in subgraphs(node):
        inner = {value.name for value in graph.input} | {t.name for t in graph.initializer}
        inner |= {name for inner_node in graph.node for name in inner_node.output}
        captured = [name for inner_node in graph.node for name in _reads(inner_node)]
        captured += [value.name for value in graph.output]
        yield from (name for name in captured if name not in inner)


def _makers(nodes: Sequence[NodeProto], *, scope: Scope, file: str) -> dict[str, int]:
    makers: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in makers or name in scope.values:
                fault = error("NT0608", f"the value `{name}` is made twice")
                raise NeutramsError(fault.at(place_of(node, file)))
            makers[name] = index
    return makers


def _undefined(node: NodeProto, name: str, names: Sequence[str], file: str) -> Diagnostic:
    diagnostic = error("NT0608", f"the value `{name}` is read but never made")
    near = difflib.get_close_matches(name, names, n=2)
    diagnostic = diagnostic.at(place_of(node, file))
    return diagnostic.note(f"near names: {', '.join(near)}") if near else diagnostic


def _sorted(
    nodes: Sequence[NodeProto],
    reads: Sequence[Sequence[str]],
    makers: dict[str, int],
    file: str,
) -> list[NodeProto]:
    """Sort by dependence, in the given order where that is free (Kahn's algorithm)."""
    needs = [sorted({makers[n] for n in names if n in makers}) for names in reads]
    waiting = [len(need) for need in needs]
    users: list[list[int]] = [[] for _ in nodes]
    for index, need in enumerate(needs):
        for maker in need:
            users[maker].append(index)
    ready = [index for index, count in enumerate(waiting) if count == 0]
    done: list[int] = []
    for index in ready:
        done.append(index)
        for user in users[index]:
            waiting[user] -= 1
            if waiting[user] == 0:
                ready.append(user)
    if len(done) == len(nodes):
        in_order = all(need[-1] < index for index, need in enumerate(needs) if need)
        return list(nodes) if in_order else [nodes[index] for index in done]
    stuck = next(node for node, count in zip(nodes, waiting, strict=True) if count)
    fault = error("NT0608", f"{len(nodes) - len(done)} nodes depend on their own results")
    raise NeutramsError(fault.at(place_of(stuck, file), "the first of them"))
