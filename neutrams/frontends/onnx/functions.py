"""Replaces calls of ONNX functions by their bodies: the model's own, and those operators define."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto, TypeProto, helper

from neutrams.frontends.onnx.attributes import resolved
from neutrams.frontends.onnx.reading import Reading
from neutrams.frontends.onnx.registry import plain_domain
from neutrams.frontends.onnx.scope import Scope
from neutrams.ir.diagnostics import Place
from neutrams.ir.op import Value

Functions = dict[tuple[str, str, str], FunctionProto]


def local_functions(model: ModelProto) -> Functions:
    """Return the functions a model defines, by domain, name and overload."""
    return {(plain_domain(f.domain), f.name, f.overload): f for f in model.functions}


def local_function(node: NodeProto, functions: Functions) -> FunctionProto | None:
    return functions.get((plain_domain(node.domain), node.op_type, node.overload))


def bound(node: NodeProto, attributes: Mapping[str, AttributeProto]) -> NodeProto:
    """Return a node with references to its function's attributes replaced by what they hold."""
    if not any(attribute.ref_attr_name for attribute in node.attribute):
        return node
    copy = NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    copy.attribute.extend(resolved(node.attribute, attributes))
    return copy


def has_body(node: NodeProto, version: int) -> bool:
    """Say whether the definition of an operator gives a body in terms of others."""
    schema = _schema(node, version)
    if schema is None:
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)


def body_of(node: NodeProto, version: int, inputs: Sequence[Value | None]) -> FunctionProto | None:
    """Return the body of an operator, which may depend on attributes and input types.

    The newest body that is not newer than ``version`` is taken.
    """
    schema = _schema(node, version)
    if schema is None:
        return None
    body = FunctionProto()
    if plain := [v for v in schema.function_opset_versions if v <= version]:
        body.ParseFromString(schema.get_function_with_opset_version(max(plain)))
        return body
    versions = [v for v in schema.context_dependent_function_opset_versions if v <= version]
    if not versions:
        return None
    types = [_type_proto(value).SerializeToString() for value in inputs]
    body.ParseFromString(
        schema.get_context_dependent_function_with_opset_version(
            max(versions), node.SerializeToString(), types
        )
    )
    return body if body.node else None


def expand(
    importer: Reading,
    function: FunctionProto,
    node: NodeProto,
    *,
    inputs: Sequence[Value | None],
    scope: Scope,
    where: Place,
) -> tuple[Value | None, ...]:
    """Import the body of a function in place of a call and return the outputs that are used."""
    opsets = {plain_domain(o.domain): o.version for o in function.opset_import}
    inner = Scope(
        {**scope.opsets, **opsets},
        attributes=_defaults(node, scope.opsets)
        | {a.name: a for a in function.attribute_proto}
        | {a.name: a for a in resolved(node.attribute, scope.attributes)},
        depth=scope.depth + 1,
        prefix=f"{scope.prefix}{next(iter(node.output), node.op_type)}/",
    )
    importer.check_depth(inner.depth, where)
    for index, name in enumerate(function.input):
        value = inputs[index] if index < len(inputs) else None
        if value is None:
            inner.absent.add(name)
        else:
            inner.values[name] = value
    importer.walk(function.node, inner)
    wanted = zip(function.output, node.output, strict=False)
    return tuple(importer.read(name, inner, where) if used else None for name, used in wanted)


def _defaults(node: NodeProto, opsets: Mapping[str, int]) -> dict[str, AttributeProto]:
    """Return the defaults of a standard operator's attributes, which its body may refer to."""
    schema = _schema(node, opsets.get(plain_domain(node.domain), 1))
    attributes = {} if schema is None else schema.attributes
    return {n: a.default_value for n, a in attributes.items() if a.default_value.name}


def _schema(node: NodeProto, version: int) -> Any:
    """Return the schema of a standard operator, an extension type whose stubs lag behind."""
    domain = plain_domain(node.domain)
    if not onnx.defs.has(node.op_type, domain):
        return None
    try:
        return onnx.defs.get_schema(node.op_type, version, domain)
    except onnx.defs.SchemaError:
        return None


def _type_proto(value: Value | None) -> TypeProto:
    if value is None:
        return TypeProto()
    dims = [d if isinstance(d, int) else str(d) for d in value.type.shape]
    elem_type = helper.np_dtype_to_tensor_dtype(value.type.dtype.numpy)
    return helper.make_tensor_type_proto(elem_type, dims)
