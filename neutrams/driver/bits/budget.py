"""What a plan of bits may lose or cost, and how loss is counted."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.types import Array
from neutrams.passes.answers import Outputs, classes, relative_error

SHARES = ("energy", "crossbars", "latency")
LOSS = 0.5
"""Points that may be lost where no budget was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a plan may lose or cost, beside the same network at the chip's full bits."""

    loss: float | None = None
    """Points of accuracy (labels), of agreement with the float network, or of relative error."""
    energy: float | None = None
    """Share of the energy of an inference; so are the others of theirs."""
    crossbars: float | None = None
    latency: float | None = None

    def __post_init__(self) -> None:
        faults = [
            error("NT0560", f"a budget of {name} of {value:g} is out of range").note(
                "a loss is 0 points or more, a share above 0 and at most 1"
            )
            for name, value in asdict(self).items()
            if value is not None and not (value >= 0 if name == "loss" else 0 < value <= 1)
        ]
        if faults:
            raise NeutramsError(*faults)

    @property
    def shares(self) -> dict[str, float]:
        found = {name: getattr(self, name) for name in SHARES}
        return {name: share for name, share in found.items() if share is not None}


@dataclass(frozen=True, slots=True)
class Judge:
    """Counts points lost beside the network at full bits."""

    name: str
    expected: Outputs
    """What the float network puts out."""
    right: Array | None
    """The class that each sample should be given; ``None`` where there are no classes."""
    usual: float
    """Points at full bits."""

    @staticmethod
    def of(teacher: Outputs, labels: Array | None, reference: Outputs) -> Judge:
        known = labels is not None and labels.ndim == 1 and labels.dtype.kind in "iub"
        own = classes(teacher)
        right = labels if known and own is not None else own
        name = "relative error" if own is None else "accuracy" if known else "agreement"
        blank = Judge(name, teacher, right, 0.0)
        return Judge(name, teacher, right, -blank.lost(reference))

    def lost(self, outputs: Outputs) -> float:
        if self.right is None:
            return self.usual + 100 * relative_error(outputs, self.expected)
        found = classes(outputs)
        assert found is not None, "outputs have the shape of the teacher's"
        return self.usual - 100 * float((found == self.right).mean())
