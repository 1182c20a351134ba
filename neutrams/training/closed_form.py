"""Weights, scales and biases of one unit that follow from its inputs and targets directly.

Least squares on the transformed input, then rounding column by column where each error is made
good in the columns that follow (OPTQ: Frantar et al., ICLR 2023, algorithm 1), then the scale and
bias that suit the rounded weights best.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.training.crossbar import windows

FEWEST = 16_384
EACH = 48
"""Windows that statistics are taken over, at most: so many, and so many for each input."""
TRIES = 16
"""Scales of a neuron that are compared."""
HALVES = (1.0, 0.5, 0.25)
"""Shares of the scale that covers the largest weight, where only powers of two will do."""
LIKELY = 8
"""Of those, the scales that columns are rounded in sequence at, at the least."""
WEIGHTS = 2**20
"""While there are no more weights, so many copies of all are rounded, each at its scale."""
SCARCE = 16
"""Windows for each input below which weights are held on to more, in proportion."""
DAMP = 0.01
"""What is added to variances where rounding errors are made good, relative to their mean."""
STEPPED = 2**18
"""Numbers that the best of several steps is found on, at most."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Means and covariances of what a unit reads and of what it should make, by group."""

    x: Tensor
    """``[G, K]`` mean input in steps, zero point taken off."""
    y: Tensor
    """``[G, M]`` mean target."""
    xx: Tensor
    """``[G, K, K]`` covariance of inputs."""
    xy: Tensor
    """``[G, K, M]`` covariance of inputs and targets."""
    count: int
    """Windows they are taken over."""


@dataclass(frozen=True, slots=True)
class Rounded:
    """Integer weights, and what their sums stand for."""

    ints: Tensor
    """``[G·M, K]``."""
    scale: Tensor
    """``[G·M]``: what one step of the sum stands for."""
    bias: Tensor
    """``[G·M]``: real numbers."""
    wanted: Tensor
    """``[G·M, K]``: the weights before rounding, in steps."""


