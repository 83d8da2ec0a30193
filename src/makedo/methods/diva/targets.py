"""Targets as columns: classes one-hot, several labels a row, soft labels, real numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, count, first
from makedo.core.labels import as_series, encode_labels

KINDS = ("classes", "multilabel", "soft", "values")
MANY, ROWS_PER_CLASS = 20, 10  # whole numbers that are as many and as rare are hardly classes


@dataclass(frozen=True)
class Targets:
    """What the head learns to give.

    Parameters
    ----------
    kind : {"classes", "multilabel", "soft", "values"}
    Y : ndarray (N, c)
    names : ndarray (c,)
        Of the columns: the classes, in order, or the names of labels and outputs.
    codes : ndarray (N,) or None
        The class number of each row, for classes and (the likeliest) for soft labels.
    """

    kind: str
    Y: np.ndarray
    names: np.ndarray
    codes: np.ndarray | None


def read_targets(owner: str, y: Any, n_rows: int, kind: str = "auto") -> Targets:
    """Read y as one of :data:`KINDS`.

    ``"auto"``: text, booleans and whole numbers in one column are classes, other numbers are
    values.  More than 20 different whole numbers, and more than one for every ten rows, are values
    if they come as floats; as integers they are refused, as nobody can tell.  Several columns of 0
    and 1 are labels of which a row may have any number (soft labels, if every row has exactly one);
    rows that sum to 1 without negative numbers are soft labels; any other columns are values.

    Raises
    ------
    MakedoInputError
        Missing labels, a wrong number of them, one class only, columns that do not fit ``kind``.
    """
    if y is None:
        raise MakedoInputError(f"{owner} requires y to be passed, but the target y is None.")
    names = [str(name) for name in y.columns] if isinstance(y, pd.DataFrame) else None
    if hasattr(y, "detach"):
        y = y.detach().cpu().numpy()
    array = y.to_numpy() if isinstance(y, (pd.DataFrame, pd.Series)) else np.asarray(y)
    several = array.ndim == 2 and array.shape[1] > 1
    if kind == "auto":
        kind = _kind_of_columns(array) if several else _kind_of_column(owner, array)
    if kind == "classes":
        return _classes(owner, y, n_rows)
    Y = _numbers(owner, array, n_rows)
    if kind == "values" and Y.shape[1] == 1 and Y.min() == Y.max():
        raise MakedoInputError(f"{owner}: all {count(n_rows, 'label')} are {Y[0, 0]:g}.")
    if kind in ("multilabel", "soft"):
        _check_shares(owner, Y, kind)
    columns = np.array(names or [str(i) for i in range(Y.shape[1])], dtype=object)
    return Targets(kind, Y, columns, Y.argmax(1) if kind == "soft" else None)


def match_targets(owner: str, y: Any, n_rows: int, like: Targets) -> Targets:
    """Read the targets of other rows as those of ``like``; a class that it lacks is an error."""
    if like.kind != "classes":
        found = read_targets(owner, y, n_rows, like.kind)
        if found.Y.shape[1] != like.Y.shape[1]:
            raise MakedoInputError(
                f"{owner}: y has {count(found.Y.shape[1], 'column')}, training has "
                f"{like.Y.shape[1]}. Give the same ones."
            )
        return found
    codes = class_codes(owner, y, n_rows, like.names)
    return Targets("classes", np.eye(len(like.names))[codes], like.names, codes)


def class_codes(owner: str, y: Any, n_rows: int, classes: np.ndarray) -> np.ndarray:
    """Class numbers (n_rows,) under known classes."""
    values = as_series(owner, y, n_rows)
    _refuse_missing(owner, values.isna().to_numpy(), n_rows)
    place = {label: i for i, label in enumerate(classes.tolist())}
    unknown = [v for v in values.tolist() if v not in place]
    if unknown:
        raise MakedoInputError(
            f"{owner}: {count(len(unknown), 'label')} of {count(n_rows)} name classes that are not "
            f"in training (first: {first(dict.fromkeys(unknown))}; there: {first(classes)}). Add "
            "samples of them, or leave these rows out."
        )
    return np.array([place[v] for v in values.tolist()], dtype=np.int64)


def _classes(owner: str, y: Any, n_rows: int) -> Targets:
    codes, classes = encode_labels(owner, y, n_rows)
    _refuse_missing(owner, codes < 0, n_rows)
    return Targets("classes", np.eye(len(classes))[codes], classes, codes)


def _refuse_missing(owner: str, missing: np.ndarray, n_rows: int) -> None:
    if missing.any():
        raise MakedoInputError(
            f"{owner}: {count(int(missing.sum()), 'row')} of {count(n_rows)} without a label "
            f"(first: row {int(np.flatnonzero(missing)[0]):,}). Every sample that is valued needs "
            "one; leave the others out, or give them as a pool."
        )


def _kind_of_column(owner: str, array: np.ndarray) -> str:
    column = array.reshape(len(array), -1)[:, 0] if array.ndim and array.size else array
    if column.dtype.kind not in "iuf":
        return "classes"
    known = column[~np.isnan(column)] if column.dtype.kind == "f" else column
    if not np.all(known == np.floor(known)):
        return "values"
    n = len(np.unique(known))
    if n <= max(MANY, len(known) / ROWS_PER_CLASS):
        return "classes"
    if column.dtype.kind == "f":
        return "values"
    raise MakedoInputError(
        f"{owner}: y holds {count(n)} different whole numbers in {count(len(known), 'row')}. Pass "
        'targets="values" if they are numbers to predict, targets="classes" if they name classes.'
    )


def _kind_of_columns(array: np.ndarray) -> str:
    try:
        Y = array.astype(float)
    except (TypeError, ValueError):
        return "values"  # _numbers says what is wrong
    binary = bool(np.isin(Y, (0, 1)).all())
    shares = bool(np.allclose(Y.sum(1), 1) and (Y >= 0).all())
    return "soft" if shares else "multilabel" if binary else "values"


def _numbers(owner: str, array: np.ndarray, n_rows: int) -> np.ndarray:
    try:
        Y = array.astype(float)
    except (TypeError, ValueError) as error:
        raise MakedoInputError(
            f"{owner}: y holds values that are not numbers. Names of classes must stand in one "
            "column; several columns hold 0 and 1, shares, or numbers to predict."
        ) from error
    Y = Y[:, None] if Y.ndim == 1 else Y
    if Y.ndim != 2 or len(Y) != n_rows:
        raise MakedoInputError(
            f"{owner}: y has {count(len(Y), 'label')}, X has {count(n_rows, 'row')}."
        )
    _refuse_missing(owner, np.isnan(Y.sum(1)), n_rows)
    if not np.isfinite(Y).all():
        raise MakedoInputError(f"{owner}: y holds infinite numbers. Leave those rows out.")
    return Y


def _check_shares(owner: str, Y: np.ndarray, kind: str) -> None:
    if kind == "multilabel" and not np.isin(Y, (0, 1)).all():
        raise MakedoInputError(f"{owner}: several labels a row must be columns of 0 and 1.")
    if kind == "soft" and not (np.allclose(Y.sum(1), 1) and (Y >= 0).all()):
        raise MakedoInputError(
            f"{owner}: soft labels must be rows of shares that are not negative and sum to 1."
        )
