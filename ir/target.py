"""A chip as data: what it can hold (limits), how it is built (machine), what it costs (costs).

Numbers come from TOML through :mod:`neutrams.targets`; nothing here has a default but what the
format allows to be left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

Coding = Literal["offset", "differential", "analog-differential", "twos-complement"]
"""How columns hold signed weights: biased by half the range; as a pair of columns for the positive
and the negative magnitude, each with a converter or with one for the difference of their currents;
or with the top bit in a column of its own, which counts as negative."""


def slices_of(weight_bits: int, cell_bits: int, coding: Coding) -> int:
    """Return the cells that hold one weight, in one polarity."""
    magnitude = -(-max(weight_bits - (coding != "offset"), 1) // cell_bits)
    return magnitude + (coding == "twos-complement")


def polarities_of(coding: Coding) -> int:
    """Return how many columns each slice of a weight takes."""
    return 2 if paired(coding) else 1


def paired(coding: str) -> bool:
    """Say whether a weight is the difference of two, each 0 or more."""
    return coding in ("differential", "analog-differential")


def least_of(weight_bits: int, coding: str) -> int:
    """Return the least weight of so many bits; pairs of columns have as many above 0 as below."""
    return -int(2 ** (weight_bits - 1)) + paired(coding)


AdcMode = Literal["clip", "scale"]
Rescaling = Literal["float", "power-of-two"]
Place = Literal["crossbar", "core", "tile", "router", "chip"]


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers that a chip holds: ``low``, ``low + step``, …, ``high``.

    A unit holds each as an integer, its *code*: the number in steps. What real number a code
    stands for is free, for a scale is the compiler's to choose.
    """

    low: float
    high: float
    step: float = 1.0

    @property
    def codes(self) -> tuple[int, int]:
        """The least and the largest code."""
        return round(self.low / self.step), round(self.high / self.step)


ALL = "all"
"""In place of functions: the chip has every one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one unit must obey."""

    fan_in: int
    """Inputs a unit may read: at most ``core.rows``."""
    neurons: int
    """Outputs a unit may make: at most what the columns of a crossbar hold after slicing."""
    weight_bits: int
    input_bits: int
    output_bits: int
    accumulator_bits: int
    """Width of the digital sum over blocks, in two's complement."""
    partial_sums: int = 0
    """Partial sums of one neuron, each of a crossbar of its own, that the chip adds up digitally:
    0 for any number, 1 where it has no adder between crossbars."""
    weight_range: Range | None = None
    """Tighter than what ``weight_bits`` hold; ``None`` for those. A least weight of 0 says that the
    chip has unsigned weights only."""
    input_range: Range | None = None
    """``None`` for the unsigned integers of ``input_bits``."""
    output_range: Range | None = None
    """``None`` for any integers of ``output_bits``."""
    bias_range: Range | None = None
    """What a neuron may add to its sum of products (a leak); ``None`` for any."""
    fan_out: int = 0
    """Crossbars that may read one result of a unit; 0 for any number."""
    crossbar_fan_out: int = 0
    """Crossbars that may read any result of the neurons of one crossbar; 0 for any number."""
    functions: tuple[str, ...] = (ALL,)
    """What the chip does to sums and activations beside its products: names of ops without their
    family, or ``all``. See :mod:`neutrams.ir.functions`."""
    lut_entries: int = 0
    """Entries of a look-up table; 0 for any number."""
    rescale: Rescaling = "float"
    """What sums and activations may be multiplied by: any float32, or powers of two only."""


