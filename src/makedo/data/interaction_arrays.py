"""Events and pairs as arrays: what comes once, what two logs have together, and bool matrices."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import scipy.sparse as sp

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first


def distinct(
    user: np.ndarray, item: np.ndarray, time: np.ndarray, value: np.ndarray, where: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The events without those that repeat an earlier row's user, item and time."""
    order = np.lexsort((item, time, user))
    again = np.zeros(len(user), bool)
    same = [np.diff(part[order]) == 0 for part in (user, item, time)]
    again[order[1:]] = same[0] & same[1] & same[2]
    if not again.any():
        return user, item, time, value
    warnings.warn(
        f"{where}: {count(int(again.sum()), 'row')} of {len(user):,} repeat the user, item and time"
        " of another and are left out.",
        MakedoWarning,
        stacklevel=3,
    )
    kept = ~again
    return user[kept], item[kept], time[kept], value[kept]


def joined(old: pd.Index, new: pd.Index, noun: str) -> tuple[pd.Index, np.ndarray]:
    """Both indexes in one, the new ids last, and the place of each of ``new`` in it."""
    if old.inferred_type != new.inferred_type and len(old) and len(new):
        raise MakedoInputError(
            f"the new events name {noun} by {new.inferred_type} ids (first: {first(new)}), the log "
            f"by {old.inferred_type} ids (first: {first(old)}). Give them in the same form."
        )
    unknown = new[old.get_indexer(new) < 0]
    index = old.append(unknown) if len(unknown) else old
    return index, index.get_indexer(new).astype(np.int32)


def without(matrix: sp.csr_matrix, other: sp.csr_matrix) -> sp.csr_matrix:
    """The pairs of a bool matrix that are not in another of the same shape."""
    pairs = np.setdiff1d(_pairs_of(matrix), _pairs_of(other), assume_unique=True)
    return csr_of_pairs(pairs, matrix.get_shape())


def _pairs_of(matrix: sp.csr_matrix) -> np.ndarray:
    """Each entry as row · n_columns + column, (n_entries,) int64."""
    n_rows, n_columns = matrix.get_shape()
    row = np.repeat(np.arange(n_rows), np.diff(matrix.indptr))
    return row * n_columns + matrix.indices


def csr_of_pairs(pairs: np.ndarray, shape: tuple[int, int]) -> sp.csr_matrix:
    """A bool matrix with sorted rows and no entry twice."""
    pairs = np.unique(pairs)
    row, column = np.divmod(pairs, max(shape[1], 1))
    indptr = np.zeros(shape[0] + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=shape[0]), out=indptr[1:])
    return sp.csr_matrix((np.ones(len(pairs), bool), column.astype(np.int32), indptr), shape)


def ranges(begin: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All integers of the ranges begin:stop one after another, and where each range starts."""
    indptr = np.zeros(len(begin) + 1, np.int64)
    np.cumsum(stop - begin, out=indptr[1:])
    places = np.arange(indptr[-1]) + np.repeat(begin - indptr[:-1], stop - begin)
    return indptr, places
