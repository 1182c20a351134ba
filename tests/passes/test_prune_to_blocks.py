"""Pruning to diagonal blocks: what is kept, that nothing else changes, that limits are obeyed."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value
from neutrams.ir.ops.activations import LeakyRelu, Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.indexing import Gather
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, Dim, DType, symbol, tensor
from neutrams.ir.verifier import verify
from neutrams.ir.windows import patches
from neutrams.passes import PassContext, PassManager
from neutrams.passes.grouping import Grouping, exchange, group
from neutrams.passes.prune_to_blocks import PruneToBlocks, group_count
from neutrams.targets import load

PUBLISHED = {
    (784, 50): (0.38, 0.40),
    (784, 300): (0.36, 0.37),
    (512, 512): (0.52, 0.53),
    (1024, 256): (0.28, 0.29),
}
"""Share of |w| kept for Gaussian and Laplace weights at size 256, by the search of 2016."""


def weights(shape: tuple[int, int], kind: str) -> Array:
    random = np.random.default_rng(1)
    return random.laplace(size=shape) if kind == "laplace" else random.normal(size=shape)


def mask_of(found: Grouping, shape: tuple[int, int]) -> Array:
    mask = np.zeros(shape, bool)
    for rows, columns in zip(found.rows, found.columns, strict=True):
        mask[np.ix_(rows, columns)] = True
    return mask


@pytest.mark.parametrize("kind", ["gauss", "laplace"])
@pytest.mark.parametrize("shape", PUBLISHED)
def test_at_least_the_published_magnitude_is_kept(shape: tuple[int, int], kind: str) -> None:
    mass = np.abs(weights(shape, kind))
    found = group(mass, group_count(*shape, 256, 256), rows=256)
    assert found.kept >= PUBLISHED[shape][kind == "laplace"]
    assert found.kept == pytest.approx(mass[mask_of(found, shape)].sum() / mass.sum(), abs=1e-3)


def test_a_layer_of_784_by_300_takes_less_than_two_seconds() -> None:
    mass = np.abs(weights((784, 300), "gauss"))
    started = time.perf_counter()
    group(mass, 4, rows=256)
    assert time.perf_counter() - started < 2


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.booleans(), st.integers(0, 99)
)
def test_groups_are_balanced_and_none_is_empty(
    height: int, width: int, groups: int, share: bool, seed: int
) -> None:
    groups = min(groups, height, width)
    rows = -(-height // groups)
    mass = np.random.default_rng(seed).exponential(size=(height, width))
    found = group(mass, groups, rows=rows, share=share, seed=seed, climbs=6)
    assert found.groups == groups
    sizes = {len(columns) for columns in found.columns}
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1
    np.testing.assert_array_equal(np.sort(np.concatenate(found.columns)), np.arange(width))
    tall = {len(members) for members in found.rows}
    assert max(tall) <= rows
    if share:
        assert tall == {rows}
        return
    assert max(tall) - min(tall) <= 1
    np.testing.assert_array_equal(np.sort(np.concatenate(found.rows)), np.arange(height))


def test_the_search_gains_on_its_start_and_repeats() -> None:
    mass = np.abs(weights((120, 60), "laplace"))
    first, again = (group(mass, 5, rows=24, share=False, seed=3) for _ in range(2))
    assert first.kept == again.kept
    for a, b in zip((*first.rows, *first.columns), (*again.rows, *again.columns), strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.kept > 0.25


def test_planted_blocks_are_found() -> None:
    """A matrix of diagonal blocks whose rows and columns were shuffled is put in order."""
    random = np.random.default_rng(5)
    rows, columns = random.permutation(np.arange(40) % 4), random.permutation(np.arange(24) % 4)
    mass = (rows[:, None] == columns[None, :]) + 0.01 * random.random((40, 24))
    for share in (False, True):
        found = group(mass, 4, rows=10, share=share)
        assert mask_of(found, mass.shape)[rows[:, None] == columns[None, :]].all()


def test_no_exchange_of_two_items_is_left() -> None:
    worth = np.random.default_rng(2).integers(0, 1000, (17, 3))
    of = exchange(worth, np.arange(17) % 3)
    assert sorted(np.bincount(of)) == [5, 6, 6]
    for i in range(17):
        for j in range(17):
            now = worth[i, of[i]] + worth[j, of[j]]
            assert worth[i, of[j]] + worth[j, of[i]] <= now


def product_net(rank: int, sizes: tuple[int, ...]) -> tuple[Graph, list[Array]]:
    """Matrix products with biases and activations on ``[N, ..., K]``."""
    random = np.random.default_rng(7)
    graph = Graph("net")
    lead: tuple[Dim, ...] = (symbol("N"), *[2] * (rank - 2))
    value = graph.input("x", tensor(DType.F32, *lead, sizes[0]))
    matrices = []
    for index, (k, m) in enumerate(pairwise(sizes)):
        w = random.normal(size=(k, m)).astype(np.float32)
        b = random.normal(size=m).astype(np.float32)
        matrices.append(w)
        value = graph.add(Matmul(value, graph.weight("w", w)), name=f"h{index}")
        value = graph.add(Add(value, graph.weight("b", b)), name=f"s{index}")
        value = graph.add(Relu(value) if index else LeakyRelu(value, alpha=0.1), name=f"r{index}")
    graph.output(value, "y")
    return graph, matrices


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("rank", [2, 3, 4])
def test_it_means_the_masked_matrices(rank: int, share: bool) -> None:
    graph, matrices = product_net(rank, (50, 33, 19))
    x = np.random.default_rng(0).normal(size=(6, *(2,) * (rank - 2), 50)).astype(np.float32)
    masked, _ = product_net(rank, (50, 33, 19))
    for op, w in zip([op for op in masked.ops if isinstance(op, Matmul)], matrices, strict=True):
        count = group_count(w.shape[0], w.shape[1], 16, 12)
        found = group(np.abs(w), count, rows=16, share=share, climbs=8)
        assert isinstance(op.b, Value)
        held = masked.weight("masked", np.where(mask_of(found, w.shape), w, 0))
        masked.replace(op, Matmul(op.a, held))
    made = PruneToBlocks(rows=16, neurons=12, share=share, climbs=8)
    assert PassManager([made]).run(graph, PassContext())
    assert not any(isinstance(op, Matmul) for op in graph.ops)
    wanted = interpret(masked, {"x": x})["y"]
    np.testing.assert_allclose(interpret(graph, {"x": x})["y"], wanted, rtol=1e-4, atol=1e-4)


def conv_net(groups: int = 1) -> Graph:
    random = np.random.default_rng(3)
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 12, 6, 5))
    w = random.normal(size=(20, 12 // groups, 3, 3)).astype(np.float32)
    b = random.normal(size=20).astype(np.float32)
    made = Conv(x, graph.weight("w", w), graph.weight("b", b), strides=(2, 1), pads=(1, 0, 1, 2),
                groups=groups)  # fmt: skip
    graph.output(graph.add(Relu(graph.add(made, name="c")), name="r"), "y")
    return graph


def test_a_convolution_keeps_whole_channels() -> None:
    graph, x = conv_net(), np.random.default_rng(0).normal(size=(3, 12, 6, 5)).astype(np.float32)
    masked = conv_net()
    conv = masked.ops[0]
    assert isinstance(conv, Conv)
    w = masked.weights["w"].data
    assert w is not None
    found = group(np.abs(w).sum(axis=(2, 3)).T, 4, rows=3)
    kept = mask_of(found, (12, 20)).T[:, :, None, None]
    masked.weights["w"].data = np.where(kept, w, 0)
    assert PassManager("prune-to-blocks{rows=30 neurons=8}").run(graph, PassContext())
    pruned = next(op for op in graph.ops if isinstance(op, Conv))
    assert pruned.groups == 4
    wanted = interpret(masked, {"x": x})["y"]
    np.testing.assert_allclose(interpret(graph, {"x": x})["y"], wanted, rtol=1e-4, atol=1e-4)


def test_a_residual_sum_stays_behind_the_gather() -> None:
    """Another tensor that is added keeps its own order of channels."""
    random = np.random.default_rng(2)
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 20, 6, 5))
    held = random.normal(size=(20, 20, 3, 3)).astype(np.float32)
    made = graph.add(Conv(x, graph.weight("w", held), pads=(1, 1, 1, 1)))
    graph.output(graph.add(Relu(graph.add(Add(x, made)))), "y")
    assert PassManager("prune-to-blocks{rows=64 neurons=8}").run(graph, PassContext())
    found = group(np.abs(held).sum(axis=(2, 3)).T, 3, rows=7)
    kept = mask_of(found, (20, 20)).T[:, :, None, None]
    data = random.normal(size=(3, 20, 6, 5)).astype(np.float32)
    seen = patches(data, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1))
    masked = np.where(kept, held, 0)
    sums = np.einsum("ncijyx,ocij->noyx", seen.reshape(3, 20, 3, 3, 6, 5), masked)
    found_y = interpret(graph, {"x": data})["y"]
    np.testing.assert_allclose(found_y, np.maximum(data + sums, 0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("graph", "options", "says"),
    [
        (conv_net(), "rows=30 neurons=8 convolutions=false", "to be split"),
        (conv_net(groups=2), "rows=30 neurons=8", "grouped already"),
        (conv_net(), "rows=8 neurons=8", "one channel alone"),
        (product_net(2, (50, 3))[0], "rows=10 neurons=8", "fewer than the blocks"),
    ],
)
def test_what_is_left_alone_is_remarked(graph: Graph, options: str, says: str) -> None:
    ctx = PassContext()
    assert not PassManager(f"prune-to-blocks{{{options}}}").run(graph, ctx)
    assert says in ctx.remarks[0].text
    assert ctx.remarks[0].kind == "missed"


def test_what_fits_is_left_alone_silently() -> None:
    graph, _ = product_net(2, (50, 300))
    ctx = PassContext()
    assert not PassManager("prune-to-blocks{rows=50 neurons=8}").run(graph, ctx)
    assert not ctx.remarks


def test_gathers_between_two_products_become_one() -> None:
    graph, _ = product_net(2, (50, 33, 19))
    PassManager("prune-to-blocks{rows=16 neurons=12}").run(graph, PassContext())
    assert sum(isinstance(op, Gather) for op in graph.ops) == 3
    assert not verify(graph)


def test_no_partial_sum_is_left_after_lowering() -> None:
    target = load("cim", limits={"fan-in": 32, "neurons": 16})
    graph, _ = product_net(2, (100, 70, 40))
    x = np.random.default_rng(0).normal(size=(64, 100)).astype(np.float32)
    ctx = PassContext(target=target, calibration={"x": x})
    PassManager("canonicalise,prune-to-blocks").run(graph, ctx)
    before = interpret(graph, {"x": x})["y"]
    PassManager("calibrate,quantize,lower-units,split-fan-in").run(graph, ctx)
    units = [op for op in graph.ops if isinstance(op, Mvm)]
    assert [unit.splits for unit in units] == [1, 1]
    assert sum(len(unit.table()) for unit in units) == 5 + 3
    assert not verify(graph, target)
    after = interpret(graph, {"x": x})["y"]
    assert np.sqrt(((after - before) ** 2).mean() / (before**2).mean()) < 0.03


@pytest.mark.parametrize("image", [False, True])
def test_refitting_recovers_what_the_inputs_that_are_left_can_say(image: bool) -> None:
    """Inputs of few dimensions can be told from any half of them, so nothing need be lost."""
    random = np.random.default_rng(4)
    mixed = random.normal(size=(4, 12 if image else 50))
    shape = (40, 6, 5, 4) if image else (200, 4)
    x = np.asarray(random.normal(size=shape) @ mixed, np.float32)
    x = np.moveaxis(x, -1, 1) if image else x
    graph, plain = (conv_net() if image else product_net(2, (50, 33))[0] for _ in range(2))
    wanted = interpret(graph, {"x": x})["y"]
    sizes = "rows=54 neurons=8" if image else "rows=16 neurons=12"
    ctx = PassContext(calibration={"x": x[::2]})
    PassManager(f"prune-to-blocks{{{sizes} refit=true}}").run(graph, ctx)
    PassManager(f"prune-to-blocks{{{sizes}}}").run(plain, ctx)
    assert "refitted" in ctx.remarks[0].text
    errors = [
        np.sqrt(((interpret(g, {"x": x[1::2]})["y"] - wanted[1::2]) ** 2).mean() / wanted.var())
        for g in (graph, plain)
    ]
    assert errors[0] < 0.05
    assert errors[1] > 5 * errors[0]


def test_refitting_serves_samples_that_were_not_seen() -> None:
    random = np.random.default_rng(6)
    x = (random.normal(size=(400, 10)) @ random.normal(size=(10, 50))).astype(np.float32)
    errors = {}
    for options in ("refit=true", "refit=false"):
        graph, _ = product_net(2, (50, 40, 20))
        wanted = interpret(graph, {"x": x})["y"]
        made = f"prune-to-blocks{{rows=20 neurons=20 {options}}}"
        PassManager(made).run(graph, PassContext(calibration={"x": x[:300]}))
        found = interpret(graph, {"x": x[300:]})["y"]
        errors[options] = float(((found - wanted[300:]) ** 2).mean())
    assert errors["refit=true"] < 0.3 * errors["refit=false"]
