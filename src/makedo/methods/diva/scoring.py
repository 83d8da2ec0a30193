"""How good a fitted head is on labelled rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, count
from makedo.core.compare import compare_rows
from makedo.core.labels import match_labels
from makedo.core.paired import ACCURACY, Metric
from makedo.methods.diva.targets import in_order

if TYPE_CHECKING:
    from makedo.methods.diva.estimator import DatasetDerivative

METRICS = {
    "classes": ACCURACY,
    "soft": ACCURACY,  # of the likeliest class
    "multilabel": Metric("right labels", unit="points", scale=100.0, decimals=1),
    "values": Metric("R²", decimals=3),
}


def evaluate(model: DatasetDerivative, X: Any, y: Any) -> pd.DataFrame:
    """Metric of the head and of a constant, with 95 % intervals."""
    scores = model.decision_function(X)
    truth = _truth(model, y, len(scores))
    constant = np.broadcast_to(_constant(model), scores.shape)
    credits = {
        "constant": credit(model.kind_, constant, truth),
        "ridge head": credit(model.kind_, scores, truth),
    }
    table = compare_rows(
        credits, reference="constant", ours="ridge head", metric=METRICS[model.kind_]
    ).table()
    return table.reindex(columns=["candidate", "group", "mean", "low", "high", "n"])


def score(model: DatasetDerivative, X: Any, y: Any) -> float:
    """The mean credit of labelled rows: accuracy, share of right labels, or R²."""
    scores = model.decision_function(X)
    return float(np.nanmean(credit(model.kind_, scores, _truth(model, y, len(scores)))))


def _truth(model: DatasetDerivative, y: Any, n_rows: int) -> np.ndarray:
    """Targets (n, c), all NaN where a row is unlabelled, or names no class of the model (−∞)."""
    owner = type(model).__name__
    if model.kind_ == "classes":
        codes = match_labels(owner, y, model.classes_, n_rows)
        truth = np.eye(len(model.classes_))[codes]
        truth[codes == -1], truth[codes == -2] = np.nan, -np.inf
    else:
        truth = _numbers(owner, in_order(owner, y, model.output_names_))
        wanted = (n_rows, len(model.output_names_))
        if truth.shape != wanted:
            raise MakedoInputError(
                f"{owner}: y must have {count(wanted[0], 'row')} and {count(wanted[1], 'column')}. "
                f"Got shape {truth.shape}."
            )
        truth[np.isnan(truth).any(1)] = np.nan
    if np.isnan(truth).all():
        raise MakedoInputError(f"{owner}: no row has a label to compare with.")
    return truth


def _numbers(owner: str, y: Any) -> np.ndarray:
    try:
        numbers = np.array(y.detach().cpu() if hasattr(y, "detach") else y, dtype=float)
    except (TypeError, ValueError) as error:
        raise MakedoInputError(f"{owner}: y holds labels that are not numbers.") from error
    return numbers[:, None] if numbers.ndim == 1 else numbers


def _constant(model: DatasetDerivative) -> np.ndarray:
    """What a model without features says: the share of each class, or the mean, (c,)."""
    if model.kind_ == "classes":
        return np.bincount(model.y_, minlength=len(model.classes_)) / len(model.y_)
    return model.y_.mean(0)


def credit(kind: str, scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """1 right, 0 wrong (numbers: 1 − squared error / variance), NaN unlabelled, (n,)."""
    unlabelled = np.isnan(truth).any(1)
    if kind in ("classes", "soft"):
        right = scores.argmax(1) == truth.argmax(1)
        return np.where(unlabelled, np.nan, right & np.isfinite(truth[:, 0]))
    if kind == "multilabel":
        return np.where(unlabelled, np.nan, ((scores > 0.5) == (truth > 0.5)).mean(1))
    spread = np.nanvar(truth, axis=0)
    varied = spread > 0  # a column of one number says nothing of a model
    if not varied.any():
        return np.full(len(truth), np.nan)
    return (1 - (scores - truth)[:, varied] ** 2 / spread[varied]).mean(1)
