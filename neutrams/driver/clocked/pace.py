"""How fast a run of clocks goes, and how often it is looked at."""

from __future__ import annotations

import time

from neutrams.driver.progress import Progress

FIRST = 20_000
"""Clocks until the first look."""
SOON, LATE = 0.05, 0.25
"""Seconds between two looks, about; Ctrl-C is heard there."""


class Pace:
    """Chooses how many clocks to run until the next look, and tells how far a run is."""

    def __init__(self, tell: Progress, name: str, *, items: int, clock_s: float) -> None:
        self._tell, self._name, self._items, self._clock_s = tell, name, items, clock_s
        self._slice, self._looks = FIRST, 0
        self._from = 0, 0, 0.0
        """Clock, items and seconds from which on speed is counted."""
        self._last = 0.0

    def next(self, clock: int, done: int) -> int:
        """Return the clock of the next look, now that ``done`` items are done."""
        now = time.perf_counter()
        if self._looks < 2:  # kernels may have been compiled until the second
            self._from = clock, done, now
        elif now - self._last < SOON:
            self._slice *= 2
        elif now - self._last > LATE:
            self._slice = max(self._slice // 2, 1)
        self._looks, self._last = self._looks + 1, now
        self._tell(self._text(clock, done, now), done, self._items)
        return clock + self._slice

    def _text(self, clock: int, done: int, now: float) -> str:
        first, before, begun = self._from
        text, seconds = f"{self._name}: {clock * self._clock_s * 1e6:,.1f} µs", now - begun
        if clock > first and seconds > 0:
            text += f", {(clock - first) / seconds:,.0f} clocks/s"
        if done > before and seconds > 0:
            text += f", {(self._items - done) * seconds / (done - before):,.0f} s left"
        return text
