"""How good a fitted model is on given labelled nodes, part by part."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from makedo.core.checks import MakedoInputError, MakedoWarning, count
from makedo.core.compare import compare_rows
from makedo.data.nodes import find_nodes

if TYPE_CHECKING:
    import pandas as pd

    from makedo.methods.cold_brew.estimator import ColdBrew

ROUTED = "Cold Brew"  # the whole model: whatever serves each node


def credit_by_part(
    model: ColdBrew,
    X: Any,
    y: Any,
    *,
    nodes: Any = None,
    edges: Any = None,
    node_id: Any = None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What each part of the model scores on each node, and the degree of the node.

    Returns
    -------
    credit : dict of str to float ndarray (n_rows,)
        1 right, 0 wrong (numbers: 1 − squared error / variance), NaN unlabelled.  Parts for nodes
        without edges come first, the routed model last.
    degree : int64 ndarray (n_rows,)
    """
    answer = model._answer(X, nodes, edges, node_id)
    task, owner = model._task, type(model).__name__
    truth = task.match(owner, y, len(answer.said))
    served = task.credit(answer.said, truth)
    labelled = ~np.isnan(served)
    if not labelled.any():
        raise MakedoInputError(f"{owner}: no row has a label to compare with.")

    if nodes is not None:
        rows = find_nodes(owner, model.node_id_, answer.ids)
        used = np.isin(rows, np.concatenate([model.train_, model.valid_]))
        n_used, n_labelled = int((used & labelled).sum()), int(labelled.sum())
        if n_used:
            warnings.warn(
                f"{owner}: the labels of {count(n_used)} of {count(n_labelled)} "
                "labelled nodes were learnt or validated on in fit, so these figures flatter the "
                "model. Give nodes whose labels fit did not see.",
                MakedoWarning,
                stacklevel=3,
            )

    parts = {
        part: task.credit(model._server.cold(answer.scaled, part), truth)
        for part in model.part_scores_
    }
    if answer.teacher is not None:
        parts["teacher"] = task.credit(answer.teacher, truth)
    return parts | {ROUTED: served}, answer.degree


def evaluate(model: ColdBrew, X: Any, y: Any, **where: Any) -> pd.DataFrame:
    """Accuracy or R², with its 95 % interval, of each part and of the routed model."""
    credit, degree = credit_by_part(model, X, y, **where)
    groups = {"all": degree >= 0}
    if (degree > 0).any() and (degree == 0).any():
        groups |= {"unlinked": degree == 0, "linked": degree > 0}
    table = compare_rows(
        credit, reference=next(iter(credit)), ours=ROUTED, groups=groups, metric=model._task.metric
    ).table()
    return table.reindex(columns=["candidate", "group", "mean", "low", "high", "n"])
