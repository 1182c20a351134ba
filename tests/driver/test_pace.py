"""What a long run of clocks tells on its way."""

from __future__ import annotations

import time

import pytest

from neutrams.driver.clocked import pace
from neutrams.driver.clocked.pace import Pace


def test_a_run_tells_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look each 0.1 s, after 10,000 clocks and 10 of 500 items; the first may have compiled."""
    seconds = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: next(seconds) / 10)
    told: list[tuple[str, int, int]] = []
    made = Pace(lambda *each: told.append(each), "run", items=500, clock_s=1e-9)
    clocks = [made.next(10_000 * look, 10 * look) for look in range(5)]
    assert clocks == [10_000 * look + pace.FIRST for look in range(5)]
    texts, done, total = zip(*told, strict=True)
    assert done == (0, 10, 20, 30, 40)
    assert set(total) == {500}
    assert texts[0] == "run: 0.0 µs"
    assert texts[1] == "run: 10.0 µs"
    assert texts[2] == "run: 20.0 µs, 100,000 clocks/s, 5 s left"


def test_looks_come_neither_too_often_nor_too_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each clock takes 10 ns: looks settle between the bounds."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    made, clock, gaps = Pace(lambda *_: None, "run", items=1, clock_s=1e-9), 0, []
    for _ in range(30):
        then = made.next(clock, 0)
        gaps.append((then - clock) * 1e-8)
        now[0] += gaps[-1]
        clock = then
    assert pace.SOON <= gaps[-1] <= pace.LATE
