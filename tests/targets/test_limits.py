"""Limits that tighten a chip, and the faults of those that do not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from neutrams.driver import load_target
from neutrams.ir.diagnostics import NeutramsError, Span
from neutrams.targets import LIMITS, dump, load, loads, parse_limits


def test_limits_tighten_what_the_chip_has() -> None:
    chip = load_target("cim", limits=["fan-in=64", "weight-bits=4", "input-bits=4", "adc-bits=6"])
    limits = chip.limits
    assert (limits.fan_in, limits.weight_bits, limits.input_bits) == (64, 4, 4)
    assert limits.output_bits == 4
    assert chip.machine.core.rows == 128
    assert chip.machine.core.adc_bits == 6


def test_the_costs_of_converters_follow_their_bits() -> None:
    narrow, set_so = load_target("cim", limits={"adc-bits": 6}), load("cim", {"core.adc_bits": "6"})
    assert narrow.costs == set_so.costs
    assert narrow.costs != load("cim").costs


def test_narrow_weights_leave_room_for_neurons() -> None:
    assert load("cim", limits={"weight-bits": 4}).limits.neurons == 64
    assert load("cim", limits={"weight-bits": 4, "neurons": 50}).limits.neurons == 50


def test_the_adder_between_crossbars_can_be_switched_off_but_not_on() -> None:
    assert load("cim").limits.partial_sums == 0
    none = load("cim", limits={"partial-sums": 1})
    assert none.limits.partial_sums == 1
    assert loads(dump(none)) == none
    few = {"limits.partial_sums": "2"}
    assert load("cim", few, limits={"partial-sums": 1}).limits.partial_sums == 1
    for most in (0, 3):
        with pytest.raises(NeutramsError, match="NT0318"):
            load("cim", few, limits={"partial-sums": most})


def test_limits_come_after_set_values() -> None:
    chip = load_target("cim", {"core.rows": 256}, limits={"fan-in": 200})
    assert chip.limits.fan_in == 200


def test_a_target_in_memory_is_tightened_alike() -> None:
    limits = {"fan_in": 64, "weight_bits": 4, "input_bits": 6}
    mine = load_target(load("cim"), limits=limits)
    named = load_target("cim", limits=limits)
    assert (mine.limits, mine.machine) == (named.limits, named.machine)
    assert mine.name == "cim"
    with pytest.raises(NeutramsError, match="NT0318"):
        load_target(load("cim"), limits={"adc-bits": 6})


@pytest.mark.parametrize(
    ("limits", "code", "says"),
    [
        ({"fan-on": 64}, "NT0317", "did you mean `fan-in`"),
        ({"fan-in": 64.5}, "NT0317", "whole number"),
        ({"fan-in": 256}, "NT0318", "128 at most, not 256"),
        ({"weight-bits": 9}, "NT0318", "8 at most, not 9"),
        ({"adc-bits": 9}, "NT0318", "8 at most, not 9"),
        ({"adc-bits": 0}, "NT0318", "ideal converter"),
        ({"neurons": 33}, "NT0318", "32 at most, not 33"),
        ({"fan-in": 0}, "NT0305", "at least 1"),
        ({"accumulator-bits": 10}, "NT0314", "10, 23 are needed"),
        ({"adc-bits": 3}, "NT0312", "says nothing for `core.adc_bits` = 3"),
    ],
)
def test_faults_are_located(limits: Mapping[str, int], code: str, says: str) -> None:
    with pytest.raises(NeutramsError) as caught:
        load("cim", limits=limits)
    (name,) = limits
    assert f"error[{code}]" in str(caught.value)
    assert f"--limit {name}={limits[name]}" in str(caught.value)
    assert says in str(caught.value)


def test_all_faults_come_at_once_and_show_the_chip() -> None:
    with pytest.raises(NeutramsError) as caught:
        load("cim", limits={"fan-in": 500, "input-bits": 12})
    assert [d.code for d in caught.value.diagnostics] == ["NT0318", "NT0318"]
    places = [d.labels[1].where for d in caught.value.diagnostics]
    texts = [place.text for place in places if isinstance(place, Span)]
    assert texts[0].startswith("rows = 128")
    assert texts[1].startswith("input_bits = 8")


@pytest.mark.parametrize("text", ["fan-in", "fan-in=", "fan-in=x", "fan-in=-1", "fan-in=1.5", "=3"])
def test_texts_that_are_no_limits(text: str) -> None:
    with pytest.raises(NeutramsError, match="NT0317"):
        parse_limits([text])


def test_an_ideal_converter_can_be_limited() -> None:
    chip = load("cim", {"core.adc_bits": "0"}, limits={"adc-bits": 8})
    assert chip.machine.core.adc_bits == 8


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_at_its_present_value_changes_nothing(name: str) -> None:
    chip = load("isaac")
    section, field = LIMITS[name]
    part = chip.limits if section == "limits" else chip.machine.core
    assert load("isaac", limits={name: getattr(part, field)}) == chip
