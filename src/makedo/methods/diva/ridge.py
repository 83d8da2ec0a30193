"""The head: ridge regression with a weight α_i for each training sample, and its matrix C.

With Z (N, D) the features (last column constant: the intercept), Y (N, c) the targets, α (N,) the
weights and P the penalty, λ on every column and 0 on the constant one,

    C = (Zᵀ diag(α) Z + P)⁻¹,   W = C Zᵀ diag(α) Y,   F = Z W,   E = Y − F.

All that DIVA computes is made of C applied to thin matrices, of the leverages h_i = z_iᵀ C z_i, and
of Σ_i w_i (z_iᵀ C z_m)².  With K = Z C Zᵀ no N × N matrix is needed for them, only sums over rows,
which are taken block by block: the rows may lie in a file larger than memory.  With more columns
than rows C is applied by Woodbury's identity instead (:class:`WideFactor`), without a D × D matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from makedo.methods.diva.rows import Rows


class Factor(Protocol):
    """C, as something to apply."""

    def solve(self, M: np.ndarray) -> np.ndarray:
        """C M, for M (D, k)."""
        ...

    def leverage(self, Z: np.ndarray) -> np.ndarray:
        """z_iᵀ C z_i of each row, (n,)."""
        ...

    def curvature(self, rows: Rows, weights: np.ndarray) -> Curvature:
        """What gives Σ_i w_i (z_iᵀ C z)² of any z, for the weights w (N,) of training rows."""
        ...


class Curvature(Protocol):
    """Quadratic form z ↦ Σ_i w_i (z_iᵀ C z)²."""

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        """Its value at each row of Z, (n,)."""
        ...


@dataclass(frozen=True)
class QuadraticForm:
    """z ↦ zᵀ T z, with T (D, D)."""

    T: np.ndarray

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        """Its value at each row of Z, (n,)."""
        return np.einsum("ij,ij->i", Z @ self.T.astype(Z.dtype, copy=False), Z).astype(float)


@dataclass(frozen=True)
class SumOfSquares:
    """z ↦ Σ_i w_i (z_iᵀ C z)² by the products themselves, with the rows z_i (N, D)."""

    factor: WideFactor
    rows: np.ndarray
    weights: np.ndarray

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        """Its value at each row of Z, (n,)."""
        return self.weights @ (self.rows @ self.factor.solve(Z.T.astype(float))) ** 2


def weighted_gram(Z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Zᵀ diag(w) Z for weights of either sign: half the work of a plain product, as it is symmetric.

    numpy takes the symmetric product where both sides are one array, so w is split by its sign.
    """
    total = np.zeros((Z.shape[1], Z.shape[1]), Z.dtype)
    for sign in (1.0, -1.0):
        there = sign * weights > 0
        if there.any():
            part = Z if there.all() else Z[there]
            root = part * np.sqrt(sign * weights[there])[:, None].astype(Z.dtype)
            total += root.dtype.type(sign) * (root.T @ root)
    return total


class TallFactor:
    """C by the Cholesky factor of the D × D matrix: for at least as many rows as columns."""

    def __init__(self, rows: Rows, alpha: np.ndarray, penalty: float):
        gram = np.zeros((rows.width, rows.width))  # float64, also where blocks are float32
        for where, Z in rows:
            gram += weighted_gram(Z, alpha[where])
        gram[np.diag_indices(rows.n_features)] += penalty
        self._lower = np.linalg.cholesky(gram)

    def solve(self, M: np.ndarray) -> np.ndarray:
        """C M, for M (D, k)."""
        return cho_solve((self._lower, True), M, check_finite=False)

    def leverage(self, Z: np.ndarray) -> np.ndarray:
        """z_iᵀ C z_i = ‖L⁻¹ z_i‖², (n,)."""
        lower = self._lower.astype(Z.dtype, copy=False)
        half = solve_triangular(lower, Z.T, lower=True, check_finite=False)  # (D, n)
        return np.einsum("ij,ij->j", half, half).astype(float)

    def curvature(self, rows: Rows, weights: np.ndarray) -> Curvature:
        """With S = Zᵀ diag(w) Z and T = C S C it is zᵀ T z: O(N D²), no N × N matrix."""
        inner = np.zeros((rows.width, rows.width))
        for where, Z in rows:
            inner += weighted_gram(Z, weights[where])
        return self.sandwich(inner)

    def sandwich(self, inner: np.ndarray) -> Curvature:
        """The form zᵀ C S C z, for a symmetric S (D, D)."""
        return QuadraticForm(self.solve(self.solve(inner).T))


