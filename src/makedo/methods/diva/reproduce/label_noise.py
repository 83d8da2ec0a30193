"""Which score finds wrong labels, where to draw the line, and what acting on it is worth.

Paper: Table 2, on six data sets of pictures that are not to be had here with its networks; so its
figures have no place beside ours.  What differs: several seeds, human labels, simpler scores of the
same predictions, other methods, and test error after the labels were acted on.

Settings.  λ of the ridge head has the least leave-one-out squared error on the labels as they were
given.  The strength of each logistic regression is the best of four by the out-of-fold log loss on
the given labels, with the first seed.  Nothing looks at true labels, but for the rows that say so.
The two numbers inside the threshold "auto" were set on simulated scores and on draws of these data
by other seeds (100 to 102).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from scipy.special import softmax
from sklearn.metrics import f1_score, roc_auc_score

from makedo.core.checks import optional
from makedo.core.paired import Metric
from makedo.core.results import Record, measured
from makedo.core.seeds import derive, generator
from makedo.core.tables import Pair, Row
from makedo.methods.diva import baselines
from makedo.methods.diva.estimator import DatasetDerivative
from makedo.methods.diva.issues import LabelIssueFinder
from makedo.methods.diva.reproduce.noise import CLEAN, Noisy, groups, problem

TITLE = "Which score finds wrong labels? (paper: Table 2)"
TITLE_MARKED = "Where to draw the line between right and wrong labels"
TITLE_ACTED = "What acting on the labels is worth"
AUC, F1 = Metric("AUC"), Metric("F1")
MARKED = Metric("true labels that are marked", unit="%", higher_is_better=False, decimals=1)
ERROR = Metric("test error", unit="%", higher_is_better=False, decimals=1)
TEMPERATURE = 5.0  # of the softmax that makes probabilities of a ridge's outputs
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)

MARGIN, SQUARED, MAE = "LOO margin", "derivative, squared", "derivative, mae"


# --- what the scores are made of ------------------------------------------------------------------


@dataclass(frozen=True)
class Head:
    """What the ridge head on the labels as given says of its training samples."""

    penalty: float
    loo: np.ndarray  # predictions without the sample (N, c)
    fitted: np.ndarray  # and with it
    gradient: np.ndarray  # (N,)


@lru_cache(maxsize=200)
def head(data: str, group: str, seed: int, loss: str = "squared") -> Head:
    """The head, with the derivative of an outer loss."""
    found = problem(data, group, seed)
    model = DatasetDerivative(outer_loss=loss, outer_temperature=TEMPERATURE)
    model.fit(found.X, found.given)
    fitted = model.decision_function(found.X)
    return Head(model.penalty_, model.loo_predictions_, fitted, model.gradient_)


@lru_cache(maxsize=16)
def strength(data: str, group: str, seed: int) -> float:
    """Of the logistic regressions: the likeliest given labels out of fold."""
    found = problem(data, group, seed)
    rows = np.arange(len(found.given))

    def loss(candidate: float) -> float:
        P = baselines.out_of_fold(found.X, found.given, candidate)
        return float(-np.log(P[rows, found.given]).mean())

    return min(STRENGTHS, key=loss)


def loo_probabilities(data: str, group: str, seed: int) -> np.ndarray:
    """Leave-one-out outputs of the head as probabilities, (N, c)."""
    return softmax(TEMPERATURE * head(data, group, seed).loo, axis=1)


def finder(
    data: str, group: str, seed: int, score: str, threshold: str | float
) -> LabelIssueFinder:
    """The room's own class, on the same head."""
    found = problem(data, group, seed)
    loss = "squared" if score == "derivative_squared" else "mae"
    score = "derivative" if score == "derivative_squared" else score
    return LabelIssueFinder(
        score,
        threshold,
        penalty=head(data, group, seed).penalty,
        outer_loss=loss,
        outer_temperature=TEMPERATURE,
    ).fit(found.X, found.given)


def of_given(values: np.ndarray, found: Noisy) -> np.ndarray:
    """The entry of each row's given label, (N,)."""
    return values[np.arange(len(found.given)), found.given]


# --- scores: the higher, the more suspicious ------------------------------------------------------

Score = Callable[[str, str, int], np.ndarray]  # data, group, seed -> (N,)


def margin(data: str, group: str, seed: int) -> np.ndarray:
    """Of the leave-one-out outputs."""
    return finder(data, group, seed, "margin", "auto").scores_


def self_confidence(data: str, group: str, seed: int) -> np.ndarray:
    """1 − leave-one-out output of the given class."""
    found = problem(data, group, seed)
    return 1 - of_given(head(data, group, seed).loo, found)


def derivative(data: str, group: str, seed: int, loss: str) -> np.ndarray:
    """Of the leave-one-out loss."""
    return head(data, group, seed, loss).gradient


def ensemble(data: str, group: str, seed: int) -> np.ndarray:
    """Mean rank of margin, self-confidence and derivative (mae)."""
    return finder(data, group, seed, "ensemble", "auto").scores_


