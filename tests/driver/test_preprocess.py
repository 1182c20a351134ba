from __future__ import annotations

import numpy as np
import pytest

from neutrams.driver.preprocess import Preprocess
from neutrams.ir.diagnostics import NeutramsError


def test_nothing_to_do_changes_nothing() -> None:
    x = np.arange(6, dtype=np.int8).reshape(2, 3)
    steps = Preprocess.parse("")
    assert steps == Preprocess()
    assert steps.to_manifest() == {}
    assert steps.apply(x).dtype == np.int8


def test_text_and_manifest_agree() -> None:
    steps = Preprocess.parse("scale=1/255, mean=0.485:0.456:0.406,std=0.229,layout=NHWC,dtype=f32")
    assert steps.scale == 1 / 255
    assert steps.mean == (0.485, 0.456, 0.406)
    assert Preprocess.from_manifest(steps.to_manifest()) == steps


def test_order_is_scale_mean_std() -> None:
    steps = Preprocess.parse("scale=2,mean=3,std=4")
    np.testing.assert_array_equal(steps.apply(np.array([[5.0]])), [[(5 * 2 - 3) / 4]])


@pytest.mark.parametrize(
    "text",
    [
        "size=3",
        "scale",
        "scale=a",
        "scale=1:2",
        "scale=1/0",
        "std=0",
        "layout=hwc",
        "dtype=i8",
        "mean=nan",
    ],
)
def test_wrong_texts(text: str) -> None:
    with pytest.raises(NeutramsError) as fault:
        Preprocess.parse(text)
    assert [d.code for d in fault.value.diagnostics] == ["NT0527"]


def test_channels_must_agree() -> None:
    with pytest.raises(NeutramsError, match="2 numbers for samples with 3 channels"):
        Preprocess.parse("mean=1:2").apply(np.zeros((1, 3, 2, 2)))
