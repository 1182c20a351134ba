"""Find target files: built in, by path, and along chains of ``inherits``."""

from __future__ import annotations

from pathlib import Path

from neutrams.ir.diagnostics import Location, NeutramsError, Place, error
from neutrams.targets.layers import Layer
from neutrams.targets.near import suggest
from neutrams.targets.source import parse

_FOLDER = Path(__file__).parent
_LARGEST_BYTES = 1 << 20


def names() -> list[str]:
    """Return the names of the built-in targets, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def chain(name_or_path: str) -> list[Layer]:
    """Read a target and all that it inherits from, the target itself first.

    Raises:
        NeutramsError: NT0301 no such target, NT0302 not TOML, NT0304 ``inherits`` is no string,
            NT0307 the chain closes on itself, NT0308 a file cannot be read.
    """
    path = _find(name_or_path, Path(), None)
    return follow(parse(_read(path), _label(path)), path)


def follow(layer: Layer, path: Path | None) -> list[Layer]:
    """Return the layer and those it inherits from; text without a file names built-ins only."""
    layers = [layer]
    seen = [path.resolve()] if path is not None else []
    while (parent := layers[-1].tree.get("inherits")) is not None:
        where = layers[-1].places.get(("inherits",), Place(layers[-1].file))
        if not isinstance(parent, str):
            fault = error("NT0304", "`inherits` must be a string").at(where)
            raise NeutramsError(fault.help('write the name of a target: inherits = "cim"'))
        path = _find(parent, path.parent if path is not None else None, where)
        if path.resolve() in seen:
            loop = " -> ".join([*(layer.file for layer in layers), _label(path)])
            fault = error("NT0307", f"`{layers[0].file}` inherits from itself")
            raise NeutramsError(fault.at(where, "closes the circle").note(loop))
        seen.append(path.resolve())
        layers.append(_ancestor(parse(_read(path), _label(path))))
    return layers


def _ancestor(layer: Layer) -> Layer:
    tree = {key: value for key, value in layer.tree.items() if key != "name"}
    return Layer(layer.file, tree, layer.places)


def _find(name: str, folder: Path | None, where: Location | None) -> Path:
    """Return the file of a built-in name, or of a path seen from ``folder`` (``None``: refused)."""
    if name in names():
        return _FOLDER / f"{name}.toml"
    if folder is not None and _is_path(name):
        return folder / name
    fault = error("NT0301", f"there is no target `{name}`").at(where)
    fault = suggest(fault, name, names())
    raise NeutramsError(fault.help("a path to a file of your own must end in `.toml`"))


def _is_path(name: str) -> bool:
    return name.endswith(".toml") or "/" in name or "\\" in name


def _label(path: Path) -> str:
    return path.name if path.parent == _FOLDER else str(path)


def _read(path: Path) -> str:
    try:
        if not path.is_file():
            raise FileNotFoundError(2, "there is no such file")
        if path.stat().st_size > _LARGEST_BYTES:
            raise OSError(27, f"it is larger than {_LARGEST_BYTES >> 20} MiB")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as fault:
        why = f"byte {fault.start} is not UTF-8"
    except OSError as fault:
        why = (fault.strerror or str(fault)).lower()
    diagnostic = error("NT0308", f"cannot read the target file `{path}`").at(Place(str(path)))
    raise NeutramsError(diagnostic.note(why))
