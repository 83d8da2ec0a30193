"""The X of an estimator: any table or matrix to float32 rows, with the ids of its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from makedo.core.checks import MakedoInputError, count, first
from makedo.data.table import TableEncoder, as_frame

ROWS = 65_536  # held in double precision at once
NUMBERS = 2**23  # of a matrix in a file, looked at at once

if TYPE_CHECKING:  # scipy's stubs say that the shape of a sparse matrix may be None
    Matrix = Any
else:
    Matrix = np.ndarray | sp.csr_matrix


def read_rows(
    estimator: Any,
    X: Any,
    *,
    reset: bool = False,
    allow_empty: bool = False,
    dtype: str | None = "float32",
) -> tuple[Matrix, pd.Index]:
    """The rows of X as float32 (or as precise as they come), and their ids.

    A data frame goes through a :class:`TableEncoder`, which ``reset=True`` fits and keeps as
    ``estimator.table_``: text, categories, dates and missing values are welcome, the order of
    columns does not matter.  A matrix is taken as it is.

    Parameters
    ----------
    estimator : object
        Gets ``n_features_in_``, ``table_`` and, for frames, ``feature_names_in_``.
    X : data frame, ndarray, scipy sparse matrix, tensor or nested list (n_rows, n_features)
        Or a matrix that stays in its file, with ``shape`` and ``blocks(size)``, such as
        :class:`makedo.data.streams.ParquetMatrix`; it comes back as it is.
    reset : bool
        True in ``fit``.
    dtype : {"float32", None}
        Of the matrix.  None: numbers as they are, and a memory map is not read into memory.

    Returns
    -------
    matrix : ndarray or csr_matrix of shape (n_rows, n_encoded)
    ids : Index of length n_rows; a RangeIndex where X brings none

    Raises
    ------
    MakedoInputError
        No rows, NaN or infinite values in a matrix, another width or other columns than in ``fit``.
    """
    owner = type(estimator).__name__
    if hasattr(X, "columns") or hasattr(X, "column_names") or hasattr(X, "collect_schema"):
        frame = as_frame(X, f"{owner}: X")
        if not len(frame) and not allow_empty:
            raise MakedoInputError(f"{owner}: X has no rows.")
        if reset:
            estimator.table_ = TableEncoder()
            estimator.feature_names_in_ = np.array([str(c) for c in frame.columns], dtype=object)
            estimator.n_features_in_ = frame.shape[1]
            return estimator.table_.fit_transform(frame, f"{owner}: X"), frame.index
        if estimator.table_ is None:
            _check_width(owner, frame.shape[1], estimator.n_features_in_)
            return _matrix(owner, frame.to_numpy(), dtype), frame.index
        return estimator.table_.transform(frame, f"{owner}: X"), frame.index
    matrix = _checked_stream(owner, X) if hasattr(X, "blocks") else _matrix(owner, X, dtype)
    if not matrix.shape[0] and not allow_empty:
        raise MakedoInputError(f"{owner}: X has no rows.")
    if not matrix.shape[1]:
        raise MakedoInputError(f"{owner}: X has no columns. Give at least one feature.")
    if reset:
        estimator.table_, estimator.n_features_in_ = None, matrix.shape[1]
        estimator.__dict__.pop("feature_names_in_", None)
    elif estimator.table_ is not None:
        names = first(estimator.feature_names_in_)
        raise MakedoInputError(
            f"{owner}: fit saw a table with named columns ({names} …); give a data frame with them."
        )
    else:
        _check_width(owner, matrix.shape[1], estimator.n_features_in_)
    return matrix, pd.RangeIndex(matrix.shape[0])


def _check_width(owner: str, found: int, expected: int) -> None:
    if found != expected:
        raise MakedoInputError(
            f"{owner}: X has {count(found, 'column')}, fit saw {count(expected)}. Give the same "
            "columns."
        )


def _matrix(owner: str, X: Any, dtype: str | None) -> Matrix:
    """X as finite floats, sparse if it is."""
    if hasattr(X, "detach"):
        X = X.detach().cpu().numpy()
    given = X if sp.issparse(X) else np.asarray(X)
    if given.dtype.kind == "c":
        raise MakedoInputError(f"{owner}: Complex data not supported. Give real numbers.")
    as_it_is = dtype is None and given.dtype.kind in "fiub"
    kind = given.dtype if as_it_is else np.dtype(dtype or "float64")
    try:
        if sp.issparse(given):
            matrix: Any = sp.csr_matrix(given, dtype=kind)
            matrix.sum_duplicates()
        else:
            matrix = given if as_it_is else np.ascontiguousarray(given, dtype=kind)
    except (TypeError, ValueError) as error:
        raise MakedoInputError(
            f"{owner}: X holds values that are not numbers ({str(error)[:80]}). Give a data frame "
            "for text, categories or dates."
        ) from error
    if given.ndim != 2:
        raise MakedoInputError(
            f"{owner}: X must have two dimensions (rows, columns). Got shape {given.shape}."
        )
    if not _all_finite(matrix.data if sp.issparse(matrix) else matrix):
        bad = ~np.isfinite(matrix.data if sp.issparse(matrix) else matrix)
        columns = np.unique(matrix.indices[bad] if sp.issparse(matrix) else np.nonzero(bad)[1])
        raise MakedoInputError(
            f"{owner}: X has {count(int(bad.sum()))} NaN or infinite values in "
            f"{count(len(columns), 'column')} (first: {first(columns)}). Impute them first, for "
            "example with sklearn.impute.SimpleImputer, or give a data frame, whose missing values "
            "are filled."
        )
    return matrix


def _checked_stream(owner: str, X: Any) -> Any:
    """X, once every one of its blocks is known to be finite."""
    if not X.shape[1]:
        return X
    start = 0
    for block in X.blocks(max(1, NUMBERS // X.shape[1])):
        bad = ~np.isfinite(block)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise MakedoInputError(
                f"{owner}: X has NaN or infinite values (first: row {start + row:,}, column "
                f"{column:,}). Impute them, or leave those rows out."
            )
        start += len(block)
    return X


def _all_finite(values: np.ndarray) -> bool:
    """Whether no value is NaN or infinite, looked at a block of rows at a time."""
    return all(
        bool(np.isfinite(values[start : start + ROWS]).all())
        for start in range(0, len(values), ROWS)
    )


def stack_rows(above: Matrix, below: Matrix) -> Matrix:
    """One matrix on top of another; sparse if the upper one is."""
    if sp.issparse(above):
        return sp.vstack([above, sp.csr_matrix(below)], format="csr")
    return np.vstack([above, below.toarray() if sp.issparse(below) else below])


def _mean_and_sd(X: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the columns over some rows, in double precision, which only a block at a time has."""

    def blocks() -> Iterator[np.ndarray]:
        for start in range(0, len(rows), ROWS):
            yield X[rows[start : start + ROWS]].astype(np.float64)

    zero = np.zeros(X.shape[1])
    mean = sum((block.sum(0) for block in blocks()), zero) / len(rows)
    square = sum((((block - mean) ** 2).sum(0) for block in blocks()), zero) / len(rows)
    return mean, np.sqrt(square)


