"""The demo: which of these digits have a wrong label, and does it help to drop them?

1,797 handwritten digits come with scikit-learn, with right labels.  We break a fifth of the labels
to learn from on purpose, so that it is known which ones are wrong, and look whether they are found
and what dropping or changing them does to the digits that were held back.  Then the same with
nothing broken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.compare import Candidate, Comparison, Outcome, compare
from makedo.core.progress import logger
from makedo.core.seeds import generator
from makedo.data import catalog
from makedo.methods.diva.estimator import DatasetDerivative
from makedo.methods.diva.issues import LabelIssueFinder

if TYPE_CHECKING:
    from makedo.report import Report, Section

BROKEN = 0.2  # share of the training labels
N_TRAIN, N_FEATURES, GAMMA = 1200, 400, 0.5
SEEDS = range(8)
BROKEN_GROUP, CLEAN_GROUP = "a fifth broken", "nothing broken"
GIVEN, DROPPED, CHANGED, ORACLE = (
    "labels as given", "marked labels dropped", "marked labels changed", "broken labels left out",
)  # fmt: skip


@dataclass(frozen=True)
class Digits:
    """Digits to learn from, some with a label that we broke, and others to test on."""

    X: np.ndarray  # random Fourier features
    y: np.ndarray
    broken: np.ndarray  # which labels are wrong
    pictures: np.ndarray  # (n, 8, 8)
    X_test: np.ndarray
    y_test: np.ndarray


def run(out: Path, quiet: bool = False) -> Path:
    """Break labels, find them, drop them, compare; return the report's path."""
    out.mkdir(parents=True, exist_ok=True)
    say: Callable[..., Any] = (lambda *_: None) if quiet else logger.info
    digits = problem(BROKEN, 0)
    say("Digits: %d to learn from; we broke %d labels", len(digits.y), digits.broken.sum())
    finder = LabelIssueFinder().fit(digits.X, digits.y)
    finder.issues_.assign(broken_by_us=digits.broken).sort_values("rank").to_csv(
        out / "issues.csv", index_label="digit"
    )
    say("%s", finder.verdict_)
    model = DatasetDerivative().fit(digits.X, digits.y)
    model.save(out / "model")
    scores = comparison()
    for group in (BROKEN_GROUP, CLEAN_GROUP):
        say("%s: %s", group, scores.paired(DROPPED, GIVEN, group))
    say("Measuring inside the data, as for data whose right labels nobody knows")
    report = page(model, digits, finder, scores)
    report.to_html(out / "diva.html")
    return out / "diva.html"


def problem(broken: float, seed: int) -> Digits:
    """Random training digits with a share of wrong labels; the features are drawn anew, too."""
    data, rng = catalog.load("digits"), generator(seed, "digits")
    order = rng.permutation(len(data.y))
    train, test = order[:N_TRAIN], order[N_TRAIN:]
    X = fourier_features(data.X / 16, rng)
    y = data.y[train].copy()
    wrong = np.zeros(len(y), dtype=bool)
    wrong[rng.permutation(len(y))[: round(broken * len(y))]] = True
    y[wrong] = (y[wrong] + rng.integers(1, 10, wrong.sum())) % 10  # any other digit
    pictures = data.X[train].reshape(-1, 8, 8)
    return Digits(X[train], y, wrong, pictures, X[test], data.y[test])


