"""The one door to Numba: compile a function over arrays when it is first called.

Importing this module, or one that decorates, does not import Numba. With ``NUMBA_DISABLE_JIT=1``
kernels run as plain Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import update_wrapper
from importlib import import_module
from typing import Any, Generic, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")

LOCATORS = ",".join(
    f"neutrams.ir.kernel_cache.{name}" for name in ("Provided", "InTree", "UserWide")
)
"""Numba imports them by name when it first compiles."""

prange = range
"""A range whose rounds may run at once in a kernel with ``parallel=True``; else a plain range."""


class Kernel(Generic[P, R]):
    """A top-level function over arrays and numbers, compiled on its first call and kept on disk.

    Kernels may call each other, those of other files too: what is kept is renewed when any file
    in their folders changes.
    """

    def __init__(self, function: Callable[P, R], *, parallel: bool, lean: bool = False) -> None:
        self.py_func = function
        """The function itself, which means the same without being compiled."""
        self._parallel, self._lean = parallel, lean
        self._compiled: Callable[P, R] | None = None
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._resolve()(*args, **kwargs)

    @property
    def _numba_type_(self) -> object:
        """What Numba reads of a global that a kernel calls."""
        kind: object = import_module("numba").typeof(self._resolve())
        return kind

    def _resolve(self) -> Callable[P, R]:
        if self._compiled is None:
            self._compiled = self._compile()
        return self._compiled

    def _compile(self) -> Callable[P, R]:
        numba = import_module("numba")
        options = {"fastmath": False, "nogil": True, "parallel": self._parallel}
        if self._lean:
            options["_nrt"] = False
        if self._parallel:
            _name_parallel_ranges(self.py_func, numba.prange)
        try:
            with _kept_by(LOCATORS, numba.config):
                compiled = numba.njit(cache=True, **options)(self.py_func)
            if hasattr(compiled, "_cache"):  # else it stays plain Python
                files = import_module("neutrams.ir.kernel_files").Files
                compiled._cache._cache_file = files.of(compiled._cache._cache_file)
        except RuntimeError:  # no folder can hold the cache: compile in each process
            compiled = numba.njit(**options)(self.py_func)
        found: Callable[P, R] = compiled
        return found


@contextmanager
def _kept_by(locators: str, config: Any) -> Iterator[None]:
    """Let Numba look up with these where a function's cache is, and with its own again after."""
    before = config.CACHE_LOCATOR_CLASSES
    config.CACHE_LOCATOR_CLASSES = locators
    try:
        yield
    finally:
        config.CACHE_LOCATOR_CLASSES = before


def _name_parallel_ranges(function: Callable[..., object], parallel: object) -> None:
    """Numba knows its own ``prange`` by identity; as plain Python that one is a range too."""
    scope: dict[str, object] = getattr(function, "__globals__", {})
    if scope.get("prange") is prange:
        scope["prange"] = parallel


@overload
def kernel(function: Callable[P, R], /) -> Kernel[P, R]: ...


@overload
def kernel(*, parallel: bool = ...) -> Callable[[Callable[P, R]], Kernel[P, R]]: ...


def kernel(
    function: Callable[P, R] | None = None, /, *, parallel: bool = False
) -> Kernel[P, R] | Callable[[Callable[P, R]], Kernel[P, R]]:
    """Turn a top-level function into a kernel: cached, without fast math, free of the GIL.

    ``parallel`` spreads loops over :data:`prange` on all threads. A kernel must give the same
    result uncompiled (``.py_func``), so it sums floats in a fixed order and lets no integer wrap.
    """
    if function is not None:
        return Kernel(function, parallel=parallel)

    def decorate(inner: Callable[P, R]) -> Kernel[P, R]:
        return Kernel(inner, parallel=parallel)

    return decorate


def lean_kernel(function: Callable[P, R], /) -> Kernel[P, R]:
    """Turn a function into a kernel that makes no arrays, nor calls one that does.

    Numba then need not count who uses which array, at the begin and end of every call: of small
    kernels that call each other with many arrays, that takes most of the time.
    """
    return Kernel(function, parallel=False, lean=True)
