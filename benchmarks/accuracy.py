"""Accuracy of real networks on the `cim` chip, without retraining, on whole test sets.

    python -m benchmarks.accuracy > docs/accuracy.md

The networks and sets are those of the shared data folder (`NEUTRAMS_DATA`); one that is absent is
named and left out.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import neutrams
from neutrams.ir.types import Array

DATA = Path(os.environ.get("NEUTRAMS_DATA", Path(__file__).parents[2] / "shared" / "data"))
MODELS = DATA / "models" / "onnx"


@dataclass(frozen=True, slots=True)
class Case:
    """One network, what calibrates it (unlabelled), and its test set."""

    model: str
    data: str
    load: Callable[[Path], tuple[Array | None, Array, Array]]
    """Returns calibration samples (``None`` where the model holds its own ranges), x and y."""


def mnist(path: Path) -> tuple[Array, Array, Array]:
    sets = np.load(path)
    x = sets["x_test"][:, None].astype(np.float32)
    return sets["x_train"][:512, None].astype(np.float32), x, sets["y_test"]


def mnist_vectors(path: Path) -> tuple[Array, Array, Array]:
    calibration, x, y = mnist(path)
    return calibration.reshape(-1, 784) / 255, x.reshape(-1, 784) / 255, y


def cifar(path: Path) -> tuple[Array, Array, Array]:
    sets = np.load(path)
    return _jpegs(sets, "train", 512), _jpegs(sets, "test", 10_000), sets["test_label"]


def cifar_own_ranges(path: Path) -> tuple[None, Array, Array]:
    sets = np.load(path)
    return None, _jpegs(sets, "test", 10_000), sets["test_label"]


def keywords(path: Path) -> tuple[Array, Array, Array]:
    sets = np.load(path)
    x = (sets["x"].astype(np.float32) - sets["zero_point"]) * sets["scale"]
    x = x.reshape(-1, 1, 49, 10).astype(np.float32)
    return x[:512], x, sets["y"]


def keywords_own_ranges(path: Path) -> tuple[None, Array, Array]:
    return None, *keywords(path)[1:]


def wake_words(path: Path) -> tuple[None, Array, Array]:
    sets = np.load(path)
    return None, np.ascontiguousarray(sets["x"].transpose(0, 3, 1, 2)), sets["y"]


CASES = (
    Case("mnist8_cntk", "images/mnist", mnist),
    Case("mnist_mlp_bn", "images/mnist", mnist_vectors),
    Case("mlperf_tiny_resnet8", "images/cifar10_jpeg", cifar),
    Case("mlperf_tiny_kws_dscnn", "audio/kws_mfcc_test1000", keywords),
    Case("mlperf_tiny_resnet8_int8_qdq", "images/cifar10_jpeg", cifar_own_ranges),
    Case("mlperf_tiny_kws_dscnn_int8_qdq", "audio/kws_mfcc_test1000", keywords_own_ranges),
    Case("mlperf_tiny_streaming_wakeword_int8_qdq", "audio/sww_logmel45", wake_words),
)


def main() -> None:
    print("# Accuracy on `cim`, without retraining\n")
    print("Regenerate with `python -m benchmarks.accuracy`. Weights and activations are of 8 bits,")
    print("in 2-bit cells on 128 × 128 crossbars; ADC of 8 bits, lossless by column flipping.")
    print("Calibration sees 512 unlabelled samples; int8 models bring their own ranges.")
    print("Keyword spotting has a test set only, so its first 512 inputs calibrate.\n")
    print("| network | samples | onnxruntime | on `cim` | difference | same class | seconds |")
    print("|---|---|---|---|---|---|---|")
    for case in CASES:
        model, data = MODELS / f"{case.model}.onnx", DATA / f"{case.data}.npz"
        if missing := [path.name for path in (model, data) if not path.exists()]:
            print(f"skipped {case.model}: no {', '.join(missing)}", file=sys.stderr)
            continue
        print("| " + " | ".join(row(case, model, data)) + " |", flush=True)


def row(case: Case, model: Path, data: Path) -> Iterator[str]:
    calibration, x, y = case.load(data)
    wanted = onnxruntime_classes(model, x)
    start = time.perf_counter()
    program = neutrams.compile(model, target="cim", calibration=calibration)
    result = neutrams.simulate(program, x, labels=y, compare=False)
    seconds = time.perf_counter() - start
    found = next(iter(result.outputs.values())).reshape(len(x), -1).argmax(axis=1)
    before, after = (wanted == y).mean() * 100, (found == y).mean() * 100
    yield case.model
    yield str(len(x))
    yield f"{before:.2f} %"
    yield f"{after:.2f} %"
    yield f"{after - before:+.2f}"
    yield f"{(found == wanted).mean() * 100:.2f} %"
    yield f"{seconds:.1f}"


def onnxruntime_classes(model: Path, x: Array) -> Array:
    """Return the class of each sample by onnxruntime, graph optimisations off."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 2
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0]
    size = feed.shape[0] if isinstance(feed.shape[0], int) else 500
    parts = (x[i : i + size] for i in range(0, len(x), size))
    outputs = [session.run(None, {feed.name: part})[0].reshape(len(part), -1) for part in parts]
    return np.concatenate(outputs).argmax(axis=1)


def _jpegs(sets: Array, split: str, count: int) -> Array:
    from PIL import Image

    data, offset = sets[f"{split}_jpeg"], sets[f"{split}_offset"]
    images = [
        np.asarray(Image.open(io.BytesIO(data[offset[i] : offset[i + 1]].tobytes())))
        for i in range(count)
    ]
    return np.stack(images).transpose(0, 3, 1, 2).astype(np.float32)


if __name__ == "__main__":
    main()
