"""What a program takes of its chip, known without running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.costs import Occupancy, charge, roll_up
from neutrams.driver.digits import InDigits, in_digits
from neutrams.driver.layers import Layer, layers
from neutrams.driver.placing.buffers import buffered
from neutrams.driver.placing.traffic import find_homes
from neutrams.driver.shares import Share, Shares
from neutrams.ir.cores import kinds_of_crossbars
from neutrams.ir.op import Weight
from neutrams.ir.ops.chip import Bound, Group, Place, Round, Span, Stage, Vector
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.simulator import Usage, usage
from neutrams.simulator.batching import batching
from neutrams.simulator.events import events
from neutrams.simulator.rounds import program_rounds


@dataclass(frozen=True, slots=True)
class LayerUse:
    """Where one layer runs and what it holds."""

    name: str
    kind: str
    place: str
    """``crossbar`` or ``digital``."""
    ops: tuple[str, ...]
    """Names of the values its ops make."""
    crossbars: int
    copies: int
    weight_bits: int
    """Bits of its weights; 0 where it has none."""
    input_bits: int
    utilisation: float
    """Part of the cells of its crossbars that hold weights; 0 where it has none."""
    tiles: int
    windows: int
    """Times its crossbars are driven in one inference: windows shared by copies."""
    round: int
    """Round in which it is done; 0 where there are not several."""
    start_s: float
    finish_s: float
    """When it runs within one inference."""


@dataclass(frozen=True, slots=True)
class ComponentArea:
    """One kind of part, over the tiles in use."""

    name: str
    place: str
    area_mm2: float
    peak_power_w: float


@dataclass(frozen=True, slots=True)
class RoundUse:
    """One round of a network that its chip does not hold at once, of one batch among many."""

    crossbars: int
    cell_writes: int
    programming_s: float
    batch_s: float
    """The whole round, programming included."""
    carried_bytes: int
    """What one inference leaves for later rounds."""
    spilled: bool
    """Whether that leaves the chip, because buffers lack the room for a batch of it."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A part of the chip that inferences have one after the other."""

    part: str
    busy_s: float
    """In which one inference takes it."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a program takes of its chip.

    Areas and powers are of the tiles in use and what a chip has once, unless they say ``chip``.
    """

    target: str
    occupancy: Occupancy
    available: Occupancy
    utilisation: float
    """Part of the cells of the crossbars in use that hold weights."""
    area_mm2: float
    chip_area_mm2: float
    peak_power_w: float
    chip_peak_power_w: float
    energy_j: float
    """Of one inference in a full pipeline, static power included."""
    latency_s: float
    """Of one inference, or of a batch in rounds."""
    throughput_per_s: float
    bounds: tuple[Pace, ...]
    """What sets the pace by the schedule: the slowest stage, and the busiest part of each kind that
    inferences share, longest first. Empty where there are rounds."""
    buffer_bytes: int
    """What the fullest buffer must hold at least while inferences stream through."""
    buffer_bytes_available: int
    """Of one tile."""
    batch: int
    """Inferences that run through a round before the next one."""
    rounds: tuple[RoundUse, ...]
    """Empty where the chip holds the whole network."""
    parameters: Share
    multiply_adds: Share
    """Of the products of one inference."""
    layers: tuple[LayerUse, ...]
    components: tuple[ComponentArea, ...]
    assumed: tuple[str, ...]
    """Assumed constants that the area or the peak power rests on."""
    sizes: tuple[str, ...]
    """Rows × columns of the crossbars of each kind of core."""
    bits: dict[str, int]
    """Precision that the chip has: of weights, inputs, cells and converters."""
    chosen: Mapping[str, Any]
    """Where bits were chosen, what :class:`neutrams.driver.bits.choice.Choice` says; else empty."""
    digits: InDigits | None = None
    """What it costs that layers read or hold numbers in digits, if any do."""

    @property
    def programming_share(self) -> float:
        """Part of the time in which cells are programmed."""
        whole = sum(each.batch_s for each in self.rounds)
        return sum(each.programming_s for each in self.rounds) / whole if whole else 0.0


