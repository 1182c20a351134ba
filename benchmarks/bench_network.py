"""The network on chip beside Booksim 2: where it saturates, and router clocks a second.

    python -m benchmarks.bench_network [--flits 100000000]

Booksim 2 (Jiang et al., ISPASS 2013) is used where the environment variable ``BOOKSIM``, or the
path, names its program; else its columns are skipped. Both run an 8×8 mesh, XY, 4 virtual channels
of 8 flits, packets of 1 flit. A network is saturated where it accepts less than 95 % of what is
offered. ``--flits`` sends so many in random traffic through small buffers, and counts what arrives.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from neutrams.ir.traffic import Mesh
from neutrams.simulator.network import PATTERNS, Network, Routers, Synthetic, synthetic
from neutrams.simulator.network.synthetic import Pattern

MESH = Mesh(8, 8)
HOT = 36
WARM, CLOCKS = 3000, 9000
SMALL = 1_000_000
"""Flits of one run of the long test."""
BOOKSIM = {
    "topology": "mesh",
    "k": 8,
    "n": 2,
    "routing_function": "dor",
    "num_vcs": 4,
    "vc_buf_size": 8,
    "packet_size": 1,
    "routing_delay": 0,
    "credit_delay": 1,
    "sim_type": "throughput",
    "sample_period": CLOCKS - WARM,
    "warmup_periods": 1,
    "max_samples": 1,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flits", type=int, default=0)
    flits = parser.parse_args().flits
    peer = os.environ.get("BOOKSIM") or shutil.which("booksim")
    if peer is None:
        print("skipped: Booksim 2 (set BOOKSIM to its program)")
    ours(PATTERNS[0], 0.1)
    print(f"{'traffic':12}{'saturates at':>14}{'Booksim 2':>12}{'ratio':>8}")
    for pattern in PATTERNS:
        mine = saturation(partial(accepted, ours, pattern))
        line = f"{pattern:12}{mine:14.4f}"
        if peer:
            other = saturation(partial(accepted, partial(theirs, peer), pattern))
            line += f"{other:12.4f}{mine / other:8.2f}"
        print(line, flush=True)
    for rate in (0.05, 0.2, 0.38):
        speed = ours("uniform", rate)[1]
        line = f"uniform {rate:4.2f}: {speed / 1e6:6.2f} M router clocks a second"
        if peer:
            other = theirs(peer, "uniform", rate)[1]
            line += f", Booksim 2 {other / 1e6:6.2f} M: {speed / other:.1f} times as many"
        print(line, flush=True)
    if flits:
        endure(flits)
        endure_copies(flits // 2)


def accepted(
    measure: Callable[[Pattern, float], tuple[float, float]], pattern: Pattern, rate: float
) -> float:
    return measure(pattern, rate)[0]


def saturation(found: Callable[[float], float]) -> float:
    """Return the highest rate of which at least 95 % are accepted, to 2 %."""
    low, high = 1 / 128, 1.0
    while high / low > 1.02:
        rate = (low * high) ** 0.5
        low, high = (rate, high) if found(rate) >= 0.95 * rate else (low, rate)
    return low


def ours(pattern: Pattern, rate: float) -> tuple[float, float]:
    """Return accepted flits a node and clock, and router clocks a second."""
    routers = Routers(MESH, virtual_channels=4, depth=8, pipeline=2)
    network = Network(routers, synthetic(routers, Synthetic(pattern, rate, clocks=CLOCKS)))
    start = time.process_time()
    before = network.run(WARM).delivered
    after = network.run(CLOCKS).delivered
    taken = time.process_time() - start
    return (after - before) / MESH.slots / (CLOCKS - WARM), MESH.slots * CLOCKS / taken


def theirs(peer: str, pattern: Pattern, rate: float) -> tuple[float, float]:
    """Return the same of Booksim 2; its own count of clocks."""
    traffic = f"hotspot({{{HOT}}})" if pattern == "hotspot" else pattern
    settings = {**BOOKSIM, "traffic": traffic, "injection_rate": rate}
    with_file = "".join(f"{key} = {value};\n" for key, value in settings.items())
    before = os.times()
    made = subprocess.run(
        [peer, "/dev/stdin"], input=with_file, capture_output=True, text=True, check=False
    ).stdout
    after = os.times()
    accepted = float(re.findall(r"Accepted flit rate average\s*=\s*([\d.e-]+)", made)[-1])
    clocks = int(re.findall(r"Time taken is (\d+) cycles", made)[-1])
    spent = after.children_user - before.children_user
    return accepted, MESH.slots * clocks / max(spent, 1e-9)


def endure(flits: int) -> None:
    """Send many flits through small buffers; `Network.run` fails where one is lost or stuck."""
    random = np.random.default_rng(1)
    sent, start = 0, time.perf_counter()
    while sent < flits:
        routers = Routers(
            MESH,
            virtual_channels=int(random.integers(2, 5)),
            depth=int(random.integers(1, 4)),
            pipeline=int(random.integers(1, 4)),
            credit=int(random.integers(1, 3)),
            routing=("xy", "yx", "o1turn")[random.integers(3)],
        )
        pattern = PATTERNS[random.integers(3)]
        length = int(random.integers(1, 6))
        traffic = Synthetic(pattern, 0.5, length, SMALL // 32, seed=int(random.integers(1 << 30)))
        found = Network(routers, synthetic(routers, traffic)).run()
        assert found.delivered == found.sent
        sent += found.sent
    taken = time.perf_counter() - start
    print(f"{sent:,} flits sent and delivered, none lost, no deadlock ({taken:.0f} s)")


def endure_copies(flits: int) -> None:
    """Deliver many flits, three of ten packets to several routers, likewise."""
    random = np.random.default_rng(7)
    sent = delivered = 0
    while delivered < flits:
        routers = Routers(
            MESH,
            virtual_channels=int(random.integers(1, 5)),
            depth=int(random.integers(1, 9)),
            pipeline=int(random.integers(1, 4)),
            credit=int(random.integers(1, 3)),
            routing=("xy", "yx")[random.integers(2)],
        )
        length, seed = int(random.integers(1, routers.depth + 4)), int(random.integers(1 << 30))
        packets = synthetic(routers, Synthetic("uniform", 0.3, length, 3000, seed=seed))
        goals = list[int]()
        for index in np.flatnonzero(random.random(len(packets)) < 0.3):
            there = random.choice(MESH.slots, random.integers(2, 20), replace=False)
            packets[index]["target"] = len(goals)
            packets[index]["copies"] = packets[index]["left"] = len(there)
            packets[index]["length"] = min(length, routers.depth)
            goals += there.tolist()
        found = Network(routers, packets, goals=goals).run()
        assert found.delivered == (packets["length"].astype(int) * packets["copies"]).sum()
        sent, delivered = sent + found.sent, delivered + found.delivered
    print(f"{sent:,} flits sent, {delivered:,} delivered by copying, none lost, no deadlock")


if __name__ == "__main__":
    main()
