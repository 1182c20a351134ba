"""What a user reads when a target file is at fault; one golden text beside each file."""

from __future__ import annotations

from pathlib import Path

import pytest

from neutrams import targets
from neutrams.ir.codes import CODES
from neutrams.ir.diagnostics import Diagnostic, NeutramsError

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(path.stem for path in GOLDEN.glob("*.toml") if path.stem != "circle_b")


def complain(name: str, overrides: dict[str, str] | None = None) -> list[Diagnostic]:
    """Return the warnings and errors of a golden target."""
    heard: list[Diagnostic] = []
    try:
        targets.load(name, overrides, warn=heard.append)
    except NeutramsError as fault:
        heard += fault.diagnostics
    return heard


@pytest.mark.parametrize("name", FILES)
def test_errors_read_as_recorded(
    name: str, monkeypatch: pytest.MonkeyPatch, update_golden: bool
) -> None:
    monkeypatch.chdir(GOLDEN)
    found = "\n\n".join(d.render() for d in complain(f"{name}.toml")) + "\n"
    expected = GOLDEN / f"{name}.stderr"
    if update_golden:
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("typo", [303, 303, 304, 305, 305, 311, 311, 312, 314, 315, 316]),
        ("contradictions", [312, 314, 314, 314, 314, 314, 314, 314]),
        ("empty", [306, 306, 306, 306, 306, 306]),
        ("hard_to_believe", [309]),
    ],
)
def test_every_independent_fault_is_reported(name: str, codes: list[int]) -> None:
    found = complain(str(GOLDEN / f"{name}.toml"))
    assert sorted(d.code for d in found) == [f"NT0{code}" for code in codes]


@pytest.mark.parametrize("name", FILES)
def test_codes_are_explained(name: str) -> None:
    assert {d.code for d in complain(str(GOLDEN / f"{name}.toml"))} <= CODES.keys()


@pytest.mark.parametrize(
    ("key", "value", "code", "words"),
    [
        ("core.row", "64", "NT0303", "did you mean `rows`?"),
        ("core.rows", "many", "NT0304", "must be an integer, not a string"),
        ("core.rows", "64.5", "NT0304", "not a fraction"),
        ("core.rows", "0", "NT0305", "at least 1"),
        ("core.coding", "diferential", "NT0305", "did you mean `differential`"),
        ("core", "3", "NT0310", "set one of its keys: `crossbars`, `rows`"),
        ("core.rows.big", "3", "NT0310", "`core.rows` is a value"),
        ("inherits", "isaac", "NT0310", "cannot be chosen on the command line"),
        ("chip.tiles", "257", "NT0314", "257 tiles do not fit a mesh with 256 slots"),
        ("core.adc_bits", "12", "NT0312", "`costs.adc` says nothing for `core.adc_bits` = 12"),
        ("costs.ad.area_mm2", "1.0", "NT0310", "did you mean `adc`?"),
        ("network", "16 # x", "NT0310", "it is a table"),
    ],
)
def test_a_setting_is_blamed_by_its_own_text(key: str, value: str, code: str, words: str) -> None:
    found = [d for d in complain("cim", {key: value}) if d.code == code]
    assert found
    assert f"--> --set {key}={value}" in found[0].render()
    assert words in found[0].render()


@pytest.mark.parametrize("setting", ["core.rows", "=3", "core..rows=3", ""])
def test_settings_without_key_or_value_are_refused(setting: str) -> None:
    with pytest.raises(NeutramsError, match="NT0310"):
        targets.parse_overrides(["core.rows=64", setting])


def test_an_unknown_name_suggests_the_near_one() -> None:
    with pytest.raises(NeutramsError, match=r"NT0301[^$]*did you mean `isaac`"):
        targets.load("issac")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * (1 << 20) + b" = 1", None])
def test_files_that_cannot_be_read(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NeutramsError, match="NT0308"):
        targets.load(str(path))


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 20_000, "a = " + "1" * 5_000, "a = ", "\x00", "[a]\n[a]"]
)
def test_text_that_is_no_toml(text: str) -> None:
    with pytest.raises(NeutramsError, match="NT0302"):
        targets.loads(text)


def test_text_from_elsewhere_opens_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret.toml").write_text("password = 1")
    with pytest.raises(NeutramsError, match="NT0301"):
        targets.loads(f'inherits = "{tmp_path.as_posix()}/secret.toml"')
    assert targets.loads('inherits = "cim"').machine == targets.load("cim").machine
