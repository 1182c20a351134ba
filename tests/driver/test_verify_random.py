"""Random networks on random chips: every executor gives the same, from cells to onnxruntime."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import neutrams
from neutrams.driver import resources, verify
from neutrams.ir.graph import Graph
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm

from ..passes.test_meaning import graphs, inputs

pytest.importorskip("onnxruntime")
pytest.importorskip("torch")


@st.composite
def chips(draw: st.DrawFn) -> dict[str, Any]:
    """What is changed of `cim`: small crossbars, few of them a tile, other converters."""
    size = draw(st.sampled_from([16, 32, 128]))
    return {
        "core.rows": size,
        "core.columns": size,
        "core.adc_bits": draw(st.sampled_from([4, 6, 9])),
        "core.cell_bits": draw(st.sampled_from([1, 2, 4])),
        "core.dac_bits": draw(st.sampled_from([1, 2])),
        "core.adc_mode": draw(st.sampled_from(["clip", "scale"])),
        "core.crossbars": draw(st.sampled_from([1, 8])),
        "tile.cores": draw(st.sampled_from([1, 12])),
    }


def test_the_chain_holds() -> None:
    spread = []

    @given(graph=graphs(), chip=chips(), replicate=st.booleans())
    @settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    def check(graph: Graph, chip: dict[str, Any], replicate: bool) -> None:
        data = inputs()
        program = neutrams.compile(graph, calibration=data, overrides=chip, replicate=replicate)
        holds = any(isinstance(op, Mvm) for op, _ in working_ops(program.module["main"]))
        found = {link.name: link for link in verify(program, data, limit=2, retention=0.0).links}
        assert not [link for link in found.values() if link.state == "broken"]
        for name in ("unit graph → placement", "unit graph → programmed cells"):
            assert not holds or found[name].state == "passed"
        assert found["unit graph → torch executor"].compared > 0
        if holds and resources(program).occupancy.tiles > 1:
            spread.append(program)

    check()
    assert len(spread) > 3, "most examples lie on one tile, so that nothing flows"
