"""What the pass manager does around passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.ops.activations import Relu
from neutrams.ir.text import parse_graph
from neutrams.passes import Pass, PassContext, PassManager, Remark

NET = """graph @net(%x: f32[N, 2]) {
  %a = nn.clip(%x) {low = -1.0, high = 6.0} : f32[N, 2]
  %b = nn.relu(%a) : f32[N, 2]
  return %b
}"""


@dataclass(frozen=True)
class DropClips(Pass):
    """Break the meaning of a graph, for a test."""

    name: ClassVar[str] = "drop-clips"

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        graph.replace(graph.ops[0], Relu(graph.inputs[0]))
        return True


def test_levels_are_checked() -> None:
    with pytest.raises(NeutramsError, match="NT0205"):
        PassManager("split-fan-in{rows=1 neurons=1}").run(parse_graph(NET))


def test_a_pass_that_needs_a_target_says_so() -> None:
    with pytest.raises(NeutramsError, match="NT0206"):
        PassManager("lower-units,split-fan-in").run(parse_graph(NET))


def test_print_after_and_timing_go_to_emit() -> None:
    said: list[str] = []
    ctx = PassContext(emit=said.append, print_after=frozenset({"fuse-clips"}), timing=True)
    PassManager("fold-norms,fuse-clips").run(parse_graph(NET), ctx)
    assert said[0].startswith("; after fuse-clips\ngraph @net")
    assert [line.split()[2] for line in said[1].splitlines()] == [
        "fold-norms",
        "fuse-clips",
        "total",
    ]


def test_verify_each_finds_a_pass_that_changes_the_meaning() -> None:
    data = {"x": np.array([[9.0, 1.0]], np.float32)}
    ctx = PassContext(calibration=data, verify_each=True)
    PassManager("fuse-clips").run(parse_graph(NET), ctx)
    with pytest.raises(NeutramsError, match=r"NT0209.*`drop-clips`.*`b`"):
        PassManager([DropClips()]).run(parse_graph(NET), ctx)


def test_remarks_name_the_value_and_the_line() -> None:
    ctx = PassContext()
    PassManager("fuse-clips").run(parse_graph(NET), ctx)
    (remark,) = ctx.remarks
    assert isinstance(remark, Remark)
    assert (remark.kind, remark.op, remark.value) == ("done", "nn.relu", "b")
    assert str(remark.where).endswith(":3:8")
    assert str(remark) == "fuse-clips: `%b` (nn.relu): merged into the clip `%a` before it"
