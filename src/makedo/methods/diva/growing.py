"""A head that grows: rows at weight 0 come in at weight 1, a few at a time.

Core and pool are one stack of rows, as in the paper (section 3.3): the derivative at weight 0 of a
pool row is then an entry of the gradient.  k rows that come in change C by a matrix of rank k,

    C' = C − B Bᵀ,   B = C Z_kᵀ L⁻ᵀ,   L Lᵀ = I + Z_k C Z_kᵀ   (Woodbury and Cholesky),

which costs O(N D k) with everything that follows from it; factoring anew costs O(N D²).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from makedo.methods.diva.ridge import Curvature, Head, QuadraticForm, weighted_gram
from makedo.methods.diva.rows import Blocks, Rows, Scaler

REFRESH = 4  # factored anew when more than D / REFRESH rows came in: it is cheaper, and exact


class Stack:
    """Rows on top of others, to be read as :class:`Rows` are."""

    def __init__(self, above: Rows, below: Rows):
        self._parts = above, below
        self.n_rows = above.n_rows + below.n_rows
        self.n_features, self.width = above.n_features, above.width
        self.intercept = above.intercept

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


def rows_of(rows: Any, indices: np.ndarray) -> Rows:
    """Some of the rows, as rows of their own."""
    Z = rows.take(indices)[:, : rows.n_features]
    one = Scaler(np.zeros(rows.n_features), np.ones(rows.n_features))
    return Rows(Blocks(Z, Z.dtype), one, rows.intercept)


class UpdatedFactor:
    """C − B Bᵀ, with C any factor and B (D, k)."""

    def __init__(self, base: Any, B: np.ndarray):
        self._base, self._B = base, B

    def solve(self, M: np.ndarray) -> np.ndarray:
        """Its product with M (D, k)."""
        return self._base.solve(M) - self._B @ (self._B.T @ M)

    def leverage(self, Z: np.ndarray) -> np.ndarray:
        """Its quadratic form at each row, (n,)."""
        return self._base.leverage(Z) - ((Z @ self._B) ** 2).sum(1)

    def curvature(self, rows: Any, weights: np.ndarray) -> Curvature:
        """What gives Σ_i w_i (z_iᵀ C z)² of any z."""
        inner = np.zeros((rows.width, rows.width))
        for where, Z in rows:
            inner += weighted_gram(Z, weights[where])
        return self.sandwich(inner)

    def sandwich(self, inner: np.ndarray) -> Curvature:
        """The form zᵀ C S C z, for a symmetric S (D, D)."""
        return QuadraticForm(self.solve(self.solve(inner).T))

    def and_more(self, B: np.ndarray) -> UpdatedFactor:
        """The same with more columns."""
        return UpdatedFactor(self._base, np.hstack([self._B, B]))

    @property
    def rank(self) -> int:
        """Of the update."""
        return self._B.shape[1]


class GrowingHead(Head):
    """A :class:`Head` to which rows of weight 0 can be added, at weight 1."""

    def add(self, indices: np.ndarray) -> None:
        """Raise these rows from weight 0 to 1; W, E, F and h follow."""
        self.alpha = self.alpha.copy()
        self.alpha[indices] = 1.0
        old = self.factor
        rank = len(indices) + (old.rank if isinstance(old, UpdatedFactor) else 0)
        if rank > self.rows.width // REFRESH:
            self.__init__(self.rows, self.Y, self.alpha, self.penalty)
            return
        V = old.solve(self.rows.take(indices).T.astype(float))  # C Z_kᵀ (D, k)
        K = self.times(V)  # (N, k)
        lower = cholesky(np.eye(len(indices)) + K[indices], lower=True)
        B = solve_triangular(lower, V.T, lower=True).T
        half = solve_triangular(lower, K.T, lower=True).T  # Z B
        turned = solve_triangular(lower, self.E[indices], lower=True)  # L⁻¹ E_k (k, c)
        self.W = self.W + B @ turned
        self.E = self.E - half @ turned
        self.F = self.Y - self.E
        self.h = self.h - (half**2).sum(1)
        more = isinstance(old, UpdatedFactor)
        self.factor = old.and_more(B) if more else UpdatedFactor(old, B)
