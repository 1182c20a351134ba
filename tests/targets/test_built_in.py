"""What every built-in target must keep, and what its constants are derived from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from neutrams import targets
from neutrams.ir.diagnostics import Diagnostic
from neutrams.ir.events import EVENTS, OF_DATA
from neutrams.ir.target import Component, Target

FOLDER = Path(targets.__file__).parent
RECIPES = FOLDER.parent / "reproduce"
FILES = [
    file
    for file in sorted([*FOLDER.glob("*.toml"), *RECIPES.glob("*.toml")])
    if "\n[costs." in file.read_text(encoding="utf-8")
]
NAMES = targets.names()
READ_NS = 100
CONVERTER_GHZ = 1.2


def part(target: Target, name: str) -> Component:
    return next(component for component in target.costs if component.name == name)


def energy(target: Target, name: str, event: str) -> float:
    return dict(part(target, name).energy_pj)[event]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_number_has_its_source_beside_it(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r"[\w.]+ = [-\d{\[tf]", line)]
    numbers = [line for line in lines if not re.match(r"(assumed|functions|count) = \[", line)]
    assert len(numbers) > (2 if "\ninherits = " in text else 30)
    assert [line for line in numbers if "# " not in line and "survey = " not in line] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_component_names_its_source(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    tables = re.findall(r"^\[costs\.([\w-]+)\]\n(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    assert tables
    own = "inherits = " not in text or file.parent == FOLDER
    assert [name for name, table in tables if own and "\nsource = " not in f"\n{table}"] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_numbers_called_assumed_are_declared_so(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for table in text.split("\n[costs.")[1:]:
        keys = re.findall(r"^([\w.]+) = \S+ +# assumed", table, re.MULTILINE)
        declared = re.search(r"^assumed = (.*)$", table, re.MULTILINE)
        listed = re.findall(r'"([^"]+)"', declared[1]) if declared else []
        assert {key.removeprefix("at.") for key in keys if key != "count"} <= set(listed)


@pytest.mark.parametrize("bits", [4, 5, 6, 8])
def test_the_survey_costs_the_converters_of_a_target_at_any_width(bits: int) -> None:
    target = targets.load("neurosim-rram", {"core.adc_bits": str(bits)})
    want = targets.survey_converter(bits, node_nm=22.0, gsamples_per_s=0.4)
    assert energy(target, "adc", "adc_conversions") == want.energy_pj


@pytest.mark.parametrize("name", NAMES)
def test_no_constant_is_hard_to_believe(name: str) -> None:
    heard: list[Diagnostic] = []
    targets.load(name, warn=heard.append)
    assert heard == []


@pytest.mark.parametrize("name", NAMES)
def test_every_event_is_charged(name: str) -> None:
    charged = {event for c in targets.load(name).costs for event, _ in c.energy_pj}
    assert charged - OF_DATA == EVENTS.keys() - OF_DATA


@pytest.mark.parametrize("name", ["cim", "isaac"])
def test_flipped_columns_never_pass_the_converter(name: str) -> None:
    core = targets.load(name).machine.core
    largest = core.rows * (2**core.cell_bits - 1) * (2**core.dac_bits - 1)
    assert core.column_flip
    assert -(-largest // 2) <= 2**core.adc_bits - 1


def test_the_default_holds_a_resnet_50() -> None:
    target = targets.load("cim")
    weights_of_a_crossbar = target.limits.fan_in * target.limits.neurons
    needed = 25_600_000 / weights_of_a_crossbar
    assert target.machine.crossbars == 24_576
    assert needed < target.machine.crossbars / 3


@pytest.mark.parametrize(
    ("name", "event", "picojoules"),
    [
        ("adc", "adc_conversions", 2.0 / CONVERTER_GHZ),
        ("adc", "adc_conversions", 1.667),
        ("cells", "cell_macs", 2.4 * READ_NS / (8 * 128 * 128)),
        ("sample-hold", "adc_conversions", 0.01 * READ_NS / 1024),
        ("dac", "dac_drives", 4 * READ_NS / 1024),
        ("shift-add", "shift_adds", 0.2 / (8 * CONVERTER_GHZ)),
        ("input-register", "input_register_bytes", 1.24 * 16 * READ_NS / 2048),
        ("output-register", "output_register_bytes", 0.23 * 16 * READ_NS / 256),
        ("tile-output-register", "output_register_bytes", 1.68 * 16 * READ_NS / 3072),
        ("buffer", "buffer_read_bytes", 2.02),
        ("bus", "bus_bytes", 0.68),
        ("router", "router_flits", 42 / (8 * 1.0)),
    ],
)
def test_event_energies_of_isaac_follow_from_its_table(
    name: str, event: str, picojoules: float
) -> None:
    assert energy(targets.load("isaac"), name, event) == pytest.approx(picojoules, rel=0.004)


def test_the_drive_energy_of_isaac_is_between_its_two_derivations() -> None:
    assert 0.3905 <= energy(targets.load("isaac"), "dac", "dac_drives") <= 0.417


@pytest.mark.parametrize("bits", [4, 5, 6, 7, 8, 9, 10])
@pytest.mark.parametrize("name", ["cim", "isaac"])
def test_converters_of_all_widths_draw_what_they_convert(name: str, bits: int) -> None:
    target = targets.load(name, {"core.adc_bits": str(bits)})
    adc = part(target, "adc")
    busy = energy(target, "adc", "adc_conversions") * CONVERTER_GHZ + adc.static_mw
    assert busy == pytest.approx(adc.power_mw, rel=0.005)


def test_the_default_leaks_what_it_does_not_spend_on_events() -> None:
    target = targets.load("cim")
    dac = part(target, "dac")
    drawn = energy(target, "dac", "dac_drives") / READ_NS + dac.static_mw
    assert drawn == pytest.approx(dac.power_mw, rel=0.005)
    buffer = part(target, "buffer")
    drawn = energy(target, "buffer", "buffer_read_bytes") * 1024 / READ_NS
    assert drawn + buffer.static_mw * buffer.count == pytest.approx(20.7, rel=0.005)
