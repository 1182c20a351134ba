"""`retrain-units` brings integer units nearer to the float network, within the chip's limits."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from neutrams.driver import Options, compile_model, load_target
from neutrams.driver.compiler import Compiled
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Value
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.elementwise import Add
from neutrams.ir.ops.pooling import MaxPool
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.reductions import ReduceMean, Softmax
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.ops.unit import Add as UnitAdd
from neutrams.ir.ops.unit import Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.target import Coding
from neutrams.ir.types import Array, DType, symbol, tensor
from neutrams.ir.verifier import verify
from neutrams.passes import PassContext, PassManager, default_pipeline
from neutrams.training.executor import run_graph
from neutrams.training.losses import Loss
from neutrams.training.noise import Noise
from neutrams.training.run import Run

LEARN = "enough=0 patience=12"
"""Go on learning however near the float network is."""
LIMITS = {"limits.weight_bits": 3, "limits.input_bits": 4, "core.rows": 32}


class Net:
    """A residual network with a depthwise layer, of random weights."""

    def __init__(self, *, classes: bool = False) -> None:
        self.rng = np.random.default_rng(0)
        self.graph = Graph("net")
        n = symbol("N")
        x = self.graph.input("x", tensor(DType.F32, n, 3, 10, 10))
        a = self.conv(x, 3, 8, 3)
        b = self.conv(self.conv(a, 8, 8, 3), 8, 8, 3, relu=False)
        c = self.graph.add(Relu(self.graph.add(Add(a, b))))
        d = self.conv(self.graph.add(MaxPool(c, kernel=(2, 2), strides=(2, 2))), 8, 8, 3, groups=8)
        e = self.graph.add(ReduceMean(self.conv(d, 8, 16, 1), axes=(2, 3), keepdims=True))
        f = self.graph.add(Reshape(e, shape=(n, 16)))
        logits = self.graph.add(Matmul(f, self.weight((16, 5), 16)))
        bias = self.graph.weight("bias", self.rng.normal(size=5).astype(np.float32))
        y = self.graph.add(Add(logits, bias))
        self.graph.output(self.graph.add(Softmax(y, axis=1)) if classes else y, "y")

    def weight(self, shape: tuple[int, ...], fan_in: int) -> Value:
        data = self.rng.normal(size=shape) * np.sqrt(2 / fan_in)
        return self.graph.weight("w", data.astype(np.float32))

    def conv(
        self, x: Value, inputs: int, outputs: int, size: int, *, groups: int = 1, relu: bool = True
    ) -> Value:
        fan_in = inputs // groups * size * size
        w = self.weight((outputs, inputs // groups, size, size), fan_in)
        b = self.graph.weight("b", self.rng.normal(scale=0.2, size=outputs).astype(np.float32))
        pads = (size // 2,) * 4
        value = self.graph.add(Conv(x, w, b, pads=pads, groups=groups))
        return self.graph.add(Relu(value)) if relu else value


def images(seed: int, count: int) -> Array:
    """Return smooth random images."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(count, 3, 5, 5))
    fine = coarse.repeat(2, axis=2).repeat(2, axis=3) + 0.2 * rng.normal(size=(count, 3, 10, 10))
    return fine.astype(np.float32)


CALIBRATION, TEST = images(1, 96), images(2, 200)


@cache
def compiled(
    options: str = "", *, copies: int = 1, classes: bool = False, **limits: Any
) -> Compiled:
    passes = default_pipeline()
    if copies > 1:
        passes = passes.replace("split-fan-in", f"widen-inputs{{copies={copies}}},split-fan-in")
    if options:
        passes += f",retrain-units{{{options} {LEARN} threads=1}},check-accumulators"
    return compile_model(
        Net(classes=classes).graph,
        target=load_target("cim", {**LIMITS, **limits}),
        calibration={"x": CALIBRATION},
        options=Options(passes=passes),
    )


def error_of(found: Compiled) -> float:
    """Return the share of the float output's variance that the units miss on unseen images."""
    wanted = interpret(found.program.module["float"], {"x": TEST})["y"]
    made = run_graph(found.program.module["main"], {"x": TEST})["y"]
    return float(((made - wanted) ** 2).mean() / wanted.var())


def test_each_method_is_nearer_to_the_float_network() -> None:
    plain = error_of(compiled())
    bias = error_of(compiled("method=bias"))
    solved = error_of(compiled("method=gptq"))
    learned = error_of(compiled("whole=60"))
    assert bias < plain
    assert solved < 0.7 * bias
    assert learned < min(0.7 * bias, 1.1 * solved)


def test_what_is_near_enough_is_not_learnt() -> None:
    extra = ",retrain-units{{enough={} whole=12 threads=1}},check-accumulators"
    found = [
        compile_model(
            Net().graph,
            target=load_target("cim", LIMITS),
            calibration={"x": CALIBRATION},
            options=Options(passes=default_pipeline() + extra.format(enough)),
        )
        for enough in (1, 0)
    ]
    near, learned = map(weights, found)
    assert near == weights(compiled("method=gptq"))
    assert near != learned