class WideFactor:
    """C by Woodbury's identity, for more columns than rows: nothing is divided by α.

    On rows centred at their weighted mean, with Q = Z Zᵀ and S = diag(√α),
    C = (I − Zᵀ S (λ I + S Q S)⁻¹ S Z) / λ; the free intercept adds 1/Σα to every product.
    """

    def __init__(self, rows: Rows, alpha: np.ndarray, penalty: float):
        Z = np.concatenate([block for _, block in rows]).astype(float)  # (N, D)
        self._penalty, self._free = penalty, rows.intercept
        self._total = alpha.sum()
        Z = Z[:, : rows.n_features]
        self._mean = alpha @ Z / self._total if rows.intercept else np.zeros(Z.shape[1])
        self._root = np.sqrt(alpha)[:, None] * (Z - self._mean)  # S Z
        small = self._root @ self._root.T
        small[np.diag_indices_from(small)] += penalty
        self._inner = cho_factor(small, lower=True)

    def _solve_centred(self, M: np.ndarray) -> np.ndarray:
        return (M - self._root.T @ cho_solve(self._inner, self._root @ M)) / self._penalty

    def solve(self, M: np.ndarray) -> np.ndarray:
        """C M, for M (D, k); the last row belongs to the intercept where there is one."""
        if not self._free:
            return self._solve_centred(M)
        last = M[-1:]
        body = self._solve_centred(M[:-1] - self._mean[:, None] * last)
        return np.vstack([body, last / self._total - self._mean @ body])

    def leverage(self, Z: np.ndarray) -> np.ndarray:
        """z_iᵀ C z_i, (n,)."""
        return np.einsum("ij,ji->i", Z, self.solve(Z.T.astype(float)))

    def curvature(self, rows: Rows, weights: np.ndarray) -> Curvature:
        """By the products z_iᵀ C z themselves: there are fewer rows than columns."""
        return SumOfSquares(self, np.concatenate([block for _, block in rows]), weights)


class Head:
    """The fitted ridge.

    Parameters
    ----------
    rows : Rows
        Z.
    Y : ndarray (N, c)
    alpha : ndarray (N,)
        Not negative, not all zero.
    penalty : float
        λ > 0.

    Attributes
    ----------
    factor : Factor
        C.
    W : ndarray (D, c)
    F, E : ndarray (N, c)
        Fitted values and residuals.
    h : ndarray (N,)
        Leverages, as if every weight were 1: z_iᵀ C z_i.
    """

    def __init__(self, rows: Rows, Y: np.ndarray, alpha: np.ndarray, penalty: float):
        self.rows, self.Y, self.alpha, self.penalty = rows, Y, alpha, penalty
        wide = rows.n_features > rows.n_rows
        self.factor: Any = (WideFactor if wide else TallFactor)(rows, alpha, penalty)
        self.W = self.factor.solve(self.moments(alpha[:, None] * Y))
        self.F = np.empty(Y.shape)
        self.h = np.empty(len(Y))
        for where, Z in rows:
            self.F[where] = Z @ self.W.astype(Z.dtype, copy=False)
            self.h[where] = self.factor.leverage(Z)
        self.E = Y - self.F

    def moments(self, A: np.ndarray, rows: Rows | None = None) -> np.ndarray:
        """Zᵀ A, (D, k), over the training rows or others."""
        rows = self.rows if rows is None else rows
        total = np.zeros((rows.width, A.shape[1]))
        for where, Z in rows:
            total += Z.T @ A[where].astype(Z.dtype, copy=False)
        return total

    def columns(self, indices: np.ndarray) -> np.ndarray:
        """K[:, indices] = Z C z_i, (N, n)."""
        return self.times(self.factor.solve(self.rows.take(indices).T.astype(float)))

    def times(self, M: np.ndarray, rows: Rows | None = None) -> np.ndarray:
        """Z M, (n, k), over the training rows or others."""
        rows = self.rows if rows is None else rows
        out = np.empty((rows.n_rows, M.shape[1]))
        for where, Z in rows:
            out[where] = Z @ M.astype(Z.dtype, copy=False)
        return out

    def forms(self, curvature: Curvature, rows: Rows | None = None) -> np.ndarray:
        """A quadratic form at each row, (n,)."""
        rows = self.rows if rows is None else rows
        out = np.empty(rows.n_rows)
        for where, Z in rows:
            out[where] = curvature(Z)
        return out
