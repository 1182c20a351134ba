"""Convolutions keep their sparsity: groups share crossbars along a diagonal, and nothing else."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest

from neutrams.ir.graph import Graph
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import DType, symbol, tensor
from neutrams.passes import PassContext, PassManager, default_pipeline
from neutrams.targets import load

X = {"x": np.random.default_rng(1).normal(size=(8, 24, 9, 9)).astype(np.float32)}


@pytest.mark.parametrize("groups", [1, 2, 6, 24])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize(("fan_in", "neurons"), [(128, 32), (40, 32), (128, 5), (8, 3)])
def test_crossbars_by_closed_form(
    groups: int, stride: int, dilation: int, fan_in: int, neurons: int
) -> None:
    graph, rng = Graph("net"), np.random.default_rng(groups)
    x = graph.input("x", tensor(DType.F32, symbol("N"), 24, 9, 9))
    w = graph.weight("w", rng.normal(size=(24, 24 // groups, 3, 3)).astype(np.float32))
    steps, apart = (stride, stride), (dilation, dilation)
    graph.output(graph.add(Conv(x, w, strides=steps, dilations=apart, groups=groups)))
    chip = load("cim", limits={"fan-in": fan_in, "neurons": neurons})
    PassManager(default_pipeline()).run(graph, PassContext(target=chip, calibration=X))
    (unit,) = [op for op in graph.ops if isinstance(op, Mvm)]
    each = 24 // groups
    inputs = 9 * each
    together = max(1, min(fan_in // inputs, neurons // each))
    cut = 1 if together > 1 else ceil(inputs / fan_in) * ceil(each / neurons)
    assert len(unit.table()) == ceil(groups / together) * cut
    assert (unit.strides, unit.dilations) == (steps, apart)
    held = getattr(unit.w, "data", None)
    assert held is not None
    used = sum(np.count_nonzero(unit.block_weights(held, block)) for block in unit.table())
    assert used == np.count_nonzero(held)  # all of it, and zeros elsewhere
    for block in unit.table():
        group_lo, group_hi, row_lo, row_hi, col_lo, col_hi = map(int, block)
        cells = unit.block_weights(held, block)
        rows, columns = row_hi - row_lo, col_hi - col_lo
        mine = np.kron(np.eye(group_hi - group_lo), np.ones((rows, columns)))
        assert cells.shape == mine.shape
        assert not cells[mine == 0].any()


def test_a_depthwise_layer_takes_no_more_crossbars_than_its_diagonal() -> None:
    """24 channels of 9 rows: 14 a crossbar of 128 rows, so 2 of them."""
    chip = load("cim")
    assert chip.limits.fan_in // 9 == 14
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 24, 9, 9))
    graph.output(
        graph.add(Conv(x, graph.weight("w", np.ones((24, 1, 3, 3), np.float32)), groups=24))
    )
    PassManager(default_pipeline()).run(graph, PassContext(target=chip, calibration=X))
    (unit,) = [op for op in graph.ops if isinstance(op, Mvm)]
    assert [tuple(block[:2]) for block in unit.table().tolist()] == [(0, 14), (14, 24)]