def _are_counts(X: Matrix, rows: np.ndarray) -> bool:
    """Whether some rows hold whole numbers that are not negative, and hold any."""
    found = False
    for start in range(0, len(rows), ROWS):
        block = X[rows[start : start + ROWS]]
        values = block.data if sp.issparse(block) else block
        if np.any(values < 0) or np.any(values != np.floor(values)):
            return False
        found = found or values.size > 0
    return found


class RowScaler:
    """Scale features for a network: rows of counts to sum 1, dense columns to mean 0 and sd 1.

    Parameters
    ----------
    how : {"auto", "rows", "columns", "none"}
        "auto" takes rows for counts (whole numbers without negative ones), columns for any other
        dense matrix, none for any other sparse one.
    """

    def __init__(self, how: str = "auto"):
        self.how = how

    def fit(self, X: Matrix, rows: np.ndarray | None = None) -> RowScaler:
        """Choose, and for "columns" learn mean and sd, on ``rows``, the nodes that are linked."""
        rows = np.arange(X.shape[0]) if rows is None else rows
        if self.how == "auto":
            counts = _are_counts(X, rows)
            self.how = "rows" if counts else "none" if sp.issparse(X) else "columns"
        self.mean: np.ndarray | None = None
        if self.how == "columns":
            if sp.issparse(X):
                raise MakedoInputError(
                    'normalize="columns" would fill a sparse X. Use "rows" or "none".'
                )
            mean, sd = _mean_and_sd(X, rows)
            self.mean = mean.astype(np.float32)
            self.scale = np.where(sd < 1e-12, 1.0, sd).astype(np.float32)
        return self

    def transform(self, X: Matrix) -> Matrix:
        """Return the scaled matrix; rows of zeros stay zero."""
        if self.how == "rows":
            total = np.asarray(abs(X).sum(1), dtype=np.float32).ravel()
            factor = np.divide(1, total, out=np.zeros_like(total), where=total > 0)
            if sp.issparse(X):
                scaled = sp.csr_matrix(X, copy=True)
                scaled.data *= np.repeat(factor, np.diff(scaled.indptr))
                return scaled
            return X * factor[:, None]
        if self.how == "columns":
            assert self.mean is not None
            scaled = X - self.mean
            scaled /= self.scale
            return scaled
        return X

    def to_state(self) -> dict[str, Any]:
        """Plain values for a model directory."""
        return {
            "how": self.how,
            "mean": self.mean,
            "scale": None if self.mean is None else self.scale,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> RowScaler:
        """The inverse of :meth:`to_state`."""
        scaler = cls(state["how"])
        scaler.mean, scaler.scale = state["mean"], state["scale"]
        if scaler.how == "columns" and scaler.mean is None:
            raise ValueError("the scaler has no means")
        return scaler
