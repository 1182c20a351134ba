"""Run a program on samples: what it answers, how well, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from neutrams.costs import Charge, charge, charged_events
from neutrams.driver.checkpoints.checkpoints import Book, kept
from neutrams.driver.clocked.clocks import Cycles, with_cycles
from neutrams.driver.clocked.cycles import run_cycles
from neutrams.driver.clocked.recording import Record, check_record
from neutrams.driver.clocked.shared import run_together
from neutrams.driver.doubts import doubts
from neutrams.driver.metrics import Metric
from neutrams.driver.monte_carlo import Spread
from neutrams.driver.progress import Progress, silent
from neutrams.driver.quality import Quality, agreement_of, quality_of, relative_error_of
from neutrams.driver.resources import Resources, resources
from neutrams.driver.samples import Samples, SampleSource
from neutrams.driver.tasks import Answers, Task
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.events import OF_DATA
from neutrams.ir.program import Program
from neutrams.ir.types import Array
from neutrams.simulator import Result
from neutrams.simulator.activity import activity
from neutrams.simulator.batching import batching
from neutrams.simulator.physics import Physics

Grain = Literal["tick", "cycle"]
GRAINS: tuple[Grain, ...] = get_args(Grain)


@dataclass(frozen=True, slots=True)
class LayerCost:
    """What one layer did in the whole run, and its energy an inference, static power apart."""

    name: str
    energy_j: float
    counts: dict[str, int]
    samples: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """Outputs of a run, and its figures. Energies are of one inference in a full pipeline."""

    outputs: dict[str, Array]
    samples: int
    quality: Quality | None
    agreement: float | None
    """Part of the samples given the same class as by the float network."""
    relative_error: float | None
    """Root mean square of what differs from the float network's outputs, over that of those."""
    resources: Resources
    charge: Charge
    """Energy of one inference by component; its time is that from one to the next."""
    counts: dict[str, int]
    layers: tuple[LayerCost, ...]
    """One for each of ``resources.layers``."""
    others: tuple[LayerCost, ...]
    """The ``network`` between tiles, the ``io`` of the chip, and ``programming`` of rounds."""
    warnings: tuple[Diagnostic, ...]
    cycles: Cycles | None = None
    """What the cycle grain measured, where it was run."""
    beside: Mapping[str, Cycles] = field(default_factory=dict)
    """The same of the networks that ran on the chip meanwhile."""
    physics: Physics | None = None
    """What was not ideal; then outputs and figures beside ``spread`` are those of the first run."""
    spread: Spread | None = None
    """The metric over all runs with physics."""

    @property
    def energy_j(self) -> float:
        return self.charge.energy_j

    @property
    def power_w(self) -> float:
        return self.charge.power_w

    @property
    def programming_share(self) -> float:
        """Part of the energy that programming cells takes, fetching their levels included."""
        spent = sum(cost.energy_j for cost in self.others if cost.name == "programming")
        return spent / self.energy_j if self.energy_j else 0.0

    @property
    def accuracy(self) -> float | None:
        """Share of samples given their label's class, where that is the metric."""
        found = self.quality is not None and self.quality.metric == "accuracy"
        return self.quality.value if self.quality is not None and found else None


