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
        self._slice = FIRST
        self._begun = self._last = time.perf_counter()
        self._from: tuple[int, int] | None = None

    def next(self, clock: int, done: int) -> int:
        """Return the clock of the next look, now that ``done`` items are done."""
        now = time.perf_counter()
        if self._from is None:
            self._from = clock, done
        elif now - self._last < SOON:
            self._slice *= 2
        elif now - self._last > LATE:
            self._slice = max(self._slice // 2, 1)
        self._last = now
        self._tell(self._text(clock, done, now - self._begun), done, self._items)
        return clock + self._slice

    def _text(self, clock: int, done: int, seconds: float) -> str:
        text = f"{self._name}: {clock * self._clock_s * 1e6:,.1f} µs"
        assert self._from is not None
        if clock > self._from[0] and seconds > 0:
            text += f", {(clock - self._from[0]) / seconds / 1e6:.2f} M clocks/s"
        if done > self._from[1] and seconds > 0:
            left = (self._items - done) * seconds / (done - self._from[1])
            text += f", {left:,.0f} s left"
        return text
