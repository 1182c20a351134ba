"""What `benchmarks.bench_scale` makes of its measurements."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.bench_scale import LINES, Line, Point, chip, draw, layers, powers, show

LINE = Line("tick", "cores", (1, 10, 100), "cores")


def points(power: float, gb: float = 0.1) -> list[Point]:
    return [Point(size, 0.01 * size**power, gb * size) for size in LINE.sizes]


def test_powers_of_a_power() -> None:
    assert powers([(n, 3 * n**1.3) for n in (1.0, 8.0, 50.0)]) == pytest.approx((1.3, 1.3))
    whole, last = powers([(1.0, 1.0), (10.0, 10.0), (100.0, 1000.0)])
    assert last == pytest.approx(2)
    assert 1 < whole < last


def test_what_grows_too_fast_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(LINE, points(1.0))
    assert "OVER" not in capsys.readouterr().out
    assert not show(LINE, points(1.2))
    assert "time     grows as n^1.20 over 2.0 decades, in the last step n^1.20  OVER" in (
        capsys.readouterr().out
    )


def test_little_memory_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(LINE, points(1.0, gb=1e-5))
    assert "memory   stays below 20 MB" in capsys.readouterr().out


def test_the_lines_cover_a_decade_and_a_half() -> None:
    assert all(line.sizes[-1] >= 8 * line.sizes[0] for line in LINES)  # clocks grow as a square
    assert {line.grain for line in LINES} == {"compile", "tick", "cycle"}


def test_chips_grow_with_their_networks() -> None:
    small, large = (chip(layers(count)).machine.tiles for count in (1, 4))
    assert small < large


def test_the_picture_is_small(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(dict.fromkeys(LINES, points(1.0)), tmp_path / "scale.svg")
    assert 1_000 < (tmp_path / "scale.svg").stat().st_size < 100_000
