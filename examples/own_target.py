"""A chip of your own: inherit from a built-in one and change what differs."""

import tempfile
from pathlib import Path

import neutrams

HERE = Path(__file__).parent

SMALL = """
inherits = "cim"
name = "small"
description = "cim with crossbars of half the size and a coarser converter"

[core]
rows = 64
columns = 64
adc_bits = 7
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "small.toml"
        file.write_text(SMALL)
        for target in ("cim", file):
            program = neutrams.compile(
                HERE / "mnist8_cntk.onnx",
                target=target,
                calibration=HERE / "digits_calibration.npz",
            )
            result = neutrams.simulate(program, HERE / "digits_test.npz", limit=200)
            crossbars = result.resources.occupancy.crossbars
            print(f"{program.target.name:8} {result.accuracy:.1%} with {crossbars} crossbars")


if __name__ == "__main__":
    main()
