"""The dataset derivative: what a little more weight on a sample does to the outer loss.

Everything here is exact for the ridge head of :mod:`makedo.methods.diva.ridge`, and costs a few
passes over the rows.  Symbols as there; K = Z C Zᵀ is never formed.  A negative derivative means
that the sample helps: with more weight on it the loss falls.

The paper (Dukler et al., 2022) prints some of these formulas with mistakes (its eq. 8, 10, 13);
they are derived again here.  What follows it: eq. 7 to 9 :func:`on_validation`, Proposition 3
:func:`left_out`.  Not in the paper: the O(N D²) form of the leave-one-out derivative, groups, and
the finite changes of :mod:`makedo.methods.diva.changes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from makedo.methods.diva.outer_loss import OuterLoss
from makedo.methods.diva.ridge import Head, Piece, QuadraticForm
from makedo.methods.diva.rows import Rows

# Positions of the rows of each group, groups of one size side by side: (n_groups, size).  One group
# may stand as (size,).
Groups = Sequence[np.ndarray]


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
    curvature : QuadraticForm, optional
        Σ_i α_i Σ_c A_ic r_ic (z_iᵀ C z)², from leaving out only.
    """

    loss: float
    gradient: np.ndarray
    linear: np.ndarray
    curvature: QuadraticForm | None = None

    def of_new(self, W: np.ndarray, rows: Rows, Y: np.ndarray) -> np.ndarray:
        """Derivative at weight 0 of samples that are not among the training rows, (n,)."""
        return slopes(rows, Y - rows.times(W), self.linear, self.curvature)


def slopes(
    rows: Rows, E: np.ndarray, linear: np.ndarray, curvature: QuadraticForm | None
) -> np.ndarray:
    """(z_mᵀ M) · e_m + curvature(z_m) of each row, (n,)."""
    out = np.empty(rows.n_rows)
    for where, Z in rows:
        out[where] = ((Z @ linear.astype(Z.dtype, copy=False)) * E[where]).sum(1)
        if curvature is not None:
            out[where] += curvature(Z)
    return out


# --- with a validation set ------------------------------------------------------------------------


def on_validation(
    head: Head, rows: Rows, Y: np.ndarray, loss: OuterLoss, weights: np.ndarray
) -> Derivative:
    """Of Σ_v ω_v loss(f(x_v), y_v), by dW/dα_m = C z_m E_m (section 2.4).

    rows, Y, weights : the validation samples, their targets (V, c), and ω (V,).
    """
    value, G = loss(rows.times(head.W), Y)  # (V,), (V, c)
    M = head.factor.solve(rows.moments(G, weights))  # C Z_vᵀ G
    return Derivative(float(weights @ value), slopes(head.rows, head.E, M, None), M)


def each_on_validation(
    head: Head, rows: Rows, Y: np.ndarray, loss: OuterLoss, indices: np.ndarray
) -> np.ndarray:
    """Derivative d loss(f(x_v), y_v) / d α_i of each pair, (n, V)."""
    G = loss(rows.times(head.W), Y)[1]
    K = rows.times(head.factor.solve(head.rows.take(indices).T.astype(float)))  # (V, n)
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
    value, b = np.empty(len(head.Y)), np.empty(len(head.Y))

    def pieces() -> Iterator[Piece]:
        for at, Z in head.rows:
            u = (1 - head.alpha[at] * head.h[at])[:, None]
            r = head.E[at] / u  # what is left out is missed by this much
            value[at], G = loss(head.Y[at] - r, head.Y[at])
            A = weights[at, None] * G / u
            b[at] = (A * r).sum(1)
            yield Z, A, head.alpha[at] * b[at]

    M, curvature = head.factor.gather(pieces())
    gradient = slopes(head.rows, head.E, M, curvature) - b * head.h
    return Derivative(float(weights @ value), gradient, M, curvature)


def left_out_by_group(head: Head, groups: Groups) -> np.ndarray:
    """Prediction at each row of the model trained without the row's group, (N, c)."""
    out = np.empty(head.Y.shape)
    for B in map(np.atleast_2d, groups):
        left, _ = without(head, B)
        out[B] = head.Y[B] - np.linalg.solve(left, head.E[B])
    return out