def resources(program: Program) -> Resources:
    """Measure a program against its chip."""
    target, machine, main = program.target, program.target.machine, program.module["main"]
    facts, part = ChipFacts.of(program), Shares.from_manifest(program.manifest)
    on = facts.occupancy(program)
    cost = roll_up(target)
    mine = cost.of_tiles(on.tiles)
    fills = usage(program)
    uses = tuple(_use(layer, facts, program, fills) for layer in layers(main))
    cells, capacity = (
        sum(getattr(fill, key) for fill in fills.values()) for key in ("cells", "capacity")
    )
    shared = {part.component for part in cost.parts if part.place == "chip"}
    components = tuple(
        ComponentArea(
            name=part.component,
            place=part.place,
            area_mm2=part.chip.area_mm2
            if part.component in shared
            else on.tiles * part.tile.area_mm2,
            peak_power_w=part.chip.power_w
            if part.component in shared
            else on.tiles * part.tile.power_w,
        )
        for part in cost.parts
    )
    assumed = {f"costs.{part.component}.{key}" for part in cost.parts for key in part.assumed}
    core, limits = machine.core, target.limits
    return Resources(
        target=target.name,
        occupancy=on,
        available=Occupancy.whole(machine),
        utilisation=cells / capacity if capacity else 0.0,
        area_mm2=mine.area_mm2,
        chip_area_mm2=cost.chip.area_mm2,
        peak_power_w=mine.power_w,
        chip_peak_power_w=cost.chip.power_w,
        energy_j=energy(program, facts),
        latency_s=facts.latency_s,
        throughput_per_s=facts.throughput_per_s,
        bounds=facts.bounds,
        buffer_bytes=_fullest_buffer(program, facts),
        buffer_bytes_available=machine.tile.buffer_bytes,
        batch=facts.rounds[0].batch if facts.rounds else 1,
        rounds=tuple(_round_use(facts, fact) for fact in facts.rounds),
        parameters=part.parameters,
        multiply_adds=part.multiply_adds,
        layers=uses,
        components=components,
        assumed=tuple(sorted(assumed)),
        sizes=tuple(f"{kind.rows}×{kind.columns}" for kind in machine.kinds),
        bits={
            "weight_bits": limits.weight_bits,
            "input_bits": limits.input_bits,
            "cell_bits": core.cell_bits,
            "adc_bits": core.adc_bits,
        },
        chosen=program.manifest.get("precision", {}),
        digits=in_digits(main, target),
    )


def energy(program: Program, facts: ChipFacts) -> float:
    """Return the energy of an inference, in J; no event depends on the data."""
    batch = facts.rounds[0].batch if facts.rounds else 1
    counts: Counter[str] = Counter()
    for layer in events(program, batching(program.module["main"]), inferences=batch):
        counts.update(layer.counts)
    each = 1 / facts.throughput_per_s if facts.throughput_per_s else facts.latency_s
    one = {event: round(number / batch) for event, number in counts.items()}
    return charge(program.target, one, each, occupancy=facts.occupancy(program)).energy_j


