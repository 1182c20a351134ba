"""A program and the samples it is to run on: what there is to compute, and the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral

from neutrams.driver.checkpoints.checkpoints import Book
from neutrams.driver.crew import crew
from neutrams.driver.effects import without_effect
from neutrams.driver.metrics import Metric
from neutrams.driver.preprocess import Preprocess
from neutrams.driver.quality import judge_of, rehearse
from neutrams.driver.runs import draws, run_all, run_float
from neutrams.driver.samples import Samples, SampleSource, load_samples
from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.processors import processors
from neutrams.ir.program import Program
from neutrams.ir.types import Array
from neutrams.simulator import Result
from neutrams.simulator.batching import batching
from neutrams.simulator.physics import Physics
from neutrams.simulator.physics.matrix import Chance

LEAST = {"limit": 1, "batch": 1, "seed": 0, "monte_carlo": 1, "jobs": 0}
"""What the numbers of a run must at least be."""
MOST_JOBS = 32
"""Processes for each processor: more are a slip, and would take memory for nothing."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a program made of samples, run by run, and the float network where it ran."""

    results: Sequence[Result]
    expected: Mapping[str, Array] | None


@dataclass(frozen=True, slots=True)
class Task:
    """All that answers depend on, checked; and how they are computed."""

    program: Program
    samples: Samples
    judge: Metric | None
    chances: Sequence[Chance]
    batch: int | None
    compare: bool
    reference: Mapping[str, Array] | None
    jobs: int

    @staticmethod
    def of(
        program: Program,
        inputs: SampleSource,
        labels: Array | None = None,
        *,
        metric: str | None = None,
        limit: int | None = None,
        batch: int | None = None,
        compare: bool = True,
        reference: Mapping[str, Array] | None = None,
        physics: Physics | str | None = None,
        seed: int = 0,
        monte_carlo: int = 1,
        jobs: int = 0,
    ) -> Task:
        """Load samples and check what is asked for; arguments are those of ``simulate``."""
        _check_numbers(limit=limit, batch=batch, seed=seed, monte_carlo=monte_carlo, jobs=jobs)
        main = program.module["main"]
        steps = Preprocess.from_manifest(program.manifest.get("preprocess", {}))
        samples = load_samples(inputs, main, preprocess=steps, labels=labels, limit=limit)
        judge = judge_of(metric, samples)
        rehearse(judge, main, samples)
        if batch is not None and (fixed := batching(main).fixed):
            why = f"the network takes {fixed} samples at once"
            raise NeutramsError(without_effect("--batch", why, "leave it out"))
        chances = draws(program, physics, seed, monte_carlo)
        return Task(program, samples, judge, chances, batch, compare, reference, jobs)

    @property
    def physics(self) -> Physics | None:
        return self.chances[0].physics if self.chances else None

    @property
    def options(self) -> dict[str, object]:
        """Options that answers, or how they are kept, depend on, by name."""
        return {
            "batch": self.batch,
            "physics": self.physics,
            "seed": self.chances[0].seed if self.chances else 0,
            "Monte-Carlo runs": max(len(self.chances), 1),
            "float network": self.compare,
        }

    def run(self, book: Book) -> Answers:
        """Compute the answers, on from what is done."""
        graphs, expected = self.program.module.graphs, self.reference
        teacher = graphs.get("float") if self.compare else None
        with crew(self.program, self.samples.inputs, self.jobs) as helpers:
            results = run_all(
                self.program, self.samples, self.chances, self.batch, self.jobs, helpers, book
            )
            if expected is None and teacher is not None:
                done = book.batches("float")
                expected = run_float(teacher, self.samples, book.tell, helpers=helpers, done=done)
        return Answers(results, expected)


def _check_numbers(**given: object) -> None:
    """Refuse numbers of a run that mean nothing, all at once.

    Raises:
        NeutramsError: NT0593.
    """
    faults = [
        error(
            "NT0593", f"`{name}` is {value!r}; it must be a whole number of {LEAST[name]} or more"
        )
        for name, value in given.items()
        if not (value is None and name in ("limit", "batch"))
        and not (isinstance(value, Integral) and int(value) >= LEAST[name])
    ]
    there, jobs = processors(), given["jobs"]
    if not faults and isinstance(jobs, int) and jobs > MOST_JOBS * there:
        text = f"`jobs` is {jobs}; on {there} processors it must be {MOST_JOBS * there} or less"
        faults.append(error("NT0593", text).help(f"one for each processor: --jobs {there}"))
    if faults:
        raise NeutramsError(*faults)
