"""The report of a fitted model: what serves which node, whether it pays, and how sure that is."""

from __future__ import annotations

import logging
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import MakedoInputError, MakedoWarning, count
from makedo.core.compare import Comparison, compare_rows
from makedo.core.seeds import generator
from makedo.data.nodes import find_nodes
from makedo.methods.cold_brew.baselines import candidates
from makedo.methods.cold_brew.fcr import FCR, measured_fcr
from makedo.methods.cold_brew.regression_baselines import regression_candidates
from makedo.methods.cold_brew.routing import PLAIN_PARTS
from makedo.methods.cold_brew.scoring import ROUTED, credit_by_part
from makedo.methods.cold_brew.tasks import R2, Task, in_words

if TYPE_CHECKING:
    from makedo.methods.cold_brew.estimator import ColdBrew
    from makedo.report import Report, Section

logger = logging.getLogger("makedo")
# The teacher itself is a part of the model, so "GCN + SE" is not fitted again.
RIVALS = (
    "MLP", "label propagation", "feature neighbours", "SGC", "GCN", "GraphSAGE", "GraphMLP", "GLNN",
)  # fmt: skip
FCR_ZONES = (
    (50, "the graph matters more"),
    (100, "features matter more"),
    (150, "features beat the graph"),
)


def report(
    model: ColdBrew,
    X: Any,
    y: Any,
    *,
    nodes: Any,
    edges: Any,
    node_id: Any,
    budget: int,
    show_rows: bool,
) -> Report:
    """See :meth:`ColdBrew.report`."""
    from makedo.report import Report

    check_is_fitted(model)
    if (X is not None or nodes is not None) and y is None:
        raise MakedoInputError(
            f"{type(model).__name__}.report: give the labels y of the nodes, or no data at all."
        )
    if not 1 <= budget <= 8:
        raise MakedoInputError(
            f"{type(model).__name__}.report: budget must be 1 to 8. Got {budget}."
        )
    if y is None:
        parts, degree = _stored(model)
        right, valid = parts, {}
        note = (
            "Measured on the validation nodes of the fit. They stopped the training and weighted "
            "the parts, so these figures flatter the model: give labelled nodes that it never saw."
        )
        summary = [note]
    else:
        parts, degree = credit_by_part(model, X, y, nodes=nodes, edges=edges, node_id=node_id)
        baselines, valid = _baselines(model, X, nodes, parts[ROUTED], y, budget)
        right = baselines | {ROUTED: parts[ROUTED]}
        n_given = int((~np.isnan(right[ROUTED])).sum())
        note, summary = f"Measured on {count(n_given, 'labelled node')} that were given.", []
    groups = {"unlinked": degree == 0, "linked": degree > 0, "all": degree >= 0}
    groups = {name: mask for name, mask in groups.items() if mask.any()}
    if len(groups) == 2:  # one kind of node only: "all" is the same
        del groups["all"]
    first = next(iter(right))
    task = model._task
    scores = compare_rows(
        right,
        reference=first,
        ours=ROUTED,
        groups=groups,
        valid=valid,
        metric=task.metric,
        over="node",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MakedoWarning)  # not defined: its reading says so
        fcr = validation_fcr(model)
    sections = [
        comparison_section(scores, note, task.label),
        difference_section(scores),
        *degree_sections(parts, degree, task),
    ]
    if fcr is not None:
        sections.append(fcr_section(fcr))
    sections.append(parts_section(model))
    if show_rows and y is not None and model.bank_ is not None:
        sections.append(neighbors_section(model, X, nodes))
    sections.append(curves_section(model))
    return Report(
        title="Cold Brew: nodes that nothing links to",
        verdict=scores.verdict(),
        summary=[*summary, _routing_sentence(model), *([fcr.reading] if fcr is not None else [])],
        facts={
            "training nodes": model.graph_.n_nodes,
            "edges": model.graph_.n_edges,
            "without edges": f"{100 * float((model.graph_.degree == 0).mean()):.0f} %",
            "nodes compared": int((~np.isnan(right[ROUTED])).sum()),
        },
        sections=sections,
    )


def _routing_sentence(model: ColdBrew) -> str:
    threshold, metric = model.degree_threshold_, model._task.metric
    chosen = f"Nodes without edges are served by {in_words(model.unlinked_pool_)}"
    if len(model.part_scores_) > 1:
        scores = ", ".join(
            f"{part} {metric.show(metric.scale * score)}"
            for part, score in model.part_scores_.items()
        )
        chosen += f", fitted on validation nodes whose edges were hidden ({metric.name}: {scores})"
    if np.isinf(threshold):
        return f"{chosen}; nodes with edges by {in_words(model.linked_pool_)}."
    warm = f"the graph network serves nodes of degree {max(threshold, 1):g} and above"
    if threshold > 1:
        warm += f", {in_words(model.linked_pool_)} those of fewer edges"
    return f"{chosen}; {warm}."


