"""How ops are run in torch, and how arrays become tensors and tensors arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from neutrams.ir.op import Op, Value, Weight
from neutrams.ir.ops.unit import Reduce
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.types import Array, DType
from neutrams.training.crossbar import always_lossless
from neutrams.training.noise import Noise
from neutrams.training.rules import EXACT


class Run:
    """How ops are run: what stands in for weights and attributes, and what may be hurried.

    ``fast`` allows float32 sums beyond 2^24, for training only. ``merging`` adds the partial sums
    of all splits at once where only a ``unit.reduce`` reads them, and no converter is lossy.
    ``close`` runs float ops in torch too, whose last bit may then differ from NumPy's. With
    ``noise``, sums of products are no integers any more.
    """

    def __init__(
        self,
        *,
        device: str = "cpu",
        weights: Mapping[Value, Tensor] | None = None,
        attributes: Mapping[tuple[Op, str], Tensor] | None = None,
        fast: bool = False,
        merging: bool = True,
        close: bool = False,
        noise: Noise | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.fast = fast
        self.noise = noise
        self.close = close or fast
        self._merging = merging
        self._weights = weights or {}
        self._attributes = attributes or {}
        self._known: dict[Value, Tensor] = {}
        self._lossless: dict[Mvm, bool] = {}

    def merges(self, op: Mvm) -> bool:
        return self._merging and all(isinstance(user, Reduce) for user in op.result.users)

    def lossless(self, op: Mvm) -> bool:
        """Whether no weights at all can make a converter of the op lose anything."""
        if op not in self._lossless:
            self._lossless[op] = always_lossless(op)
        return self._lossless[op]

    def attribute(self, op: Op, name: str) -> Tensor:
        """Return a number of an op as a float32 tensor, or what stands in for it."""
        given = self._attributes.get((op, name))
        if given is not None:
            return given
        return torch.tensor(getattr(op, name), dtype=torch.float32, device=self.device)

    def weight(self, weight: Weight) -> Tensor:
        """Return a constant, or what stands in for it."""
        given = self._weights.get(weight)
        if given is not None:
            return given
        if weight not in self._known:
            assert weight.data is not None, f"`@{weight.name}` is abstract"
            self._known[weight] = to_tensor(weight.data, self.device)
        return self._known[weight]


def to_tensor(array: Array, device: torch.device | str = "cpu") -> Tensor:
    """Return an array as floats that hold its numbers exactly."""
    if array.dtype.kind == "f":
        wide = torch.float64 if array.dtype.itemsize == 8 else torch.float32
    else:
        largest = np.abs(array.astype(np.float64)).max(initial=0)
        wide = torch.float32 if largest < EXACT else torch.float64
    return torch.from_numpy(np.array(array)).to(device, wide)


def to_array(tensor: Tensor, dtype: DType) -> Array:
    """Return a tensor in the element type it stands for."""
    return np.asarray(tensor.detach().cpu().numpy().astype(dtype.numpy))
