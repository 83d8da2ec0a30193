"""Numbers and several labels a row: additions from a pool, and which targets are broken.

The paper has classes only.  Data:

* ``diabetes``: 442 patients, the progression of the disease after a year; 60 the core, 100 the
  validation set, 180 the pool, 102 to test on.  Score: R².
* ``cifar10_subset``: for each picture every class that one of three people named (CIFAR-10N), from
  embeddings; 300, 500, 2,700 and 3,000 pictures.  Score: mean over the classes of the average
  precision.

In half of the runs 40 % of the pool have the targets of other pool rows; for the ranking, 20 % of
all rows have those of others.  The seed draws rows and targets; λ is chosen anew for every training
set by leave-one-out squared error, and the test rows choose nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

from makedo.core.candidates import Candidate, Outcome
from makedo.core.checks import MakedoWarning
from makedo.core.paired import Metric
from makedo.core.results import Record, measured
from makedo.core.seeds import generator
from makedo.core.tables import Pair, Row, comparison_rows
from makedo.data import catalog
from makedo.methods.diva.estimator import DatasetDerivative
from makedo.methods.diva.selector import DivaSelector

TITLES = {
    "diabetes": "Numbers: R² after additions from a pool",
    "cifar10_subset": "Several labels a row: average precision after additions from a pool",
}
TITLE = TITLES["diabetes"]
TITLE_BROKEN = "Numbers and several labels a row: which targets are broken?"
SCORE = {
    "diabetes": Metric("R²", decimals=3),
    "cifar10_subset": Metric("mean average precision", unit="%", scale=100.0, decimals=1),
}
AUC = Metric("AUC")
SHARES = {"true targets": 0.0, "40 % of others": 0.4}
BROKEN = 0.2
PARTS = {"diabetes": (60, 100, 180, 102), "cifar10_subset": (300, 500, 2700, 3000)}
WIDTH = {"diabetes": 1.0, "cifar10_subset": 0.25}  # of huber: standard deviations; of 0 and 1
N_RANKED = {"diabetes": 340, "cifar10_subset": 2000}
PEOPLE = ("random1", "random2", "random3")

CORE, UNIFORM, WHOLE = "core alone", "uniform, half of the pool", "whole pool"
WHOLE_MORE = "whole pool, validation rows added"
HALF, ALL = "DIVA, half of the pool", "DIVA, all that help"
ALL_MORE = "DIVA, all that help, validation rows added"
ALL_BOUNDED, ALONE = "DIVA, all that help, huber", "DIVA without validation, all that help"


@dataclass(frozen=True)
class Targets:
    """Rows and targets of core, validation set, pool and test; some of the pool's are others'."""

    X: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    Y: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@lru_cache(maxsize=1)
def _load(data: str) -> tuple[np.ndarray, np.ndarray]:
    found = catalog.load(data)
    if data == "diabetes":
        return found.X / found.X.std(0), found.y
    named = [np.eye(len(found.classes or ()), dtype=int)[found.labels[p]] for p in PEOPLE]
    return found.X, np.maximum.reduce(named)


def mixed(Y: np.ndarray, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Targets of which a share is handed on in a circle; and which ones."""
    rows = rng.permutation(len(Y))[: round(share * len(Y))]
    out = Y.copy()
    out[rows] = Y[np.roll(rows, 1)]
    return out, np.isin(np.arange(len(Y)), rows)


@lru_cache(maxsize=4)
def problem(data: str, share: float, seed: int) -> Targets:
    """The rows of a seed, with a share of the pool's targets handed on."""
    X, Y = _load(data)
    rng = generator(seed, data, "targets")
    rows = rng.permutation(len(Y))[: sum(PARTS[data])]
    core, valid, pool, test = np.split(rows, np.cumsum(PARTS[data])[:-1])
    given, _ = mixed(Y[pool], share, rng)
    return Targets((X[core], X[valid], X[pool], X[test]), (Y[core], Y[valid], given, Y[test]))


