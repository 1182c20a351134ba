"""The verifier names every limit that a unit breaks, and none for a unit that fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from neutrams import targets
from neutrams.ir.graph import Graph
from neutrams.ir.ops.unit import Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
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
        assert f"adds 3 partial sums; `cim` allows {most}" in fault.message
        assert "merge-through-cores" in fault.render()
