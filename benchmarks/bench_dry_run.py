"""Dry runs of the networks in ``NEUTRAMS_DATA`` and of one of ResNet-50's shape."""

import os
import resource
import tempfile
from pathlib import Path

import onnx

from benchmarks.measure import peak_gb, show, timed
from benchmarks.networks import resnet50
from neutrams.driver import dry_run
from neutrams.ir.diagnostics import NeutramsError

OPTIONS = {
    "silero_vad_16k_op15.onnx": {"dims": {"sequence": 576, "batch": 1}, "fixed": {"sr": 16000}},
}
"""Sizes of what the models leave open."""


def main() -> None:
    folder = Path(os.environ.get("NEUTRAMS_DATA", "")) / "models" / "onnx"
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "resnet50.onnx"
        onnx.save(resnet50(), str(made))
        for path in (*sorted(folder.glob("*.onnx")), made):
            _one(path)
    show("  peak memory", peak_gb(), "GB", limit=1)


def _one(path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    try:
        seconds, found = timed(lambda: dry_run(path, **OPTIONS.get(path.name, {})))
        note = f"{found.occupancy.crossbars} crossbars"
    except NeutramsError as fault:
        seconds, note = 0.0, fault.diagnostics[0].message
    worked = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    show(f"dry run of {path.stem}", seconds, "s", limit=10, note=f"{worked:.1f} s of work; {note}")


if __name__ == "__main__":
    main()
