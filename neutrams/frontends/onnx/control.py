"""Constants, branches and loops, decided and unrolled while compiling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import GraphProto, NodeProto

from neutrams.frontends.onnx.node import Node
from neutrams.frontends.onnx.reading import Reading
from neutrams.frontends.onnx.scope import Scope
from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.op import Value
from neutrams.ir.ops.elementwise import Where
from neutrams.ir.ops.tensors import Concat, Reshape, Slice
from neutrams.ir.types import Array

Results = tuple[Value, ...]


def constant(importer: Reading, node: Node) -> Results:
    """Return the tensor of a ``Constant`` node."""
    name = node.output_names[0]
    match dict(node.attrs):
        case {"value": np.ndarray() as data}:
            return (importer.build.constant(data, name),)
        case {"value_float": value} | {"value_floats": value}:
            return (importer.build.constant(np.array(value, np.float32), name),)
        case {"value_int": value} | {"value_ints": value}:
            return (importer.build.constant(np.array(value, np.int64), name),)
        case {"value_string": _} | {"value_strings": _}:
            raise node.fault("NT0101", "element type `string` is not supported")
    raise node.fault("NT0611", "`Constant` needs an attribute `value`")


def branch(importer: Reading, node: Node, proto: NodeProto, scope: Scope) -> Results:
    """Import the branch that is taken; both, and a choice per run, where data decides.

    Raises:
        NeutramsError: NT0613, data decides between results of different types.
    """
    graphs = {a.name: a.g for a in proto.attribute}
    if not {"then_branch", "else_branch"} <= graphs.keys():
        raise node.fault("NT0611", "`If` needs `then_branch` and `else_branch`")
    taken = _decided(importer, node[0])
    if taken is not None:
        name = "then_branch" if taken else "else_branch"
        return tuple(importer.body(graphs[name], scope.inner(""), node.where))
    yes = importer.body(graphs["then_branch"], scope.inner("then/"), node.where)
    no = importer.body(graphs["else_branch"], scope.inner("else/"), node.where)
    if [v.type.plain() for v in yes] == [v.type.plain() for v in no]:
        pairs = zip(yes, no, strict=True)
        return tuple(importer.build.add(Where(node[0], a, b)) for a, b in pairs)
    raise NeutramsError(
        error("NT0613", "the condition depends on data, and the branches differ in shape")
        .at(node.where, f"condition `{node[0].origin or node[0].name}`")
        .note(f"the branches make {_types(yes)} and {_types(no)}")
        .help("fix the input or size it depends on: `--dim NAME=SIZE`, `--fix NAME=VALUE`")
    )


def loop(importer: Reading, node: Node, proto: NodeProto, scope: Scope) -> Results:
    """Unroll a loop whose number of rounds is known.

    Raises:
        NeutramsError: NT0613, the number of rounds depends on data.
    """
    body = _body(node, proto)
    trips = None if node.get(0) is None else int(node.const(0).item())
    going = True if node.get(1) is None else _decided(importer, node[1])
    carried = [node[index] for index in range(2, len(node))]
    scanned: list[list[Value]] = [[] for _ in range(len(body.output) - 1 - len(carried))]
    count = 0
    while going and (trips is None or count < trips):
        name = f"{node.output_names[0]}.{count}"
        number = importer.build.constant(np.array(count, np.int64), f"{name}.round")
        flag = importer.build.constant(np.array(True), f"{name}.go")
        made = _round(importer, node, body, scope, [number, flag, *carried], count)
        going = _decided(importer, made[0])
        carried = made[1 : 1 + len(carried)]
        for parts, value in zip(scanned, made[1 + len(carried) :], strict=True):
            parts.append(value)
        count += 1
    if going is None:
        raise node.fault("NT0613", "how often the loop runs depends on data")
    return (*carried, *(_stack(importer, node, parts, axis=0) for parts in scanned))


def scan(importer: Reading, node: Node, proto: NodeProto, scope: Scope) -> Results:
    """Unroll a scan, whose number of rounds is the size of the axis it scans."""
    if node.version < 9:
        raise node.fault("NT0610", "`Scan` of operator set 8 is not supported")
    body = _body(node, proto)
    inputs = int(node.required("num_scan_inputs"))
    states = [node[index] for index in range(len(node) - inputs)]
    sequences = [node[index] for index in range(len(node) - inputs, len(node))]
    axes = _axes(node.attr("scan_input_axes", (0,) * inputs), sequences)
    backwards = node.attr("scan_input_directions", (0,) * inputs)
    length = sequences[0].type.shape[axes[0]] if sequences else 0
    if not isinstance(length, int):
        raise node.fault("NT0605", f"the scanned axis has the open size `{length}`")
    outputs = len(body.output) - len(states)
    scanned: list[list[Value]] = [[] for _ in range(outputs)]
    for count in range(length):
        slices = [
            _pick(importer, x, axis, length - 1 - count if back else count)
            for x, axis, back in zip(sequences, axes, backwards, strict=True)
        ]
        made = _round(importer, node, body, scope, [*states, *slices], count)
        states = made[: len(states)]
        for parts, value in zip(scanned, made[len(states) :], strict=True):
            parts.append(value)
    ends = node.attr("scan_output_directions", (0,) * outputs)
    places = node.attr("scan_output_axes", (0,) * outputs)
    stacked = (
        _stack(importer, node, parts[::-1] if back else parts, axis=axis)
        for parts, back, axis in zip(scanned, ends, places, strict=True)
    )
    return (*states, *stacked)


def _body(node: Node, proto: NodeProto) -> GraphProto:
    for attribute in proto.attribute:
        if attribute.name == "body":
            graph: GraphProto = attribute.g
            return graph
    raise node.fault("NT0611", f"`{node.op_type}` needs a `body`")


def _round(
    importer: Reading,
    node: Node,
    body: GraphProto,
    scope: Scope,
    values: Sequence[Value],
    count: int,
) -> list[Value]:
    if len(values) != len(body.input):
        message = f"the body takes {len(body.input)} inputs, but is given {len(values)}"
        raise node.fault("NT0611", message)
    importer.count(node.where)
    inner = scope.inner(f"{node.output_names[0]}.{count}/")
    inner.values.update((v.name, value) for v, value in zip(body.input, values, strict=True))
    return importer.body(body, inner, node.where)


def _decided(importer: Reading, condition: Value) -> bool | None:
    data: Array | None = importer.build.const_of(condition)
    return None if data is None else bool(data.any())


def _axes(axes: Sequence[int], values: Sequence[Value]) -> list[int]:
    return [axis % max(v.type.rank, 1) for axis, v in zip(axes, values, strict=True)]


def _pick(importer: Reading, x: Value, axis: int, index: int) -> Value:
    cut = importer.build.add(Slice(x, starts=(index,), ends=(index + 1,), axes=(axis,)))
    shape = cut.type.shape
    return importer.build.add(Reshape(cut, shape=(*shape[:axis], *shape[axis + 1 :])))


def _stack(importer: Reading, node: Node, parts: Sequence[Value], *, axis: int) -> Value:
    if not parts:
        raise node.fault("NT0613", "the loop never runs, so what it stacks has no shape")
    rank = parts[0].type.rank + 1
    axis %= rank
    rows = []
    for part in parts:
        shape = part.type.shape
        rows.append(importer.build.add(Reshape(part, shape=(*shape[:axis], 1, *shape[axis:]))))
    return importer.build.add(Concat(tuple(rows), axis=axis))


def _types(values: Sequence[Value]) -> str:
    return ", ".join(f"`{v.type.plain()}`" for v in values)
