"""Choose the bits of every layer: measured sensitivity, an integer program, a run to verify.

How much a layer's rounding moves the network's output is measured on calibration data, weights and
inputs apart, all other layers at the chip's full bits. Mean squares of what moves are taken to add
up. An integer program then takes the plan of least cost within an error, or of least error within
a cost. What the plan really loses is measured on samples held out, and what it really costs on its
mapping; the program is solved again with other bounds until the budget is met.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neutrams.driver.bits.budget import LOSS, SHARES, Budget, Judge
from neutrams.driver.bits.knapsack import choose
from neutrams.driver.bits.trials import Trials
from neutrams.driver.costing import Cost
from neutrams.driver.progress import Progress
from neutrams.driver.samples import Samples
from neutrams.ir.diagnostics import Diagnostic, NeutramsError, error
from neutrams.ir.target import Target
from neutrams.ir.types import Array
from neutrams.passes.answers import Outputs, relative_error
from neutrams.passes.bits import BitPlan, Bits, print_bits

PROBES = 128
"""Samples on which sensitivity is measured."""
ROUNDS = 12
"""Plans that are tried against a budget."""
HOPELESS = 1.0
"""A layer that moves the output by as much as it is large by itself takes no fewer bits."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A plan, and what it was predicted and measured to do."""

    plan: BitPlan
    measure: str
    """What a point of loss is of: ``accuracy``, ``agreement`` or ``relative error``."""
    lost: float
    """Points, on the samples held out."""
    predicted_change: float
    """Root mean square of what moves in the output, over that of the output at full bits."""
    measured_change: float
    before: Cost
    after: Cost
    samples: int
    """Samples held out."""

    def to_manifest(self) -> dict[str, Any]:
        return {
            "bits": print_bits(self.plan),
            "measure": self.measure,
            "lost_points": self.lost,
            "predicted_change": self.predicted_change,
            "measured_change": self.measured_change,
            "before": asdict(self.before),
            "after": asdict(self.after),
            "held_out": self.samples,
        }


def widths(target: Target, *, digits: bool = False) -> list[Bits]:
    """Return the widths worth a choice: the most bits for each number of slices and of phases.

    With ``digits`` they begin with twice the bits of the chip, in two digits.
    """
    core, limits = target.machine.core, target.limits
    sign = core.coding != "offset"
    slices = range(target.slices - (core.coding == "twos-complement"), 0, -1)
    weights = {min(n * core.cell_bits + sign, limits.weight_bits): None for n in slices}
    inputs = {min(n * core.dac_bits, limits.input_bits): None for n in range(target.phases, 0, -1)}
    if digits:
        weights, inputs = ({2 * next(iter(most)): None, **most} for most in (weights, inputs))
    return [Bits(w, x) for w in weights if w >= 2 for x in inputs]