def without(head: Head, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """I − K_BB D_B and K_BB of groups B (g, n), both (g, n, n); r_B = (I − K_BB D_B)⁻¹ E_B."""
    Z = head.rows.take(B.ravel()).astype(float)
    CZ = head.factor.solve(Z.T).T.reshape(*B.shape, -1)
    K = Z.reshape(*B.shape, -1) @ CZ.transpose(0, 2, 1)
    return np.eye(B.shape[1]) - K * head.alpha[B][:, None, :], K


def share_left(head: Head, groups: Groups | None = None) -> np.ndarray:
    """How much of each row's prediction is not its own (or its group's) doing, in (0, 1], (N,).

    1 − α h, and for a group the smallest eigenvalue of I − √D_B K_BB √D_B.
    """
    if groups is None:
        return 1 - head.alpha * head.h
    out = np.ones(len(head.Y))
    for B in map(np.atleast_2d, groups):
        root = np.sqrt(head.alpha[B])
        K = without(head, B)[1]
        inner = np.eye(B.shape[1]) - root[:, :, None] * K * root[:, None, :]
        out[B] = np.linalg.eigvalsh(inner)[:, :1]
    return out


def by_leaving_groups_out(
    head: Head, loss: OuterLoss, weights: np.ndarray, groups: Groups
) -> Derivative:
    """Of Σ_i s_i loss(prediction at i of the model trained without i's group, y_i).

    With r_B = (I − K_BB D_B)⁻¹ E_B the residuals without group B and A_B = (I − K_BB D_B)⁻ᵀ G_B,

        d/dα_m = (K A)_m · E_m + Σ_B (K_mB A_B) · (K_mB D_B r_B) − (K_mB A_B)_{B ∋ m} · r_m,

    which for groups of one is the leave-one-out derivative.  A group's own weights do not matter
    to it: its terms cancel.
    """
    groups = [np.atleast_2d(B) for B in groups]
    A, own = np.zeros(head.Y.shape), np.zeros(len(head.Y))
    value = np.zeros(len(head.Y))  # rows of no group count for nothing
    omegas = []
    for B in groups:
        left, K = without(head, B)
        r = np.linalg.solve(left, head.E[B])  # (g, n, c)
        value[B], G = _by_row(loss, head.Y[B] - r, head.Y[B])
        A[B] = np.linalg.solve(left.transpose(0, 2, 1), weights[B][..., None] * G)
        own[B] = ((K @ A[B]) * r).sum(-1)
        omegas.append(A[B] @ (head.alpha[B][..., None] * r).transpose(0, 2, 1))  # A_B r_Bᵀ D_B
    M, curvature = head.factor.gather(
        (head.rows.take(B.ravel()), A[B.ravel()], omega)
        for B, omega in zip(groups, omegas, strict=True)
    )
    gradient = slopes(head.rows, head.E, M, curvature) - own
    return Derivative(float(weights @ value), gradient, M, curvature)


def each_by_leaving_out(
    head: Head, loss: OuterLoss, indices: np.ndarray, groups: Groups
) -> np.ndarray:
    """Derivative d loss(f_j^{−B ∋ j}, y_j) / d α_m of each pair (m, j), (n, N).

    d f_B / d α_m = (I − K_BB D_B)⁻¹ K_Bm (E_m + K_mB D_B r_B − [m ∈ B] r_m).
    """
    out = np.empty((len(indices), len(head.Y)))
    K = head.columns(indices)  # (N, n)
    for B in map(np.atleast_2d, groups):
        left, _ = without(head, B)
        r = np.linalg.solve(left, head.E[B])  # (g, m, c)
        G = _by_row(loss, head.Y[B] - r, head.Y[B])[1]
        step = G @ head.E[indices].T  # (g, m, n): G_j · E_m
        weighted = (head.alpha[B][..., None] * r).transpose(0, 2, 1)
        step += (G @ weighted) @ K[B]
        for at, m in enumerate(indices):
            g, i = np.nonzero(B == m)
            step[g, :, at] -= (G[g] @ r[g, i][..., None])[..., 0]
        out[:, B] = (np.linalg.solve(left, K[B]) * step).transpose(2, 0, 1)
    return out


def _by_row(loss: OuterLoss, F: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The loss and its gradient for rows that stand in groups, (g, n, c)."""
    value, gradient = loss(F.reshape(-1, F.shape[-1]), Y.reshape(-1, Y.shape[-1]))
    return value.reshape(F.shape[:2]), gradient.reshape(F.shape)
