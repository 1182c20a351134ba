"""Conversion of column sums, whole vectors at a time.

Compilers make vectors of such loops too, but not where they stand in the middle of a kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils as untyped
from numba.core import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

LANES = 128
"""Windows that a kernel has under way at once."""
COLUMNS = 4
"""Columns that a kernel has under way at once."""

Bytes = NDArray[np.uint8]
Counts = NDArray[np.unsignedinteger[Any]]
I64 = NDArray[np.int64]

cgutils: Any = untyped

_AT_ONCE = 64
_WORD = ir.IntType(64)


def collect(
    sums: Counts, half: int, keep: int, least: int, most: int, errors: bool, worth: int,
    held: Counts,
) -> None:  # fmt: skip
    """Add to ``held`` ``[columns, LANES]`` what the converters make of ``sums`` in one phase.

    That is ``worth`` times ``(sum + half) & keep`` held within ``least`` and ``most``, or with
    ``errors`` times what the sum has more. The type of ``sums`` holds ``sum + half``, up to a
    multiple of its range, that of ``held`` the result.
    """
    seen = sums.astype(np.int64)
    rounded = (seen + half).astype(sums.dtype).astype(np.int64) & keep
    code = np.clip(rounded, least, most)
    held += ((seen - code if errors else code) * worth).astype(held.dtype)


@overload(collect)
def _collect(
    sums: Any, half: Any, keep: Any, least: Any, most: Any, errors: Any, worth: Any, held: Any
) -> Callable[..., None]:
    def run(
        sums: Any, half: Any, keep: Any, least: Any, most: Any, errors: Any, worth: Any, held: Any
    ) -> None:
        _vectors(sums, half, keep, least, most, errors, worth, held, sums.size)

    return run


def _typed(
    _: Any, sums: Any, half: Any, keep: Any, least: Any, most: Any, errors: Any, worth: Any,
    held: Any, size: Any,
) -> Any:  # fmt: skip
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole, into = (pointer(context, builder, signature, args, at) for at in (0, 7))
        converter = Converter(builder, args[1:5], args[5])
        places = (_WORD(0), args[8], _WORD(_AT_ONCE))
        with cgutils.for_range_slice(builder, *places, intp=_WORD) as (place, _):
            kind = ir.VectorType(whole.type.pointee, _AT_ONCE)
            at = builder.bitcast(builder.gep(whole, [place]), kind.as_pointer())
            given = converter.given(builder.load(at, align=1))
            add_times(builder, given, args[6], into, place)
        return context.get_dummy_value()

    return types.void(sums, half, keep, least, most, errors, worth, held, size), generate


_vectors: Any = intrinsic(_typed)


def pointer(context: Any, builder: Any, signature: Any, args: Any, at: int) -> Any:
    """Return the address of the first element of an array argument, which must lie in order."""
    kind = signature.args[at]
    assert kind.layout == "C"
    return context.make_array(kind)(context, builder, args[at]).data


class Converter:
    """Writes what :func:`collect` does, for one vector of sums."""

    def __init__(self, builder: Any, limits: Any, errors: Any) -> None:
        self._builder = builder
        self._limits = limits
        self._errors = builder.trunc(errors, ir.IntType(1))
        half, keep, least, _ = limits
        drops = builder.xor(builder.and_(keep, _WORD(1)), _WORD(1))
        moved = builder.or_(builder.or_(half, least), drops)
        self._plain = builder.icmp_unsigned("==", moved, _WORD(0))

    def given(self, seen: Any) -> Any:
        """Return codes, or what sums have more."""
        b = self._builder
        half, keep, least, most = (everywhere(b, limit, seen.type) for limit in self._limits)
        with b.if_else(self._plain) as (then, otherwise):
            with then:
                over = b.select(b.icmp_unsigned("<", seen, most), seen, most)
                plain, plainly = over, b.block
            with otherwise:
                rounded = b.and_(b.add(seen, half), keep)
                above = b.select(b.icmp_unsigned(">", rounded, least), rounded, least)
                code, there = b.select(b.icmp_unsigned("<", above, most), above, most), b.block
        found = b.phi(seen.type)
        found.add_incoming(plain, plainly)
        found.add_incoming(code, there)
        return b.select(self._errors, b.sub(seen, found), found)


class Pending:
    """Codes of some phases, added up in bytes before they are widened."""

    def __init__(self, builder: Any, kind: Any) -> None:
        self._builder = builder
        self._kind = kind
        self._zero = ir.Constant(kind, [kind.element(0)] * kind.count)
        places = range(0, COLUMNS * LANES, kind.count)
        self._held = {place: cgutils.alloca_once_value(builder, self._zero) for place in places}

    def double(self) -> None:
        b = self._builder
        for held in self._held.values():
            seen = b.load(held)
            b.store(b.add(seen, seen), held)

    def add(self, codes: Any, place: int) -> None:
        held = self._held[place]
        self._builder.store(self._builder.add(self._builder.load(held), codes), held)

    def move(self, worth: Any, into: Any) -> None:
        """Add all, ``worth`` times, to what ``into`` points to, and begin anew."""
        for place, held in self._held.items():
            add_times(self._builder, self._builder.load(held), worth, into, place)
            self._builder.store(self._zero, held)


def add_times(builder: Any, given: Any, worth: Any, into: Any, place: Any) -> None:
    """Add a vector, widened, ``worth`` times to the elements from a place on."""
    b, at = builder, builder.gep(into, [_WORD(place) if isinstance(place, int) else place])
    wide = ir.VectorType(at.type.pointee, given.type.count)
    if wide != given.type:
        given = b.zext(given, wide)
    at = b.bitcast(at, wide.as_pointer())
    more = b.mul(given, everywhere(b, worth, wide))
    b.store(b.add(b.load(at, align=1), more), at, align=1)


def everywhere(builder: Any, number: Any, kind: Any) -> Any:
    """Return a vector of one number, cut to what its elements hold."""
    if kind.element != number.type:
        number = builder.trunc(number, kind.element)
    nothing = ir.Constant(kind, ir.Undefined)
    order = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    first = builder.insert_element(nothing, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, nothing, order)
