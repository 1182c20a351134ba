"""How strongly values drive crossbars: the events whose number depends on the data.

Those of a few samples stand for all; they are only counted for targets that charge for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import islice

import numpy as np

from neutrams.ir.crossbar import program as cells_of
from neutrams.ir.graph import Graph
from neutrams.ir.op import Value, Weight
from neutrams.ir.ops.time import Memory
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.types import Array
from neutrams.simulator.events import Counts
from neutrams.simulator.exact.matrix import Moment
from neutrams.simulator.rounds import program_rounds
from neutrams.simulator.run import Runner, run_batched
from neutrams.simulator.steps import Step

SAMPLES = 256
"""How many are watched."""
_BATCH = 16


def activity(
    program: Program, inputs: Mapping[str, Array], *, inferences: int
) -> dict[str, Counts]:
    """Return the events of data of so many inferences, by the name of an op's first result.

    They are those of the first :data:`SAMPLES` samples, in proportion.
    """
    watched = {name: array[:SAMPLES] for name, array in inputs.items()}
    main = program.module["main"]
    runner = _Watcher(main, Counter(), program)
    ran = run_batched(main, watched, runner.at, numbered=True, batch=_BATCH, threads=1)
    share = inferences / -(-ran.samples // ran.how.each)
    found: dict[str, Counts] = {}
    for (name, event), count in runner.seen.items():
        found.setdefault(name, {})[event] = round(count * share)
    return found


def drive(op: Mvm, weights: Array, x: Array) -> Counts:
    """Return the events of data of a ``unit.mvm`` for an input: exact, block by block."""
    e, seen = op.encoding, op.gather(x)
    digits = np.zeros(seen.shape[1:], np.int64)
    for phase in range(e.phases):
        digits += (seen >> phase * e.dac_bits & e.digit_max).sum(axis=0)
    steps = held = 0
    for block in op.table():
        group_lo, group_hi, row_lo, row_hi = islice(map(int, block), 4)
        driven = digits[group_lo:group_hi, row_lo:row_hi].reshape(-1)
        codes = cells_of(op.block_weights(weights, block), e).codes
        levels = codes.sum(axis=(0, 1, 3)) + (e.bias != 0)
        steps += int(driven.sum())
        held += int(driven @ levels)
    return {"input_steps": steps, "cell_steps": held}


class _Watcher(Runner):
    """A runner that counts what drives its crossbars."""

    def __init__(
        self, graph: Graph, seen: Counter[tuple[str, str]], program: Program | None = None
    ) -> None:
        super().__init__(graph, program_rounds(program) if program is not None else None)
        self._cells = {op: _Watcher(op.cell, seen) for op in self._cells}
        self.seen = seen

    def _run(self, step: Step, live: dict[Value, Array], memory: Memory, moment: Moment) -> None:
        mvm = step.ops[0]
        if isinstance(mvm, Mvm) and isinstance(mvm.w, Weight) and mvm.w.data is not None:
            for event, count in drive(mvm, mvm.w.data, live[mvm.x]).items():
                self.seen[mvm.result.name, event] += count
        super()._run(step, live, memory, moment)
