"""How right a fitted model is on given labelled nodes, part by part."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from makedo.core.checks import MakedoInputError, MakedoWarning, count
from makedo.core.compare import compare_rows
from makedo.core.labels import match_labels
from makedo.data.nodes import find_nodes

if TYPE_CHECKING:
    import pandas as pd

    from makedo.methods.cold_brew.estimator import ColdBrewClassifier

ROUTED = "Cold Brew"  # the whole model: whatever serves each node


def right_by_part(
    model: ColdBrewClassifier,
    X: Any,
    y: Any,
    *,
    nodes: Any = None,
    edges: Any = None,
    node_id: Any = None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Whether each part of the model is right on each node, and the degree of the node.

    Returns
    -------
    right : dict of str to float ndarray (n_rows,)
        1 right, 0 wrong, NaN unlabelled.  Parts for nodes without edges come first, the routed
        model last.
    degree : int64 ndarray (n_rows,)
    """
    answer = model._answer(X, nodes, edges, node_id)
    codes = match_labels(type(model).__name__, y, model.classes_, len(answer.proba))
    if not (codes != -1).any():
        raise MakedoInputError(f"{type(model).__name__}: no row has a label to compare with.")

    if nodes is not None:
        rows = find_nodes(type(model).__name__, model.node_id_, answer.ids)
        n_learnt, n_labelled = int(np.isin(rows, model.train_).sum()), int((codes != -1).sum())
        if n_learnt:
            warnings.warn(
                f"{type(model).__name__}: the labels of {count(n_learnt)} of {count(n_labelled)} "
                "labelled nodes were learnt in fit, so these figures flatter the model. Give nodes "
                "that fit did not learn from.",
                MakedoWarning,
                stacklevel=3,
            )

    def right(proba: np.ndarray) -> np.ndarray:
        return np.where(codes == -1, np.nan, proba.argmax(1) == codes)

    parts = {part: right(model._cold(answer.scaled, part)) for part in model.part_scores_}
    if answer.teacher is not None:
        parts["teacher"] = right(answer.teacher)
    return parts | {ROUTED: right(answer.proba)}, answer.degree


def evaluate(model: ColdBrewClassifier, X: Any, y: Any, **where: Any) -> pd.DataFrame:
    """Accuracy in per cent, with its 95 % interval, of each part and of the routed model."""
    right, degree = right_by_part(model, X, y, **where)
    groups = {"all": degree >= 0}
    if (degree > 0).any() and (degree == 0).any():
        groups |= {"unlinked": degree == 0, "linked": degree > 0}
    table = compare_rows(right, reference=next(iter(right)), ours=ROUTED, groups=groups).table()
    return table.reindex(columns=["candidate", "group", "mean", "low", "high", "n"])
