"""Targets as columns: classes one-hot, several labels a row, soft labels, real numbers."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from makedo.core.checks import MakedoInputError, count, first
from makedo.core.labels import LARGEST, as_series, encode_labels

KINDS = ("classes", "multilabel", "soft", "values")
MANY, ROWS_PER_CLASS = 20, 10  # whole numbers that are as many and as rare are hardly classes
ROUNDED = 0.01  # by which the sum of shares may miss 1
NEAR = 0.15  # by which half of the rows may miss it and still be meant as shares


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
    rows that sum to 1 (within 0.01) without negative numbers are soft labels, and refused where
    they nearly do; any other columns are values.

    Raises
    ------
    MakedoInputError
        Missing labels, a wrong number of them, one class only, columns that do not fit ``kind``.
    """
    if y is None:
        raise MakedoInputError(f"{owner} requires y to be passed, but the target y is None.")
    array = _as_array(owner, y)
    if not array.ndim:
        raise MakedoInputError(f"{owner}: y must hold one label a row. Got one {type(y).__name__}.")
    several = array.ndim == 2 and array.shape[1] > 1
    if kind == "auto":
        kind = _kind_of_columns(owner, array) if several else _kind_of_column(owner, array)
    if kind == "classes":
        return _classes(owner, y, n_rows)
    targets = _numbers(owner, y, n_rows, kind)
    if (targets.Y == targets.Y[0]).all():
        each = ", ".join(f"{value:g}" for value in targets.Y[0])
        raise MakedoInputError(
            f"{owner}: all {count(n_rows, 'label')} are {each}: there is nothing to learn."
        )
    return targets


def match_targets(owner: str, y: Any, n_rows: int, like: Targets) -> Targets:
    """Read the targets of other rows as those of ``like``; a class that it lacks is an error."""
    if like.kind != "classes":
        found = _numbers(owner, in_order(owner, y, like.names), n_rows, like.kind)
        if found.Y.shape[1] != like.Y.shape[1]:
            raise MakedoInputError(
                f"{owner}: y has {count(found.Y.shape[1], 'column')}, training has "
                f"{like.Y.shape[1]}. Give the same ones."
            )
        return found
    codes = class_codes(owner, y, n_rows, like.names)
    return Targets("classes", np.eye(len(like.names))[codes], like.names, codes)


def in_order(owner: str, y: Any, names: np.ndarray) -> Any:
    """A frame with its columns in the order of ``names``; what has no names of its own as it is."""
    if not isinstance(y, pd.DataFrame) or y.shape[1] != len(names) or len(names) == 1:
        return y
    place = {str(name): i for i, name in enumerate(y.columns)}
    if set(place) == set(names):
        return y.iloc[:, [place[name] for name in names]]
    unnamed = [str(i) for i in range(len(names))]
    if unnamed in (list(place), list(names)):
        return y
    raise MakedoInputError(
        f"{owner}: the columns of y are called {first(place)}, those of training {first(names)}. "
        "Give the same ones."
    )


def class_codes(owner: str, y: Any, n_rows: int, classes: np.ndarray) -> np.ndarray:
    """Class numbers (n_rows,) under known classes."""
    values = as_series(owner, y, n_rows)
    _refuse_missing(owner, values.isna().to_numpy(), n_rows, "label them, or leave them out.")
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
    if classes.dtype.kind in "mM":
        raise MakedoInputError(
            f"{owner}: y holds dates or times. Give them as text if they name classes, as numbers "
            "if they are to be predicted."
        )
    return Targets("classes", np.eye(len(classes))[codes], classes, codes)


