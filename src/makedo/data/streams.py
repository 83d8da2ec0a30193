"""Matrices that stay in their file, and rows that come in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from makedo.core.checks import MakedoInputError, count, first
from makedo.data.table import as_frame


class ParquetMatrix:
    """The numbers of a Parquet file as a matrix that is read block by block, never as a whole.

    Parameters
    ----------
    path : str or Path
    columns : str or sequence of str, optional
        One column of lists of numbers, all of one length, or columns of numbers.  Default: the
        column of lists, if there is just one; else every column of numbers.

    Attributes
    ----------
    shape : (n_rows, n_features)
    names : list of str
        The columns that are used.

    Raises
    ------
    MakedoInputError
        The file is no Parquet file; a column is not there, holds no numbers or missing values;
        lists of different length.
    """

    def __init__(self, path: str | Path, columns: str | Sequence[str] | None = None):
        self.path = Path(path)
        schema, n_rows = self._look()
        self.names = self._choose(schema, columns)
        lists = [name for name in self.names if _is_list(schema.field(name).type)]
        if lists and len(self.names) > 1:
            raise self._fail(
                f"{first(self.names)} are several columns, and {first(lists)} holds lists. Give "
                "one column of lists, or columns of numbers."
            )
        self._lists = bool(lists)
        self.shape = (n_rows, self._list_length() if lists else len(self.names))

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """The rows in order, in blocks of at most ``size``."""
        if not self.shape[0]:
            return
        with self._open() as file:
            for batch in file.iter_batches(batch_size=size, columns=self.names):
                yield self._numbers(batch)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Some rows in the order asked for; only the row groups that hold them are read."""
        out: np.ndarray = np.empty((len(indices), self.shape[1]))
        with self._open() as file:
            start = 0
            for group in range(file.num_row_groups):
                stop = start + file.metadata.row_group(group).num_rows
                here = np.flatnonzero((indices >= start) & (indices < stop))
                if len(here):
                    rows = file.read_row_group(group, columns=self.names).take(
                        pa.array(indices[here] - start)
                    )
                    out[here] = self._numbers(rows.combine_chunks().to_batches()[0])
                start = stop
        return out

    def column(self, name: str) -> Any:
        """A column of one value a row, such as the label."""
        schema, _ = self._look()
        self._require([name], schema)
        with self._open() as file:
            return as_frame(file.read(columns=[name]))[name]

    def without(self, names: Sequence[str]) -> ParquetMatrix:
        """The same matrix without some columns."""
        left = [name for name in self.names if name not in names]
        return self if left == self.names else ParquetMatrix(self.path, left)

    def _look(self) -> tuple[pa.Schema, int]:
        with self._open() as file:
            return file.schema_arrow, file.metadata.num_rows

    def _open(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path)
        except FileNotFoundError as error:
            raise self._fail("there is no such file.") from error
        except (pa.ArrowException, OSError) as error:
            raise self._fail("is cut short, damaged, or not parquet.") from error

    def _choose(self, schema: pa.Schema, columns: str | Sequence[str] | None) -> list[str]:
        if columns is None:
            lists = [field.name for field in schema if _is_list(field.type)]
            numbers = [field.name for field in schema if _is_number(field.type)]
            chosen = lists if len(lists) == 1 else numbers
        else:
            chosen = [columns] if isinstance(columns, str) else list(columns)
            self._require(chosen, schema)
        wrong = [n for n in chosen if not _holds_numbers(schema.field(n).type)]
        if wrong or not chosen:
            raise self._fail(
                f"{f'{first(wrong)} holds no' if wrong else 'no column holds'} numbers. Name "
                "columns of numbers, or one of lists of them."
            )
        return chosen

    def _require(self, names: Sequence[str], schema: pa.Schema) -> None:
        if unknown := [name for name in names if name not in schema.names]:
            raise self._fail(
                f"has no column {first(unknown)}. It has {count(len(schema.names), 'column')}: "
                f"{first(schema.names, 12)}{', …' if len(schema.names) > 12 else ''}."
            )

    def _list_length(self) -> int:
        with self._open() as file:
            for batch in file.iter_batches(batch_size=1, columns=self.names):
                return len(batch.column(0)[0]) if batch.column(0)[0].is_valid else 0
        return 0

    def _numbers(self, batch: pa.RecordBatch) -> np.ndarray:
        """A batch as (n, n_features)."""
        if any(column.null_count for column in batch.columns):
            raise self._fail(f"has missing values in {first(self.names)}. Fill or drop those rows.")
        if not self._lists:
            columns = [c.to_numpy(zero_copy_only=False) for c in batch.columns]
            return np.stack(columns, axis=1)
        values = batch.column(0).flatten()
        lengths = np.diff(np.append(_offsets(batch.column(0)), len(values)))
        if values.null_count or (lengths != self.shape[1]).any():
            raise self._fail(
                f"the lists in {first(self.names)} are not all of {count(self.shape[1], 'number')}."
            )
        return values.to_numpy(zero_copy_only=False).reshape(-1, self.shape[1])

    def _fail(self, what: str) -> MakedoInputError:
        return MakedoInputError(f"{self.path.name}: {what}")


