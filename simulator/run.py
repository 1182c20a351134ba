"""Run a program: batches of samples through its unit graph, and what that makes happen."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import weights_of
from neutrams.ir.op import Value, Weight
from neutrams.ir.ops.time import Memory, Run
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.processors import processors
from neutrams.ir.program import Program
from neutrams.ir.types import Array, bind
from neutrams.simulator.batching import Batching, batch_size, batches, batching, checked, count
from neutrams.simulator.events import LayerEvents, events
from neutrams.simulator.exact.matrix import Moment
from neutrams.simulator.exact.vector import evaluate
from neutrams.simulator.physics.matrix import Chance
from neutrams.simulator.rounds import Rounds, program_rounds
from neutrams.simulator.steps import Product, Step, steps
from neutrams.simulator.timing.schedule import Timing, schedule

Progress = Callable[[int, int], None]
"""Called with the samples done and their number."""
Parts = list[dict[str, Array]]
"""Outputs by name, batch by batch."""


class OtherParts(ValueError):
    """Outputs that are said to be done are not of these samples."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What runs batches in place of this process's threads."""

    pool: Executor
    workers: int
    run: Callable[..., Mapping[str, Array]]
    """Picklable, where the pool is one of processes."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a program made of some samples."""

    outputs: dict[str, Array]
    """By the graph's output names; the first axis counts the samples."""
    layers: tuple[LayerEvents, ...]
    """Events of the whole run, for each op and for the network between tiles."""
    samples: int
    timing: Timing

    @property
    def counts(self) -> dict[str, int]:
        """Events of the whole run, over all layers."""
        total: Counter[str] = Counter()
        for layer in self.layers:
            total.update(layer.counts)
        return dict(total)


