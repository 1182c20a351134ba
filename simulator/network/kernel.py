"""One clock after the other, of every router that holds a flit.

Routers are input-queued with virtual channels (Dally and Towles, Principles and Practices of
Interconnection Networks, chapters 16 to 19). From the clock in which a flit at the head of a queue
has passed the router's pipeline,

1. a head flit asks for a channel of the next router; each output gives free ones to queues, round
   robin. A packet to several routers goes along the tree of their paths: where it parts, it takes
   a channel on every branch at once, each with room for all of it, so that no branch ever waits
   for another (`channels`);
2. a flit that has a channel and a credit may compete: each input names one of its queues, each
   output takes one input, both round robin (`switch`);
3. the winner leaves; a flit on a tree stays until it has left on every branch. It competes in the
   next router ``link + pipeline`` clocks later, and its place is known to be free to the router
   before ``credit`` clocks later.

All that is sent takes effect in later clocks, so the order of routers changes nothing, and clocks
in which nothing can happen are skipped without a trace.
"""

from __future__ import annotations

from neutrams.ir.kernel import lean_kernel
from neutrams.simulator.network.mesh import NEVER, Shape
from neutrams.simulator.network.sources import line_up, send
from neutrams.simulator.network.state import BORN, CREDITS, I32, I64, MOVED, NOW, WORKED, Records
from neutrams.simulator.network.switch import cross, nominate


@lean_kernel
def take_credits(scalars: I64, queues: Records, returned: I32, now: int) -> None:
    """Let outputs know of the places that fell free."""
    slot = now % returned.shape[0]
    number = returned[slot, 0]
    for i in range(number):
        queues[returned[slot, 1 + i]]["credits"] += 1
    scalars[CREDITS] -= number
    returned[slot, 0] = 0


@lean_kernel
def clock(
    scalars: I64, nodes: Records, ports: Records, queues: Records, flits: Records, sources: I32,
    active: I32, returned: I32, landed: I32, packets: Records, goals: I32, shape: Shape, known: int,
    now: int, chosen: I32, wanted: I32,
) -> int:  # fmt: skip
    """Do all that happens in one clock, and list the packets that have landed by its end.

    Returns:
        The next clock in which anything may happen; ``NEVER`` where nothing will.
    """
    landed[-1, 0] = 0
    take_credits(scalars, queues, returned, now)
    line_up(scalars, nodes, sources, packets, known, now)
    soonest = packets[scalars[BORN]]["born"] if scalars[BORN] < known else NEVER
    moved = send(scalars, nodes, queues, flits, sources, active, packets, shape, now)
    number = active[-1]
    scalars[WORKED] += number
    for i in range(number):
        r = active[i]
        then = nominate(
            nodes, ports, queues, flits, packets, goals, shape, r, now, chosen, wanted
        )  # fmt: skip
        moved |= cross(
            scalars, nodes, ports, queues, flits, active, returned, landed, packets, shape, r, now,
            chosen, wanted,
        )  # fmt: skip
        moved |= then < 0
        soonest = min(soonest, then)
    rest_idle(nodes, active)
    if moved:
        scalars[MOVED] = now
    return now + 1 if moved or scalars[CREDITS] > 0 else soonest


@lean_kernel
def rest_idle(nodes: Records, active: I32) -> None:
    """Strike routers without flits off the list of those that work."""
    kept = 0
    for i in range(active[-1]):
        r = active[i]
        if nodes[r]["held"] > 0:
            active[kept] = r
            kept += 1
        else:
            nodes[r]["listed"] = 0
    active[-1] = kept


@lean_kernel
def run_clocks(
    scalars: I64, nodes: Records, ports: Records, queues: Records, flits: Records, sources: I32,
    active: I32, returned: I32, landed: I32, packets: Records, goals: I32, shape: Shape, known: int,
    until: int, skip: bool, chosen: I32, wanted: I32,
) -> None:  # fmt: skip
    """Go on until a clock, or until nothing is left to happen to the first ``known`` packets."""
    now = scalars[NOW]
    while now < until:
        then = clock(
            scalars, nodes, ports, queues, flits, sources, active, returned, landed, packets, goals,
            shape, known, now, chosen, wanted,
        )  # fmt: skip
        if then == NEVER:
            break
        now = min(then, until) if skip else now + 1
    scalars[NOW] = now
