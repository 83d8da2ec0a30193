"""Simple models that need no graph, and how far they come hop by hop along one.

Whatever adapts must beat them: a linear model fitted on the sources ("do nothing"), one that also
sees the mean of a row's domain, and the first passed on from neighbour to neighbour (self-training
along the hops).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from makedo.methods.grda.tasks import Classification, Task

LEAST_CHANCE = 1e-3  # a sure mistake costs 7 times what a guess between two classes does, no more
NEVER = -30.0  # score of a class that a model has not seen
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)  # of the ridge
STRENGTHS = (0.1, 1.0, 10.0)  # C of the logistic regression
HOP_PENALTY, HOP_STRENGTH = 0.1, 10.0
MOST_FOLDS = 30


class Linear:
    """Scores X @ coef + intercept: logits of classes, or standardised numbers.

    Parameters
    ----------
    coef : ndarray (n_features, n_outputs)
    intercept : ndarray (n_outputs,)
    """

    def __init__(self, coef: np.ndarray, intercept: np.ndarray):
        self.coef, self.intercept = coef, intercept

    def to_state(self) -> dict[str, np.ndarray]:
        """Plain values for a model directory: the arguments of the constructor."""
        return {"coef": self.coef, "intercept": self.intercept}

    def scores(self, X: np.ndarray) -> np.ndarray:
        """Outputs (n, n_outputs) of rows, float32."""
        return (X @ self.coef + self.intercept).astype(np.float32)


def fit_linear(task: Task, X: np.ndarray, y: np.ndarray, strength: float | None = None) -> Linear:
    """Ridge or logistic regression of scaled labels y on X (n, n_features).

    ``strength`` is the ridge penalty, or C; default: what hop-by-hop self-training takes.
    """
    if not isinstance(task, Classification):
        ridge = fit_ridge(X, y, HOP_PENALTY if strength is None else strength)
        return Linear(np.atleast_2d(ridge.coef_).T, np.atleast_1d(ridge.intercept_))
    coef = np.zeros((X.shape[1], task.n_outputs))
    intercept = np.full(task.n_outputs, NEVER)
    seen = np.unique(y)
    intercept[seen] = 0.0
    if len(seen) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(
                C=HOP_STRENGTH if strength is None else strength, max_iter=300
            ).fit(X, y)
        two = len(seen) == 2  # one row of coefficients, those of the second class
        coef[:, seen[1:] if two else seen] = model.coef_.T
        intercept[seen[1:] if two else seen] = model.intercept_
    return Linear(coef, intercept)


def fit_ridge(X: np.ndarray, y: np.ndarray, penalty: float) -> Ridge:
    """Ridge regression, with more digits than float32 has where columns add up to another."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", LinAlgWarning)
        try:
            return Ridge(penalty).fit(X, y)
        except LinAlgWarning:
            return Ridge(penalty).fit(X.astype(float), y)


def fit_base(task: Task, X: np.ndarray, y: np.ndarray, domain: np.ndarray) -> Linear:
    """Fit on the rows of sources, with the penalty that is best on whole domains left out."""
    return fit_linear(task, X, y, best_strength(task, X, y, domain))


def best_strength(task: Task, X: np.ndarray, y: np.ndarray, domain: np.ndarray) -> float:
    """The penalty (or C) with the least error on source domains that are left out in turn."""
    domains = np.unique(domain)
    if len(domains) < 2:
        return 1.0
    folds = np.array_split(domains, min(len(domains), MOST_FOLDS))
    out = [np.isin(domain, fold) for fold in folds]
    if not isinstance(task, Classification):
        return PENALTIES[int(ridge_errors(X, y, out).argmin())]
    error = np.zeros(len(STRENGTHS))
    for rows in out:
        for i, strength in enumerate(STRENGTHS):
            said = fit_linear(task, X[~rows], y[~rows], strength).scores(X[rows])
            error[i] += scaled_losses(task, said, y[rows]).sum()
    return STRENGTHS[int(error.argmin())]