def _refuse_missing(
    owner: str,
    missing: np.ndarray,
    n_rows: int,
    fix: str = "leave the others out, or give them as a pool.",
) -> None:
    if missing.any():
        raise MakedoInputError(
            f"{owner}: {count(int(missing.sum()), 'row')} of {count(n_rows)} without a label "
            f"(first: row {int(np.flatnonzero(missing)[0]):,}). Every sample that is valued needs "
            f"one; {fix}"
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


def _kind_of_columns(owner: str, array: np.ndarray) -> str:
    try:
        Y = array.astype(float)
    except (TypeError, ValueError):
        return "values"  # _numbers says what is wrong
    if _are_shares(Y).all():
        return "soft"
    if np.isin(Y, (0, 1)).all():
        return "multilabel"
    if (Y >= 0).all() and (Y <= 1).all() and np.median(np.abs(Y.sum(1) - 1)) <= NEAR:
        raise MakedoInputError(
            f"{owner}: {_not_shares(Y)} Divide each row by its sum, or pass "
            'targets="values" if they are numbers to predict.'
        )
    return "values"


def _as_array(owner: str, y: Any) -> np.ndarray:
    """The labels as an array; numbers among objects are numbers."""
    if hasattr(y, "detach"):
        y = y.detach().cpu()
    try:
        array = y.toarray() if sp.issparse(y) else np.asarray(y)
    except ValueError as error:  # lists of different length
        raise MakedoInputError(
            f"{owner}: y must hold one label a row, or the same number of columns in each. Several "
            "labels a row are columns of 0 and 1, as sklearn.preprocessing.MultiLabelBinarizer "
            "makes them."
        ) from error
    if array.dtype != object or not array.ndim:
        return array
    plain = pd.Series(array.ravel()).infer_objects().to_numpy()
    if plain.dtype == object and all(isinstance(v, Number) for v in plain):
        plain = plain.astype(float)  # such as decimal fractions
    return array if plain.dtype == object else plain.reshape(array.shape)


def _numbers(owner: str, y: Any, n_rows: int, kind: str) -> Targets:
    """Columns of numbers: several labels, shares or values."""
    try:
        Y = _as_array(owner, y).astype(float)
    except (TypeError, ValueError) as error:
        raise MakedoInputError(
            f"{owner}: y holds values that are not numbers. Names of classes must stand in one "
            "column; several columns hold 0 and 1, shares, or numbers to predict."
        ) from error
    Y = Y.reshape(-1, 1) if Y.ndim < 2 else Y
    if Y.ndim != 2 or len(Y) != n_rows:
        raise MakedoInputError(
            f"{owner}: y has {count(len(Y), 'label')}, X has {count(n_rows, 'row')}."
        )
    _refuse_missing(owner, np.isnan(Y.sum(1)), n_rows)
    if not np.isfinite(Y).all():
        raise MakedoInputError(f"{owner}: y holds infinite numbers. Leave those rows out.")
    if (largest := np.abs(Y).max(initial=0)) > LARGEST:
        raise MakedoInputError(
            f"{owner}: the largest number in y is {largest:g}; its square is too large for a "
            "computer. Take logarithms, or another unit."
        )
    if kind == "multilabel" and not np.isin(Y, (0, 1)).all():
        raise MakedoInputError(f"{owner}: several labels a row must be columns of 0 and 1.")
    if kind == "soft" and not _are_shares(Y).all():
        raise MakedoInputError(
            f"{owner}: {_not_shares(Y)} Soft labels are rows of shares that are not negative and "
            "sum to 1."
        )
    named = isinstance(y, pd.DataFrame)
    columns = [str(name) for name in (y.columns if named else range(Y.shape[1]))]
    codes = Y.argmax(1) if kind == "soft" else None
    return Targets(kind, Y, np.array(columns, dtype=object), codes)


def _are_shares(Y: np.ndarray) -> np.ndarray:
    """Which rows are shares of a whole, (n,)."""
    return (np.abs(Y.sum(1) - 1) <= ROUNDED) & (Y >= 0).all(1)


def _not_shares(Y: np.ndarray) -> str:
    """Which rows are not."""
    wrong = np.flatnonzero(~_are_shares(Y))
    return (
        f"{count(len(wrong), 'row')} of {count(len(Y))} in y whose shares do not sum to 1 (first: "
        f"row {wrong[0]:,}, {Y[wrong[0]].sum():g})."
    )
