"""Growing a small training set from a pool (paper: section 4.2, DIVA Extend, curves only).

The paper shows test error over the number of added samples, below uniform choice everywhere, from
single runs, and a part of the pool that beats all of it.  Here λ is chosen anew for every training
set of every arm, uniform choice may also train on the validation rows that DIVA looks at, and the
pool comes with true labels and with 40 % wrong ones.  What the arms of DIVA are was looked at on
rows of the training pictures that no table uses; the test rows choose nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from makedo.core.candidates import Candidate, Outcome
from makedo.core.checks import MakedoWarning
from makedo.core.paired import Metric
from makedo.core.seeds import generator
from makedo.core.tables import Pair, Row, comparison_rows
from makedo.methods.diva.estimator import DatasetDerivative
from makedo.methods.diva.reproduce.pools import BATCH, SHARES, SIZES, PoolProblem, problem
from makedo.methods.diva.selector import DivaSelector, margins

TITLE = "Extend: test error after additions from a pool (paper: section 4.2)"
ERROR = Metric("test error", unit="points", scale=100.0, higher_is_better=False, decimals=2)

UNIFORM, UNIFORM_MORE = "uniform", "uniform, validation rows added"
WHOLE, WHOLE_MORE = "whole pool", "whole pool, validation rows added"
OURS, OURS_MORE = "DIVA", "DIVA, validation rows added"
OURS_BOUNDED, OURS_ALL = "DIVA, mae", "DIVA, all that help"
PAPERS = "DIVA, largest gain"
ALONE, ALONE_BOUNDED = "DIVA without validation", "DIVA without validation, mae"
ALONE_PAPERS = "DIVA without validation, largest gain"
GAIN: dict[str, Any] = {"rank": "gain"}
QUOTA: dict[str, Any] = {"rank": "gain", "quota": "class"}
MAE: dict[str, Any] = {"outer_loss": "mae"}
# settings of DivaSelector with a validation set, and without one
JUDGED: dict[str, dict[str, Any]] = {
    OURS: {},
    OURS_BOUNDED: MAE,
    PAPERS: GAIN,
    f"{PAPERS}, mae": GAIN | MAE,
    f"{PAPERS}, quotas": QUOTA,
    f"{PAPERS}, mae, quotas": QUOTA | MAE,
    f"{PAPERS}, one at a time": GAIN | {"batch": 1},
}
LEFT_OUT: dict[str, dict[str, Any]] = {
    ALONE: {},
    ALONE_BOUNDED: MAE,
    ALONE_PAPERS: GAIN,
    f"{ALONE_PAPERS}, mae": GAIN | MAE,
    f"{ALONE_PAPERS}, quotas": QUOTA,
    f"{ALONE_PAPERS}, mae, quotas": QUOTA | MAE,
    f"{ALONE_PAPERS}, ten at a time": GAIN | {"batch": 10},
    f"{ALONE_PAPERS}, 5 folds": GAIN | {"criterion": "kfold"},
    f"{ALONE_PAPERS}, 5 folds, mae, quotas": QUOTA | MAE | {"criterion": "kfold"},
}
PAIRS = [
    (OURS, UNIFORM),
    (PAPERS, UNIFORM),
    (f"{PAPERS}, quotas", UNIFORM),
    (OURS, UNIFORM_MORE),
    (OURS_MORE, UNIFORM_MORE),
    (OURS, "margin sampling"),
    (OURS, WHOLE),
    (OURS_BOUNDED, WHOLE),
    (OURS_ALL, WHOLE),
    (OURS_MORE, WHOLE_MORE),
    (ALONE_PAPERS, UNIFORM),
    (ALONE, UNIFORM),
    (ALONE, "margin sampling"),
    (ALONE_BOUNDED, UNIFORM),
]

Choose = Callable[[PoolProblem, int, int, int], np.ndarray]  # of problem, batch, budget, seed


@dataclass(frozen=True)
class Arm:
    """A way to choose: positions in the pool, the first ones first."""

    choose: Choose
    with_valid: bool = False  # train on the validation rows too
    budget: bool = True  # False: one training set, whatever the size


def rows(data: str, seeds: Sequence[int]) -> list[Row | Pair]:
    """Uniform choice, uncertainty sampling, the whole pool, and DIVA in its forms."""
    arms = {
        UNIFORM: Arm(uniform),
        UNIFORM_MORE: Arm(uniform, with_valid=True),
        WHOLE: Arm(whole, budget=False),
        WHOLE_MORE: Arm(whole, with_valid=True, budget=False),
        "margin sampling": Arm(partial(uncertain, margins)),
        "entropy sampling": Arm(partial(uncertain, certainty)),
        **{name: Arm(partial(diva, s, True)) for name, s in JUDGED.items()},
        OURS_ALL: Arm(partial(diva, {"budget": None}, True), budget=False),
        OURS_MORE: Arm(partial(diva, {}, True), with_valid=True),
        **{name: Arm(partial(diva, s, False)) for name, s in LEFT_OUT.items()},
    }
    listed = [Candidate(name, partial(_given, arm)) for name, arm in arms.items()]
    return comparison_rows(
        TITLE, data, listed, partial(run, data), seeds=seeds, metric=ERROR, pairs=PAIRS
    )


def run(data: str, arm: Arm, seed: int) -> Outcome:
    """Test error at each size, with each pool; there is nothing to tune."""
    errors, sizes = {}, {}
    for pool, share in SHARES.items():
        found = problem(data, share, seed)
        n_core = len(found.core_y)
        budget = max(SIZES[data]) - n_core
        chosen = arm.choose(found, BATCH[data], budget, seed)
        for size in SIZES[data]:
            group = f"{pool}, {size}"
            some = chosen[: size - n_core] if arm.budget else chosen
            errors[group] = found.error(some, arm.with_valid)
            sizes[group] = len(found.test_y)
    return Outcome(float("nan"), errors, sizes)


# --- ways to choose -------------------------------------------------------------------------------


def uniform(found: PoolProblem, batch: int, budget: int, seed: int) -> np.ndarray:
    """At random."""
    return generator(seed, "uniform").permutation(len(found.given))[:budget]


def whole(found: PoolProblem, batch: int, budget: int, seed: int) -> np.ndarray:
    """Everything, whatever the budget."""
    return np.arange(len(found.given))


def uncertain(
    sureness: Callable[[np.ndarray], np.ndarray],
    found: PoolProblem,
    batch: int,
    budget: int,
    seed: int,
) -> np.ndarray:
    """Batch by batch what the head is least sure of; labels are seen once they are chosen."""
    chosen = np.arange(0)
    while len(chosen) < budget:
        X = np.vstack([found.core_X, found.pool_X[chosen]])
        head = DatasetDerivative().fit(X, np.concatenate([found.core_y, found.given[chosen]]))
        left = np.setdiff1d(np.arange(len(found.given)), chosen)
        order = np.argsort(sureness(head.decision_function(found.pool_X[left])), kind="stable")
        chosen = np.concatenate([chosen, left[order[:batch]]])
    return chosen[:budget]


def certainty(F: np.ndarray) -> np.ndarray:
    """Minus the entropy of softmax(5 f)."""
    p = np.exp(5 * (F - F.max(1, keepdims=True)))
    p /= p.sum(1, keepdims=True)
    return (p * np.log(p + 1e-300)).sum(1)


def diva(
    settings: dict[str, Any],
    with_judges: bool,
    found: PoolProblem,
    batch: int,
    budget: int,
    seed: int,
) -> np.ndarray:
    """By the derivative of the loss on the validation rows, or of left-out core rows."""
    valid = (found.valid_X, found.valid_y) if with_judges else ()
    budgets: dict[str, Any] = {"budget": budget, "batch": batch, "random_state": seed}
    selector = DivaSelector(**(budgets | settings))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MakedoWarning)  # the core is small, which is the question
        selector.fit(found.core_X, found.core_y, *valid)
    return selector.select(found.pool_X, found.given).index.to_numpy()


def _given(arm: Arm, random_state: int) -> Arm:
    return arm
