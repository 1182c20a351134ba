"""The words of the chip level: where units sit, what flows between tiles, and when things run.

Chip ops have no results; they state facts about values of the unit graph, by name.
"""

from __future__ import annotations

from neutrams.ir.op import Op, Value, attr, op, operand
from neutrams.ir.ops.base import want, want_rank, want_same
from neutrams.ir.types import TensorType


@op("chip.group")
class Group(Op):
    """The crossbars that hold the blocks of one ``unit.mvm``."""

    crossbars: Value = operand()
    """i32 ``[copies × B]``: the crossbar of every block, one copy after the other. A crossbar's
    index is (tile × cores of a tile + core) × crossbars of a core + its place in the core."""
    unit: str = attr()
    """Name of the ``unit.mvm``'s result."""
    rounds: Value | None = operand(default=None)
    """i32 ``[copies × B]``: the round of every block, where one round does not hold them all."""
    copies: int = attr(default=1)
    """Times the whole matrix is held; windows are shared among copies."""
    round: int = attr(default=0)
    """Round in which it runs; the last of ``rounds``."""

    def infer(self) -> tuple[TensorType, ...]:
        want_rank(self, self.crossbars, 1, 1)
        if self.rounds is not None:
            _same_length(self, self.crossbars, self.rounds)
        want(self, self.round >= 0, f"round must be 0 or more, not {self.round}")
        want(self, self.copies >= 1, f"copies must be 1 or more, not {self.copies}")
        return ()


@op("chip.round")
class Round(Op):
    """One of several rounds: cells are programmed, then a batch runs through part of the network.

    A program without any holds its whole network at once. What is said of cells is of one batch
    among many: crossbars that only one round uses are programmed once, and count nowhere.
    """

    round: int = attr()
    batch: int = attr()
    """Inferences that run through a round before the next one."""
    cell_writes: int = attr()
    write_ns: float = attr()
    """From the first cell written to the last, and no less than the levels take to come in."""
    load_bytes: int = attr()
    """Levels of cells that come from off the chip."""
    carried_bytes: int = attr()
    """What one inference leaves for later rounds."""
    spilled_bytes: int = attr(default=0)
    """What one inference sends off the chip and gets back because buffers lack the room."""

    def infer(self) -> tuple[TensorType, ...]:
        return ()


@op("chip.span")
class Span(Op):
    """When a round runs within one batch, in crossbar reads from its start."""

    round: int = attr()
    start_cycle: int = attr()
    run_cycle: int = attr()
    """Cells are programmed, and the first inference starts."""
    finish_cycle: int = attr()

    def infer(self) -> tuple[TensorType, ...]:
        return ()


@op("chip.vector")
class Vector(Op):
    """The tiles whose vector units run one digital op."""

    tiles: Value = operand()
    """i32 ``[T]``."""
    unit: str = attr()
    """Name of the op's first result."""

    def infer(self) -> tuple[TensorType, ...]:
        want_rank(self, self.tiles, 1, 1)
        return ()


@op("chip.place")
class Place(Op):
    """Router coordinates of each tile on the mesh."""

    x: Value = operand()
    """i32 ``[tiles]`` columns."""
    y: Value = operand()
    """i32 ``[tiles]`` rows."""

    def infer(self) -> tuple[TensorType, ...]:
        _same_length(self, self.x, self.y)
        return ()


@op("chip.flow")
class Flow(Op):
    """What one inference sends from tile to tile, first along its row, then its column.

    It leaves item by item; so there may be more flits than its bits would fill.
    """

    source: Value = operand()
    """i32 ``[E]`` tiles."""
    target: Value = operand()
    """i32 ``[E]`` tiles."""
    bits: Value = operand()
    """i64 ``[E]``."""
    packet: Value | None = operand(default=None)
    """i32 ``[E]``: edges of one number leave as one packet, which routers copy where their paths
    part; each by itself if not said."""
    flits: Value | None = operand(default=None)
    """i64 ``[E]``: of all edges of a packet the same; those that hold its bits if not said."""
    unit: str = attr(default="")
    """Name of the value that is sent, if it is one."""

    def infer(self) -> tuple[TensorType, ...]:
        others = [value for value in (self.packet, self.flits) if value is not None]
        _same_length(self, self.source, self.target, self.bits, *others)
        return ()


@op("chip.bound")
class Bound(Op):
    """What, beside stages, keeps inferences from following each other sooner: a shared part.

    Of each kind of part the busiest is named.
    """

    part: str = attr()
    busy_ns: float = attr()
    """In which one inference takes it."""

    def infer(self) -> tuple[TensorType, ...]:
        return ()


@op("chip.stage")
class Stage(Op):
    """When one op runs within one inference, in crossbar reads (``read_ns``) from its start.

    Of several rounds: within the first inference of a batch, from the start of the batch.
    """

    unit: str = attr()
    """Name of the op's first result."""
    windows: int = attr()
    """Rounds it works through: windows of one inference shared among copies; 1 where digital."""
    start_cycle: int = attr()
    interval_cycles: int = attr()
    """Cycles from one round to the next, or from one inference to the next where digital."""
    finish_cycle: int = attr()

    def infer(self) -> tuple[TensorType, ...]:
        return ()


def _same_length(op: Op, first: Value, *others: Value) -> None:
    (length,) = want_rank(op, first, 1, 1)
    for other in others:
        want_same(op, length, want_rank(op, other, 1, 1)[0], "lengths of lists")
