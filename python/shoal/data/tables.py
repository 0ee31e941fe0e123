"""Tables of numbers in CSV and TSV files, for regression and classification."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shoal.data.dataset import from_arrays
from shoal.data.splits import TEST, Parts, three_parts
from shoal.errors import DataError

Column: TypeAlias = str | int  # name in the header, or position from 0; negative counts from the end


def load_csv(
    path: str | Path,
    targets: Column | Sequence[Column] = -1,
    *,
    classification: bool | None = None,
    groups: Column | None = None,
    drop: Sequence[Column] = (),
    delimiter: str | None = None,
    validation: float | None = None,
    test: float = TEST,
    seed: int = 0,
) -> Parts:
    """Load a table of numbers: train, validation, test; inputs standardised by the training part.

    The first row is a header if none of its cells is a number. All columns that are not named below are inputs.

    Args:
        path: The file.
        targets: The column or columns to predict; by default the last.
        classification: The target column holds labels: any text or numbers, numbered in sorted order (see
            ``Dataset.class_names``). By default it does if none of its cells is a number.
        groups: A column (a subject, a day) whose values must not be torn apart by a split; not an input.
        drop: Columns to leave out.
        delimiter: Between cells; by default a tab in .tsv files, else a comma.
        validation: Rows (int) or fraction (float) of what is not test; by default a fifth.
        test: Rows or fraction for the test part, which is the same for every seed.
        seed: Keys the validation split.

    Raises:
        DataError: The file cannot be read, has no such column, or a cell is missing or not a finite number.
        ValueError: An argument breaks its rule.
    """
    table = _read_table(Path(path), delimiter)
    goals = [table.position(c) for c in ([targets] if isinstance(targets, str | int) else targets)]
    if not goals:
        raise ValueError("targets must name at least one column")
    unused = {table.position(c) for c in ([*drop] if groups is None else [*drop, groups])}
    inputs = [i for i in range(len(table.header)) if i not in unused.union(goals)]
    if not inputs:
        raise DataError(f"{path}: no column is left for the inputs, targets are {targets}")
    x = np.stack([table.numbers(i) for i in inputs], axis=1)
    if classification is None:
        classification = len(goals) == 1 and all(math.isnan(_number(cell)) for cell in table.columns[goals[0]])
    if not classification:
        data = from_arrays(x, np.stack([table.numbers(i) for i in goals], axis=1), name=table.path.name)
    elif len(goals) == 1:
        names, labels = table.labels(goals[0])
        data = from_arrays(x, labels, classes=len(names), name=table.path.name, class_names=names)
    else:
        raise ValueError(f"a classification needs one target column, got {targets}")
    keys = None if groups is None else table.labels(table.position(groups))[1]
    return three_parts(data, test, validation, seed, keys)


@dataclass(frozen=True)
class _Table:
    path: Path
    header: list[str]
    columns: list[tuple[str, ...]]
    lines: list[int]  # of each row in the file, for messages

    def position(self, column: Column) -> int:
        if isinstance(column, str) and column in self.header:
            return self.header.index(column)
        if isinstance(column, int) and -len(self.header) <= column < len(self.header):
            return column % len(self.header)
        raise DataError(f"{self.path}: has no column {column!r}, its columns are {', '.join(self.header)}")

    def numbers(self, column: int) -> NDArray[np.float64]:
        values = np.array([_number(cell) for cell in self.columns[column]])
        if not np.isfinite(values).all():
            self._reject(column, int(np.isfinite(values).argmin()), "must be a finite number")
        return values

    def labels(self, column: int) -> tuple[list[str], NDArray[np.int64]]:
        cells = self.columns[column]
        for row, cell in enumerate(cells):
            if cell.lower() in ("", "nan"):
                self._reject(column, row, "must not be missing")
        numeric = not any(math.isnan(_number(cell)) for cell in cells)
        names = sorted(set(cells), key=_number if numeric else None)
        number = {name: i for i, name in enumerate(names)}
        return names, np.array([number[cell] for cell in cells])

    def _reject(self, column: int, row: int, rule: str) -> NoReturn:
        cell = self.columns[column][row]
        raise DataError(f"{self.path}, line {self.lines[row]}, column {self.header[column]}: {rule}, got {cell!r}")


def _read_table(path: Path, delimiter: str | None) -> _Table:
    if delimiter is None:
        delimiter = "\t" if path.suffix == ".tsv" else ","
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    width = len(rows[0][1]) if rows else 0
    for line, row in rows:
        if len(row) != width:
            raise DataError(f"{path}, line {line}: has {len(row)} cells, the first row has {width}")
    header = [str(i) for i in range(width)]
    if rows and all(math.isnan(_number(cell)) for cell in rows[0][1]):
        header = rows.pop(0)[1]
    if not rows:
        raise DataError(f"{path}: empty, has no row of data")
    if len(set(header)) < width:
        raise DataError(f"{path}: two columns have the same name: {', '.join(header)}")
    lines, cells = zip(*rows, strict=True)
    return _Table(path, header, list(zip(*cells, strict=True)), list(lines))


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
