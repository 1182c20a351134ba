"""Ctrl-C, heard where a run can stop and go on later."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """A run stopped where it can go on."""

    checkpoint: str = ""
    """The file from which it does."""


class Stop:
    """Whether a run is asked to stop."""

    asked = False

    def check(self) -> None:
        """Stop here, if that is asked.

        Raises:
            Interrupted: it is.
        """
        if self.asked:
            raise Interrupted


@contextmanager
def stoppable(told: Callable[[], None]) -> Iterator[Stop]:
    """Yield what SIGINT and SIGTERM ask for while the block runs; a second one ends it at once.

    Signals reach the main thread alone; in any other they are left as they are.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def hear(number: int, frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True
        told()

    before = {each: signal.signal(each, hear) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
