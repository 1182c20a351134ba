"""Inputs made up for want of data: as stored statistics, or the preprocessing, say."""

from __future__ import annotations

import numpy as np
import pytest

import neutrams
from neutrams.driver import Options, compile_model
from neutrams.driver.preprocess import Preprocess
from neutrams.driver.synthesis import Synthesis
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.normalization import BatchNorm
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.passes import default_pipeline
from neutrams.targets import load

CHIP = load("cim")


def images(count: int) -> Array:
    """Pixels whose mean and deviation no standard normal input has."""
    random = np.random.default_rng(3)
    return random.normal(90, 40, (count, 2, 6, 6)).clip(0, 255).astype(np.float32)


def network(*, stored: bool = True) -> Graph:
    """Two convolutions; with batch norms that store what they saw of :func:`images`, or without."""
    random, graph, data = np.random.default_rng(0), Graph("net"), images(256)
    value = graph.input("x", tensor(DType.F32, symbol("N"), 2, 6, 6))
    for channels in (2, 4):
        w = random.normal(size=(4, channels, 3, 3)).astype(np.float32)
        value = graph.add(Conv(value, graph.weight("w", w), pads=(1, 1, 1, 1)))
        if stored:
            seen = seen_at(graph, value, data)
            numbers = (np.ones(4), np.zeros(4), seen.mean((0, 2, 3)), seen.var((0, 2, 3)))
            scale, bias, mean, variance = (
                graph.weight("s", number.astype(np.float32)) for number in numbers
            )
            value = graph.add(BatchNorm(value, scale, bias, mean, variance))
        value = graph.add(Relu(value))
    graph.output(value, "y")
    return graph


def seen_at(graph: Graph, value: Value, data: Array) -> Array:
    graph.output(value, "y")
    found = interpret(graph, {"x": data})["y"]
    graph.outputs, graph.output_names = [], []
    return found


def error_without_data(graph: Graph, preprocess: str = "", **options: object) -> float:
    """Return the error on real images of a program that was compiled without any."""
    program = neutrams.compile(graph, preprocess=preprocess or None, **options)  # type: ignore[arg-type]
    found = neutrams.simulate(program, images(64)).relative_error
    assert found is not None
    return found


def test_stored_statistics_serve_nearly_as_well_as_data() -> None:
    real = neutrams.simulate(neutrams.compile(network(), calibration=images(256)), images(64))
    assert real.relative_error is not None
    made_up = error_without_data(network())
    assert made_up < 2 * real.relative_error
    assert error_without_data(network(stored=False)) > 10 * made_up
    assert error_without_data(network(stored=False), "range=0:255") < 2 * real.relative_error


def test_inputs_are_the_same_for_the_same_seed() -> None:
    first, second, other = (
        Synthesis.plan(network(), Preprocess(), seed=seed).make()["x"] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    assert 40 < first.mean() < 140


def test_inputs_stay_within_a_declared_range() -> None:
    steps = Preprocess.parse("range=0:100")
    made = Synthesis.plan(network(), steps, seed=0).make()["x"]
    assert (made.min(), made.max()) == (0, 100)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("", None),
        ("scale=2", None),
        ("scale=1/255", (0, 1)),
        ("range=0:255", (0, 255)),
        ("range=-1:1,scale=-2", (-2, 2)),
        ("mean=0.5,std=0.25", (-2, 2)),
        ("mean=127.5,std=127.5", (-1, 1)),
        ("scale=1/255,mean=0.5:0.25:0,std=0.5", (-1, 2)),
    ],
)
def test_preprocessing_says_what_inputs_lie_within(
    text: str, ends: tuple[float, float] | None
) -> None:
    found = Preprocess.parse(text).result_range()
    assert found == (None if ends is None else pytest.approx(ends))


@pytest.mark.parametrize("text", ["range=1", "range=2:1", "range=0:1:2"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(NeutramsError, match="NT0527"):
        Preprocess.parse(text)


def test_a_warning_and_the_manifest_say_how_inputs_were_made_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compiled(graph: Graph, preprocess: str = "") -> tuple[str, str]:
        steps = Preprocess.parse(preprocess)
        made = compile_model(graph, target=CHIP, preprocess=steps, options=Options())
        (told,) = (d for d in made.warnings if d.code == "NT0540")
        return made.program.manifest["synthetic"]["method"], told.render()

    method, text = compiled(network())
    assert method == "batch-norm statistics"
    assert "batch norms store" in text
    monkeypatch.setattr("neutrams.driver.synthesis.find_spec", lambda name: None)
    method, text = compiled(network())
    assert method == "normal"
    assert "torch is missing" in text
    method, text = compiled(network(stored=False), "scale=1/255")
    assert method == "range"
    assert "torch is missing" not in text


def test_units_are_retrained_on_inputs_that_were_made_up() -> None:
    limits = {"weight-bits": 3}
    without = error_without_data(network(), limits=limits)
    solved = "retrain-units{method=gptq samples=64}"
    passes = default_pipeline(retrain=True).replace("retrain-units", solved)
    assert error_without_data(network(), limits=limits, passes=passes) < without
