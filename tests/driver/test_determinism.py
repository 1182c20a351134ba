"""Equal inputs give equal bytes, however many threads there are and in whatever order it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

import neutrams

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("threads", [1, 2])
def test_programs_do_not_depend_on_threads(threads: int) -> None:
    with threadpool_limits(threads):
        again = _compile()
    assert again.members() == _compile().members()


def _compile() -> neutrams.Program:
    calibration = EXAMPLES / "digits_calibration.npz"
    return neutrams.compile(EXAMPLES / "mnist8_cntk.onnx", target="cim", calibration=calibration)
