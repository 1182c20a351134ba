"""What constants of a chip graph hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.op import Value, Weight


def constant(value: Value) -> NDArray[np.int64]:
    """Return what a constant of a chip graph holds."""
    assert isinstance(value, Weight)
    assert value.data is not None
    return value.data.astype(np.int64)
