"""Weights of the samples by steps down the dataset derivative, and folds to judge them.

Dukler et al. (2022, section 4.1): from α = 1, one to three steps α ← max(0, α − η · derivative).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone

from makedo.methods.diva.estimator import DatasetDerivative


@dataclass(frozen=True)
class Problem:
    """What the head learns from.

    Parameters
    ----------
    X : matrix (N, D)
    y : classes (N,), or targets (N, c)
    alpha : ndarray (N,)
        Where the steps start.
    groups : ndarray (N,), optional
        Number of the group of each sample, from 0; a group is left out together.
    validation : (matrix, labels), optional
        Whose loss is descended.
    """

    X: Any
    y: np.ndarray
    alpha: np.ndarray
    groups: np.ndarray | None = None
    validation: tuple[Any, np.ndarray] | None = None

    def take(self, rows: np.ndarray) -> Problem:
        """Some of the samples, with the same validation set."""
        groups = None if self.groups is None else self.groups[rows]
        return replace(self, X=self.X[rows], y=self.y[rows], alpha=self.alpha[rows], groups=groups)


# --- one step -------------------------------------------------------------------------------------


def descend(
    alpha: np.ndarray, gradient: np.ndarray, step: float, blocks: Sequence[np.ndarray]
) -> np.ndarray:
    """Weights after one step: they stay at least 0, and their sum in each block stays the same.

    The step has the length ``step`` · mean weight along the gradient, which is taken in units of
    its mean size.  blocks : positions of the rows whose sum is kept; no block, no sum.
    """
    gradient = gradient.copy()
    for block in blocks:  # the part of the gradient that would change the sum is not followed
        gradient[block] -= gradient[block].mean()
    size = np.abs(gradient).mean()
    if size == 0:
        return alpha
    moved = alpha - step * alpha.mean() * gradient / size
    for block in blocks:
        moved[block] = nearest_with_sum(moved[block], alpha[block].sum())
    return np.maximum(moved, 0.0)


def nearest_with_sum(values: np.ndarray, total: float) -> np.ndarray:
    """The nearest vector without negative entries whose sum is ``total``, (n,).

    It is max(0, v − θ), where θ leaves the right sum to those that stay positive.
    """
    falling = np.sort(values)[::-1]
    excess = (np.cumsum(falling) - total) / np.arange(1, len(values) + 1)
    n_positive = np.flatnonzero(falling >= excess)[-1]
    return np.maximum(values - excess[n_positive], 0.0)


def follow(
    problem: Problem, head: DatasetDerivative, n_steps: int, step: float, normalize: str | None
) -> list[tuple[np.ndarray, DatasetDerivative]]:
    """Weights after 0, 1, … ``n_steps`` steps, each with the head that is trained with them.

    head : not fitted; its penalty, if it is "loo", is chosen for each set of weights.
    """
    X_val, y_val = problem.validation or (None, None)
    blocks = _blocks(problem, normalize)
    alpha, path = problem.alpha, []
    for k in range(n_steps + 1):
        fitted: DatasetDerivative = clone(head)  # pyright: ignore[reportAssignmentType]
        fitted.fit(
            problem.X, problem.y, sample_weight=alpha,
            X_val=X_val, y_val=y_val, groups=problem.groups,
        )  # fmt: skip
        path.append((alpha, fitted))
        if k < n_steps:
            alpha = descend(alpha, fitted.gradient_, step, blocks)
    return path


def _blocks(problem: Problem, normalize: str | None) -> list[np.ndarray]:
    """Rows whose sum of weights is kept: all, those of each class, or none."""
    if normalize is None:
        return []
    if normalize == "mean":
        return [np.arange(len(problem.y))]
    return [np.flatnonzero(problem.y == c) for c in np.unique(problem.y)]


def splits(
    problem: Problem, n_folds: int, rng: np.random.Generator
) -> Iterator[tuple[Problem, np.ndarray, np.ndarray]]:
    """The problem without a fold of what is to judge: (problem, rows of it, rows of the fold).

    A validation set judges where there is one: a part of it gives the gradient, the fold judges,
    and the rows are all training rows.  Else the training rows are split.
    """
    if problem.validation is None:
        fold = _fold_of(problem.y, problem.groups, n_folds, rng)
    else:
        X_val, y_val = problem.validation
        fold = _fold_of(y_val, None, n_folds, rng)
    for k in range(n_folds):
        rest, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        if problem.validation is None:
            yield problem.take(rest), rest, held
        else:
            part = replace(problem, validation=(X_val[rest], y_val[rest]))
            yield part, np.arange(len(problem.y)), held


def _fold_of(
    y: np.ndarray, groups: np.ndarray | None, n_folds: int, rng: np.random.Generator
) -> np.ndarray:
    """The fold of each row (n,): of about the same size, with the same share of each class.

    Rows of a group are in one fold; then the shares of classes are left to chance.
    """
    if groups is not None:
        return (rng.permutation(groups.max() + 1) % n_folds)[groups]
    order = rng.permutation(len(y))
    if y.ndim == 1:
        order = order[np.argsort(y[order], kind="stable")]  # class by class, shuffled
    fold = np.empty(len(y), dtype=np.int64)
    fold[order] = np.arange(len(y)) % n_folds
    return fold