def fourier_features(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random Fourier features of the kernel exp(−γ‖x − x′‖²) (Rahimi and Recht, 2007)."""
    W = rng.normal(scale=np.sqrt(2 * GAMMA), size=(X.shape[1], N_FEATURES))
    shift = rng.uniform(0, 2 * np.pi, N_FEATURES)
    return np.sqrt(2 / N_FEATURES) * np.cos(X @ W + shift)


def training_set(way: str, digits: Digits) -> tuple[np.ndarray, np.ndarray]:
    """What is learnt from."""
    if way == GIVEN:
        return digits.X, digits.y
    if way == ORACLE:
        return digits.X[~digits.broken], digits.y[~digits.broken]
    issues = LabelIssueFinder().fit(digits.X, digits.y).issues_
    marked = issues["is_issue"].to_numpy()
    if way == CHANGED:
        return digits.X, np.where(marked, issues["suggested"], digits.y)
    return digits.X[~marked], digits.y[~marked]


def comparison() -> Comparison:
    """Accuracy on right labels after each way, over seeds; the penalty is tuned for every one."""

    def accuracy(way: str, seed: int) -> Outcome:
        groups, sizes = {}, {}
        for group, share in ((BROKEN_GROUP, BROKEN), (CLEAN_GROUP, 0.0)):
            digits = problem(share, seed)
            model = DatasetDerivative().fit(*training_set(way, digits))
            groups[group] = model.score(digits.X_test, digits.y_test)
            sizes[group] = len(digits.y_test)
        return Outcome(np.nan, groups, sizes)

    ways = [
        Candidate(way, lambda random_state, way=way: way)
        for way in (GIVEN, CHANGED, DROPPED, ORACLE)
    ]
    return compare(ways, accuracy, seeds=SEEDS, reference=GIVEN, ours=DROPPED)


# --- the page -------------------------------------------------------------------------------------


def page(
    model: DatasetDerivative, digits: Digits, finder: LabelIssueFinder, scores: Comparison
) -> Report:
    """The report of the model, with what is known because we broke the labels."""
    from sklearn.metrics import roc_auc_score

    from makedo.methods.diva.page import report

    found = report(model, show_rows=True, images=pd.Series(list(digits.pictures * (255 / 16))))
    broken, clean = (scores.paired(DROPPED, GIVEN, g) for g in (BROKEN_GROUP, CLEAN_GROUP))
    marked = finder.issues_["is_issue"].to_numpy()
    hits = int((marked & digits.broken).sum())
    inside = found.verdict
    found.title = "DIVA demo: which digits have a wrong label, and does it help to drop them?"
    found.verdict = (
        f"Of {digits.broken.sum()} labels that we broke the margin marks {hits} (and "
        f"{(marked & ~digits.broken).sum()} right ones); {_in_words(broken)}."
    )
    found.summary = [
        "The labels of these digits are right; we broke a fifth of those to learn from, so that it "
        "is known which ones are wrong. The digits to test on keep their right labels.",
        f"With nothing broken {_in_words(clean)}: where no label is wrong, dropping rows can only "
        "lose some.",
        f"What can be said without knowing the right labels: {inside}",
    ]
    found.command = "makedo demo diva"
    auc = {
        "margin": roc_auc_score(digits.broken, finder.scores_),
        "derivative": roc_auc_score(digits.broken, model.gradient_),
    }
    found.sections[:0] = sections(scores, auc)
    return found


def _in_words(difference: Any) -> str:
    verb = {1: "dropping what it marks helps", -1: "dropping what it marks harms"}.get(
        difference.clear, "dropping what it marks makes no clear difference"
    )
    gain = difference.metric.amount(difference.gain, sign=True)
    return f"{verb} ({gain} on other digits, {difference.evidence})"


def sections(scores: Comparison, auc: dict[str, float]) -> list[Section]:
    """Accuracy after each way, and how well the broken labels are ranked."""
    from makedo.report import Section, figures

    table = scores.table()
    return [
        Section(
            "What is known here: does dropping help?",
            figure=figures.comparison(
                table, label="accuracy, %", ours=DROPPED, reference=GIVEN, digits=1
            ),
            caption="Accuracy on digits that were held back, by their right labels, over "
            f"{len(SEEDS)} draws of digits, features and broken labels, with 95 % intervals. The "
            "penalty is tuned for every way. Nobody could leave out exactly the broken labels, as "
            "the last way does.",
            table=table.drop(columns=["size", "note"]),
        ),
        Section(
            "What is known here: which score finds the broken labels?",
            table=pd.DataFrame(
                {"score": list(auc), "area under the ROC curve": list(auc.values())}
            ),
            formats={"area under the ROC curve": ".3f"},
            table_caption="On the first draw: how often a broken label is more suspicious than a "
            "right one.",
        ),
    ]
