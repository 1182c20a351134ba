"""The grid of the study: networks, chips, methods and seeds, and the bars they are held to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from benchmarks.accuracy.networks import NETWORKS, Network

SEEDS = 5


@dataclass(frozen=True, slots=True)
class Chip:
    """`cim` with other crossbars and widths, and the narrowest lossless converters."""

    rows: int
    weights: int
    inputs: int
    outputs: int
    adc: int
    partial_sums: int = 0
    """Of one neuron that are added up between crossbars; 0 for any number, 1 for no adder."""

    @property
    def name(self) -> str:
        bits = f"{self.weights}/{self.inputs}"
        bits += "" if self.outputs == self.inputs else f"/{self.outputs}"
        return f"{self.rows} rows, {bits} bit" + (", no adder" if self.partial_sums == 1 else "")

    @property
    def overrides(self) -> dict[str, Any]:
        return {
            "core.rows": self.rows,
            "core.adc_bits": self.adc,
            "limits.weight_bits": self.weights,
            "limits.input_bits": self.inputs,
            "limits.output_bits": self.outputs,
            "limits.partial_sums": self.partial_sums,
        }


WIDE = Chip(256, 8, 8, 8, adc=9)
USUAL = Chip(128, 8, 8, 8, adc=8)
NARROW = Chip(64, 4, 4, 4, adc=7)
WIDE_SUMS = Chip(64, 4, 4, 8, adc=7)
"""What crossbars read has 4 bits; sums and averages of the vector unit keep 8."""
TWO_BITS = Chip(32, 2, 8, 8, adc=6)
PRIME = Chip(256, 8, 6, 6, adc=9)
"""The widths of Chi et al., ISCA 2016."""
NO_ADDER = Chip(128, 8, 8, 8, adc=8, partial_sums=1)
"""More crossbars must add up what a neuron's crossbars make."""
CHIPS = (WIDE, USUAL, NARROW, WIDE_SUMS, TWO_BITS, PRIME, NO_ADDER)


@dataclass(frozen=True, slots=True)
class Method:
    """How a network is made to obey a chip."""

    name: str
    strategy: str = "split-and-merge"
    retrain: str | None = None
    """Options of `retrain-units`; ``None`` for none at all."""
    widen: int | str = 1
    """What crossbars read in more bits than the chip's, as `--widen` says it."""
    bits: str = ""
    """Of single layers, as `--bits` says them; `{first}` is the one that reads the input, and
    `{digits}` stands for those of the network."""
    compiled: bool = True
    """Whether there is a chip; else the network is in float, and only its input is rounded."""


NONE = Method("none")
SGD = Method("sgd", retrain="method=sgd")
CLOSED = Method("closed form", retrain="method=gptq")
RETRAINED = Method("retrained", retrain="")
CLOSED_ORIGINAL = Method("closed form, input original", retrain="method=gptq input=original")
ORIGINAL_INPUT = Method("retrained, input original", retrain="input=original")
WIDENED = Method("retrained, inputs in 4 copies", retrain="", widen=4)
DIGITS = Method("retrained, inputs in digits", retrain="", widen="digits")
ALL_DIGITS = Method("retrained, all inputs of layers in digits", retrain="", widen="digits:all")
SOME_DIGITS = Method(
    "retrained, some layers in digits", retrain="", widen="digits:named", bits="{digits}"
)
FINE = Method("retrained, all in digits", retrain="", widen="digits:named", bits="*=8/8")
"""Weights too: 8-bit numbers on 4-bit crossbars throughout."""
ROUNDED_INPUT = Method("float, input rounded", compiled=False)
NARROW_INPUT = Method("retrained, only the input of 4 bits", retrain="", bits="{first}=8/4")
WIDENED_ORIGINAL = Method(
    "retrained, inputs in 4 copies and original", retrain="input=original", widen=4
)
PRUNED = Method("pruned", strategy="prune-and-refit")
PRUNED_RETRAINED = Method("pruned, retrained", strategy="prune-and-refit", retrain="")
HELD = (RETRAINED, WIDENED, DIGITS, SOME_DIGITS, ALL_DIGITS, FINE)
"""Methods that bars hold for."""
ABLATIONS = {
    CLOSED_ORIGINAL: CLOSED,
    ORIGINAL_INPUT: RETRAINED,
    WIDENED_ORIGINAL: WIDENED,
}
"""What is retrained on the original's values beside what it is compared with."""
METHODS = (
    NONE,
    SGD,
    CLOSED,
    CLOSED_ORIGINAL,
    RETRAINED,
    ORIGINAL_INPUT,
    WIDENED,
    WIDENED_ORIGINAL,
    DIGITS,
    SOME_DIGITS,
    ALL_DIGITS,
    FINE,
    ROUNDED_INPUT,
    NARROW_INPUT,
    PRUNED,
    PRUNED_RETRAINED,
)

