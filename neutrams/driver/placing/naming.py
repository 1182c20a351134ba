"""Names of what runs on a chip, which speaks of units by the values they make."""

from __future__ import annotations

from neutrams.ir.graph import Graph


def name_apart(graph: Graph) -> None:
    """Rename values of cells until no two values of a graph and its cells are called alike."""
    taken = {value.name for value in graph.values()}
    for cell in graph.cells():
        for value in list(cell.values()):
            if value.name in taken:
                cell.rename(value, _unlike(value.name, taken))
        taken.update(value.name for value in cell.values())


def _unlike(name: str, taken: set[str]) -> str:
    count = 1
    while f"{name}.{count}" in taken:
        count += 1
    return f"{name}.{count}"
