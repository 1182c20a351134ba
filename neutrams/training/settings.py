"""Torch's threads, device and determinism for the time of one training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from neutrams.ir.diagnostics import NeutramsError, error


def choose_device(wanted: str) -> str:
    """Return ``cpu`` or ``cuda``; ``auto`` takes a GPU where torch has one.

    Raises:
        NeutramsError: NT0216, no such device here.
    """
    import torch

    there = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if there else "cpu"
    if wanted not in ("cpu", "cuda") or (wanted == "cuda" and not there):
        raise NeutramsError(
            error("NT0216", f"torch has no device `{wanted}` here").help("use `device=auto`")
        )
    return wanted


@contextmanager
def settled(threads: int) -> Iterator[None]:
    """Fix the number of threads, and let a GPU neither shorten float32 nor pick kernels by time."""
    import torch

    before = torch.get_num_threads()
    flags = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    precise = torch.backends.cuda.matmul.allow_tf32
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with flags:
            yield
    finally:
        torch.set_num_threads(before)
        torch.backends.cuda.matmul.allow_tf32 = precise
