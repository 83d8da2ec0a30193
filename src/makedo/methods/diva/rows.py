"""Rows of features as the head sees them: centred, scaled, with a constant column, in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

BLOCK_BYTES = 64 * 2**20  # of the rows that are held at once


class Scaler:
    """Centre each column; divide by one number for all (``"rms"``) or by each column's sd.

    It is learnt once, before anything is left out: as the intercept is free, centring changes no
    prediction, and scaling only the meaning of λ.
    """

    def __init__(self, mean: np.ndarray, scale: np.ndarray):
        self.mean, self.scale = mean, scale  # (D,), (D,)

    @classmethod
    def fit(cls, blocks: Any, n_rows: int, n_columns: int, how: str | None) -> Scaler:
        """Learn from an iterable of (slice, block)."""
        total, square = np.zeros(n_columns), np.zeros(n_columns)
        for _, block in blocks:
            total += block.sum(0, dtype=float)
        mean = total / n_rows
        if how is None:
            return cls(np.zeros(n_columns), np.ones(n_columns))
        for _, block in blocks:
            centred = block - mean.astype(block.dtype)
            square += np.einsum("ij,ij->j", centred, centred)
        variance = square / n_rows
        if how == "rms":
            variance = np.full(n_columns, variance.mean())
        return cls(mean, np.where(variance > 0, np.sqrt(variance), 1.0))


class Blocks:
    """The rows of a matrix, block by block, dense.

    Parameters
    ----------
    X : ndarray, memory map or csr_matrix of shape (n_rows, n_columns), or an object with ``shape``
        and ``blocks(size)``, such as :class:`makedo.data.streams.ParquetMatrix`
    dtype : dtype
        Of the blocks.
    size : int, optional
        Rows of a block; default: 64 MB of them.
    """

    def __init__(self, X: Any, dtype: Any, size: int | None = None):
        self.X, self.dtype = X, np.dtype(dtype)
        self.shape: tuple[int, int] = X.shape
        per_row = max(1, self.shape[1] * self.dtype.itemsize)
        self.size = size or max(256, BLOCK_BYTES // per_row)

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray]]:
        if hasattr(self.X, "blocks"):
            start = 0
            for block in self.X.blocks(self.size):
                yield slice(start, start + len(block)), block.astype(self.dtype, copy=False)
                start += len(block)
            return
        for start in range(0, self.shape[0], self.size):
            where = slice(start, min(start + self.size, self.shape[0]))
            yield where, self._dense(self.X[where])

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Some rows, in the order asked for."""
        if not hasattr(self.X, "blocks"):
            return self._dense(self.X[indices])
        out = np.empty((len(indices), self.shape[1]), self.dtype)
        for where, block in self:
            here = np.flatnonzero((indices >= where.start) & (indices < where.stop))
            out[here] = block[indices[here] - where.start]
        return out

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
    """

    def __init__(self, blocks: Blocks, scaler: Scaler, intercept: bool):
        self._blocks, self._scaler, self.intercept = blocks, scaler, intercept
        self.n_rows, self.n_features = blocks.shape
        self.width = self.n_features + intercept
        self._mean = scaler.mean.astype(blocks.dtype)
        self._factor = (1 / scaler.scale).astype(blocks.dtype)

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray]]:
        for where, block in self._blocks:
            yield where, self._scaled(block)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Some rows, in the order asked for."""
        return self._scaled(self._blocks.take(indices))

    def _scaled(self, block: np.ndarray) -> np.ndarray:
        Z = np.ones((len(block), self.width), block.dtype)
        inner = Z[:, : self.n_features]
        np.subtract(block, self._mean, out=inner)
        inner *= self._factor
        return Z
