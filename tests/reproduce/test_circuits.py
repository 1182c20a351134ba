"""Gates and circuits laid out: laws that hold whatever the numbers, and the target's areas."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neutrams import targets
from neutrams.costs import roll_up
from neutrams.reproduce.circuits import PROCESS, array
from neutrams.reproduce.circuits_chip import chip_area
from neutrams.reproduce.circuits_energy import conversion_pj, drives_pj, sums_pj
from neutrams.reproduce.circuits_time import clock_ns
from neutrams.reproduce.neurosim_sram import vgg8
from neutrams.reproduce.process import Gate, delay_ns

ROOM = PROCESS.cell_height - PROCESS.outside - PROCESS.between
WIDTHS = st.floats(1, 500)


@given(n=WIDTHS, p=WIDTHS)
def test_fingers_are_as_wide_together_as_the_transistor(n: float, p: float) -> None:
    fingers = PROCESS.width(Gate("inverter", 1, n, p)) / PROCESS.pitch - 1
    assert fingers * ROOM >= (n + p) * (1 - 1e-6)
    assert (fingers - 1) * ROOM < n + p or fingers == 1


@given(n=WIDTHS, p=WIDTHS, times=st.floats(1, 10))
def test_wider_gates_take_more_ground_and_more_charge(n: float, p: float, times: float) -> None:
    gate = Gate("inverter", 1, n, p)
    assert PROCESS.width(gate.sized(times)) >= PROCESS.width(gate)
    assert PROCESS.input_ff(gate.sized(times)) == pytest.approx(times * PROCESS.input_ff(gate))


@given(st.lists(st.floats(1e-3, 10), min_size=1, max_size=6))
def test_gates_after_one_another_are_slower_than_apart(times: list[float]) -> None:
    assert delay_ns(times[:1]) == pytest.approx(math.log(2) * times[0])
    assert delay_ns(times) >= math.log(2) * sum(times) * (1 - 1e-9)


def test_an_array_is_the_sum_of_its_parts() -> None:
    block = array(32)
    assert block.area.whole == pytest.approx(block.height * block.width)
    assert min(block.area.cells, block.area.converters, block.area.sums, block.area.empty) > 0


def test_more_rows_at_once_read_faster_and_add_less() -> None:
    assert clock_ns(64) < clock_ns(32)
    assert array(64).area.sums < array(32).area.sums
    assert sums_pj(64) < sums_pj(32)


@given(st.floats(1, 127), st.sampled_from([32, 64]))
def test_more_ones_take_more_energy(ones: float, rows: int) -> None:
    assert conversion_pj(rows, ones + 1) > conversion_pj(rows, ones)
    assert drives_pj(rows, ones + 1) > drives_pj(rows, ones)


def test_the_target_has_the_areas_of_its_circuits() -> None:
    layers, plan = vgg8()
    found = chip_area(layers, plan, 32)
    chip = targets.load("sram-cim")
    arrays = sum(plan.cells) / 128**2
    cores = arrays / (chip.machine.core.crossbars / 4)
    area = {part.component: part.core.area_mm2 for part in roll_up(chip).parts}
    unit = PROCESS.um**2 * 1e-6
    assert cores * area["cells"] == pytest.approx(found.cells * unit, rel=1e-4)
    assert cores * area["adc"] == pytest.approx(found.converters * unit, rel=1e-4)
    assert cores * area["shift-add"] == pytest.approx(found.sums * unit, rel=1e-4)
    assert cores * area["drivers"] == pytest.approx((found.other + found.empty) * unit, rel=1e-3)
    assert 32 * clock_ns(32) == pytest.approx(chip.machine.core.read_ns, rel=1e-3)


def test_the_target_has_the_energies_of_its_circuits() -> None:
    wires, ones = 1.22, 0.1551 * 128
    energy = {
        event: value
        for part in targets.load("sram-cim").costs
        for event, value in part.energy_pj
        if value
    }
    assert energy["adc_conversions"] == pytest.approx(wires * conversion_pj(32, ones), rel=0.01)
    assert energy["shift_adds"] == pytest.approx(wires * sums_pj(32) / 512, rel=0.01)
    assert energy["dac_drives"] == pytest.approx(wires * drives_pj(32, ones) / 128, rel=0.05)