def test_what_pruning_cut_is_learnt_from_the_network_before_it() -> None:
    """The last round compares with the network as it was given, not with what pruning left."""
    errors = []
    for extra in ("", ",retrain-units{whole=40 samples=128 threads=1}"):
        found = compile_model(
            Net().graph,
            target=load_target("cim", {"core.rows": 32}),
            calibration={"x": CALIBRATION},
            options=Options(passes=default_pipeline(strategy="prune-to-blocks") + extra),
        )
        errors.append(error_of(found))
    assert errors[1] < 0.7 * errors[0]


def test_classes_are_learnt_by_divergence() -> None:
    """A softmax is learnt through: what matters is which classes are likely."""
    found = compiled("whole=60", classes=True)
    assert error_of(found) < 0.5 * error_of(compiled(classes=True))
    assert weights(found) != weights(compiled("whole=60"))


def test_a_divergence_is_that_of_kullback_and_leibler() -> None:
    random = torch.Generator().manual_seed(0)
    made, wanted = torch.randn(2, 6, 4, generator=random)
    p, q = wanted.softmax(dim=1), made.softmax(dim=1)
    assert torch.allclose(Loss(axis=1)(made, wanted), (p * (p / q).log()).sum() / 6)
    assert Loss(axis=1)(wanted + 3, wanted) < 1e-6
    assert Loss(axis=1).size(wanted) == pytest.approx(float(-(p * p.log()).sum() / 6), rel=1e-5)


def test_sums_that_travel_in_more_bits() -> None:
    """Crossbars read as few bits as ever; what digital units read is rounded less."""
    narrow = compiled("whole=20")
    wide = compiled("whole=20", **{"limits.output_bits": 8})
    main = wide.program.module["main"]
    assert verify(main, wide.program.target) == []
    assert max(op.input_bits for op in main.ops if isinstance(op, Mvm)) == 4
    assert max(op.high for op in main.ops if isinstance(op, UnitAdd)) <= 15
    assert max(op.high for op in main.ops if isinstance(op, Rescale)) == 255
    assert error_of(wide) < error_of(narrow)


@pytest.mark.parametrize(
    "options", ["method=adaround steps=40", "method=sgd steps=40", "method=blocks steps=40 whole=0"]
)
def test_other_ways_to_learn(options: str) -> None:
    assert error_of(compiled(options)) < error_of(compiled())


def test_input_from_the_original_is_another_result() -> None:
    a = compiled("method=gptq")
    b = compiled("method=gptq input=original")
    assert weights(a) != weights(b)
    assert error_of(b) < error_of(compiled())


def weights(found: Compiled) -> dict[str, bytes]:
    held = found.program.module["main"].weights.values()
    return {weight.name: weight.data.tobytes() for weight in held if weight.data is not None}


@pytest.mark.parametrize("coding", get_args(Coding))
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_limits_are_obeyed(bits: int, coding: str) -> None:
    flip = {"core.column_flip": coding == "offset"}
    chip: dict[str, Any] = {"limits.weight_bits": bits, "core.coding": coding, **flip}
    found = compiled("whole=5", **chip)
    main = found.program.module["main"]
    assert verify(main, found.program.target) == []
    for op in (op for op in main.ops if isinstance(op, Mvm)):
        held = main.weights[op.w.name].data
        assert held is not None
        assert -(2 ** (bits - 1)) + ("differential" in coding) <= held.min()
        assert held.max() <= 2 ** (bits - 1) - 1


def test_inputs_in_copies_are_finer() -> None:
    fine: dict[str, Any] = {"limits.weight_bits": 8}
    plain, wide = compiled(**fine), compiled(copies=4, **fine)
    assert verify(wide.program.module["main"], wide.program.target) == []
    assert error_of(wide) < error_of(plain)
    assert error_of(compiled("method=gptq", copies=4)) < error_of(compiled("method=gptq"))


def test_a_lossy_converter_is_in_the_loop() -> None:
    lossy: dict[str, Any] = {"core.adc_bits": 4}
    plain, learned = compiled(**lossy), compiled("whole=12 batch=8 samples=48", **lossy)
    assert error_of(learned) < error_of(plain)


def test_same_seed_same_bytes() -> None:
    again = compiled.__wrapped__("whole=12")
    assert weights(compiled("whole=12")) == weights(again)


def test_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    folder = f'whole=12 checkpoints="{tmp_path}"'
    first = compiled(folder)
    kept = sorted(tmp_path.glob("*.safetensors"))
    assert len(kept) > 2
    for path in kept[2:]:
        path.unlink()
    second = compiled.__wrapped__(folder)
    assert weights(first) == weights(second)
    assert sorted(tmp_path.glob("*.safetensors")) == kept
    assert weights(compiled("whole=12")) == weights(first)


