"""Weights in files beside a model: read from its own folder, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from neutrams.frontends import load_model
from neutrams.ir.diagnostics import Diagnostic

Fault = Callable[[Callable[[], object]], Diagnostic]


def matmul(*weights: TensorProto) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(weights),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def file(folder: Path, proto: onnx.ModelProto) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def external(location: str, **entries: object) -> TensorProto:
    weight = TensorProto(name="w", dims=(4, 2), data_type=TensorProto.FLOAT)
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=str(value))
    return weight


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    data = np.arange(8, dtype=np.float32)
    (tmp_path / "weights.bin").write_bytes(b"skip" + data.tobytes())
    path = file(tmp_path, matmul(external("weights.bin", offset=4, length=32)))
    graph = load_model(path)
    found = graph.weights["w"].data
    assert found is not None
    assert np.array_equal(found, data.reshape(4, 2))


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "a/../../secret.bin",
    "..\\secret.bin", "C:\\secret.bin", "link.bin", "folder/secret.bin", ""])  # fmt: skip
def test_external_data_outside_the_folder_is_never_opened(
    location: str, tmp_path: Path, fault: Fault
) -> None:
    inside = tmp_path / "model"
    inside.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(32))
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    (inside / "folder").symlink_to(tmp_path)
    path = file(inside, matmul(external(location)))
    found = fault(lambda: load_model(path))
    assert found.code == "NT0602"
    assert "outside the model's folder" in found.message
    assert "tensor w" in found.render()


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ({"length": 16}, "NT0603"),
        ({"offset": 64}, "NT0602"),
        ({"offset": -4}, "NT0602"),
        ({"length": "many"}, "NT0602"),
        ({"offset": 10**30}, "NT0602"),
    ],
)
def test_external_data_that_is_not_there(
    entries: dict[str, Any], code: str, tmp_path: Path, fault: Fault
) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(32))
    path = file(tmp_path, matmul(external("weights.bin", **entries)))
    assert fault(lambda: load_model(path)).code == code


def test_external_data_of_a_missing_file(tmp_path: Path, fault: Fault) -> None:
    path = file(tmp_path, matmul(external("weights.bin")))
    found = fault(lambda: load_model(path))
    assert found.code == "NT0602"
    assert "weights.bin" in found.message


def test_external_data_of_a_model_in_memory(fault: Fault) -> None:
    assert fault(lambda: load_model(matmul(external("weights.bin")))).code == "NT0602"


def test_one_stored_file_cannot_be_declared_a_thousand_times(
    tmp_path: Path, fault: Fault, at_most: Any
) -> None:
    size = 1 << 22
    with (tmp_path / "w.bin").open("wb") as stream:
        stream.truncate(size)
    weights = [external("w.bin", length=size) for _ in range(2000)]
    for index, weight in enumerate(weights):
        weight.name, weight.dims[:] = f"w{index}", (size // 4,)
    path = file(tmp_path, matmul(*weights))
    with at_most(100):
        found = fault(lambda: load_model(path))
    assert found.code == "NT0604"
