"""``docs/functions.md`` says by what each function is computed, and how exactly.

``pytest --update-golden`` writes its tables anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import ceil
from pathlib import Path

import numpy as np
import pytest

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.activations import Gelu, HardSwish, LeakyRelu, Prelu, Sigmoid, Tanh
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.normalization import LayerNorm
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.reductions import Softmax
from neutrams.ir.target import Target
from neutrams.ir.types import DType, symbol, tensor
from neutrams.passes import PassContext, PassManager, default_pipeline
from neutrams.targets import load, names

PAGE = Path(__file__).parents[2] / "docs" / "functions.md"
SAMPLES = {"x": np.random.default_rng(0).normal(size=(128, 8, 4, 4)).astype(np.float32)}
SLACK = 0.15
"""How far below the percentage of the page a measured one may lie."""

Build = Callable[[Graph, Value], Op]


def weight(graph: Graph, *numbers: float, shape: tuple[int, ...] = (-1,)) -> Value:
    return graph.weight("c", np.array(numbers, np.float32).reshape(shape))


FUNCTIONS: dict[str, Build] = {
    "PReLU": lambda g, v: Prelu(v, weight(g, *np.linspace(0.1, 0.5, 8), shape=(8, 1, 1))),
    "LeakyReLU": lambda g, v: LeakyRelu(v, alpha=0.1),
    "sigmoid": lambda g, v: Sigmoid(v),
    "tanh": lambda g, v: Tanh(v),
    "hard-swish": lambda g, v: HardSwish(v),
    "GELU": lambda g, v: Gelu(v),
    "softmax": lambda g, v: Softmax(v, axis=-1),
    "layer norm": lambda g, v: LayerNorm(v, weight(g, 0.5, 1, 1.5, 2), weight(g, 0, 1, 0, -1)),
    "max pool": lambda g, v: MaxPool(v, kernel=(2, 2), strides=(2, 2)),
}
LIMITED: dict[str, dict[str, object]] = {
    "functions=lut+add": {"functions": ("lut", "add")},
    "…, lut-entries=16": {"functions": ("lut", "add"), "lut-entries": 16},
    "functions=relu+add": {"functions": ("relu", "add")},
    "functions=relu": {"functions": ("relu",)},
}
CHIPS: dict[str, Target] = {name: load(name) for name in names()} | {
    name: load("cim", limits=limits) for name, limits in LIMITED.items()
}
QUIET = ("mvm", "reduce", "rescale", "quantize", "dequantize")


def route(function: str, chip: Target) -> tuple[str, float]:
    """Return what computes a function between two convolutions, and its error.

    That is the root mean square over all results, in percent of their range, all rounding of the
    network counted.
    """
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 8, 4, 4))
    eye = np.eye(8, dtype=np.float32).reshape(8, 8, 1, 1)
    before = graph.add(Conv(x, graph.weight("w", 3 * eye)))
    value = graph.add(FUNCTIONS[function](graph, before))
    graph.output(graph.add(Conv(value, graph.weight("w", eye))), "y")
    wanted = interpret(graph, SAMPLES)["y"]
    try:
        PassManager(default_pipeline()).run(graph, PassContext(target=chip, calibration=SAMPLES))
    except NeutramsError as fault:
        return f"refused ({fault.diagnostics[0].code})", 0.0
    found = interpret(graph, SAMPLES)["y"]
    error = 100 * float(np.sqrt(np.mean((found - wanted) ** 2)) / np.ptp(wanted))
    units = sum(op.name == "unit.mvm" for op in graph.ops) - 2
    did = Counter(
        op.name.partition(".")[2]
        for op in graph.ops
        if not op.name.startswith("tensor.") and op.name.partition(".")[2] not in QUIET
    )
    parts = [f"{count} `{name}`" if count > 1 else f"`{name}`" for name, count in did.items()]
    parts += [f"{units} units"] if units else []
    return " + ".join(parts), error


def table(chips: list[str]) -> list[str]:
    """Return rows of the page."""
    lines = [
        "| function | " + " | ".join(f"`{name}`" for name in chips) + " |",
        "|---" * (len(chips) + 1) + "|",
    ]
    for function in FUNCTIONS:
        cells = [route(function, CHIPS[name]) for name in chips]
        shown = [
            f"{text}, {ceil(10 * error) / 10:.1f} %" if error else text for text, error in cells
        ]
        lines.append(f"| {function} | " + " | ".join(shown) + " |")
    return lines


def tables_of(text: str) -> list[list[list[str]]]:
    """Return the cells of each table on the page."""
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [rows for rows in found if rows]


def parted(cell: str) -> tuple[str, float]:
    """Return what a cell says of a route, and its percentage."""
    text, _, percent = cell.rpartition(", ")
    return (text, float(percent[:-2])) if percent.endswith(" %") else (cell, 0.0)


@pytest.mark.parametrize("which", [0, 1])
def test_the_page_tells_routes_and_errors(which: int, update_golden: bool) -> None:
    chips = list(names()) if which == 0 else list(LIMITED)
    text = PAGE.read_text(encoding="utf-8")
    made = table(chips)
    if update_golden:
        lines = text.splitlines(keepends=True)
        start = [i for i, line in enumerate(lines) if line.startswith("| function")][which]
        lines[start : start + len(made)] = [f"{line}\n" for line in made]
        text = "".join(lines)
        PAGE.write_text(text, encoding="utf-8")
    stated = tables_of(text)[which]
    for given, wanted in zip(stated, tables_of("\n".join(made))[0], strict=True):
        assert len(given) == len(wanted)
        for cell, measured in zip(given, wanted, strict=True):
            (text_given, percent), (text_made, error) = parted(cell), parted(measured)
            assert text_given == text_made
            assert error - SLACK <= percent <= error + SLACK