def ridge_errors(X: np.ndarray, y: np.ndarray, folds: Sequence[np.ndarray]) -> np.ndarray:
    """Squared error of each penalty, summed over rows that are left out fold by fold.

    What a ridge needs of its rows are sums; those of a fold are taken off the sums of all, and one
    eigendecomposition serves all penalties.

    Parameters
    ----------
    X : ndarray (n, n_features)
    y : ndarray (n, n_outputs)
    folds : sequence of bool ndarray (n,)

    Returns
    -------
    ndarray (n_penalties,)
    """
    wide = np.hstack([np.ones((len(X), 1)), X.astype(float) - X.mean(0), y])
    total, d, error = wide.T @ wide, X.shape[1], np.zeros(len(PENALTIES))
    for rows in folds:
        left_out = wide[rows]
        sums = total - left_out.T @ left_out
        mean = sums[0, 1:] / sums[0, 0]  # of X and y
        centred = sums[1:, 1:] - sums[0, 0] * np.outer(mean, mean)
        size, axes = np.linalg.eigh(centred[:d, :d])
        along = axes.T @ centred[:d, d:]  # (n_features, n_outputs)
        Z, truth = left_out[:, 1 : d + 1] - mean[:d], left_out[:, d + 1 :] - mean[d:]
        for i, penalty in enumerate(PENALTIES):
            coef = axes @ (along / (np.maximum(size, 0) + penalty)[:, None])
            error[i] += ((Z @ coef - truth) ** 2).mean(1).sum()
    return error