def _stored(model: ColdBrew) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The parts on the validation nodes, with the degree at which they were served."""
    frame = model.validation_
    if not len(frame):
        raise MakedoInputError(
            f"{type(model).__name__}.report: the fit had no validation nodes, so nothing is stored "
            "to report. Give labelled nodes."
        )
    degree = np.where(frame["edges_hidden"], 0, frame["degree"])
    served = frame["served"].to_numpy(float)
    right = {part: frame[part].to_numpy(float) for part in model.part_scores_}
    if "teacher" in frame:  # as it answers hidden nodes when their edges are shown to it
        alone = served if "teacher" in model.part_scores_ else np.nan
        right["teacher"] = np.where(degree > 0, frame["teacher"].to_numpy(float), alone)
    return right | {ROUTED: served}, degree


def _baselines(
    model: ColdBrew, X: Any, nodes: Any, ours: np.ndarray, y: Any, budget: int
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Each baseline fitted as the model was: credit per given node, and on validation.

    Baselines see new nodes without edges; nodes of the training graph with theirs.
    """
    task, known = model._task, model.y_[model.valid_]
    given = {"nodes": _positions(model, nodes)} if X is None else {"X": model._encoded(X)}
    truth = task.match(type(model).__name__, y, len(ours))
    frame = model.validation_
    hidden = frame.loc[frame["edges_hidden"], "row"].to_numpy()
    graph = model.graph_.positional()
    fit = {
        "graph": graph.without_edges_of(hidden),
        "train_mask": np.isin(np.arange(graph.n_nodes), model.train_),
        "valid_mask": np.isin(np.arange(graph.n_nodes), model.valid_),
    }
    credit, valid = {}, {}
    rivals = candidates(*RIVALS) if task.metric.name != R2.name else regression_candidates()[:-1]
    for candidate in rivals:
        started, best, best_score = time.perf_counter(), None, -np.inf
        for configuration in candidate.grid[:budget]:
            fitted = candidate.make(random_state=model.random_state, **configuration).fit(
                model.X_, model.y_, **fit
            )
            score = 0.0
            if len(model.valid_):
                score = float(task.judge(fitted.predict(nodes=model.valid_), known).mean())
            if best is None or score > best_score:  # one number to validate on has no R²
                best, best_score = fitted, score
        assert best is not None
        credit[candidate.name] = task.judge(best.predict(**given), truth)
        valid[candidate.name] = best_score
        if model.verbose:
            logger.info("report: %s  %.1f s", candidate.name, time.perf_counter() - started)
    routed = _stored(model)[0][ROUTED] if len(frame) else np.array([0.0])
    return credit, valid | {ROUTED: float(routed.mean())}


def _positions(model: ColdBrew, nodes: Any) -> np.ndarray:
    return find_nodes(type(model).__name__, model.node_id_, nodes)


def validation_fcr(model: ColdBrew) -> FCR | None:
    """The ratio on validation nodes with edges; None where it cannot be had.

    The graph network was stopped on those that kept their edges in the training, the MLP on those
    whose edges were hidden: either half alone would flatter one of the two.
    """
    from makedo.baselines.label_propagation import LabelPropagation

    frame = model.validation_
    linked = frame[frame["degree"] > 0]
    numbers = model._task.metric.name == R2.name  # label propagation spreads classes
    ready = [part for part in PLAIN_PARTS if part in model.part_scores_]
    if numbers or len(linked) < 10 or "teacher" not in frame or not ready:
        return None
    plain = max(ready, key=lambda part: model.part_scores_[part])
    rows = np.asarray(linked["row"])
    train = np.isin(np.arange(model.graph_.n_nodes), model.train_)
    spread = LabelPropagation().fit(
        model.X_, model.y_, graph=model.graph_.positional(), train_mask=train
    )
    lp = spread.predict(nodes=rows) == model.y_[rows]
    teacher, mlp = (np.asarray(linked[part], bool) for part in ("teacher", plain))
    return measured_fcr(teacher, mlp, lp, generator(model.random_state, "fcr"))


# --- sections -------------------------------------------------------------------------------------


def comparison_section(scores: Comparison, note: str, label: str) -> Section:
    """The score of every candidate in every group; ``label`` names it on the axis."""
    from makedo.report import Section, figures

    table = scores.table()
    figure = figures.comparison(
        table,
        label=label,
        ours=scores.ours,
        reference=scores.reference,
        digits=scores.metric.decimals,
    )
    return Section(
        "How good is it?",
        text=note,
        figure=figure,
        caption=f"{label.capitalize()} with its 95 % interval, by group of nodes; the dotted line "
        f"is {scores.reference}.",
        table=_readable(table, label),
        table_caption=f"{label.capitalize()}; low and high are the ends of its 95 % interval.",
    )


