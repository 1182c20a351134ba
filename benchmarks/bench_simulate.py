"""Simulate all 10,000 MNIST test digits, on all processors; `bench_inference` has peers."""

import numpy as np

import neutrams
from benchmarks.measure import EXAMPLES, data, peak_gb, show, timed

MODEL = EXAMPLES / "mnist8_cntk.onnx"


def main() -> None:
    mnist = data("images/mnist.npz")
    with np.load(mnist or EXAMPLES / "digits_test.npz") as stored:
        x = stored["x_test"][:, None] if mnist else stored["x"]
        y = stored["y_test"] if mnist else stored["y"]
    program = neutrams.compile(MODEL, calibration=EXAMPLES / "digits_calibration.npz")
    neutrams.simulate(program, x[:8], y[:8])
    seconds, result = timed(lambda: neutrams.simulate(program, x, y, compare=False))
    limit = 20.0 if mnist else None
    show(
        f"simulate {len(x):,} digits",
        seconds,
        "s",
        limit=limit,
        note=f"{result.accuracy:.2%} right",
    )
    seconds, result = timed(lambda: neutrams.simulate(program, x, y))
    show("  with the float network beside it", seconds, "s")
    lossy = neutrams.compile(
        MODEL,
        calibration=EXAMPLES / "digits_calibration.npz",
        overrides={"core.adc_bits": 6},
    )
    neutrams.simulate(lossy, x[:8], y[:8])
    slow, result = timed(lambda: neutrams.simulate(lossy, x, y, compare=False))
    show("  with a 6-bit ADC, which loses", slow, "s", note=f"{result.accuracy:.2%} right")
    show("peak memory", peak_gb(), "GB", limit=2)


if __name__ == "__main__":
    main()
