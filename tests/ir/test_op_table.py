"""Every op in the table says what it makes and what it means; every pass does something."""

from __future__ import annotations

import pytest

import neutrams.ir.ops  # noqa: F401  (fills the op table)
from neutrams.ir.op import OPS, Op
from neutrams.ir.ops.recurrent import Recurrent
from neutrams.passes import Pass
from neutrams.passes.table import PASSES, pass_class

MEANINGLESS = {
    f"chip.{what}"
    for what in ("bound", "flow", "group", "place", "round", "span", "stage", "vector")
}
"""Ops that state where things are, and compute nothing."""


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_op_is_whole(name: str) -> None:
    cls = OPS[name]
    assert cls.infer is not Op.infer
    assert (cls.evaluate is not Op.evaluate) == (name not in MEANINGLESS)
    assert cls.__doc__
    if issubclass(cls, Recurrent):
        assert cls.step is not Recurrent.step


@pytest.mark.parametrize("name", sorted(PASSES))
def test_every_pass_is_whole(name: str) -> None:
    assert pass_class(name).run is not Pass.run
