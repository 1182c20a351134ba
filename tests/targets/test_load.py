"""Targets are read by name or path, inherit, take settings, and survive being written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams import targets
from neutrams.ir.diagnostics import Diagnostic, NeutramsError
from neutrams.ir.target import Target

BUILT_IN = Path(targets.__file__).parent


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A target of a user, two steps above ``cim``."""
    (tmp_path / "small.toml").write_text(
        'inherits = "cim"\nname = "a smaller chip"\n[core]\nrows = 64\n[chip]\ntiles = 4\n'
    )
    path = tmp_path / "mine.toml"
    path.write_text(
        'inherits = "small.toml"\ndescription = "mine"\n[chip]\ntiles = 8\n'
        "[costs.sample-hold]\narea_mm2 = 0.5\n[costs.dac]\ncount = 3\n"
    )
    return path


def component(target: Target, name: str) -> dict[str, float]:
    found = next(c for c in target.costs if c.name == name)
    numbers = {"count": found.count, "area_mm2": found.area_mm2, "static_mw": found.static_mw}
    return {**numbers, **dict(found.energy_pj)}


def test_the_built_in_targets_are_listed() -> None:
    assert {"cim", "isaac"} <= set(targets.names())
    assert targets.names() == sorted(targets.names())


def test_a_chain_of_files_is_merged_nearest_first(own: Path) -> None:
    target = targets.load(str(own))
    assert (target.name, target.description) == ("mine", "mine")
    assert (target.machine.core.rows, target.machine.tiles) == (64, 8)
    assert target.machine.core.columns == targets.load("cim").machine.core.columns
    assert component(target, "dac")["count"] == 3
    assert component(target, "sample-hold")["area_mm2"] == 0.5
    assert target.source == str(own)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("core.rows", "64", 64),
        ("core.read_ns", "50", 50.0),
        ("core.column_flip", "false", False),
        ("core.adc_mode", "scale", "scale"),
        ("core.adc_mode", '"scale"', "scale"),
    ],
)
def test_a_setting_is_typed_by_its_key(key: str, text: str, value: object) -> None:
    core = targets.load("cim", {key: text}).machine.core
    found = getattr(core, key.removeprefix("core."))
    assert found == value
    assert isinstance(found, int | float | str)


def test_words_that_look_like_numbers_stay_words() -> None:
    target = targets.load("cim", {"description": "64", "name": "true"})
    assert (target.description, target.name) == ("64", "true")


def test_settings_reach_costs_through_references() -> None:
    small = targets.load("cim", {"core.rows": "64", "core.adcs": "2", "core.adc_bits": "6"})
    assert component(small, "cells")["count"] == 64 * 128
    assert component(small, "dac")["count"] == 64
    assert component(small, "adc")["count"] == 2
    assert component(small, "adc")["area_mm2"] == pytest.approx(627e-6)
    assert component(small, "adc")["adc_conversions"] == pytest.approx(0.9 * 1.20)


def test_a_setting_replaces_a_table_and_adds_an_event() -> None:
    changes = targets.parse_overrides(
        ["costs.adc.energy_pj.adc_conversions=9.5", "costs.adc.energy_pj.lookups=0.25"]
    )
    found = component(targets.load("cim", changes), "adc")
    assert (found["adc_conversions"], found["lookups"]) == (9.5, 0.25)


def test_an_assumed_entry_of_a_table_marks_the_number() -> None:
    plain = next(c for c in targets.load("cim").costs if c.name == "dac")
    wide = next(c for c in targets.load("cim", {"core.dac_bits": "2"}).costs if c.name == "dac")
    assert not plain.assumes("energy_pj.dac_drives")
    assert wide.assumes("energy_pj.dac_drives")
    assert wide.assumes("area_mm2")


@pytest.mark.parametrize(
    ("changes", "fan_in", "neurons", "output_bits"),
    [
        ({}, 128, 32, 8),
        ({"core.rows": "256", "core.columns": "64"}, 256, 16, 8),
        ({"limits.weight_bits": "4", "limits.input_bits": "6"}, 128, 64, 6),
        ({"core.coding": "differential", "core.column_flip": "false"}, 128, 16, 8),
        ({"core.coding": "twos-complement", "core.column_flip": "false"}, 128, 25, 8),
        ({"limits.fan_in": "100", "limits.neurons": "7", "limits.output_bits": "4"}, 100, 7, 4),
    ],
)
def test_limits_left_out_follow_from_the_core(
    changes: dict[str, str], fan_in: int, neurons: int, output_bits: int
) -> None:
    limits = targets.load("cim", changes).limits
    assert (limits.fan_in, limits.neurons, limits.output_bits) == (fan_in, neurons, output_bits)


def test_fewer_bits_than_the_limit_are_as_if_the_limit_were_lower() -> None:
    narrow = targets.load("isaac").at_precision(weight_bits=8, input_bits=8)
    stated = {"limits.weight_bits": "8", "limits.input_bits": "8", "limits.output_bits": "8"}
    assert narrow == targets.load("isaac", stated)
    assert narrow.limits.neurons == 32


