"""Rules of the unit level, exact on integers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from neutrams.ir.ops import unit
from neutrams.ir.ops.digits import Digits, Join
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.ir.windows import filled, taps
from neutrams.training import crossbar
from neutrams.training.pools import pool_sum
from neutrams.training.rules import EXACT, along, rule, saturate
from neutrams.training.run import Run

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@rule(Mvm)
def mvm(op: Mvm, run: Run, x: Tensor, w: Tensor) -> Tensor:
    """Return partial sums, what noise adds in the first of them.

    They are one sum over all splits where the run merges them and none is lossy.
    """
    sums = _sums(op, run, x, w)
    if not run.noise:
        return sums
    first = sums[:1] + run.noise.of(op, x, w, lambda weights: _whole(op, run, x, weights))
    return torch.cat([first, sums[1:]])


def _sums(op: Mvm, run: Run, x: Tensor, w: Tensor) -> Tensor:
    if not (run.lossless(op) or crossbar.lossless_with(op, _integers(w))):
        exact = crossbar.scatter(op, crossbar.converted(op, x, w), tuple(x.shape))
        if not torch.is_grad_enabled():
            return exact
        ideal = _whole(op, run, x, w)
        if run.merges(op):
            exact = exact.sum(dim=0, keepdim=True)
            return ideal + (exact.to(ideal) - ideal).detach()
        share = torch.cat([_whole(op, run, x, part) for part in _parts(op, w)])
        return share + (exact.to(share) - share).detach()
    if op.splits == 1 or run.merges(op):
        return _whole(op, run, x, w)
    return torch.cat([_whole(op, run, x, part) for part in _parts(op, w)])


def _integers(w: Tensor) -> Array:
    return w.detach().round().cpu().numpy().astype("int64")


def _parts(op: Mvm, w: Tensor) -> list[Tensor]:
    """Return the weights of each split, zeros elsewhere."""
    places = torch.arange(op.fan_in, device=w.device) // (op.rows or op.fan_in)
    return [w * (places == split) for split in range(op.splits)]


def _whole(op: Mvm, run: Run, x: Tensor, w: Tensor) -> Tensor:
    """Return ``[1, …]``: the sums of ``(x + input_offset) · w`` over all rows."""
    largest = op.fan_in * 2 ** (op.input_bits + op.weight_bits - 1)
    wide = torch.float32 if run.fast or largest < EXACT else torch.float64
    x, w = x.to(wide), w.to(wide)
    if not op.kernel:
        sums = torch.einsum("ngk,gmk->ngm", crossbar.windows(op, x), _apart(op, w))
        return sums.reshape(1, *x.shape[:-1], op.outputs)
    rank = len(op.kernel)
    strides, pads, dilations = filled(rank, op.strides, op.pads, op.dilations)
    if rank not in CONVOLUTIONS or (x.is_cuda and not run.fast) or wide is torch.float64:
        drive = crossbar.windows(op, x)
        sums = torch.einsum("ngk,gmk->ngm", drive, _apart(op, w))
        return crossbar.scatter(op, sums.reshape(1, len(drive), op.outputs), tuple(x.shape))
    drive = crossbar.padded(x, pads, op.pad_value) + op.input_offset
    kernel = w.reshape(len(w), -1, *op.kernel)
    made = CONVOLUTIONS[rank](drive, kernel, stride=strides, dilation=dilations, groups=op.groups)
    return made[None]


def _apart(op: Mvm, w: Tensor) -> Tensor:
    return w.reshape(op.groups, -1, op.fan_in)


@rule(unit.Reduce)
def reduce(op: unit.Reduce, run: Run, partials: Tensor, bias: Tensor | None = None) -> Tensor:
    total = partials[0] if len(partials) == 1 else partials.sum(dim=0)
    if bias is None:
        return total
    wide = total if run.fast or total.dtype is torch.float64 else total.to(torch.float64)
    return wide + along(bias.to(wide), op.axis, total.ndim)


@rule(Digits)
def digits(op: Digits, run: Run, x: Tensor) -> Tensor:
    """Take numbers apart; the gradient is that of the lowest digit, as if it stood alone."""
    wide = x.detach().to(torch.int64) + op.offset
    parts = [(wide >> shift & 2**op.bits - 1).to(x.dtype) for shift in op.shifts]
    if x.requires_grad:
        parts[-1] = parts[-1] + (x - x.detach())
    return torch.cat(parts, dim=op.axis)


@rule(Join)
def join(op: Join, run: Run, x: Tensor) -> Tensor:
    wide = x if run.fast or x.dtype is torch.float64 else x.to(torch.float64)
    axis = op.axis % x.ndim
    parts = wide.reshape(op.apart(tuple(x.shape))).unbind(dim=axis + 1)
    total = sum(part * 2.0**shift for part, shift in zip(parts, op.shifts, strict=True))
    assert isinstance(total, Tensor)
    return total.flatten(axis, axis + 1)


@rule(unit.Rescale)
def rescale(op: unit.Rescale, run: Run, x: Tensor, scale: Tensor) -> Tensor:
    scaled = x.to(torch.float32) * along(scale, op.axis, x.ndim)
    return saturate(scaled, op.zero, op.low, op.high)


@rule(unit.Add)
def add(op: unit.Add, run: Run, a: Tensor, b: Tensor) -> Tensor:
    left = (a - op.a_zero).to(torch.float32) * run.attribute(op, "a_scale")
    right = (b - op.b_zero).to(torch.float32) * run.attribute(op, "b_scale")
    return saturate(left + right, op.zero, op.low, op.high)


@rule(unit.Lut)
def lut(op: unit.Lut, run: Run, x: Tensor, table: Tensor) -> Tensor:
    """Look up; the gradient is the slope between the neighbours of an entry."""
    place = (x.detach() - op.low).long().clamp(0, len(table) - 1)
    found = table[place]
    if not x.requires_grad:
        return found
    after, before = table[(place + 1).clamp(max=len(table) - 1)], table[(place - 1).clamp(min=0)]
    slope = (after - before).detach() / 2
    return found + slope * (x - x.detach())


@rule(unit.AveragePool)
def average_pool(op: unit.AveragePool, run: Run, x: Tensor) -> Tensor:
    total = pool_sum(op, x - op.input_zero)
    count = taps(
        tuple(x.shape[2:]),
        op.kernel,
        op.strides,
        op.pads,
        op.dilations,
        ceil_mode=op.ceil_mode,
        include_pad=op.count_include_pad,
    )
    share = run.attribute(op, "scale") / torch.from_numpy(count).to(x.device, torch.float32)
    return saturate(total.to(torch.float32) * share, op.zero, op.low, op.high)
