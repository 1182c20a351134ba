"""The verifier names every limit that a unit breaks, and none for a unit that fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from neutrams import targets
from neutrams.ir.graph import Graph
from neutrams.ir.ops.unit import Add as AddUnits
from neutrams.ir.ops.unit import Lut, Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Range, Target
from neutrams.ir.types import DType, symbol, tensor
from neutrams.ir.verifier import verify

CIM = targets.load("cim")
FITS = {"rows": 128, "neurons": 32, "adc_bits": 8, "column_flip": True}


def unit(**attributes: Any) -> Graph:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, symbol("N"), 300))
    w = graph.weight("w", np.ones((40, 300), np.int8))
    sums = graph.add(Mvm(x, w, **{**FITS, **attributes}))
    scale = graph.weight("scale", np.array(0.5, np.float32))
    graph.output(graph.add(Rescale(graph.add(Reduce(sums)), scale, low=-128, high=127)))
    return graph


def test_a_unit_within_all_limits_has_no_faults() -> None:
    assert verify(unit(), CIM) == []


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"rows": 129}, "has 129 rows a block reads; `cim` allows 128"),
        ({"rows": 0}, "has 300 rows a block reads; `cim` allows 128"),
        ({"neurons": 33}, "has 33 neurons a block makes; `cim` allows 32"),
        ({"input_bits": 9}, "has 9 bits of an input; `cim` allows 8"),
        ({"weight_bits": 9}, "has 9 bits of a weight; `cim` allows 8"),
        ({"adc_bits": 7}, "is made for adc_bits 7; `cim` has 8"),
        ({"column_flip": False}, "is made for column_flip False; `cim` has True"),
    ],
)
def test_each_broken_limit_is_named(attributes: dict[str, Any], message: str) -> None:
    (fault,) = verify(unit(**attributes), CIM)
    assert message in fault.message


def test_every_broken_limit_is_reported_at_once() -> None:
    assert len(verify(unit(rows=0, neurons=0, adc_bits=0), CIM)) == 3


def test_wide_outputs_are_refused() -> None:
    narrow = replace(CIM, limits=replace(CIM.limits, output_bits=7))
    assert ["has 8 bits of a result" in fault.message for fault in verify(unit(), narrow)] == [True]


@pytest.mark.parametrize(("most", "refused"), [(0, False), (3, False), (2, True), (1, True)])
def test_sums_of_more_crossbars_than_the_chip_adds_up_are_refused(most: int, refused: bool) -> None:
    chip = replace(CIM, limits=replace(CIM.limits, partial_sums=most))
    found = verify(unit(), chip)
    assert [fault.code for fault in found] == ["NT0145"] * refused
    for fault in found:
        assert f"has 3 partial sums to add up; `cim` allows {most}" in fault.message
        assert "merge-through-cores" in fault.render()


def stated(**limits: Any) -> Target:
    """Return `cim` with limits that it does not state itself."""
    return replace(CIM, limits=replace(CIM.limits, **limits))


def tail(bias: int = 0, low: int = -128, high: int = 127, zero: int = 0) -> Graph:
    """A unit of weight 3 over two inputs, offset by 4, with a bias and an activation."""
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.I8, symbol("N"), 2).with_range(-4, 3))
    w = graph.weight("w", np.full((2, 2), 3, np.int8))
    b = graph.weight("b", np.full(2, bias, np.int32))
    made = Mvm(x, w, input_offset=4, input_bits=3, adc_bits=8, column_flip=True)
    sums = graph.add(made)
    scale = graph.weight("scale", np.array(0.5, np.float32))
    total = graph.add(Reduce(sums, b))
    graph.output(graph.add(Rescale(total, scale, zero=zero, low=low, high=high)))
    return graph


@pytest.mark.parametrize(
    ("graph", "limits", "message"),
    [
        (tail(), {"weight_range": Range(-2, 2)}, "has weights from 3 to 3; `cim` allows -2 to 2"),
        (
            tail(),
            {"input_range": Range(0, 6)},
            "has inputs, offset by 4, from 0 to 7; `cim` allows 0 to 6",
        ),
        (
            tail(),
            {"output_range": Range(0, 1, 0.01)},
            "has results from -128 to 127; `cim` allows 0 to 100",
        ),
        # 4 · (3 + 3) of the 124 only undo the offset
        (
            tail(bias=100),
            {"bias_range": Range(-64, 63)},
            "has biases from 0 to 124; `cim` allows -64 to 63",
        ),
        (tail(low=0), {"functions": ("clip",)}, "needs `relu`, which `cim` does not have"),
        (tail(low=-10), {"functions": ("relu",)}, "needs `clip`, which `cim` does not have"),
        (tail(high=99), {"functions": ("relu",)}, "needs `clip`, which `cim` does not have"),
    ],
)
def test_ranges_and_functions_are_proved(
    graph: Graph, limits: dict[str, Any], message: str
) -> None:
    assert verify(graph, CIM) == []
    (fault,) = verify(graph, stated(**limits))
    assert message in fault.message
    assert fault.notes
    assert fault.helps


def test_a_range_at_the_edge_is_held() -> None:
    limits = {"weight_range": Range(-1, 3), "input_range": Range(-4, 3)}
    assert verify(tail(low=0), stated(**limits, bias_range=Range(0, 24))) == []


def test_results_saturate_at_the_codes_that_a_chip_reads() -> None:
    """The ends of those need no function; others do, though the type holds more."""
    chip = stated(input_range=Range(-4, 3), functions=("relu",))
    assert verify(tail(low=0, high=3), chip) == []
    assert verify(tail(low=-4, high=3), chip) == []
    (fault,) = verify(tail(low=0), chip)
    assert "needs `clip`" in fault.message


def test_what_the_vector_unit_does_is_proved() -> None:
    graph = Graph("main", "unit")
    x = graph.input("x", tensor(DType.U8, 1, 4))
    table = graph.weight("table", np.arange(256, dtype=np.uint8))
    y = graph.add(Lut(x, table))
    graph.output(graph.add(AddUnits(x, y, a_scale=0.5, b_scale=0.5)))
    codes = [fault.code for fault in verify(graph, stated(functions=("relu",)))]
    assert codes == ["NT0149", "NT0149"]
    assert verify(graph, stated(functions=("add", "lut"), lut_entries=256)) == []
    (fault,) = verify(graph, stated(lut_entries=255))
    assert "has 256 entries of a table; `cim` allows 255" in fault.message
