"""The main job from Python: compile a trained digit classifier to a chip, simulate it on digits."""

from pathlib import Path

import numpy as np

import neutrams

HERE = Path(__file__).parent


def main() -> None:
    with np.load(HERE / "digits_calibration.npz") as data:
        calibration = data["x"]
    program = neutrams.compile(HERE / "mnist8_cntk.onnx", target="cim", calibration=calibration)

    result = neutrams.simulate(program, HERE / "digits_test.npz", limit=200)
    chip = result.resources
    print(f"accuracy     {result.accuracy:.1%}  (float: {result.quality.float_value:.1%})")
    print(
        f"latency      {chip.latency_s * 1e6:.1f} µs, {chip.throughput_per_s:,.0f} digits a second"
    )
    print(f"energy       {result.energy_j * 1e6:.2f} µJ a digit")
    print(f"area         {chip.area_mm2:.2f} mm² in {chip.occupancy.tiles} tiles")
    for layer, cost in zip(chip.layers, result.layers, strict=True):
        print(f"  {layer.name:32} {layer.place:9} {cost.energy_j * 1e9:10.1f} nJ")


if __name__ == "__main__":
    main()
