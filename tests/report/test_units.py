from __future__ import annotations

import pytest

from neutrams.report.tables import short
from neutrams.report.units import area, count, percent, quantity


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 J"),
        (2.5e-6, "2.50 µJ"),
        (0.0009999, "1.00 mJ"),
        (12.34, "12.3 J"),
        (123.4, "123 J"),
        (999.6, "1.00 kJ"),
        (3e-13, "300 fJ"),
        (-2e-3, "-2.00 mJ"),
    ],
)
def test_three_digits_and_a_prefix(value: float, text: str) -> None:
    assert quantity(value, "J") == text


def test_counts_shares_and_areas() -> None:
    assert count(206976.4) == "206,976"
    assert count(2.5e6) == "2.50 M"
    assert percent(0.1234) == "12.3 %"
    assert area(5.72) == "5.72 mm²"
    assert area(0.00204) == "2,040 µm²"


def test_long_names_keep_both_ends() -> None:
    name = "/features/stage3/block2/conv1/Conv_output_0"
    assert len(short(name)) == 24
    assert short(name).startswith("/features")
    assert short(name).endswith("output_0")
    assert short("fc") == "fc"
