"""What can be measured on a user's data about the values: can they be trusted, is acting worth it?

Four questions, each answered on rows that the answer was not made from:

* Is the linear head good enough?  If other models are much better, the values describe the wrong
  one.  (:func:`compare_heads`)
* Which score finds wrong labels?  We break some ourselves and look.  (:func:`find_broken`)
* Which score says what a sample does to the others?  We remove some, exactly.
  (:func:`agree_with_removal`)
* Does acting help?  Drop what a score marks, or reweight, on parts of the rows, and test on the
  others; λ is tuned anew for every arm.  (:func:`try_acting`)
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoWarning
from makedo.core.compare import Comparison, compare_rows
from makedo.core.paired import Difference, paired_rows, t_interval
from makedo.core.seeds import generator
from makedo.methods.diva.estimator import DatasetDerivative
from makedo.methods.diva.issues import LabelIssueFinder
from makedo.methods.diva.study import Samples, Split, Study, narrowed
from makedo.methods.diva.weights import descend

HEAD, CONSTANT = "linear head", "constant"
GIVEN = "as given"
ARMS = ("drop by margin", "drop by derivative", "reweight")  # the first decides
STEP = 0.1  # of the weights: the first is the only one that no overfitting of the weights spoils
FOLDS, FEWEST_FOLDS = 10, 3
RIVAL_FOLDS = 3
DRAWS = 8  # times that labels are broken
BROKEN = 0.1  # share of labels that we break
REMOVED = 300  # samples that are removed, one at a time
SECONDS = 20.0  # no further fold is begun after so long
TREE_COLUMNS = 64  # boosted trees see that many columns; of more, principal directions
MOST_TREE_CLASSES = 12
TREES = {"max_iter": 30, "max_leaf_nodes": 15, "early_stopping": False, "random_state": 0}


@dataclass(frozen=True)
class Evidence:
    """What was measured.

    Parameters
    ----------
    heads : Comparison
        The linear head beside a constant, nearest neighbours and boosted trees, by row.
    wrong : float
        Share of labels that look wrong.
    found : DataFrame
        A row for each time that labels were broken: the area under the ROC curve of each score.
    removal : dict of str to float
        Rank correlation of each score with the exact effect of removing a sample.
    acting : list of Difference
        What each way of acting gains over doing nothing, by fold.
    dropped : float
        Mean share of the rows that were dropped.
    scaling : Difference or None
        What standardised columns gain over one scale for all, by row; None where all have one
        spread, or the user chose.
    """

    heads: Comparison
    wrong: float
    found: pd.DataFrame
    removal: dict[str, float]
    acting: list[Difference]
    dropped: float
    scaling: Difference | None = None

    @property
    def gap(self) -> Difference:
        """What the best other model gains over the linear head."""
        others = [name for name in self.heads.candidates if name not in (HEAD, CONSTANT)]
        gaps = [self.heads.paired(name, HEAD) for name in others]
        return max(gaps, key=lambda gap: gap.gain)

    @property
    def finder(self) -> str:
        """The score to find wrong labels by: the margin, or the derivative if clearly better."""
        names = list(self.found)
        interval = t_interval((self.found[names[1]] - self.found[names[0]]).to_numpy(float))
        return names[1] if interval is not None and interval[0] > 0 else names[0]

    @property
    def act(self) -> Difference:
        """The way of acting that decides; it was chosen before anything was measured."""
        return self.acting[0]


def gather(study: Study, random_state: int = 0) -> Evidence:
    """Measure everything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MakedoWarning)  # of folds and of labels that we broke
        whole = study.fit(study.train, study.trusted)
        acting, dropped = try_acting(study, generator(random_state, "acting"))
        return Evidence(
            heads=compare_heads(study, generator(random_state, "heads")),
            wrong=float(marked(study, whole, study.train).mean()),
            found=find_broken(study, generator(random_state, "broken")),
            removal=agree_with_removal(study, whole, generator(random_state, "removal")),
            acting=acting,
            dropped=dropped,
            scaling=compare_scaling(study, whole),
        )


# --- scores of samples ----------------------------------------------------------------------------


def label_scores(study: Study, model: DatasetDerivative, samples: Samples) -> LabelIssueFinder:
    """The leave-one-out margins of a fitted head (residuals, for numbers)."""
    finder = LabelIssueFinder(targets=study.kind)
    return finder.fit(y=study.labels(samples.Y), pred_probs=model.loo_predictions_)


