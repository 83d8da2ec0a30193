"""The penalty: λ with the least leave-one-out loss, the whole path from one eigendecomposition.

On rows centred at their weighted mean, with Zᵀ diag(α) Z = V diag(w) Vᵀ and U = Z V,

    K(λ) = 1/Σα + U diag(1/(w + λ)) Uᵀ,   F(λ) = ȳ + U diag(1/(w + λ)) Vᵀ Zᵀ diag(α) Y.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

from makedo.methods.diva.derivative import Groups
from makedo.methods.diva.outer_loss import OuterLoss
from makedo.methods.diva.ridge import weighted_gram
from makedo.methods.diva.rows import Rows

N_PENALTIES = 25
LOWEST, HIGHEST = 1e-6, 1e2  # times the mean eigenvalue
EMPTY = 1e-12  # times the largest eigenvalue: no row has a part along its axis
HELD = 2**22  # numbers of fitted values that are held at once
SURE = {np.dtype("float64"): 1e-10, np.dtype("float32"): 1e-5}  # below it 1 − α h is rounding


class Spectrum(NamedTuple):
    """Weighted rows, centred where there is an intercept, by their axes."""

    w: np.ndarray  # (k,), k = min(N, D) or fewer
    V: np.ndarray  # (D, k)
    turned: np.ndarray  # Vᵀ Zᵀ diag(α) Y (k, c)
    mean: np.ndarray  # (D,)
    middle: np.ndarray  # ȳ (c,)
    free: float  # 1/Σα, or 0 without an intercept

    def axes(self, Z: np.ndarray) -> np.ndarray:
        """U of rows, (n, k)."""
        Z = Z[:, : len(self.mean)] - self.mean.astype(Z.dtype)
        return Z @ self.V.astype(Z.dtype)


def path(
    rows: Rows,
    Y: np.ndarray,
    alpha: np.ndarray,
    loss: OuterLoss,
    weights: np.ndarray,
    groups: Groups | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Leave-one-out (or leave-group-out) loss of penalties on a logarithmic grid.

    Returns
    -------
    penalties, losses : ndarray (25,)
        A loss is infinite where some row is predicted by itself alone.
    """
    spectrum = decompose(rows, Y, alpha)
    penalties = spectrum.w.mean() * np.geomspace(LOWEST, HIGHEST, N_PENALTIES)
    inverse = 1 / (spectrum.w[:, None] + penalties)  # (k, 25)
    losses = np.zeros(N_PENALTIES)
    if groups is None:
        for at, Z in rows:
            U = spectrum.axes(Z)
            for k, r in enumerate(_left_out(spectrum, U, inverse, alpha[at], Y[at])):
                losses[k] += _total(loss, Y[at], r, weights[at])
    else:
        for B in map(np.atleast_2d, groups):
            U = spectrum.axes(rows.take(B.ravel()).astype(float)).reshape(*B.shape, -1)
            for k, r in enumerate(_groups_out(spectrum, U, inverse, alpha[B], Y[B])):
                at = B.ravel()
                losses[k] += _total(loss, Y[at], r.reshape(len(at), -1), weights[at])
    return penalties, losses


def decompose(rows: Rows, Y: np.ndarray, alpha: np.ndarray) -> Spectrum:
    """By the D × D matrix Zᵀ diag(α) Z, or the N × N one where that is smaller."""
    n, total = rows.n_features, alpha.sum()
    sums, moment = np.zeros(n), np.zeros((n, Y.shape[1]))
    wide = n > rows.n_rows
    gram = np.zeros((0, 0) if wide else (n, n))
    for at, Z in rows:
        Z = Z[:, :n]
        sums += alpha[at] @ Z
        moment += Z.T @ (alpha[at, None] * Y[at]).astype(Z.dtype)
        if not wide:
            gram += weighted_gram(Z, alpha[at])
    free = float(rows.intercept) / total
    mean, middle = free * sums, free * (alpha @ Y)
    moment -= np.outer(sums, middle)
    if wide:
        Z = np.concatenate([block[:, :n] for _, block in rows]).astype(float)
        root = np.sqrt(alpha)[:, None] * (Z - mean)
        w, axes = eigh(root @ root.T)
        there = w > w[-1] * EMPTY  # the axes of the others are noise
        w, V = w[there], root.T @ axes[:, there] / np.sqrt(w[there])
    else:
        w, V = eigh(gram - np.outer(sums, mean))
        w = np.maximum(w, 0.0)
    return Spectrum(w, V, V.T @ moment, mean, middle, free)


def _left_out(
    spectrum: Spectrum, U: np.ndarray, inverse: np.ndarray, alpha: np.ndarray, y: np.ndarray
) -> Iterator[np.ndarray]:
    """For each λ the residuals of rows that are left out one by one, (n, c); NaN if unknown."""
    h = spectrum.free + U**2 @ inverse.astype(U.dtype)  # (n, 25)
    for k, F in enumerate(_fitted(spectrum, U, inverse)):
        u = 1 - alpha * h[:, k]
        u[u < SURE[U.dtype]] = np.nan
        yield (y - F) / u[:, None]


def _groups_out(
    spectrum: Spectrum, U: np.ndarray, inverse: np.ndarray, alpha: np.ndarray, y: np.ndarray
) -> Iterator[np.ndarray]:
    """For each λ the residuals of rows whose group (g, n) is left out, (g, n, c)."""
    fitted = _fitted(spectrum, U.reshape(-1, U.shape[-1]), inverse)
    for k, F in enumerate(fitted):
        K = spectrum.free + (U * inverse[:, k]) @ U.transpose(0, 2, 1)
        left = np.eye(U.shape[1]) - K * alpha[:, None, :]
        yield np.linalg.solve(left, y - F.reshape(y.shape))


def _fitted(spectrum: Spectrum, U: np.ndarray, inverse: np.ndarray) -> Iterator[np.ndarray]:
    """F(λ) (n, c) for each λ, by products for as many of them as memory is meant for."""
    k, c = spectrum.turned.shape
    n = max(1, HELD // (len(U) * c))
    for start in range(0, inverse.shape[1], n):
        part = inverse[:, start : start + n]
        scaled = (part[:, :, None] * spectrum.turned[:, None]).reshape(k, -1)  # (k, n c)
        together = U @ scaled.astype(U.dtype)
        for F in np.split(together, part.shape[1], axis=1):
            yield spectrum.middle + F


def _total(loss: OuterLoss, y: np.ndarray, r: np.ndarray, weights: np.ndarray) -> float:
    total = float(weights @ loss(y - r, y)[0])
    return total if np.isfinite(total) else np.inf
