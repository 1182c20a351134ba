"""Networks over sequences that no recurrent op spells: attention, and steps written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neutrams.driver import Options, compile_model, load_target
from neutrams.driver.compiler import Compiled
from neutrams.frontends.torch import export_module
from neutrams.ir.interpreter import interpret
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.ir.verifier import verify
from neutrams.passes import default_pipeline
from neutrams.simulator import simulate

LIMITS: list[dict[str, int]] = [{}, {"fan-in": 16, "weight-bits": 3, "input-bits": 6}]


class Steps(nn.Module):
    """A GRU whose steps a Python loop writes out."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(6, 10)
        self.out = nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.shape[0], 10)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        made: Tensor = self.out(h)
        return made


class Attention(nn.Module):
    """PyTorch's own layer of a transformer encoder: softmax, layer norms, GELU."""

    def __init__(self) -> None:
        super().__init__()
        options: dict[str, Any] = {"activation": "gelu", "batch_first": True, "norm_first": True}
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, **options)
        self.out = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.out(self.layer(x).mean(1))
        return made


def inputs(kind: type[nn.Module], count: int, seed: int) -> Array:
    shape = (5, 6) if kind is Steps else (7, 16)
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, *shape)).astype(np.float32)


def compiled(kind: type[nn.Module], limits: dict[str, int], retraining: str = "") -> Compiled:
    torch.manual_seed(0)
    data = inputs(kind, 96, 1)
    model = export_module(kind().eval(), (torch.from_numpy(data[:2]),))
    passes = default_pipeline()
    if retraining:
        passes = passes.replace("limit-fan", f"retrain-units{{{retraining} threads=1}},limit-fan")
    return compile_model(
        model,
        target=load_target("cim", None, limits=limits),
        calibration=data,
        options=Options(passes=passes),
    )


def error_of(found: Compiled, kind: type[nn.Module]) -> float:
    """Return the share of the module's variance that the chip misses."""
    torch.manual_seed(0)
    data = inputs(kind, 64, 2)
    main = found.program.module["main"]
    named = {main.inputs[0].name: data}
    (made,) = simulate(found.program, named).outputs.values()
    assert np.array_equal(made, next(iter(interpret(main, named).values())))
    assert verify(main, found.program.target) == []
    wanted = kind().eval()(torch.from_numpy(data)).detach().numpy()
    return float(((made - wanted) ** 2).mean() / wanted.var())


@pytest.mark.parametrize("limits", LIMITS, ids=["wide", "narrow"])
@pytest.mark.parametrize("kind", [Steps, Attention])
def test_products_with_constants_are_on_crossbars(
    kind: type[nn.Module], limits: dict[str, int]
) -> None:
    """Each product with weights is; those of two activations are the digital unit's."""
    plain = compiled(kind, limits)
    units = [op for op in plain.program.module["main"].ops if isinstance(op, Mvm)]
    assert len(units) == (11 if kind is Steps else 5)
    error = error_of(plain, kind)
    assert error < (0.1 if limits else 0.001)
    if limits:
        trained = compiled(kind, limits, "whole=60")
        assert error_of(trained, kind) < 0.8 * error
        texts = [remark.text for remark in trained.remarks if remark.by == "retrain-units"]
        assert not any("no free axis" in text for text in texts)