@dataclass(frozen=True, slots=True)
class Core:
    """A group of crossbars that share input registers (ISAAC: an in-situ multiply-accumulate)."""

    crossbars: int
    rows: int
    columns: int
    """Cell columns, without the unit column of offset coding."""
    cell_bits: int
    dac_bits: int
    adc_bits: int
    adcs: int
    """Converters of one crossbar."""
    coding: Coding
    """How a crossbar holds signed weights."""
    column_flip: bool
    """Columns whose worst-case sum would pass half of the full range are stored inverted."""
    adc_mode: AdcMode
    """What a converter does with a sum above its range: clip, or scale all sums by a power of 2."""
    read_ns: float
    """Time of one crossbar read: one DAC phase, all columns converted."""
    pipeline_cycles: int
    """Reads-long cycles from buffer to buffer, beyond the phases themselves (ISAAC: 22 - 16)."""
    write_ns: float
    """Time to write one row of cells of one crossbar."""
    rows_at_once: int
    """Rows of a core that are written at once; cores are written side by side."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Cores around a shared buffer, with a digital vector unit for all a crossbar cannot do."""

    cores: int
    buffer_bytes: int
    bus_bits: int
    vector_lanes: int
    """Element operations the vector unit does in one clock."""
    clock_ghz: float


@dataclass(frozen=True, slots=True)
class Network:
    """The two-dimensional mesh between routers; each router serves ``tiles_per_router`` tiles."""

    columns: int
    rows: int
    tiles_per_router: int
    flit_bits: int
    router_cycles: int
    link_cycles: int
    clock_ghz: float
    multicast: bool = False
    """Whether routers copy flits, so that what several tiles want travels once."""


@dataclass(frozen=True, slots=True)
class CoreKind:
    """Cores with crossbars of one size. All kinds share cells, converters and the rest."""

    name: str
    rows: int
    columns: int
    per_tile: int
    """Cores of the kind in each tile."""
    parts: tuple[tuple[str, int], ...] = ()
    """Instances of a component in each crossbar or core, where they are not those of ``core``."""

    @property
    def cells(self) -> int:
        """Cells of one crossbar."""
        return self.rows * self.columns

    def count_of(self, component: Component) -> int:
        """Return the instances of a component that one crossbar, or one core, of the kind has."""
        return dict(self.parts).get(component.name, component.count)


@dataclass(frozen=True, slots=True)
class Machine:
    core: Core
    tile: Tile
    network: Network
    io_gbytes_per_s: float
    """What goes on or off the chip in a second."""
    tiles: int
    """Tiles of the chip; at most ``columns × rows × tiles_per_router``."""
    smaller: tuple[CoreKind, ...] = ()
    """Further kinds of core, with crossbars no larger than those of ``core``."""

    @property
    def kinds(self) -> tuple[CoreKind, ...]:
        """All kinds of core, ``core`` first; in each tile their cores stand in this order."""
        first = CoreKind("core", self.core.rows, self.core.columns, self.tile.cores)
        return (first, *self.smaller)

    @property
    def cores_per_tile(self) -> int:
        return sum(kind.per_tile for kind in self.kinds)

    @property
    def routers(self) -> int:
        """Routers of the whole mesh, which is built in full even where a slot holds no tile."""
        return self.network.columns * self.network.rows

    @property
    def cores(self) -> int:
        return self.tiles * self.cores_per_tile

    @property
    def crossbars(self) -> int:
        return self.cores * self.core.crossbars


