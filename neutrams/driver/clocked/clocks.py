"""What the cycle grain found, and resources with its times."""

from __future__ import annotations

from dataclasses import dataclass, replace

from neutrams.driver.resources import LayerUse, Resources
from neutrams.ir.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True)
class Cycles:
    """What a run of the cycle grain found, of one inference unless it says otherwise."""

    clocks: int
    """From the first input to the last output of one inference, or of a batch in rounds."""
    clock_s: float
    period_s: float
    """From one inference to the next in a stream."""
    flits: int
    router_flits: int
    """Flits times the routers they cross."""
    link_flits: int
    busiest_link: float
    """Share of the clocks of the stream in which the busiest link carries a flit."""
    busiest_bus: float
    busiest_vector: float
    """The same of the busiest bus and vector unit of a tile."""
    buffer_bytes: int
    """What the buffers of the fullest tile are sized for, so that no part waits for ever."""
    layers: dict[str, tuple[int, int]]
    """Clock of the first start and of the last result of one inference, by name of the values; of
    a whole batch in rounds."""
    warnings: tuple[Diagnostic, ...] = ()
    rounds: tuple[tuple[int, int], ...] = ()
    """Clocks of each round of a batch: of programming, and of all of it."""
    beside: tuple[str, ...] = ()
    """Networks that ran on the same chip meanwhile."""
    alone: tuple[int, float] | None = None
    """``clocks`` and ``period_s`` of the network by itself, where others ran beside it."""


def with_cycles(found: Resources, cycles: Cycles, *, samples: int) -> Resources:
    """Return resources with the times that were measured in place of those of the schedule.

    Args:
        found: What the schedule says.
        cycles: What was measured.
        samples: Samples of one inference: more than 1 where a network mixes them.
    """
    return replace(
        found,
        latency_s=cycles.clocks * cycles.clock_s,
        throughput_per_s=samples / cycles.period_s if cycles.period_s else 0.0,
        buffer_bytes=cycles.buffer_bytes,
        layers=tuple(_measured(layer, cycles) for layer in found.layers),
        rounds=tuple(
            replace(each, programming_s=part * cycles.clock_s, batch_s=whole * cycles.clock_s)
            for each, (part, whole) in zip(found.rounds, cycles.rounds, strict=True)
        ),
    )


def _measured(layer: LayerUse, cycles: Cycles) -> LayerUse:
    times = [cycles.layers[name] for name in layer.ops if name in cycles.layers]
    if not times:
        return layer
    start, finish = min(time[0] for time in times), max(time[1] for time in times)
    return replace(layer, start_s=start * cycles.clock_s, finish_s=finish * cycles.clock_s)