@dataclass(frozen=True, slots=True)
class ChipFacts:
    """A program's chip graph, by the names of the units it speaks of."""

    groups: dict[str, Group]
    vectors: dict[str, Vector]
    stages: dict[str, Stage]
    rounds: tuple[Round, ...]
    spans: tuple[Span, ...]
    shared: tuple[Bound, ...]
    place: Place
    cycle_s: float
    samples: int
    """Samples of one run: 1, or the fixed batch of a network that mixes them."""

    @staticmethod
    def of(program: Program) -> ChipFacts:
        ops = program.module["chip"].ops
        return ChipFacts(
            groups={op.unit: op for op in ops if isinstance(op, Group)},
            vectors={op.unit: op for op in ops if isinstance(op, Vector)},
            stages={op.unit: op for op in ops if isinstance(op, Stage)},
            rounds=tuple(op for op in ops if isinstance(op, Round)),
            spans=tuple(op for op in ops if isinstance(op, Span)),
            shared=tuple(op for op in ops if isinstance(op, Bound)),
            place=next(op for op in ops if isinstance(op, Place)),
            cycle_s=program.target.machine.core.read_ns * 1e-9,
            samples=batching(program.module["main"]).each,
        )

    @property
    def latency_s(self) -> float:
        stages, spans = self.stages.values(), self.spans
        finishes = [s.finish_cycle for s in stages] + [s.finish_cycle for s in spans]
        return self.cycle_s * max(finishes, default=0)

    @property
    def throughput_per_s(self) -> float:
        """A run starts as soon as the busiest part has done with the last one, a batch of rounds
        when the one before has ended.
        """
        if self.rounds:
            return self.samples * self.rounds[0].batch / self.latency_s
        busy = self.bounds[0].busy_s if self.bounds else 0.0
        return self.samples / busy if busy else 0.0

    @property
    def bounds(self) -> tuple[Pace, ...]:
        """What runs cannot have at once: the slowest stage and what they share, longest first."""
        if self.rounds:
            return ()
        found = [Pace(op.part, op.busy_ns * 1e-9) for op in self.shared]
        if self.stages:
            slow = max(self.stages.values(), key=lambda s: s.windows * s.interval_cycles)
            busy = self.cycle_s * slow.windows * slow.interval_cycles
            found.insert(0, Pace(f"`{slow.unit}`", busy))
        return tuple(sorted(found, key=lambda pace: -pace.busy_s))

    def occupancy(self, program: Program) -> Occupancy:
        """Return what is switched on: what holds a block or runs an op, and the routers between."""
        machine = program.target.machine
        crossbars = np.unique(_joined([numbers(op.crossbars) for op in self.groups.values()]))
        per_core = machine.core.crossbars
        on_tiles = [crossbars // (per_core * machine.cores_per_tile)]
        on_tiles += [numbers(op.tiles) for op in self.vectors.values()]
        tiles = np.unique(_joined(on_tiles))
        routers = -(-len(tiles) // machine.network.tiles_per_router)
        kinds = kinds_of_crossbars(crossbars, machine)
        by_kind = [crossbars[kinds == index] for index in range(1, len(machine.kinds))]
        smaller = tuple((len(each), len(np.unique(each // per_core))) for each in by_kind)
        cores = len(np.unique(crossbars // per_core))
        return Occupancy(len(crossbars), cores, len(tiles), routers, smaller)

    def round_at(self, cycle: int) -> int:
        """Return the round in which something ends in a cycle."""
        return next((span.round for span in self.spans if cycle <= span.finish_cycle), 0)


def numbers(value: object) -> NDArray[np.int64]:
    """Return what a constant of a chip graph holds."""
    assert isinstance(value, Weight)
    assert value.data is not None
    return value.data.astype(np.int64)


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _fullest_buffer(program: Program, facts: ChipFacts) -> int:
    """Return the bytes that one tile keeps in the round in which that is most."""
    main, machine = program.module["main"], program.target.machine
    units = [op for op, _ in working_ops(main) if isinstance(op, Mvm)]
    groups = [facts.groups[unit.result.name] for unit in units]
    per_tile = machine.core.crossbars * machine.cores_per_tile
    tiles = [(numbers(group.crossbars) // per_tile).astype(np.int32) for group in groups]
    copies = np.array([group.copies for group in groups], np.int64)
    homes = find_homes(main, dict(zip(units, tiles, strict=True)), copies)
    sizes, count = batching(main).one(), len(numbers(facts.place.x))
    rounds = program_rounds(program)
    parts = [
        [op for op, turns in rounds.items() if fact.round in turns] for fact in facts.rounds
    ] or [main.ops]
    return max(int(buffered(ops, homes, sizes, tiles=count).max(initial=0)) for ops in parts)


def _round_use(facts: ChipFacts, fact: Round) -> RoundUse:
    (span,) = (span for span in facts.spans if span.round == fact.round)
    held = [numbers(group.crossbars)[turns(group) == fact.round] for group in facts.groups.values()]
    return RoundUse(
        crossbars=len(_joined(held)),
        cell_writes=fact.cell_writes,
        programming_s=facts.cycle_s * (span.run_cycle - span.start_cycle),
        batch_s=facts.cycle_s * (span.finish_cycle - span.start_cycle),
        carried_bytes=fact.carried_bytes,
        spilled=fact.spilled_bytes > 0,
    )


def turns(group: Group) -> NDArray[np.int64]:
    """Return the round in which each of a group's crossbars holds its block."""
    held = numbers(group.crossbars)
    return np.full(len(held), group.round) if group.rounds is None else numbers(group.rounds)


def _use(layer: Layer, facts: ChipFacts, program: Program, fills: dict[str, Usage]) -> LayerUse:
    names = tuple(op.result.name for op in layer.ops)
    stages = [facts.stages[name] for name in names if name in facts.stages]
    group = facts.groups.get(names[0])
    tiles = [numbers(facts.vectors[name].tiles) for name in names if name in facts.vectors]
    held = numbers(group.crossbars) if group is not None else np.zeros(0, np.int64)
    machine = program.target.machine
    tiles.append(held // (machine.core.crossbars * machine.cores_per_tile))
    return LayerUse(
        name=layer.name,
        kind=layer.kind,
        place="crossbar" if group is not None else "digital",
        ops=names,
        crossbars=len(held),
        copies=group.copies if group is not None else 0,
        weight_bits=layer.unit.weight_bits if layer.unit is not None else 0,
        input_bits=layer.unit.input_bits if layer.unit is not None else 0,
        utilisation=fills[names[0]].share if names[0] in fills else 0.0,
        tiles=len(np.unique(_joined(tiles))),
        windows=max((stage.windows for stage in stages), default=0),
        round=facts.round_at(max((stage.finish_cycle for stage in stages), default=0)),
        start_s=facts.cycle_s * min((stage.start_cycle for stage in stages), default=0),
        finish_s=facts.cycle_s * max((stage.finish_cycle for stage in stages), default=0),
    )
