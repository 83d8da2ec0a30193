"""The report of a link predictor: what ranks the known nodes, whether it pays, how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import MakedoInputError, count
from makedo.core.compare import Comparison, Metric
from makedo.methods.cold_brew.links.ranking import MRR, N_NEGATIVES
from makedo.methods.cold_brew.links.scoring import (
    Scores,
    compared,
    given_links,
    metric_table,
    with_routed,
)

if TYPE_CHECKING:
    from makedo.methods.cold_brew.links.predictor import ColdBrewLinkPredictor
    from makedo.report import Report, Section

SHOWN = 10  # known nodes named for the first given node


def report(
    model: ColdBrewLinkPredictor,
    X: Any,
    edges: Any,
    *,
    node_id: Any,
    n_negatives: int,
    show_rows: bool,
) -> Report:
    """See :meth:`ColdBrewLinkPredictor.report`."""
    from makedo.report import Report

    check_is_fitted(model)
    if (X is None) != (edges is None):
        raise MakedoInputError(
            f"{type(model).__name__}.report: give new nodes and their edges, or no data at all."
        )
    if X is None:
        found, n_negatives = {MRR: with_routed(model, stored(model))}, N_NEGATIVES
        note = "Measured on the validation nodes of the fit, whose edges were hidden."
    else:
        found = given_links(model, X, edges, node_id, n_negatives)
        note = "Measured on the given nodes."
    scores = compared(found[MRR], MRR, valid=model.part_scores_ | {"Cold Brew": best(model)})
    sections = [
        comparison_section(found, scores, f"{note} {metric_words(n_negatives)}"),
        difference_section(scores),
        parts_section(model),
    ]
    if show_rows and X is not None:
        sections.append(links_section(model, X, node_id))
    if len(model.history_):
        sections.append(curves_section(model))
    return Report(
        title="Cold Brew: links of nodes that nothing links to",
        verdict=scores.verdict(),
        summary=[serving_sentence(model)],
        facts={
            "known nodes": model.graph_.n_nodes,
            "edges": model.graph_.n_edges,
            "nodes compared": int((~np.isnan(found[MRR]["Cold Brew"])).sum()),
        },
        sections=sections,
    )


def stored(model: ColdBrewLinkPredictor) -> Scores:
    """The reciprocal ranks of the parts on the validation nodes."""
    if not len(model.validation_):
        raise MakedoInputError(
            f"{type(model).__name__}.report: no validation node of the fit linked to a known node, "
            "so nothing is stored to report. Give new nodes and their edges."
        )
    return {part: model.validation_[part].to_numpy(float) for part in model.part_scores_}


def best(model: ColdBrewLinkPredictor) -> float:
    """The validation score of what serves."""
    return model.part_scores_[model.part_]


def metric_words(n_negatives: int) -> str:
    """What the figures are."""
    return (
        "MRR is the mean reciprocal rank of a true link among "
        f"{count(n_negatives, 'random node')}, each node counted once by the mean of its links; "
        f"guessing gives {100 * float(np.mean(1 / np.arange(1, n_negatives + 2))):.1f} %."
    )


def serving_sentence(model: ColdBrewLinkPredictor) -> str:
    """What serves, and why."""
    text = f"The known nodes are ranked by the part “{model.part_}”"
    if len(model.part_scores_) > 1:
        scores = ", ".join(f"{part} {100 * s:.1f} %" for part, s in model.part_scores_.items())
        text += f", chosen by the hidden links of validation nodes ({scores})"
    return f"{text}."


# --- sections -------------------------------------------------------------------------------------


def comparison_section(found: dict[Metric, Scores], scores: Comparison, note: str) -> Section:
    """Every part by every metric."""
    from makedo.report import Section, figures

    table = metric_table(found)
    figure = figures.comparison(
        table.rename(columns={"metric": "group", "n": "size"}),
        label="per cent",
        ours=scores.ours,
        reference=scores.reference,
        digits=1,
    )
    return Section(
        "How good is it?",
        text=note,
        figure=figure,
        caption=f"Mean over nodes with its 95 % interval; the dotted line is {scores.reference}.",
        table=table.rename(columns={"mean": "mean, %", "n": "nodes"}),
        table_caption="Per cent; low and high are the ends of the 95 % interval over nodes.",
    )


def difference_section(scores: Comparison) -> Section:
    """What the model gains over each part."""
    from makedo.report import Section, figures

    return Section(
        "Does it pay?",
        figure=figures.paired_differences(
            scores.differences(), label="gain in MRR, points", digits=1
        ),
        caption="What Cold Brew gains over each alternative on the same nodes, with 95 % "
        "intervals; left of zero it loses.",
    )


def parts_section(model: ColdBrewLinkPredictor) -> Section:
    """What each part was worth on the validation nodes."""
    from makedo.report import Section

    rows = [
        (part, 100 * score, "serves" if part == model.part_ else "")
        for part, score in model.part_scores_.items()
    ]
    n = count(len(model.validation_), "validation node")
    return Section(
        "What ranks the known nodes?",
        text=serving_sentence(model),
        table=pd.DataFrame(rows, columns=["part", "MRR, %", "new nodes"]),
        table_caption=f"Mean reciprocal rank of the hidden links of {n} among {N_NEGATIVES} random "
        "nodes; these chose the part.",
    )


def links_section(model: ColdBrewLinkPredictor, X: Any, node_id: Any) -> Section:
    """Predicted links of the first given node."""
    from makedo.report import Section, figures

    found = model.predict_links(X, top=SHOWN, node_id=node_id)
    first = found.head(min(SHOWN, model.graph_.n_nodes))
    values = pd.Series(np.asarray(first["score"]), index=first["neighbor"].astype(str))
    return Section(
        "Whom will it link to?",
        figure=figures.ranked_bars(values, label="score"),
        caption="The known nodes that the first given node will most likely link to, with their "
        "scores.",
    )


def curves_section(model: ColdBrewLinkPredictor) -> Section:
    """How training went."""
    from makedo.report import Section, figures

    return Section(
        "How did training go?",
        figure=figures.curves(model.history_, labels={"loss": "loss", "score": "validation score"}),
        caption="Loss and validation score (MRR; of part 1 the error, negated) by epoch and phase; "
        "the dot marks the state that was kept.",
    )
