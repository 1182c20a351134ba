"""Cost of scale: processor time and memory against cores, neurons, batch and clocks.

Every point runs in a process of its own. Costs that grow as n to a power above ``LIMIT`` are named.

    python -m benchmarks.bench_scale                    # all, and docs/scale.svg
    python -m benchmarks.bench_scale --only tick batch  # one line
    python -m benchmarks.bench_scale --big              # 10,240 cores, 168 M weights
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import neutrams
from benchmarks.measure import T, peak_gb
from neutrams.driver import load_target
from neutrams.driver.clocked.cycles import run_cycles
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.products import Matmul
from neutrams.ir.program import Program
from neutrams.ir.target import Target
from neutrams.ir.types import Array, DType, symbol, tensor

HERE = Path(__file__).resolve().parent
PICTURE = HERE.parent / "docs" / "scale.svg"
LIMIT = 1.1
"""Largest power over the whole range; that of the last step, which is noisier, is only told."""
LITTLE = 0.02
"""Memory (GB) that says nothing: what the process takes anyhow varies by as much."""
SHORT = 2.0
"""Seconds up to which a call is timed twice."""
BATCH = 64
WIDTH = 1024
"""Inputs and neurons of a layer of `cores`: 256 crossbars, or 32 cores."""


@dataclass(frozen=True)
class Line:
    """A cost against one size, all else fixed."""

    grain: str
    axis: str
    sizes: tuple[int, ...]
    unit: str
    """What one of ``sizes`` counts."""


LINES = (
    Line("compile", "cores", (4, 8, 16, 32, 64, 128), "layers of 32 cores"),
    Line("compile", "neurons", (4, 16, 64, 256), "1,024 neurons"),
    Line("compile", "batch", (32, 128, 512, 2048), "calibration samples"),
    Line("tick", "cores", (4, 8, 16, 32, 64, 128), "layers of 32 cores"),
    Line("tick", "neurons", (4, 16, 64, 256), "1,024 neurons"),
    Line("tick", "batch", (256, 1024, 4096, 16384), "samples"),
    Line("cycle", "cores", (4, 8, 16, 32, 64, 128), "layers of 32 cores"),
    Line("cycle", "neurons", (4, 16, 64, 256), "1,024 neurons"),
    Line("cycle", "traffic", (4, 16, 64, 256), "flits through routers, of 1,024 neurons and more"),
    Line("cycle", "clocks", (8, 16, 32, 64), "clocks of images of growing size"),
)


@dataclass(frozen=True)
class Point:
    """What one size took."""

    size: float
    """In the line's units; of `clocks` those that the chip took."""
    seconds: float
    gb: float
    """Memory beyond what a small network takes."""


def layers(count: int) -> Graph:
    """Return a network of square layers."""
    return _perceptron([WIDTH] * (count + 1))


def wide(thousands: int) -> Graph:
    """Return a network of one wide hidden layer."""
    return _perceptron([128, 1024 * thousands, 16])


def image(side: int) -> Graph:
    """Return a network of convolutions on square images."""
    random, graph = np.random.default_rng(0), Graph("image")
    x: Value = graph.input("x", tensor(DType.F32, symbol("N"), 8, side, side))
    for index in range(3):
        w = (random.standard_normal((8, 8, 3, 3)) / 6).astype(np.float32)
        x = graph.add(Relu(graph.add(Conv(x, graph.weight(f"w{index}", w), pads=(1, 1, 1, 1)))))
    graph.output(x, "y")
    return graph


def _perceptron(sizes: list[int]) -> Graph:
    random, graph = np.random.default_rng(0), Graph("perceptron")
    x: Value = graph.input("x", tensor(DType.F32, symbol("N"), sizes[0]))
    for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        w = random.standard_normal((inputs, outputs), dtype=np.float32)
        w *= np.float32((2 / inputs) ** 0.5)
        x = graph.add(Matmul(x, graph.weight(f"w{index}", w)))
        if index < len(sizes) - 2:
            x = graph.add(Relu(x))
    graph.output(x, "y")
    return graph


