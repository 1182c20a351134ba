"""Weights in a file: what the safetensors library writes and reads, without copies."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from neutrams.ir.archive import add_member, map_member
from neutrams.ir.tensor_file import ALIGNMENT, pack, unpack
from neutrams.ir.types import Array, DType


def arrays_of(kinds: list[tuple[DType, list[int]]]) -> dict[str, Array]:
    random = np.random.default_rng(len(kinds))
    return {
        f"w{index}": random.integers(0, 2, shape).astype(kind.numpy)
        for index, (kind, shape) in enumerate(kinds)
    }


KINDS = st.tuples(st.sampled_from(DType), st.lists(st.integers(0, 5), max_size=3))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(KINDS, max_size=5))
def test_reads_and_writes_as_the_library_does(kinds: list[tuple[DType, list[int]]]) -> None:
    arrays = arrays_of(kinds)
    packed = b"".join(pack(arrays))
    for found in (load(packed), unpack(memoryview(packed)), unpack(memoryview(save(arrays)))):
        assert set(found) == set(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)


def test_a_transposed_array_is_written_in_c_order() -> None:
    array = np.arange(6, dtype=np.int16).reshape(2, 3).T
    found = unpack(memoryview(b"".join(pack({"w": array}))))
    np.testing.assert_array_equal(found["w"], array)


WRONG: list[object] = [
    [],
    {"w": 3},
    {"w": {"dtype": "I8", "shape": [2], "data_offsets": [0, 900]}},
    {"w": {"dtype": "I8", "shape": [2], "data_offsets": [-2, 0]}},
    {"w": {"dtype": "I8", "shape": [3], "data_offsets": [0, 2]}},
    {"w": {"dtype": "I8", "shape": [-2, -1], "data_offsets": [0, 2]}},
    {"w": {"dtype": "I8", "shape": [True, 2], "data_offsets": [0, 2]}},
    {"w": {"dtype": "O", "shape": [2], "data_offsets": [0, 2]}},
    {"w": {"dtype": "I64", "shape": [2**70], "data_offsets": [0, 2]}},
]


@pytest.mark.parametrize("header", WRONG)
def test_a_header_that_lies_is_refused(header: object) -> None:
    text = json.dumps(header).encode()
    with pytest.raises(ValueError, match="header"):
        unpack(memoryview(len(text).to_bytes(8, "little") + text + bytes(16)))


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"\xff" * 40, b"\x02" + bytes(7) + b"{"])
def test_what_is_cut_short_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(memoryview(data))


@pytest.mark.parametrize("before", [0, 1, 63, 64])
def test_a_member_begins_where_arrays_may(tmp_path: Path, before: int) -> None:
    arrays = {"b": np.arange(7, dtype=np.int8), "a": np.arange(3.0)}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("first", bytes(before))
        add_member(archive, "weights", pack(arrays))
        add_member(archive, "last", [b"text"])
    with (tmp_path / "a.zip").open("rb") as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        found = unpack(map_member(file, archive.getinfo("weights")))
        assert bytes(map_member(file, archive.getinfo("last"))) == b"text"
    assert found["a"].ctypes.data % ALIGNMENT == 0
    for name, array in arrays.items():
        assert not found[name].flags.owndata
        np.testing.assert_array_equal(found[name], array)
