"""The list of packages in ``pyproject.toml``, the links and the folders agree."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINKED = ("ir", "simulator", "mapper")
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUP = BUILD["tool"]["setuptools"]


def packages_on_disk() -> set[str]:
    found = set()
    for init in (ROOT / "neutrams").rglob("__init__.py"):
        found.add(".".join(init.parent.relative_to(ROOT).parts))
    for name in LINKED:
        for init in (ROOT / name).rglob("__init__.py"):
            found.add(".".join(("neutrams", *init.parent.relative_to(ROOT).parts)))
    return found


def test_package_list_equals_folders() -> None:
    assert set(SETUP["packages"]) == packages_on_disk()
    assert SETUP["packages"] == sorted(SETUP["packages"])


def test_links_point_at_the_top_folders() -> None:
    for name in LINKED:
        link = ROOT / "neutrams" / name
        assert link.is_symlink()
        assert str(link.readlink()) == f"../{name}"
        assert SETUP["package-dir"][f"neutrams.{name}"] == name


def test_every_python_folder_is_a_package() -> None:
    for top in ("neutrams", *LINKED):
        for source in (ROOT / top).rglob("*.py"):
            assert (source.parent / "__init__.py").exists(), f"{source.parent} has no __init__.py"


def test_data_files_are_packaged() -> None:
    kinds = {pattern.lstrip("*") for pattern in SETUP["package-data"]["*"]}
    for top in ("neutrams", *LINKED):
        for path in (ROOT / top).rglob("*"):
            if path.is_file() and path.suffix != ".py" and path.parent.name != "__pycache__":
                assert path.suffix in kinds or path.name in kinds, f"{path} would not be installed"


def test_constraints_pin_every_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    pinned = {name.lower().replace("_", "-") for name in pins}
    extras = BUILD["project"]["optional-dependencies"]
    wanted = BUILD["project"]["dependencies"] + extras["torch"] + extras["dev"]
    for requirement in wanted:
        name = requirement.split(">=")[0].split("[")[0]
        assert name in pinned or name == "neutrams", f"{name} is not pinned"
    assert pins["torch"] == "2.13.0"
