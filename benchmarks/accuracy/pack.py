"""Copy what the study reads of the data folder, and no more, to another one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from benchmarks.accuracy.data import CANDIDATES, DATA
from benchmarks.accuracy.networks import NETWORKS, TRAINED
from neutrams.driver.npz import write_npz
from neutrams.ir.types import Array


def pack(folder: Path) -> int:
    """Write the samples and models that are there, and return their size in bytes.

    Training sets are cut to the samples among which seeds choose.
    """
    for need in sorted({need for network in NETWORKS for need in network.needs}):
        source, copy = (root / f"{need}.npz" for root in (DATA, folder))
        if source.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            with np.load(source) as stored:
                write_npz(copy, _cut(dict(stored)))
    for model in (network.model for network in NETWORKS):
        if model.exists():
            trained = model.parent == TRAINED
            copy = folder / "models" / ("trained" if trained else model.parent.name) / model.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(model, copy)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _cut(arrays: dict[str, Array]) -> dict[str, Array]:
    for name in ("x_train", "y_train", "train_label"):
        if name in arrays:
            arrays[name] = arrays[name][:CANDIDATES]
    if "train_offset" in arrays:
        arrays["train_offset"] = arrays["train_offset"][: CANDIDATES + 1]
        arrays["train_jpeg"] = arrays["train_jpeg"][: arrays["train_offset"][-1]]
    return arrays