class Chooser:
    """One choice under way."""

    def __init__(
        self,
        trials: Trials,
        target: Target,
        budget: Budget,
        *,
        seen: Mapping[str, Array],
        held: Samples,
        teacher: Outputs,
        progress: Progress,
    ) -> None:
        self.trials, self.budget, self.progress = trials, budget, progress
        self.options = widths(target, digits=trials.digits)
        self.full = self.options[0]
        self.probes = {name: array[:PROBES] for name, array in seen.items()}
        self.held = held
        self.reference = trials.outputs({}, held.inputs)
        self.judge = Judge.of(teacher, held.labels, self.reference)
        self.errors = self._sensitivity()
        self.costs = {
            layer: [trials.layer_cost(layer, bits) for bits in self.options]
            for layer in trials.layers
        }

    def choose(self) -> Choice:
        """Return the best plan found within the budget.

        Raises:
            NeutramsError: NT0561, no plan is.
        """
        shares = self.budget.shares
        plan = self._within(shares) if shares else self._cheapest()
        found = self._told(plan)
        allowed = self.budget.loss
        if allowed is not None and found.lost > allowed:
            raise NeutramsError(_lossy(found, allowed, shares))
        return found

    def _sensitivity(self) -> dict[str, list[float]]:
        """Return for each layer and option the mean square of what moves in the output."""
        reference = self.trials.outputs({}, self.probes)
        weights = list(dict.fromkeys(bits.weights for bits in self.options))
        inputs = list(dict.fromkeys(bits.inputs for bits in self.options))
        found = {}
        for number, layer in enumerate(self.trials.layers):
            self.progress("measuring layers", number, len(self.trials.layers))
            by_weights = self._moved(layer, reference, [Bits(w, inputs[0]) for w in weights])
            by_inputs = self._moved(layer, reference, [Bits(weights[0], x) for x in inputs])
            each = dict(zip(weights, by_weights, strict=True))
            other = dict(zip(inputs, by_inputs, strict=True))
            found[layer] = [each[b.weights] + other[b.inputs] for b in self.options]
        return found

    def _moved(self, layer: str, reference: Outputs, falling: list[Bits]) -> list[float]:
        moved = [0.0]
        for bits in falling[1:]:
            if moved[-1] < HOPELESS:
                made = self.trials.outputs({layer: bits}, self.probes)
                moved.append(relative_error(made, reference) ** 2)
            else:
                moved.append(inf)
        return moved

    def _solve(
        self, *, error_most: float = inf, cost_most: Mapping[str, float] | None = None
    ) -> BitPlan | None:
        """Return the plan of least error within costs, or of least energy within an error."""
        layers = self.trials.layers
        errors = [np.array(self.errors[layer]) for layer in layers]
        tables = {name: self._table(name) for name in SHARES}
        if cost_most is not None:
            bounds = [(tables[name], most) for name, most in cost_most.items()]
            chosen = choose(errors, bounds)
        else:
            chosen = choose(tables["energy"], [(errors, error_most)])
        if chosen is None:
            return None
        return {layer: self.options[n] for layer, n in zip(layers, chosen, strict=True)}

    def _table(self, name: str) -> list[NDArray[np.float64]]:
        """Return what every option of every layer costs by itself."""
        return [
            np.array([_by_name(cost)[name] for cost in self.costs[layer]], np.float64)
            for layer in self.trials.layers
        ]

    def _within(self, shares: Mapping[str, float]) -> BitPlan:
        """Return the plan of least error whose mapping costs no more than its shares.

        Raises:
            NeutramsError: NT0561, there is none.
        """
        before = _by_name(self.trials.cost({}))
        full = dict.fromkeys(self.trials.layers, self.full)
        allowed = {name: share * before[name] for name, share in shares.items()}
        bounds = self._bounds(full, before, allowed)
        for number in range(ROUNDS):
            self.progress("choosing bits", number, ROUNDS)
            plan = self._solve(cost_most=bounds)
            if plan is None:
                break
            after = _by_name(self.trials.cost(plan))
            if all(after[name] <= most for name, most in allowed.items()):
                return plan
            nearer = self._bounds(plan, after, allowed)
            bounds = {name: min(most, nearer[name]) for name, most in bounds.items()}
        narrow = dict.fromkeys(self.trials.layers, min(self.options))
        least = _by_name(self.trials.cost(narrow))
        raise NeutramsError(_costly(shares, {name: least[name] / before[name] for name in shares}))

    def _bounds(
        self, plan: BitPlan, cost: Mapping[str, float], allowed: Mapping[str, float]
    ) -> dict[str, float]:
        """Return what layers by themselves may cost, given what a plan costs once it is mapped.

        Energy has a part that no layer's bits change; copies multiply crossbars and share time.
        """
        found = {}
        for name, most in allowed.items():
            table = self._table(name)
            alone = sum(
                float(row[self.options.index(bits)])
                for row, bits in zip(table, plan.values(), strict=True)
            )
            slope = 1.0 if name == "energy" else alone / cost[name]
            found[name] = (alone - (cost[name] - most) * slope) * (1 - 1e-4)
        return found

    def _cheapest(self) -> BitPlan:
        """Return the plan of least energy that loses no more than allowed, by bisection."""
        allowed = LOSS if self.budget.loss is None else self.budget.loss
        best: BitPlan = dict.fromkeys(self.trials.layers, self.full)
        finite = [e for row in self.errors.values() for e in row if 0 < e < inf] or [1e-9]
        low, high = (
            min(finite) / 4,
            sum(max(x for x in row if x < inf) for row in self.errors.values()),
        )
        tried: dict[str, bool] = {}
        for number in range(ROUNDS):
            self.progress("choosing bits", number, ROUNDS)
            middle = sqrt(low * high)
            plan = self._solve(error_most=middle)
            assert plan is not None, "full bits move nothing"
            key = print_bits(plan)
            if key not in tried:
                made = self.trials.outputs(plan, self.held.inputs)
                tried[key] = self.judge.lost(made) <= allowed
            if tried[key]:
                low, best = middle, plan
            else:
                high = middle
        return best

    def _told(self, plan: BitPlan) -> Choice:
        made = self.trials.outputs(plan, self.held.inputs)
        options = {layer: self.options.index(bits) for layer, bits in plan.items()}
        return Choice(
            plan=plan,
            measure=self.judge.name,
            lost=self.judge.lost(made),
            predicted_change=sqrt(sum(self.errors[la][n] for la, n in options.items())),
            measured_change=relative_error(made, self.reference),
            before=self.trials.cost({}),
            after=self.trials.cost(plan),
            samples=self.held.count,
        )


def _by_name(cost: Cost) -> dict[str, float]:
    return {"energy": cost.energy_j, "crossbars": cost.crossbars, "latency": cost.latency_s}


def _lossy(found: Choice, allowed: float, shares: Mapping[str, float]) -> Diagnostic:
    asked = ", ".join(f"{name} {share:g}" for name, share in shares.items())
    message = f"the best plan loses {found.lost:.2f} points of {found.measure}"
    fault = error("NT0561", f"{message}; {allowed:g} are allowed")
    fault = fault.note(f"on {found.samples} samples held out: {print_bits(found.plan)}")
    return fault.help(f"allow more loss, or more of the cost ({asked})" if asked else "allow more")


def _costly(shares: Mapping[str, float], least: Mapping[str, float]) -> Diagnostic:
    asked = ", ".join(f"{name} {share:g}" for name, share in shares.items())
    fault = error("NT0561", f"no plan of bits stays within its share of the cost ({asked})")
    told = ", ".join(f"{name} {share:.3f}" for name, share in least.items())
    fault = fault.note(f"the fewest bits everywhere take {told}")
    return fault.note("bits at which one layer drowns the output were not tried").help("allow more")