def simulate(
    program: Program,
    inputs: SampleSource,
    labels: Array | None = None,
    *,
    metric: str | None = None,
    limit: int | None = None,
    batch: int | None = None,
    compare: bool = True,
    grain: Grain = "tick",
    reference: Mapping[str, Array] | None = None,
    physics: Physics | str | None = None,
    seed: int = 0,
    monte_carlo: int = 1,
    jobs: int = 0,
    record: Record | None = None,
    beside: Mapping[str, Program] | None = None,
    checkpoint: str | Path = "",
    resume: str | Path = "",
    checkpoint_every: float | None = None,
    progress: Progress | None = None,
) -> Simulation:
    """Run a program on samples, preprocessed as it says.

    Args:
        program: What :func:`neutrams.compile` made.
        inputs: An ``.npz`` with ``x`` and, where known, ``y``; or arrays.
        labels: What the answers should be; before any in the file.
        metric: How to judge; see :func:`neutrams.driver.metrics.metric_named`. By default accuracy
            where labels are class numbers, else mean squared error.
        limit: Use only so many samples.
        batch: Samples to run at once; by default as many as suit the memory.
        compare: Run the float network as well, if the program holds it.
        grain: ``tick`` takes times from the schedule, in which nothing waits for buses, buffers
            and the network; ``cycle`` measures them clock by clock. Outputs are the same.
        reference: What the float network makes of these samples, where that is known already.
        physics: What is not ideal: a preset or a ``.toml`` file, then values, as in
            :func:`neutrams.driver.physics.load_physics`. Without any, arithmetic is exact.
        seed: Of all that physics draw; the same seed gives the same chips.
        monte_carlo: Runs, each on a chip of its own. Draws for one thing do not depend on others,
            so run by run different physics meet the same chips.
        jobs: Processes to spread batches and runs over, which all map the same program. With 0 and
            1 this process alone does it: its threads use all processors, and of several runs it
            does as many at a time as there are processors, or one. Results are the same.
        record: Trace and waveform to write of the cycle grain.
        beside: Programs by name that run on the same chip meanwhile, at the cycle grain;
            :func:`neutrams.together` places them.
        checkpoint: Where to write what is done when SIGINT or SIGTERM come, and now and then.
            Without one, and without ``resume``, signals are not heard.
        resume: A checkpoint to go on from, and where to write the next; results are those of a run
            that never stopped.
        checkpoint_every: Seconds from one to the next, so that a run which is killed loses little;
            0 for none but those of signals, by default 600.
        progress: Told how far the run is.

    Raises:
        NeutramsError: the samples do not fit (NT0520 to NT0529); physics are wrong, or not for this
            program (NT0571, NT0572); what should be recorded cannot be (NT0573 to NT0575);
            the checkpoint is damaged, or of another run (NT0576, NT0577).
        Interrupted: a signal came and the checkpoint is written; a ``KeyboardInterrupt``.
    """
    tell = progress or silent
    others = dict(beside or {})
    _check_grain(grain, clocked=record is not None or bool(others))
    if record is not None:
        check_record(record, _on_chip(program, others))
    task = Task.of(
        program, inputs, labels, metric=metric, limit=limit, batch=batch, compare=compare,
        reference=reference, physics=physics, seed=seed, monte_carlo=monte_carlo, jobs=jobs,
    )  # fmt: skip
    with kept(
        tell, (program, *others.values()), task.samples.inputs, {"grain": grain, **task.options},
        checkpoint=checkpoint, resume=resume, every=checkpoint_every,
    ) as book:  # fmt: skip
        answers = task.run(book)
        measured: dict[str, Cycles] = {}
        if grain == "cycle":
            measured = _measured(program, others, record, book)
    return _found(task, answers, list(measured.values()), others, book.warnings)


def simulate_together(
    programs: Mapping[str, Program],
    inputs: Mapping[str, SampleSource],
    *,
    record: Record | None = None,
    checkpoint: str | Path = "",
    resume: str | Path = "",
    checkpoint_every: float | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Simulation]:
    """Run programs that share a chip, clock by clock and all at once.

    Args:
        programs: By name, as :func:`neutrams.together` placed them.
        inputs: Samples of each, by the same names.
        record: Trace to write of one inference of each.
        checkpoint: As in :func:`simulate`, for all of them.
        resume: Likewise.
        checkpoint_every: Likewise.
        progress: Told how far the run is.
        **options: Others of :func:`simulate`, for each program.

    Returns:
        What :func:`simulate` finds of each at the cycle grain: outputs are those of a chip of its
        own, times those of the shared chip.

    Raises:
        NeutramsError: NT0578, the programs were not placed together; others as in :func:`simulate`.
        Interrupted: as in :func:`simulate`.
    """
    if record is not None:
        check_record(record, programs)
    tasks = {name: Task.of(each, inputs[name], **options) for name, each in programs.items()}
    arrays = {
        f"{name}/{key}": array
        for name, task in tasks.items()
        for key, array in task.samples.inputs.items()
    }
    facts = {"grain": "cycle", "networks": ", ".join(tasks), **next(iter(tasks.values())).options}
    with kept(
        progress or silent, list(programs.values()), arrays, facts,
        checkpoint=checkpoint, resume=resume, every=checkpoint_every,
    ) as book:  # fmt: skip
        cycles = run_together(programs, record=record, book=book)
        answers = {name: task.run(book.within(name)) for name, task in tasks.items()}
    found: dict[str, Simulation] = {}
    for name, task in tasks.items():
        beside = {other: each for other, each in programs.items() if other != name}
        clocked = [cycles[name], *(cycles[other] for other in beside)]
        said = [] if found else book.warnings
        found[name] = _found(task, answers[name], clocked, beside, said)
    return found


