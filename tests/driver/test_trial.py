"""A dry run says what a compile would find, without data; what does not fit is refused early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neutrams
from neutrams.driver import dry_run
from neutrams.driver.placing.buffers import buffered
from neutrams.driver.placing.traffic import Hold, Homes, Spread
from neutrams.driver.resources import resources
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.reductions import Softmax
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import DType, symbol, tensor

EXAMPLES = Path(__file__).parents[2] / "examples"


def net() -> Graph:
    random = np.random.default_rng(0)
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 3, 8, 8))
    w = graph.weight("w", random.normal(size=(6, 3, 3, 3)).astype(np.float32))
    r = graph.add(Relu(graph.add(Conv(x, w), name="c")), name="r")
    p = graph.add(MaxPool(r, kernel=(2, 2), strides=(2, 2)), name="p")
    flat = graph.add(Reshape(p, shape=(symbol("N"), 54)), name="flat")
    v = graph.weight("v", random.normal(size=(54, 40)).astype(np.float32))
    graph.output(graph.add(Softmax(graph.add(Matmul(flat, v), name="y")), name="s"))
    return graph


def samples() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(1).normal(size=(8, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"limits": {"fan-in": 20, "weight-bits": 4}},
        {"replicate": False, "strategy": "prune-to-blocks", "limits": {"fan-in": 16}},
        {
            "overrides": {"chip.tiles": 1, "tile.cores": 1, "core.crossbars": 1},
            "rounds": None,
            "batch": 7,
        },
    ],
)
def test_it_is_what_a_compile_finds(options: dict[str, Any]) -> None:
    program = neutrams.compile(net(), calibration=samples(), **options)
    assert dry_run(net(), **options) == resources(program)


def test_a_real_network() -> None:
    model = EXAMPLES / "mnist8_cntk.onnx"
    data = EXAMPLES / "digits_calibration.npz"
    program = neutrams.compile(model, calibration=str(data))
    found = dry_run(model)
    assert found == resources(program)
    with np.load(data) as held:
        ran = neutrams.simulate(program, held["x"][:4])
    assert found.energy_j == pytest.approx(ran.energy_j)


def test_training_is_left_out() -> None:
    stages: list[str] = []
    dry_run(net(), retrain=True, progress=lambda stage, done, total: stages.append(stage))
    assert stages
    assert not any("retrain" in stage for stage in stages)


@pytest.mark.parametrize(
    ("chip", "code"),
    [
        ({"chip.tiles": 1, "tile.cores": 1, "core.crossbars": 1}, "NT0401"),
        ({"tile.buffer_bytes": 1, "chip.tiles": 40}, "NT0405"),
    ],
)
def test_it_is_refused_before_training(chip: dict[str, int], code: str) -> None:
    stages: list[str] = []
    with pytest.raises(NeutramsError) as caught:
        neutrams.compile(
            net(),
            overrides=chip,
            retrain=True,
            calibration=samples(),
            progress=lambda stage, done, total: stages.append(stage),
        )
    (fault,) = caught.value.diagnostics
    assert fault.code == code
    assert not any("unit" in stage and "retrain" in stage for stage in stages[:-1])
    with pytest.raises(NeutramsError, match=code):
        dry_run(net(), overrides=chip)


def test_buffers_that_just_suffice() -> None:
    with pytest.raises(NeutramsError, match="NT0405") as caught:
        dry_run(net(), overrides={"tile.buffer_bytes": 1, "chip.tiles": 1})
    (help,) = caught.value.diagnostics[0].helps
    size = int(help.rpartition("=")[2])
    enough = {"tile.buffer_bytes": size, "chip.tiles": 1}
    assert dry_run(net(), overrides=enough).buffer_bytes <= size
    with pytest.raises(NeutramsError, match="NT0405"):
        dry_run(net(), overrides={**enough, "tile.buffer_bytes": size - 1})


def test_a_convolution_keeps_the_rows_of_a_window() -> None:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 3, 8, 5))
    w = graph.weight("w", np.ones((4, 3 * 9), np.int8))
    op = Mvm(x, w, kernel=(3, 3), dilations=(2, 2), pads=(2, 2, 2, 2), rows=14, neurons=4)
    graph.output(graph.add(op, name="y"))
    tiles = np.array([0, 2], np.int32)
    homes = Homes({op: Hold(tiles, 1)}, {op: Spread(tiles, np.array([1.0, 0.0]))})
    found = buffered(graph.ops, homes, {"N": 1}, tiles=3)
    rows = 3 * 5 * 5
    assert found.tolist() == [-(-rows * 14 // 27), 0, -(-rows * 13 // 27)]
