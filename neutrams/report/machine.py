"""Results as JSON values. Every quantity carries its unit in its key."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import Any

from neutrams.driver import (
    CONFIDENCE,
    Check,
    Cycles,
    LayerCost,
    LayerUse,
    Resources,
    Share,
    Simulation,
    Spread,
    described,
)


def resources_json(found: Resources) -> dict[str, Any]:
    """Return what ``compile --format json`` emits."""
    on, whole = found.occupancy, found.available
    return {
        "target": found.target,
        **found.bits,
        "precision": dict(found.chosen) or None,
        "digits": asdict(found.digits) if found.digits else None,
        "energy_j": found.energy_j,
        "latency_s": found.latency_s,
        "throughput_per_s": found.throughput_per_s,
        "bounds": [asdict(each) for each in found.bounds],
        "batch": found.batch,
        "rounds": [asdict(each) for each in found.rounds],
        "programming_time_share": found.programming_share,
        "area_mm2": found.area_mm2,
        "chip_area_mm2": found.chip_area_mm2,
        "peak_power_w": found.peak_power_w,
        "chip_peak_power_w": found.chip_peak_power_w,
        "tiles": on.tiles,
        "tiles_available": whole.tiles,
        "cores": on.cores,
        "cores_available": whole.cores,
        "crossbars": on.crossbars,
        "crossbars_available": whole.crossbars,
        "kinds": [
            {"size": size, "crossbars": used, "crossbars_available": there}
            for size, used, there in zip(
                found.sizes, on.crossbars_by_kind, whole.crossbars_by_kind, strict=True
            )
        ],
        "utilisation": found.utilisation,
        "buffer_bytes": found.buffer_bytes,
        "buffer_bytes_available": found.buffer_bytes_available,
        "parameters": _share(found.parameters),
        "multiply_adds": _share(found.multiply_adds),
        "layers": [_use(use) for use in found.layers],
        "components": [
            {
                "name": part.name,
                "place": part.place,
                "area_mm2": part.area_mm2,
                "peak_power_w": part.peak_power_w,
            }
            for part in found.components
        ],
        "assumed": [{"key": key} for key in found.assumed],
    }


def _cycles(found: Cycles | None) -> dict[str, Any] | None:
    """Return what the cycle grain measured; times of layers stand with the layers."""
    if found is None:
        return None
    said = ("layers", "warnings")
    return {key: value for key, value in asdict(found).items() if key not in said}


def _spread(found: Spread | None) -> dict[str, Any] | None:
    """Return the metric over runs: ``half_width`` is that of the mean's interval."""
    if found is None:
        return None
    return {
        "metric": found.metric,
        "runs": len(found.values),
        "mean": _finite(found.mean),
        "standard_deviation": _finite(found.deviation),
        "confidence": CONFIDENCE,
        "half_width": _finite(found.half_width),
        "values": [_finite(value) for value in found.values],
    }


def simulation_json(found: Simulation) -> dict[str, Any]:
    """Return what ``simulate --format json`` emits: figures of one inference unless said."""
    quality = found.quality
    energy = {part.component: part for part in found.charge.parts}
    base = resources_json(found.resources)
    components = [
        {
            **part,
            "energy_j": energy[part["name"]].energy_j,
            "dynamic_j": energy[part["name"]].dynamic_j,
            "static_j": energy[part["name"]].static_j,
        }
        for part in base["components"]
    ]
    places = [_use(use) for use in found.resources.layers]
    places += [{"name": cost.name, "place": cost.name} for cost in found.others]
    layers = [
        {**place, "energy_j": cost.energy_j, "events": _each(cost, found.samples)}
        for place, cost in zip(places, (*found.layers, *found.others), strict=True)
    ]
    assumed = [
        {"key": item.key, "value": item.value, "energy_j": item.energy_j}
        for item in found.charge.assumptions
    ]
    return {
        "samples": found.samples,
        "cycles": _cycles(found.cycles),
        "beside": {name: _cycles(cycles) for name, cycles in found.beside.items()},
        "accuracy": found.accuracy,
        "metric": None if quality is None else quality.metric,
        "metric_value": None if quality is None else _finite(quality.value),
        "float_metric_value": None if quality is None else _finite(quality.float_value),
        "physics": None if found.physics is None else described(found.physics),
        "monte_carlo": _spread(found.spread),
        "agreement": found.agreement,
        "relative_error": found.relative_error,
        **base,
        "power_w": found.power_w,
        "programming_energy_share": found.programming_share,
        "layers": layers,
        "components": components,
        "events": {event: number / found.samples for event, number in found.counts.items()},
        "entries": [asdict(entry) for entry in found.charge.entries],
        "assumed": assumed + base["assumed"],
        "assumed_energy_share": found.charge.assumed_j / found.energy_j if found.energy_j else 0.0,
        "warnings": [diagnostic.render() for diagnostic in found.warnings],
    }


def check_json(found: Check) -> dict[str, Any]:
    """Return what ``check --format json`` emits."""
    return {
        "target": found.target.name,
        "fits": found.fits,
        "crossbars": found.crossbars,
        "crossbars_available": found.target.machine.crossbars,
        "smallest_tiles": found.smallest_tiles,
        "tiles_available": found.target.machine.tiles,
        "parameters": _share(found.parameters),
        "multiply_adds": _share(found.multiply_adds),
        "ops": [
            {"name": op.name, "op": op.op, "place": op.place, "reason": op.reason}
            for op in found.ops
        ],
    }


def _use(use: LayerUse) -> dict[str, Any]:
    return {
        "name": use.name,
        "kind": use.kind,
        "place": use.place,
        "crossbars": use.crossbars,
        "copies": use.copies,
        "weight_bits": use.weight_bits,
        "input_bits": use.input_bits,
        "utilisation": use.utilisation,
        "tiles": use.tiles,
        "windows": use.windows,
        "round": use.round,
        "start_s": use.start_s,
        "finish_s": use.finish_s,
        "ops": list(use.ops),
    }


def _share(found: Share) -> dict[str, Any]:
    return {"crossbars": found.crossbars, "digital": found.digital, "crossbar_share": found.part}


def _each(cost: LayerCost, samples: int) -> dict[str, float]:
    return {event: number / samples for event, number in cost.counts.items()}


def _finite(value: float | None) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if value is not None and isfinite(value) else None
