"""Imports point downwards, and heavy libraries load only when they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).resolve().parents[1]
LINKED = ("ir", "simulator", "mapper")
LAYERS = (
    {"cli"},
    {"search", "report", "reproduce"},
    {"driver"},
    {"passes"},
    {"frontends", "training", "targets", "costs"},
    {"mapper", "simulator"},
    {"ir"},
)
HEIGHT = {name: -depth for depth, names in enumerate(LAYERS) for name in names}
HEAVY = ("torch", "onnx", "onnxruntime", "numba", "scipy", "pydantic", "networkx")


def sources() -> list[Path]:
    folders = [ROOT / "neutrams", *(ROOT / name for name in LINKED)]
    found = (path for folder in folders for path in sorted(folder.rglob("*.py")))
    return [path for path in found if not _inside_link(path)]


def _inside_link(path: Path) -> bool:
    return any((ROOT / "neutrams" / name) in path.parents for name in LINKED)


def layer_of(path: Path) -> str:
    """Return the layer a file belongs to; empty for ``neutrams/__init__.py`` itself."""
    parts = path.relative_to(ROOT).parts
    inner = parts if parts[0] in LINKED else parts[1:]
    return inner[0] if len(inner) > 1 else ""


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the absolute dotted name of everything a file imports."""
    inside = path.relative_to(ROOT).with_suffix("").parts
    package = inside[:-1] if inside[0] == "neutrams" else ("neutrams", *inside[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *((node.module,) if node.module else ())))
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    layer = layer_of(path)
    for line, name in imports(path):
        parts = name.split(".")
        where = f"{path.relative_to(ROOT)}:{line}: imports `{name}`"
        assert parts[0] not in LINKED, f"{where}; write `neutrams.{name}`"
        if parts[0] != "neutrams" or not layer or len(parts) < 2 or parts[1] == layer:
            continue
        if parts[1] in HEIGHT:
            assert HEIGHT[parts[1]] < HEIGHT[layer], f"{where}, which is not below `{layer}`"


def test_every_package_has_a_layer() -> None:
    names = {layer_of(path) for path in sources()} - {""}
    assert names <= set(HEIGHT), f"no layer: {sorted(names - set(HEIGHT))}"


CIRCLES = [
    {"neutrams.ir.graph", "neutrams.ir.op"},  # a run is an op that holds its cell, a graph
]
"""Files that may import each other; they do so for the names of types only."""


def test_imports_make_no_circles() -> None:
    files = {module_of(path): path for path in sources()}
    graph = nx.DiGraph()
    for module, path in files.items():
        for _, name in imports(path):
            while name and name not in files:
                name = name.rpartition(".")[0]
            graph.add_edge(module, name or module)
    circles = [part for part in nx.strongly_connected_components(graph) if len(part) > 1]
    assert sorted(circles, key=min) == CIRCLES


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    inner = parts if parts[0] == "neutrams" else ("neutrams", *parts)
    return ".".join(inner).removesuffix(".__init__")


@pytest.mark.parametrize("module", ["neutrams", "neutrams.ir", "neutrams.ir.graph", "neutrams.cli"])
def test_import_is_light(module: str) -> None:
    code = f"import sys, {module}; print(*(name.split('.')[0] for name in sys.modules))"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.returncode == 0, run.stderr
    assert not set(run.stdout.split()) & set(HEAVY)
