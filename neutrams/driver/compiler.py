"""The whole road from a model to a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neutrams.driver.bits.plans import AUTO
from neutrams.driver.dry_run import TRAINING, check_fit, check_units
from neutrams.driver.effects import check_effects
from neutrams.driver.options import Options, usual_pipeline
from neutrams.driver.placing.mapping import chip_graph, map_units
from neutrams.driver.placing.naming import name_apart
from neutrams.driver.placing.scheduling import add_schedule
from neutrams.driver.preprocess import Preprocess
from neutrams.driver.progress import Progress, silent
from neutrams.driver.samples import Samples, SampleSource, load_samples
from neutrams.driver.shares import shares
from neutrams.driver.sources import clone, load_graph, load_target, source_name
from neutrams.driver.sweeping.cache import Cache, arrays_digest, graph_digest, key_of
from neutrams.driver.synthesis import Synthesis
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.graph import Graph, Module
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.target import Target
from neutrams.ir.types import Array
from neutrams.ir.verifier import check
from neutrams.ir.version import VERSION
from neutrams.passes import (
    Pass,
    PassContext,
    PassLoss,
    PassManager,
    Remark,
    print_pipeline,
)
from neutrams.passes.counterparts import Known, to_manifest
from neutrams.passes.losses import judge_road, no_samples


@dataclass(frozen=True, slots=True)
class Compiled:
    """A program and what there is to say about how it was made."""

    program: Program
    remarks: tuple[Remark, ...]
    warnings: tuple[Diagnostic, ...]
    reused: tuple[str, ...]
    """Stages taken from the cache instead of being run."""
    losses: tuple[PassLoss, ...] = ()
    """What each pass lost, where that was asked for."""


def compile(
    model: object,
    *,
    target: str | Path | Target = "cim",
    calibration: SampleSource | None = None,
    overrides: Mapping[str, Any] | Sequence[str] | None = None,
    limits: Mapping[str, Any] | Sequence[str] | None = None,
    preprocess: Preprocess | str | None = None,
    seed: int = 0,
    cache: Cache | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Program:
    """Compile a model (a path, an ONNX model, a torch module, a graph) for a chip.

    Args:
        model: What :func:`neutrams.frontends.load_model` reads, or a graph.
        target: Name of a chip, path of a target file, or a target.
        calibration: Samples that show which values occur: an ``.npz`` or arrays.
        overrides: Target values to change, such as ``{"core.rows": 64}``.
        limits: Limits to tighten, such as ``{"fan-in": 64, "weight-bits": 4}``.
        preprocess: What is done to every sample first; kept in the program.
        seed: Fixes all that is random: placement, and samples made up for want of data.
        cache: Where to look for, and keep, results of earlier compiles.
        progress: Told how far the work is.
        **options: Fields of :class:`Options`.

    Raises:
        NeutramsError: the model, the data or the target is at fault, or they do not fit.
    """
    chosen = Options(seed=seed, **options)
    check_effects(chosen)
    return compile_model(
        model,
        target=load_target(target, overrides, limits=limits),
        calibration=calibration,
        preprocess=Preprocess.parse(preprocess) if isinstance(preprocess, str) else preprocess,
        options=chosen,
        cache=cache,
        progress=progress or silent,
    ).program


def compile_model(
    model: object,
    *,
    target: Target,
    calibration: SampleSource | None = None,
    preprocess: Preprocess | None = None,
    options: Options,
    cache: Cache | None = None,
    progress: Progress = silent,
) -> Compiled:
    """Compile as :func:`compile` does, and return the remarks and warnings too."""
    manager = PassManager(options.passes or usual_pipeline(options))
    progress("reading the model", 0, 0)
    notes: list[Diagnostic] = []
    graph = load_graph(
        model,
        calibration=calibration,
        preprocess=preprocess,
        dims=options.dims,
        fixed=options.fixed,
        notes=notes,
    )
    steps = preprocess or Preprocess()
    samples = (
        load_samples(calibration, graph, preprocess=steps) if calibration is not None else None
    )
    gates = [options.gate, options.road_gate, *(made.retention for made in manager.passes)]
    if options.loss_per_pass or any(gates):
        cache = None
        if samples is None:
            raise no_samples()
    kept = graph if samples is not None else clone(graph, name="original")
    synthesis = Synthesis.plan(kept, steps, seed=options.seed)
    run = _Run(target, options, manager, cache, progress, samples, synthesis)
    run.warnings += notes
    run.manifest = _manifest(model, graph, steps, run)
    labels = [] if samples is None or samples.labels is None else [("y", samples.labels)]
    asked = [dict(options.budget), arrays_digest(labels)] if options.bits == AUTO else []
    asked += [arrays_digest(labels)] if any(getattr(p, "labels", 0) for p in manager.passes) else []
    key = key_of("program", run.manifest, target, options.verify_each, *asked)
    if cache is not None and (found := cache.get(key)) is not None:
        return Compiled(found, (), tuple(run.warnings), ("everything",))
    if options.bits == AUTO:
        run.choose_bits(graph)
    program = run.lower(graph)
    if cache is not None:
        cache.put(key, program)
    return Compiled(
        program, tuple(run.remarks), tuple(run.warnings), tuple(run.reused), tuple(run.losses)
    )


class _Run:
    """One compile under way."""

    def __init__(
        self,
        target: Target,
        options: Options,
        manager: PassManager,
        cache: Cache | None,
        progress: Progress,
        samples: Samples | None,
        synthesis: Synthesis,
    ) -> None:
        self.target = target
        self.options = options
        self.passes = manager.passes
        self.cache = cache
        self.progress = progress
        self.samples = samples
        self.synthesis = synthesis
        self.made_up: dict[str, Array] = {}
        self.manifest: dict[str, Any] = {}
        self.remarks: list[Remark] = []
        self.warnings: list[Diagnostic] = []
        self.reused: list[str] = []
        self.losses: list[PassLoss] = []
        self.counterparts: Known = {}
        self.answers: dict[str, dict[str, Array]] = {}

    def choose_bits(self, graph: Graph) -> None:
        """Choose the bits of layers, and go on with a pipeline that names them."""
        from neutrams.driver.bits.auto import choose_bits
        from neutrams.driver.bits.budget import Budget
        from neutrams.driver.bits.trials import with_bits

        samples = self.samples
        found = choose_bits(
            graph,
            self.passes,
            target=self.target,
            samples=samples or Samples(dict(self._data()), None, "synthetic inputs"),
            budget=Budget(**self.options.budget),
            mapping=self._mapping_options(),
            progress=self.progress,
        )
        self.passes = with_bits(self.passes, found.plan)
        self.manifest["pipeline"] = print_pipeline(self.passes)
        self.manifest["precision"] = found.to_manifest()

    def lower(self, graph: Graph) -> Program:
        names = [made.name for made in self.passes]
        border = names.index("calibrate") + 1 if "calibrate" in names else 0
        pruned = "prune-to-blocks" in names[:border]
        original = clone(graph, name="float") if pruned else None
        calibrated = self._calibrated(graph, self.passes[:border])
        main = clone(calibrated, name="main")
        self._run_passes(
            main,
            self.passes[border:],
            "lowering to units",
            teacher=calibrated,
            original=original,
        )
        if main.level != "unit":
            raise NeutramsError(_not_lowered(main, names))
        judge_road(self.losses, self.options.road_gate)
        check(main, self.target)
        self.manifest["shares"] = shares(calibrated, main).to_manifest()
        check_units(main, self.target, rounds=self.options.rounds)
        name_apart(main)
        units = [op for op, _ in working_ops(main) if isinstance(op, Mvm)]
        if found := to_manifest(self.counterparts, units):
            self.manifest["counterparts"] = found
        self.progress("placing on the chip", 0, 0)
        mapping = map_units(main, self.target, **self._mapping_options())
        module = Module([main, chip_graph(main, mapping)])
        if self.options.keep_float:
            module.graphs["float"] = original or clone(calibrated, name="float")
            if pruned:
                module.graphs["pruned"] = clone(calibrated, name="pruned")
        program = Program(module, self.target, self.manifest)
        add_schedule(program)
        return program

    def _mapping_options(self) -> dict[str, Any]:
        names = ("replicate", "seed", "rounds", "batch")
        return {name: getattr(self.options, name) for name in names}

    def _calibrated(self, graph: Graph, passes: list[Pass]) -> Graph:
        """Run the passes up to calibration, which depend on little of the chip.

        What does not fit is refused before it is calibrated.
        """
        limits = self.target.limits
        known: list[object] = [limits.weight_bits, self.target.activation_codes, limits.functions]
        if any(made.name == "prune-to-blocks" for made in passes):
            known += [limits.fan_in, limits.neurons]
        key = key_of("calibrated", self.manifest, print_pipeline(passes), known)
        if passes and self.cache is not None and (found := self.cache.get(key)) is not None:
            self.reused.append("calibration")
            check_fit(found.module.main, self.target, self.passes, rounds=self.options.rounds)
            return found.module.main
        slow = (made.name in (*TRAINING, "calibrate") for made in passes)
        ready = next((index for index, found in enumerate(slow) if found), 0)
        self._run_passes(graph, passes[:ready], "preparing")
        check_fit(graph, self.target, self.passes, rounds=self.options.rounds)
        self._run_passes(graph, passes[ready:], "calibrating")
        if passes and self.cache is not None:
            self.cache.put(key, Program(Module([graph]), self.target))
        return graph

    def _run_passes(
        self,
        graph: Graph,
        passes: list[Pass],
        stage: str,
        *,
        teacher: Graph | None = None,
        original: Graph | None = None,
    ) -> None:
        options = self.options
        ctx = PassContext(
            target=self.target,
            calibration=self._data(),
            teacher=teacher,
            original=original,
            checkpoints=options.checkpoints,
            progress=self.progress,
            seed=options.seed,
            labels=None if self.samples is None else self.samples.labels,
            measure_losses=options.loss_per_pass or options.road_gate > 0,
            gate=options.gate,
            losses=self.losses,
            answers=self.answers,
            verify_each=options.verify_each,
            print_after=options.print_after,
            emit=options.emit,
            timing=options.timing,
        )
        for index, made in enumerate(passes):
            self.progress(f"{stage}: {made.name}", index, len(passes))
            if made.name in TRAINING and graph.level == "unit":
                check_units(graph, self.target, rounds=options.rounds)
            PassManager([made]).run(graph, ctx)
        self.remarks += ctx.remarks
        self.counterparts.update(ctx.counterparts)
        self.manifest.update(ctx.facts)
        if options.loss_per_pass:
            self.manifest["losses"] = [_lasting(loss) for loss in self.losses]

    def _data(self) -> Mapping[str, Array]:
        if self.samples is not None:
            return self.samples.inputs
        if not self.made_up:
            self.progress("making up inputs", 0, 0)
            self.made_up = self.synthesis.make()
        return self.made_up


def _manifest(model: object, graph: Graph, steps: Preprocess, run: _Run) -> dict[str, Any]:
    """Describe all a program follows from, but the chip, which it holds anyway."""
    if run.samples is None and not _is_quantised(graph):
        run.warnings.append(run.synthesis.warn())
    samples = run.samples
    made_up = {} if samples is not None else {"synthetic": run.synthesis.to_manifest()}
    return {
        "neutrams": VERSION,
        "model": {"name": source_name(model), "graph_sha256": graph_digest(graph)},
        "calibration": None
        if samples is None
        else {"samples": samples.count, "sha256": arrays_digest(sorted(samples.inputs.items()))},
        **made_up,
        "quantised": _is_quantised(graph),
        "preprocess": steps.to_manifest(),
        "pipeline": print_pipeline(run.passes),
        "replicate": run.options.replicate,
        **_rounds_manifest(run.options),
        "float": run.options.keep_float,
        "seed": run.options.seed,
    }


def _lasting(loss: PassLoss) -> dict[str, Any]:
    """Return what a manifest says of a loss: all but the time, which differs from run to run."""
    return {key: value for key, value in asdict(loss).items() if key != "seconds"}


def _rounds_manifest(options: Options) -> dict[str, Any]:
    if options.rounds == 1:
        return {}
    return {"rounds": options.rounds or "auto", "batch": options.batch}


def _is_quantised(graph: Graph) -> bool:
    return any(op.name == "nn.quantize" for op in graph.ops)


def _not_lowered(graph: Graph, names: list[str]) -> Diagnostic:
    return (
        error("NT0541", f"the pipeline leaves the network at level `{graph.level}`")
        .note("a chip holds `unit` graphs; the pipeline ran " + ", ".join(names))
        .help("end it with: quantize,lower-units,split-fan-in")
    )
