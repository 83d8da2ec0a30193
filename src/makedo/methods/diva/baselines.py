"""Other scores of training samples that DIVA is compared with, each in its plainest form.

All are for classes, take a matrix X (N, D) and class numbers y (N,), and give a number a sample;
the higher, the more suspicious, but for :func:`knn_shapley` and :func:`influence`, whose sign is
that of their papers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.spatial.distance import cdist
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

BLOCK = 2**22  # numbers held at once


# --- k nearest neighbours -------------------------------------------------------------------------


def knn_shapley(
    X: np.ndarray,
    y: np.ndarray,
    X_valid: np.ndarray | None = None,
    y_valid: np.ndarray | None = None,
    k: int = 10,
) -> np.ndarray:
    """Shapley value of each sample for a classifier of k nearest neighbours, exactly: (N,).

    Jia et al., "Efficient Task-Specific Data Valuation for Nearest Neighbor Algorithms", VLDB 2019,
    Theorem 1.  With the neighbours of a validation sample in order of distance and m_i whether the
    i-th has its label,

        s_N = m_N min(k, N) / (k N),   s_i = s_{i+1} + (m_i − m_{i+1}) min(k, i) / (k i),

    averaged over validation samples.  Without any, each sample is predicted by all others.
    Higher is better.
    """
    alone = X_valid is None
    targets, labels = (X, y) if alone else (X_valid, y_valid)
    assert targets is not None and labels is not None
    n = len(X) - alone  # samples that a prediction may use
    i = np.arange(1, n + 1)
    weight = np.minimum(k, i) / (k * i)
    values, block = np.zeros(len(X)), max(1, BLOCK // len(X))
    for start in range(0, len(targets), block):
        part = slice(start, start + block)
        distance = cdist(targets[part], X)  # (B, N)
        if alone:
            distance[np.arange(len(distance)), np.arange(len(X))[part]] = np.inf
        order = np.argsort(distance, axis=1, kind="stable")[:, :n]
        match = (y[order] == labels[part, None]).astype(float)  # m, (B, n)
        terms = np.hstack(
            [(match[:, :-1] - match[:, 1:]) * weight[:-1], match[:, -1:] * weight[-1]]
        )
        shapley = np.cumsum(terms[:, ::-1], axis=1)[:, ::-1]  # s_i is the sum of terms from i on
        np.add.at(values, order, shapley)
    return values / len(targets)


# --- logistic regression --------------------------------------------------------------------------


@dataclass(frozen=True)
class Logistic:
    """Multinomial logistic regression at its optimum, with the Hessian of its objective.

    The objective is Σ_i w_i · loss_i + ‖W‖² / (2 strength), without a penalty on the intercept.

    Parameters
    ----------
    W : ndarray (D + 1, c)
        The last row belongs to the intercept.
    factor : ndarray ((D + 1) c, (D + 1) c)
        Lower Cholesky factor of the Hessian; parameters in the order of W.T, class by class.
    """

    W: np.ndarray
    factor: np.ndarray

    def gradients(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Of the loss of each sample, (n, (D + 1) c)."""
        Z = _with_constant(X)
        error = softmax(Z @ self.W, axis=1) - np.eye(self.W.shape[1])[y]
        return (error[:, :, None] * Z[:, None, :]).reshape(len(X), -1)


def fit_logistic(X: np.ndarray, y: np.ndarray, strength: float) -> Logistic:
    """Fit it; classes are 0 to c − 1."""
    model = LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(X, y)
    coef, intercept = model.coef_, model.intercept_
    if len(coef) == 1:  # two classes: half of the scores each, penalised as one vector
        coef, intercept = np.vstack([-coef, coef]) / 2, np.r_[-intercept, intercept] / 2
    W = np.vstack([coef.T, intercept])
    Z = _with_constant(X)
    P = softmax(Z @ W, axis=1)
    D, c = W.shape
    H = np.empty((c, D, c, D))
    for a in range(c):
        for b in range(a + 1):
            curvature = P[:, a] * ((a == b) - P[:, b])
            H[a, :, b] = H[b, :, a] = (Z * curvature[:, None]).T @ Z
    penalty = 2.0 if len(model.coef_) == 1 else 1.0  # of two halves of one vector
    for a in range(c):
        H[a, np.arange(D - 1), a, np.arange(D - 1)] += penalty / strength
    # A number added to all intercepts changes nothing; no gradient points there.
    H[:, -1, :, -1] += 1.0
    factor = np.linalg.cholesky(H.reshape(c * D, c * D))
    return Logistic(W, factor)


