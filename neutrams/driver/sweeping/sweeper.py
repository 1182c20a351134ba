"""Compile and simulate a network at every point of a grid: error against cores, area, energy."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neutrams.driver.effects import check_effects, without_effect
from neutrams.driver.npz import write_npz
from neutrams.driver.options import Options, usual_pipeline
from neutrams.driver.preprocess import Preprocess
from neutrams.driver.progress import Progress, silent
from neutrams.driver.runs import run_float
from neutrams.driver.samples import Samples, SampleSource, load_samples
from neutrams.driver.sources import Limits, Overrides, load_graph, load_target, save_module
from neutrams.driver.sweeping.cache import arrays_digest, graph_digest, key_of
from neutrams.driver.sweeping.grid import LOWERING, Axes, Point, points
from neutrams.driver.sweeping.measure import Study
from neutrams.driver.sweeping.results import Row, check_results, read_results, write_results
from neutrams.driver.sweeping.workers import in_parallel
from neutrams.ir.diagnostics import NeutramsError, Place, error
from neutrams.ir.graph import Module
from neutrams.ir.target import Target
from neutrams.passes import PassManager


@dataclass(frozen=True, slots=True)
class Sweep:
    """What was found at the points of a grid."""

    axes: tuple[str, ...]
    rows: tuple[Row, ...]
    """One for each point, in the order of the grid."""
    reused: int
    """Rows that an earlier run had left in the file."""

    @property
    def failed(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row["status"] == "failed")


def sweep(
    model: object,
    *,
    over: Axes,
    inputs: SampleSource,
    calibration: SampleSource | None = None,
    target: str | Path | Target = "cim",
    overrides: Overrides | None = None,
    limits: Limits | None = None,
    preprocess: Preprocess | str | None = None,
    metric: str | None = None,
    samples: int | None = None,
    output: str | Path | None = None,
    fresh: bool = False,
    jobs: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> Sweep:
    """Compile and simulate a network once for each point of a grid.

    Args:
        model: What :func:`neutrams.compile` takes.
        over: Values by axis; see :func:`neutrams.driver.sweeping.grid.points`.
        inputs: Samples to judge by, with labels where there are any.
        calibration: Samples that show which values occur.
        target: The chip, as for :func:`neutrams.compile`.
        overrides: As for a compile; an axis over the same key comes after.
        limits: As for a compile; an axis over the same limit comes after.
        preprocess: As for a compile.
        metric: How to judge; as for :func:`neutrams.simulate`.
        samples: Use only so many of ``inputs``.
        output: A ``.csv`` or ``.parquet``, rewritten whenever a point is done. What it holds of
            this very study is not run again.
        fresh: Forget what ``output`` holds.
        jobs: Processes to spread the points over.
        seed: Fixes all that is random.
        progress: Told how many points are done.
        **options: Fields of :class:`neutrams.driver.Options`.

    Raises:
        NeutramsError: the grid (NT0544), the model, the data or the file (NT0545) is at fault. A
            point that fails is a row with the code of its first fault.
    """
    grid = points(over)
    chosen = Options(seed=seed, **options)
    if not grid[0].settings:
        check_effects(chosen)
    if fresh and output is None:
        raise NeutramsError(without_effect("--fresh", "there is no table", "name one: --output"))
    _check_lowering(grid, chosen)
    if isinstance(target, Target) and grid[0].overrides:
        fault = error("NT0544", "a target in memory has no keys to sweep over")
        raise NeutramsError(fault.help("name a target, or the path of its file"))
    path = None if output is None else Path(output)
    if path is not None:
        check_results(path)
    if isinstance(preprocess, str):
        preprocess = Preprocess.parse(preprocess)
    tell = progress or silent
    with tempfile.TemporaryDirectory(prefix="neutrams-", ignore_cleanup_errors=True) as folder:
        study = _prepare(
            model,
            Path(folder),
            target=target if isinstance(target, Target) else str(target),
            overrides=overrides,
            limits=limits,
            calibration=calibration,
            inputs=inputs,
            samples=samples,
            preprocess=preprocess or Preprocess(),
            options=chosen,
            metric=metric,
            tell=tell,
        )
        return _run(study, grid, path, fresh=fresh, jobs=jobs, tell=tell)


def _check_lowering(grid: Sequence[Point], options: Options) -> None:
    """Refuse pipelines that no point could run, before anything is run.

    Raises:
        NeutramsError: NT02xx, NT0543, an option has no such value; NT0544, an axis says nothing
            where passes are given.
    """
    axes = [axis for axis in grid[0].settings if axis.replace("-", "_") in LOWERING]
    if options.passes and axes:
        fault = error("NT0544", f"`{axes[0]}` says nothing where passes are given")
        fault = fault.at(Place(f"--over {axes[0]}"))
        raise NeutramsError(fault.help("leave one of `--passes` and the axis out"))
    for texts in dict.fromkeys(tuple(point.options.items()) for point in grid):
        made = replace(options, **dict(texts))  # type: ignore[arg-type]
        PassManager(made.passes or usual_pipeline(made))


def _prepare(
    model: object,
    folder: Path,
    *,
    target: str | Target,
    overrides: Overrides | None,
    limits: Limits | None,
    calibration: SampleSource | None,
    inputs: SampleSource,
    samples: int | None,
    preprocess: Preprocess,
    options: Options,
    metric: str | None,
    tell: Progress,
) -> Study:
    """Read and check everything once, run the float network, and lay all out for workers."""
    base = load_target(target, overrides, limits=limits)
    tell("reading the model", 0, 0)
    graph = load_graph(
        model,
        calibration=calibration,
        preprocess=preprocess,
        dims=options.dims,
        fixed=options.fixed,
    )
    judged = load_samples(inputs, graph, preprocess=preprocess, limit=samples)
    shown = None
    if calibration is not None:
        shown = load_samples(calibration, graph, preprocess=preprocess)
    reference = run_float(graph, judged, tell)
    save_module(Module([graph]), folder / "model.nt")
    write_npz(folder / "reference.npz", reference, small=False)
    options = replace(options, dims=None, fixed=None, emit=None, keep_float=False)
    return Study(
        folder=folder,
        target=target,
        overrides=overrides,
        limits=limits,
        options=options,
        metric=metric,
        inputs=_kept(judged, folder / "inputs.npz"),
        calibration=None if shown is None else _kept(shown, folder / "calibration.npz"),
        key=key_of(
            "sweep",
            graph_digest(graph),
            _digest(judged),
            None if shown is None else _digest(shown),
            replace(base, source=""),
            replace(options, passes=str(options.passes)),
            metric,
        )[:16],
    )


def _kept(samples: Samples, path: Path) -> Path:
    labels = {} if samples.labels is None else {"y": samples.labels}
    write_npz(path, {**samples.inputs, **labels}, small=False)
    return path


def _digest(samples: Samples) -> str:
    arrays = sorted(samples.inputs.items())
    return arrays_digest(
        arrays if samples.labels is None else [*arrays, ("labels", samples.labels)]
    )


def _run(
    study: Study,
    grid: Sequence[Point],
    path: Path | None,
    *,
    fresh: bool,
    jobs: int,
    tell: Progress,
) -> Sweep:
    """Run the points that the file does not hold, and write it whenever one is done."""
    started = time.perf_counter()
    keys = [study.key_of(point) for point in grid]
    earlier = {} if path is None or fresh else _earlier(path, study)
    done = {key: earlier[key] for key in keys if key in earlier}
    reused = len(done)
    todo = {key: point for key, point in zip(keys, grid, strict=True) if key not in done}
    tell("sweeping", len(done), len(grid))
    with closing(in_parallel(study, todo, jobs=jobs)) as rows:
        for key, row in rows:
            done[key] = row
            if path is not None:
                write_results(path, _in_order(keys, done, earlier))
            left = (time.perf_counter() - started) / (len(done) - reused) * (len(grid) - len(done))
            tell(f"sweeping, {left:,.0f} s left", len(done), len(grid))
    return Sweep(tuple(grid[0].settings), tuple(done[key] for key in keys), reused)


def _earlier(path: Path, study: Study) -> dict[str, Row]:
    """Return the rows of a file by the keys of their points.

    Raises:
        NeutramsError: NT0545, the file is no table of this study.
    """
    found: dict[str, Row] = {}
    for row in read_results(path):
        if row.get("study") != study.key or row.get("point") is None:
            fault = error("NT0545", "the file holds results of another study").at(Place(str(path)))
            fault = fault.note("the model, the data, the chip, the options or the code differ")
            raise NeutramsError(fault.help("write elsewhere with -o, or over it with --fresh"))
        found[str(row["point"])] = row
    return found


def _in_order(
    keys: Sequence[str], done: Mapping[str, Row], earlier: Mapping[str, Row]
) -> list[Row]:
    """Return the grid's rows, then what the file held of other grids of the study."""
    others = [row for key, row in earlier.items() if key not in keys]
    return [*(done[key] for key in keys if key in done), *others]
