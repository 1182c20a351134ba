"""Processes that work for this one and end with it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess

from threadpoolctl import threadpool_limits

from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.processors import processors

GUARD = (
    'a script of your own that asks for jobs must do so below `if __name__ == "__main__":`, '
    "since each process imports it"
)


@contextmanager
def processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Yield so many processes; when the block is left, whatever they do is ended.

    Each has its share of the processors for BLAS.

    Raises:
        NeutramsError: NT0546, a process was ended from outside.
    """
    others = set(active_children())
    threads = max(1, processors() // jobs)
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (threads,))
    done = False
    try:
        yield pool
        done = True
    except BrokenProcessPool:
        fault = error("NT0546", "a process was ended from outside")
        fault = fault.note("often because memory ran out; what is in a file already is kept")
        fault = fault.help("run it again with fewer --jobs")
        raise NeutramsError(fault.help(GUARD)) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        mine = set(active_children()) - others
        for process in mine:
            if not done:
                process.terminate()
        for process in mine:
            process.join()


def _begin(threads: int) -> None:
    """Leave Ctrl-C, which the terminal sends to all processes, to the one that asked for it.

    A process ends with its parent, be that killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent_process(),), daemon=True).start()
    threadpool_limits(threads)


def _end_with(parent: BaseProcess | None) -> None:
    if parent is not None:
        parent.join()
        os._exit(1)
