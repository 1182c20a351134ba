"""``limit-fan-out``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, inf, prod
from typing import ClassVar

import numpy as np

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.fan_out import Count, Ints, counted, driven, fan_out, faults, from_outside, is_move
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Target
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.counterparts import Known
from neutrams.passes.match import located
from neutrams.passes.sending import copy_of, cut_by_neurons, producer, read_from, relay, relay_size


@dataclass(frozen=True)
class LimitFanOut(Pass):
    """Send every result to no more crossbars than the chip allows, by copies or by relays.

    A copy is a second unit that makes the same result; a relay is a crossbar that multiplies by 1
    and hands it on, in a tree of any depth. Each value gets what takes fewer crossbars, counting
    what copies ask of the values that they read. Units of many neurons are cut, so that their
    column blocks read different ones. Nothing is done where the target states no fan-out.
    """

    name: ClassVar[str] = "limit-fan-out"
    takes: ClassVar = ("unit",)
    descends: ClassVar[bool] = True
    obeys_limits: ClassVar[bool] = True
    rms_bound: ClassVar[float] = 0.0

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        if ctx.target is None or not (
            ctx.target.limits.fan_out or ctx.target.limits.crossbar_fan_out
        ):
            return False
        aligned = [_aligned(graph, op, ctx) for op in list(graph.ops) if isinstance(op, Mvm)]
        tried: set[Value] = set()
        while over := [v for v in _over(graph, ctx.target) if v not in tried]:
            tried.add(over[-1])
            _Sending(graph, ctx.target, over[-1], ctx.counterparts).run(ctx)
        if broken := faults(graph, ctx.target):
            raise NeutramsError(*broken)
        return any(aligned) or bool(tried)


def _over(graph: Graph, target: Target) -> list[Value]:
    """Return the values of a graph itself that go to too many crossbars, in order."""
    most = (target.limits.fan_out or inf, target.limits.crossbar_fan_out or inf)
    own = {value for op in graph.ops for value in op.results}
    return [
        value
        for value, reads in fan_out(graph).items()
        if value in own and (reads.most > most[0] or reads.together > most[1])
    ]


def _aligned(graph: Graph, op: Mvm, ctx: PassContext) -> bool:
    """Let no channel of a convolution lie in two blocks of rows, where a block holds a channel."""
    taps, limits = prod(op.kernel), ctx.need_target().limits
    if not op.kernel or op.splits == 1 or op.rows % taps == 0 or taps > limits.fan_in:
        return False
    channels, most = op.fan_in // taps, limits.fan_in // taps
    new = replace(op, rows=taps * ceil(channels / ceil(channels / most)))
    graph.replace(op, located(new, op))
    ctx.remark(new, f"blocks of rows hold whole channels, {new.rows // taps} each")
    return True


@dataclass(frozen=True, slots=True)
class _Reader:
    """A unit that reads the value, and what each of its column blocks takes of a fan-out."""

    op: Mvm
    blocks: int
    each: int
    """Crossbars that read one result."""
    together: int
    """Crossbars that read any result of one crossbar of the value."""
    relayed: int
    """The same of one crossbar of a relay."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which source each column block reads: 0 is the value, the others are made for it."""

    parents: tuple[int, ...]
    """What each relay reads; nothing where sources are copies."""
    dealt: tuple[int, ...]
    """By reader and column block."""

    @property
    def made(self) -> int:
        return max(len(self.parents), max(self.dealt, default=0))


Room = tuple[float, float]