@pytest.mark.parametrize("cut", [1, 3, 6])
def test_a_run_that_is_cut_off_goes_on_to_the_same_bytes(tmp_path: Path, cut: int) -> None:
    def run(folder: str, *, stop: int = -1) -> bytes:
        def told(stage: str, done: int, _: int) -> None:
            if (stage, done) == ("retraining", stop):
                raise KeyboardInterrupt

        found = compile_model(
            Net().graph,
            target=load_target("cim", LIMITS),
            calibration={"x": CALIBRATION[:32]},
            options=Options(
                passes=default_pipeline() + ",retrain-units{whole=8 threads=1}",
                checkpoints=folder,
            ),
            progress=told,
        )
        found.program.save(tmp_path / "found.ntp")
        return (tmp_path / "found.ntp").read_bytes()

    folder = str(tmp_path / "kept")
    with pytest.raises(KeyboardInterrupt):
        run(folder, stop=cut)
    assert len(list(Path(folder).iterdir())) == cut
    assert run(folder) == run("")


def test_manifest_says_what_ran() -> None:
    found = compiled("method=gptq").program.manifest["retraining"]
    assert found["threads"] == 1
    assert found["device"] in ("cpu", "cuda")


def test_option_of_the_driver_and_progress() -> None:
    stages: list[tuple[str, int, int]] = []
    found = compile_model(
        Net().graph,
        target=load_target("cim", LIMITS),
        calibration={"x": CALIBRATION[:32]},
        options=Options(retrain="gptq", device="cpu"),
        progress=lambda *told: stages.append(told),
    )
    assert "retrain-units{method=gptq device=cpu}" in found.program.manifest["pipeline"]
    told = [stage for stage in stages if stage[0] == "retraining"]
    assert told[-1][1] == told[-1][2] == len(told)


@pytest.mark.parametrize(
    ("context", "code"),
    [
        ({}, "NT0217"),
        ({"calibration": {"x": CALIBRATION}}, "NT0218"),
        ({"calibration": {"x": CALIBRATION}, "teacher": Net().graph}, "NT0216"),
    ],
)
def test_what_is_missing_is_said(context: dict[str, Any], code: str) -> None:
    main = compiled().program.module["main"]
    with pytest.raises(NeutramsError) as caught:
        PassManager("retrain-units{device=abacus}").run(main, PassContext(**context))
    assert caught.value.diagnostics[0].code == code


def test_retrained_weights_stay_within_the_range_of_the_chip() -> None:
    found = compiled("method=gptq", **{"limits.weight_range": "[-3, 2]"})
    units = [op for op in found.program.module["main"].ops if isinstance(op, Mvm)]
    held = np.concatenate([np.asarray(getattr(op.w, "data", None)).ravel() for op in units])
    assert (held.min(), held.max()) == (-3, 2)


def test_labels_are_learnt_where_asked_for() -> None:
    """Labels that contradict the teacher pull the network away from it."""
    given = {"x": CALIBRATION, "y": np.full(len(CALIBRATION), 3)}

    def share(options: str) -> float:
        found = compile_model(
            Net(classes=True).graph,
            target=load_target("cim", LIMITS),
            calibration=given,
            options=Options(
                passes=f"{default_pipeline()},retrain-units{{{options} {LEARN} threads=1}}"
            ),
        )
        made = run_graph(found.program.module["main"], {"x": TEST})["y"]
        return float((made.argmax(axis=1) == 3).mean())

    assert share("whole=60 labels=true rate=0.02") > share("whole=60 rate=0.02") + 0.1


def test_training_under_noise_makes_a_network_bear_it() -> None:
    noise = Noise(program=0.03, read=0.01, offset=0.25)
    options = "program-noise=0.03 read-noise=0.01 adc-offset=0.25"

    def error_under_noise(found: Compiled) -> float:
        wanted = interpret(found.program.module["float"], {"x": TEST})["y"]
        missed = []
        for seed in range(1, 6):
            run = Run(noise=replace(noise, seed=seed))
            made = run_graph(found.program.module["main"], {"x": TEST}, run)["y"]
            missed.append(((made - wanted) ** 2).mean())
        return float(np.mean(missed) / wanted.var())

    quiet = compiled("whole=80 rate=0.01")
    hardened = compiled(f"whole=80 rate=0.01 {options}")
    assert error_under_noise(hardened) < 0.9 * error_under_noise(quiet)


@pytest.mark.parametrize("labels", [None, np.full(96, 5), np.zeros((96, 5))])
def test_labels_must_be_there_and_fit(labels: Array | None) -> None:
    given = {"x": CALIBRATION} if labels is None else {"x": CALIBRATION, "y": labels}
    with pytest.raises(NeutramsError) as caught:
        compile_model(
            Net().graph,
            target=load_target("cim", LIMITS),
            calibration=given,
            options=Options(passes=default_pipeline() + ",retrain-units{whole=1 labels=true}"),
        )
    assert caught.value.diagnostics[0].code == "NT0223"
