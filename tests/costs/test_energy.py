"""Energy is counts times constants plus leakage times time, and says what it rests on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrams import targets
from neutrams.costs import Charge, Occupancy, charge, roll_up
from neutrams.ir.events import EVENTS, OF_DATA
from neutrams.ir.target import Component, Target

TOY = """
inherits = "cim"
name = "toy"
[core]
crossbars = 2
[tile]
cores = 3
[network]
columns = 2
rows = 1
tiles_per_router = 4
[chip]
tiles = 6
"""


def component(name: str, **fields: object) -> Component:
    plain = {"place": "tile", "count": 1, "energy_pj": (), "area_mm2": 0.0, "power_mw": 0.0}
    rest = {"static_mw": 0.0, "source": "test", "assumed": ()}
    return Component(**{"name": name, **plain, **rest, **fields})  # type: ignore[arg-type]


def toy(*components: Component) -> Target:
    base = targets.loads(TOY)
    return Target(base.name, "", base.limits, base.machine, components)


def by_component(found: Charge) -> dict[str, tuple[float, float]]:
    return {part.component: (part.dynamic_j, part.static_j) for part in found.parts}


def test_events_cost_what_the_table_says() -> None:
    target = toy(
        component("adc", energy_pj=(("adc_conversions", 2.0), ("shift_adds", 0.5))),
        component("hold", energy_pj=(("adc_conversions", 0.25),)),
    )
    found = charge(target, {"adc_conversions": 1000, "shift_adds": 10}, 1.0)
    assert by_component(found)["adc"] == pytest.approx((2005e-12, 0.0))
    assert by_component(found)["hold"] == pytest.approx((250e-12, 0.0))
    assert found.energy_j == pytest.approx(2255e-12)
    assert found.power_w == pytest.approx(2255e-12)


@pytest.mark.parametrize(
    ("place", "whole", "some"),
    [("crossbar", 36, 5), ("core", 18, 4), ("tile", 6, 3), ("router", 2, 1), ("chip", 1, 1)],
)
def test_leakage_is_of_what_is_switched_on(place: str, whole: int, some: int) -> None:
    target = toy(component("part", place=place, count=7, power_mw=2.0, static_mw=2.0))
    on = Occupancy(crossbars=5, cores=4, tiles=3, routers=1)
    assert charge(target, {}, 0.5).energy_j == pytest.approx(whole * 7 * 2e-3 * 0.5)
    assert charge(target, {}, 0.5, occupancy=on).energy_j == pytest.approx(some * 7 * 2e-3 * 0.5)


def test_roll_up_counts_every_place() -> None:
    places = ("crossbar", "core", "tile", "router", "chip")
    target = toy(*(component(p, place=p, count=2, area_mm2=1.0, power_mw=500.0) for p in places))
    found = roll_up(target)
    assert [part.core.area_mm2 for part in found.parts] == [4, 2, 0, 0, 0]
    assert [part.tile.area_mm2 for part in found.parts] == [12, 6, 2, 0.5, 0]
    assert [part.chip.area_mm2 for part in found.parts] == [72, 36, 12, 4, 2]
    assert found.chip.power_w == pytest.approx(126 * 0.5)
    assert found.of_tiles(2).area_mm2 == pytest.approx(2 * 20.5 + 2)


def test_events_that_nobody_charges_for_are_named() -> None:
    target = toy(component("adc", energy_pj=(("adc_conversions", 2.0), ("link_flits", 0.0))))
    counts = {"adc_conversions": 1, "link_flits": 5, "lookups": 3, "pool_ops": 0}
    found = charge(target, counts, 1.0)
    assert found.uncharged == ("lookups",)
    (doubt,) = found.warnings("toy")
    assert doubt.code == "NT0313"
    assert "no component of `toy` charges for `lookups`" in doubt.render()


def test_assumed_constants_are_named_with_the_energy_on_them() -> None:
    target = toy(
        component("link", energy_pj=(("link_flits", 2.0),), assumed=("energy_pj.link_flits",)),
        component(
            "unit",
            energy_pj=(("vector_ops", 1.0), ("lookups", 4.0), ("pool_ops", 1.0)),
            power_mw=1.0,
            static_mw=1.0,
            assumed=("energy_pj", "static_mw", "area_mm2"),
        ),
        component("adc", energy_pj=(("adc_conversions", 9.0),)),
    )
    counts = {"link_flits": 10, "lookups": 10, "adc_conversions": 10, "vector_ops": 0}
    found = charge(target, counts, 1e-9)
    rests = [(a.key, a.value, round(a.energy_j * 1e12, 6)) for a in found.assumptions]
    assert rests == [
        ("costs.unit.energy_pj.lookups", 4.0, 40.0),
        ("costs.link.energy_pj.link_flits", 2.0, 20.0),
        ("costs.unit.static_mw", 1.0, 6.0),
    ]
    assert found.assumed_j == pytest.approx(66e-12)


def test_nothing_happened_in_no_time() -> None:
    found = charge(targets.load("cim"), {}, 0.0)
    assert (found.energy_j, found.power_w, found.assumptions) == (0.0, 0.0, ())


COUNTS = st.dictionaries(st.sampled_from(sorted(EVENTS.keys() - OF_DATA)), st.integers(0, 10**15))


@settings(deadline=None, max_examples=50)
@given(name=st.sampled_from(targets.names()), first=COUNTS, second=COUNTS, time_s=st.floats(0, 1.0))
def test_energy_is_additive(
    name: str, first: dict[str, int], second: dict[str, int], time_s: float
) -> None:
    target = LOADED[name]
    both = {event: first.get(event, 0) + second.get(event, 0) for event in {**first, **second}}
    apart = charge(target, first, time_s).energy_j + charge(target, second, 0.0).energy_j
    assert charge(target, both, time_s).energy_j == pytest.approx(apart, rel=1e-9)
    assert charge(target, both, time_s).uncharged == ()


LOADED = {name: targets.load(name) for name in targets.names()}
