"""What a run makes doubtful, though it ran: said as warnings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from neutrams.driver.samples import Samples
from neutrams.ir.diagnostics import Diagnostic, warning
from neutrams.ir.op import Weight
from neutrams.ir.ops.quantization import Quantize
from neutrams.ir.program import Program
from neutrams.ir.types import Array

LOOKED_AT = 256
"""Samples whose numbers are held against the range of the calibration."""
FAR, OUTSIDE = 0.01, 0.25
"""Parts of the numbers, a whole range outside the range and outside at all, that are too many."""


def doubts(program: Program, samples: Samples) -> list[Diagnostic]:
    """Return warnings on samples unlike those that the program was calibrated with."""
    found = list(_ranges(program, samples))
    known = program.manifest.get("calibration")
    if not (known or samples.labels is None or program.manifest.get("quantised")):
        found.append(warning("NT0540", "the program was calibrated with synthetic inputs"))
    return found


def _ranges(program: Program, samples: Samples) -> Iterator[Diagnostic]:
    """Yield a warning for each input whose samples mostly fall off the ends of its range."""
    for op in program.module["main"].ops:
        if not isinstance(op, Quantize) or op.x.name not in samples.inputs:
            continue
        if not (isinstance(op.scale, Weight) and isinstance(op.zero, Weight)):
            continue
        scale, zero = np.asarray(op.scale.data), np.asarray(op.zero.data, np.float64)
        if scale.size > 1 or zero.size > 1:
            continue
        low, high = (float((end - zero) * scale) for end in (op.low, op.high))
        given = samples.inputs[op.x.name][:LOOKED_AT]
        outside, far = _outside(given, low, high, float(scale) / 2)
        if outside > OUTSIDE or far > FAR:
            text = f"{100 * outside:.0f} % of the numbers of `{op.x.name}` are cut off"
            ends = f"they lie in {given.min():.4g} to {given.max():.4g}"
            yield (
                warning("NT0530", f"{text} at {low:.4g} or {high:.4g}, the range of calibration")
                .note(ends)
                .help("scale samples as those of the calibration, or compile with --preprocess")
            )


def _outside(given: Array, low: float, high: float, half: float) -> tuple[float, float]:
    """Return the part outside a range, and the part more than the range's width outside it."""
    beyond = np.maximum(low - given, given - high)
    return float((beyond > half).mean()), float((beyond > high - low).mean())
