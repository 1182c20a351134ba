"""ONNX's own test suite, run on the reference interpreter through ``onnx.backend.base.Backend``.

The suites are those inside the onnx wheel: node, simple, pytorch-converted, pytorch-operator and
the light models. What counts is decided by data that stands here: ``OPERATORS``, the neural-network
operators; ``OUTSIDE``, the others, with the reason; and three classes of cases that do not count
whatever their operators (``reason_outside``). A case counts if all operators of its model are in
``OPERATORS`` and none of the three classes holds it. ``CASES`` is how many then count,
``FAILING`` lists every one of them that does not pass (``UNSTABLE`` those that may not), and
``excluded_cases.txt`` all the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from onnx import GraphProto, ModelProto, TensorProto, numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

from neutrams.frontends.onnx.backend import ReferenceBackend
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.types import Array

SUITES = ("node", "simple", "pytorch-converted", "pytorch-operator", "real")
"""``real`` holds the light models: real networks whose weights are constants."""

_NAMES = """
    Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool
    BatchNormalization BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow
    Cast CastLike CausalConvWithState Ceil Celu CenterCropPad Clip Col2Im Compress Concat Constant
    ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumProd CumSum DeformConv DepthToSpace
    DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike
    Flatten FlexAttention Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool
    GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow
    HardSigmoid HardSwish Hardmax Identity If InstanceNormalization IsInf IsNaN LRN LSTM
    LayerNormalization LeakyRelu Less LessOrEqual LinearAttention Log LogSoftmax Loop
    LpNormalization LpPool MatMul MatMulInteger Max MaxPool MaxUnpool Mean
    MeanVarianceNormalization Min Mish Mod Mul Neg NegativeLogLikelihoodLoss Not OneHot Or PRelu
    Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN Range Reciprocal
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RoiAlign RotaryEmbedding Round
    Scan Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice
    Softmax SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum
    SwiGLU Swish Tan Tanh TensorScatter ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze
    Upsample Where Xor
