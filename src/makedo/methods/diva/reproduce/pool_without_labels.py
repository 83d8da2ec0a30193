"""Which pool samples to have labelled: the protocol of Extend, with labels seen once chosen.

The paper has labelled pools only.  The derivative of a sample depends on its label y; with
probabilities p of the classes it can be taken at the likeliest (pseudo-label), in expectation, as
expected size, or as standard deviation over the classes (how much the label matters to the loss).
Under p = f the expectation would be 0, so p = softmax(β f) with β calibrated on left-out rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from makedo.core.candidates import Candidate, Outcome
from makedo.core.checks import MakedoWarning
from makedo.core.seeds import generator
from makedo.core.tables import Pair, Row, comparison_rows
from makedo.methods.diva.estimator import DatasetDerivative
from makedo.methods.diva.reproduce.extend import ERROR, certainty
from makedo.methods.diva.reproduce.pools import BATCH, SHARES, SIZES, PoolProblem, problem
from makedo.methods.diva.selector import DivaSelector, margins, sharpness

TITLE = "A pool without labels: test error after labelling what was asked for"
UNIFORM, MARGIN, ENTROPY = "uniform", "margin sampling", "entropy sampling"
OURS, ALONE = "DIVA", "DIVA without validation"
Ask = Callable[[PoolProblem, np.ndarray, np.ndarray, int], np.ndarray]  # chosen, left, batch -> ask


def rows(data: str, seeds: Sequence[int]) -> list[Row | Pair]:
    """Uniform choice, uncertainty sampling, DIVA as it is, and other uses of the derivative."""
    asks: dict[str, Any] = {
        UNIFORM: uniform,
        MARGIN: partial(by_outputs, margins),
        ENTROPY: partial(by_outputs, certainty),
        OURS: partial(diva, True),
        **{f"{OURS}, {name}": partial(by_slopes, use, True) for name, use in USES.items()},
        ALONE: partial(diva, False),
        **{f"{ALONE}, {name}": partial(by_slopes, use, False) for name, use in USES.items()},
    }
    listed = [Candidate(name, partial(_given, ask)) for name, ask in asks.items()]
    pairs = [(ours, other) for ours in (OURS, ALONE) for other in (UNIFORM, MARGIN)]
    pairs.append((OURS, f"{OURS}, standard deviation"))
    return comparison_rows(
        TITLE, data, listed, partial(run, data), seeds=seeds, metric=ERROR, pairs=pairs
    )


def run(data: str, ask: Ask, seed: int) -> Outcome:
    """Test error at each size; "40 % wrong" are labels that the annotator gets wrong."""
    errors, sizes = {}, {}
    for pool, share in SHARES.items():
        found = problem(data, share, seed)
        order = generator(seed, "ask").permutation(len(found.given))
        chosen, n_core = np.arange(0), len(found.core_y)
        for size in SIZES[data]:
            while n_core + len(chosen) < size:
                left = order[~np.isin(order, chosen)]
                asked = ask(found, chosen, left, min(BATCH[data], size - n_core - len(chosen)))
                chosen = np.concatenate([chosen, asked])
            errors[f"{pool}, {size}"] = found.error(chosen)
            sizes[f"{pool}, {size}"] = len(found.test_y)
    return Outcome(float("nan"), errors, sizes)


# --- ways to ask ----------------------------------------------------------------------------------


def uniform(found: PoolProblem, chosen: np.ndarray, left: np.ndarray, batch: int) -> np.ndarray:
    """The next in a random order."""
    return left[:batch]


def by_outputs(
    sureness: Callable[[np.ndarray], np.ndarray],
    found: PoolProblem,
    chosen: np.ndarray,
    left: np.ndarray,
    batch: int,
) -> np.ndarray:
    """What the head is least sure of."""
    head = DatasetDerivative().fit(*_training(found, chosen))
    return _least(sureness(head.decision_function(found.pool_X[left])), left, batch)


def diva(
    judged: bool, found: PoolProblem, chosen: np.ndarray, left: np.ndarray, batch: int
) -> np.ndarray:
    """The selector as it is: the least certain of those that are expected to help."""
    valid = (found.valid_X, found.valid_y) if judged else ()
    selector = DivaSelector(budget=batch, stop="budget")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MakedoWarning)  # the core is small, which is the question
        selector.fit(*_training(found, chosen), *valid)
    return left[selector.select(found.pool_X[left]).index]


def by_slopes(
    use: Callable[[np.ndarray, np.ndarray], np.ndarray],
    judged: bool,
    found: PoolProblem,
    chosen: np.ndarray,
    left: np.ndarray,
    batch: int,
) -> np.ndarray:
    """By the derivative under each label (n, c), and the probabilities of the labels."""
    X, y = _training(found, chosen)
    valid = {"X_val": found.valid_X, "y_val": found.valid_y} if judged else {}
    head = DatasetDerivative().fit(X, y, **valid)
    pool = found.pool_X[left]
    slopes = np.column_stack([head.score_pool(pool, np.full(len(left), c)) for c in head.classes_])
    scores = sharpness(head.loo_predictions_, head.y_) * head.decision_function(pool)
    p = np.exp(scores - scores.max(1, keepdims=True))
    return _least(use(slopes, p / p.sum(1, keepdims=True)), left, batch)


def _expected(slopes: np.ndarray, p: np.ndarray) -> np.ndarray:
    return (p * slopes).sum(1)


def _pseudo_label(slopes: np.ndarray, p: np.ndarray) -> np.ndarray:
    return slopes[np.arange(len(p)), p.argmax(1)]


def _size(slopes: np.ndarray, p: np.ndarray) -> np.ndarray:
    return -(p * np.abs(slopes)).sum(1)


def _spread(slopes: np.ndarray, p: np.ndarray) -> np.ndarray:
    return -((p * slopes**2).sum(1) - _expected(slopes, p) ** 2)


USES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "expected gain": _expected,
    "pseudo-label": _pseudo_label,
    "expected size": _size,
    "standard deviation": _spread,
}


def _training(found: PoolProblem, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    X = np.vstack([found.core_X, found.pool_X[chosen]])
    return X, np.concatenate([found.core_y, found.given[chosen]])


def _least(scores: np.ndarray, left: np.ndarray, batch: int) -> np.ndarray:
    return left[np.argsort(scores, kind="stable")[:batch]]


def _given(ask: Ask, random_state: int) -> Ask:
    return ask
