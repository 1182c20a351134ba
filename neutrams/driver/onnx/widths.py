"""Which element types onnxruntime's CPU kernels take, and where to compute instead."""

from __future__ import annotations

from neutrams.ir.types import DType

_FLOATS = "f16 f32 f64"
_WIDE = f"i32 i64 {_FLOATS}"
_BYTES = f"i8 u8 {_WIDE}"
_PADDED = f"{_BYTES} u32 u64 bool"

_TAKES = {
    "CumSum": _WIDE,
    "DepthToSpace": f"i8 u8 {_FLOATS}",
    "Einsum": _WIDE,
    "MatMul": f"{_WIDE} u32 u64",
    "Max": f"{_BYTES} u32 u64",
    "MaxPool": f"i8 u8 {_FLOATS}",
    "Min": f"{_BYTES} u32 u64",
    "Neg": f"i8 i16 {_WIDE}",
    "OneHot": "i64 f32",
    "Pad": _PADDED,
    "Pow": _WIDE,
    "ReduceL1": _WIDE,
    "ReduceL2": _WIDE,
    "ReduceLogSum": _WIDE,
    "ReduceLogSumExp": _WIDE,
    "ReduceMax": f"{_BYTES} bool",
    "ReduceMean": _WIDE,
    "ReduceMin": f"{_BYTES} bool",
    "ReduceProd": _WIDE,
    "ReduceSum": _WIDE,
    "ReduceSumSquare": _WIDE,
    "Resize": "i8 u8 i32 f16 f32",
    "ArgMax": _BYTES,
    "ArgMin": _BYTES,
    "TopK": f"i8 u8 i16 {_WIDE}",
    "Trilu": f"{_WIDE} bool",
    "Where": f"{_BYTES} u32",
}
"""Operators absent here take every type they are defined for."""

_WIDER = {
    "bool": "u8 i32 i64 f32",
    "i8": "i32 i64 f32 f64",
    "u8": "i32 i64 f32 f64",
    "i16": "i32 i64 f32 f64",
    "u16": "i32 i64 f32 f64",
    "i32": "i64 f64",
    "u32": "i64 f64",
}
"""Types that hold all numbers of another, and wrap around to the same ones."""


def computed_in(op_type: str, dtype: DType) -> DType:
    """Return the type to compute in: the given one, or a wider one that a kernel exists for."""
    takes = _TAKES.get(op_type, dtype.value).split()
    if dtype.value in takes:
        return dtype
    wider = _WIDER.get(dtype.value, "").split()
    return DType(next((name for name in wider if name in takes), dtype.value))
