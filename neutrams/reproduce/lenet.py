"""PRIME: LeNet-5 with inputs and weights of three bits, on the digits of MNIST."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from neutrams import driver
from neutrams.ir.types import Array
from neutrams.reproduce.recipe import Absent, Recipe, Row

_BITS = {"input-bits": 3, "weight-bits": 3}
_CALIBRATION = 256


def _rows() -> Iterator[Row]:
    data = _found("images/mnist.npz", Path(os.environ.get("NEUTRAMS_DATA", "")))
    trained = os.environ.get("NEUTRAMS_TRAINED") or str(data.parents[1] / "models" / "trained")
    network = _found("mnist_lenet5.onnx", Path(trained))
    with np.load(data) as digits:
        images, classes = _pixels(digits["x_test"]), digits["y_test"]
        calibration = _pixels(digits["x_train"][:_CALIBRATION])
    for retrain in (False, True):
        program = driver.compile(
            network,
            target="prime",
            limits=_BITS,
            calibration=calibration,
            retrain=retrain,
        )
        found = driver.simulate(program, {"x": images, "y": classes})
        assert found.accuracy is not None
        how = "retrained without labels" if retrain else "rounded after training"
        yield Row(
            f"accuracy, 3-bit inputs and weights, {how}", "99", 100 * found.accuracy, "%", 0.01
        )


def _found(name: str, folder: Path) -> Path:
    path = folder / name
    if not path.is_file():
        raise Absent(f"`{name}` is not in NEUTRAMS_DATA or NEUTRAMS_TRAINED")
    return path


def _pixels(images: Array) -> Array:
    return images[:, None] / np.float32(255)


LENET = Recipe(
    name="prime-lenet5",
    title="PRIME: LeNet-5 on MNIST, inputs and weights of 3 bits",
    source="Chi et al., ISCA 2016, Fig. 6",
    about=(
        "A LeNet-5 of `examples/train_networks.py` (99.24 % in float), compiled to `prime` at 3 "
        "bits and run on the whole test set. Its converters are taken as ideal, as the figure is "
        "about precision alone. The digits are in `NEUTRAMS_DATA`, the network is in "
        "`NEUTRAMS_TRAINED`; without either the recipe is not run."
    ),
    rows=lambda: tuple(_rows()),
)
