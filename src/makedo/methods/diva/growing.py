"""A head that grows: rows at weight 0 come in at weight 1, a few at a time.

Core and pool are one stack of rows, as in the paper: the derivative at weight 0 of a pool row is
then an entry of the gradient.  k rows that come in change C by a matrix of rank k,

    C' = C − B Bᵀ,   B = C Z_kᵀ L⁻ᵀ,   L Lᵀ = I + Z_k C Z_kᵀ   (Woodbury, and Cholesky's factor),

which with all that follows from it costs O(N D k); to factor anew costs O(N D²).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from makedo.methods.diva.ridge import Head, TallFactor
from makedo.methods.diva.rows import Blocks, Rows, Scaler

REFRESH = 4  # with more than D / REFRESH new rows it is cheaper, and more exact, to factor anew


class Stack(Rows):
    """Rows on top of others."""

    def __init__(self, above: Rows, below: Rows):
        self._parts = above, below
        self.n_rows = above.n_rows + below.n_rows
        self.n_features, self.width, self.size = above.n_features, above.width, above.size
        self.scaler, self.intercept = above.scaler, above.intercept

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray]]:
        start = 0
        for part in self._parts:
            for where, Z in part:
                yield slice(start + where.start, start + where.stop), Z
            start += part.n_rows

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Some rows, in the order asked for."""
        above, below = self._parts
        upper = indices < above.n_rows
        out = np.empty((len(indices), self.width))
        out[upper] = above.take(indices[upper])
        out[~upper] = below.take(indices[~upper] - above.n_rows)
        return out


def as_rows(Z: np.ndarray, intercept: bool) -> Rows:
    """Scaled features (n, n_features) as rows."""
    as_it_is = Scaler(np.zeros(Z.shape[1]), np.ones(Z.shape[1]))
    return Rows(Blocks(Z, Z.dtype), as_it_is, intercept)


def rows_of(rows: Rows, indices: np.ndarray) -> Rows:
    """Some of the rows, as rows of their own."""
    return as_rows(rows.take(indices)[:, : rows.n_features], rows.intercept)


class UpdatedFactor(TallFactor):
    """C − B Bᵀ, with C a factor and B (D, k)."""

    def __init__(self, old: TallFactor, B: np.ndarray):
        more = isinstance(old, UpdatedFactor)
        self._lower = old._lower
        self.B = np.hstack([old.B, B]) if more else B

    def solve(self, M: np.ndarray) -> np.ndarray:
        """Its product with M (D, k)."""
        return super().solve(M) - self.B @ (self.B.T @ M)

    def leverage(self, Z: np.ndarray) -> np.ndarray:
        """Its quadratic form at each row, (n,)."""
        return super().leverage(Z) - ((Z @ self.B) ** 2).sum(1)


class GrowingHead(Head):
    """A head in which rows of weight 0 can be raised to weight 1."""

    def add(self, indices: np.ndarray) -> None:
        """Raise these rows from weight 0 to 1; W, F, E and h follow."""
        alpha = self.alpha.copy()
        alpha[indices] = 1.0
        old = self.factor
        rank = len(indices) + (old.B.shape[1] if isinstance(old, UpdatedFactor) else 0)
        if not isinstance(old, TallFactor) or rank > self.rows.width // REFRESH:
            Head.__init__(self, self.rows, self.Y, alpha, self.penalty)
            return
        V = old.solve(self.rows.take(indices).T.astype(float))  # C Z_kᵀ (D, k)
        K = self.rows.times(V)  # (N, k)
        lower = cholesky(np.eye(len(indices)) + K[indices], lower=True)
        B = solve_triangular(lower, V.T, lower=True).T
        ZB = solve_triangular(lower, K.T, lower=True).T  # (N, k)
        step = solve_triangular(lower, self.E[indices], lower=True)  # L⁻¹ E_k (k, c)
        self.alpha, self.factor = alpha, UpdatedFactor(old, B)
        self.W = self.W + B @ step
        self.E = self.E - ZB @ step
        self.h = self.h - (ZB**2).sum(1)
