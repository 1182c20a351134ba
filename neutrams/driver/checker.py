"""Does a model fit a chip, and what of it runs where? Answered without calibration or placement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neutrams.driver.options import Options
from neutrams.driver.placing.packing import kinds_of_units
from neutrams.driver.progress import Progress, silent
from neutrams.driver.shares import Share
from neutrams.driver.sources import load_target
from neutrams.driver.trial import lower
from neutrams.ir.graph import Graph
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Target
from neutrams.ir.traffic import Mesh
from neutrams.ir.types import Array
from neutrams.mapper.fit import chip_settings
from neutrams.passes import Remark


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where one op of the network will run."""

    op: str
    name: str
    """The value it makes."""
    place: str
    """``crossbar`` or ``digital``."""
    reason: str


@dataclass(frozen=True, slots=True)
class Check:
    target: Target
    ops: tuple[Verdict, ...]
    taken: tuple[int, ...]
    """Crossbars needed to hold every weight once, by kind of core."""
    parameters: Share
    multiply_adds: Share
    """Of the products of one inference."""

    @property
    def crossbars(self) -> int:
        return sum(self.taken)

    @property
    def smallest_tiles(self) -> int:
        """Tiles of the smallest chip of this kind that holds the network."""
        machine = self.target.machine
        cores = [-(-taken // machine.core.crossbars) for taken in self.taken]
        pairs = zip(cores, machine.kinds, strict=True)
        return max(1, *(-(-count // kind.per_tile) for count, kind in pairs))

    @property
    def smallest_settings(self) -> str:
        """The smallest chip that holds the network, as options of the command line."""
        network = self.target.machine.network
        mesh = Mesh(network.columns, network.rows)
        return chip_settings(self.smallest_tiles, mesh, network.tiles_per_router)

    @property
    def fits(self) -> bool:
        return self.smallest_tiles <= self.target.machine.tiles


def check(
    model: object,
    target: str | Path | Target = "cim",
    *,
    overrides: Mapping[str, Any] | Sequence[str] | None = None,
    limits: Mapping[str, Any] | Sequence[str] | None = None,
    strategy: str = "split-and-merge",
    dims: Mapping[str, int] | None = None,
    fixed: Mapping[str, Array] | None = None,
    progress: Progress | None = None,
) -> Check:
    """Say which ops of a model go to crossbars, which to the digital unit and why.

    Ranges do not matter for that, so one made-up sample stands for calibration data.

    Raises:
        NeutramsError: the model cannot be read or holds what no chip runs (NT06xx, NT02xx).
    """
    chip = load_target(target, overrides, limits=limits)
    options = Options(strategy=strategy, dims=dims, fixed=fixed)
    lowered = lower(model, chip, options, progress or silent)
    graph = lowered.graph
    units = [op for op, _ in working_ops(graph) if isinstance(op, Mvm)]
    verdicts = _verdicts(lowered.remarks)
    return Check(
        target=chip,
        ops=tuple(sorted(verdicts, key=lambda verdict: _position(verdict, graph))),
        taken=_taken(units, chip),
        parameters=lowered.shares.parameters,
        multiply_adds=lowered.shares.multiply_adds,
    )


def _taken(units: Sequence[Mvm], target: Target) -> tuple[int, ...]:
    found = [0] * len(target.machine.kinds)
    for unit, kind in zip(units, kinds_of_units(units, target).tolist(), strict=True):
        found[kind] += len(unit.table())
    return tuple(found)


def _verdicts(remarks: Iterable[Remark]) -> list[Verdict]:
    return [
        Verdict(remark.op, remark.value, remark.kind, remark.text)
        for remark in remarks
        if remark.kind in ("crossbar", "digital")
    ]


def _position(verdict: Verdict, graph: Graph) -> int:
    """Return where in the lowered graph the op stands, or what became of it."""
    names = (verdict.name, f"{verdict.name}.mvm")
    made = list(_made(graph))
    return next((i for i, name in enumerate(made) if name in names), len(made))


def _made(graph: Graph) -> Iterator[str]:
    """Yield the first result of every op, those of a cell where it is run."""
    for op in graph.ops:
        for cell in op.graphs:
            yield from _made(cell)
        if op.results:
            yield op.result.name
