"""Why an op runs where it runs, in the words that ``neutrams check`` prints."""

from __future__ import annotations

from neutrams.ir.op import Op, Weight
from neutrams.ir.ops.convolution import Conv, ConvTranspose
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.quantization import Dequantize, Quantize
from neutrams.ir.ops.time import Next, Run
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.passes.match import constant

DIGITAL = {
    "unit.reduce": "adds the partial sums of the row blocks and the bias",
    "unit.rescale": "turns sums into narrow integers, and clips them (the activation)",
    "unit.add": "a sum of two activations: a crossbar multiplies by constants only",
    "unit.average_pool": "an average over windows: a crossbar would spend cells on equal weights",
    "unit.lut": "an element-wise function, looked up",
    "nn.max_pool": "a maximum is not linear",
    "nn.softmax": "exponentials and their sum need floating point",
    "nn.log_softmax": "exponentials and their sum need floating point",
    "nn.mul": "a product of two activations, or by a scale that no weights take in",
    "nn.add": "a sum whose operands are not both quantised",
    "nn.layer_norm": "statistics of each sample are known only when it runs",
    "nn.instance_norm": "statistics of each sample are known only when it runs",
    "nn.group_norm": "statistics of each sample are known only when it runs",
    "time.state": "what the step before left, kept in registers",
    "nn.lstm": "a recurrent cell as one op; its gates run in floating point",
    "nn.gru": "a recurrent cell as one op; its gates run in floating point",
}


def digital_reason(op: Op) -> str:
    """Return why an op of a lowered graph runs on the vector unit; empty for crossbar ops."""
    if isinstance(op, Mvm | Next | Run):
        return ""
    if isinstance(op, Quantize):
        if op.x.op is None:
            return "rounds the network's input to the integers that crossbars read"
        return "rounds what digital units made to the integers that crossbars read"
    if isinstance(op, Dequantize):
        return "gives back real numbers to what needs floating point"
    if op.name in DIGITAL:
        return DIGITAL[op.name]
    if isinstance(op, Conv | ConvTranspose | Matmul):
        return f"in floating point: {obstacle(op) or 'it is not quantised'}"
    if op.name.startswith("tensor."):
        return "moves elements"
    return "has no integer form here; runs in floating point"


def obstacle(op: Conv | ConvTranspose | Matmul) -> str:
    """Return why a product cannot have a matrix held in crossbars; empty where it can."""
    if isinstance(op, ConvTranspose):
        return "a transposed convolution scatters, and a crossbar only gathers"
    source, matrix = (op.a, op.b) if isinstance(op, Matmul) else (op.x, op.w)
    if _held(source):
        return "its constant stands on the left"
    if not _held(matrix):
        return "a product of two activations: a crossbar multiplies by constants only"
    if 0 in matrix.type.shape:
        return "its matrix is empty"
    if isinstance(op, Matmul) and op.b.type.rank != 2:
        return "a stack of matrices, not one"
    return ""


def _held(value: object) -> bool:
    """Whether a value is a constant, or one dequantised."""
    if isinstance(value, Weight):
        return True
    made_by = getattr(value, "op", None)
    return isinstance(made_by, Dequantize) and constant(made_by.x) is not None