ABLATED = ("mnist8", "LeNet-5", "ResNet-8")
ABLATED_CLOSED = ("mnist8", "ResNet-8", "deep CNN", "DS-CNN")
"""Where what a segment reads is compared by itself, with no last round to repair it."""
WIDE_INPUTS = ("ResNet-8", "DS-CNN")
"""4 bits are too few for what these networks are given."""
DIGITAL: Mapping[Method, Mapping[str, tuple[Chip, ...]]] = {
    DIGITS: {
        "ResNet-8": (NARROW, WIDE_SUMS),
        "DS-CNN": (NARROW, WIDE_SUMS),
    },
    ALL_DIGITS: {
        "ResNet-8": (NARROW, WIDE_SUMS),
        "DS-CNN": (NARROW, WIDE_SUMS),
        "Silero VAD": (NARROW, WIDE_SUMS),
        "BraggNN": (NARROW, WIDE_SUMS),
        "auto-encoder": (NARROW,),
    },
    SOME_DIGITS: {
        "auto-encoder": (NARROW,),
        "Silero VAD": (NARROW,),
        "BraggNN": (WIDE_SUMS,),
    },
    FINE: {"auto-encoder": (NARROW,), "Silero VAD": (NARROW,)},
}
"""Networks and chips for which numbers are in digits, where 4 bits lose too much."""
PRUNABLE = ("MLP 784-50-10-10", "MLP 784-300-10", "MLP 784-512-256-10", "LeNet-5")
EXPORTED = ("MLP 784-512-256-10", "LeNet-5")
"""Held to a narrower bar at 8 bits, and against their integer ONNX."""


@dataclass(frozen=True, slots=True)
class Case:
    """One network on one chip by one method, with one seed."""

    network: Network
    chip: Chip
    method: Method
    seed: int

    @property
    def name(self) -> str:
        return f"{self.network.name} | {self.chip.name} | {self.method.name} | {self.seed}"

    @property
    def exported(self) -> bool:
        return self.network.name in EXPORTED and self.chip == USUAL


def cases(*, seeds: int = SEEDS) -> Iterator[Case]:
    """Yield every case, network by network, so that each process loads their data once."""
    for network in NETWORKS:
        for seed, chip, method in product(range(seeds), CHIPS, METHODS):
            if seed < seeds_of(network, method) and _asked(network, chip, method):
                yield Case(network, chip, method, seed)


def seeds_of(network: Network, method: Method) -> int:
    return 1 if network.quantised or not method.compiled else SEEDS


def _asked(network: Network, chip: Chip, method: Method) -> bool:
    if network.quantised:
        return chip == USUAL and method == NONE
    if chip == NO_ADDER:
        return network.mnist and method in (NONE, RETRAINED)
    if not method.compiled:
        return chip == NARROW
    if method == NARROW_INPUT:
        return bool(network.first) and chip == USUAL
    if method in DIGITAL:
        return chip in DIGITAL[method].get(network.name, ())
    if method == WIDENED:
        return network.name in WIDE_INPUTS and chip in (NARROW, WIDE_SUMS)
    if method == WIDENED_ORIGINAL:
        return network.name in WIDE_INPUTS and chip == WIDE_SUMS
    if chip == WIDE_SUMS:
        return not network.mnist and method in (NONE, SGD, RETRAINED)
    if method in (PRUNED, PRUNED_RETRAINED):
        return network.name in PRUNABLE and chip in (WIDE, USUAL)
    if method == CLOSED:
        return chip in (NARROW, TWO_BITS)
    if method == CLOSED_ORIGINAL:
        return network.name in ABLATED_CLOSED and chip in (NARROW, TWO_BITS)
    if method == ORIGINAL_INPUT:
        return network.name in ABLATED and chip in (NARROW, TWO_BITS)
    return True


@dataclass(frozen=True, slots=True)
class Bar:
    """The most that may be lost, in the unit of the network's losses; or the least likeness."""

    loss: float = 0.0
    correlation: float = 0.99
    agreement: float = 0.99


def bar(network: Network, chip: Chip) -> Bar | None:
    """Return what a retrained network is held to, if anything."""
    if chip == NO_ADDER or (chip == TWO_BITS and network.name == "mnist8"):
        return Bar(1.0)
    if chip not in (WIDE, USUAL, NARROW, WIDE_SUMS):
        return None
    if network.kind != "points":
        return Bar({"errors": 3.0, "pixels": 0.05, "scores": 0.0}[network.kind])
    if network.name == "Fashion LeNet-5" and chip in (NARROW, WIDE_SUMS):
        return Bar(1.0)
    if network.name in EXPORTED and chip == USUAL:
        return Bar(0.05)
    if chip in (NARROW, WIDE_SUMS):
        return Bar(0.5 if network.mnist else 2.0)
    return Bar(0.1 if network.mnist else 0.5)
