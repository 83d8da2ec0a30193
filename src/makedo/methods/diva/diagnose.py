"""Does DIVA apply?  Measured inside the data: on folds, or on a trusted validation set."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from makedo.core.checks import count
from makedo.core.diagnosis import Diagnosis
from makedo.core.seeds import generator
from makedo.data.streams import drop_columns, open_rows, take_column
from makedo.methods.diva.evidence import CONSTANT, HEAD, Evidence, gather
from makedo.methods.diva.study import Study, read_study

if TYPE_CHECKING:
    from makedo.methods.diva.estimator import DatasetDerivative

FEWEST = 40  # labelled rows, below which nothing can be measured
LITTLE = 0.01  # of accuracy or R², not worth acting
MUCH = 0.05  # by which another model may be better before the values describe the wrong one
FEW_WRONG = 0.02  # share of labels that look wrong, below which none need be looked for
COMMAND = "makedo diva issues --rows ROWS --label LABEL --out issues.csv"


def diagnose(
    model: DatasetDerivative,
    X: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    groups: Any = None,
) -> Diagnosis:
    """Compare heads, break labels, drop what looks wrong, and see what that does to other rows.

    The gain is that of dropping the rows that the margin marks, over using all, with λ tuned anew
    for both; on trusted validation rows where there are any, else on held-back folds by their
    labels as given.  Rows without a label do not count.  Of more than 3,000 rows a sample is looked
    at; of more than 400 features the first 400 principal directions.
    """
    started = time.perf_counter()
    X, y, sides, figures = labelled_rows(X, y, {"sample_weight": sample_weight, "groups": groups})

    def answer(verdict: str, advice: str, **more: Any) -> Diagnosis:
        seconds = time.perf_counter() - started
        return Diagnosis(verdict, figures=figures, advice=advice, seconds=seconds, **more)

    n_labelled = figures["rows with a label"]
    if n_labelled < FEWEST:
        few = count(n_labelled, "labelled row")
        verb = "is" if n_labelled == 1 else "are"
        return answer(
            "cannot tell", f"{few} {verb} too few to measure with; label at least {FEWEST}."
        )
    fresh: Any = clone(model)
    rng = generator(0, "diagnose")
    study = read_study(fresh, X, y, X_val=X_val, y_val=y_val, rng=rng, **sides)
    if len(study.train) < FEWEST:
        return answer("cannot tell", "Nearly every row has a class of its own. Merge classes.")
    if study.kind == "classes" and study.train.Y.any(0).sum() < 2:
        return answer("cannot tell", "Only one class has more than one row. Add rows of others.")
    found = gather(study)
    figures |= measured_figures(study, found)
    verdict, advice = judge(study, found)
    return answer(
        verdict,
        advice + scaling_hint(found),
        expected_gain=found.act.gain,
        interval=found.act.interval,
        unit=f"{unit(study)} on {study.where}, by dropping what looks wrong",
        command=COMMAND if verdict in ("applies", "may help") else "",
    )


def labelled_rows(X: Any, y: Any, sides: dict[str, Any]) -> tuple[Any, Any, dict[str, Any], dict]:
    """The rows that have a label, with what comes one a row; and how many there are."""
    if isinstance(y, str):
        X = open_rows(X)
        X, y = drop_columns(X, [y]), take_column(X, y, "y")
    frame = pd.DataFrame(y.detach().cpu().numpy() if hasattr(y, "detach") else y)
    missing = frame.isna().any(axis=1).to_numpy(dtype=bool)
    figures = {"rows with a label": int((~missing).sum())}
    if not missing.any() or len(missing) != (X.shape[0] if hasattr(X, "shape") else len(X)):
        return X, y, sides, figures  # of another length: fit says so
    figures["rows without a label"] = int(missing.sum())
    there = np.flatnonzero(~missing)
    labels = frame.iloc[there].infer_objects()
    cut = {
        k: v if v is None or isinstance(v, str) else np.asarray(v)[there] for k, v in sides.items()
    }
    rows = (
        X.iloc[there]
        if isinstance(X, pd.DataFrame)
        else (np.asarray(X) if isinstance(X, list) else X)[there]
    )
    return rows, labels[labels.columns[0]] if labels.shape[1] == 1 else labels, cut, figures


# --- from figures to a verdict --------------------------------------------------------------------


def measured_figures(study: Study, found: Evidence) -> dict[str, Any]:
    """The figures that the verdict rests on."""
    metric = study.metric
    figures: dict[str, Any] = {
        "rows looked at": len(study.train),
        "features looked at": study.train.Z.shape[1],
    }
    if study.trusted is not None:
        figures["trusted rows"] = len(study.trusted)
    for line in found.heads.table().to_dict("records"):
        figures[f"{study.label}: {line['candidate']}"] = float(line["mean"])
    figures["labels that look wrong, %"] = 100 * found.wrong
    for name in found.found:
        mean = float(found.found[name].to_numpy(float).mean())
        figures[f"broken labels found by {name}, area under ROC"] = mean
    for name, value in found.removal.items():
        figures[f"{name} against exact removal, rank correlation"] = value
    for one in found.acting:
        low, high = one.interval or (np.nan, np.nan)
        words = f"{metric.show(one.gain, sign=True)} ({metric.show(low)} to {metric.show(high)})"
        figures[f"gain, {one.ours}"] = words
    return figures


def judge(study: Study, found: Evidence) -> tuple[str, str]:
    """The verdict and what to do."""
    metric, head = study.metric, found.heads.paired(HEAD, CONSTANT)
    if head.clear <= 0:
        return "does not apply", (
            "On these features a linear head is no better than a constant, so its values say "
            "nothing of the labels."
        )
    if found.gap.clear > 0 and found.gap.gain >= MUCH * metric.scale:
        return "does not apply", (
            f"On these features {found.gap.ours} beats a linear head by "
            f"{metric.amount(found.gap.gain)}: the values describe the wrong model. Give "
            "features on which a linear model does well, such as embeddings or random Fourier "
            "features."
        )
    act = found.act
    if act.clear > 0:
        return "applies", f"{trust(study, found)} {acting_in_words(study, found)}"
    most = np.inf if act.interval is None else act.interval[1]
    others = [one for one in found.acting[1:] if one.clear > 0]
    if most < LITTLE * metric.scale and found.wrong < FEW_WRONG and not others:
        return "does not apply", f"{acting_in_words(study, found)} {trust(study, found)}"
    also = f" {capital(others[0].words)}." if others else ""
    return "may help", f"{trust(study, found)} {acting_in_words(study, found)}{also}"


def scaling_hint(found: Evidence) -> str:
    """What to set where columns of different units should be standardised; else nothing."""
    if found.scaling is None or found.scaling.clear <= 0:
        return ""
    return (
        f" First set scale=standardize: {found.scaling.words}, each row predicted without itself."
    )


def trust(study: Study, found: Evidence) -> str:
    """Which score to trust for what, and why."""
    means = found.found.mean()
    best = found.finder
    other = next(name for name in means.index if name != best)
    return (
        f"To find wrong labels trust the {best}: of labels that we broke it ranks "
        f"{100 * means[best]:.1f} % above a right one (the {other} {100 * means[other]:.1f} %). "
        "To see who helps or harms others take the derivative (rank correlation with exact removal "
        f"{found.removal['derivative']:.2f})."
    )


def acting_in_words(study: Study, found: Evidence) -> str:
    """What dropping the marked rows does, and how sure that is."""
    act, metric = found.act, study.metric
    if found.dropped == 0:
        return "No label stands out as wrong: there is nothing to drop."
    what = f"dropping the {100 * found.dropped:.1f} % that the {act.ours.split()[-1]} marks"
    gain = f"{metric.amount(act.gain, sign=True)} on {study.where}, {act.evidence}"
    if act.clear > 0:
        return f"{capital(what)} helps ({gain})."
    if act.clear < 0:
        return f"{capital(what)} harms ({gain}): look at these rows, and keep them."
    return f"{capital(what)} makes no clear difference ({gain})."


def unit(study: Study) -> str:
    """``"points of accuracy"``, or ``"R²"``."""
    metric = study.metric
    return f"{metric.unit} of {metric.name}" if metric.unit else metric.name


def capital(text: str) -> str:
    """Its first letter a capital, the others as they are."""
    return text[:1].upper() + text[1:]