"""

OPERATORS = frozenset(_NAMES.split())
"""What counts as a neural-network operator, of those the suites use."""

_TRAINING = "an optimiser or a gradient: it trains a network, and is no part of one"
_STRINGS = "computes on strings"
_SEQUENCES = "computes on sequences or optional values, which are no tensors"
_ML = "classical machine learning: trees, tables and encoders"
_RANDOM = "draws random numbers, so there is no one right result"
_SIZES = "the shape of its result depends on data, which no chip layout can hold"
_SIGNAL = "signal processing in front of a network"

OUTSIDE = {
    "Adagrad": _TRAINING,
    "Adam": _TRAINING,
    "ArrayFeatureExtractor": _ML,
    "Bernoulli": _RANDOM,
    "Binarizer": _ML,
    "ConcatFromSequence": _SEQUENCES,
    "DFT": _SIGNAL,
    "Gradient": _TRAINING,
    "ImageDecoder": "decodes image files",
    "LabelEncoder": _ML,
    "MelWeightMatrix": _SIGNAL,
    "Momentum": _TRAINING,
    "NonMaxSuppression": _SIZES,
    "NonZero": _SIZES,
    "Optional": _SEQUENCES,
    "OptionalGetElement": _SEQUENCES,
    "OptionalHasElement": _SEQUENCES,
    "RandomUniformLike": _RANDOM,
    "RegexFullMatch": _STRINGS,
    "STFT": _SIGNAL,
    "SequenceAt": _SEQUENCES,
    "SequenceConstruct": _SEQUENCES,
    "SequenceEmpty": _SEQUENCES,
    "SequenceErase": _SEQUENCES,
    "SequenceInsert": _SEQUENCES,
    "SequenceLength": _SEQUENCES,
    "SequenceMap": _SEQUENCES,
    "SplitToSequence": _SEQUENCES,
    "StringConcat": _STRINGS,
    "StringNormalizer": _STRINGS,
    "StringSplit": _STRINGS,
    "TfIdfVectorizer": _STRINGS,
    "TreeEnsemble": _ML,
    "Unique": _SIZES,
}
"""Operators of the suites that do not count, with the reason."""

TRAINED = frozenset(
    {
        "test_batchnorm_epsilon_training_mode",
        "test_batchnorm_example_training_mode",
        "test_training_dropout",
        "test_training_dropout_default",
        "test_training_dropout_default_mask",
        "test_training_dropout_mask",
    }
)
"""Cases that put an operator into training mode; dropout then draws random numbers."""

ELEMENTS = frozenset(
    getattr(TensorProto, name)
    for name in (
        *("FLOAT", "FLOAT16", "DOUBLE", "BOOL"),
        *("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"),
    )
)
"""Element types that the intermediate representation has: no strings, complex numbers, bfloat16,
8-bit floats, nor integers of 2 and 4 bits."""

EXCLUDED = Path(__file__).with_name("excluded_cases.txt")
"""Every case that does not count, with the reason."""

CASES = 1697
"""Cases that count, of onnx 1.23.0: the denominator."""

_BLOCKED = "one scale for each block of an axis; scales are per tensor or per channel"
_OLD = "operator set 1; models from operator set 6 on are read"

FAILING = {
    "node/test_dequantizelinear_blocked": _BLOCKED,
    "node/test_not_2d": _OLD,
    "node/test_not_3d": _OLD,
    "node/test_not_4d": _OLD,
    "node/test_quantizelinear_blocked_asymmetric": _BLOCKED,
    "node/test_quantizelinear_blocked_symmetric": _BLOCKED,
    "node/test_scan_sum": "the form of `Scan` of operator set 8, which carried a batch of its own",
}
"""Every case that counts and does not pass, with the reason."""

UNSTABLE = {
    "real/test_squeezenet": "softmax of 1,000 equal logits near 1e10, told apart by rounding alone",
}
"""Cases that pass or not by the order in which a BLAS adds; counted as they come out."""


class Case(NamedTuple):
    suite: str
    name: str
    test: Any

    @property
    def key(self) -> str:
        return f"{self.suite}/{self.name}"

    def model(self) -> ModelProto:
        made: ModelProto | None = self.test.model
        return onnx.load(self.path()) if made is None else made

    def path(self) -> Path:
        if self.test.model_dir is not None:
            return Path(self.test.model_dir) / "model.onnx"
        return Path(onnx.__file__).parents[1] / str(self.test.url)

    def data(self, model: ModelProto) -> Iterator[tuple[list[Array], list[Array]]]:
        """Yield inputs and expected outputs."""
        if self.test.data_sets is not None:
            for inputs, outputs in self.test.data_sets:
                yield [_array(x) for x in inputs], [_array(x) for x in outputs]
        elif self.test.model_dir is not None:
            for folder in sorted(Path(self.test.model_dir).glob("test_data_set_*")):
                yield _stored(folder, "input"), _stored(folder, "output")
        else:
            stored = {tensor.name for tensor in model.graph.initializer}
            taken = [value for value in model.graph.input if value.name not in stored]
            inputs = [Runner.generate_dummy_data(value, seed=0) for value in taken]
            path = self.path()
            yield inputs, [_read(path.with_name(f"{path.stem}_output_0.pb"))]


def all_cases() -> list[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            Case(suite, test.name, test)
            for suite in SUITES
            for test in sorted(load_model_tests(kind=suite), key=lambda test: str(test.name))
        ]


def reason_outside(case: Case, model: ModelProto) -> str:
    """Return why a case does not count, empty where it does."""
    if outside := sorted(operators(model.graph) & OUTSIDE.keys()):
        return f"{outside[0]}: {OUTSIDE[outside[0]]}"
    if case.name in TRAINED:
        return "training mode"
    if not all(v.type.HasField("tensor_type") for v in (*model.graph.input, *model.graph.output)):
        return "takes or makes a sequence or an optional value"
    if foreign := sorted(elements(model.graph) - ELEMENTS):
        return f"element type {TensorProto.DataType.Name(foreign[0])}"
    return ""


def operators(graph: GraphProto) -> set[str]:
    return {node.op_type for inner in graphs(graph) for node in inner.node}


def elements(graph: GraphProto) -> set[int]:
    """Return every element type that a graph takes, makes, stores or casts to."""
    found: set[int] = set()
    for inner in graphs(graph):
        found |= {v.type.tensor_type.elem_type for v in (*inner.input, *inner.output)}
        found |= {tensor.data_type for tensor in inner.initializer}
        for node in inner.node:
            found |= {a.t.data_type for a in node.attribute if a.HasField("t")}
            found |= {a.i for a in node.attribute if a.name == "to"}
    return found - {TensorProto.UNDEFINED}


def graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graphs(attribute.g)


def outcome(case: Case, model: ModelProto) -> str:
    """Run a case with its own tolerances and return what went wrong, empty where nothing did."""
    try:
        ready = ReferenceBackend.prepare(model)
        for inputs, expected in case.data(model):
            made = ready.run(inputs)
            Runner.assert_similar_outputs(expected, made, case.test.rtol, case.test.atol)
    except (NeutramsError, AssertionError, ValueError, IndexError) as fault:
        return str(fault).strip() or type(fault).__name__
    return ""


class Run(NamedTuple):
    used: set[str]
    """Every operator of the suites."""
    outside: dict[str, str]
    outcomes: dict[str, str]


@pytest.fixture(scope="module")
def run() -> Run:
    found = Run(set(), {}, {})
    for case in all_cases():
        model = case.model()
        found.used.update(operators(model.graph))
        reason = reason_outside(case, model)
        if reason:
            found.outside[case.key] = reason
        else:
            found.outcomes[case.key] = outcome(case, model)
    return found


def test_every_operator_is_on_one_of_the_lists(run: Run) -> None:
    assert not OPERATORS & OUTSIDE.keys()
    assert run.used <= OPERATORS | OUTSIDE.keys()


def test_every_case_that_does_not_count_is_listed(run: Run, update_golden: bool) -> None:
    listed = "".join(f"{name}: {why}\n" for name, why in sorted(run.outside.items()))
    if update_golden:
        EXCLUDED.write_text(listed, "utf-8")
    assert listed == EXCLUDED.read_text("utf-8")


def test_the_denominator_is_the_stated_one(run: Run) -> None:
    assert len(run.outcomes) == CASES


def test_cases_fail_exactly_where_the_table_says(run: Run) -> None:
    failed = {n: fault for n, fault in run.outcomes.items() if fault and n not in UNSTABLE}
    assert failed.keys() == FAILING.keys(), "\n\n".join(
        f"{name}: {failed.get(name, 'passes')}" for name in sorted(failed.keys() ^ FAILING.keys())
    )


def test_at_least_nine_in_ten_pass(run: Run, record_property: Any) -> None:
    passed = sum(not fault for fault in run.outcomes.values())
    share = passed / len(run.outcomes)
    summary = f"{passed} of {len(run.outcomes)} cases pass ({share:.2%})"
    record_property("conformance", f"{summary}; {len(run.outside)} do not count")
    assert share >= 0.97, summary


def _array(item: Any) -> Array:
    return numpy_helper.to_array(item) if isinstance(item, TensorProto) else np.asarray(item)


def _stored(folder: Path, kind: str) -> list[Array]:
    count = len(list(folder.glob(f"{kind}_*.pb")))
    return [_read(folder / f"{kind}_{i}.pb") for i in range(count)]


def _read(path: Path) -> Array:
    tensor = TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)
