"""Ways to obey a fan-in, on the same networks: crossbars, levels of merging, time, accuracy."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.accuracy.cases import NARROW, USUAL, WIDE, Chip
from benchmarks.accuracy.data import Sets
from benchmarks.accuracy.networks import NETWORKS, Network
from neutrams.driver import Options, compile, simulate
from neutrams.driver.options import usual_pipeline
from neutrams.driver.sources import load_target
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program

SHOWN = ("MLP 784-50-10-10", "MLP 784-300-10", "mnist8", "LeNet-5")
HEAD = "| network | chip | way | crossbars | to merge | latency | accuracy | retrained |"


@dataclass(frozen=True, slots=True)
class Way:
    """A strategy, and an option of its merging."""

    name: str
    strategy: str
    merge: str = ""

    def pipeline(self, *, retrain: bool) -> str:
        usual = usual_pipeline(Options(strategy=self.strategy, retrain=retrain))
        usual = usual.replace("partial-sums=1", f"partial-sums=1 {self.merge}".strip())
        return usual.replace("retrain-units", "retrain-units{threads=1 device=cpu}")


WAYS = (
    Way("added digitally", "split-and-merge"),
    Way("merged", "merge-through-cores"),
    Way("merged, in pairs", "merge-through-cores", "signed=pairs"),
    Way("pruned and refitted", "prune-and-refit"),
)


def measured(network: Network, sets: Sets, chip: Chip, way: Way) -> str:
    """Return one row of the table."""
    target = load_target("cim", chip.overrides)
    found, accuracies = None, []
    for retrain in (False, True):
        program = compile(
            network.model,
            target=target,
            calibration=sets.draw(0),
            passes=way.pipeline(retrain=retrain),
            replicate=False,
            keep_float=False,
        )
        result = simulate(program, sets.inputs, sets.labels, compare=False)
        found = found or (program, result)
        accuracies.append(f"{100 * (result.accuracy or 0):.2f} %")
    program, result = found
    whole, merging = crossbars(program)
    latency = f"{1e6 * result.resources.latency_s:.1f} µs"
    cells = [network.name, chip.name, way.name, whole, merging, latency, *accuracies]
    return f"| {' | '.join(map(str, cells))} |"


def crossbars(program: Program) -> tuple[int, int]:
    """Return all crossbars, and those that only merge partial sums."""
    units = [op for op in program.module.main.ops if isinstance(op, Mvm)]
    names = {op.result.name for op in units}
    merging = [op for op in units if op.result.name.replace(".mvm", ".part.mvm") in names]
    merging += [op for op in units if ".merge.mvm" in op.result.name]
    return tuple(sum(len(op.table()) for op in some) for some in (units, merging))  # type: ignore[return-value]


def main() -> None:
    print(HEAD)
    print(f"|{'---|' * (HEAD.count('|') - 1)}")
    for network in NETWORKS:
        if network.name not in SHOWN:
            continue
        if network.missing:
            print(f"skipped {network.name}: no {', '.join(network.missing)}")
            continue
        sets = network.load()
        for chip in (WIDE, USUAL, NARROW):
            for way in WAYS:
                print(measured(network, sets, chip, way), flush=True)


if __name__ == "__main__":
    main()
