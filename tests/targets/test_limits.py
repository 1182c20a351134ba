"""Limits that tighten a chip, and the faults of those that do not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from neutrams.driver import load_target
from neutrams.ir.diagnostics import NeutramsError, Span
from neutrams.ir.target import Range
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
        ({"weight-range": (1, 7)}, "NT0314", "holds 0 and a number above it"),
        ({"input-range": (0, 1, 0.3)}, "NT0314", "its ends are whole numbers of steps"),
        ({"bias-range": (-1, 1, 0)}, "NT0314", "its step is above 0"),
        ({"weight-range": 7}, "NT0317", "must be a range"),
        ({"functions": ["relo"]}, "NT0305", "did you mean `relu`"),
        ({"functions": 3}, "NT0317", "functions, one at least"),
        ({"fan-out": -1}, "NT0305", "at least 0"),
        ({"adc-bits": 3}, "NT0312", "says nothing for `core.adc_bits` = 3"),
    ],
)
def test_faults_are_located(limits: Mapping[str, object], code: str, says: str) -> None:
    with pytest.raises(NeutramsError) as caught:
        load("cim", limits=limits)
    (name,) = limits
    assert f"error[{code}]" in str(caught.value)
    assert f"--limit {name}=" in str(caught.value)
    assert says in str(caught.value)


def test_all_faults_come_at_once_and_show_the_chip() -> None:
    with pytest.raises(NeutramsError) as caught:
        load("cim", limits={"fan-in": 500, "input-bits": 12})
    assert [d.code for d in caught.value.diagnostics] == ["NT0318", "NT0318"]
    places = [d.labels[1].where for d in caught.value.diagnostics]
    texts = [place.text for place in places if isinstance(place, Span)]
    assert texts[0].startswith("rows = 128")
    assert texts[1].startswith("input_bits = 8")


def test_texts_of_ranges_and_functions() -> None:
    texts = ["weight-range=-7:7", "input-range=0:1:0.01", "functions=relu+max-pool", "fan-out=3"]
    chip = load("cim", limits=parse_limits(texts))
    assert chip.limits.weight_range == Range(-7, 7)
    assert chip.limits.input_range == Range(0, 1, 0.01)
    assert chip.weight_codes == (-7, 7)
    assert chip.input_codes == (0, 100)
    assert chip.limits.functions == ("relu", "max_pool")
    assert chip.limits.fan_out == 3
    assert loads(dump(chip)) == chip


@pytest.mark.parametrize(
    ("limits", "weights", "inputs"),
    [
        ({"weight-range": (-100, 100), "weight-bits": 4}, (-8, 7), (0, 255)),
        ({"weight-range": (0, 100)}, (0, 100), (0, 255)),
        ({"input-range": (-7, 7)}, (-128, 127), (-7, 7)),
        ({"input-range": (-100, 100), "input-bits": 4}, (-128, 127), (-8, 7)),
        ({"input-range": (0, 1, 0.001), "input-bits": 6}, (-128, 127), (0, 63)),
    ],
)
def test_bits_and_ranges_both_hold(
    limits: Mapping[str, object], weights: tuple[int, int], inputs: tuple[int, int]
) -> None:
    chip = load("cim", limits=limits)
    assert (chip.weight_codes, chip.input_codes) == (weights, inputs)


def test_a_range_and_functions_may_only_be_tightened() -> None:
    narrow = load("cim", limits={"input-range": (-7, 7), "functions": ("relu", "lut")})
    for loose in ({"input-range": (-8, 7)}, {"functions": ("relu", "clip")}):
        with pytest.raises(NeutramsError, match="NT0318"):
            load_target(narrow, limits=loose)
    assert load_target(narrow, limits={"input-range": (0, 7)}).input_codes == (0, 7)


@pytest.mark.parametrize(
    "text",
    [
        "weight-range=7",
        "weight-range=-7:",
        "functions=",
        "fan-in",
        "fan-in=",
        "fan-in=x",
        "fan-in=-1",
        "fan-in=1.5",
        "=3",
    ],
)
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
