"""One point of a sweep: compiled, simulated, and told as a row of a table."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neutrams.driver.compiler import compile_model
from neutrams.driver.options import Options
from neutrams.driver.samples import read_npz
from neutrams.driver.simulation import Simulation, simulate
from neutrams.driver.sources import Limits, Overrides, load_module, load_target
from neutrams.driver.sweeping.cache import Cache, key_of
from neutrams.driver.sweeping.grid import Point
from neutrams.driver.sweeping.results import Row
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.target import Target

FIGURES = (
    "samples", "metric", "metric_value", "float_metric_value", "accuracy", "agreement",
    "relative_error", "energy_j", "power_w", "latency_s", "throughput_per_s", "area_mm2",
    "tiles", "cores", "crossbars", "utilisation",
)  # fmt: skip
"""What a row tells of a point that was run, by the names that `simulate --format json` uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What the points of a sweep share. Data lie in files, so that other processes find them."""

    folder: Path
    target: str | Target
    overrides: Overrides | None
    limits: Limits | None
    options: Options
    metric: str | None
    inputs: Path
    calibration: Path | None
    key: str
    """The hash of all that results depend on, but for the point."""

    def chip(self, point: Point) -> Target:
        """Return the chip of a point.

        Raises:
            NeutramsError: NT03xx, it is none.
        """
        from neutrams import targets

        set_here, tight = self.overrides or {}, self.limits or {}
        if not isinstance(set_here, Mapping):
            set_here = targets.parse_overrides(set_here)
        if not isinstance(tight, Mapping):
            tight = targets.parse_limits(tight)
        return load_target(
            point.target or self.target,
            {**set_here, **point.overrides},
            limits={**tight, **point.limits},
        )

    def key_of(self, point: Point) -> str:
        """Return the hash of a point, and of the chip that it makes."""
        try:
            chip: object = self.chip(point)
        except NeutramsError as fault:
            chip = [diagnostic.code for diagnostic in fault.diagnostics]
        return key_of("point", self.key, point.settings, chip)[:16]


def measure(study: Study, point: Point) -> Row:
    """Compile and simulate a point; a fault of the kind a user can mend is told in the row."""
    started = time.perf_counter()
    row: Row = {**point.settings, "status": "done", "code": None, "reason": None}
    try:
        figures = _figures(_simulated(study, point))
    except NeutramsError as fault:
        first = fault.diagnostics[0]
        row.update(status="failed", code=first.code, reason=first.message)
        figures = {}
    row |= {name: figures.get(name) for name in FIGURES}
    seconds = round(time.perf_counter() - started, 3)
    return {**row, "seconds": seconds, "point": study.key_of(point), "study": study.key}


def _simulated(study: Study, point: Point) -> Simulation:
    compiled = compile_model(
        load_module(study.folder / "model.nt").main,
        target=study.chip(point),
        calibration=study.calibration,
        options=point.apply(study.options),
        cache=Cache(study.folder / "cache"),
    )
    return simulate(
        compiled.program,
        study.inputs,
        metric=study.metric,
        reference=read_npz(study.folder / "reference.npz"),
    )


def _figures(found: Simulation) -> Row:
    used, quality = found.resources.occupancy, found.quality
    return {
        "samples": found.samples,
        "metric": None if quality is None else quality.metric,
        "metric_value": None if quality is None else quality.value,
        "float_metric_value": None if quality is None else quality.float_value,
        "accuracy": found.accuracy,
        "agreement": found.agreement,
        "relative_error": found.relative_error,
        "energy_j": found.energy_j,
        "power_w": found.power_w,
        "latency_s": found.resources.latency_s,
        "throughput_per_s": found.resources.throughput_per_s,
        "area_mm2": found.resources.area_mm2,
        "tiles": used.tiles,
        "cores": used.cores,
        "crossbars": used.crossbars,
        "utilisation": found.resources.utilisation,
    }