@dataclass(frozen=True, slots=True)
class Component:
    """One kind of part: how many there are, and what one of them, or one event in it, costs."""

    name: str
    place: Place
    """What holds ``count`` of it."""
    count: int
    energy_pj: tuple[tuple[str, float], ...]
    """Energy of one event, for each event counter the part is charged for. A zero says that the
    event is paid for elsewhere, so that it does not count as forgotten."""
    area_mm2: float
    """Area of one instance."""
    power_mw: float
    """Power of one instance when busy all the time (the published figure), ``static_mw`` in it."""
    static_mw: float
    """Power of one instance that is switched on, even when idle."""
    source: str
    """Where the numbers come from."""
    assumed: tuple[str, ...]
    """Fields above that are assumptions, not published figures: ``area_mm2``, ``power_mw``,
    ``static_mw``, ``energy_pj`` (all events) or ``energy_pj.<event>``."""

    def assumes(self, name: str) -> bool:
        """Tell whether the number in a field (``energy_pj.<event>`` for one event) is assumed."""
        return name in self.assumed or name.partition(".")[0] in self.assumed


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    description: str
    limits: Limits
    machine: Machine
    costs: tuple[Component, ...]
    source: str = field(default="", compare=False)
    """The TOML file it was read from, for diagnostics; empty when built in memory."""

    @property
    def slices(self) -> int:
        """Cells that hold one weight (in one polarity)."""
        core = self.machine.core
        return slices_of(self.limits.weight_bits, core.cell_bits, core.coding)

    @property
    def phases(self) -> int:
        """Crossbar reads that feed one input."""
        return -(-self.limits.input_bits // self.machine.core.dac_bits)

    @property
    def columns_per_neuron(self) -> int:
        return self.slices * polarities_of(self.machine.core.coding)

    @property
    def weight_codes(self) -> tuple[int, int]:
        """The least and the largest weight that a cell holds and the chip allows."""
        high = 2 ** (self.limits.weight_bits - 1) - 1
        low = least_of(self.limits.weight_bits, self.machine.core.coding)
        return _within(self.limits.weight_range, low, high)

    @property
    def input_codes(self) -> tuple[int, int]:
        """The least and the largest integer that a crossbar reads."""
        return _codes(self.limits.input_range, self.limits.input_bits)

    @property
    def output_codes(self) -> tuple[int, int]:
        """The least and the largest integer that a unit gives out."""
        return _codes(self.limits.output_range, self.limits.output_bits)

    @property
    def chosen_weights(self) -> tuple[int, int]:
        """The weights that rounding chooses from: symmetric where the chip states no range.

        Unsigned ones come in pairs, so that they hold negative weights too.
        """
        low, high = self.weight_codes
        if self.limits.weight_range is None:
            return -high, high
        return (low, high) if low else (-high, high)

    @property
    def activation_codes(self) -> tuple[int, int]:
        """Integers that units both give out and read; unsigned where the chip leaves it open."""
        limits = self.limits
        stated = limits.input_range or limits.output_range
        low, high = _codes(stated, min(limits.input_bits, limits.output_bits))
        return _within(limits.output_range, *_within(limits.input_range, low, high))

    def at_precision(self, *, weight_bits: int, input_bits: int) -> Target:
        """Return the same chip run with fewer bits than its limits allow.

        Narrower weights take fewer slices, so a crossbar holds more neurons, unless the target
        states a smaller limit of its own. Structure, area and event energies stay.
        """
        limits = self.limits
        assert 1 <= weight_bits <= limits.weight_bits, weight_bits
        assert 1 <= input_bits <= limits.input_bits, input_bits
        narrow = replace(
            limits,
            weight_bits=weight_bits,
            input_bits=input_bits,
            output_bits=min(limits.output_bits, input_bits),
        )
        fit = replace(self, limits=narrow)._neurons_that_fit
        neurons = fit if limits.neurons == self._neurons_that_fit else min(limits.neurons, fit)
        return replace(self, limits=replace(narrow, neurons=neurons))

    def neurons_at(self, weight_bits: int) -> int:
        """Return the most neurons of a unit with weights of so many bits."""
        narrow = min(weight_bits, self.limits.weight_bits)
        made = self.at_precision(weight_bits=narrow, input_bits=self.limits.input_bits)
        return made.limits.neurons

    def block_limits(self, weight_bits: int) -> tuple[tuple[int, int], ...]:
        """Return rows and neurons of the largest block of each kind of core, for such weights."""
        neurons = self.neurons_at(weight_bits)
        narrow = replace(self, limits=replace(self.limits, weight_bits=weight_bits))
        return tuple(
            (
                min(self.limits.fan_in, kind.rows),
                min(neurons, kind.columns // narrow.columns_per_neuron),
            )
            for kind in self.machine.kinds
        )

    @property
    def _neurons_that_fit(self) -> int:
        return self.machine.core.columns // self.columns_per_neuron


def _within(held: Range | None, low: int, high: int) -> tuple[int, int]:
    if held is None:
        return low, high
    least, most = held.codes
    return max(low, least), min(high, most)


def _codes(held: Range | None, bits: int) -> tuple[int, int]:
    """Return a range's codes, as many as the bits hold; signed where the range is."""
    low = -(2 ** (bits - 1)) if held is not None and held.low < 0 else 0
    return _within(held, low, low + 2**bits - 1)
