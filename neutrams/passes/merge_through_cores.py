"""``merge-through-cores``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Target
from neutrams.ir.types import Array
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.match import constant, read_once
from neutrams.passes.merging.build import Builder, adjustable
from neutrams.passes.merging.codes import Codes, Form, narrowed, signed_codes
from neutrams.passes.merging.cut import Cut, find_cut
from neutrams.passes.merging.observe import Sums, part_sums, windows_of
from neutrams.passes.merging.tree import Room, plan

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class MergeThroughCores(Pass):
    """Cut matrices into units of their own, and merge their partial sums by further units.

    For chips without an adder between crossbars; nothing is done where the chip has one. Each part
    of a matrix puts out its partial sums as a unit does, rounded to the width of outputs; units of
    one neuron each, which share crossbars, add them by small weights, over as many levels as the
    fan-in asks for. What bits suffice for is exact. Run it before `split-fan-in`.
    """

    name: ClassVar[str] = "merge-through-cores"
    takes: ClassVar = ("unit",)
    rms_bound: ClassVar[float] = 0.5

    rows: int = 0
    """Most inputs of a crossbar; 0 for what the target's units read."""
    neurons: int = 0
    """Most neurons of a crossbar; 0 for what the target's units make."""
    partial_sums: int = 0
    """Partial sums of a neuron that are added digitally; 0 for what the target adds, 1 for none."""
    signed: Literal["auto", "offset", "pairs"] = "auto"
    """How sums of both signs leave a unit. `offset`: a bias moves the least sum to the lowest
    output. `pairs`: two outputs, one for each sign, so twice the neurons and a step half as wide.
    `auto` is `offset`; where the chip limits biases, signed outputs if it has such, else pairs."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        chip = self._chip(ctx)
        if chip is None:
            return False
        found: list[tuple[Graph, Mvm, Cut]] = []
        for each in [*graph.cells(), graph]:
            for op in each.ops:
                if isinstance(op, Mvm) and (cut := _cut(op, chip.room.most)) is not None:
                    found.append((each, op, cut))
        if found:
            chip.check()
        windows: dict[Mvm, NDArray[np.float64]] = {}
        if ctx.calibration and found:
            wanted = [op for _, op, _ in found]
            windows = windows_of(graph, ctx.calibration, wanted, seed=ctx.seed)
        changed = False
        for each, op, cut in found:
            if reason := _obstacle(each, op, cut):
                ctx.remark(op, f"partial sums stay: {reason}", kind="missed")
                continue
            chip.merge(each, op, cut, windows.get(op), ctx)
            each.prune()
            changed = True
        return changed

    def _chip(self, ctx: PassContext) -> _Chip | None:
        """Return what units may be; ``None`` where partial sums are added digitally."""
        limits = ctx.target.limits if ctx.target is not None else None
        sums = self.partial_sums or (ctx.need_target().limits.partial_sums)
        if not sums:
            return None
        rows = self.rows or ctx.need_target().limits.fan_in
        neurons = self.neurons or ctx.need_target().limits.neurons
        weight_bits = limits.weight_bits if limits else 8
        form = self._form(ctx.target)
        room = Room(rows, neurons, rows * sums, entries=2 if form.pairs else 1)
        most = ctx.target.chosen_weights[1] if ctx.target else 127
        return _Chip(room, form, most, weight_bits)

    def _form(self, target: Target | None) -> Form:
        low, high = target.activation_codes if target else (0, 255)
        narrow = target is not None and target.limits.bias_range is not None
        if self.signed == "offset" or (self.signed == "auto" and not narrow):
            return Form.moving(low, high)
        return Form.resting(low, high, pairs=self.signed == "pairs")


@dataclass(frozen=True, slots=True)
class _Chip:
    """What units may be, and how they put out sums of both signs."""

    room: Room
    form: Form
    most: int
    """The largest weight."""
    weight_bits: int

    def check(self) -> None:
        """Check that a unit can merge two partial sums at all.

        Raises:
            NeutramsError: NT0230, it cannot.
        """
        room, form = self.room, self.form
        reasons = {
            f"{room.most} inputs": room.fan_in < 2,
            f"weights of {self.weight_bits} bit": self.most < 1,
            "results of 1 bit and weights of 1": form.moved and form.levels * self.most < 2,
        }
        if what := next((words for words, holds in reasons.items() if holds), ""):
            raise NeutramsError(
                error("NT0230", f"units with {what} cannot merge partial sums")
                .note(f"a merging unit reads {2 * room.entries} outputs or more, by weights of 1")
                .help("allow more: `fan-in`, `weight-bits`, `input-bits` or `partial-sums`")
            )

    def merge(
        self, graph: Graph, op: Mvm, cut: Cut, windows: NDArray[np.float64] | None, ctx: PassContext
    ) -> None:
        reduce = op.result.users[0]
        assert isinstance(reduce, Reduce)
        shift = _shift(op, reduce, cut, ctx)
        sums = part_sums(op, cut.part_of_row, shift, windows)
        codes = self._codes(sums)
        name = op.result.name.removesuffix(".mvm")
        build = Builder(graph, op, reduce, self.form, name, ctx)
        tree = plan(cut.parts, op.outputs, self.room)
        outputs = build.parts(cut, codes, shift)
        gain = codes.gain
        for width in tree[:-1]:
            sums = self._within(sums.merged(width, codes.gain, codes.slack), codes, width)
            after = self._codes(sums)
            outputs = build.merge(outputs, codes, after, width, self.weight_bits)
            codes, gain = after, gain * after.gain
        made = build.finish(outputs, codes, gain, self.weight_bits)
        levels = f"{len(tree)} level{'s' if len(tree) > 1 else ''}"
        text = f"cut into {cut.parts} parts of {cut.rows} inputs, merged in {levels}"
        ctx.remark(made, text + ("" if windows is not None else "; in steps for any input"))

    def _codes(self, sums: Sums) -> Codes:
        low, high = sums.low, sums.high
        if sums.seen is not None and sums.seen.shape[1]:
            bounds = [
                narrowed(*each, self.form.levels)
                for each in zip(sums.seen, sums.low, sums.high, strict=True)
            ]
            low, high = (np.stack(ends) for ends in zip(*bounds, strict=True))
        return signed_codes(low, high, self.form, most=self.most)

    def _within(self, sums: Sums, codes: Codes, width: int) -> Sums:
        """Return sums held to what outputs and weights of the level before can make."""
        firsts = np.arange(0, len(codes.sign), width)
        edges = codes.weight * self.form.least, codes.weight * self.form.most
        ends = [edge(*edges).sum(axis=2) + codes.constant for edge in (np.minimum, np.maximum)]
        least, most = (np.add.reduceat(end, firsts, axis=0) for end in ends)
        low, high = np.maximum(sums.low, least), np.minimum(sums.high, most)
        return Sums(low, np.maximum(low, high), sums.seen)


def _cut(op: Mvm, rows: int) -> Cut | None:
    """Return how a product is cut; ``None`` where one unit reads all its inputs."""
    if op.fan_in <= rows:
        return None
    taps = int(np.prod(op.kernel, dtype=np.int64))
    return find_cut(op.fan_in // taps, op.kernel, rows=rows)


def _obstacle(graph: Graph, op: Mvm, cut: Cut) -> str:
    """Return why a product cannot be cut; empty where it can."""
    if constant(op.w) is None:
        return "its weights are not known"
    if not read_once(graph, op.result) or not isinstance(op.result.users[0], Reduce):
        return "something else than one sum reads its result"
    reduce = op.result.users[0]
    if reduce.bias is not None and constant(reduce.bias) is None:
        return "its bias is not constant"
    if not adjustable(graph, reduce):
        return "something reads its sums that cannot be told of another step"
    if cut.boxes > 1 and not all(isinstance(size, int) for size in op.x.type.shape[2:]):
        return "its kernel must be cut, and its input is of unknown size"
    return ""


def _shift(op: Mvm, reduce: Reduce, cut: Cut, ctx: PassContext) -> Ints:
    """Return ``[parts, neurons]``: what belongs to each partial sum beside its products.

    Each part makes good the offset and zero point of its own inputs; the rest goes to the first.
    """
    w = constant(op.w)
    assert w is not None
    zero = ctx.grids.get(op.x.name, (1.0, -op.input_offset))[1]
    inside = cut.part_of_row[None, :] == np.arange(cut.parts)[:, None]
    own: Ints = -(op.input_offset + zero) * (inside.astype(np.int64) @ w.astype(np.int64).T)
    bias: Array | None = constant(reduce.bias)
    whole = np.zeros(op.outputs, np.int64) if bias is None else bias.astype(np.int64)
    own[0] += whole - own.sum(axis=0)
    return own
