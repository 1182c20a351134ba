"""The runs of a simulation at the tick grain: one that is exact, or many with physics."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from neutrams.driver.checkpoints.checkpoints import Book
from neutrams.driver.crew import Crew
from neutrams.driver.effects import without_effect
from neutrams.driver.monte_carlo import each_run
from neutrams.driver.physics import load_physics
from neutrams.driver.progress import Progress
from neutrams.driver.samples import Samples
from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.program import Program
from neutrams.ir.types import Array
from neutrams.simulator import Result, run_batched, simulate
from neutrams.simulator.physics import Physics, check_physics
from neutrams.simulator.physics.matrix import Chance
from neutrams.simulator.run import Parts

FLOAT_BATCH = 64
"""Samples the reference interpreter is given at once."""


def draws(program: Program, physics: Physics | str | None, seed: int, runs: int) -> list[Chance]:
    """Return what each run draws from; none where arithmetic is exact.

    Raises:
        NeutramsError: NT0571, NT0572, the physics are wrong, or not for this program; NT0590, there
            is a seed and nothing to draw.
    """
    found = load_physics(physics or Physics())
    if found.ideal:
        if runs > 1:
            fault = error("NT0572", f"all of {runs} runs would be the same: nothing is random")
            raise NeutramsError(fault.help("state what is not ideal: --physics rram-wan"))
        if seed:
            what = "state what is not ideal: --physics rram-wan"
            raise NeutramsError(without_effect("--seed", "nothing is random", what))
        return []
    check_physics(found, program)
    adcs = program.target.machine.core.adcs
    return [Chance(found, seed, number, adcs) for number in range(runs)]


def run_all(
    program: Program,
    samples: Samples,
    chances: Sequence[Chance],
    batch: int | None,
    jobs: int,
    helpers: Crew | None,
    book: Book,
) -> list[Result]:
    """Return the result of every run, or the one exact result."""
    if len(chances) < 2:
        chance = chances[0] if chances else None
        return [
            simulate(
                program,
                samples.inputs,
                batch=batch,
                chance=chance,
                elsewhere=helpers.batches(chance) if helpers else None,
                done=book.batches("run 0"),
                progress=lambda n, of: book.tell("simulating", n, of),
            )
        ]

    parts = [book.batches(f"run {number}") for number in range(len(chances))]
    ended: list[Result] = []

    def tell() -> None:
        book.tell("simulating", len(ended), len(chances))

    def work(number: int, threads: int) -> Result:
        found = simulate(
            program,
            samples.inputs,
            batch=batch,
            threads=threads,
            chance=chances[number],
            done=parts[number],
            progress=lambda *_: tell(),
        )
        ended.append(found)
        tell()
        return found

    if helpers is not None:
        book.gather.append(partial(helpers.bring, parts))
        for found, done in helpers.each_run(chances, batch, parts, waiting=book.check):
            parts[len(ended)][:] = done
            ended.append(found)
            tell()
        book.gather.pop()
        return ended
    return each_run(work, len(chances), jobs=jobs)


def run_float(
    graph: Graph,
    samples: Samples,
    tell: Progress,
    *,
    helpers: Crew | None = None,
    done: Parts | None = None,
) -> dict[str, Array]:
    """Return the float network's outputs on the samples; batches ``done`` are not run again."""
    elsewhere = helpers.floats() if helpers else None
    return run_batched(
        graph,
        samples.inputs,
        elsewhere.run if elsewhere else partial(interpret, graph),
        batch=FLOAT_BATCH,
        elsewhere=elsewhere,
        done=done,
        progress=lambda done, total: tell("running the float network", done, total),
    ).outputs
