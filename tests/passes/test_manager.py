"""What the pass manager does around passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.elementwise import Mul
from neutrams.ir.ops.unary import Neg
from neutrams.ir.ops.unit import Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.text import parse_graph
from neutrams.passes import (
    Pass,
    PassContext,
    PassManager,
    Remark,
    default_pipeline,
    print_pipeline,
)
from neutrams.passes.losses import judge_road
from neutrams.targets import load

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


CHAIN = """graph @net(%x: f32[N, 4]) {
  weight @w : f32[4, 3] = [1, -2, 0.5, 0.25, 1, -1, -0.5, 2, 1, 0, -1, 0.75]
  %a = nn.abs(%x) : f32[N, 4]
  %b = nn.matmul(%a, @w) : f32[N, 3]
  %c = nn.relu(%b) : f32[N, 3]
  %d = nn.neg(%c) : f32[N, 3]
  %e = nn.sigmoid(%d) : f32[N, 3]
  return %e as "scores"
}"""
DATA = {"x": np.random.default_rng(3).standard_normal((64, 4)).astype(np.float32)}


@dataclass(frozen=True)
class Scale(Pass):
    """Multiply one value by a factor: a fault, or what another pass makes good."""

    name: ClassVar[str] = "scale"

    value: str = "b"
    by: float = 1.5

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        op = next(op for op in graph.ops if op.result.name == self.value)
        made, readers = op.result, list(op.result.users)
        factor = graph.weight("factor", np.array(self.by, np.float32))
        scaled = graph.add(Mul(made, factor), name="scaled", before=readers[0])
        scaled.origin = made.name
        graph.redirect(made, scaled, readers)
        return True


@pytest.mark.parametrize(("value", "first"), [("a", "scaled"), ("c", "scaled"), ("b", "scaled")])
def test_verify_each_names_the_first_value_that_moved(value: str, first: str) -> None:
    ctx = PassContext(calibration=DATA, verify_each=True)
    with pytest.raises(NeutramsError, match="NT0209") as fault:
        PassManager([Scale(value)]).run(parse_graph(CHAIN), ctx)
    assert f"the first that moved is `%{first}` (`nn.mul`)" in str(fault.value)


def test_verify_each_finds_an_op_that_was_replaced_by_another() -> None:
    @dataclass(frozen=True)
    class Flip(Pass):
        name: ClassVar[str] = "flip"

        def run(self, graph: Graph, ctx: PassContext) -> bool:
            op = next(op for op in graph.ops if op.result.name == "c")
            graph.replace(op, Neg(op.operands[0]))  # type: ignore[arg-type]
            return True

    ctx = PassContext(calibration=DATA, verify_each=True)
    with pytest.raises(NeutramsError) as fault:
        PassManager([Flip()]).run(parse_graph(CHAIN), ctx)
    assert "the first that moved is `%c` (`nn.neg`)" in str(fault.value)


def test_integers_are_compared_as_the_numbers_they_stand_for() -> None:
    text = CHAIN.replace("%d = nn.neg(%c)", "%d = nn.matmul(%c, @v)").replace(
        "  %a =", "  weight @v : f32[3, 3] = [1, 2, -1, 3, 1, 0, -2, 1, 1]\n  %a ="
    )
    graph = parse_graph(text)
    ctx = PassContext(calibration=DATA, verify_each=True, target=load("cim"))
    PassManager("calibrate,quantize,lower-units").run(graph, ctx)

    @dataclass(frozen=True)
    class Shift(Pass):
        """Give a rescale another zero point."""

        name: ClassVar[str] = "shift"

        def run(self, graph: Graph, ctx: PassContext) -> bool:
            op = next(op for op in graph.ops if op.result.name == "c.q")
            assert isinstance(op, Rescale)
            graph.replace(op, Rescale(op.x, op.scale, **{**op.attributes(), "zero": 40}))
            return True

    with pytest.raises(NeutramsError) as fault:
        PassManager([Shift()]).run(graph, ctx)
    assert "`shift` changed what output `scores` means" in str(fault.value)
    assert "the first that moved is `%c.q` (`unit.rescale`)" in str(fault.value)


def test_the_loss_of_each_pass_is_taken_down() -> None:
    graph, labels = parse_graph(CHAIN), np.zeros(64, np.int64)
    before = interpret(graph, DATA)["scores"]
    labels[:] = before.argmax(axis=1)
    ctx = PassContext(calibration=DATA, labels=labels, measure_losses=True)
    PassManager(["fuse-clips", Scale("d", by=-1.0), Scale("scaled", by=-1.0)]).run(graph, ctx)
    same, turned, back = ctx.losses
    assert (same.name, same.change, same.kept, same.agreement) == ("fuse-clips", 0, 1, 1)
    after = 1 - before
    agree = float((after.argmax(axis=1) == labels).mean())
    assert agree < 0.5
    assert (turned.kept, turned.agreement, turned.accuracy) == (agree, agree, agree)
    moved = np.sqrt(((after - before) ** 2).mean() / (before**2).mean())
    assert turned.change == pytest.approx(float(moved), rel=1e-5)
    assert (back.kept, back.agreement, back.accuracy) == (1, 1, 1), "turning back keeps them"
    assert all(loss.seconds >= 0 for loss in ctx.losses)


def test_outputs_without_classes_are_judged_by_their_error() -> None:
    graph = parse_graph(NET.replace("[N, 2]", "[N, 2, 2]"))
    data = {"x": np.full((5, 2, 2), 2, np.float32)}
    ctx = PassContext(calibration=data, measure_losses=True)
    PassManager([Scale("a", by=1.25)]).run(graph, ctx)
    assert ctx.losses[0].kept == pytest.approx(0.75)
    assert ctx.losses[0].accuracy is None


def test_gates_stop_at_the_pass_that_loses_too_much() -> None:
    broken = [Scale("d", by=-1.0)]
    PassManager(broken).run(parse_graph(CHAIN), PassContext(calibration=DATA))
    for passes, gate in ((broken, 0.9), ([Scale("d", by=-1.0, retention=0.9)], 0.0)):
        with pytest.raises(NeutramsError, match=r"NT0221.*`scale` keeps") as fault:
            PassManager(passes).run(parse_graph(CHAIN), PassContext(calibration=DATA, gate=gate))
        assert "must keep 90.00 %" in fault.value.diagnostics[0].render()
    wide = parse_graph(NET.replace("[N, 2]", "[N, 2, 2]"))
    ctx = PassContext(calibration={"x": np.full((5, 2, 2), 2, np.float32)}, gate=0.9)
    PassManager([Scale("a", by=1.25, retention=0.7)]).run(wide, ctx)
    with pytest.raises(NeutramsError, match="NT0222"):
        PassManager("fuse-clips{retention=0.5}").run(parse_graph(CHAIN))


def test_the_gate_of_the_road_counts_what_is_left_at_its_end() -> None:
    ctx = PassContext(calibration=DATA, measure_losses=True)
    PassManager([Scale("d", by=-1.0), Scale("scaled", by=-1.0)]).run(parse_graph(CHAIN), ctx)
    assert ctx.losses[0].agreement < 0.5
    judge_road(ctx.losses, 1.0)  # turned back
    names = ["first", "second", "third", "fourth"]
    shares = [0.6, 0.99, 0.7, 0.8]
    losses = [
        replace(ctx.losses[0], name=name, agreement=share, kept=share)
        for name, share in zip(names, shares, strict=True)
    ]
    with pytest.raises(NeutramsError, match=r"NT0224.*80.00 %") as fault:
        judge_road(losses, 0.9)
    assert "passed at `third`: 70.00 % are left" in str(fault.value)
    judge_road(losses, 0.8)
    with pytest.raises(NeutramsError, match="passed at `first`"):
        judge_road(losses[:1], 0.9)


def test_what_converters_lose_is_no_fault_of_a_pass() -> None:
    data = {"x": np.random.default_rng(3).standard_normal((64, 4)).astype(np.float32)}
    for limits in ({"adc-bits": 4, "fan-in": 2}, {"input-bits": 2, "weight-bits": 2}):
        ctx = PassContext(target=load("cim", limits=limits), calibration=data, verify_each=True)
        graph = parse_graph(CHAIN)
        PassManager(default_pipeline()).run(graph, ctx)
        assert any(isinstance(op, Mvm) for op in graph.ops)


def test_every_pass_takes_a_gate_in_a_pipeline() -> None:
    text = "fuse-clips{retention=0.98},split-fan-in{retention=0.5 rows=4 neurons=4}"
    passes = PassManager(text).passes
    assert [made.retention for made in passes] == [0.98, 0.5]
    assert print_pipeline(passes) == text
