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

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from makedo.core.checks import MakedoInputError
from makedo.methods.diva.rows import Rows


class Factor(Protocol):
    """C, as something to apply."""

    def solve(self, M: np.ndarray) -> np.ndarray:
        """C M, for M (D, k)."""
        ...

    def leverage(self, Z: np.ndarray) -> np.ndarray:
        """z_iᵀ C z_i of each row, (n,)."""
        ...

    def gather(self, pieces: Iterable[Piece]) -> tuple[np.ndarray, QuadraticForm]:
        """C Zᵀ A (D, c), and z ↦ zᵀ C (Zᵀ Ω Z) C z, of rows that come in pieces."""
        ...


# Rows Z (n, D), A (n, c), and Ω: its diagonal (n,), or its blocks (g, m, m) with g·m = n
Piece = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class QuadraticForm:
    """z ↦ (zᵀ left) · (zᵀ right), with matrices (D, k); ``right`` is I where it is None."""

    left: np.ndarray
    right: np.ndarray | None = None

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        """Its value at each row of Z, (n,)."""
        left = Z @ self.left.astype(Z.dtype, copy=False)
        right = Z if self.right is None else Z @ self.right.astype(Z.dtype, copy=False)
        return np.einsum("ij,ij->i", left, right).astype(float)

    def fits(self, width: int) -> bool:
        """Whether its matrices are of a size to take rows of ``width``."""
        left = np.shape(self.left)
        right = (width, width) if self.right is None else np.shape(self.right)
        return len(left) == 2 and left[0] == width and left == right

    def to_state(self) -> dict[str, Any]:
        """Arrays for a model directory."""
        return {"left": self.left, "right": self.right}


def weighted_gram(Z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Zᵀ diag(w) Z for weights of either sign, at half the work of a plain product.

    numpy takes the symmetric product where both sides are one array, so w is split by its sign.
    """
    if len(weights) and (weights == weights[0]).all():
        return Z.dtype.type(weights[0]) * (Z.T @ Z)
    total = np.zeros((Z.shape[1], Z.shape[1]), Z.dtype)
    for sign in (1.0, -1.0):
        there = sign * weights > 0
        if there.any():
            part = Z if there.all() else Z[there]
            root = part * np.sqrt(sign * weights[there]).astype(Z.dtype)[:, None]
            total += root.dtype.type(sign) * (root.T @ root)
    return total


class TallFactor:
    """C by the Cholesky factor of the D × D matrix: for at least as many rows as columns."""

    def __init__(self, rows: Rows, alpha: np.ndarray, penalty: float):
        gram = np.zeros((rows.width, rows.width))  # float64, also where blocks are float32
        for where, Z in rows:
            gram += weighted_gram(Z, alpha[where])
        gram[np.diag_indices(rows.n_features)] += penalty
        try:
            self._lower = np.linalg.cholesky(gram)
        except np.linalg.LinAlgError as error:
            raise MakedoInputError(
                f"penalty={penalty:g} is too small for these features: with it their matrix of "
                'products is singular to rounding. Raise it, or take dtype="float64".'
            ) from error

    def solve(self, M: np.ndarray) -> np.ndarray:
        """C M, for M (D, k)."""
        return cho_solve((self._lower, True), M, check_finite=False)

    def leverage(self, Z: np.ndarray) -> np.ndarray:
        """z_iᵀ C z_i = ‖L⁻¹ z_i‖², (n,)."""
        lower = self._lower.astype(Z.dtype, copy=False)
        half = solve_triangular(lower, Z.T, lower=True, check_finite=False)  # (D, n)
        return np.einsum("ij,ij->j", half, half).astype(float)

    def gather(self, pieces: Iterable[Piece]) -> tuple[np.ndarray, QuadraticForm]:
        """With S = Zᵀ Ω Z and T = C S C the form is zᵀ T z: O(N D²), and no N × N matrix."""
        n = len(self._lower)
        moment, inner = np.zeros((n, 1)), np.zeros((n, n))
        for Z, A, omega in pieces:
            moment = moment + Z.T @ A.astype(Z.dtype, copy=False)
            inner += weighted_gram(Z, omega) if omega.ndim == 1 else Z.T @ _by_group(omega, Z)
        return self.solve(moment), QuadraticForm(self.solve(self.solve(inner).T))


def _by_group(omega: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """Ω Z (n, D), for blocks Ω (g, m, m) on the diagonal."""
    return (omega @ Z.reshape(*omega.shape[:2], -1)).reshape(Z.shape)


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

    def gather(self, pieces: Iterable[Piece]) -> tuple[np.ndarray, QuadraticForm]:
        """By C Zᵀ itself, (D, N): there are fewer rows than columns."""
        moment, left, right = np.zeros((self._root.shape[1] + self._free, 1)), [], []
        for Z, A, omega in pieces:
            moment = moment + Z.T @ A
            CZ = self.solve(Z.T.astype(float)).T  # (n, D)
            right.append(CZ)
            left.append(omega[:, None] * CZ if omega.ndim == 1 else _by_group(omega, CZ))
        form = QuadraticForm(np.concatenate(left).T, np.concatenate(right).T)
        return self.solve(moment), form


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
    E : ndarray (N, c)
        Residuals.
    h : ndarray (N,)
        Leverages, as if every weight were 1: z_iᵀ C z_i.
    """

    def __init__(self, rows: Rows, Y: np.ndarray, alpha: np.ndarray, penalty: float):
        self.rows, self.Y, self.alpha, self.penalty = rows, Y, alpha, penalty
        wide = rows.n_features > rows.n_rows
        self.factor: Any = (WideFactor if wide else TallFactor)(rows, alpha, penalty)
        self.W = self.factor.solve(rows.moments(Y, alpha))
        self.E, self.h = np.empty(Y.shape), np.empty(len(Y))
        for at, Z in rows:
            self.E[at] = Y[at] - Z @ self.W.astype(Z.dtype, copy=False)
            self.h[at] = self.factor.leverage(Z)

    @property
    def F(self) -> np.ndarray:
        """Fitted values, (N, c)."""
        return self.Y - self.E

    def columns(self, indices: np.ndarray) -> np.ndarray:
        """K[:, indices] = Z C z_i, (N, n)."""
        return self.rows.times(self.factor.solve(self.rows.take(indices).T.astype(float)))
