"""Files appear whole or not at all; links and devices stay what they are."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from neutrams.driver import check_writable
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.files import atomic_write


def write(path: Path, content: bytes = b"new") -> None:
    check_writable(path)
    with atomic_write(path) as file:
        file.write(content)


def test_a_file_that_is_not_written_to_its_end_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), atomic_write(path) as file:
        file.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_leads_to_what_is_written(tmp_path: Path, there: bool) -> None:
    (tmp_path / "far").mkdir()
    link, path = tmp_path / "link", tmp_path / "far" / "a"
    if there:
        path.write_bytes(b"old")
    link.symlink_to(path)
    write(link)
    assert link.is_symlink()
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes have names")
def test_a_pipe_stays_and_is_written(tmp_path: Path) -> None:
    path, found = tmp_path / "pipe", list[bytes]()
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: found.append(path.read_bytes()))
    reader.start()
    write(path)
    reader.join()
    assert found == [b"new"]
    assert path.is_fifo()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
def test_a_device_that_is_full_is_a_fault_and_stays(tmp_path: Path) -> None:
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    with pytest.raises(NeutramsError, match="NT0020"):
        write(link)
    assert Path("/dev/full").is_char_device()
    assert link.is_symlink()