def sampled(
    op: Mvm, x: Tensor, target: Tensor, zero: int, *, seed: int, rows: int = 0
) -> tuple[Tensor, Tensor]:
    """Return ``[n, G, K]`` inputs without zero point and ``[n, G·M]`` targets of some windows.

    Of more than ``rows`` windows, as many of each sample are drawn.
    """
    rows = rows or max(FEWEST, EACH * op.fan_in)
    random = torch.Generator().manual_seed(seed)
    flat = target.movedim(1, -1) if op.kernel else target
    each = flat[0].numel() // op.outputs if flat.ndim > 1 else 1
    keep = max(1, min(each, rows // len(x)))
    inputs, targets = [], []
    for part in range(0, len(x), 64):
        seen = windows(op, x[part : part + 64])
        want = flat[part : part + 64].reshape(-1, op.outputs)
        if keep < each:
            starts = torch.arange(len(seen) // each)[:, None] * each
            picks = torch.randint(each, (len(starts), keep), generator=random)
            index = (starts + picks).reshape(-1).to(x.device)
            seen, want = seen[index], want[index]
        inputs.append(seen - (op.input_offset + zero))
        targets.append(want)
    return torch.cat(inputs).float(), torch.cat(targets).float()


def moments(x: Tensor, y: Tensor) -> Moments:
    """Return the statistics of ``[n, G, K]`` inputs and ``[n, G·M]`` targets, in float64."""
    groups = x.shape[1]
    y = y.reshape(len(y), groups, -1)
    mean_x, mean_y = x.double().mean(dim=0), y.double().mean(dim=0)
    a = (x - mean_x.float()).permute(1, 0, 2)
    b = (y - mean_y.float()).permute(1, 0, 2)
    xx = torch.matmul(a.transpose(1, 2), a).double() / len(x)
    xy = torch.matmul(a.transpose(1, 2), b).double() / len(x)
    return Moments(mean_x, mean_y, xx, xy, len(x))


def least_squares(w: Tensor, m: Moments, *, ridge: float) -> Tensor:
    """Return the weights ``[G, M, K]``, near ``w``, whose products are nearest to the targets.

    ``ridge`` weighs the distance from ``w``, relative to the mean variance of an input; more where
    there are few windows for each input, whose accidents would be learnt.
    """
    w = w.double()
    ridge *= max(1.0, SCARCE * w.shape[2] / m.count)
    missed = m.xy - torch.matmul(m.xx, w.transpose(1, 2))
    lower: Tensor = torch.linalg.cholesky(_damped(m.xx, ridge))
    change: Tensor = torch.cholesky_solve(missed, lower)
    return w + change.transpose(1, 2)


def round_in_sequence(
    w: Tensor, m: Moments, low: int, high: int, *, powers: bool = False
) -> Rounded:
    """Round ``[G, M, K]`` weights to integers by OPTQ, at the best of several scales each.

    Where few levels reach further down than up, a scale may be negative. With ``powers``, scales
    are powers of two.
    """
    groups, neurons, fan_in = w.shape
    scales = _likely(w, m, low, high, powers)
    count = scales.shape[1]
    xx = m.xx.float()
    wide = w.float()[:, None].expand(groups, count, neurons, fan_in).reshape(groups, -1, fan_in)
    flat = scales.reshape(groups, -1)
    ints = _sequence(wide, m.xx, flat, low, high)
    product = torch.matmul(ints, xx)
    own = (product * ints).sum(dim=2).clamp(min=1e-30)
    cross = (product * wide).sum(dim=2)
    gain = torch.where(cross * flat > 0, cross * cross / own, torch.zeros_like(own))
    best = gain.reshape(groups, count, neurons).argmax(dim=1)
    pick = (best * neurons + torch.arange(neurons, device=w.device)).unsqueeze(-1)
    chosen = torch.gather(ints, 1, pick.expand(-1, -1, fan_in)).double()
    fitted = torch.gather(cross / own, 1, pick[..., 0])
    start = torch.gather(flat, 1, pick[..., 0])
    scale = torch.where((fitted * start > 0) & (not powers), fitted, start).double()
    return _finish(chosen, w / scale.unsqueeze(-1), scale, m)


def _likely(w: Tensor, m: Moments, low: int, high: int, powers: bool) -> Tensor:
    """Return ``[G, count, M]``: scales at which rounding to nearest errs least, inputs apart."""
    largest = w.abs().amax(dim=2).clamp(min=1e-20)
    shares = torch.linspace(1.0, 0.3 if high < 8 else 0.8, TRIES, dtype=w.dtype, device=w.device)
    scales = (largest / high)[:, None] * shares[:, None]
    if powers:
        halves = torch.tensor(HALVES, dtype=w.dtype, device=w.device)
        scales = torch.exp2(torch.ceil(torch.log2(scales[:, :1]))) * halves[:, None]
    if high < 4 and low < -high:
        scales = torch.cat([scales, -scales], dim=1)
    weights, scales = w.float(), scales.float()
    variance = torch.diagonal(m.xx, dim1=1, dim2=2).float()
    missed = []
    for tried in scales.unbind(dim=1):
        steps = weights / tried.unsqueeze(-1)
        apart = torch.clamp(torch.round(steps), low, high).sub_(steps).square_()
        missed.append(torch.matmul(apart, variance.unsqueeze(-1))[..., 0] * tried.square())
    count = min(max(LIKELY, WEIGHTS // w.numel()), len(missed))
    best = torch.stack(missed, dim=1).topk(count, dim=1, largest=False).indices
    return torch.gather(scales, 1, best)


COLUMNS = 64
"""Columns rounded before what they miss is passed on to all that follow, in one product."""


def _sequence(w: Tensor, xx: Tensor, scale: Tensor, low: int, high: int) -> Tensor:
    """Return the integers of ``[G, R, K]`` weights; columns of large variance come first."""
    order = torch.argsort(torch.diagonal(xx, dim1=1, dim2=2), dim=1, descending=True, stable=True)
    upper = _factor(xx, order).to(w)
    # Columns lie along the first axis, where each is in one piece.
    left = torch.gather(w, 2, order.unsqueeze(1).expand_as(w)).movedim(2, 0).contiguous()
    ints = torch.empty_like(left)
    for begin in range(0, len(left), COLUMNS):
        end = min(begin + COLUMNS, len(left))
        part, missed = left[begin:end], torch.empty_like(left[begin:end])
        for here in range(end - begin):
            row = upper[:, begin + here, begin + here : end]
            held = torch.clamp(torch.round(part[here] / scale), low, high)
            ints[begin + here] = held
            missed[here] = (part[here] - held * scale) / row[:, :1]
            if here + 1 < end - begin:
                part[here + 1 :] -= missed[here] * row[:, 1:].T.unsqueeze(-1)
        rest = upper[:, begin:end, end:]
        if rest.shape[2]:
            left[end:] -= torch.einsum("gck,cgr->kgr", rest, missed)
    back = torch.argsort(order, dim=1)
    return torch.gather(ints.movedim(0, 2), 2, back.unsqueeze(1).expand_as(w))


def _factor(xx: Tensor, order: Tensor) -> Tensor:
    """Return the upper factor of the inverse of ``[G, K, K]``, rows and columns in an order."""
    xx = torch.gather(xx, 1, order.unsqueeze(2).expand_as(xx))
    xx = torch.gather(xx, 2, order.unsqueeze(1).expand_as(xx))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(_damped(xx, DAMP)))
    lower: Tensor = torch.linalg.cholesky((inverse + inverse.transpose(1, 2)) / 2)
    return lower.transpose(1, 2)


def _damped(xx: Tensor, share: float) -> Tensor:
    mean = torch.diagonal(xx, dim1=1, dim2=2).mean(dim=1).clamp(min=1e-12)
    return xx + (share * mean)[:, None, None] * torch.eye(xx.shape[1], device=xx.device)


def _finish(ints: Tensor, steps: Tensor, scale: Tensor, m: Moments) -> Rounded:
    bias = m.y - (ints * scale.unsqueeze(-1) * m.x.unsqueeze(1)).sum(dim=2)
    fan_in = ints.shape[2]
    return Rounded(
        ints.reshape(-1, fan_in).float(),
        scale.reshape(-1).float(),
        bias.reshape(-1).float(),
        steps.reshape(-1, fan_in).float(),
    )


def best_step(
    real: Tensor,
    wanted: Tensor,
    step: float,
    *,
    bounds: tuple[int, int, int],
    powers: bool = False,
) -> float:
    """Return the step, near the given one, at which rounding ``real`` is nearest to ``wanted``.

    ``bounds`` are the zero and the least and largest integer; ``powers`` keeps a power of two one.
    """
    zero, low, high = bounds
    real, wanted = _some(real, wanted)
    best, least = step, float("inf")
    for share in (0.5, 1.0, 2.0) if powers else torch.linspace(0.4, 1.4, 41).tolist():
        tried = step * share
        held = torch.clamp(torch.round(real / tried) + zero, low, high)
        missed = float(((held - zero) * tried - wanted).square().mean())
        if missed < least * (1 - 1e-6):
            best, least = tried, missed
    return best


def _some(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return numbers of two tensors at the same places."""
    a, b = a.reshape(-1), b.reshape(-1)
    if len(a) <= STEPPED:
        return a, b
    places = torch.randint(len(a), (STEPPED,), generator=torch.Generator().manual_seed(0))
    return a[places.to(a.device)], b[places.to(a.device)]
