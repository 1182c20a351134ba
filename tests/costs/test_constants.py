"""Energy, area and power come from a target's table, and from nowhere else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUANTITY = re.compile(r"energy|_[fpnum]?j$|_[num]?w$|_[um]m2$")
UNITS = {0, 1, 2, 8, 20, 1e-3, 1e-6, 1e-9, 1e-12}
"""Nothing, factors of units, operations of a multiply-add, bits of a byte; 20 is that of 2**20."""


def numbers(tree: ast.AST) -> Iterator[float]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            yield node.value


def named(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield names with what is assigned, passed or defaulted to them."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield ast.unparse(target), value
            case ast.AnnAssign(target=target, value=ast.AST() as value):
                yield ast.unparse(target), value
            case ast.keyword(arg=str(name), value=value):
                yield name, value
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        yield key.value, value


def parsed(folder: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("folder", ["simulator", "ir", "neutrams/driver", "neutrams/report"])
def test_no_quantity_is_given_a_number_in_code(folder: str) -> None:
    found = [
        f"{path.name}: {name} = {ast.unparse(value)}"
        for path, tree in parsed(folder)
        for name, value in named(tree)
        if QUANTITY.search(name) and any(number not in UNITS for number in numbers(value))
    ]
    assert found == []


def test_the_simulator_knows_no_costs() -> None:
    """It counts events; what they cost is asked elsewhere."""
    imported = {
        name
        for _, tree in parsed("simulator")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom | ast.Import)
        for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
    }
    assert not [name for name in imported if "costs" in name]
    read = {
        node.attr
        for _, tree in parsed("simulator")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
    }
    assert not read & {"energy_pj", "area_mm2", "power_mw", "static_mw", "costs"}


def test_costs_have_no_constants_but_units() -> None:
    found = {number for _, tree in parsed("neutrams/costs") for number in numbers(tree)}
    assert found <= UNITS


def test_a_constant_in_code_would_be_found() -> None:
    tree = ast.parse("adc_pj = 1.67\nf(energy=3 * n)\n{'read_mw': 0.3}\nread_ns = 100.0")
    found = {name for name, value in named(tree) if any(n not in UNITS for n in numbers(value))}
    assert {name for name in found if QUANTITY.search(name)} == {"adc_pj", "energy", "read_mw"}
