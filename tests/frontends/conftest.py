"""Real models and data, and small models made on the spot."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from neutrams.ir.diagnostics import Diagnostic, NeutramsError

ROOT = Path(__file__).resolve().parents[2]

Arrays = Mapping[str, NDArray[Any]]


@pytest.fixture
def data() -> Callable[[str], Path]:
    """Return the path of a file of real data; the test is skipped where it is absent."""
    folder = Path(os.environ.get("NEUTRAMS_DATA", ROOT.parent / "shared" / "data"))

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"data file {name} is absent")
        return path

    return find


@pytest.fixture
def model() -> Callable[..., onnx.ModelProto]:
    """Return a model from the text syntax of ``onnx.parser``: the graph, without a header."""

    def make(text: str, *, opset: int = 17, imports: str = "") -> onnx.ModelProto:
        header = f'<ir_version: 8, opset_import: ["" : {opset}{imports}]>'
        return onnx.parser.parse_model(header + text)

    return make


@pytest.fixture
def run_onnx() -> Callable[[Any, Arrays], dict[str, NDArray[Any]]]:
    """Run a model, or its file, with onnxruntime, optimisations off."""
    ort = pytest.importorskip("onnxruntime")

    def run(source: Any, inputs: Arrays) -> dict[str, NDArray[Any]]:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        given = source.SerializeToString() if isinstance(source, onnx.ModelProto) else str(source)
        session = ort.InferenceSession(given, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))

    return run


@pytest.fixture
def fault() -> Callable[[Callable[[], object]], Diagnostic]:
    """Run something that must fail with exactly one diagnostic, and return it."""

    def run(action: Callable[[], object]) -> Diagnostic:
        with pytest.raises(NeutramsError) as caught:
            action()
        (found,) = caught.value.diagnostics
        return found

    return run


@pytest.fixture
def assert_close() -> Callable[[Arrays, Arrays], None]:
    """Compare outputs to 1e-4 of the largest expected magnitude."""

    def check(found: Arrays, expected: Arrays) -> None:
        assert list(found) == list(expected)
        for name, wanted in expected.items():
            assert found[name].shape == wanted.shape, name
            assert found[name].dtype == wanted.dtype, name
            scale = float(np.abs(wanted).max(initial=0.0)) or 1.0
            np.testing.assert_allclose(found[name], wanted, rtol=0, atol=1e-4 * scale, err_msg=name)

    return check


@pytest.fixture
def at_most() -> Callable[[float], AbstractContextManager[None]]:
    """Bound what a block allocates, in megabytes."""

    @contextmanager
    def bounded(megabytes: float) -> Iterator[None]:
        tracemalloc.start()
        try:
            yield
            assert tracemalloc.get_traced_memory()[1] < megabytes * 1e6
        finally:
            tracemalloc.stop()

    return bounded