def rows(data: str, seeds: Sequence[int]) -> list[Row | Pair]:
    """Ways to add from the pool; then the scores that rank broken targets."""
    huber = {"outer_loss": "huber", "outer_temperature": WIDTH[data]}
    arms: dict[str, Any] = {
        CORE: (lambda t, seed: np.arange(0), False),
        UNIFORM: (uniform, False),
        WHOLE: (lambda t, seed: np.arange(len(t.X[2])), False),
        WHOLE_MORE: (lambda t, seed: np.arange(len(t.X[2])), True),
        HALF: (partial(diva, {}, True, True), False),
        ALL: (partial(diva, {}, True, False), False),
        ALL_MORE: (partial(diva, {}, True, False), True),
        ALL_BOUNDED: (partial(diva, huber, True, False), False),
        ALONE: (partial(diva, {}, False, False), False),
    }
    listed = [Candidate(name, partial(_given, arm)) for name, arm in arms.items()]
    pairs = [(HALF, UNIFORM), (ALL, WHOLE), (ALL_MORE, WHOLE_MORE), (ALONE, WHOLE)]
    made = comparison_rows(
        TITLES[data],
        data,
        listed,
        partial(run, data),
        seeds=seeds,
        metric=SCORE[data],
        pairs=pairs,
    )
    scores = ("derivative, squared", "derivative, huber", "leave-one-out error", "error of the fit")
    ranked = [Row(TITLE_BROKEN, data, s, partial(_ranked, data, s, seeds), seeds) for s in scores]
    return [*made, *ranked, Pair(TITLE_BROKEN, data, scores[0], scores[2])]


def run(data: str, arm: Any, seed: int) -> Outcome:
    """Test score with each pool; there is nothing to tune."""
    choose, with_valid = arm
    found, sizes = {}, {}
    for pool, share in SHARES.items():
        t = problem(data, share, seed)
        chosen = choose(t, seed)
        parts = [0, 1] if with_valid else [0]
        X = np.vstack([*(t.X[i] for i in parts), t.X[2][chosen]])
        Y = np.concatenate([*(t.Y[i] for i in parts), t.Y[2][chosen]])
        scores = DatasetDerivative().fit(X, Y).decision_function(t.X[3])
        found[pool] = score(t.Y[3], scores)
        sizes[pool] = len(scores)
    return Outcome(float("nan"), found, sizes)


def score(Y: np.ndarray, predicted: np.ndarray) -> float:
    """R² of numbers, the mean of the labels' average precisions."""
    if Y.ndim == 1:
        return float(r2_score(Y, predicted[:, 0]))
    return float(average_precision_score(Y, predicted, average="macro"))


def uniform(t: Targets, seed: int) -> np.ndarray:
    """Half of the pool, at random."""
    return generator(seed, "uniform").permutation(len(t.X[2]))[: len(t.X[2]) // 2]


def diva(settings: dict[str, Any], judged: bool, half: bool, t: Targets, seed: int) -> np.ndarray:
    """By the derivative of the loss on the validation rows, or of left-out core rows."""
    budget = len(t.X[2]) // 2 if half else None
    spread = t.Y[0].std(0) if t.Y[0].ndim == 1 else 1.0
    selector = DivaSelector(budget, random_state=seed, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MakedoWarning)  # the core is small, which is the question
        selector.fit(t.X[0], t.Y[0] / spread, *((t.X[1], t.Y[1] / spread) if judged else ()))
    return selector.select(t.X[2], t.Y[2] / spread).index.to_numpy()


def _ranked(data: str, name: str, seeds: Sequence[int]) -> list[Record]:
    values, n = {}, N_RANKED[data]
    for seed in seeds:
        X, Y = _load(data)
        rng = generator(seed, data, "broken")
        rows = rng.permutation(len(Y))[:n]
        given, broken = mixed(Y[rows], BROKEN, rng)
        spread = given.std(0) if given.ndim == 1 else 1.0
        loss = "huber" if name.endswith("huber") else "squared"
        head = DatasetDerivative(outer_loss=loss, outer_temperature=WIDTH[data])
        head.fit(X[rows], given / spread)
        if name.startswith("derivative"):
            found = head.gradient_
        else:
            out = name == "leave-one-out error"
            F = head.loo_predictions_ if out else head.decision_function(X[rows])
            found = ((F - head.y_) ** 2).sum(1)
        values[seed] = float(roc_auc_score(broken, found))
    return [measured(AUC, "all", values, size=n)]


def _given(arm: Any, random_state: int) -> Any:
    return arm