class _Sending:
    """The readers of one value, dealt out to the value and to copies or relays of it."""

    def __init__(self, graph: Graph, target: Target, value: Value, known: Known) -> None:
        self.graph, self.target, self.value, self.known = graph, target, value, known
        limits = target.limits
        self.most: Room = (limits.fan_out or inf, limits.crossbar_fan_out or inf)
        self.size = relay_size(value, target)
        count = counted(graph)
        whole = count.reads(value)
        units = _units_reading(value)
        self.first = any(op.kernel and value.type.rank > 2 for op in units)
        """Whether channels are the second axis, not the last."""
        self.own, relays, self.fed = self._chunks(count)
        found = [_reader(count, op, value, self.own, relays) for op in units]
        self.readers = [reader for reader in found if reader.each]
        each = sum(reader.each * reader.blocks for reader in self.readers)
        together = sum(reader.together * reader.blocks for reader in self.readers)
        self.kept: Room = (max(0, whole.most - each), max(0, whole.together - together))
        """Taken by what cannot be given another source: cells."""
        self.demand = int(each + self.kept[0])

    def run(self, ctx: PassContext) -> None:
        """Give every reader a source, the cheaper way."""
        options = [
            (cost, relays, plan)
            for relays in (False, True)
            if (plan := self._plan(relays=relays)) is not None
            for cost in [self._cost(plan, relays=relays)]
        ]
        assert self.value.op is not None
        if not options:
            message = "one block of columns alone reads too much of it, and so would relays"
            ctx.remark(self.value.op, message, kind="missed")
            return
        cost, relays, plan = min(options, key=lambda option: option[:2])
        sources = self._make(plan, relays=relays)
        dealt = iter(plan.dealt)
        for reader in self.readers:
            self._give(reader, [sources[next(dealt)] for _ in range(reader.blocks)])
        self.graph.prune()
        what = "relays" if relays else "copies"
        text = f"goes to {self.demand} crossbars, over {plan.made} {what} of {cost} crossbars"
        ctx.remark(self.value.op, text)

    def _plan(self, *, relays: bool) -> _Plan | None:
        """Return the plan with the fewest sources; ``None`` where there is none."""
        if relays and not self.size:
            return None
        blocks = sum(reader.blocks for reader in self.readers)
        for made in range(1, 2 * blocks + 2):
            rooms = [(self.most[0] - self.kept[0], self.most[1] - self.kept[1])]
            parents = self._tree(rooms, made) if relays else ()
            if not relays:
                rooms += [self.most] * made
            if parents is not None and (dealt := self._deal(rooms, relays=relays)) is not None:
                return _Plan(tuple(parents), dealt)
        return None

    def _tree(self, rooms: list[Room], made: int) -> list[int] | None:
        """Hang so many relays on one another, each as near to the value as there is room."""
        parents = list[int]()
        for _ in range(made):
            taken: list[Room] = [(1, 1 if index else self.fed) for index in range(len(rooms))]
            free = (index for index in range(len(rooms)) if _fits(rooms[index], taken[index]))
            if (parent := next(free, None)) is None:
                return None
            rooms[parent] = _less(rooms[parent], taken[parent])
            rooms.append(self.most)
            parents.append(parent)
        return parents

    def _deal(self, rooms: list[Room], *, relays: bool) -> tuple[int, ...] | None:
        """Give each column block the first source that has room for it."""
        dealt = list[int]()
        for reader in self.readers:
            for _ in range(reader.blocks):
                taken: list[Room] = [
                    (reader.each, reader.relayed if relays and index else reader.together)
                    for index in range(len(rooms))
                ]
                free = (index for index in range(len(rooms)) if _fits(rooms[index], taken[index]))
                if (source := next(free, None)) is None:
                    return None
                rooms[source] = _less(rooms[source], taken[source])
                dealt.append(source)
        return tuple(dealt)

    def _cost(self, plan: _Plan, *, relays: bool) -> int:
        """Return the crossbars that a plan takes, those that its copies ask for included."""
        if relays:
            return plan.made * self._relay_crossbars
        unit = producer(self.value)[0]
        if not isinstance(unit, Mvm):
            return 0
        columns = len(np.unique(unit.table()[:, 4]))
        reads = fan_out(self.graph)
        more = sum(
            _asked(self.graph, self.target, source, reads[source].most, plan.made * columns)
            for source in roots(unit.x)
            if source in reads
        )
        return plan.made * len(unit.table()) + more

    @property
    def _relay_crossbars(self) -> int:
        return ceil(_channels(self.value, first=self.first) / self.size)

    def _make(self, plan: _Plan, *, relays: bool) -> list[Value]:
        sources = [self.value]
        if not relays:
            return sources + [copy_of(self.graph, self.value, n + 1) for n in range(plan.made)]
        for parent in plan.parents:
            source, number = sources[parent], len(sources)
            made = relay(
                self.graph, source, self.target, self.value, number, channels_first=self.first
            )
            unit = producer(made)[0]
            assert isinstance(unit, Mvm)
            self.known[unit.w] = "hand a result on"
            sources.append(made)
        return sources

    def _give(self, reader: _Reader, sources: list[Value]) -> None:
        """Let each column block of a unit read its source; blocks of one source stay together."""
        starts = [i for i in range(len(sources)) if not i or sources[i] is not sources[i - 1]]
        ends = [*starts[1:], len(sources)]
        pieces = [reader.op]
        if len(starts) > 1:
            spans = list(zip(starts, ends, strict=True))
            pieces = cut_by_neurons(self.graph, reader.op, spans, self.known)
        for piece, start in zip(pieces, starts, strict=True):
            if sources[start] is not self.value:
                read_from(self.graph, piece, self.value, sources[start])

    def _chunks(self, count: Count) -> tuple[Ints, Ints, int]:
        """Return the crossbar that makes each element, that which relays it, and their overlap."""
        own = count.chunk_of(self.value)
        axis = 1 if self.first else own.ndim - 1
        place = np.arange(own.shape[axis]) // max(self.size, 1)
        spread = [1] * own.ndim
        spread[axis] = -1
        relays = np.broadcast_to(place.reshape(spread), own.shape)
        pairs = np.unique(np.stack([own.ravel(), relays.ravel()]), axis=1)
        known = pairs[0][pairs[0] >= 0]
        fed = int(np.unique(known, return_counts=True)[1].max(initial=1))
        return own.ravel(), relays.ravel(), fed


