"""Ctrl-C, heard where a run can stop and go on later."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""What asks a run to stop: Ctrl-C, an end from outside, a terminal that is closed."""


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
    """Yield what :data:`SIGNALS` ask for while the block runs; a second one ends it at once.

    Signals reach the main thread alone; in any other they are left as they are. So is one that is
    ignored, as by ``nohup`` or of a job in the background.
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

    heard = [each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
    before = {each: signal.signal(each, hear) for each in heard}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
