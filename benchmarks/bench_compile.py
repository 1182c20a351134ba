"""Compile times after import, cold (no cache)."""

import numpy as np

import neutrams
from benchmarks.measure import EXAMPLES, data, peak_gb, show, timed
from neutrams.driver import Cache

MODELS = (("mnist8", 5.0), ("resnet8", 15.0))


def main() -> None:
    with np.load(EXAMPLES / "digits_calibration.npz") as stored:
        digits = stored["x"]
    warm, _ = timed(lambda: neutrams.compile(EXAMPLES / "mnist8_cntk.onnx", calibration=digits[:8]))
    show("mnist8, first in the process (loads kernels)", warm, "s")
    seconds, _ = timed(lambda: neutrams.compile(EXAMPLES / "mnist8_cntk.onnx", calibration=digits))
    show("compile mnist8, 256 calibration digits", seconds, "s", limit=5)
    _reuse(digits)
    model = data("models/onnx/mlperf_tiny_resnet8.onnx")
    if model is not None:
        x = np.random.default_rng(0).uniform(0, 255, (64, 3, 32, 32)).astype(np.float32)
        seconds, _ = timed(lambda: neutrams.compile(model, calibration=x))
        show("compile ResNet-8, 64 calibration images", seconds, "s", limit=15)
    show("peak memory", peak_gb(), "GB")


def _reuse(digits: np.ndarray) -> None:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        for note in ("fills the cache", "from the cache"):
            seconds, _ = timed(
                lambda: neutrams.compile(
                    EXAMPLES / "mnist8_cntk.onnx", calibration=digits, cache=cache
                )
            )
            show("compile mnist8 with a cache", seconds, "s", note=note)


if __name__ == "__main__":
    main()
