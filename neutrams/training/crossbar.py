"""Crossbar arithmetic in torch: the integers of :mod:`neutrams.ir.crossbar`, with a gradient."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neutrams.ir.blocks import packed
from neutrams.ir.crossbar import Encoding, lossless, program, read
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.ir.windows import filled, out_sizes


def always_lossless(op: Mvm) -> bool:
    """Whether no weights at all can make a converter of the op lose anything."""
    e = op.encoding
    if not e.adc_bits:
        return True
    groups = min(op.groups, packed(op.fan_in, op.outputs // op.groups, op.rows, op.neurons))
    rows = groups * min(op.fan_in, op.rows or op.fan_in)
    full = rows * e.cell_max * e.digit_max
    halved = e.column_flip and e.coding == "offset"
    worst = rows * e.cell_max // 2 * e.digit_max if halved else full
    unit = rows * e.digit_max if e.bias else 0
    return not e.shift and not e.unit_shift and max(worst, unit) <= e.code_max


def lossless_with(op: Mvm, weights: Array) -> bool:
    """Whether every column of the op is lossless with these weights ``[groups·M, K]``."""
    if always_lossless(op):
        return True
    blocks = (op.block_weights(weights, block) for block in op.table())
    return all(bool(lossless(held, op.encoding).all()) for held in blocks)


def windows(op: Mvm, x: Tensor) -> Tensor:
    """Return ``[windows, groups, fan_in]``: the unsigned drive of every row."""
    if op.kernel:
        rank = len(op.kernel)
        strides, pads, dilations = filled(rank, op.strides, op.pads, op.dilations)
        x = padded(x, pads, op.pad_value)
        for axis in range(rank):
            reach = (op.kernel[axis] - 1) * dilations[axis] + 1
            x = x.unfold(2 + axis, reach, strides[axis])[..., :: dilations[axis]]
        order = [0, *range(2, 2 + rank), 1, *range(2 + rank, 2 + 2 * rank)]
        x = x.permute(order)
    return x.reshape(-1, op.groups, op.fan_in) + op.input_offset


def scatter(op: Mvm, partials: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Shape ``[S, windows, neurons]`` as the op's result for an ``x`` of the given shape."""
    if not op.kernel:
        return partials.reshape(len(partials), *shape[:-1], op.outputs)
    out = out_sizes(shape[2:], op.kernel, op.strides, op.pads, op.dilations)
    return partials.reshape(len(partials), shape[0], *out, op.outputs).movedim(-1, 2)


def padded(x: Tensor, pads: tuple[int, ...], value: float) -> Tensor:
    """Pad the last axes: all begins, then all ends, as in ONNX."""
    rank = len(pads) // 2
    if not any(pads):
        return x
    order = [pads[i] for axis in reversed(range(rank)) for i in (axis, axis + rank)]
    around: Tensor = torch.nn.functional.pad(x, order, value=value)
    return around


def converted(op: Mvm, x: Tensor, w: Tensor) -> Tensor:
    """Return ``[S, windows, neurons]``: the sums that converters report, in float64."""
    with torch.no_grad():
        drive = windows(op, x.detach()).to(torch.float64)
        weights = w.detach().round().cpu().numpy().astype(np.int64)
        found = drive.new_zeros((op.splits, len(drive), op.outputs))
        for block in op.table():
            group_lo, group_hi, row_lo, row_hi, _, _ = map(int, block)
            rows = drive[:, group_lo:group_hi, row_lo:row_hi].reshape(len(drive), -1)
            split = row_lo // op.rows if op.rows else 0
            held = op.block_weights(weights, block)
            found[split, :, op.columns_of(block)] = _multiply(rows, held, op.encoding)
        return found


def _multiply(x: Tensor, weights: Array, e: Encoding) -> Tensor:
    """Return ``[windows, neurons]`` for a drive ``[windows, rows]`` of one block."""
    cells = program(weights, e)
    levels = torch.from_numpy(read(cells, e)).to(x)
    flipped = torch.from_numpy(cells.flipped).to(x.device)
    total = x.new_zeros((len(x), weights.shape[1]))
    for phase in range(e.phases):
        digits = torch.floor(x / 2 ** (phase * e.dac_bits)) % (e.digit_max + 1)
        unit = _convert(digits.sum(dim=1, keepdim=True), e, e.unit_shift)
        product = -e.bias * unit
        for place in np.ndindex(*levels.shape[:2]):
            sums = _convert(digits @ levels[place], e, e.shift)
            true = torch.where(flipped[place], e.cell_max * unit - sums, sums)
            product = product + float(e.worth[place]) * true
        total += product * 2 ** (phase * e.dac_bits)
    return total


def _convert(sums: Tensor, e: Encoding, shift: int) -> Tensor:
    """Do to whole float numbers what :func:`neutrams.ir.crossbar.convert` does."""
    if not e.adc_bits:
        return sums
    codes = torch.floor((sums + (1 << shift >> 1)) / 2**shift)
    held: Tensor = torch.clamp(codes, e.code_min, e.code_max) * 2**shift
    return held
