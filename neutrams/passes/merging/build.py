"""Write a product as units whose partial sums other units merge."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value
from neutrams.ir.ops.indexing import Gather
from neutrams.ir.ops.quantization import Dequantize
from neutrams.ir.ops.tensors import Concat, Pad, Slice
from neutrams.ir.ops.unit import Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import paired
from neutrams.ir.types import Array, DType
from neutrams.ir.windows import filled, out_sizes
from neutrams.passes.affine import narrowest
from neutrams.passes.base import Parts, PassContext
from neutrams.passes.counterparts import Counterpart
from neutrams.passes.match import constant, located
from neutrams.passes.merging.codes import Codes, Form
from neutrams.passes.merging.cut import Cut

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """A value whose channels are the outputs of units, and where each part of a neuron lies."""

    value: Value
    place: Ints
    """``[parts, neurons, E]`` the channel; -1 where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Builder:
    """Inserts units before the sum that they replace."""

    graph: Graph
    op: Mvm
    """The product that is taken apart."""
    reduce: Reduce
    form: Form
    """What outputs of units are."""
    name: str
    """What names of new values begin with."""
    ctx: PassContext

    @property
    def axis(self) -> int:
        """Axis of channels, of what units read and make."""
        return 1 if self.op.kernel else self.op.x.type.rank - 1

    def parts(self, cut: Cut, codes: Codes, shift: Ints) -> Outputs:
        """Insert the units that each read a part of the inputs; ``shift`` as of their sums."""
        op, w = self.op, constant(self.op.w)
        assert w is not None
        groups = op.groups
        sign, start, step, moved = (
            _by_unit(np.broadcast_to(a, codes.sign.shape), groups)
            for a in (codes.sign, codes.start, codes.step, shift[..., None])
        )
        slot, count = _slots(sign)
        held = slot >= 0
        unit, neuron, _ = np.nonzero(held)
        target = unit * count + slot[held]
        sign, start, step, moved = sign[held], start[held], step[held], moved[held]
        source = self._sources(cut, unit, neuron)
        rows = np.where(source >= 0, w.reshape(-1)[source].astype(np.int64), 0)
        fits = bool(-rows.min(initial=0) <= 2 ** (op.weight_bits - 1) - 1)
        turned = np.ones_like(sign) if fits else sign
        total = groups * cut.parts * count
        weights = _spread(rows * (sign * turned)[:, None], target, total)
        mvm = replace(
            op,
            x=self._inputs(cut),
            w=self.graph.weight(f"{self.name}.part.weights", weights.astype(w.dtype)),
            groups=groups * cut.parts,
            rows=0,
            neurons=0,
            kernel=cut.box,
            pads=op.pads if cut.boxes == 1 else (),
        )
        bias = _spread((moved * sign - start) * turned, target, total)
        factor = _spread(turned / step, target, total, empty=1)
        value = self._unit(mvm, bias, factor, "part")
        whole = _spread(source, target, total, empty=-1)
        self.ctx.parts[mvm.result.name] = Parts(op.fan_in, whole)
        self.ctx.counterparts[mvm.w] = self._counterpart(whole, mvm)
        place = np.full(held.shape, -1, np.int64)
        place[held] = target
        return Outputs(value, _by_part(place, groups, cut.parts))

    def _counterpart(self, whole: Ints, mvm: Mvm) -> Counterpart:
        fan_in = self.op.fan_in
        neurons = np.where((whole >= 0).any(axis=1), whole.max(axis=1) // fan_in, -1)
        rows = np.where(whole >= 0, whole % fan_in, -1)
        by_group = rows.reshape(mvm.groups, -1, rows.shape[1]).max(axis=1)
        sides = np.zeros_like(neurons)
        return Counterpart(self.op.result.origin, neurons, by_group, sides, turned=True)

    def _sources(self, cut: Cut, unit: Ints, neuron: Ints) -> Ints:
        """Return ``[outputs, rows]``: where in the whole matrix the weights come from; -1: none."""
        op = self.op
        numbers = np.arange(1, op.outputs * op.fan_in + 1).reshape(op.groups, -1, op.fan_in)
        apart = cut.weights(numbers) - 1
        found: Ints = apart.reshape(op.groups * cut.parts, -1, cut.rows)[unit, neuron]
        return found

    def merge(
        self, found: Outputs, codes: Codes, after: Codes, width: int, weight_bits: int
    ) -> Outputs:
        """Insert the units that merge ``width`` parts each; they put out ``after``."""
        sign, start, step = (
            a.transpose(1, 0, 2).reshape(-1, a.shape[2])
            for a in (after.sign, after.start, after.step)
        )
        mvm, constants = self._merging(found, codes, width, sign, weight_bits)
        bias = np.where(sign, sign * constants[:, None] - start, 0).reshape(-1)
        value = self._unit(mvm, bias + self._undone(mvm), 1 / step.reshape(-1), "merge")
        parts, neurons, entries = after.sign.shape
        place = np.arange(neurons * parts * entries).reshape(neurons, parts, entries)
        return Outputs(value, np.where(after.sign, place.transpose(1, 0, 2), -1))

    def finish(self, found: Outputs, codes: Codes, gain: Ints, weight_bits: int) -> Mvm:
        """Put the unit that merges all that is left in the place of the sum."""
        parts, neurons, _ = found.place.shape
        ones = np.ones((neurons, 1), np.int64)
        mvm, constants = self._merging(found, codes, parts, ones, weight_bits)
        name = self.op.result.name
        self.graph.rename(self.op.result, f"{name}.whole")
        sums = self.graph.add(located(mvm, self.op), before=self.reduce, name=name)
        sums.origin = self.op.result.origin
        bias = self._bias(constants + self._undone(mvm), sums, "merged.bias")
        new = Reduce(sums, bias, axis=self.axis)
        self.graph.replace(self.reduce, located(new, self.reduce))
        for reader in dict.fromkeys(new.result.users):
            self._rescale(reader, new.result, gain)
        return mvm

    def _merging(
        self, found: Outputs, codes: Codes, width: int, sign: Ints, weight_bits: int
    ) -> tuple[Mvm, Ints]:
        """Return a unit with a group for every ``width`` parts of a neuron, neuron by neuron.

        ``sign`` is ``[groups, outputs]``. Also return what is to be added to each group's sum.
        """
        parts, neurons, entries = found.place.shape
        count = -(-parts // width)
        fill = ((0, count * width - parts), (0, 0), (0, 0))
        place = np.pad(found.place, fill, constant_values=-1)
        weight = np.pad(codes.weight, fill)
        apart = (count, width, neurons, entries)
        place, weight = (
            a.reshape(apart).transpose(2, 0, 1, 3).reshape(neurons * count, width * entries)
            for a in (place, weight)
        )
        order = np.argsort(place < 0, axis=1, kind="stable")
        inputs = max(int((place >= 0).sum(axis=1).max()), 1)
        place, weight = (np.take_along_axis(a, order, 1)[:, :inputs] for a in (place, weight))
        weight = np.where(place >= 0, weight, 0)
        place = np.where(place >= 0, place, np.maximum(place[:, :1], 0))
        constants = np.pad(codes.constant, fill[:2]).reshape(count, width, neurons).sum(axis=1)
        whole = (weight[:, None, :] * sign[:, :, None]).reshape(-1, inputs)
        form, bits = self.form, _bits(whole, self.op.coding)
        assert bits <= weight_bits, (bits, weight_bits)
        mvm = Mvm(
            self._gathered(found.value, place.reshape(-1), "merge.inputs"),
            self.graph.weight(f"{self.name}.merge.weights", whole.astype(_narrowest(whole))),
            kernel=(1,) * len(self.op.kernel),
            groups=neurons * count,
            input_offset=-form.low,
            input_bits=(form.high - form.low).bit_length(),
            weight_bits=bits,
            cell_bits=self.op.cell_bits,
            dac_bits=self.op.dac_bits,
            adc_bits=self.op.adc_bits,
            coding=self.op.coding,
            column_flip=self.op.column_flip,
            adc_mode=self.op.adc_mode,
        )
        self.ctx.counterparts[mvm.w] = "merge partial sums"
        return mvm, constants.T.reshape(-1)

    def _undone(self, mvm: Mvm) -> Ints:
        """Return what makes good the offset and zero of a merging unit's inputs."""
        w = constant(mvm.w)
        assert w is not None
        found: Ints = (self.form.low - self.form.zero) * w.sum(axis=1, dtype=np.int64)
        return found

    def _unit(self, mvm: Mvm, bias: Ints, factor: Array, name: str) -> Value:
        """Insert a product with its bias and the step to outputs."""
        sums = self._add(mvm, f"{name}.mvm")
        added = self._bias(bias, sums, f"{name}.bias")
        total = self._add(Reduce(sums, added, axis=self.axis), f"{name}.sum")
        scale = self.graph.weight(f"{self.name}.{name}.rescale", factor.astype(np.float32))
        form = self.form
        dtype = narrowest(form.low, form.high)
        held = {"zero": form.zero, "low": form.low, "high": form.high}
        value = self._add(Rescale(total, scale, axis=self.axis, dtype=dtype, **held), name)
        value.type = value.type.with_range(form.low, form.high)
        self.ctx.grids[value.name] = (1.0, form.zero)
        return value

    def _bias(self, bias: Ints, sums: Value, name: str) -> Value:
        wide = sums.type.dtype is DType.I64 or np.abs(bias).max(initial=0) >= 2**31
        dtype = np.int64 if wide else np.int32
        return self.graph.weight(f"{self.name}.{name}", bias.astype(dtype))

    def _inputs(self, cut: Cut) -> Value:
        """Return the members of all parts side by side."""
        op, groups = self.op, self.op.groups
        x = op.x if cut.boxes == 1 else self._boxes(cut)
        channel = cut.table % cut.channels + cut.table // cut.channels * groups * cut.channels
        index = np.arange(groups)[:, None, None] * cut.channels + channel
        return self._gathered(x, index.reshape(-1), "parts")

    def _boxes(self, cut: Cut) -> Value:
        """Return what the boxes of the kernel see, side by side along the channels."""
        op, rank = self.op, len(self.op.kernel)
        strides, pads, dilations = filled(rank, op.strides, op.pads, op.dilations)
        sizes = [int(size) for size in op.x.type.shape[2:]]  # type: ignore[arg-type]
        out = out_sizes(sizes, op.kernel, strides, pads, dilations)
        reach = [
            (n - 1) * s + (b - 1) * d + 1
            for n, s, b, d in zip(out, strides, cut.box, dilations, strict=True)
        ]
        last = [offset * d for offset, d in zip(cut.offsets[-1], dilations, strict=True)]
        ends = [max(pads[rank + i], last[i] + reach[i] - sizes[i] - pads[i]) for i in range(rank)]
        value = op.x
        if any(pads[:rank]) or any(ends):
            filler = np.array(op.pad_value, op.x.type.dtype.numpy)
            zero = self.graph.weight(f"{self.name}.zero", filler)
            value = self._add(
                Pad(value, zero, pads=(0, 0, *pads[:rank], 0, 0, *ends)), "padded", like=op.x
            )
        axes = tuple(range(2, 2 + rank))
        seen = []
        for offset in cut.offsets:
            starts = [o * d for o, d in zip(offset, dilations, strict=True)]
            stops = [a + r for a, r in zip(starts, reach, strict=True)]
            box = Slice(value, starts=tuple(starts), ends=tuple(stops), axes=axes)
            seen.append(self._add(box, "box", like=op.x))
        return self._add(Concat(tuple(seen), axis=1), "boxes", like=op.x)

    def _gathered(self, x: Value, index: Ints, name: str) -> Value:
        if np.array_equal(index, np.arange(_channels(x, self.axis))):
            return x
        places = self.graph.weight(f"{self.name}.{name}.index", index.astype(np.int64))
        return self._add(Gather(x, places, axis=self.axis), name, like=x)

    def _add(self, op: Op, name: str, *, like: Value | None = None) -> Value:
        made = located(op, self.op)
        value = self.graph.add(made, before=self.reduce, name=f"{self.name}.{name}")
        if like is not None and like.type.range is not None:
            value.type = value.type.with_range(*like.type.range)
        if like is not None and like.name in self.ctx.grids:
            self.ctx.grids[value.name] = self.ctx.grids[like.name]
        return value

    def _rescale(self, reader: Op, sums: Value, gain: Ints) -> None:
        """Tell a reader of the sums that their step is now ``gain`` of the old ones."""
        if (gain == 1).all():
            return
        assert isinstance(reader, Rescale | Dequantize)
        scale = constant(reader.scale)
        assert scale is not None
        wide = (scale.astype(np.float64) * gain).astype(scale.dtype)
        held = self.graph.weight(f"{self.name}.scale", wide)
        if isinstance(reader, Rescale):
            new: Op = replace(reader, scale=held, axis=self.axis)
        else:
            zero = self.graph.weight(f"{self.name}.zero", np.zeros(len(gain), np.int32))
            new = replace(reader, scale=held, zero=zero, axis=self.axis)
        self.graph.replace(reader, located(new, reader))


def adjustable(graph: Graph, reduce: Reduce) -> bool:
    """Whether all that reads a sum can be told of another step."""
    value = reduce.result
    if any(value is out for out in graph.outputs):
        return False
    return all(
        isinstance(user, Rescale | Dequantize)
        and user.x is value
        and constant(user.scale) is not None
        and (isinstance(user, Rescale) or _is_zero(user.zero))
        for user in value.users
    )


def _is_zero(value: Value) -> bool:
    data = constant(value)
    return data is not None and not data.any()


def _channels(x: Value, axis: int) -> int:
    return int(x.type.shape[axis])  # type: ignore[arg-type]


def _bits(weights: Ints, coding: str) -> int:
    """Return the fewest bits that hold all weights."""
    low, high = int(weights.min(initial=0)), int(weights.max(initial=0))
    return max(2, high.bit_length() + 1, (-low - (not paired(coding))).bit_length() + 1)


def _narrowest(weights: Array) -> type[np.signedinteger]:
    info = np.iinfo(np.int8)
    wide = weights.min(initial=0) < info.min or weights.max(initial=0) > info.max
    return np.int16 if wide else np.int8


def _by_unit(a: Array, groups: int) -> Array:
    """``[parts, G·M, E]`` as ``[G·parts, M, E]``."""
    parts, neurons, entries = a.shape
    apart = a.reshape(parts, groups, neurons // groups, entries).transpose(1, 0, 2, 3)
    return apart.reshape(groups * parts, neurons // groups, entries)


def _by_part(a: Array, groups: int, parts: int) -> Array:
    """``[G·parts, M, E]`` as ``[parts, G·M, E]``."""
    _, neurons, entries = a.shape
    apart = a.reshape(groups, parts, neurons, entries).transpose(1, 0, 2, 3)
    return apart.reshape(parts, groups * neurons, entries)


def _spread(a: Array, places: Ints, total: int, *, empty: int = 0) -> Array:
    """Return ``[total, …]`` with the rows of ``a`` in their places."""
    found = np.full((total, *a.shape[1:]), empty, a.dtype)
    found[places] = a
    return found


def _slots(sign: Ints) -> tuple[Ints, int]:
    """Number the outputs of each unit, neuron by neuron; also return the most that a unit has."""
    used = (sign != 0).reshape(len(sign), -1)
    number = np.where(used, used.cumsum(axis=1) - 1, -1)
    return number.reshape(sign.shape), max(int(used.sum(axis=1).max()), 1)
