"""Exact finite changes: the outer loss after one weight changes by any amount, without a refit.

When α_i becomes α_i + δ the head becomes W' = W + C z_i E_i δ / (1 + δ h_i), and

    K' = K − δ K_i K_iᵀ / (1 + δ h_i),   E' = E − K_i E_i δ / (1 + δ h_i),

from which everything that is left out follows as before.  δ = −α_i removes sample i exactly.  The
derivative is the limit of small δ; for samples of high leverage it is far from the whole change.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from makedo.methods.diva.derivative import Groups, left_out, left_out_by_group, without
from makedo.methods.diva.outer_loss import OuterLoss
from makedo.methods.diva.ridge import Head
from makedo.methods.diva.rows import Rows

BLOCK = 2**22  # numbers that are held at once


def on_validation(
    head: Head,
    rows: Rows,
    Y: np.ndarray,
    loss: OuterLoss,
    weights: np.ndarray,
    delta: np.ndarray,
    indices: np.ndarray,
) -> np.ndarray:
    """Change of the validation loss when α_i becomes α_i + δ_i, each i alone, (n,).

    delta : δ (N,).
    """
    F = rows.times(head.W)  # (V, c)
    before = weights @ loss(F, Y)[0]

    def after(part: np.ndarray) -> np.ndarray:
        K = rows.times(head.factor.solve(head.rows.take(part).T.astype(float)))  # (V, n)
        step = head.E[part] * _factor(head, delta, part)[:, None]
        new = F[None] + K.T[:, :, None] * step[:, None, :]  # (n, V, c)
        value = loss(new.reshape(-1, F.shape[1]), np.tile(Y, (len(part), 1)))[0]
        return value.reshape(len(part), -1) @ weights

    return _blockwise(indices, F.size, after) - before


def by_leaving_one_out(
    head: Head, loss: OuterLoss, weights: np.ndarray, delta: np.ndarray, indices: np.ndarray
) -> np.ndarray:
    """Change of the leave-one-out loss when α_i becomes α_i + δ_i, each i alone, (n,).

    The changed sample keeps its own term, which does not change.
    """
    before = weights @ loss(left_out(head), head.Y)[0]

    def after(part: np.ndarray) -> np.ndarray:
        out = np.empty(len(part))
        for at, (i, k, factor) in enumerate(_columns(head, delta, part)):
            alpha = _changed(head.alpha, i, delta)
            u = 1 - alpha * (head.h - factor * k**2)
            E = head.E - factor * np.outer(k, head.E[i])
            out[at] = weights @ loss(head.Y - E / u[:, None], head.Y)[0]
        return out

    return _blockwise(indices, len(head.Y), after) - before


def by_leaving_groups_out(
    head: Head,
    loss: OuterLoss,
    weights: np.ndarray,
    groups: Groups,
    delta: np.ndarray,
    indices: np.ndarray,
) -> np.ndarray:
    """Change of the loss of :func:`makedo.methods.diva.derivative.by_leaving_groups_out`, (n,)."""
    groups = [np.atleast_2d(B) for B in groups]
    before = weights @ loss(left_out_by_group(head, groups), head.Y)[0]
    inner = [(B, without(head, B)[1]) for B in groups]

    def after(part: np.ndarray) -> np.ndarray:
        out = np.empty(len(part))
        for at, (i, k, factor) in enumerate(_columns(head, delta, part)):
            alpha = _changed(head.alpha, i, delta)
            E = head.E - factor * np.outer(k, head.E[i])
            F = np.empty(E.shape)
            for B, K in inner:
                changed = K - factor * k[B][:, :, None] * k[B][:, None, :]
                left = np.eye(B.shape[1]) - changed * alpha[B][:, None, :]
                F[B] = head.Y[B] - np.linalg.solve(left, E[B])
            out[at] = weights @ loss(F, head.Y)[0]
        return out

    return _blockwise(indices, len(head.Y), after) - before


def _factor(head: Head, delta: np.ndarray, part: np.ndarray) -> np.ndarray:
    """δ_i / (1 + δ_i h_i), (n,)."""
    return delta[part] / (1 + delta[part] * head.h[part])


def _columns(head: Head, delta: np.ndarray, part: np.ndarray) -> zip:
    """For each i: itself, K_i (N,), and δ_i / (1 + δ_i h_i)."""
    return zip(part, head.columns(part).T, _factor(head, delta, part), strict=True)


def _changed(alpha: np.ndarray, i: int, delta: np.ndarray) -> np.ndarray:
    alpha = alpha.copy()
    alpha[i] += delta[i]
    return alpha


def _blockwise(
    indices: np.ndarray, size: int, after: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """The loss after each change, few of them at once; ``size`` numbers are held for each."""
    n = max(1, BLOCK // size)
    parts = [indices[start : start + n] for start in range(0, len(indices), n)]
    return np.concatenate([np.empty(0), *map(after, parts)])
