"""What a network would take of a chip: known without data, without training, in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neutrams.driver.dry_run import TRAINING, check_fit, check_units
from neutrams.driver.effects import check_effects
from neutrams.driver.options import Options, usual_pipeline
from neutrams.driver.placing.mapping import chip_graph, map_units
from neutrams.driver.placing.naming import name_apart
from neutrams.driver.placing.scheduling import add_schedule
from neutrams.driver.progress import Progress, silent
from neutrams.driver.resources import Resources, resources
from neutrams.driver.shares import Shares, shares
from neutrams.driver.sources import clone, load_graph, load_target
from neutrams.driver.synthesis import drawn
from neutrams.ir.graph import Graph, Module
from neutrams.ir.program import Program
from neutrams.ir.target import Target
from neutrams.passes import PassContext, PassManager, Remark


@dataclass(frozen=True, slots=True)
class Lowered:
    """A network as units whose ranges mean nothing, and what was said on the way."""

    graph: Graph
    shares: Shares
    remarks: tuple[Remark, ...]


def dry_run(
    model: object,
    *,
    target: str | Path | Target = "cim",
    overrides: Mapping[str, Any] | Sequence[str] | None = None,
    limits: Mapping[str, Any] | Sequence[str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Resources:
    """Return what a model takes of a chip, as a compile would find it.

    Nothing is calibrated, trained or placed with care: shapes alone say what is taken and when
    it runs. The arguments are those of :func:`neutrams.compile`.

    Raises:
        NeutramsError: NT04xx, it does not fit; the model or the target is at fault.
    """
    chip = load_target(target, overrides, limits=limits)
    chosen, tell = Options(**options), progress or silent
    check_effects(chosen)
    lowered = lower(model, chip, chosen, tell, refuse=True)
    check_units(lowered.graph, chip, rounds=chosen.rounds)
    main = clone(lowered.graph, name="main")
    name_apart(main)
    tell("packing", 0, 0)
    mapping = map_units(
        main,
        chip,
        replicate=chosen.replicate,
        rounds=chosen.rounds,
        batch=chosen.batch,
        moves=0,
    )
    module = Module([main, chip_graph(main, mapping)])
    program = Program(module, chip, {"shares": lowered.shares.to_manifest()})
    add_schedule(program)
    return resources(program)


def lower(
    model: object, target: Target, options: Options, tell: Progress, *, refuse: bool = False
) -> Lowered:
    """Lower a model to units with the ranges that one made-up sample shows.

    With ``refuse`` a network whose matrices alone do not fit the chip is refused first.
    """
    tell("reading the model", 0, 0)
    graph = load_graph(model, dims=options.dims, fixed=options.fixed)
    chosen = replace(options, observer="min-max", retrain=False)
    passes = PassManager(options.passes or usual_pipeline(chosen)).passes
    passes = [made for made in passes if made.name not in TRAINING]
    ctx = PassContext(target=target, calibration=drawn(graph, seed=options.seed, count=1))
    network = graph
    for index, made in enumerate(passes):
        tell(f"trying {made.name}", index, len(passes))
        if refuse and made.name == "calibrate":
            check_fit(graph, target, passes, rounds=options.rounds)
        PassManager([made]).run(graph, ctx)
        if made.name == "calibrate":
            network = clone(graph, name="network")
    return Lowered(graph, shares(network, graph), tuple(ctx.remarks))