def test_fewer_bits_keep_a_limit_of_the_chip_itself() -> None:
    few = targets.load("isaac", {"limits.neurons": "10"})
    assert few.at_precision(weight_bits=8, input_bits=8).limits.neurons == 10


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "core.rows": st.integers(1, 512).map(str),
        "core.columns": st.integers(32, 512).map(str),
        "core.adc_bits": st.integers(4, 10).map(str),
        "core.read_ns": st.floats(1e-3, 1e6).map(repr),
        "tile.buffer_bytes": st.integers(1, 2**30).map(str),
        "name": st.text(min_size=1, max_size=20),
        "description": st.text(max_size=40),
        "costs.link.area_mm2": st.floats(0, 1e6).map(repr),
        "costs.link.source": st.text(min_size=1, max_size=20),
    },
)


@settings(deadline=None, max_examples=40)
@given(name=st.sampled_from(targets.names()), changes=CHANGES)
def test_what_is_written_reads_back_equal(name: str, changes: dict[str, str]) -> None:
    changes = {key: text for key, text in changes.items() if "link" not in key or name == "cim"}
    changes["core.adcs"] = "1"  # no more than there are columns
    target = targets.load(name, {**changes, "limits.accumulator_bits": "64"})
    assert targets.loads(targets.dump(target)) == target


LINES = (BUILT_IN / "cim.toml").read_text(encoding="utf-8").splitlines()


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_damaged_files_are_refused_in_words(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(LINES) - 1))
    line = LINES[at]
    cut = data.draw(st.integers(0, len(line)))
    junk = data.draw(st.sampled_from(["", "x", "=", '"', "[", "1", "-", "{", "nan", "\n", "."]))
    broken = line[:cut] + junk + line[cut + 1 :]
    found: list[Diagnostic] = []
    try:
        targets.loads("\n".join([*LINES[:at], broken, *LINES[at + 1 :]]))
    except NeutramsError as fault:
        found += fault.diagnostics
    assert all(d.code.startswith("NT03") and d.labels for d in found)


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=80))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with pytest.raises(NeutramsError, match="NT03"):
        targets.loads(text)


def test_targets_load_nothing_heavy() -> None:
    code = "import sys, neutrams.targets, neutrams.costs; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(run.stdout.split()) & {"torch", "numba", "onnx", "scipy", "numpy"}


FIT = '{ survey = "adc", node_nm = 32, gsamples_per_s = 0.5 }'


def test_the_survey_costs_a_converter_by_its_bits() -> None:
    text = f'inherits = "cim"\n[costs.adc]\nstatic_mw = 0.0\narea_mm2 = {FIT}\npower_mw = {FIT}\n'
    text += f"energy_pj.adc_conversions = {FIT}\n"
    for bits in (7, 9):
        chip = targets.loads(f"{text}[core]\nadc_bits = {bits}\n")
        want = targets.survey_converter(bits, node_nm=32, gsamples_per_s=0.5)
        adc = next(part for part in chip.costs if part.name == "adc")
        assert dict(adc.energy_pj)["adc_conversions"] == want.energy_pj
        assert adc.area_mm2 == pytest.approx(want.area_um2 * 1e-6)
        assert adc.power_mw == pytest.approx(want.energy_pj * 0.5)


def test_the_survey_says_nothing_of_three_bits() -> None:
    text = f'inherits = "cim"\n[core]\nadc_bits = 3\n[costs.adc]\narea_um2 = {FIT}\n'
    text += f"power_mw = {FIT}\nstatic_mw = 0.0\nenergy_pj.adc_conversions = {FIT}\n"
    with pytest.raises(NeutramsError) as found:
        targets.loads(text)
    assert [d.code for d in found.value.diagnostics] == ["NT0312"]
    assert "`core.adc_bits` = 3" in found.value.diagnostics[0].message


WIDE = """
inherits = "cim"
[core]
read_ns = { fixed = 5.0, adc_bit = 2.0, dac_bit = 3.0, dac_step = 10.0 }
[costs.adc]
energy_pj.adc_conversions = { adc_bit = 0.5 }
[costs.dac]
area_um2 = { dac_step = 2.0 }
"""


@pytest.mark.parametrize(("dac", "adc"), [(1, 8), (4, 6)])
def test_a_number_may_grow_with_the_widths_of_converters(dac: int, adc: int) -> None:
    text = WIDE.replace("[core]\n", f"[core]\ndac_bits = {dac}\nadc_bits = {adc}\n")
    chip = targets.loads(text)
    steps = 2**dac - 1
    assert chip.machine.core.read_ns == 5 + 2 * adc + 3 * dac + 10 * steps
    parts = {part.name: part for part in chip.costs}
    assert dict(parts["adc"].energy_pj)["adc_conversions"] == 0.5 * adc
    assert parts["dac"].area_mm2 == pytest.approx(2e-6 * steps)
    assert targets.loads(targets.dump(chip)) == chip


def test_a_number_replaces_widths_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "wide.toml"
    path.write_text(WIDE, encoding="utf-8")
    assert targets.load(str(path), {"core.read_ns": "7.5"}).machine.core.read_ns == 7.5
    assert targets.load(str(path), {"core.read_ns.fixed": "6.0"}).machine.core.read_ns == 35


@pytest.mark.parametrize(
    ("wrong", "code"),
    [("{ fixed = 0.0 }", "NT0305"), ("{ adc_bit = -1.0 }", "NT0305"), ("{ bit = 1.0 }", "NT0303")],
)
def test_a_read_takes_time_by_known_widths(wrong: str, code: str) -> None:
    with pytest.raises(NeutramsError) as found:
        targets.loads(f'inherits = "cim"\n[core]\nread_ns = {wrong}\n')
    assert [d.code for d in found.value.diagnostics] == [code]
