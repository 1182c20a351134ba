"""What a pass is, and what it is given besides the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from neutrams.ir.diagnostics import Location, NeutramsError, error
from neutrams.ir.graph import Graph, Level
from neutrams.ir.op import Op
from neutrams.ir.target import Target
from neutrams.ir.types import Array
from neutrams.passes.counterparts import Known
from neutrams.passes.observers import Histogram

Kind = Literal["done", "missed", "crossbar", "digital"]


MOST_MOVED = 2.0
"""Outputs that move by more than twice their own size are wrong at any precision."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What a pass did to one op, or nearly did, and why."""

    kind: Kind
    """Done, missed with the reason, or where the op will run: on crossbars or digitally."""
    op: str
    value: str
    """The name of the op's first result; empty where it has none."""
    text: str
    where: Location | None = None
    by: str = ""
    """The pass that says so."""

    def __str__(self) -> str:
        subject = f"`%{self.value}` ({self.op})" if self.value else f"`{self.op}`"
        return f"{self.by}: {subject}: {self.text}"


@dataclass(frozen=True, slots=True)
class PassTiming:
    """Wall-clock time of one run of a pass."""

    name: str
    seconds: float
    changed: bool


@dataclass(frozen=True, slots=True)
class PassLoss:
    """What one run of a pass did to the network's answers on calibration samples."""

    name: str
    change: float
    """Of the outputs: RMS of the change over the RMS before the pass."""
    kept: float
    """Share of the answers that are the same after it as before it, or as the original's."""
    agreement: float
    """Share of the original network's answers that are the same."""
    accuracy: float | None
    """Share of samples given their label's class, where labels are known."""
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Where the weights of a unit that reads parts of a product's inputs come from."""

    fan_in: int
    """Inputs that a neuron of the whole product reads."""
    source: Array
    """``[outputs, inputs]`` places in the whole matrix, flattened; -1 where there is no weight."""


@dataclass
class PassContext:
    """What passes share in one run: the chip, the calibration data, and what they report."""

    target: Target | None = None
    calibration: Mapping[str, Array] | None = None
    """One array for each graph input, by name; samples run along the first axis."""
    teacher: Graph | None = None
    """The float network with its ranges, as it was before it was quantised."""
    original: Graph | None = None
    """The network before connections were cut; ``None`` where the teacher has them all."""
    grids: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Scale and zero point of the integer values that `lower-units` made, by name."""
    parts: dict[str, Parts] = field(default_factory=dict)
    """What `merge-through-cores` cut a product into, by the name of the new product's result."""
    reads: int = 0
    """Bits that products read until `split-digits` gives them as digits; 0 for the target's."""
    holds: int = 0
    """Bits of weights, likewise."""
    counterparts: Known = field(default_factory=dict)
    """Which weights of the network units hold, where they hold no product's whole matrix."""
    seen: dict[str, Histogram] = field(default_factory=dict)
    """What values of the float network are on the calibration data, by name, once watched."""
    checkpoints: str = ""
    """A folder in which long passes keep what they have done so far; empty for none."""
    progress: Callable[[str, int, int], None] | None = None
    """Told by long passes what is done, how much of it, and how much there is."""
    seed: int = 0
    labels: Array | None = None
    """Class numbers of the calibration samples, for what is said of losses."""
    measure_losses: bool = False
    """Judge the network on calibration samples before and after every pass."""
    gate: float = 0.0
    """Share of the answers that every pass must keep, unless it states its own."""
    verify_each: bool = False
    """Check structure after every pass and, with calibration data, outputs before and after."""
    print_after: bool | frozenset[str] = False
    """Give ``emit`` the text of the graph after every pass, or after those named."""
    timing: bool = False
    """Give ``emit`` a table of times after the last pass."""
    emit: Callable[[str], None] | None = None
    """Receives what is asked for by ``print_after`` and ``timing``."""
    remarks: list[Remark] = field(default_factory=list)
    facts: dict[str, dict[str, str | int]] = field(default_factory=dict)
    """What else a result depends on, such as versions of libraries; for the manifest."""
    timings: list[PassTiming] = field(default_factory=list)
    losses: list[PassLoss] = field(default_factory=list)
    answers: dict[str, dict[str, Array]] = field(default_factory=dict)
    """Outputs by which passes are judged: ``original``, of the first judged, and ``latest``."""
    running: str = ""
    """The name of the pass that runs now."""

    def remark(self, op: Op, text: str, *, kind: Kind = "done") -> None:
        """Note what was done, what nearly was, or where an op will run."""
        value = op.results[0].name if op.results else ""
        self.remarks.append(Remark(kind, op.name, value, text, op.where, self.running))

    def need_target(self) -> Target:
        """Return the target.

        Raises:
            NeutramsError: NT0206, none was given.
        """
        if self.target is None:
            raise NeutramsError(
                error("NT0206", f"`{self.running}` needs a target")
                .note("it obeys the limits of a chip, and no chip was named")
                .help("name one: `--target cim`")
            )
        return self.target


@dataclass(frozen=True)
class Pass:
    """One rewrite of a graph. A subclass is a frozen dataclass whose fields are its options."""

    name: ClassVar[str]
    takes: ClassVar[tuple[Level, ...]] = ("nn", "unit")
    """Levels of graph it can be given."""
    gives: ClassVar[Level | None] = None
    """The level it leaves the graph at; ``None`` where that stays as it was."""
    obeys_limits: ClassVar[bool] = False
    """Whether every unit by itself is within the target's limits when it is done."""
    descends: ClassVar[bool] = False
    """Whether it is run on the cells that a graph calls, before it is run on the graph."""
    converters: ClassVar[bool] = False
    """Whether what it does depends on what converters lose."""
    rms_bound: ClassVar[float] = 1e-4
    """How far the outputs may move: root mean square of the change over that of the output."""

    retention: float = field(default=0.0, kw_only=True)
    """Share of the answers on calibration data that the pass must keep; 0 for no such gate."""

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        """Change a valid graph into a valid graph and say whether anything changed."""
        raise AssertionError(f"{self.name} does nothing")

    def bound(self, target: Target | None) -> float:
        """Return ``rms_bound``, or what it is with the options at hand and a chip's widths."""
        return self.rms_bound
