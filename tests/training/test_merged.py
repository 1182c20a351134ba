"""Retraining where units merge the parts of a product: both are fitted to the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neutrams.driver.compiler import Compiled, compile_model
from neutrams.driver.options import Options
from neutrams.driver.sources import load_target
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.ir.verifier import verify
from neutrams.passes import PassContext, PassManager, default_pipeline
from neutrams.passes.retraining.merged import merged_lessons
from neutrams.passes.retraining.teacher import Teacher
from neutrams.training.batched import Samples, graph_inputs, run_ops
from neutrams.training.executor import run_graph
from neutrams.training.run import Run

LIMITS = {"fan_in": 16, "partial_sums": 1, "weight_bits": 3, "input_bits": 6}


def network(seed: int = 0) -> Graph:
    """A convolution of 27 inputs a neuron, in two groups, a product of 100, and one of 8."""
    rng = np.random.default_rng(seed)
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 6, 5, 5))

    def weight(name: str, *shape: int) -> Value:
        size = np.sqrt(2 / np.prod(shape[1:]))
        return graph.weight(name, rng.normal(0, size, shape).astype(np.float32))

    bias = graph.weight("b", rng.normal(0, 0.2, 4).astype(np.float32))
    y = graph.add(Conv(x, weight("w", 4, 3, 3, 3), bias, pads=(1, 1, 1, 1), groups=2))
    y = graph.add(Reshape(graph.add(Relu(y)), shape=(symbol("N"), 100)))
    v = graph.weight("v", rng.normal(0, 0.1, (100, 8)).astype(np.float32))
    c = graph.weight("c", rng.normal(0, 0.1, 8).astype(np.float32))
    y = graph.add(Relu(graph.add(Add(graph.add(Matmul(y, v)), c))))
    last = graph.weight("last", rng.normal(0, 0.5, (8, 5)).astype(np.float32))
    graph.output(graph.add(Matmul(y, last)), "y")
    return graph


def images(seed: int, count: int) -> Array:
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(count, 6, 1, 1)) + 0.5 * rng.normal(size=(count, 6, 5, 5))
    return coarse.astype(np.float32)


CALIBRATION, TEST = images(1, 128), images(2, 200)


def compiled(options: str = "", merge: str = "", **limits: int) -> Compiled:
    passes = default_pipeline().replace("merge-through-cores", f"merge-through-cores{merge}")
    if options:
        passes += f",retrain-units{{{options} enough=0 threads=1}}"
    return compile_model(
        network(),
        target=load_target("cim", limits={**LIMITS, **limits}),
        calibration={"x": CALIBRATION},
        options=Options(passes=passes),
    )


def error_of(found: Compiled) -> float:
    """Return the share of the float output's variance that the units miss on unseen images."""
    wanted = interpret(found.program.module["float"], {"x": TEST})["y"]
    made = run_graph(found.program.module["main"], {"x": TEST})["y"]
    return float(((made - wanted) ** 2).mean() / wanted.var())


@pytest.mark.parametrize("merge", ["", "{signed=pairs}"])
def test_parts_and_merging_units_learn_together(merge: str) -> None:
    plain = error_of(compiled(merge=merge))
    solved = error_of(compiled("method=gptq", merge))
    learned = compiled("steps=60", merge)
    assert solved < 0.5 * plain
    assert error_of(learned) < 0.5 * plain
    assert verify(learned.program.module.main, learned.program.target) == []
    assert not [remark for remark in learned.remarks if remark.kind == "missed"]


def test_units_between_parts_and_the_last_are_left_alone() -> None:
    found = compiled("steps=40", fan_in=4)
    assert verify(found.program.module.main, found.program.target) == []
    assert error_of(found) < error_of(compiled(fan_in=4))
    missed = [remark.value for remark in found.remarks if remark.kind == "missed"]
    assert missed
    assert all(".merge.mvm" in name for name in missed)


@pytest.mark.parametrize("merge", ["", "{signed=pairs}"])
@pytest.mark.parametrize("fan_in", [4, 16])
def test_what_parts_should_make_adds_up_to_what_the_original_makes(merge: str, fan_in: int) -> None:
    graph, teacher = network(), network()
    target = load_target("cim", limits={**LIMITS, "fan_in": fan_in})
    ctx = PassContext(target=target, calibration={"x": CALIBRATION}, teacher=teacher)
    steps = f"calibrate,quantize,lower-units,merge-through-cores{merge}"
    PassManager(steps).run(graph, ctx)
    original = Teacher(teacher)
    lessons = merged_lessons(graph, original, ctx)
    assert len(lessons) == (6 if fan_in == 4 else 4)
    inputs = graph_inputs(teacher, {"x": TEST}, "cpu")
    wanted = [item.sums for item in lessons.values()]
    samples = Samples(teacher, len(TEST), original.extra)
    ops = [*teacher.ops, *original.extra]
    heard = run_ops(ops, inputs, wanted, Run(fast=True), samples)
    for part in [op for op in lessons if op.result.name in ctx.parts]:
        root = next(op for op in lessons if f"{op.result.name[:-4]}.part.mvm" == part.result.name)
        shares = heard[lessons[part].sums] - along(lessons[part].bias, part)
        whole = heard[lessons[root].sums] - along(lessons[root].bias, root)
        slopes = _least_squares(shares, whole, part)
        assert slopes < 1e-4


def along(bias: Array, op: Mvm) -> torch.Tensor:
    return torch.from_numpy(bias).reshape(-1, *(1,) * len(op.kernel))


def _least_squares(shares: torch.Tensor, whole: torch.Tensor, op: Mvm) -> float:
    """Return what of the whole is no sum of shares, relative to it."""
    a, b = (
        (t.movedim(1, -1) if op.kernel else t).reshape(-1, t.shape[1 if op.kernel else -1]).double()
        for t in (shares, whole)
    )
    found = torch.linalg.lstsq(a, b, driver="gelsd").solution
    return float((a @ found - b).norm() / b.norm())
