"""What the simulator runs as one: a matrix product with the merging and rescaling behind it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from neutrams.ir.graph import Graph
from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.unit import Reduce, Rescale
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array
from neutrams.simulator.exact.joined import rescaled_products
from neutrams.simulator.exact.matrix import Matrix, Moment
from neutrams.simulator.exact.rescale import rescale
from neutrams.simulator.physics.matrix import AnalogMatrix, Chance


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Ops that run as one; the last one's result is all that is kept."""

    ops: tuple[Op, ...]

    @property
    def result(self) -> Value:
        return self.ops[-1].result


def steps(graph: Graph) -> list[Step]:
    """Group ops: ``unit.mvm``, then its only reader ``unit.reduce``, then ``unit.rescale``."""
    taken: set[Op] = set()
    found = []
    for op in graph.ops:
        if op in taken:
            continue
        chain = _chain(graph, op) if isinstance(op, Mvm) else (op,)
        taken.update(chain)
        found.append(Step(chain))
    return found


class Product:
    """A chain that starts with a ``unit.mvm``, ready for batches of any size."""

    def __init__(self, step: Step, chance: Chance | None = None) -> None:
        """Make a chain ready; with ``chance``, on cells and converters that are not ideal."""
        mvm, *rest = step.ops
        assert isinstance(mvm, Mvm)
        assert isinstance(mvm.w, Weight)
        assert mvm.w.data is not None
        data = mvm.w.data
        self._matrix = AnalogMatrix(mvm, data, chance) if chance else Matrix(mvm, data)
        self._mvm = mvm
        self._result = step.result
        self._reduce = rest[0] if rest and isinstance(rest[0], Reduce) else None
        self._rescale = rest[1] if len(rest) > 1 and isinstance(rest[1], Rescale) else None

    @property
    def ready(self) -> bool:
        return self._matrix.ready

    def __call__(self, x: Array, moment: Moment | None = None) -> Array:
        """Return the result of the last op for an input of the first."""
        moment = moment or Moment(0)
        op, places = self._mvm, self._matrix.places(x)
        splits = 1 if self._reduce is not None else op.splits
        out = np.empty((splits, op.outputs, prod(places)), self._result.type.dtype.numpy)
        if self._joined(x, out[0]):
            return self._shaped(out, places)
        for part, sums in self._matrix.sums(x, moment, merged=self._reduce is not None):
            if self._rescale is not None:
                self._rescaled(sums[0], self._rescale, part.start, out[0])
                continue
            out[:, :, part] = sums
            if self._reduce is not None and self._reduce.bias is not None:
                out[0, :, part] += _vector(self._reduce.bias, op.outputs).astype(out.dtype)[:, None]
        return self._shaped(out, places)

    def _shaped(self, out: Array, places: tuple[int, ...]) -> Array:
        apart = out.reshape(*out.shape[:2], *places)
        apart = np.moveaxis(apart, -1, 1) if self._mvm.kernel else np.moveaxis(apart, 1, -1)
        return apart if self._reduce is None else apart[0]

    def _joined(self, x: Array, out: Array) -> bool:
        """Write rescaled products of bytes, if it can be done; see :mod:`.joined`."""
        op, matrix = self._rescale, self._matrix
        if op is None or out.itemsize > 2 or not isinstance(matrix, Matrix):
            return False
        assert self._reduce is not None
        bias, groups = _vector(self._reduce.bias, len(out)), self._mvm.groups
        if abs(bias).max(initial=0) >= 2**30 or not matrix.within(2**30):
            return False
        seen = matrix.joined(x)
        if seen is None:
            return False
        rescaled_products(
            matrix.taps.weights, seen.drive, seen.taps, seen.starts, seen.run,
            bias.astype(np.int32).reshape(groups, -1), self._scale(op).reshape(groups, -1),
            np.float32(op.zero), np.float32(op.low), np.float32(op.high),
            out.reshape(groups, -1, out.shape[1]),
        )  # fmt: skip
        return True

    def _scale(self, op: Rescale) -> Array:
        """Return a scale for each neuron."""
        assert isinstance(op.scale, Weight)
        assert op.scale.data is not None
        scale = op.scale.data.astype(np.float32)
        return np.ascontiguousarray(np.broadcast_to(scale, self._mvm.outputs))

    def _rescaled(self, sums: Array, op: Rescale, first: int, out: Array) -> None:
        assert self._reduce is not None
        rescale(
            sums,
            _vector(self._reduce.bias, self._mvm.outputs),
            self._scale(op),
            np.float32(op.zero),
            np.float32(op.low),
            np.float32(op.high),
            first,
            out,
        )


def _chain(graph: Graph, op: Mvm) -> tuple[Op, ...]:
    if not isinstance(op.w, Weight):
        return (op,)
    axis = 1 if op.kernel else op.result.type.rank - 2
    rank = op.result.type.rank - 1
    reduce = _only_reader(graph, op.result)
    if not isinstance(reduce, Reduce) or reduce.axis % rank != axis or not _constant(reduce.bias):
        return (op,)
    last = _only_reader(graph, reduce.result)
    if not isinstance(last, Rescale) or not isinstance(last.scale, Weight):
        return (op, reduce)
    fits = last.axis % rank == axis or last.scale.type.rank == 0
    return (op, reduce, last) if fits and last.x is reduce.result else (op, reduce)


def _only_reader(graph: Graph, value: Value) -> Op | None:
    is_output = any(value is output for output in graph.outputs)
    return value.users[0] if len(value.users) == 1 and not is_output else None


def _constant(value: Value | None) -> bool:
    return value is None or isinstance(value, Weight)


def _vector(bias: Value | None, neurons: int) -> Array:
    if not isinstance(bias, Weight):
        return np.zeros(neurons, np.int64)
    assert bias.data is not None
    return bias.data.astype(np.int64)