def doubt(study: Study, model: DatasetDerivative, samples: Samples) -> np.ndarray:
    """How suspicious each row is, by its margin, (n,); of several labels the most suspicious."""
    scores = label_scores(study, model, samples).scores_
    return scores if scores.ndim == 1 else scores.max(1)


def marked(study: Study, model: DatasetDerivative, samples: Samples) -> np.ndarray:
    """The rows that the finder marks, (n,)."""
    found = np.asarray(label_scores(study, model, samples).marked_)
    return found if found.ndim == 1 else np.any(found, axis=1)


def margin_name(kind: str) -> str:
    """What the score of labels is called."""
    return "residual" if kind == "values" else "margin"


# --- is the head good enough? ---------------------------------------------------------------------


def compare_heads(study: Study, rng: np.random.Generator) -> Comparison:
    """The credit of each row by models that did not see it."""
    names = [CONSTANT, "kNN", "boosting", HEAD]
    credits: dict[str, list[np.ndarray]] = {name: [] for name in names}
    fits: dict[str, Callable[[Split], np.ndarray]] = {
        CONSTANT: lambda s: np.tile(s.train.Y.mean(0), (len(s.held), 1)),
        "kNN": lambda s: _neighbors(study, s),
        "boosting": lambda s: _trees(study, s),
        HEAD: lambda s: study.outputs(study.fit(s.train), s.held),
    }
    if study.kind in ("classes", "soft") and study.train.Y.shape[1] > MOST_TREE_CLASSES:
        del credits["boosting"]  # a tree a class and step takes minutes
    whole = [Split(study.train, None, study.tested)]  # trusted rows, or others: all at once
    inside = study.tested is study.train
    for split in study.splits(RIVAL_FOLDS, rng) if inside else whole:
        for name in credits:
            credits[name].append(study.credit(fits[name](split), split.held.Y))
    rows = {name: np.concatenate(parts) for name, parts in credits.items()}
    return compare_rows(rows, reference=CONSTANT, ours=HEAD, metric=study.metric)


def _neighbors(study: Study, split: Split) -> np.ndarray:
    from sklearn.neighbors import KNeighborsRegressor

    model = KNeighborsRegressor(n_neighbors=min(10, len(split.train)))  # shares of classes, too
    return (
        model.fit(split.train.Z, split.train.Y).predict(split.held.Z).reshape(len(split.held), -1)
    )


def _trees(study: Study, split: Split) -> np.ndarray:
    """One boosted ensemble for classes, one for each other output."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    train, held = narrowed(TREE_COLUMNS, split.train, split.held)
    Z = train.Z
    if study.kind in ("classes", "soft"):
        if np.ptp(split.train.Y.argmax(1)) == 0:  # of shares one may be the largest everywhere
            return np.tile(split.train.Y.mean(0), (len(held), 1))
        model: Any = HistGradientBoostingClassifier(**TREES)
        model.fit(Z, split.train.Y.argmax(1))
        said = np.full(split.held.Y.shape, 0.0)
        said[:, model.classes_] = model.predict_proba(held.Z)
        return said
    ensembles = [HistGradientBoostingRegressor(**TREES).fit(Z, y) for y in split.train.Y.T[:5]]
    said = [ensemble.predict(held.Z) for ensemble in ensembles]
    rest = [np.full(len(held), y.mean()) for y in split.train.Y.T[5:]]
    return np.column_stack(said + rest)


def compare_scaling(study: Study, whole: DatasetDerivative) -> Difference | None:
    """Would a standard deviation for each column be better than one scale for all?"""
    spread = study.train.Z.std(0)
    spread = spread[spread > 0]
    if study.model.scale != "rms" or study.narrow or np.ptp(np.log(spread)) < 1:
        return None
    own = np.where(study.train.Z.std(0) > 0, study.train.Z.std(0), 1.0)
    standard = study.fit(replace(study.train, Z=study.train.Z / own))
    names = ("standardised columns", "one scale for all columns")
    credits = [study.credit(m.loo_predictions_, study.train.Y) for m in (standard, whole)]
    return paired_rows(*credits, names=names, metric=study.metric)


# --- which score tells? ---------------------------------------------------------------------------


def find_broken(study: Study, rng: np.random.Generator) -> pd.DataFrame:
    """How well each score ranks labels that we broke above the others: area under the ROC curve."""
    from sklearn.metrics import roc_auc_score

    rows = []
    for _ in range(DRAWS):
        broken = np.zeros(len(study.train), dtype=bool)
        broken[rng.permutation(len(broken))[: max(2, round(BROKEN * len(broken)))]] = True
        samples = Samples(
            study.train.Z,
            with_broken(study.kind, study.train.Y, broken, rng),
            study.train.alpha,
            study.train.group,
        )
        model = study.fit(samples, study.trusted)
        rows.append(
            {
                margin_name(study.kind): roc_auc_score(broken, doubt(study, model, samples)),
                "derivative": roc_auc_score(broken, model.gradient_),
            }
        )
    return pd.DataFrame(rows)


def with_broken(
    kind: str, Y: np.ndarray, broken: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Targets with wrong ones in the marked rows.

    Classes: another class, each alike.  Several labels: one of them turned.  Else the targets of
    these rows change places.
    """
    wrong = Y.copy()
    rows = np.flatnonzero(broken)
    if kind == "classes":
        c = Y.shape[1]
        wrong[rows] = np.eye(c)[(Y[rows].argmax(1) + rng.integers(1, c, len(rows))) % c]
    elif kind == "multilabel":
        column = rng.integers(0, Y.shape[1], len(rows))
        wrong[rows, column] = 1 - wrong[rows, column]
    else:
        ring = rng.permutation(rows)
        wrong[ring] = Y[np.roll(ring, 1)]
    return wrong


