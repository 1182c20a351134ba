"""One network under many plans of bits: what it puts out, what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from neutrams.costs import charge
from neutrams.driver.costing import Cost, cost_of
from neutrams.driver.mapping import chip_graph, map_units, one_inference
from neutrams.driver.naming import name_apart
from neutrams.driver.scheduling import add_schedule
from neutrams.driver.sources import clone
from neutrams.ir.graph import Graph, Module
from neutrams.ir.op import Weight
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.target import Target
from neutrams.ir.types import Array
from neutrams.passes import Pass, PassContext, PassManager
from neutrams.passes.answers import Outputs
from neutrams.passes.bits import BitPlan, Bits, print_bits
from neutrams.passes.observers import Histogram
from neutrams.passes.quantize import Quantize
from neutrams.passes.split_fan_in import SplitFanIn
from neutrams.simulator import run_batched
from neutrams.simulator.batching import batching
from neutrams.simulator.events import crossbar_events
from neutrams.simulator.run import Runner


class Trials:
    """A calibrated network, lowered again for each plan by the passes of a pipeline.

    ``mapping`` holds what :func:`neutrams.driver.mapping.map_units` is asked for.
    """

    def __init__(
        self,
        calibrated: Graph,
        passes: Sequence[Pass],
        *,
        target: Target,
        calibration: Mapping[str, Array],
        mapping: Mapping[str, Any],
    ) -> None:
        self._calibrated = calibrated
        self._passes = [made for made in passes if made.name != "retrain-units"]
        self._target = target
        self._calibration = calibration
        self._mapping = mapping
        self._seen: dict[str, Histogram] = {}
        self.units = self._units()

    @property
    def layers(self) -> list[str]:
        """Names of the layers on crossbars."""
        return list(self.units)

    def outputs(self, plan: BitPlan, data: Mapping[str, Array]) -> Outputs:
        """Return what the units put out, converters included."""
        graph = self._lowered(plan)
        return run_batched(graph, data, Runner(graph)).outputs

    def cost(self, plan: BitPlan) -> Cost:
        """Return what the network costs once it is mapped."""
        main = self._lowered(plan)
        name_apart(main)
        mapping = map_units(main, self._target, **self._mapping)
        program = Program(Module([main, chip_graph(main, mapping)]), self._target)
        add_schedule(program)
        return cost_of(program)

    def layer_cost(self, layer: str, bits: Bits) -> Cost:
        """Return what one copy of a layer takes by itself; its latency is that of all its reads."""
        energy, crossbars, cycles = 0.0, 0, 0
        for op, times in self.units[layer]:
            unit = self._with_bits(op, bits)
            sizes = batching(self._calibrated).one()
            counts = crossbar_events(unit, self._target, sizes, None)
            energy += times * charge(self._target, counts, 0.0).energy_j
            crossbars += len(unit.table())
            cycles += times * one_inference(unit.windows) * unit.encoding.phases
        return Cost(energy, crossbars, cycles * self._target.machine.core.read_ns * 1e-9)

    def _with_bits(self, op: Mvm, bits: Bits) -> Mvm:
        split = next(made for made in self._passes if isinstance(made, SplitFanIn))
        most = split.limits(PassContext(target=self._target), bits.weights)
        rows, neurons = split.sizes(op.fan_in, op.outputs // op.groups, *most)
        w = Weight("w", None, op.w.type.plain())
        return replace(
            op, w=w, weight_bits=bits.weights, input_bits=bits.inputs, rows=rows, neurons=neurons
        )

    def _units(self) -> dict[str, list[tuple[Mvm, int]]]:
        found: dict[str, list[tuple[Mvm, int]]] = {}
        for op, times in working_ops(self._lowered({})):
            if isinstance(op, Mvm):
                found.setdefault(op.result.origin, []).append((op, one_inference(times)))
        return found

    def _lowered(self, plan: BitPlan) -> Graph:
        graph = clone(self._calibrated, name="main")
        text = print_bits(plan)
        passes = [replace(p, bits=text) if isinstance(p, Quantize) else p for p in self._passes]
        ctx = PassContext(target=self._target, calibration=self._calibration, seen=self._seen)
        PassManager(passes).run(graph, ctx)
        return graph
