"""Data sets of the study: what calibrates (unlabelled), and the whole test set."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from benchmarks.accuracy import synthetic
from neutrams.ir.types import Array

DATA = Path(os.environ.get("NEUTRAMS_DATA", Path(__file__).parents[3] / "shared" / "data"))
CANDIDATES = 3_000
"""Training samples among which a seed chooses."""
DRAWN = 512
FRAMES = 64
"""Length of a spoken digit, in steps of 10 ms."""

Inputs = Array | Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Sets:
    """What one network is calibrated with and judged by."""

    draw: Callable[[int], Inputs]
    """Calibration samples of a seed."""
    inputs: Inputs
    labels: Array | None
    seen: Callable[[int], Array] | None = None
    """Which test samples a seed calibrates with, where there is no other set; they do not count."""


def mnist() -> Sets:
    """Pixels in 0..1."""
    return _images("mnist", scale=255)


def mnist_pixels() -> Sets:
    """Pixels in 0..255, as the network of the model zoo reads them."""
    return _images("mnist", scale=1)


def mnist_vectors() -> Sets:
    return _images("mnist", scale=255, flat=True)


def fashion() -> Sets:
    return _images("fashion_mnist", scale=255)


def cifar() -> Sets:
    sets = _load("images/cifar10_jpeg")
    return _chosen(_jpegs(sets, "train", CANDIDATES), _jpegs(sets, "test"), sets["test_label"])


def spoken() -> Sets:
    sets = _load("audio/fsdd_logmel32")
    ends, test = sets["offset"], sets["is_test"]
    x: Array = np.zeros((len(test), FRAMES, 32), np.float32)
    for row, (start, end) in zip(x, pairwise(ends), strict=True):
        heard = sets["frames"][start:end][:FRAMES]
        row[FRAMES - len(heard) :] = heard
    x = (x - 128) / 64
    return _chosen(x[~test], x[test], sets["digit"][test])


def keywords() -> Sets:
    """The set has no training part: a seed calibrates with half, and is judged by the other."""
    sets = _load("audio/kws_mfcc_test1000")
    x = ((sets["x"].astype(np.float32) - sets["zero_point"]) * sets["scale"]).astype(np.float32)
    x = x.reshape(-1, 1, 49, 10)
    order = np.random.default_rng(0).permutation(len(x))

    def chosen(seed: int) -> Array:
        return order[(np.arange(DRAWN) + seed * len(x) // 5) % len(x)]

    def seen(seed: int) -> Array:
        return np.isin(np.arange(len(x)), chosen(seed))

    return Sets(lambda seed: x[chosen(seed)], x, sets["y"], seen)


def keywords_whole() -> Sets:
    """For networks that need no calibration."""
    sets = keywords()
    return Sets(sets.draw, sets.inputs, sets.labels)


def wake_words() -> Sets:
    """What the int8 network was calibrated with is all there is, and labelled."""
    sets = _load("audio/sww_logmel45")
    x = np.ascontiguousarray(sets["x"].transpose(0, 3, 1, 2))
    return Sets(lambda seed: x, x, sets["y"])


def bragg() -> Sets:
    """Computed peaks; labels are their centres."""
    x, centres = synthetic.bragg_peaks(2_000, seed=1)
    return _chosen(synthetic.bragg_peaks(CANDIDATES, seed=2)[0], x, centres)


def machines() -> Sets:
    """Computed log-mel frames. Sounds of 150 recordings calibrate, those of the others test."""
    first, second = _recordings()
    return _chosen(synthetic.machine_frames(first, 1), synthetic.machine_frames(second, 2), None)


def detector() -> Sets:
    """One sequence of 150 spoken digits tests, one of 100 of the others calibrates."""
    first, second = _recordings()

    def draw(seed: int) -> Inputs:
        order = np.random.default_rng(seed).permutation(len(first))[:100]
        return synthetic.detector_steps([first[i] for i in order], seed)

    return Sets(draw, synthetic.detector_steps(second, 99), None)


def _chosen(candidates: Array, inputs: Array, labels: Array | None) -> Sets:
    def draw(seed: int) -> Array:
        order = np.random.default_rng(seed).permutation(min(CANDIDATES, len(candidates)))
        return candidates[order[:DRAWN]]

    return Sets(draw, inputs, labels)


def _images(name: str, *, scale: float, flat: bool = False) -> Sets:
    sets = _load(f"images/{name}")
    shape = (-1, 784) if flat else (-1, 1, 28, 28)
    train, test = (
        (x.astype(np.float32) / np.float32(scale)).reshape(shape)
        for x in (sets["x_train"][:CANDIDATES], sets["x_test"])
    )
    return _chosen(train, test, sets["y_test"])


def _jpegs(sets: Mapping[str, Array], split: str, count: int | None = None) -> Array:
    from PIL import Image

    stored, ends = sets[f"{split}_jpeg"], sets[f"{split}_offset"]
    parts = (stored[a:b].tobytes() for a, b in islice(pairwise(ends), count))
    images = [np.asarray(Image.open(io.BytesIO(part))) for part in parts]
    return np.stack(images).transpose(0, 3, 1, 2).astype(np.float32)


@lru_cache(maxsize=1)
def _recordings() -> tuple[list[Array], list[Array]]:
    """Return two halves of the recordings, speakers and digits mixed."""
    sets = _load("audio/fsdd_test_audio")
    ends = sets["offset"]
    order = np.random.default_rng(1).permutation(len(ends) - 1)
    sounds = [sets["pcm"][ends[i] : ends[i + 1]] for i in order]
    return sounds[:150], sounds[150:]


def _load(name: str) -> dict[str, Array]:
    with np.load(DATA / f"{name}.npz") as stored:
        return dict(stored)
