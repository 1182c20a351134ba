"""The table of handlers: one function turns one ONNX node into ops of the ``nn`` level."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import TypeAlias

from neutrams.frontends.onnx.builder import Builder
from neutrams.frontends.onnx.node import Node
from neutrams.ir.op import Value

Handler: TypeAlias = Callable[[Node, Builder], Value | tuple[Value, ...]]

HANDLERS: dict[tuple[str, str], dict[int, Handler]] = {}
"""Handlers by (domain, operator), then by the first opset version each is right for."""


def handles(op_type: str, domain: str = "", since: int = 1) -> Callable[[Handler], Handler]:
    """Register a handler for ``op_type`` from opset ``since`` on, until a later one takes over.

    It returns one value for each output of the node, or just the value where there is one.
    """

    def register(handler: Handler) -> Handler:
        versions = HANDLERS.setdefault((plain_domain(domain), op_type), {})
        assert since not in versions, f"two handlers claim {domain}:{op_type} since {since}"
        versions[since] = handler
        return handler

    return register


def handler_of(op_type: str, *, domain: str, version: int) -> Handler | None:
    """Return the newest handler not newer than ``version``, or ``None``."""
    versions = HANDLERS.get((plain_domain(domain), op_type), {})
    since = max((s for s in versions if s <= version), default=None)
    return None if since is None else versions[since]


def plain_domain(domain: str) -> str:
    """Return the domain with both spellings of the default one as ``""``."""
    return "" if domain == "ai.onnx" else domain


def load_handlers() -> None:
    """Import every module that registers handlers."""
    package = importlib.import_module("neutrams.frontends.onnx.handlers")
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        importlib.import_module(f"{package.__name__}.{module}")
    importlib.import_module("neutrams.frontends.onnx.qonnx")