def cleanlab_quality(data: str, group: str, seed: int, score: str) -> np.ndarray:
    """Cleanlab's formulas, of the leave-one-out probabilities; a test compares with the package."""
    P = loo_probabilities(data, group, seed)
    found = LabelIssueFinder(score).fit(y=problem(data, group, seed).given, pred_probs=P)
    return -found.to_cleanlab()["label_quality"].to_numpy()


def in_sample(data: str, group: str, seed: int) -> np.ndarray:
    """1 − output of the given class by the head that was trained on it."""
    return 1 - of_given(head(data, group, seed).fitted, problem(data, group, seed))


def logistic_out_of_fold(data: str, group: str, seed: int, first_seed: int) -> np.ndarray:
    """1 − probability of the given class by a logistic regression in five folds."""
    found = problem(data, group, seed)
    C = strength(data, group, first_seed)
    folds = derive(seed, "folds") % 2**32
    return 1 - of_given(baselines.out_of_fold(found.X, found.given, C, random_state=folds), found)


def exact_influence(data: str, group: str, seed: int, first_seed: int) -> np.ndarray:
    """Self-influence on a logistic head."""
    found = problem(data, group, seed)
    model = baselines.fit_logistic(found.X, found.given, strength(data, group, first_seed))
    return baselines.self_influence(model, found.X, found.given)


def tracin(data: str, group: str, seed: int) -> np.ndarray:
    """Gradient norms along the descent of a logistic head."""
    found = problem(data, group, seed)
    return baselines.tracin_self(found.X, found.given)


def knn_shapley(data: str, group: str, seed: int) -> np.ndarray:
    """Ten neighbours, each sample predicted by all others."""
    found = problem(data, group, seed)
    return -baselines.knn_shapley(found.X, found.given)


def data_oob(data: str, group: str, seed: int) -> np.ndarray:
    """100 ridge heads with the head's own λ."""
    found = problem(data, group, seed)
    penalty = head(data, group, seed).penalty
    return baselines.data_oob(found.X, found.given, penalty, generator(seed, data, "bootstrap"))


def chance(data: str, group: str, seed: int) -> np.ndarray:
    """Random order."""
    return generator(seed, data, "chance").random(len(problem(data, group, seed).given))


def scores(first_seed: int) -> dict[str, Score]:
    """By name, in the order of the table."""
    return {
        "random": chance,
        "in-sample self-confidence": in_sample,
        "k-NN Shapley": knn_shapley,
        "TracIn, logistic head": tracin,
        "exact influence, logistic head": partial(exact_influence, first_seed=first_seed),
        "Data-OOB, ridge heads": data_oob,
        "logistic regression out of fold": partial(logistic_out_of_fold, first_seed=first_seed),
        "cleanlab, self-confidence": partial(cleanlab_quality, score="self_confidence"),
        "cleanlab, normalised margin": partial(cleanlab_quality, score="margin"),
        SQUARED: partial(derivative, loss="squared"),
        MAE: partial(derivative, loss="mae"),
        "derivative, cross-entropy": partial(derivative, loss="cross_entropy"),
        "LOO self-confidence": self_confidence,
        MARGIN: margin,
        "ensemble": ensemble,
    }


def score_rows(data: str, seeds: Sequence[int]) -> list[Row | Pair]:
    """AUC of each score at telling wrong labels from right ones."""

    def compute(score: Score) -> list[Record]:
        return [
            measured(AUC, group, {s: _auc(score(data, group, s), data, group, s) for s in seeds})
            for group in groups(data)
        ]

    listed = scores(seeds[0])
    found: list[Row | Pair] = [
        Row(TITLE, data, name, partial(compute, score), seeds) for name, score in listed.items()
    ]
    return [*found, *(Pair(TITLE, data, MARGIN, name) for name in listed if name != MARGIN)]


def _auc(score: np.ndarray, data: str, group: str, seed: int) -> float:
    return float(roc_auc_score(problem(data, group, seed).wrong, score))


# --- thresholds -----------------------------------------------------------------------------------

Mark = Callable[[str, str, int], np.ndarray]  # data, group, seed -> bool (N,)


def marked(data: str, group: str, seed: int, score: str, threshold: str) -> np.ndarray:
    """By the room's own class; threshold "share": the true share of wrong labels."""
    level: str | float = threshold
    if threshold == "share":
        level = float(problem(data, group, seed).wrong.mean())
    return finder(data, group, seed, score, level).marked_


def cleanlab_marks(data: str, group: str, seed: int) -> np.ndarray:
    """The filter of the package in its defaults, on the leave-one-out probabilities."""
    package = optional("cleanlab.filter", extra="bench", user="The row of cleanlab")
    found = problem(data, group, seed)
    P = loo_probabilities(data, group, seed)
    return np.asarray(package.find_label_issues(found.given, P, n_jobs=1))


