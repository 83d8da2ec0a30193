"""The penalty: λ with the least leave-one-out loss, the whole path from one eigendecomposition."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh

from makedo.methods.diva.outer_loss import OuterLoss
from makedo.methods.diva.ridge import Head, weighted_gram
from makedo.methods.diva.rows import Rows

N_PENALTIES = 25
LOWEST, HIGHEST = 1e-6, 1e2  # times the mean eigenvalue of the weighted gram matrix


def path(
    rows: Rows, Y: np.ndarray, alpha: np.ndarray, loss: OuterLoss, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Leave-one-out loss of 25 penalties on a logarithmic grid: (25,) penalties, (25,) losses.

    On rows centred at their weighted mean, with Zᵀ diag(α) Z = V diag(w) Vᵀ and U = Z V,
    h_i(λ) = 1/Σα + Σ_k U_ik² / (w_k + λ) and F(λ) = ȳ + U diag(1/(w + λ)) Vᵀ Zᵀ diag(α) Y.
    """
    if rows.n_features > rows.n_rows:  # few rows: the head itself is cheap
        trace = sum(float(alpha[at] @ (Z[:, : rows.n_features] ** 2).sum(1)) for at, Z in rows)
        penalties = trace / rows.n_rows * np.geomspace(LOWEST, HIGHEST, N_PENALTIES)
        return penalties, np.array(
            [_loss_of(Head(rows, Y, alpha, p), loss, weights) for p in penalties]
        )
    total = alpha.sum()
    n = rows.n_features
    sums, gram, moment = np.zeros(n), np.zeros((n, n)), np.zeros((n, Y.shape[1]))
    for at, Z in rows:
        Z = Z[:, :n]
        sums += alpha[at] @ Z
        gram += weighted_gram(np.ascontiguousarray(Z), alpha[at])
        moment += Z.T @ (alpha[at, None] * Y[at]).astype(Z.dtype)
    free = float(rows.intercept)
    mean, middle = free * sums / total, free * (alpha @ Y) / total
    gram -= total * np.outer(mean, mean)
    moment -= total * np.outer(mean, middle)
    w, V = eigh(gram)
    w = np.maximum(w, 0.0)
    turned = V.T @ moment  # (D, c)
    penalties = w.mean() * np.geomspace(LOWEST, HIGHEST, N_PENALTIES)
    losses = np.zeros(N_PENALTIES)
    for at, Z in rows:
        U = (Z[:, :n] - mean.astype(Z.dtype)) @ V.astype(Z.dtype)
        squares, y, s = U**2, Y[at], weights[at]
        for k, penalty in enumerate(penalties):
            inverse = 1 / (w + penalty)
            h = free / total + squares @ inverse.astype(U.dtype)
            error = y - middle - U @ (turned * inverse[:, None]).astype(U.dtype)
            u = 1 - alpha[at] * h
            losses[k] += s @ loss(y - error / u[:, None], y)[0]
    return penalties, losses


def _loss_of(head: Head, loss: OuterLoss, weights: np.ndarray) -> float:
    u = (1 - head.alpha * head.h)[:, None]
    return float(weights @ loss(head.Y - head.E / u, head.Y)[0])
