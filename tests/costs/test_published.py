"""ISAAC-CE, rolled up from its parts, gives the totals its authors published."""

from __future__ import annotations

import pytest

from neutrams import targets
from neutrams.costs import Budget, charge, peak, roll_up
from neutrams.ir.target import Target


@pytest.fixture(scope="module")
def isaac() -> Target:
    return targets.load("isaac")


@pytest.mark.parametrize(
    ("level", "power_w", "area_mm2"),
    [("core", 24.1e-3, 0.0131), ("tile", 0.330, 0.372), ("chip", 65.8, 85.4)],
)
def test_published_totals(isaac: Target, level: str, power_w: float, area_mm2: float) -> None:
    found: Budget = getattr(roll_up(isaac), level)
    assert found.power_w == pytest.approx(power_w, rel=0.01)
    assert found.area_mm2 == pytest.approx(area_mm2, rel=0.01)


def test_published_parts_of_a_tile(isaac: Target) -> None:
    parts = {part.component: part.tile for part in roll_up(isaac).parts}
    cores = roll_up(isaac).core
    assert 12 * cores.power_w == pytest.approx(0.289, rel=0.01)
    assert 12 * cores.area_mm2 == pytest.approx(0.157, rel=0.01)
    outside = roll_up(isaac).tile.power_w - 12 * cores.power_w
    assert outside == pytest.approx(40.9e-3, rel=0.01)
    assert parts["adc"].power_w / roll_up(isaac).tile.power_w == pytest.approx(0.582, rel=0.01)
    assert parts["adc"].area_mm2 / roll_up(isaac).tile.area_mm2 == pytest.approx(0.31, rel=0.01)
    assert parts["router"].power_w == pytest.approx(42e-3 / 4)


def test_tiles_and_links_add_up_to_the_chip(isaac: Target) -> None:
    whole = roll_up(isaac)
    assert whole.of_tiles(168).power_w == pytest.approx(whole.chip.power_w)
    assert whole.of_tiles(168).area_mm2 == pytest.approx(whole.chip.area_mm2)
    assert (whole.shared.power_w, whole.shared.area_mm2) == pytest.approx((10.4, 22.88))
    assert whole.of_tiles(0) == whole.shared


def test_published_efficiency(isaac: Target) -> None:
    found = peak(isaac)
    assert found.gops_per_w == pytest.approx(627.5, rel=0.015)
    assert found.gops_per_mm2 == pytest.approx(478.95, rel=0.015)
    assert found.storage_mib_per_mm2 == pytest.approx(0.74, rel=0.01)


def test_precision_changes_throughput_alone(isaac: Target) -> None:
    narrow = isaac.at_precision(weight_bits=8, input_bits=8)
    assert peak(narrow).gops == pytest.approx(4 * peak(isaac).gops)
    assert roll_up(narrow) == roll_up(isaac)


def test_conversions_at_peak_draw_the_published_converter_power(isaac: Target) -> None:
    """The conversion law (reference, 5.3): 1.0 a multiplication; 31.95 to 32.26 W of the chip."""
    machine = isaac.machine
    conversions = machine.crossbars * machine.core.columns
    at_rate = {"adc_conversions": round(conversions * 1.2 / 1.28)}
    found = charge(isaac, at_rate, machine.core.read_ns * 1e-9)
    adc = next(part for part in found.parts if part.component == "adc")
    assert adc.dynamic_j / found.time_s == pytest.approx(32.26, rel=0.01)
