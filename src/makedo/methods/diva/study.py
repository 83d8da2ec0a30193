"""A user's data as all that is measured on it takes it: scaled rows, targets, folds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import eigh

from makedo.core.paired import Metric
from makedo.methods.diva import inputs
from makedo.methods.diva.estimator import DatasetDerivative
from makedo.methods.diva.outer import OnValidation
from makedo.methods.diva.overlap import warn_of_shared
from makedo.methods.diva.rows import Rows
from makedo.methods.diva.scoring import METRICS, credit

MOST_ROWS = 3_000  # of larger data a sample is looked at
MOST_COLUMNS = 400  # of wider data, that many principal directions


@dataclass(frozen=True)
class Samples:
    """Labelled rows.

    Parameters
    ----------
    Z : ndarray (n, D)
        Centred and scaled, without a constant column.
    Y : ndarray (n, c)
        Targets, one-hot for classes.
    alpha : ndarray (n,)
        Weights.
    group : int ndarray (n,)
        Rows of one group are never on both sides of a split.
    """

    Z: np.ndarray
    Y: np.ndarray
    alpha: np.ndarray
    group: np.ndarray

    def __len__(self) -> int:
        return len(self.Y)

    def take(self, rows: np.ndarray) -> Samples:
        """Some of them, by position or by mask."""
        return Samples(self.Z[rows], self.Y[rows], self.alpha[rows], self.group[rows])

    def and_also(self, others: Samples) -> Samples:
        """These and others, each a group of its own."""
        return Samples(
            np.vstack([self.Z, others.Z]),
            np.vstack([self.Y, others.Y]),
            np.concatenate([self.alpha, others.alpha]),
            np.concatenate([self.group, self.group.max(initial=0) + 1 + others.group]),
        )

    def weighted(self, alpha: np.ndarray) -> Samples:
        """The same rows with other weights."""
        return replace(self, alpha=alpha)


@dataclass(frozen=True)
class Split:
    """What is learnt from, what guides the derivative (None: leaving out), what is tested on."""

    train: Samples
    guide: Samples | None
    held: Samples


@dataclass(frozen=True)
class Study:
    """Training rows, and perhaps trusted ones, others to test on, and a pool.

    Parameters
    ----------
    model : DatasetDerivative
        With the user's settings; never fitted.
    kind : {"classes", "multilabel", "soft", "values"}
    grouped : bool
        Whether the user gave groups.
    narrow : bool
        Whether the columns are principal directions, of wide data.
    train : Samples
    trusted : Samples or None
        The validation set.
    test : Samples or None
        Rows that took no part in anything.
    pool : Samples or None
        Rows that could be added.
    """

    model: DatasetDerivative
    kind: str
    grouped: bool
    narrow: bool
    train: Samples
    trusted: Samples | None = None
    test: Samples | None = None
    pool: Samples | None = None

    @property
    def metric(self) -> Metric:
        """What a head is judged by."""
        return METRICS[self.kind]

    @property
    def tested(self) -> Samples:
        """The rows that all is tested on, each once."""
        return next(part for part in (self.test, self.trusted, self.train) if part is not None)

    @property
    def where(self) -> str:
        """What these rows are."""
        if self.test is not None:
            return "the rows given to test on"
        return "held-back rows" if self.trusted is None else "trusted rows"

    @property
    def label(self) -> str:
        """The metric on an axis."""
        return f"{self.metric.name}, %" if self.metric.scale == 100 else self.metric.name

    def labels(self, Y: np.ndarray) -> np.ndarray:
        """Targets as estimators take them: class numbers, else as they are."""
        return Y.argmax(1) if self.kind == "classes" else Y

    def fit(self, train: Samples, guide: Samples | None = None) -> DatasetDerivative:
        """The user's model on other rows; λ is tuned anew unless the user fixed it."""
        from sklearn.base import clone

        fresh: Any = clone(self.model)
        fresh.set_params(scale=None, targets=self.kind, class_weight=None)
        trusted = {} if guide is None else {"X_val": guide.Z, "y_val": self.labels(guide.Y)}
        groups = train.group if self.grouped else None
        y = self.labels(train.Y)
        return fresh.fit(train.Z, y, sample_weight=train.alpha, groups=groups, **trusted)

    def outputs(self, model: DatasetDerivative, samples: Samples) -> np.ndarray:
        """What a fitted head says of rows, with a column for every class: (n, c)."""
        said = model.decision_function(samples.Z)
        if self.kind != "classes" or said.shape[1] == samples.Y.shape[1]:
            return said
        every = np.full(samples.Y.shape, -np.inf)  # a class that it has not seen is not named
        every[:, model.classes_] = said
        return every

    def credit(self, F: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """What each row scores, (n,); the metric is its mean."""
        return credit(self.kind, F, Y)

    def folds(self, samples: Samples, n: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Positions of n parts of about equal size, each with its share of each class."""
        key = samples.group if self.grouped else np.arange(len(samples))
        _, first, number = np.unique(key, return_index=True, return_inverse=True)
        lead = (
            samples.Y.argmax(1)[first] if self.kind in ("classes", "soft") else np.zeros(len(first))
        )
        order = np.lexsort((rng.random(len(first)), lead))  # by class, at random within it
        part = np.empty(len(first), dtype=np.int64)
        part[order] = np.arange(len(first)) % n
        return [np.flatnonzero(part[number] == i) for i in range(n)]

    def splits(self, n: int, rng: np.random.Generator) -> Iterator[Split]:
        """Each row of :attr:`tested` is held back once, n-th part by n-th part.

        Trusted rows guide the derivative that they are not tested on; rows given to test on guide
        nothing, and are tested on all at once.
        """
        if self.test is not None:
            yield Split(self.train, self.trusted, self.test)
            return
        for held in self.folds(self.tested, n, rng):
            rest = np.setdiff1d(np.arange(len(self.tested)), held)
            if self.trusted is None:
                yield Split(self.train.take(rest), None, self.train.take(held))
            else:
                yield Split(self.train, self.trusted.take(rest), self.trusted.take(held))


def read_study(
    model: DatasetDerivative,
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    groups: Any = None,
    rng: np.random.Generator,
) -> Study:
    """The user's data as ``fit`` reads it.  ``model`` only learns how to read columns."""
    data = inputs.read_training(model, X, y, groups)
    model._learn_data(data)
    alpha = inputs.start_weights(model, sample_weight, data)
    trusted = None
    if X_val is not None or y_val is not None:
        trusted = inputs.read_validation(model, X_val, y_val, data.rows)
    return _study(model, data.rows, data.targets.Y, alpha, data.groups, rng, trusted)


def fitted_study(
    model: DatasetDerivative,
    rng: np.random.Generator,
    *,
    test: tuple[Any, Any] | None = None,
    pool: tuple[Any, Any] | None = None,
) -> Study:
    """The data of a fitted model that still holds its rows, and other labelled rows."""
    head, outer, groups, trusted = model._trained("this"), model._outer, None, None
    if isinstance(outer, OnValidation):
        trusted = outer.rows, outer.Y
    elif outer.groups is not None:
        groups = np.empty(len(head.Y), dtype=np.int64)
        for batch in outer.groups:
            groups[batch] = batch[:, :1]
    others = [
        None if part is None else inputs.read_labelled(model, *part, "X") for part in (test, pool)
    ]
    if others[0] is not None:
        warn_of_shared(type(model).__name__, head.rows, others[0][0], "the test")
    return _study(model, head.rows, head.Y, head.alpha, groups, rng, trusted, *others)


def _study(
    model: DatasetDerivative,
    rows: Rows,
    Y: np.ndarray,
    alpha: np.ndarray,
    groups: np.ndarray | None,
    rng: np.random.Generator,
    *parts: tuple[Rows, np.ndarray] | None,  # trusted, test, pool
) -> Study:
    """Of many rows a part; without classes of one row, as nothing can be said of it without it."""
    kept = np.sort(rng.permutation(rows.n_rows)[:MOST_ROWS])
    classes = model.kind_ == "classes"
    if classes:
        sizes = Y[kept].sum(0)
        kept = kept[sizes[Y[kept].argmax(1)] > 1]
    group = kept if groups is None else groups[kept]
    train = Samples(_features(rows, kept), Y[kept], alpha[kept], group)
    known = train.Y.sum(0) > 0 if classes else np.ones(Y.shape[1], dtype=bool)

    def read(part: tuple[Rows, np.ndarray] | None) -> Samples | None:
        if part is None:
            return None
        there = np.sort(rng.permutation(np.flatnonzero(known[part[1].argmax(1)]))[:MOST_ROWS])
        ones = np.ones(len(there))
        return Samples(_features(part[0], there), part[1][there], ones, np.arange(len(there)))

    train, *others = narrowed(MOST_COLUMNS, train, *map(read, parts))
    narrow = rows.n_features > MOST_COLUMNS
    return Study(model, model.kind_, groups is not None, narrow, train, *others)


def _features(rows: Rows, kept: np.ndarray) -> np.ndarray:
    """Scaled features without the constant column, float64."""
    return rows.take(kept)[:, : rows.n_features].astype(float)


def narrowed(most: int, train: Samples, *others: Samples | None) -> list[Any]:
    """The same rows in at most so many principal directions of the training rows.

    A turn changes no prediction of a ridge with one λ for all; leaving out the directions in which
    rows hardly differ changes it a little.
    """
    Z = train.Z
    if Z.shape[1] <= most:
        return [train, *others]
    if len(Z) < Z.shape[1]:
        w, U = eigh(Z @ Z.T)
        w, U = w[::-1][:most], U[:, ::-1][:, :most]
        kept = w > 1e-9 * w[0]
        V = Z.T @ (U[:, kept] / np.sqrt(w[kept]))
    else:
        _, V = eigh(Z.T @ Z)
        V = V[:, ::-1][:, :most]
    return [None if part is None else replace(part, Z=part.Z @ V) for part in (train, *others)]
