"""Every op: importing this package fills ``OPS``."""

from neutrams.ir.ops import (
    activations,
    chip,
    convolution,
    elementwise,
    indexing,
    normalization,
    pooling,
    products,
    quantization,
    recurrent,
    reductions,
    spatial,
    tensors,
    unary,
    unit,
    unit_mvm,
)

__all__ = [
    "activations",
    "chip",
    "convolution",
    "elementwise",
    "indexing",
    "normalization",
    "pooling",
    "products",
    "quantization",
    "recurrent",
    "reductions",
    "spatial",
    "tensors",
    "unary",
    "unit",
    "unit_mvm",
]
