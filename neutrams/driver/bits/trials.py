"""One network under many plans of bits: what it puts out, what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from neutrams.costs import charge
from neutrams.driver.costing import Cost, cost_of
from neutrams.driver.placing.mapping import chip_graph, map_units, one_inference
from neutrams.driver.placing.naming import name_apart
from neutrams.driver.placing.scheduling import add_schedule
from neutrams.driver.sources import clone
from neutrams.ir.graph import Graph, Module
from neutrams.ir.op import Value, Weight
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.target import Target
from neutrams.ir.types import Array
from neutrams.ir.types import times as dim_times
from neutrams.passes import Pass, PassContext, PassManager
from neutrams.passes.answers import Outputs
from neutrams.passes.bits import REST, BitPlan, Bits, print_bits
from neutrams.passes.observers import Histogram
from neutrams.passes.quantize import Quantize
from neutrams.passes.split_fan_in import SplitFanIn
from neutrams.simulator import run_batched
from neutrams.simulator.batching import batching
from neutrams.simulator.events import crossbar_events
from neutrams.simulator.run import Runner


class Trials:
    """A calibrated network, lowered again for each plan by the passes of a pipeline.

    ``mapping`` holds what :func:`neutrams.driver.placing.mapping.map_units` is asked for.
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
        self._full: BitPlan = {}
        rounding = next((made for made in passes if isinstance(made, Quantize)), Quantize())
        self.digits = rounding.digits != "none"
        """Whether layers may have more bits than the chip, in digits."""
        self.units = self._units()
        if self.digits:
            limits = target.limits
            self._full = {REST: Bits(2 * limits.weight_bits, 2 * limits.input_bits)}

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
        """Return a product with other bits; digits of more than the chip has as its groups."""
        split = next(made for made in self._passes if isinstance(made, SplitFanIn))
        limits = self._target.limits
        held, read = min(bits.weights, limits.weight_bits), min(bits.inputs, limits.input_bits)
        inputs, weights = -(-bits.inputs // read), -(-bits.weights // held)
        each = op.outputs // op.groups * weights
        most = split.limits(PassContext(target=self._target), held)
        rows, neurons = split.sizes(op.fan_in, each, *most)
        shape = (op.groups * inputs * each, op.fan_in)
        w = Weight("w", None, op.w.type.plain().with_shape(shape))
        return replace(
            op,
            x=_repeated(op, inputs),
            w=w,
            groups=op.groups * inputs,
            weight_bits=held,
            input_bits=read,
            rows=rows,
            neurons=neurons,
        )

    def _units(self) -> dict[str, list[tuple[Mvm, int]]]:
        found: dict[str, list[tuple[Mvm, int]]] = {}
        for op, times in working_ops(self._lowered({})):
            if isinstance(op, Mvm):
                found.setdefault(op.result.origin, []).append((op, one_inference(times)))
        return found

    def _lowered(self, plan: BitPlan) -> Graph:
        graph = clone(self._calibrated, name="main")
        passes = with_bits(self._passes, {**self._full, **plan})
        ctx = PassContext(target=self._target, calibration=self._calibration, seen=self._seen)
        PassManager(passes).run(graph, ctx)
        return graph


def with_bits(passes: Sequence[Pass], plan: BitPlan) -> list[Pass]:
    """Return passes that round layers to a plan's bits, in digits where the passes have any."""
    text = print_bits(plan)
    return [
        replace(p, bits=text, digits="none" if p.digits == "none" else "named")
        if isinstance(p, Quantize)
        else p
        for p in passes
    ]


def _repeated(op: Mvm, times: int) -> Value:
    """Return a value like the input of a product, so many of them side by side."""
    shape, axis = list(op.x.type.shape), 1 if op.kernel else op.x.type.rank - 1
    shape[axis] = dim_times(shape[axis], times)
    return Value("x", op.x.type.with_shape(shape))
