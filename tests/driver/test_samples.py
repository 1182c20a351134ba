from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neutrams.driver.preprocess import Preprocess
from neutrams.driver.samples import load_samples
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.types import Array, DType, symbol, tensor


def one_input(dtype: DType = DType.F32) -> Graph:
    graph = Graph("net")
    graph.input("image", tensor(dtype, symbol("N"), 3, 4, 4))
    return graph


def codes(fault: pytest.ExceptionInfo[NeutramsError]) -> list[str]:
    return [diagnostic.code for diagnostic in fault.value.diagnostics]


def saved(folder: Path, **arrays: Array) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_x_stands_for_the_only_input(tmp_path: Path) -> None:
    x = np.arange(96, dtype=np.uint8).reshape(2, 3, 4, 4)
    found = load_samples(saved(tmp_path, x=x, y=np.array([1, 0])), one_input())
    assert found.count == 2
    assert found.inputs["image"].dtype == np.float32
    np.testing.assert_array_equal(found.inputs["image"], x)
    assert found.labels is not None
    assert found.labels.tolist() == [1, 0]


def test_inputs_by_name_and_a_limit() -> None:
    graph = one_input()
    graph.input("state", tensor(DType.I64, symbol("N"), 2))
    arrays: dict[str, Array] = {"image": np.ones((5, 3, 4, 4)), "state": np.ones((5, 2), np.int32)}
    found = load_samples(arrays, graph, limit=3, labels=np.arange(5))
    assert {name: len(array) for name, array in found.inputs.items()} == {"image": 3, "state": 3}
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({"y": np.zeros(3)}, "NT0521"),
        ({"x": np.zeros((2, 3, 4, 5))}, "NT0522"),
        ({"x": np.zeros((2, 4, 4, 3))}, "NT0522"),
        ({"x": np.zeros((3, 4, 4))}, "NT0522"),
        ({"x": np.array([["text"]])}, "NT0522"),
        ({"x": np.zeros((2, 3, 4, 4), complex)}, "NT0523"),
        ({"x": np.zeros((0, 3, 4, 4))}, "NT0524"),
        ({"x": np.array(1.0)}, "NT0524"),
        ({"x": np.zeros((2, 3, 4, 4)), "y": np.zeros(3)}, "NT0525"),
        ({"x": np.full((2, 3, 4, 4), np.nan)}, "NT0529"),
    ],
)
def test_bad_arrays_are_located(tmp_path: Path, arrays: dict[str, Array], code: str) -> None:
    path = saved(tmp_path, **arrays)
    with pytest.raises(NeutramsError) as fault:
        load_samples(path, one_input())
    assert codes(fault)[0] == code
    assert str(path) in str(fault.value)


def test_fractions_do_not_serve_integers() -> None:
    with pytest.raises(NeutramsError) as fault:
        load_samples(np.zeros((1, 3, 4, 4), np.float32), one_input(DType.I8))
    assert codes(fault) == ["NT0523"]


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(NeutramsError) as fault:
        load_samples(np.zeros((1, 9), complex), one_input())
    assert codes(fault) == ["NT0522", "NT0523"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"{}", b"\x93NUMPY"])
def test_a_file_that_is_no_npz(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(NeutramsError) as fault:
        load_samples(path, one_input())
    assert codes(fault) == ["NT0520"]


def test_a_file_of_another_kind_is_not_called_objects(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_text("x,y\n1,2\n")
    with pytest.raises(NeutramsError, match="no file of NumPy's"):
        load_samples(tmp_path / "data.npz", one_input())


def test_python_objects_are_not_loaded(tmp_path: Path) -> None:
    path = saved(tmp_path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(NeutramsError, match="never loaded") as fault:
        load_samples(path, one_input())
    assert codes(fault) == ["NT0520"]


@pytest.mark.parametrize("place", [6, 8, 10])
def test_a_flipped_bit_in_the_directory_is_told(tmp_path: Path, place: int) -> None:
    """One that asks for a later version, says that a member is encrypted, or otherwise packed."""
    path = saved(tmp_path, x=np.zeros((1, 3, 4, 4), np.float32))
    content = bytearray(path.read_bytes())
    content[content.find(b"PK\1\2") + place] ^= 0x40 if place == 6 else 1
    path.write_bytes(content)
    with pytest.raises(NeutramsError, match="NT0520"):
        load_samples(path, one_input())


def test_a_missing_file_and_a_bare_array(tmp_path: Path) -> None:
    with pytest.raises(NeutramsError, match="no such sample file"):
        load_samples(tmp_path / "none.npz", one_input())
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(NeutramsError, match="single array"):
        load_samples(tmp_path / "x.npy", one_input())


def test_preprocessing_comes_before_the_check() -> None:
    x = np.full((2, 4, 4, 3), 255, np.uint8)
    steps = Preprocess.parse("layout=nhwc,scale=1/255,mean=0:0.5:1,std=0.5")
    found = load_samples(x, one_input(), preprocess=steps).inputs["image"]
    assert found.shape == (2, 3, 4, 4)
    np.testing.assert_allclose(found[0, :, 0, 0], [2, 1, 0], atol=1e-6)