def _fits(room: Room, taken: Room) -> bool:
    return taken[0] <= room[0] and taken[1] <= room[1]


def _less(room: Room, taken: Room) -> Room:
    return room[0] - taken[0], room[1] - taken[1]


def _reader(count: Count, op: Mvm, value: Value, own: Ints, relays: Ints) -> _Reader:
    """Measure what one column block of a unit reads of a value."""
    first, size = count.first[value], own.size
    each = np.zeros(size, np.int64)
    together, relayed = (np.zeros(int(c.max(initial=0)) + 2, np.int64) for c in (own, relays))
    for ids, _ in driven(op, count.ids[op.x]):
        mine = ids[(ids >= first) & (ids < first + size)] - first
        each[mine] += 1
        together[np.unique(own[mine])] += 1  # -1, made by no crossbar, falls on the last place
        relayed[np.unique(relays[mine])] += 1
    blocks = len(np.unique(op.table()[:, 4]))
    most = (int(each.max(initial=0)), int(together[:-1].max(initial=0)), int(relayed.max()))
    return _Reader(op, blocks, *most)


def _units_reading(value: Value) -> list[Mvm]:
    """Return the units that a value reaches by moves alone, each once."""
    found: dict[Mvm, None] = {}
    for user in value.users:
        if isinstance(user, Mvm):
            found[user] = None
        elif is_move(user):
            found |= dict.fromkeys(op for made in user.results for op in _units_reading(made))
    return list(found)


def roots(value: Value) -> list[Value]:
    """Return the values whose elements a value shows."""
    if not is_move(value.op):
        return [value]
    assert value.op is not None
    found = {root: None for operand in value.op.present for root in roots(operand)}
    return list(found)


def _channels(value: Value, *, first: bool) -> int:
    size = value.type.shape[1 if first else -1]
    assert isinstance(size, int)
    return size


def _asked(graph: Graph, target: Target, value: Value, now: int, more: int) -> int:
    """Return about how many crossbars it takes to send a value to more crossbars than now."""
    return _sent(graph, target, value, now + more) - _sent(graph, target, value, now)


def _sent(graph: Graph, target: Target, value: Value, readers: int) -> int:
    """Return about how many crossbars sending a value to so many takes."""
    most = target.limits.fan_out or target.limits.crossbar_fan_out
    if readers <= most or from_outside(value, graph):
        return 0
    options = list[int]()
    if most > 1 and (size := relay_size(value, target)):
        channels = _channels(value, first=value.type.rank > 2)
        options.append(ceil((readers - most) / (most - 1)) * ceil(channels / size))
    unit, copies = producer(value)[0], ceil(readers / most) - 1
    if not isinstance(unit, Mvm):
        return 0
    columns = len(np.unique(unit.table()[:, 4]))
    asked = sum(_asked(graph, target, r, columns, copies * columns) for r in roots(unit.x))
    return min([*options, copies * len(unit.table()) + asked])