def _offsets(lists: Any) -> np.ndarray:
    """Where each list of a column starts among its flattened values."""
    if pa.types.is_fixed_size_list(lists.type):
        return np.arange(len(lists)) * lists.type.list_size
    return lists.offsets.to_numpy()[:-1] - lists.offsets[0].as_py()


def _is_number(kind: Any) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _is_list(kind: Any) -> bool:
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in lists) and _is_number(kind.value_type)


def _holds_numbers(kind: Any) -> bool:
    return _is_number(kind) or _is_list(kind)


# --- what a user may give as X --------------------------------------------------------------------


def open_rows(X: Any) -> Any:
    """A path as the matrix in that file, which is not read; anything else as it is."""
    if not isinstance(X, (str, Path)):
        return X
    path = Path(X)
    if path.suffix == ".parquet":
        return ParquetMatrix(path)
    if path.suffix != ".npy":
        raise MakedoInputError(f"{path.name}: X may be the path of a .npy or .parquet file.")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise MakedoInputError(f"{path.name}: there is no such file.") from error
    except (ValueError, OSError) as error:
        raise MakedoInputError(f"{path.name}: is cut short, damaged, or holds objects.") from error


def is_loader(X: Any) -> bool:
    """Whether X is a torch DataLoader, told by its parts."""
    return hasattr(X, "batch_sampler") and hasattr(X, "dataset")


def read_loader(loader: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """All rows of a DataLoader, and its labels where a batch is a pair of rows and labels.

    Raises
    ------
    MakedoInputError
        It shuffles, so that no answer could be matched to its sample; it is empty.
    """
    if "Random" in type(getattr(loader, "sampler", None)).__name__:
        raise MakedoInputError(
            "The DataLoader gives its samples in random order, so no value could be matched to its "
            "sample. Build it with shuffle=False."
        )
    rows, labels = [], []
    for batch in loader:
        pair = batch if isinstance(batch, (list, tuple)) else [batch]
        rows.append(_array(pair[0]))
        if len(pair) > 1:
            labels.append(_array(pair[1]))
    if not rows:
        raise MakedoInputError("The DataLoader gives no batch. Give one with samples.")
    return np.concatenate(rows), np.concatenate(labels) if labels else None


def _array(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)


def take_column(X: Any, name: str, role: str) -> Any:
    """The column ``name`` of a table or Parquet matrix: one value a row."""
    if isinstance(X, ParquetMatrix):
        return X.column(name)
    if not (hasattr(X, "columns") or hasattr(X, "column_names")):
        raise MakedoInputError(
            f"{role}={name!r} names a column, but X is a {type(X).__name__} without names. Give "
            "one value a row."
        )
    frame = as_frame(X, "X")
    if name not in frame.columns:
        raise MakedoInputError(
            f"X: no column {name!r} for {role}. It has {count(frame.shape[1], 'column')}: "
            f"{first(frame.columns, 12)}{', …' if frame.shape[1] > 12 else ''}."
        )
    return frame[name]


def drop_columns(X: Any, names: Sequence[str]) -> Any:
    """X without some columns, where it is a table or Parquet matrix that has them."""
    if not names:
        return X
    if isinstance(X, ParquetMatrix):
        return X.without(names)
    if hasattr(X, "columns") or hasattr(X, "column_names"):
        return as_frame(X, "X").drop(columns=list(names), errors="ignore")
    return X
