"""The table of a sweep as a file: CSV, or Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from neutrams.driver.outputs import check_writable
from neutrams.ir.diagnostics import NeutramsError, Place, error
from neutrams.ir.files import atomic_write

Cell = bool | int | float | str | None
Row = dict[str, Cell]

KINDS = (".csv", ".parquet")


def check_results(path: Path) -> None:
    """Refuse a path at which no table could be written.

    Raises:
        NeutramsError: NT0020, NT0547 pyarrow is missing, NT0548 another ending.
    """
    if path.suffix not in KINDS:
        fault = error("NT0548", f"a table is written as {' or '.join(KINDS)}, not `{path.suffix}`")
        raise NeutramsError(fault.at(Place(str(path))))
    if path.suffix == ".parquet":
        need_package("pyarrow", extra="parquet", purpose="to read and write Parquet")
    check_writable(path)


def need_package(name: str, *, extra: str, purpose: str) -> None:
    """Refuse where an optional package is not installed.

    Raises:
        NeutramsError: NT0547.
    """
    if find_spec(name) is None:
        fault = error("NT0547", f"`{name}` is needed {purpose}, and it is not installed")
        raise NeutramsError(fault.help(f'install it: pip install "neutrams[{extra}]"'))


def write_results(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as a table with the columns of all of them; it appears whole or not at all."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if path.suffix == ".parquet":
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
        whole = [{key: row.get(key) for key in columns} for row in rows]
        with atomic_write(path) as file:
            parquet.write_table(arrow.Table.from_pylist(_one_type_a_column(whole)), file)
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _spelt(cell) for key, cell in row.items()} for row in rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def read_results(path: Path) -> list[Row]:
    """Return the rows of a table; none where there is no file.

    Raises:
        NeutramsError: NT0545, the file holds something else.
    """
    if not path.is_file():
        return []
    if path.suffix == ".parquet":
        return _read_parquet(path)
    try:
        text = path.read_text(encoding="utf-8")
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise _no_table(path, str(fault)) from None
    if any(None in row or None in row.values() for row in rows):
        raise _no_table(path, "a row has more or fewer cells than the first line names")
    return [{key: _read(cell) for key, cell in row.items()} for row in rows]


def _read_parquet(path: Path) -> list[Row]:
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    try:
        found: list[Row] = parquet.read_table(path).to_pylist()
    except (OSError, arrow.ArrowException) as fault:
        raise _no_table(path, str(fault)) from None
    return found


def _one_type_a_column(rows: list[Row]) -> list[Row]:
    """Return the rows with columns of mixed types as text; whole numbers may be fractions."""
    mixed = set()
    for key in rows[0] if rows else ():
        types = {type(row[key]) for row in rows if row[key] is not None}
        if len(types) > 1 and not types <= {int, float}:
            mixed.add(key)
    return [{k: _spelt(c) if k in mixed else c for k, c in row.items()} for row in rows]


def _spelt(cell: Cell) -> str | None:
    if cell is None:
        return None
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def _read(text: str) -> Cell:
    if text == "":
        return None
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if str(number) == text:
            return number
    return {"true": True, "false": False}.get(text, text)


def _no_table(path: Path, why: str) -> NeutramsError:
    fault = error("NT0545", "the file does not hold the results of a sweep")
    return NeutramsError(fault.at(Place(str(path))).note(why).help("name another with -o"))
