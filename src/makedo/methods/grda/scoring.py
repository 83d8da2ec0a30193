"""How good a fitted model is on labelled rows, candidate by candidate, hop by hop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError
from makedo.core.compare import Comparison, compare_rows
from makedo.methods.grda.candidates import LINEAR

if TYPE_CHECKING:
    from makedo.methods.grda.estimator import GRDA

SERVED = "served"  # the whole model: whichever candidate was chosen
MOST_HOPS = 3  # more are one group


def credits(
    model: GRDA, X: Any, y: Any, domain: Any
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Score of each row by candidate (the served one last), its domain, its hops to a source."""
    answers, owner = model._answers(X, domain), type(model).__name__
    truth = model._task.match(owner, y, len(answers.flat))
    scores = {name: model._task.credit(answers.of(name), truth) for name in answers.names}
    scores[SERVED] = model._task.credit(answers.served, truth)
    if np.isnan(scores[SERVED]).all():
        raise MakedoInputError(f"{owner}: no row has a label to compare with.")
    hops = model.graph_.hops(model.sources_)[answers.domain]
    return scores, answers.domain, hops


def hop_groups(hops: np.ndarray) -> dict[str, np.ndarray]:
    """Targets, sources, and targets by their distance: only groups that have rows."""
    groups = {"targets": hops != 0}
    for hop in range(1, MOST_HOPS):
        groups[f"{hop} hop{'s' if hop > 1 else ''}"] = hops == hop
    groups[f"{MOST_HOPS} hops or more"] = hops >= MOST_HOPS
    groups |= {"no path": hops < 0, "sources": hops == 0}
    return {name: rows for name, rows in groups.items() if rows.any()}


def compared(
    model: GRDA, scores: dict[str, np.ndarray], hops: np.ndarray, ours: str = SERVED
) -> Comparison:
    """All candidates, in all groups."""
    return compare_rows(
        scores, reference=LINEAR, ours=ours, groups=hop_groups(hops), metric=model._task.metric
    )


def evaluate(model: GRDA, X: Any, y: Any, domain: Any) -> pd.DataFrame:
    """See :meth:`GRDA.evaluate`."""
    scores, _, hops = credits(model, X, y, domain)
    table = compared(model, scores, hops).table()
    table = table.reindex(columns=["candidate", "group", "mean", "low", "high", "n"])
    if model._is_regressor and model.one_output_:  # type: ignore[attr-defined]
        table.insert(5, "rmse", np.sqrt(table["mean"]) * model.y_scale_[0])  # type: ignore
    return table


def by_domain(model: GRDA, scores: dict[str, np.ndarray], domain: np.ndarray) -> pd.DataFrame:
    """One line a domain: its name, its hops, rows with a label, the score of each candidate."""
    grouped: Any = pd.DataFrame(scores).groupby(domain)
    frame = grouped.mean() * model._task.metric.scale
    labelled: Any = pd.Series(~np.isnan(scores[SERVED])).groupby(domain).sum()
    hops = model.graph_.hops(model.sources_)[frame.index.to_numpy()]
    frame.insert(0, "domain", [str(name) for name in model.graph_.names[frame.index]])
    frame.insert(1, "hops", hops)
    frame.insert(2, "rows", labelled.to_numpy())
    return frame.reset_index(drop=True)
