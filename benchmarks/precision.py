"""Bits chosen by layer against equal bits everywhere, at equal energy.

ResNet-8 on the whole test set of JPEG CIFAR-10. Prints the table of ``docs/precision.md``.
"""

from __future__ import annotations

from collections.abc import Iterator

import neutrams
from benchmarks.accuracy import data
from neutrams.driver import Simulation

MODEL = data.DATA / "models" / "onnx" / "mlperf_tiny_resnet8.onnx"
UNIFORM = ("8/8", "6/6", "8/5", "6/5", "6/4", "4/5", "4/4")
SEED = 0


def main() -> None:
    sets = data.cifar()
    calibration = sets.draw(SEED)
    full = 0.0
    print("| energy | of full bits | uniform bits | accuracy | same class | chosen | same class |")
    print("|---|---|---|---|---|---|---|")
    for bits in UNIFORM:
        program = neutrams.compile(MODEL, calibration=calibration, bits=f"*={bits}")
        uniform = neutrams.simulate(program, sets.inputs, sets.labels)
        full = full or uniform.energy_j
        share = uniform.energy_j / full
        cells = [f"{uniform.energy_j * 1e6:.2f} µJ", f"{share:.1%}", bits, *_cells(uniform)]
        if share < 1:
            program = neutrams.compile(
                MODEL, calibration=calibration, bits="auto", budget={"energy": share}
            )
            chosen = neutrams.simulate(program, sets.inputs, sets.labels)
            assert chosen.energy_j <= uniform.energy_j * 1.001
            cells += _cells(chosen)
            print(f"<!-- {program.manifest['precision']['bits']} -->", flush=True)
        print("| " + " | ".join(cells) + " |", flush=True)


def _cells(found: Simulation) -> Iterator[str]:
    yield f"{found.accuracy:.2%}"
    yield f"{found.agreement:.2%}"


if __name__ == "__main__":
    main()