def difference_section(scores: Comparison) -> Section:
    """What ours gains over each other candidate."""
    from makedo.report import Section, figures

    metric = scores.metric
    label = f"gain in {metric.name}" + (f", {metric.unit}" if metric.unit else "")
    return Section(
        "Does it pay?",
        figure=figures.paired_differences(
            scores.differences(), label=label, digits=metric.decimals
        ),
        caption="What Cold Brew gains over each alternative on the same nodes, with 95 % "
        "intervals; left of zero it loses.",
    )


def degree_sections(credit: dict[str, np.ndarray], degree: np.ndarray, task: Task) -> list[Section]:
    """The parts and the routed model by degree, where there are several degrees."""
    from makedo.report import Section, figures

    if len(np.unique(degree)) < 2:
        return []
    table = figures.score_by_bin(degree, credit, scale=task.metric.scale)
    figure = figures.score_against(
        table, label=task.label, bin_label="edges of the node", ours=ROUTED
    )
    caption = (
        f"{task.label.capitalize()} of the parts, and of {ROUTED}, which routes among them, by the "
        "number of edges of a node, with 95 % intervals."
    )
    return [Section("Who is served well?", figure=figure, caption=caption)]


def fcr_section(fcr: FCR) -> Section:
    """Feature contribution ratio and its parts."""
    from makedo.report import Section, figures

    figure = figures.ratio_bar(
        fcr.ratio,
        label="feature contribution ratio",
        zones=FCR_ZONES,
        interval=(fcr.low, fcr.high),
        parts={
            "graph network": 100 * fcr.z_gnn,
            "MLP on features": 100 * fcr.z_mlp,
            "label propagation": 100 * fcr.z_lp,
        },
        parts_label="accuracy, %",
    )
    return Section(
        "Graph or features?",
        text=fcr.reading,
        figure=figure,
        caption=f"Where the signal lies, measured on {count(fcr.n_nodes, 'validation node')} with "
        "edges: half of them stopped the graph network, half the MLP. The line is the 95 % "
        "bootstrap interval.",
    )


def parts_section(model: ColdBrew) -> Section:
    """What each part of the model was worth on nodes with hidden edges."""
    from makedo.report import Section

    n_hidden, task = int(np.sum(model.validation_["edges_hidden"])), model._task
    rows = []
    for part, score in model.part_scores_.items():
        shares = [
            f"{100 * pool[part]['weight']:.0f} %" if part in pool else ""
            for pool in (model.unlinked_pool_, model.linked_pool_)
        ]
        rows.append((part, task.metric.scale * score, *shares))
    names = ["part", task.label, "say on nodes without edges", "say on linked nodes"]
    return Section(
        "What serves nodes without edges?",
        text=_routing_sentence(model),
        table=pd.DataFrame(rows, columns=names),
        table_caption=f"{task.label.capitalize()} on {count(n_hidden, 'validation node')} whose "
        "edges were hidden; their likelihood fitted the first column of weights. The last column "
        "is for linked nodes that the graph network does not serve.",
    )


def neighbors_section(model: ColdBrew, X: Any, nodes: Any) -> Section:
    """Virtual neighbours of the first given node."""
    from makedo.report import Section, figures

    matrix = model.X_[_positions(model, nodes[:1])] if X is None else model._encoded(X)
    index, weight, _ = model._server.virtual(model.scaler_.transform(matrix[:1]))
    assert model.bank_ is not None
    rows = model.bank_.rows.cpu().numpy()[index[0]]
    values = pd.Series(weight[0], index=model.node_id_[rows].astype(str))
    kinds = model._task.words(model.y_[rows])
    return Section(
        "Whom does it resemble?",
        figure=figures.ranked_bars(values, label="weight", kinds=kinds),
        caption="Virtual neighbours of the first given node: known nodes that the student takes it "
        "to resemble, with their weights.",
    )


def curves_section(model: ColdBrew) -> Section:
    """How training went."""
    from makedo.report import Section, figures

    labels = {
        "loss": "loss",
        "valid_accuracy": "validation accuracy",
        "valid_error": "validation error",
    }
    return Section(
        "How did training go?",
        figure=figures.curves(model.history_, labels=labels),
        caption="Loss and validation score by epoch and phase; the dot marks the state that was "
        "kept.",
    )


def _readable(table: pd.DataFrame, label: str) -> pd.DataFrame:
    wanted = ["candidate", "group", "mean", "sd", "low", "high", "n", "size"]
    over_seeds = "size" in table and bool(table["sd"].notna().any())
    if not over_seeds:  # over rows: their number stands in n already
        wanted.remove("size")
    shown = table.reindex(columns=[name for name in wanted if name in table])
    names = {"mean": label, "n": "seeds" if over_seeds else "nodes"}
    return shown.dropna(axis=1, how="all").rename(columns=names)
