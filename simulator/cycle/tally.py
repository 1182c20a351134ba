"""What follows from how many items stations have sent: deliveries, items on edges, packets."""

from __future__ import annotations

import numpy as np

from neutrams.simulator.cycle.state import Plan
from neutrams.simulator.network.state import I64


def deliveries_sent(plan: Plan, sent: I64) -> I64:
    """Return ``[deliveries]`` how often each was made, given the items each station has sent."""
    by_list = np.zeros(len(plan.lists), np.int64)
    for station, count in zip(plan.stations, sent.tolist(), strict=True):
        begin, each = int(station["classes"]), int(station["each"])
        whole, rest = divmod(count, each)
        kinds = plan.classes[begin : begin + each]
        by_list += whole * np.bincount(kinds, minlength=len(by_list))
        by_list += np.bincount(kinds[:rest], minlength=len(by_list))
    made = np.zeros(len(plan.deliveries), np.int64)
    sizes = plan.lists[:, 1] - plan.lists[:, 0]
    np.add.at(made, plan.chosen, np.repeat(by_list, sizes))
    return made


def items_sent(plan: Plan, made: I64) -> I64:
    """Return ``[edges]`` items that have been sent over each, given how often deliveries were."""
    legs = np.repeat(made, plan.deliveries["end"] - plan.deliveries["begin"])
    found = np.zeros(len(plan.edges), np.int64)
    np.add.at(found, plan.landing, np.repeat(legs, plan.legs["end"] - plan.legs["begin"]))
    return found


def packets_each(plan: Plan, depth: int) -> I64:
    """Return ``[deliveries]`` packets of one: what routers copy is cut to the depth of a queue."""
    legs = plan.deliveries["end"] - plan.deliveries["begin"]
    flits = plan.deliveries["flits"].astype(np.int64)
    found: I64 = np.where(legs > 1, -(-flits // depth), np.minimum(flits, 1))
    return found
