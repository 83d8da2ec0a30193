"""Rows of features as the head sees them: centred, scaled, with a constant column, in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

BLOCK_BYTES = 8 * 2**20  # of the rows that are held at once: what lies in the cache is used again
KEPT_BYTES = 16 * 2**20  # so few rows are scaled once and kept


class Scaler:
    """Centre each column; divide by one number for all (``"rms"``) or by each column's sd.

    It is learnt once, before anything is left out: as the intercept is free, centring changes no
    prediction, and scaling only the meaning of λ.  Without an intercept nothing is centred.
    """

    def __init__(self, mean: np.ndarray, scale: np.ndarray):
        self.mean, self.scale = mean, scale  # (D,), (D,)
        self.empty = self.huge = np.zeros(len(mean), bool)

    @classmethod
    def fit(
        cls,
        blocks: Iterable[tuple[slice, np.ndarray]],
        n_rows: int,
        n_columns: int,
        how: str | None,
        centre: bool = True,
    ) -> Scaler:
        """Learn from an iterable of (slice, block), in one pass.

        ``empty`` columns never vary, of ``huge`` ones the squares are no numbers.
        """
        if how is None:
            return cls._of_unscaled(blocks, n_columns, centre)
        near = np.zeros(n_columns)  # about the mean: squares around it lose no digits
        total, square = np.zeros(n_columns), np.zeros(n_columns)
        with np.errstate(over="ignore", invalid="ignore"):
            for where, block in blocks:
                if where.start == 0 and centre:
                    middle = np.where(
                        all_equal(block, block[0]), block[0], block.mean(0, dtype=float)
                    )
                    near = middle.astype(block.dtype)
                centred = block - near.astype(block.dtype, copy=False)
                ones = np.ones(len(block), block.dtype)
                total += ones @ centred
                square += ones @ (centred * centred)
            offset = total / n_rows
            # variance, or mean square
            spread = np.maximum(square / n_rows - centre * offset**2, 0.0)
            if how == "rms":
                spread = np.full(n_columns, spread.mean())
        mean = near + offset if centre else np.zeros(n_columns)
        scaler = cls(mean, np.where(spread > 0, np.sqrt(spread), 1.0))
        scaler.empty, scaler.huge = square == 0, ~np.isfinite(square)
        return scaler

    @classmethod
    def _of_unscaled(
        cls, blocks: Iterable[tuple[slice, np.ndarray]], n_columns: int, centre: bool
    ) -> Scaler:
        """For columns that stay as they are, moments are not needed."""
        first, square = np.zeros(n_columns), np.zeros(n_columns)
        same = np.ones(n_columns, bool)
        for where, block in blocks:
            if where.start == 0 and centre:
                first = block[0]
            same = same & all_equal(block, first)
            with np.errstate(over="ignore"):
                square += np.einsum("ij,ij->j", block, block)
        scaler = cls(np.zeros(n_columns), np.ones(n_columns))
        scaler.empty, scaler.huge = same, ~np.isfinite(square)
        return scaler


def all_equal(block: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Columns of a block (n, D) that hold nothing but their value in a row (D,), bool (D,)."""
    same = block[-1] == row  # few columns are left to look at as a whole
    same[same] = (block[:, same] == row[same]).all(0)
    return same


class Blocks:
    """The rows of a matrix, block by block, dense.

    Parameters
    ----------
    X : ndarray, memory map or csr_matrix of shape (n_rows, n_columns), or an object with ``shape``,
        ``blocks(size)`` and ``take(indices)``, such as :class:`makedo.data.streams.ParquetMatrix`
    dtype : dtype
        Of the blocks.
    size : int, optional
        Rows of a block; default: 8 MB of them.
    """

    def __init__(self, X: Any, dtype: Any, size: int | None = None):
        self.X, self.dtype = X, np.dtype(dtype)
        self.shape: tuple[int, int] = X.shape
        per_row = max(1, self.shape[1] * self.dtype.itemsize)
        self.size = size or max(256, BLOCK_BYTES // per_row)

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray]]:
        start = 0
        for block in self._parts():
            yield slice(start, start + block.shape[0]), self._dense(block)
            start += block.shape[0]

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Some rows, in the order asked for."""
        in_file = hasattr(self.X, "blocks")
        return self._dense(self.X.take(indices) if in_file else self.X[indices])

    def _parts(self) -> Iterator[Any]:
        if hasattr(self.X, "blocks"):
            return self.X.blocks(self.size)
        starts = range(0, self.shape[0], self.size)
        return (self.X[start : start + self.size] for start in starts)

    def _dense(self, part: Any) -> np.ndarray:
        part = part.toarray() if sp.issparse(part) else part
        return np.asarray(part).astype(self.dtype, copy=False)


class Rows:
    """Z: rows scaled, with the constant column last where there is an intercept.

    Iterating gives pairs of a slice and the block of rows there; it may be done again and again.

    Attributes
    ----------
    n_rows, n_features : int
    width : int
        D: the features, and the constant column.
    size : int
        Rows of a block.
    scaler : Scaler
    """

    def __init__(self, blocks: Blocks, scaler: Scaler, intercept: bool):
        self.blocks, self.scaler, self.intercept = blocks, scaler, intercept
        self.n_rows, self.n_features = blocks.shape
        self.width = self.n_features + intercept
        self.size = blocks.size
        self._mean = scaler.mean.astype(blocks.dtype)
        self._factor = (1 / scaler.scale).astype(blocks.dtype)

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray]]:
        if self.n_rows * self.width * self.blocks.dtype.itemsize <= KEPT_BYTES:
            return iter(self._kept)
        return self._fresh()

    @cached_property
    def _kept(self) -> list[tuple[slice, np.ndarray]]:
        return list(self._fresh())

    def _fresh(self) -> Iterator[tuple[slice, np.ndarray]]:
        for where, block in self.blocks:
            yield where, self._scaled(block)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Some rows, in the order asked for."""
        return self._scaled(self.blocks.take(indices))

    def times(self, M: np.ndarray) -> np.ndarray:
        """Z M, (n, k), for M (D, k)."""
        out = np.empty((self.n_rows, M.shape[1]))
        for where, Z in self:
            out[where] = Z @ M.astype(Z.dtype, copy=False)
        return out

    def moments(self, A: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Zᵀ diag(w) A, (D, k), for w (n,) and A (n, k)."""
        total = np.zeros((self.width, A.shape[1]))
        for at, Z in self:
            total += Z.T @ (weights[at, None] * A[at]).astype(Z.dtype, copy=False)
        return total

    def _scaled(self, block: np.ndarray) -> np.ndarray:
        Z = np.empty((len(block), self.width), block.dtype)
        Z[:, self.n_features :] = 1
        inner = Z[:, : self.n_features]
        np.subtract(block, self._mean, out=inner)
        inner *= self._factor
        return Z
