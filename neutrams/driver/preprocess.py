"""What is done to samples before the network sees them; stored in the program."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from neutrams.ir.diagnostics import NeutramsError, error
from neutrams.ir.types import Array

_LAYOUTS = ("nchw", "nhwc")
_HELP = "for example: --preprocess scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225"


@dataclass(frozen=True, slots=True)
class Preprocess:
    """``(x * scale - mean) / std`` on channels-first arrays of element type ``dtype``.

    The text form is ``key=value`` joined by commas; ``mean`` and ``std`` hold one number, or one
    for each channel (axis 1) joined by colons. A number may be a fraction such as ``1/255``.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: str = "nchw"
    """How the samples come: ``nhwc`` is turned into ``nchw`` first."""
    dtype: str = ""
    """Element type the arithmetic is done in and the network is given; empty to decide by need."""
    range: tuple[float, ...] = ()
    """What samples lie within before all else, such as 0 and 255; changes none of them, and serves
    where there are no calibration data."""

    @classmethod
    def parse(cls, text: str) -> Preprocess:
        """Read the text form.

        Raises:
            NeutramsError: NT0527, an unknown key or a value that does not fit it.
        """
        given: dict[str, Any] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            key, equals, value = part.partition("=")
            if not equals or key not in {field.name for field in fields(cls)}:
                raise _fault(f"`{part}` is not a preprocessing step")
            given[key] = _value(key, value)
        return cls(**given)

    @classmethod
    def from_manifest(cls, stored: dict[str, Any]) -> Preprocess:
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()
        }
        return cls(**given)

    def to_manifest(self) -> dict[str, Any]:
        """Return only what differs from doing nothing."""
        pairs = ((field, getattr(self, field.name)) for field in fields(self))
        return {
            field.name: list(value) if isinstance(value, tuple) else value
            for field, value in pairs
            if value != field.default
        }

    def apply(self, x: Array) -> Array:
        """Return the array as the network wants it; the same object where nothing is to do.

        Raises:
            NeutramsError: NT0527, the channels of ``x`` are not those of ``mean`` or ``std``.
        """
        if self.layout == "nhwc":
            if x.ndim < 3:
                raise _fault(f"samples of shape {list(x.shape)} have no channels to move first")
            x = np.moveaxis(x, -1, 1)
        arithmetic = self.scale != 1.0 or bool(self.mean) or bool(self.std)
        if self.dtype or arithmetic:
            x = x.astype(np.dtype(self.dtype or "float32"))
        if self.scale != 1.0:
            x = x * x.dtype.type(self.scale)
        if self.mean:
            x = x - self._channels(self.mean, x)
        if self.std:
            x = x / self._channels(self.std, x)
        return np.ascontiguousarray(x)

    def result_range(self) -> tuple[float, float] | None:
        """Return what samples lie within when all is done; ``None`` where nothing says so.

        A ``scale`` of about 1/255 says that they are bytes; a ``mean`` or ``std`` alone, that they
        are within 0 and 1, or bytes where one of them is above 1.
        """
        raw = self.range or self._usual()
        if not raw:
            return None
        ends = [end * self.scale for end in raw]
        means, deviations = self.mean or (0.0,), self.std or (1.0,)
        pairs = [
            (end - m) / d
            for end in ends
            for m, d in zip(_filled(means, deviations), _filled(deviations, means), strict=True)
        ]
        return min(pairs), max(pairs)

    def _usual(self) -> tuple[float, ...]:
        if 1 / 256 <= self.scale <= 1 / 127:
            return (0.0, 255.0)
        if self.scale != 1.0 or not (self.mean or self.std):
            return ()
        return (0.0, 255.0 if max(*self.mean, *self.std, 0.0, 0.0) > 1 else 1.0)

    def _channels(self, numbers: tuple[float, ...], x: Array) -> Array:
        if len(numbers) not in (1, x.shape[1] if x.ndim > 1 else 1):
            raise _fault(f"{len(numbers)} numbers for samples with {x.shape[1]} channels")
        shape = (1, len(numbers)) + (1,) * (x.ndim - 2)
        return np.asarray(numbers, dtype=x.dtype).reshape(shape[: max(x.ndim, 1)])


def _value(key: str, text: str) -> Any:
    if key == "layout":
        if text.lower() not in _LAYOUTS:
            raise _fault(f"layout `{text}` is not one of {', '.join(_LAYOUTS)}")
        return text.lower()
    if key == "dtype":
        names = {"f16": "float16", "f32": "float32", "f64": "float64"}
        if text not in names:
            raise _fault(f"dtype `{text}` is not one of {', '.join(names)}")
        return names[text]
    numbers = tuple(_number(key, part) for part in text.split(":"))
    if key == "std" and 0.0 in numbers:
        raise _fault("`std` divides, so it cannot be 0")
    if key == "range" and not (len(numbers) == 2 and numbers[0] < numbers[1]):
        raise _fault("`range` is two numbers, the smaller one first")
    if key != "scale":
        return numbers
    if len(numbers) != 1:
        raise _fault(f"`scale` is one number, given {len(numbers)}")
    return numbers[0]


def _filled(numbers: tuple[float, ...], like: tuple[float, ...]) -> tuple[float, ...]:
    return numbers * len(like) if len(numbers) == 1 else numbers


def _number(key: str, text: str) -> float:
    top, slash, bottom = text.partition("/")
    try:
        number = float(top) / float(bottom) if slash else float(top)
    except (ValueError, ZeroDivisionError) as fault:
        raise _fault(f"`{key}={text}` is not a number") from fault
    if not np.isfinite(number):
        raise _fault(f"`{key}={text}` is not finite")
    return number


def _fault(message: str) -> NeutramsError:
    return NeutramsError(error("NT0527", message).help(_HELP))
