"""The one clock: stations and routers together."""

from __future__ import annotations

from neutrams.ir.kernel import lean_kernel
from neutrams.simulator.cycle.kernel import handle
from neutrams.simulator.cycle.mail import Ways, land
from neutrams.simulator.cycle.state import PACKETS, SIZE, TRACED
from neutrams.simulator.cycle.watch import Watch, is_full, observe
from neutrams.simulator.network.kernel import clock
from neutrams.simulator.network.mesh import NEVER, Shape
from neutrams.simulator.network.state import BORN, CREDITS, I32, I64, NOW, Records


@lean_kernel
def run_cycles(
    stations: Records, edges: Records, incoming: I32, needs: I64, ways: Ways, tiles: Records,
    line: I32, queue: I32, events: Records, counters: I64, trace: I64, scalars: I64,
    nodes: Records, ports: Records, queues: Records, flits: Records, sources: I32, active: I32,
    returned: I32, landed: I32, packets: Records, goals: I32, shape: Shape, watch: Watch,
    most: int, until: int, skip: bool, chosen: I32, wanted: I32,
) -> bool:  # fmt: skip
    """Go on until a clock, until nothing is left to happen, or until there is much to tell.

    Returns:
        Whether it stopped, and be it within a clock, since more than ``most`` starts are in the
        trace, or what is watched has changed as often as there is room for.
    """
    now = scalars[NOW]
    while now < until:
        while counters[SIZE] > 0 and events[0]["time"] <= now:
            handle(
                stations, edges, incoming, needs, ways, tiles, line, queue, packets, events,
                counters, now, trace,
            )  # fmt: skip
            if counters[TRACED] > most:
                scalars[NOW] = now
                return True
        then = NEVER
        waiting = scalars[BORN] < counters[PACKETS] or sources[-1] > 0
        if waiting or active[-1] > 0 or scalars[CREDITS] > 0:
            then = clock(
                scalars, nodes, ports, queues, flits, sources, active, returned, landed, packets,
                goals, shape, counters[PACKETS], now, chosen, wanted,
            )  # fmt: skip
            for i in range(landed[-1, 0]):
                tag = packets[landed[i, 0]]["tag"]
                land(ways, events, counters, tag, landed[i, 1], now + 1)
        if len(watch.changes) > 0:
            observe(watch, edges, tiles, nodes, ports, now)
        if counters[SIZE] > 0:
            then = min(then, events[0]["time"])
        if then == NEVER:
            break
        now = min(then, until) if skip else now + 1
        if is_full(watch):
            scalars[NOW] = now
            return True
    scalars[NOW] = now
    return False