def influence(
    model: Logistic, X: np.ndarray, y: np.ndarray, X_valid: np.ndarray, y_valid: np.ndarray
) -> np.ndarray:
    """Derivative of the mean validation loss by the weight of each sample, (N,): −g_vᵀ H⁻¹ g_i.

    Koh & Liang, "Understanding Black-box Predictions via Influence Functions", ICML 2017, eq. 2,
    with the exact Hessian.  Negative: the sample helps.
    """
    towards = model.gradients(X_valid, y_valid).mean(0)
    return -model.gradients(X, y) @ cho_solve((model.factor, True), towards)


def self_influence(model: Logistic, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How much the weight of each sample lowers its own loss, (N,): g_iᵀ H⁻¹ g_i.

    What Koh & Liang rank by to find wrong labels (section 5.4).
    """
    block = max(1, BLOCK // len(model.factor))
    parts = []
    for start in range(0, len(X), block):
        part = slice(start, start + block)
        root = solve_triangular(model.factor, model.gradients(X[part], y[part]).T, lower=True)
        parts.append((root**2).sum(0))
    return np.concatenate(parts)


def tracin_self(X: np.ndarray, y: np.ndarray, n_steps: int = 100, every: int = 10) -> np.ndarray:
    """TracIn of each sample with itself on a logistic head, (N,): Σ_t η ‖g_i(W_t)‖².

    Pruthi et al., "Estimating Training Data Influence by Tracing Gradient Descent", NeurIPS 2020.
    Gradient descent on the mean loss from 0, with the largest step that is safe; each ``every``-th
    step is a checkpoint.
    """
    Z, Y = _with_constant(X), np.eye(y.max() + 1)[y]
    rate = 2 * len(Z) / np.linalg.norm(Z, 2) ** 2  # 1 / curvature: softmax curves by at most 1/2
    size, W, total = (Z**2).sum(1), np.zeros((Z.shape[1], Y.shape[1])), np.zeros(len(Z))
    for step in range(1, n_steps + 1):
        error = softmax(Z @ W, axis=1) - Y
        W -= rate * Z.T @ error / len(Z)
        if step % every == 0:
            error = softmax(Z @ W, axis=1) - Y
            total += rate * (error**2).sum(1) * size
    return total


def out_of_fold(
    X: np.ndarray, y: np.ndarray, strength: float, n_folds: int = 5, random_state: int = 0
) -> np.ndarray:
    """Probabilities of each sample by a logistic regression that did not see its fold, (N, c)."""
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=random_state)
    model = LogisticRegression(C=strength, max_iter=1000)
    return np.asarray(cross_val_predict(model, X, y, cv=folds, method="predict_proba"))


# --- bagging --------------------------------------------------------------------------------------


def data_oob(
    X: np.ndarray, y: np.ndarray, penalty: float, rng: np.random.Generator, n_models: int = 100
) -> np.ndarray:
    """How often a sample is predicted wrong by ridge heads whose bootstrap left it out, (N,).

    Kwon & Zou, "Data-OOB: Out-of-bag Estimate as a Simple and Efficient Data Value", ICML 2023.
    """
    Z, Y, n = _with_constant(X), np.eye(y.max() + 1)[y], len(X)
    ridge = np.full(Z.shape[1], penalty)
    ridge[-1] = 0.0
    wrong, out = np.zeros(n), np.zeros(n)
    for _ in range(n_models):
        times = np.bincount(rng.integers(0, n, n), minlength=n)
        left = (Z * times[:, None]).T
        gram = left @ Z + np.diag(ridge)
        missed = (Z @ cho_solve(cho_factor(gram), left @ Y)).argmax(1) != y
        wrong += missed & (times == 0)
        out += times == 0
    return wrong / np.maximum(out, 1)


def _with_constant(X: np.ndarray) -> np.ndarray:
    return np.hstack([X, np.ones((len(X), 1))])
