"""Torch modules import through their ONNX export, and mean what torch computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neutrams.frontends import load_model
from neutrams.ir.diagnostics import Diagnostic
from neutrams.ir.interpreter import interpret

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")


def network() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Dropout(),
        torch.nn.Linear(4 * 4 * 4, 10),
    )


class TwoInputs(torch.nn.Module):  # type: ignore[misc,name-defined]
    """Adds its second input, turned into a row, to its first."""

    def forward(self, first: Any, second: Any) -> Any:
        return first + second.reshape(second.shape[0], -1)


class DataDecides(torch.nn.Module):  # type: ignore[misc,name-defined]
    """Cannot be traced: which way it goes depends on data."""

    def forward(self, x: Any) -> Any:
        return x if x.sum() > 0 else -x


def agree(module: Any, *arrays: Any) -> None:
    graph = load_model(module, examples=tuple(array[:1] for array in arrays))
    assert [value.type.shape[0] for value in graph.inputs] == [
        graph.outputs[0].type.shape[0]
    ] * len(arrays)
    found = interpret(graph, {v.name: a for v, a in zip(graph.inputs, arrays, strict=True)})
    module.eval()
    with torch.no_grad():
        wanted = module(*map(torch.as_tensor, arrays)).numpy()
    np.testing.assert_allclose(next(iter(found.values())), wanted, rtol=1e-4, atol=1e-5)


def test_a_convolutional_network() -> None:
    agree(network(), np.random.default_rng(0).normal(size=(3, 1, 8, 8)).astype(np.float32))


def test_a_recurrent_network() -> None:
    torch.manual_seed(0)

    class Recurrent(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(6, 5, batch_first=True)
            self.head = torch.nn.Linear(5, 3)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(x)[0][:, -1])

    agree(Recurrent(), np.random.default_rng(0).normal(size=(3, 7, 6)).astype(np.float32))


def test_attention() -> None:
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    agree(layer, np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32))


def test_two_inputs_are_matched_by_name() -> None:
    random = np.random.default_rng(0)
    arrays = {
        "second": random.normal(size=(1, 2, 3)).astype(np.float32),
        "first": random.normal(size=(1, 6)).astype(np.float32),
    }
    graph = load_model(TwoInputs(), examples=arrays)
    assert [value.name for value in graph.inputs] == ["first", "second"]
    found = interpret(graph, arrays)
    wanted = arrays["first"] + arrays["second"].reshape(1, 6)
    assert np.allclose(next(iter(found.values())), wanted)


def test_the_batch_is_open(capfd: pytest.CaptureFixture[str]) -> None:
    remarks: list[Diagnostic] = []
    load_model(network(), examples=np.zeros((1, 1, 8, 8), np.float32), remarks=remarks)
    assert "samples are independent" in remarks[0].message
    assert capfd.readouterr() == ("", "")


def test_the_mode_of_a_module_is_kept() -> None:
    module = network().train()
    module[1].eval()
    load_model(module, examples=np.zeros((1, 1, 8, 8), np.float32))
    assert module.training
    assert not module[1].training


def test_an_example_is_needed(fault: Any) -> None:
    found = fault(lambda: load_model(network()))
    assert found.code == "NT0615"
    assert "examples=" in found.render()


def test_a_module_that_cannot_be_traced(fault: Any) -> None:
    found = fault(lambda: load_model(DataDecides(), examples=np.ones((1, 3), np.float32)))
    assert found.code == "NT0615"
    assert "`DataDecides`" in found.message


def test_an_example_of_the_wrong_shape(fault: Any) -> None:
    found = fault(lambda: load_model(network(), examples=np.zeros((1, 3), np.float32)))
    assert found.code == "NT0615"


def test_a_missing_exporter_is_named(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = fault(lambda: load_model(network(), examples=np.zeros((1, 1, 8, 8), np.float32)))
    assert found.code == "NT0615"
    assert "pip install onnxscript" in found.render()