def marks() -> dict[str, Mark]:
    """By name, in the order of the table."""
    return {
        f"{SQUARED}: zero (paper)": partial(marked, score="derivative_squared", threshold="zero"),
        f"{MAE}: zero": partial(marked, score="derivative", threshold="zero"),
        f"{MAE}: auto": partial(marked, score="derivative", threshold="auto"),
        f"{MARGIN}: zero": partial(marked, score="margin", threshold="zero"),
        f"{MARGIN}: auto": partial(marked, score="margin", threshold="auto"),
        "ensemble: auto": partial(marked, score="ensemble", threshold="auto"),
        "cleanlab, find_label_issues": cleanlab_marks,
        f"{MARGIN}: as many as are wrong (told)": partial(
            marked, score="margin", threshold="share"
        ),
    }


def threshold_rows(data: str, seeds: Sequence[int]) -> list[Row | Pair]:
    """F1 of the labels that are marked, and how many are marked where none is wrong."""

    def compute(mark: Mark) -> list[Record]:
        f1 = [
            measured(F1, group, {s: _f1(mark(data, group, s), data, group, s) for s in seeds})
            for group in groups(data)
        ]
        share = {s: 100 * float(mark(data, CLEAN, s).mean()) for s in seeds}
        return [*f1, measured(MARKED, CLEAN, share)]

    found: list[Row | Pair] = [
        Row(TITLE_MARKED, data, name, partial(compute, mark), seeds)
        for name, mark in marks().items()
    ]
    auto = f"{MARGIN}: auto"
    others = (f"{SQUARED}: zero (paper)", f"{MARGIN}: zero", "cleanlab, find_label_issues")
    return [*found, *(Pair(TITLE_MARKED, data, auto, other) for other in others)]


def _f1(mark: np.ndarray, data: str, group: str, seed: int) -> float:
    return float(f1_score(problem(data, group, seed).wrong, mark))


# --- acting on it ---------------------------------------------------------------------------------

Act = Callable[[str, str, int], tuple[np.ndarray, np.ndarray]]  # -> rows to keep, labels


def as_given(data: str, group: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Nothing is done."""
    found = problem(data, group, seed)
    return np.ones(len(found.given), dtype=bool), found.given


def dropped(data: str, group: str, seed: int, mark: Mark) -> tuple[np.ndarray, np.ndarray]:
    """Marked samples are left out."""
    return ~mark(data, group, seed), problem(data, group, seed).given


def relabelled(data: str, group: str, seed: int, mark: Mark) -> tuple[np.ndarray, np.ndarray]:
    """Marked samples get the label that is predicted without them."""
    found = problem(data, group, seed)
    suggested = head(data, group, seed).loo.argmax(1)
    labels = np.where(mark(data, group, seed), suggested, found.given)
    return np.ones(len(labels), dtype=bool), labels


def told_wrong(data: str, group: str, seed: int) -> np.ndarray:
    """Which labels are wrong, from the true ones."""
    return problem(data, group, seed).wrong


def true_labels(data: str, group: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """All labels put right, from the true ones."""
    found = problem(data, group, seed)
    return np.ones(len(found.true), dtype=bool), found.true


def acts() -> dict[str, Act]:
    """By name, in the order of the table."""
    known = marks()
    auto, zero = known[f"{MARGIN}: auto"], known[f"{MARGIN}: zero"]
    mae, paper = known[f"{MAE}: zero"], known[f"{SQUARED}: zero (paper)"]
    return {
        "labels as given": as_given,
        "dropped by derivative, squared: zero (paper)": partial(dropped, mark=paper),
        "dropped by derivative, mae: zero": partial(dropped, mark=mae),
        "dropped by LOO margin: zero": partial(dropped, mark=zero),
        "dropped by LOO margin: auto": partial(dropped, mark=auto),
        "dropped by cleanlab, find_label_issues": partial(dropped, mark=cleanlab_marks),
        "relabelled by LOO margin: auto": partial(relabelled, mark=auto),
        "wrong labels dropped (told)": partial(dropped, mark=told_wrong),
        "wrong labels put right (told)": true_labels,
    }


def action_rows(data: str, seeds: Sequence[int]) -> list[Row | Pair]:
    """Test error of the head after each, its λ chosen anew each time."""

    def compute(act: Act) -> list[Record]:
        return [
            measured(ERROR, group, {s: _error(act, data, group, s) for s in seeds})
            for group in groups(data)
        ]

    listed = acts()
    found: list[Row | Pair] = [
        Row(TITLE_ACTED, data, name, partial(compute, act), seeds) for name, act in listed.items()
    ]
    plain, *others = listed
    return [*found, *(Pair(TITLE_ACTED, data, other, plain) for other in others)]


def _error(act: Act, data: str, group: str, seed: int) -> float:
    found = problem(data, group, seed)
    kept, labels = act(data, group, seed)
    model = DatasetDerivative().fit(found.X[kept], labels[kept])
    return 100 * float((model.predict(found.test_X) != found.test_y).mean())


def rows(data: str, seeds: Sequence[int]) -> list[Row | Pair]:
    """The three tables of one data set."""
    return [*score_rows(data, seeds), *threshold_rows(data, seeds), *action_rows(data, seeds)]
