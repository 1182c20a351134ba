"""Numbers in digits, from the command to the chip: exact on every executor, within all limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neutrams.driver import compile, load_target, simulate, verify
from neutrams.driver.digits import InDigits
from neutrams.driver.options import Options, usual_pipeline
from neutrams.driver.resources import resources
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.digits import Digits
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.passes.bits import parse_bits

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WIDE = {"core.rows": 64, "core.adc_bits": 7}
NARROW = WIDE | {f"limits.{what}_bits": 4 for what in ("weight", "input", "output")}


def data(name: str, count: int) -> Array:
    with np.load(EXAMPLES / f"digits_{name}.npz") as found:
        return np.asarray(found["x"][:count], np.float32)


def compiled(target: dict[str, int], **options: Any) -> Program:
    return compile(
        EXAMPLES / "mnist8_cntk.onnx",
        target=load_target("cim", target),
        calibration=data("calibration", 64),
        replicate=False,
        **options,
    )


@pytest.mark.parametrize(
    ("options", "layers", "wide"),
    [
        ({"widen": "digits"}, 1, False),
        ({"widen": "digits:all"}, 3, False),
        ({"widen": "digits:named", "bits": "Plus112_Output_0=8/4,*=4/4"}, 1, False),
        ({"widen": "digits:named", "bits": "*=8/8"}, 3, True),
    ],
)
def test_digits_hold_on_every_executor(options: dict[str, Any], layers: int, wide: bool) -> None:
    program = compiled(NARROW, **options)
    units = [op for op in program.module["main"].ops if isinstance(op, Mvm)]
    assert max(max(op.input_bits, op.weight_bits) for op in units) == 4
    found = verify(program, data("test", 12), retention=0.5)
    assert found.passed, [(link.name, link.state, link.first, link.note) for link in found.links]
    digits = resources(program).digits
    assert digits is not None
    assert digits.layers == layers
    assert digits.crossbars >= digits.crossbars_without
    x = data("test", 5)
    assert same(simulate(program, x).outputs, simulate(program, x, grain="cycle").outputs)
    if wide:
        network = simulate(compiled(WIDE), x).outputs
        (found_outputs,), (expected,) = simulate(program, x).outputs.values(), network.values()
        assert np.abs(found_outputs - expected).max() < 0.02 * np.abs(expected).max()


def same(a: dict[str, Array], b: dict[str, Array]) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in a)


def test_inputs_in_digits_are_those_of_a_wider_chip() -> None:
    """The same integers as on a chip that reads 8 bits at once."""
    program = compiled(NARROW, widen="digits:all")
    assert sum(isinstance(op, Digits) for op in program.module["main"].ops) == 3
    wide = NARROW | {"limits.input_bits": 8, "limits.output_bits": 8}
    wider = compiled(wide, bits="*=4/8")
    x = data("test", 20)
    assert same(simulate(program, x).outputs, simulate(wider, x).outputs)


def quantised(w: Array) -> Graph:
    """A convolution between quantised values, as a model brings it."""
    graph = Graph("net")
    grids = {"x": (0.05, 3), "w": (0.01, 0), "y": (0.2, 0)}
    held = {
        name: (
            graph.weight(f"{name}.scale", np.array(scale, np.float32)),
            graph.weight(f"{name}.zero", np.array(zero, np.int8)),
        )
        for name, (scale, zero) in grids.items()
    }
    x = graph.add(Quantize(graph.input("x", tensor(DType.F32, symbol("N"), 3, 8)), *held["x"]))
    kernel = graph.add(Dequantize(graph.weight("w", w.astype(np.int8)), *held["w"]))
    y = graph.add(Conv(graph.add(Dequantize(x, *held["x"])), kernel, pads=(1, 1)))
    whole = graph.add(Quantize(y, *held["y"]))
    graph.output(graph.add(Dequantize(whole, *held["y"])), "y")
    return graph


def test_a_quantised_network_is_the_same_on_a_narrower_chip() -> None:
    """Weights of 127 take three digits of 4 bits, whose neurons fill one block more."""
    random = np.random.default_rng(3)
    w = random.integers(-128, 128, (32, 3, 3))
    x = (random.standard_normal((9, 3, 8)) * 3).astype(np.float32)
    found = [
        compile(quantised(w), target=load_target("cim", target), calibration=x, widen=widen)
        for target, widen in ((WIDE, 1), (NARROW | {"limits.output_bits": 8}, "digits:named"))
    ]
    assert resources(found[1]).digits == InDigits(layers=1, crossbars=4, crossbars_without=1)
    wide, narrow = (simulate(program, x).outputs for program in found)
    assert same(wide, narrow)


def test_what_is_no_way_to_widen_is_refused() -> None:
    for given in ("bits", "0", "-1", "digits:some", "65"):
        with pytest.raises(NeutramsError, match="NT0549"):
            usual_pipeline(Options(widen=given))


def test_bits_are_chosen_beyond_the_chip_where_digits_pay() -> None:
    program = compiled(NARROW, widen="digits", bits="auto", budget={"loss": 4.0})
    chosen = program.manifest["precision"]
    bits = parse_bits(chosen["bits"])
    assert max(max(each.weights, each.inputs) for each in bits.values()) <= 8
    assert chosen["lost_points"] <= 4.0
    assert chosen["after"]["energy_j"] < chosen["before"]["energy_j"]
    wide = [name for name, each in bits.items() if max(each.weights, each.inputs) > 4]
    digits = resources(program).digits
    assert (digits.layers if digits else 0) == len(wide)


def test_bits_beyond_the_chip_want_digits() -> None:
    with pytest.raises(NeutramsError, match="digits:named"):
        compiled(NARROW, bits="*=4/8")