def simulate(
    program: Program,
    inputs: Mapping[str, Array],
    *,
    batch: int | None = None,
    threads: int | None = None,
    chance: Chance | None = None,
    elsewhere: Elsewhere | None = None,
    done: Parts | None = None,
    progress: Progress | None = None,
) -> Result:
    """Run every sample through the program's ``main`` graph and count events.

    Args:
        program: A unit graph ``main``, its ``chip`` graph and its target.
        inputs: One array for each graph input; the first axis counts the samples. Where the
            graph takes a fixed number of samples at once, the last run is filled up.
        batch: Samples to run at once; by default as many as a modest amount of memory holds.
        threads: Batches at a time; by default one a processor.
        chance: What is not ideal, and the random numbers of this run; results then do not depend
            on ``batch`` either.
        elsewhere: Where to run batches, with this program and chance; by default here.
        done: Outputs of the first batches, which are not run again; others are added.
        progress: Told of samples done.

    Raises:
        NeutramsError: NT0521 to NT0524, the inputs do not fit the graph; every fault at once.
    """
    run = elsewhere.run if elsewhere is not None else Runner.of(program, chance).at
    ran = run_batched(
        program.module["main"],
        inputs,
        run,
        numbered=True,
        batch=batch,
        threads=threads,
        elsewhere=elsewhere,
        done=done,
        progress=progress,
    )
    return Result(
        outputs=ran.outputs,
        layers=events(program, ran.how, inferences=-(-ran.samples // ran.how.each)),
        samples=ran.samples,
        timing=schedule(program),
    )


@dataclass(frozen=True, slots=True)
class Batched:
    """What a graph made of samples, and how they were counted."""

    outputs: dict[str, Array]
    how: Batching
    samples: int


def run_batched(
    graph: Graph,
    inputs: Mapping[str, Array],
    run: Callable[..., Mapping[str, Array]],
    *,
    numbered: bool = False,
    batch: int | None = None,
    threads: int | None = None,
    elsewhere: Elsewhere | None = None,
    done: Parts | None = None,
    progress: Progress | None = None,
) -> Batched:
    """Give ``run`` the samples batch by batch, and join the outputs it returns by name.

    Where ``numbered``, it is given the number of the first sample as well. Of the first batches
    ``done`` holds the outputs; those of the others are added to it before ``progress`` is told,
    which may end the run by raising what it likes.

    Raises:
        NeutramsError: NT0521 to NT0524, the inputs do not fit the graph; every fault at once.
        OtherParts: what is done is not of these samples.
    """
    arrays = checked(graph, inputs)
    how = batching(graph, {name: array.shape for name, array in arrays.items()})
    size = how.fixed or batch or batch_size(graph, how)
    total = count(graph, arrays, how)
    parts = done if done is not None else []
    work = enumerate(batches(graph, arrays, how, size))
    samples = sum(_checked_part(graph, how, part, work) for part in parts)
    tasks = (
        (real, partial(run, part, number * size) if numbered else partial(run, part))
        for number, (real, part) in work
    )
    for real, found in _concurrently(tasks, threads or processors(), elsewhere):
        parts.append({k: _kept(a, real, how) for k, a in found.items()})
        samples += real
        if progress is not None:
            progress(samples, total)
    return Batched(_joined(graph, parts, how), how, total)


def _concurrently(
    work: Iterator[tuple[int, Callable[[], Mapping[str, Array]]]],
    threads: int,
    elsewhere: Elsewhere | None,
) -> Iterator[tuple[int, Mapping[str, Array]]]:
    """Run batches in order on all cores, one thread each; results do not depend on how many."""
    if elsewhere is not None:
        yield from _in_order(work, elsewhere.pool, elsewhere.workers)
        return
    # many products are too small for a BLAS that spreads each one over the cores
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        yield from _in_order(work, pool, threads)


def _in_order(
    work: Iterator[tuple[int, Callable[[], Mapping[str, Array]]]], pool: Executor, workers: int
) -> Iterator[tuple[int, Mapping[str, Array]]]:
    queue: deque[tuple[int, Future[Mapping[str, Array]]]] = deque()
    try:
        for real, run in work:
            queue.append((real, pool.submit(run)))
            if len(queue) > workers:
                first, future = queue.popleft()
                yield first, future.result()
        while queue:
            first, future = queue.popleft()
            yield first, future.result()
    finally:
        for _, future in queue:
            future.cancel()


class Runner:
    """A unit graph ready to run: matrices programmed once, dead values freed at once.

    So are the cells it runs, whose matrices serve every step. Ops run round by round; sums of a
    matrix that several rounds hold are taken in the last of them, as their order changes nothing.
    """

    def __init__(
        self, graph: Graph, rounds: Rounds | None = None, chance: Chance | None = None
    ) -> None:
        self._graph = graph
        self._steps = steps(graph)
        if rounds:
            self._steps.sort(key=lambda step: rounds[step.ops[-1]][-1])
        self._weights = weights_of(graph)
        self._outputs = set(graph.outputs)
        self._cells = {
            op: Runner(op.cell, chance=chance and chance.within(op.results[0].name))
            for op in graph.ops
            if isinstance(op, Run)
        }
        self._products = {step: Product(step, chance) for step in self._steps if _is_product(step)}
        self._dead = self._last_reads()

    @staticmethod
    def of(program: Program, chance: Chance | None = None) -> Runner:
        """Return a program's ``main`` graph ready to run."""
        return Runner(program.module["main"], program_rounds(program), chance)

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the graph's outputs by name; equal, bit for bit, to the interpreter's."""
        return self.at(inputs, 0)

    def at(self, inputs: Mapping[str, Array], first: int) -> dict[str, Array]:
        """Return the outputs for samples from number ``first`` on."""
        live: dict[Value, Array] = {v: inputs[v.name] for v in self._graph.inputs}
        self.step(live, Memory({}), Moment(first))
        return dict(
            zip(self._graph.output_names, (live[v] for v in self._graph.outputs), strict=True)
        )

    def step(self, live: dict[Value, Array], memory: Memory, moment: Moment) -> None:
        """Add the graph's outputs to its inputs; states are read from and written to a memory."""
        live.update(self._weights)
        for step in self._steps:
            self._run(step, live, memory, moment)
            for value in self._dead[step]:
                live.pop(value, None)

    def _last_reads(self) -> dict[Step, list[Value]]:
        """Return the values that no later step reads, by step."""
        reads = {step: [v for op in step.ops for v in op.present] for step in self._steps}
        last = {value: step for step, values in reads.items() for value in values}
        return {
            step: [v for v in values if last[v] is step and v not in self._outputs]
            for step, values in reads.items()
        }

    def _run(self, step: Step, live: dict[Value, Array], memory: Memory, moment: Moment) -> None:
        product = self._products.get(step)
        if product is not None and product.ready:
            mvm = step.ops[0]
            assert isinstance(mvm, Mvm)
            live[step.result] = product(live[mvm.x], moment)
            return
        for op in step.ops:
            if isinstance(op, Run):
                step_of = partial(self._cells[op].step, moment=moment)
                made = op.unroll([live[v] for v in op.sources], step_of)
                live.update(zip(op.results, made, strict=True))
            elif not memory.does(op, live):
                live.update(zip(op.results, evaluate(op, live), strict=True))


def _is_product(step: Step) -> bool:
    mvm = step.ops[0]
    return isinstance(mvm, Mvm) and isinstance(mvm.w, Weight)


def _kept(array: Array, real: int, how: Batching) -> Array:
    """Drop what a filled-up run gave for samples that are not there."""
    return array[:real] if how.fixed and array.ndim and len(array) == how.fixed else array


def _checked_part(
    graph: Graph, how: Batching, part: Mapping[str, Array], work: Iterator[tuple[int, Any]]
) -> int:
    """Pass over the batch that a part is of, and return its samples."""
    found = next(work, None)
    if found is None or set(part) != set(graph.output_names):
        raise OtherParts("other outputs are done than there are")
    real = found[1][0]
    sizes = {**how.sizes, **({how.name: real} if how.name else {})}
    for value, name in zip(graph.outputs, graph.output_names, strict=True):
        shape = [bind(dim, sizes) for dim in value.type.shape]
        if how.fixed and shape and shape[0] == how.fixed:
            shape[0] = real
        if part[name].shape != tuple(shape) or part[name].dtype != value.type.dtype.numpy:
            raise OtherParts(f"output `{name}` is {part[name].dtype}{list(part[name].shape)}")
    return int(real)


def _joined(graph: Graph, parts: list[dict[str, Array]], how: Batching) -> dict[str, Array]:
    joined = {}
    for value, name in zip(graph.outputs, graph.output_names, strict=True):
        axis = 0 if how.fixed else how.carries(value.type)
        if axis is None:
            joined[name] = parts[0][name]
        elif not value.type.rank:
            joined[name] = np.stack([part[name] for part in parts])
        else:
            joined[name] = np.concatenate([part[name] for part in parts], axis=axis)
    return joined
