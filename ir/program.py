"""A compiled program: what the simulator loads, in one file.

The file is a ZIP archive, uncompressed, without pickles:

    program.nt            the module in text form
    weights.safetensors   its larger arrays, by the keys the text names; where a map of the file
                          may be used as it is
    target.json           the resolved target
    manifest.json         format, versions, options, and the SHA-256 of each member (its own is
                          that of what is left of it without them)
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neutrams.ir.archive import add_member, map_member
from neutrams.ir.diagnostics import NeutramsError, Place, error
from neutrams.ir.files import atomic_write
from neutrams.ir.graph import Module
from neutrams.ir.target import (
    ALL,
    Component,
    Core,
    CoreKind,
    Limits,
    Machine,
    Network,
    Range,
    Target,
    Tile,
)
from neutrams.ir.tensor_file import pack, unpack
from neutrams.ir.types import Array

FORMAT = 2
"""Version of the file format; a reader refuses a newer one."""

_TEXT, _WEIGHTS, _TARGET, _MANIFEST = (
    "program.nt",
    "weights.safetensors",
    "target.json",
    "manifest.json",
)
_LIMIT = 64 << 30
_UNREADABLE = (zipfile.BadZipFile, KeyError, EOFError, RuntimeError, ValueError)
"""What reading an archive may raise: RuntimeError where a bit says that a member is encrypted."""


@dataclass(slots=True)
class Program:
    """A module (graphs ``main`` and ``chip``), the chip it is for, and how it was made."""

    module: Module
    target: Target
    manifest: dict[str, Any] = field(default_factory=dict)
    """JSON values: options of the compile, source hashes, versions, accuracy figures."""

    def save(self, path: str | Path) -> None:
        """Write the program; the file appears whole or not at all.

        Equal programs give equal bytes.

        Raises:
            NeutramsError: NT0020, the file cannot be written.
        """
        members = self._members()
        with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
            for name, pieces in members.items():
                add_member(archive, name, pieces)

    def members(self) -> dict[str, bytes]:
        """Return the content of each member of the file."""
        return {name: b"".join(pieces) for name, pieces in self._members().items()}

    def _members(self) -> dict[str, list[bytes | memoryview]]:
        from neutrams.ir.text import print_module

        store: dict[str, Array] = {}
        text = print_module(self.module, store)
        chip = dataclasses.asdict(dataclasses.replace(self.target, source=""))
        parts: dict[str, list[bytes | memoryview]] = {
            _TEXT: [text.encode()],
            _WEIGHTS: list(pack(store)),
            _TARGET: [_json(chip)],
        }
        manifest = {"format": FORMAT, **self.manifest}
        hashes = {name: _sha256(pieces) for name, pieces in parts.items()}
        hashes[_MANIFEST] = _sha256([_json(manifest)])
        return {**parts, _MANIFEST: [_json({**manifest, "sha256": hashes})]}

    @staticmethod
    def load(path: str | Path, *, check: bool = True) -> Program:
        """Read a program file. Its weights are mapped: read when used, shared among processes.

        Args:
            path: The file.
            check: Compare hashes; not needed for a file that was checked just before.

        Raises:
            NeutramsError: NT0021, it is not a program or is damaged; NT0022, it is newer.
        """
        from neutrams.ir.text import parse

        parts = _read(Path(path))
        manifest = _manifest(Path(path), bytes(parts[_MANIFEST]))
        if check:
            _check(Path(path), manifest, parts)
        try:
            weights = unpack(parts[_WEIGHTS])
            text = bytes(parts[_TEXT]).decode()
        except (ValueError, RecursionError) as fault:
            raise _damaged(Path(path), str(fault)) from None
        known = not check or _WEIGHTS in manifest.get("sha256", {})
        module = parse(text, file=f"{path}/{_TEXT}", weights=weights, trusted=known)
        try:
            target = _target(json.loads(bytes(parts[_TARGET])))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as fault:
            why = f"its chip is not spelt as in this version: {fault}"
            raise _damaged(Path(path), why) from None
        kept = {key: value for key, value in manifest.items() if key not in ("format", "sha256")}
        return Program(module, target, kept)


def _read(path: Path) -> dict[str, memoryview]:
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            if sum(item.file_size for item in archive.infolist()) > _LIMIT:
                raise _damaged(path, "it claims more than 64 GiB")
            if any(item.compress_type != zipfile.ZIP_STORED for item in archive.infolist()):
                raise _damaged(path, "a member is compressed; programs are stored as they are")
            lacking = {_WEIGHTS, _TEXT, _TARGET, _MANIFEST} - set(archive.namelist())
            if lacking:
                raise _damaged(path, f"it holds no {min(lacking)}")
            weights = map_member(file, archive.getinfo(_WEIGHTS))
            small = {name: archive.read(name) for name in (_TEXT, _TARGET, _MANIFEST)}
            return {_WEIGHTS: weights, **{name: memoryview(data) for name, data in small.items()}}
    except _UNREADABLE as fault:
        raise _damaged(path, str(fault) or "it is cut short") from None
    except OSError as fault:
        diagnostic = error("NT0021", f"cannot read program `{path}`").at(Place(str(path)))
        raise NeutramsError(diagnostic.note(fault.strerror or str(fault))) from None


def _manifest(path: Path, data: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError):
        raise _damaged(path, "the manifest is not JSON") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
        raise _damaged(path, "the manifest names no format")
    if not isinstance(manifest.get("sha256", {}), dict):
        raise _damaged(path, "the manifest lists no hashes")
    return manifest


def _check(path: Path, manifest: dict[str, Any], parts: dict[str, memoryview]) -> None:
    if manifest["format"] > FORMAT:
        raise NeutramsError(
            error("NT0022", f"`{path}` is of format {manifest['format']}; newest known is {FORMAT}")
            .at(Place(str(path)))
            .help("use the version of neutrams that wrote it, or compile again")
        )
    rest = _json({key: value for key, value in manifest.items() if key != "sha256"})
    signed = {**parts, _MANIFEST: memoryview(rest)}
    for name, wanted in manifest.get("sha256", {}).items():
        if name in signed and _sha256([signed[name]]) != wanted:
            raise _damaged(path, f"member {name} does not match its SHA-256")


def _damaged(path: Path, why: str) -> NeutramsError:
    diagnostic = error("NT0021", f"`{path}` is not a whole neutrams program").at(Place(str(path)))
    if path.suffix in (".onnx", ".nt"):
        made = path.with_suffix(".ntp").name
        return NeutramsError(
            diagnostic.help(f"compile it first: neutrams compile {path} -o {made}")
        )
    return NeutramsError(diagnostic.note(why).help("compile it again"))


def _target(data: dict[str, Any]) -> Target:
    machine = data["machine"]
    return Target(
        name=data["name"],
        description=data["description"],
        limits=_limits(data["limits"]),
        machine=Machine(
            core=Core(**machine["core"]),
            tile=Tile(**machine["tile"]),
            network=Network(**machine["network"]),
            io_gbytes_per_s=machine["io_gbytes_per_s"],
            tiles=machine["tiles"],
            smaller=tuple(_kind(kind) for kind in machine.get("smaller", ())),
        ),
        costs=tuple(_component(c) for c in data["costs"]),
        source=data["source"],
    )


def _limits(data: dict[str, Any]) -> Limits:
    ranges = {
        name: Range(**value) for name, value in data.items() if name.endswith("_range") and value
    }
    return Limits(**{**data, **ranges, "functions": tuple(data.get("functions", (ALL,)))})


def _kind(data: dict[str, Any]) -> CoreKind:
    return CoreKind(**{**data, "parts": tuple((name, count) for name, count in data["parts"])})


def _component(data: dict[str, Any]) -> Component:
    energy = tuple((event, value) for event, value in data["energy_pj"])
    return Component(**{**data, "energy_pj": energy, "assumed": tuple(data["assumed"])})


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _sha256(pieces: Iterable[bytes | memoryview]) -> str:
    state = hashlib.sha256()
    for piece in pieces:
        state.update(piece)
    return state.hexdigest()
