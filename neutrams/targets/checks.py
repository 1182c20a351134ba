"""Do the parts of a target agree with each other, and are its constants believable?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from neutrams.ir.diagnostics import Diagnostic, error, warning
from neutrams.ir.events import EVENTS
from neutrams.ir.target import ALL, Component, Range
from neutrams.targets.layers import Stack
from neutrams.targets.near import suggest
from neutrams.targets.resolve import by_widths, limits_of, neurons_that_fit
from neutrams.targets.schema import (
    ChipSection,
    CoreSection,
    CostSection,
    Key,
    KindSection,
    LimitsSection,
    NetworkSection,
)

_CONVERTER_PJ = (0.01, 100.0)
_CELL_PJ = (1e-5, 10.0)
_WRITE_PJ = (1e-3, 1e4)
_DIGITAL_PJ = (1e-3, 100.0)
_BYTE_PJ = (0.01, 1e4)
_BELIEVABLE_PJ: dict[str, tuple[float, float]] = {
    "crossbar_reads": (0.01, 1e4),
    "cell_macs": _CELL_PJ,
    "cell_writes": _WRITE_PJ,
    "dac_drives": _CONVERTER_PJ,
    "input_steps": _CELL_PJ,
    "cell_steps": _CELL_PJ,
    "adc_conversions": _CONVERTER_PJ,
    "shift_adds": _DIGITAL_PJ,
    "reduce_adds": _DIGITAL_PJ,
    "vector_ops": _DIGITAL_PJ,
    "lookups": _DIGITAL_PJ,
    "pool_ops": _DIGITAL_PJ,
}
"""Energy of one event over the published designs in ``reference``, and a wide margin."""


def core_faults(core: CoreSection, stack: Stack) -> Iterator[Diagnostic]:
    """Yield what a core contradicts in itself."""
    if core.column_flip and core.coding != "offset":
        fault = error("NT0314", f"`core.column_flip` does not go with `{core.coding}` coding")
        fault = fault.at(stack.where(("core", "column_flip")), "is true")
        fault = fault.at(stack.where(("core", "coding")), f'is "{core.coding}"')
        fault = fault.note("a flipped column is restored with the unit column of offset coding")
        yield fault.help("set `core.column_flip = false`, or `core.coding` to `offset`")
    if by_widths(core.read_ns, core) <= 0:
        fault = error("NT0305", "`core.read_ns` must be above 0 for the widths of the converters")
        yield fault.at(stack.where(("core", "read_ns")), "is 0")
    sums = core.columns // (2 if core.coding == "analog-differential" else 1)
    if core.adcs > sums:
        fault = _above(stack, ("core", "adcs"), core.adcs, ("core", "columns"), core.columns)
        yield fault if sums == core.columns else fault.note("two columns have one converter")


def limit_faults(limits: LimitsSection, core: CoreSection, stack: Stack) -> Iterator[Diagnostic]:
    """Yield limits that the core cannot keep."""
    if limits.fan_in is not None and limits.fan_in > core.rows:
        key = ("limits", "fan_in")
        yield _above(stack, key, limits.fan_in, ("core", "rows"), core.rows)
    if core.dac_bits > limits.input_bits:
        key = ("core", "dac_bits")
        yield _above(stack, key, core.dac_bits, ("limits", "input_bits"), limits.input_bits)
    if core.coding != "offset" and limits.weight_bits < 2:
        fault = error("NT0314", f"{core.coding} coding needs a sign and at least one bit")
        yield fault.at(stack.where(("limits", "weight_bits")), f"is {limits.weight_bits}")
    yield from _neuron_faults(limits, core, stack)
    yield from _range_faults(limits, stack)
    yield from _function_faults(limits, stack)
    fan_in = limits_of(limits, core).fan_in
    needed = limits.input_bits + limits.weight_bits + (fan_in - 1).bit_length()
    if limits.accumulator_bits < needed:
        key = ("limits", "accumulator_bits")
        fault = error("NT0314", "the sum of one full crossbar may overflow the accumulator")
        fault = fault.at(stack.where(key), f"is {limits.accumulator_bits}, {needed} are needed")
        yield fault.note(
            f"{limits.input_bits}-bit inputs times {limits.weight_bits}-bit weights "
            f"over a fan-in of {fan_in}"
        )


def _neuron_faults(limits: LimitsSection, core: CoreSection, stack: Stack) -> Iterator[Diagnostic]:
    fit = neurons_that_fit(limits, core)
    if limits.neurons is None and fit >= 1:
        return
    if limits.neurons is not None and limits.neurons <= fit:
        return
    message = f"{limits.neurons or 1} neurons do not fit the columns of a crossbar"
    fault = error("NT0314", message)
    if limits.neurons is not None:
        fault = fault.at(stack.where(("limits", "neurons")), f"is {limits.neurons}")
    fault = fault.at(stack.where(("core", "columns")), f"holds {fit} neurons")
    yield fault.note(
        f"weights have {limits.weight_bits} bits, cells {core.cell_bits}; coding is {core.coding}"
    )


def _range_faults(limits: LimitsSection, stack: Stack) -> Iterator[Diagnostic]:
    """Yield ranges without 0 or whose ends are between steps."""
    for name in ("weight_range", "input_range", "output_range", "bias_range"):
        triple: list[float] | None = getattr(limits, name)
        if triple is not None and (why := _no_range(triple)) is not None:
            key = ("limits", name)
            fault = error("NT0314", f"`limits.{name}` is no range of a chip").note(why)
            fault = fault.at(stack.where(key), f"is {triple}")
            yield fault.help("write [low, high] or [low, high, step], as in [-7, 7]")


def _no_range(triple: list[float]) -> str | None:
    held = Range(*triple)
    if not held.low <= 0 < held.high:
        return "it goes from `low` to `high`, and holds 0 and a number above it"
    if held.step <= 0:
        return "its step is above 0"
    ends = (held.low / held.step, held.high / held.step)
    if any(abs(end - round(end)) > 1e-6 * max(1.0, abs(end)) for end in ends):
        return "its ends are whole numbers of steps"
    return None


def _function_faults(limits: LimitsSection, stack: Stack) -> Iterator[Diagnostic]:
    if limits.functions == [ALL]:
        return
    known = _functions()
    for word in limits.functions:
        if word not in known:
            fault = error("NT0305", f"there is no function `{word}`")
            yield suggest(fault.at(stack.where(("limits", "functions"))), word, known)


def _functions() -> list[str]:
    """Return every function a chip can be said to have; loads every op."""
    from neutrams.ir import ops  # noqa: F401
    from neutrams.ir.functions import FAMILIES, FLOAT, FREE
    from neutrams.ir.op import OPS

    parts = [name.split(".", 1) for name in OPS]
    return [ALL, FLOAT, *sorted({s for family, s in parts if family in FAMILIES} - FREE)]


def kind_faults(
    name: str, kind: KindSection, core: CoreSection, limits: LimitsSection, stack: Stack
) -> Iterator[Diagnostic]:
    """Yield what a further kind of core has more of than the first, and neurons too wide for it."""
    key = ("cores", name)
    for size in ("rows", "columns"):
        if getattr(kind, size) > getattr(core, size):
            found, most = getattr(kind, size), getattr(core, size)
            yield _above(stack, (*key, size), found, ("core", size), most)
    fit = neurons_that_fit(limits, core.model_copy(update={"columns": kind.columns}))
    if fit < 1:
        fault = error("NT0314", f"no neuron fits the columns of a crossbar of `{name}`")
        fault = fault.at(stack.where((*key, "columns")), f"is {kind.columns}")
        yield fault.note(f"weights have {limits.weight_bits} bits, cells {core.cell_bits}")


def chip_faults(chip: ChipSection, network: NetworkSection, stack: Stack) -> Iterator[Diagnostic]:
    """Yield tiles without a router to serve them."""
    slots = network.columns * network.rows * network.tiles_per_router
    if chip.tiles > slots:
        fault = error("NT0314", f"{chip.tiles} tiles do not fit a mesh with {slots} slots")
        fault = fault.at(stack.where(("chip", "tiles")), f"is {chip.tiles}")
        fault = fault.at(stack.where(("network",)), f"has {slots} slots")
        yield fault.note("slots are `columns` x `rows` x `tiles_per_router`")


def _above(stack: Stack, key: Key, value: int, limit_key: Key, limit: int) -> Diagnostic:
    message = f"`{'.'.join(key)}` is above `{'.'.join(limit_key)}`"
    fault = error("NT0314", message).at(stack.where(key), f"is {value}")
    return fault.at(stack.where(limit_key), f"is {limit}")


def cost_faults(name: str, section: CostSection, stack: Stack) -> Iterator[Diagnostic]:
    """Yield events that do not exist, quantities given twice, and assumptions about nothing."""
    key = ("costs", name)
    for event in section.energy_pj:
        if event not in EVENTS:
            fault = error("NT0311", f"there is no event `{event}` to charge for")
            yield suggest(fault.at(stack.where((*key, "energy_pj", event))), event, EVENTS)
    if section.area_mm2 is not None and section.area_um2 is not None:
        fault = error("NT0315", f"the area of `{name}` is given twice")
        fault = fault.at(stack.where((*key, "area_mm2")), "once in square millimetres")
        yield fault.at(stack.where((*key, "area_um2")), "once in square micrometres")
    numbers = ["area_mm2", "area_um2", "power_mw", "static_mw", "energy_pj"]
    numbers += [f"energy_pj.{event}" for event in section.energy_pj]
    for path in section.assumed:
        if path not in numbers:
            fault = error("NT0316", f"`assumed` names `{path}`, which is no number of `{name}`")
            yield suggest(fault.at(stack.where((*key, "assumed"))), path, numbers)


def component_faults(components: Iterable[Component], stack: Stack) -> Iterator[Diagnostic]:
    """Yield power that is less than its own static part."""
    for part in components:
        if part.static_mw > part.power_mw:
            key = ("costs", part.name)
            fault = error("NT0314", f"`{part.name}` draws more when idle than when busy")
            fault = fault.at(stack.where((*key, "static_mw")), f"is {part.static_mw}")
            fault = fault.at(stack.where((*key, "power_mw")), f"is {part.power_mw}")
            yield fault.note("`power_mw` is the power of a busy part, its static power in it")


def doubts(components: Iterable[Component], stack: Stack) -> Iterator[Diagnostic]:
    """Yield a warning for each event whose energy is so far off that its unit may be wrong."""
    charged: dict[str, dict[str, float]] = {}
    for part in components:
        for event, energy in part.energy_pj:
            charged.setdefault(event, {})[part.name] = energy
    for event, parts in charged.items():
        total = sum(parts.values())
        low, high = _BELIEVABLE_PJ.get(event, _BYTE_PJ)
        if total == 0 or low <= total <= high:
            continue
        key = ("costs", max(parts, key=lambda name: parts[name]), "energy_pj", event)
        doubt = warning("NT0309", f"the energy of `{event}` is hard to believe")
        doubt = doubt.at(stack.where(key), f"one costs {total:g} pJ")
        doubt = doubt.note(f"published designs lie well within {low:g} to {high:g} pJ")
        yield doubt.help("check the unit: 1 pJ = 1e-12 J = 1000 fJ")
