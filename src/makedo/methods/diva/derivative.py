"""The dataset derivative: what a little more weight on a sample does to the outer loss.

Everything here is exact for the ridge head of :mod:`makedo.methods.diva.ridge`, and costs a few
passes over the rows.  Symbols as there; K = Z C Zᵀ is never formed.  A negative derivative means
that the sample helps: with more weight on it the loss falls.

The paper (Dukler et al., 2022) prints some of these formulas with mistakes (its eq. 8, 10, 13); they
are derived again here.  What follows it: eq. 7 to 9 :func:`on_validation`, Proposition 3
:func:`left_out`.  Not in the paper: the O(N D²) form of the leave-one-out derivative, groups, and
exact finite changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from makedo.methods.diva.outer_loss import OuterLoss
from makedo.methods.diva.ridge import Curvature, Head
from makedo.methods.diva.rows import Rows

BLOCK = 2**22  # numbers of a block of exact finite changes


@dataclass(frozen=True)
class Derivative:
    """The outer loss of a head and its derivative, for the training rows and for any other.

    Parameters
    ----------
    loss : float
        The outer loss.
    gradient : ndarray (N,)
        d loss / d α_m of the training rows.
    linear : ndarray (D, c)
        M = C Zᵀ A.  A sample (z, y) outside, with error e = y − Wᵀ z, has the derivative
        (zᵀ M) · e + ``curvature``(z) at weight 0.
    curvature : callable, optional
        Σ_i α_i Σ_c A_ic r_ic (z_iᵀ C z)², from the leave-one-out loss only.
    """

    loss: float
    gradient: np.ndarray
    linear: np.ndarray
    curvature: Curvature | None = None

    def of_new(self, head: Head, rows: Rows, Y: np.ndarray) -> np.ndarray:
        """Derivative at weight 0 of samples that are not among the training rows, (n,)."""
        out = np.empty(rows.n_rows)
        W, M = head.W, self.linear
        for where, Z in rows:
            error = Y[where] - Z @ W
            out[where] = ((Z @ M) * error).sum(1)
            if self.curvature is not None:
                out[where] += self.curvature(Z)
        return out


# --- with a validation set ------------------------------------------------------------------------


def on_validation(
    head: Head, rows: Rows, Y: np.ndarray, loss: OuterLoss, weights: np.ndarray
) -> Derivative:
    """Of Σ_v ω_v loss(f(x_v), y_v), by dW/dα_m = C z_m E_m (section 2.4).

    rows, Y, weights : the validation samples, their targets (V, c), and ω (V,).
    """
    value, G = loss(head.times(head.W, rows), Y)  # (V,), (V, c)
    M = head.factor.solve(head.moments(weights[:, None] * G, rows))  # C Z_vᵀ G
    gradient = (head.times(M) * head.E).sum(1)
    return Derivative(float(weights @ value), gradient, M)


def influence(head: Head, rows: Rows, G: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """d loss_v / d α_i of each pair, (n, V), with G (V, c) the gradient of each loss_v."""
    K = head.times(head.factor.solve(head.rows.take(indices).T.astype(float)), rows)  # (V, n)
    return K.T * (head.E[indices] @ G.T)


# --- by leaving out -------------------------------------------------------------------------------


def left_out(head: Head) -> np.ndarray:
    """Prediction at each row of the model trained without it, (N, c): y_i − E_i / (1 − α_i h_i).

    Exact also where α_i = 0 (Sherman and Morrison; the paper's Proposition 3 without its roots).
    """
    return head.Y - head.E / (1 - head.alpha * head.h)[:, None]


def by_leaving_one_out(head: Head, loss: OuterLoss, weights: np.ndarray) -> Derivative:
    """Of Σ_i s_i loss(f_i^{−i}, y_i), in O(N D²): the sum over i of K_im² is a quadratic form.

    weights : s (N,), fixed by the user; never α, or α = 0 would be the minimum.
    """
    u = (1 - head.alpha * head.h)[:, None]
    r = head.E / u  # what is left out is missed by this much
    value, G = loss(head.Y - r, head.Y)
    A = weights[:, None] * G / u
    M = head.factor.solve(head.moments(A))  # C Zᵀ A
    b = (A * r).sum(1)
    curvature = head.factor.curvature(head.rows, head.alpha * b)
    gradient = (head.times(M) * head.E).sum(1) - b * head.h + head.forms(curvature)
    return Derivative(float(weights @ value), gradient, M, curvature)


Groups = Sequence[np.ndarray]  # positions of the rows of each group


def left_out_by_group(head: Head, groups: Groups) -> np.ndarray:
    """Prediction at each row of the model trained without the row's group, (N, c)."""
    out = np.empty(head.Y.shape)
    for B in groups:
        residual, _, _ = _group(head, B)
        out[B] = head.Y[B] - residual
    return out


def _group(head: Head, B: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """r_B = (I − K_BB D_B)⁻¹ E_B (n, c); the matrix I − K_BB D_B and K_BB (n, n)."""
    Z = head.rows.take(B).astype(float)
    K = Z @ head.factor.solve(Z.T)
    left = np.eye(len(B)) - K * head.alpha[B]
    return np.linalg.solve(left, head.E[B]), left, K


def by_leaving_groups_out(
    head: Head, loss: OuterLoss, weights: np.ndarray, groups: Groups
) -> Derivative:
    """Of Σ_i s_i loss(prediction at i of the model trained without i's group, y_i).

    With r_B = (I − K_BB D_B)⁻¹ E_B the residuals without group B and A_B = (I − K_BB D_B)⁻ᵀ G_B,

        d/dα_m = (K A)_m · E_m + Σ_B (K_mB A_B) · (K_mB D_B r_B) − (K_mB A_B)_{B ∋ m} · r_m,

    which for groups of one is the leave-one-out derivative.  A group's own weights do not matter
    to it: its terms cancel.
    """
    n, c = head.Y.shape
    r, A, own = np.zeros((n, c)), np.zeros((n, c)), np.zeros(n)
    value = np.zeros(n)  # rows of no group count for nothing
    inner = np.zeros((head.rows.width, head.rows.width))
    for B in groups:
        r[B], left, K = _group(head, B)
        value[B], G = loss(head.Y[B] - r[B], head.Y[B])
        A[B] = np.linalg.solve(left.T, weights[B, None] * G)
        own[B] = ((K @ A[B]) * r[B]).sum(1)
        Z = head.rows.take(B).astype(float)
        mixed = A[B] @ (head.alpha[B, None] * r[B]).T  # A_B r_Bᵀ D_B
        inner += Z.T @ ((mixed + mixed.T) / 2) @ Z
    M = head.factor.solve(head.moments(A))
    curvature = head.factor.sandwich(inner)
    gradient = (head.times(M) * head.E).sum(1) - own + head.forms(curvature)
    return Derivative(float(weights @ value), gradient, M, curvature)


# --- exact finite changes -------------------------------------------------------------------------


def changed_on_validation(
    head: Head,
    rows: Rows,
    Y: np.ndarray,
    loss: OuterLoss,
    weights: np.ndarray,
    delta: np.ndarray,
    indices: np.ndarray,
) -> np.ndarray:
    """Change of the validation loss when α_i becomes α_i + δ_i, each alone, exactly: (n,).

    By W' = W + C z_i E_i δ_i / (1 + δ_i h_i); δ_i = −α_i removes sample i.
    """
    F = head.times(head.W, rows)  # (V, c)
    before = weights @ loss(F, Y)[0]

    def after(step: np.ndarray, part: np.ndarray) -> np.ndarray:
        K = head.times(head.factor.solve(head.rows.take(part).T.astype(float)), rows)  # (V, n)
        new = F[None] + K.T[:, :, None] * step[:, None, :]  # (n, V, c)
        value = loss(new.reshape(-1, F.shape[1]), np.tile(Y, (len(part), 1)))[0]
        return value.reshape(len(part), -1) @ weights

    return _blockwise(head, delta, indices, F.size, after) - before


def changed_by_leaving_out(
    head: Head, loss: OuterLoss, weights: np.ndarray, delta: np.ndarray, indices: np.ndarray
) -> np.ndarray:
    """Change of the leave-one-out loss when α_i becomes α_i + δ_i, each alone, exactly: (n,).

    K' = K − δ K_i K_iᵀ / (1 + δ h_i) and F' = F + K_i E_i δ / (1 + δ h_i) give the new predictions
    and leverages of all rows.  The changed sample keeps its own term, which does not change.
    """
    before = weights @ loss(left_out(head), head.Y)[0]

    def after(step: np.ndarray, part: np.ndarray) -> np.ndarray:
        K = head.columns(part)  # (N, n)
        out = np.empty(len(part))
        for j, i in enumerate(part):
            E = head.E - np.outer(K[:, j], step[j])
            alpha = head.alpha.copy()
            alpha[i] += delta[i]
            h = head.h - K[:, j] ** 2 * delta[i] / (1 + delta[i] * head.h[i])
            out[j] = weights @ loss(head.Y - E / (1 - alpha * h)[:, None], head.Y)[0]
        return out

    return _blockwise(head, delta, indices, head.Y.size, after) - before


def _blockwise(
    head: Head,
    delta: np.ndarray,
    indices: np.ndarray,
    size: int,
    after: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """The loss after each change, few of them at once; ``size`` numbers are held for each."""
    n = max(1, BLOCK // size)
    out = np.empty(len(indices))
    for start in range(0, len(indices), n):
        part = indices[start : start + n]
        factor = delta[part] / (1 + delta[part] * head.h[part])
        out[start : start + n] = after(head.E[part] * factor[:, None], part)
    return out