def agree_with_removal(
    study: Study, model: DatasetDerivative, rng: np.random.Generator
) -> dict[str, float]:
    """Rank correlation of each score with what removing a sample does to the loss, exactly."""
    from scipy.stats import spearmanr

    rows = np.sort(rng.permutation(len(study.train))[:REMOVED])
    harm = -model.effect("remove", rows)  # the loss falls when a harmful sample goes
    scores = {
        margin_name(study.kind): doubt(study, model, study.train)[rows],
        "derivative": model.gradient_[rows],
    }
    return {name: float(spearmanr(score, harm)[0]) for name, score in scores.items()}  # pyright: ignore[reportArgumentType]


# --- does acting help? ----------------------------------------------------------------------------


def try_acting(study: Study, rng: np.random.Generator) -> tuple[list[Difference], float]:
    """What each way of acting gains over doing nothing; and the share of rows that was dropped."""
    started = time.perf_counter()
    names = (GIVEN, *arms(study))
    credits: dict[str, list[np.ndarray]] = {name: [] for name in names}  # a part of the rows each
    shares = []
    for split in study.splits(min(FOLDS, max(2, len(study.tested) // 4)), rng):
        base = study.fit(split.train, split.guide)
        n_marked = int(marked(study, base, split.train).sum())
        shares.append(n_marked / len(split.train))
        for name in names:
            changed = _acted(study, name, base, split, n_marked)
            model = base if changed is None else study.fit(changed)
            credits[name].append(study.credit(study.outputs(model, split.held), split.held.Y))
        if len(shares) >= FEWEST_FOLDS and time.perf_counter() - started > SECONDS:
            break
    gains = [gain(study, name, credits[name], credits[GIVEN]) for name in names[1:]]
    return gains, float(np.mean(shares))


def arms(study: Study) -> tuple[str, ...]:
    """The ways of acting; the first decides."""
    margin, *others = ARMS
    return (margin.replace("margin", margin_name(study.kind)), *others)


def _acted(
    study: Study, name: str, base: DatasetDerivative, split: Split, n_marked: int
) -> Samples | None:
    """Training rows after acting; None where nothing changes."""
    if name == GIVEN or (name.startswith("drop") and n_marked == 0):
        return None
    if name == "reweight":
        every = np.arange(len(split.train))
        return split.train.weighted(descend(split.train.alpha, base.gradient_, STEP, [every]))
    by_derivative = name == "drop by derivative"
    score = base.gradient_ if by_derivative else doubt(study, base, split.train)
    kept = np.sort(np.argsort(-score, kind="stable")[n_marked:])
    left = split.train.take(kept)
    return left if (left.Y != left.Y[0]).any() else None  # one class would be left


def gain(
    study: Study, name: str, ours: list[np.ndarray], reference: list[np.ndarray]
) -> Difference:
    """Over doing nothing: by fold, with Student's t; by row where there is one part."""
    metric = study.metric
    if len(ours) == 1:
        return paired_rows(*ours, *reference, names=(name, GIVEN), group=name, metric=metric)
    gains = [
        metric.scale * float(a.mean() - b.mean()) for a, b in zip(ours, reference, strict=True)
    ]
    return Difference(
        ours=name,
        reference=GIVEN,
        group=name,
        gain=float(np.mean(gains)),
        interval=t_interval(np.array(gains)),
        n=len(gains),
        over="fold",
        values=dict(enumerate(gains)),
        metric=metric,
    )