def scaled_losses(task: Task, outputs: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What each row costs, (n,): 1 for a wrong class, or the mean squared error."""
    if isinstance(task, Classification):
        return (outputs.argmax(1) != y).astype(float)
    return ((outputs - y) ** 2).mean(1)


def log_losses(task: Classification, outputs: np.ndarray, y: np.ndarray) -> np.ndarray:
    """−log of the chance of the right class, (n,): tells apart models that make no mistake."""
    chance = task.answer(outputs.astype(float))[np.arange(len(y)), y]
    return -np.log(np.maximum(chance, LEAST_CHANCE))


class WithMeans:
    """Half a linear model of the row, half one of the row and the mean of its domain.

    The mean is of all rows of the domain, labelled or not: it says where the domain lies, which a
    single row does not (Blanchard, Lee and Scott, "Generalizing from several related classification
    tasks to a new unlabeled sample", NeurIPS 2011).  A dozen sources leave its coefficients loose;
    the mean of two predictions has at most the mean of their squared errors.

    Parameters
    ----------
    plain : Linear
        Of n_features.
    wide : Linear
        Of 2 n_features.
    means : ndarray (n_domains, n_features)
        NaN for domains without rows, which have the plain model alone.
    """

    def __init__(self, plain: Linear, wide: Linear, means: np.ndarray):
        self.plain, self.wide, self.means = plain, wide, means

    def scores(self, X: np.ndarray, domain: np.ndarray) -> np.ndarray:
        """Outputs (n, n_outputs) of rows in domains given by position."""
        out, mean = self.plain.scores(X), self.means[domain]
        known = ~np.isnan(mean).any(1)
        wide = self.wide.scores(np.hstack([X[known], mean[known]]))
        out[known] = (out[known] + wide) / 2
        return out

    def to_state(self) -> dict[str, Any]:
        """Plain values for a model directory."""
        return {
            "plain": self.plain.to_state(), "wide": self.wide.to_state(), "means": self.means
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> WithMeans:
        """The inverse of :meth:`to_state`."""
        return cls(Linear(**state["plain"]), Linear(**state["wide"]), state["means"])


def fit_with_means(
    task: Task,
    X: np.ndarray,
    y: np.ndarray,
    labelled: np.ndarray,
    domain: np.ndarray,
    n_domains: int,
    plain: Linear,
) -> WithMeans:
    """Fit on labelled rows, with the means of all; arguments as in :func:`hop_by_hop`."""
    means = np.full((n_domains, X.shape[1]), np.nan, dtype=np.float32)
    for u in np.unique(domain):
        means[u] = X[domain == u].mean(0)
    both = np.hstack([X, means[domain]])[labelled]
    return WithMeans(plain, fit_base(task, both, y[labelled], domain[labelled]), means)


class HopByHop:
    """Self-training along the graph: each domain has the model that its labelled neighbours teach.

    The domain with most labelled neighbours is labelled by a model fitted on their rows, and
    counts as labelled from then on.  A source keeps a model of its own rows and its neighbours'.

    Parameters
    ----------
    models : dict of position of a domain to Linear
    base : Linear
        For domains that no path from a source leads to.
    """

    def __init__(self, models: Mapping[int, Linear], base: Linear):
        self.models, self.base = dict(models), base

    def scores(self, X: np.ndarray, domain: np.ndarray) -> np.ndarray:
        """Outputs (n, n_outputs) of rows in domains given by position."""
        answer = np.empty((len(X), len(self.base.intercept)), dtype=np.float32)
        for u in np.unique(domain):
            rows = domain == u
            answer[rows] = self.models.get(int(u), self.base).scores(X[rows])
        return answer

    def to_state(self) -> dict[str, Any]:
        """Plain values for a model directory; the base is the last one."""
        listed = [*self.models.values(), self.base]
        return {
            "domains": np.array(list(self.models), dtype=np.int64),
            "coef": np.stack([one.coef for one in listed]),
            "intercept": np.stack([one.intercept for one in listed]),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> HopByHop:
        """The inverse of :meth:`to_state`."""
        listed = [Linear(*pair) for pair in zip(state["coef"], state["intercept"], strict=True)]
        return cls(dict(zip(state["domains"].tolist(), listed[:-1], strict=True)), listed[-1])


def hop_by_hop(
    task: Task,
    X: np.ndarray,
    y: np.ndarray,
    labelled: np.ndarray,
    domain: np.ndarray,
    adjacency: np.ndarray,
    base: Linear,
) -> HopByHop:
    """Label domain after domain.

    Parameters
    ----------
    task : Task
    X : ndarray (n, n_features)
    y : ndarray (n,) or (n, n_outputs)
        Scaled labels, where ``labelled``.
    labelled : bool (n,)
    domain : int64 (n,)
        Positions in the graph.
    adjacency : bool (n_domains, n_domains)
    base : Linear
    """
    rows_of = {int(u): np.flatnonzero(domain == u) for u in np.unique(domain)}
    known = {u: rows[labelled[rows]] for u, rows in rows_of.items() if labelled[rows].any()}
    said = y.copy()
    models: dict[int, Linear] = {}
    for u in known:
        near = [known[v] for v in np.flatnonzero(adjacency[u]).tolist() if v in known]
        rows = np.concatenate([known[u], *near])
        models[u] = fit_linear(task, X[rows], y[rows])
    left = set(rows_of) - set(known)
    n_known = adjacency[:, list(known)].sum(1)  # labelled neighbours of each domain
    while left:
        u = min(left, key=lambda v: (-n_known[v], v))
        if n_known[u] == 0:
            break  # no path from a source: the base answers
        near = [v for v in np.flatnonzero(adjacency[u]).tolist() if v in known]
        rows = np.concatenate([known[v] for v in near])
        models[u] = fit_linear(task, X[rows], said[rows])
        outputs = models[u].scores(X[rows_of[u]])
        said[rows_of[u]] = outputs.argmax(1) if isinstance(task, Classification) else outputs
        known[u] = rows_of[u]
        left.remove(u)
        n_known += adjacency[u]
    return HopByHop(models, base)
