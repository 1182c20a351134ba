"""What a model may ask for before it is refused, so that no file can exhaust the machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImportLimits:
    memory_bytes: int = 4 << 30
    """Bytes of all weights together, and of any one value."""
    folded_bytes: int = 1 << 30
    """Bytes that folded constants may take beyond what they were made from."""
    depth: int = 16
    """Graphs inside graphs and functions inside functions."""
    nodes: int = 50_000
    """Nodes after functions are expanded and loops unrolled."""