def chip(graph: Graph, *, crossbars: int = 8) -> Target:
    """Return `cim` with tiles for twice the network, copies left out."""
    weights = sum(math.prod(w.type.static_shape()) for w in graph.weights.values())
    cores = 2 * weights // (4096 * crossbars) + 128
    side = math.isqrt(cores // 12) + 1
    sizes = {"network.columns": side, "network.rows": side, "chip.tiles": side * side}
    return load_target("cim", {**sizes, "core.crossbars": crossbars})


def samples(graph: Graph, count: int) -> Array:
    shape = (count, *map(int, graph.inputs[0].type.shape[1:]))  # type: ignore[arg-type]
    return np.random.default_rng(1).standard_normal(shape, dtype=np.float32)


def compiled(graph: Graph, *, calibration: int = 16) -> Program:
    data = samples(graph, calibration)
    return neutrams.compile(graph, target=chip(graph), calibration=data, replicate=False)


def network(axis: str, size: int) -> Graph:
    kinds = {"cores": layers, "neurons": wide, "traffic": wide, "clocks": image}
    return kinds[axis](size) if axis in kinds else layers(2)


def point(line: Line, size: int, file: Path) -> Point:
    """Measure one size in this process; a program to run lies in the file."""
    for small in (image(4), _perceptron([16, 16, 16])):
        neutrams.simulate(compiled(small), samples(small, 4), grain="cycle")
    batch = size if line.axis == "batch" else BATCH
    before = peak_gb()
    if line.grain == "compile":
        graph = network(line.axis, size)
        options = {"target": chip(graph), "calibration": samples(graph, batch), "replicate": False}
        seconds, _ = least(lambda: neutrams.compile(graph, **options))  # type: ignore[arg-type]
        return Point(size, seconds, peak_gb() - before)
    if line.grain == "tick":
        program = Program.load(file)
        data = samples(program.module["main"], batch)
        seconds, _ = least(lambda: neutrams.simulate(program, data, compare=False))
        return Point(size, seconds, peak_gb() - before)
    seconds, found = least(lambda: run_cycles(Program.load(file)))
    counted = {"clocks": found.clocks, "traffic": found.router_flits}
    return Point(counted.get(line.axis, size), seconds, peak_gb() - before)


def least(work: Callable[[], T]) -> tuple[float, T]:
    """Return the processor seconds of a call, the lesser of two where that is short."""
    times: list[float] = []
    while not times or (len(times) == 1 and times[0] < SHORT):
        start = time.process_time()
        made = work()
        times.append(time.process_time() - start)
    return min(times), made


def measured(line: Line) -> list[Point]:
    """Run every size in a process that has done nothing before but warm up."""
    found = []
    for size in line.sizes:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "net.ntp"
            arguments = (line.grain, line.axis, str(size), str(file))
            if line.grain != "compile":
                _apart("--prepare", *arguments)
            found.append(Point(**json.loads(_apart("--point", *arguments).splitlines()[-1])))
    return found


def _apart(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.bench_scale", *arguments]
    return subprocess.run(
        command, cwd=HERE.parent, check=True, stdout=subprocess.PIPE
    ).stdout.decode()


def powers(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the power of size that fits all costs best, and that of the last step."""
    x, y = np.log(points).T
    slope = np.polyfit(x, y, 1)[0]
    return float(slope), float((y[-1] - y[-2]) / (x[-1] - x[-2]))


def show(line: Line, points: list[Point]) -> bool:
    """Print a line; say whether it grows no faster than it may."""
    print(f"{line.grain} against {line.axis} ({line.unit})", flush=True)
    for p in points:
        print(f"  {p.size:10,.0f} {p.seconds:9.2f} s {p.gb:9.3f} GB")
    times = [(p.size, p.seconds) for p in points]
    memory = [(p.size, p.gb) for p in points if p.gb > LITTLE]
    return all([_told("time", times), _told("memory", memory)])


def _told(name: str, points: list[tuple[float, float]]) -> bool:
    if len(points) < 2:
        print(f"  {name:8} stays below {1000 * LITTLE:.0f} MB")
        return True
    decades = math.log10(points[-1][0] / points[0][0])
    whole, last = powers(points)
    good = whole <= LIMIT
    print(
        f"  {name:8} grows as n^{whole:.2f} over {decades:.1f} decades, "
        f"in the last step n^{last:.2f}{'' if good else '  OVER'}",
        flush=True,
    )
    return good


def draw(found: dict[Line, list[Point]], path: Path) -> None:
    """Draw time and memory against size, both in multiples of the first point."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    grid = figure.subplots(2, 3, sharex=True, sharey="row")
    for column, grain in enumerate(("compile", "tick", "cycle")):
        for row, (name, unit) in enumerate((("seconds", "s"), ("gb", "GB"))):
            axes = grid[row][column]
            for line, points in found.items():
                if line.grain == grain:
                    sizes = [p.size / points[0].size for p in points]
                    costs = [getattr(p, name) for p in points]
                    axes.loglog(sizes, costs, "o-", ms=3, lw=1, label=line.axis)
            axes.loglog([1, 64], [0.05, 3.2], ":", color="grey", lw=1, label="linear")
            axes.set_title(grain if row == 0 else "")
            axes.set_ylabel(("processor time, " if row == 0 else "memory, ") + unit)
            axes.minorticks_off()
            axes.grid(alpha=0.3)
        grid[1][column].set_xlabel("size, in multiples of the smallest")
        grid[0][column].legend(fontsize="small")
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "scale"}):
        figure.savefig(path, metadata={"Date": None})


def big() -> None:
    """Compile and run 168 M weights on 10,240 cores of 128 × 128."""
    start = time.process_time()

    def told(stage: str) -> None:
        seconds = time.process_time() - start
        print(f"  {stage:40} {seconds:7.1f} s {peak_gb():6.2f} GB at most", flush=True)

    graph = _perceptron([4096] * 11)
    target = chip(graph, crossbars=4)
    told("network made")
    program = neutrams.compile(
        graph, target=target, calibration=samples(graph, 32), replicate=False
    )
    told("compiled and placed")
    used = neutrams.simulate(program, samples(graph, 64), compare=False).resources.occupancy
    told("64 samples at tick grain")
    print(f"  {used.cores:,} cores, {used.crossbars:,} crossbars, {used.tiles:,} tiles")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", nargs="+", default=[], help="a grain, an axis, or both")
    for hidden in ("--prepare", "--point"):
        parser.add_argument(hidden, nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--big", action="store_true", help="only the chip of 10,240 cores")
    args = parser.parse_args()
    if args.prepare:
        _, axis, size, file = args.prepare
        compiled(network(axis, int(size))).save(file)
        return 0
    if args.point:
        grain, axis, size, file = args.point
        print(json.dumps(vars(point(Line(grain, axis, (), ""), int(size), Path(file)))))
        return 0
    found: dict[Line, list[Point]] = {}
    ok = True
    for line in LINES if not args.big else ():
        if {line.grain, line.axis} >= set(args.only):
            found[line] = measured(line)
            ok &= show(line, found[line])
    if not args.only and not args.big:
        draw(found, PICTURE)
    if not args.only:
        print("a chip of 10,240 cores and 168 M weights (limit 8 GB)")
        big()
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