def _found(
    task: Task,
    answers: Answers,
    clocked: Sequence[Cycles],
    beside: Mapping[str, Program],
    warnings: Sequence[Diagnostic],
) -> Simulation:
    """Say what a run came to; ``clocked`` is of the program, where it was, and of those beside."""
    program, samples, judge = task.program, task.samples, task.judge
    result, expected = answers.results[0], answers.expected
    cycles, at_once = clocked[0] if clocked else None, batching(program.module["main"]).each
    inferences = -(-result.samples // at_once)
    found = resources(program)
    by_op = {layer.name: layer.counts for layer in result.layers}
    if charged_events(program.target) & OF_DATA:
        for name, counts in activity(program, samples.inputs, inferences=inferences).items():
            by_op[name] = by_op[name] | counts
    if cycles is not None:
        found = with_cycles(found, cycles, samples=at_once)
        by_op["network"] = _network(cycles, inferences=inferences)
    total = _total(list(by_op.values()))
    costs = _layer_costs(program, found, by_op, result.samples)
    each = 1 / found.throughput_per_s if found.throughput_per_s else found.latency_s
    cost = charge(program.target, _share(total, result.samples), each, occupancy=found.occupancy)
    return Simulation(
        outputs=dict(result.outputs),
        samples=result.samples,
        quality=None if judge is None else quality_of(judge, result.outputs, expected, samples),
        agreement=agreement_of(result.outputs, expected, samples),
        relative_error=relative_error_of(result.outputs, expected),
        resources=replace(found, energy_j=cost.energy_j),
        charge=cost,
        counts=total,
        layers=tuple(costs[: len(found.layers)]),
        others=tuple(costs[len(found.layers) :]),
        warnings=(
            *cost.warnings(program.target.name),
            *doubts(program, samples),
            *(cycles.warnings if cycles is not None else ()),
            *warnings,
        ),
        cycles=cycles,
        beside=dict(zip(beside, clocked[1:], strict=True)),
        physics=task.physics,
        spread=_spread(judge, answers.results, samples) if task.chances else None,
    )


def _measured(
    program: Program, beside: Mapping[str, Program], record: Record | None, book: Book
) -> dict[str, Cycles]:
    """Return what the cycle grain finds of a program, and of those beside it."""
    if beside:
        return run_together(_on_chip(program, beside), record=record, book=book)
    return {"": run_cycles(program, record=record, book=book)}


def _on_chip(program: Program, beside: Mapping[str, Program]) -> dict[str, Program]:
    """Return all programs of a chip by name, one that may be without one first."""
    name = "this" if beside else ""
    while name in beside:
        name += "'"
    return {name: program, **beside}


def _check_grain(grain: Grain, *, clocked: bool) -> None:
    if grain not in GRAINS:
        raise NeutramsError(error("NT0593", f"`grain` is {grain!r}; it must be `tick` or `cycle`"))
    if clocked and grain != "cycle":
        fault = error("NT0575", f"the `{grain}` grain has no clocks to record or to share")
        raise NeutramsError(fault.help("run clock by clock: --grain cycle"))


def _spread(judge: Metric | None, results: Sequence[Result], samples: Samples) -> Spread | None:
    if judge is None:
        return None
    assert samples.labels is not None
    values = [judge.measure(r.outputs, samples.inputs, samples.labels) for r in results]
    return Spread(judge.name, judge.percent, tuple(values))


def _network(cycles: Cycles, *, inferences: int) -> dict[str, int]:
    """Return the network's events as they were measured, packet by packet."""
    counts = {"router_flits": cycles.router_flits, "link_flits": cycles.link_flits}
    return {event: count * inferences for event, count in counts.items() if count}


def _total(counts: list[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in counts:
        for event, count in part.items():
            total[event] = total.get(event, 0) + count
    return total


def _share(counts: Mapping[str, int], samples: int) -> dict[str, int]:
    """Return the counts of one inference."""
    return {event: round(count / samples) for event, count in counts.items()}


def _layer_costs(
    program: Program,
    found: Resources,
    by_op: Mapping[str, dict[str, int]],
    samples: int,
) -> list[LayerCost]:
    """Return the cost of each layer, then of what belongs to none."""
    groups = [(layer.name, layer.ops) for layer in found.layers]
    claimed = {name for _, ops in groups for name in ops}
    groups += [(name, (name,)) for name in by_op if name not in claimed]
    costs = []
    for name, ops in groups:
        counts = _total([by_op[op] for op in ops if op in by_op])
        energy = charge(program.target, counts, 0.0).energy_j / samples
        costs.append(LayerCost(name, energy, counts, samples))
    return costs
