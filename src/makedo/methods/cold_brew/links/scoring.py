"""How well a fitted link predictor ranks given true links, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from makedo.core.checks import MakedoInputError
from makedo.core.compare import Comparison, Metric, compare_rows
from makedo.data.features import Matrix
from makedo.methods.cold_brew.links.ranking import (
    HITS,
    MRR,
    TOP,
    LinkPairs,
    by_row,
    in_top,
    reciprocal_rank,
    stand,
)
from makedo.methods.cold_brew.links.serving import true_links

if TYPE_CHECKING:
    import pandas as pd

    from makedo.methods.cold_brew.links.predictor import ColdBrewLinkPredictor

ROUTED = "Cold Brew"  # whatever serves
REFERENCE = "popularity"
Scores = dict[str, np.ndarray]  # by part: the score of each row (n_rows,), NaN without a true link


def rank_parts(
    model: ColdBrewLinkPredictor,
    scaled: Matrix,
    pairs: LinkPairs,
    n_negatives: int,
    parts: Sequence[str] | None = None,
) -> dict[Metric, Scores]:
    """Scores of rows by metric and part.

    Parameters
    ----------
    scaled : matrix (n_rows, n_features)
    pairs : LinkPairs
        True links of the rows to known nodes.
    parts : sequence of str, optional
        Default: those that ``fit`` compared, and the two that need no training.
    """
    if parts is None:
        compared = {"popularity", "features", *model.part_scores_}
        parts = [part for part in model._server.ready if part in compared]
    found: dict[Metric, Scores] = {MRR: {}, HITS: {}}
    n = scaled.shape[0]
    for part in parts:
        standing = stand(model._scores(scaled, part), pairs)
        found[MRR][part] = by_row(reciprocal_rank(standing, n_negatives), pairs, n)
        found[HITS][part] = by_row(in_top(standing, TOP), pairs, n)
    return found


def given_links(
    model: ColdBrewLinkPredictor, X: Any, edges: Any, node_id: Any, n_negatives: int
) -> dict[Metric, Scores]:
    """Scores of new nodes by metric and part, of the whole model last."""
    owner = type(model).__name__
    counts = isinstance(n_negatives, (int, np.integer)) and not isinstance(n_negatives, bool)
    if not counts or n_negatives < 1:
        raise MakedoInputError(
            f"{owner}: n_negatives must be an integer from 1 on. Got {n_negatives!r}."
        )
    scaled, ids = model._new(X, node_id)
    if edges is None:
        raise MakedoInputError(f"{owner}: give edges=, the true links of the new nodes.")
    pairs = true_links(owner, edges, model.graph_, ids, model.node_id_)
    found = rank_parts(model, scaled, pairs, int(n_negatives))
    return {metric: with_routed(model, scores) for metric, scores in found.items()}


def with_routed(model: ColdBrewLinkPredictor, scores: Scores) -> Scores:
    """The scores with those of the whole model last."""
    return scores | {ROUTED: scores[model.part_]}


def compared(scores: Scores, metric: Metric, valid: dict[str, float] | None = None) -> Comparison:
    """The parts and the whole model on the same nodes."""
    return compare_rows(scores, reference=next(iter(scores)), ours=ROUTED, metric=metric,
                        valid=valid, over="node")  # fmt: skip


def metric_table(found: dict[Metric, Scores]) -> pd.DataFrame:
    """Mean, interval and number of nodes by candidate and metric."""
    import pandas as pd

    tables = [
        compared(scores, metric).table().assign(metric=metric.name)
        for metric, scores in found.items()
    ]
    columns = ["candidate", "metric", "mean", "low", "high", "n"]
    return pd.concat(tables, ignore_index=True).reindex(columns=columns)


def evaluate(
    model: ColdBrewLinkPredictor, X: Any, edges: Any, *, node_id: Any, n_negatives: int
) -> pd.DataFrame:
    """See :meth:`ColdBrewLinkPredictor.evaluate`."""
    return metric_table(given_links(model, X, edges, node_id, n_negatives))
