"""Program files: whole or absent, equal bytes for equal programs, damage is noticed."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from neutrams import targets
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.files import atomic_write
from neutrams.ir.graph import Graph, Module
from neutrams.ir.program import Program
from neutrams.ir.text import print_module


@pytest.fixture
def program() -> Program:
    graph = Graph("main", "unit")
    data = np.random.default_rng(0).integers(-128, 128, (40, 30)).astype(np.int8)
    graph.output(graph.weight("w", data))
    return Program(Module([graph]), targets.load("cim"), {"seed": 3})


def test_loads_what_was_saved(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "a.ntp")
    again = Program.load(tmp_path / "a.ntp")
    assert print_module(again.module) == print_module(program.module)
    assert again.target.limits == program.target.limits
    assert again.target.costs == program.target.costs
    assert again.manifest == {"seed": 3}


def test_equal_programs_are_equal_bytes(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "a.ntp")
    Program.load(tmp_path / "a.ntp").save(tmp_path / "b.ntp")
    assert (tmp_path / "a.ntp").read_bytes() == (tmp_path / "b.ntp").read_bytes()


def test_any_flipped_byte_of_a_member_is_noticed(program: Program, tmp_path: Path) -> None:
    program.save(tmp_path / "a.ntp")
    with zipfile.ZipFile(tmp_path / "a.ntp") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["weights.safetensors"] = members["weights.safetensors"][:-1] + b"\x55"
    write(members, tmp_path / "b.ntp")
    with pytest.raises(NeutramsError, match="SHA-256"):
        Program.load(tmp_path / "b.ntp")


def test_any_changed_letter_of_the_manifest_is_noticed(program: Program, tmp_path: Path) -> None:
    parts = program.members()
    parts["manifest.json"] = parts["manifest.json"].replace(b'"seed": 3', b'"seed": 2')
    write(parts, tmp_path / "a.ntp")
    with pytest.raises(NeutramsError, match=r"manifest.json does not match its SHA-256"):
        Program.load(tmp_path / "a.ntp")


def write(parts: dict[str, bytes], path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("place", [6, 8, 10, 20, 24, 28, 30, 32, 42, 45])
@pytest.mark.parametrize("member", [0, 1, -1])
def test_any_flipped_bit_of_the_directory_is_noticed_or_harmless(
    program: Program, tmp_path: Path, member: int, place: int
) -> None:
    """Sizes, offsets, and bits that say that a member is encrypted, or of a later version."""
    program.save(tmp_path / "a.ntp")
    content, starts = (tmp_path / "a.ntp").read_bytes(), list[int]()
    while (start := content.find(b"PK\1\2", starts[-1] + 1 if starts else 0)) >= 0:
        starts.append(start)
    for bit in range(16):
        flipped = bytearray(content)
        flipped[starts[member] + place + bit // 8] ^= 1 << bit % 8
        (tmp_path / "b.ntp").write_bytes(flipped)
        assert outcome(tmp_path / "b.ntp") in ("NT0021", program.members())


def outcome(path: Path) -> object:
    """Return what a file holds, or the code of why it is refused."""
    try:
        return Program.load(path).members()
    except NeutramsError as fault:
        return fault.diagnostics[0].code


def test_weights_whose_hash_the_manifest_lacks_are_held_to_the_text(
    program: Program, tmp_path: Path
) -> None:
    parts = program.members()
    manifest = json.loads(parts["manifest.json"])
    del manifest["sha256"]
    parts["manifest.json"] = json.dumps(manifest).encode()
    parts["weights.safetensors"] = parts["weights.safetensors"][:-1] + b"\x55"
    write(parts, tmp_path / "a.ntp")
    with pytest.raises(NeutramsError, match="NT0007"):
        Program.load(tmp_path / "a.ntp")


@pytest.mark.parametrize("keep", [0, 10, 1000])
def test_truncated_files_are_refused(program: Program, tmp_path: Path, keep: int) -> None:
    program.save(tmp_path / "a.ntp")
    (tmp_path / "b.ntp").write_bytes((tmp_path / "a.ntp").read_bytes()[:keep])
    with pytest.raises(NeutramsError, match="not a whole neutrams program"):
        Program.load(tmp_path / "b.ntp")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with atomic_write(tmp_path / "x") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_named(program: Program, tmp_path: Path) -> None:
    with pytest.raises(NeutramsError, match="cannot write"):
        program.save(tmp_path / "missing" / "a.ntp")


@pytest.mark.parametrize("change", ["lack", "extra"])
def test_a_chip_of_another_version_is_refused(
    program: Program, tmp_path: Path, change: str
) -> None:
    parts = program.members()
    chip = json.loads(parts["target.json"])
    if change == "lack":
        del chip["machine"]["core"]["rows"]
    else:
        chip["machine"]["core"]["colour"] = 3
    parts["target.json"] = json.dumps(chip).encode()
    manifest = json.loads(parts["manifest.json"])
    manifest["sha256"]["target.json"] = hashlib.sha256(parts["target.json"]).hexdigest()
    parts["manifest.json"] = json.dumps(manifest).encode()
    write(parts, tmp_path / "a.ntp")
    with pytest.raises(NeutramsError, match="NT0021") as fault:
        Program.load(tmp_path / "a.ntp")
    assert "compile it again" in str(fault.value)
