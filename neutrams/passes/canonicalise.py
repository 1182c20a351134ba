"""``canonicalise``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from neutrams.ir.graph import Graph
from neutrams.passes.base import Pass, PassContext
from neutrams.passes.fold_constants import FoldConstants
from neutrams.passes.fold_norms import FoldNorms
from neutrams.passes.fold_scales import FoldScales
from neutrams.passes.fuse_bias import FuseBias
from neutrams.passes.fuse_clips import FuseClips
from neutrams.passes.remove_identities import RemoveIdentities
from neutrams.passes.remove_unused import RemoveUnused

STEPS: tuple[Pass, ...] = (
    FoldConstants(),
    RemoveIdentities(),
    FoldNorms(),
    FuseBias(),
    FoldScales(),
    FuseClips(),
    RemoveUnused(),
)


@dataclass(frozen=True)
class Canonicalise(Pass):
    """Repeat the folding and fusing passes until none of them changes anything."""

    name: ClassVar[str] = "canonicalise"
    descends: ClassVar[bool] = True

    def run(self, graph: Graph, ctx: PassContext) -> bool:
        outer, rounds = ctx.running, 0
        while any(_step(made, graph, ctx) for made in STEPS):
            rounds += 1
        ctx.running = outer
        return rounds > 0


def _step(made: Pass, graph: Graph, ctx: PassContext) -> bool:
    ctx.running = made.name
    return made.run(graph, ctx)
