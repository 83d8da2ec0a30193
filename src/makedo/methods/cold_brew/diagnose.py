"""Does Cold Brew apply?  Measured on labelled nodes that are held back, half without edges."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone

from makedo.baselines.label_propagation import LabelPropagation
from makedo.core.checks import MakedoWarning, count
from makedo.core.compare import paired_rows
from makedo.core.diagnosis import Diagnosis
from makedo.core.labels import is_labelled
from makedo.core.paired import Metric
from makedo.core.seeds import derive, generator
from makedo.data.degrees import homophily
from makedo.data.features import read_rows
from makedo.data.graph import Graph, as_graph
from makedo.data.nodes import node_index
from makedo.methods.cold_brew.fcr import measured_fcr
from makedo.methods.cold_brew.routing import PLAIN_PARTS, hide_half
from makedo.methods.cold_brew.tasks import Classification, Pool, fit_pool
from makedo.nn.sampling import sample_neighbors

if TYPE_CHECKING:
    from makedo.methods.cold_brew.estimator import ColdBrew

FEWEST = 40  # labelled nodes, below which nothing can be measured
MOST_NODES = 50_000  # of a larger graph, the neighbourhood of some labelled nodes is looked at
MOST_LABELS = 2_000
FOLDS, SECONDS = 3, 20.0  # no further fold is begun after so long
# Of the teacher and the student: enough to see whether they help.
QUICK = {"max_epochs": 200, "patience": 50, "student_max_epochs": 40}
LITTLE = 0.01  # of accuracy or R², not worth a method
WHERE = "on nodes without edges, over an MLP on the features"
COMMAND = "makedo cold-brew fit --nodes NODES --edges EDGES --label LABEL --out model/"


@dataclass
class Credits:
    """What each model scored on nodes that were held back, one array a fold."""

    served: list[np.ndarray] = field(default_factory=list)  # without edges
    mlp: list[np.ndarray] = field(default_factory=list)  # the same nodes
    graph: list[np.ndarray] = field(default_factory=list)  # with edges
    features: list[np.ndarray] = field(default_factory=list)  # the same nodes, from here on
    spread: list[np.ndarray] = field(default_factory=list)


def diagnose(model: ColdBrew, X: Any, y: Any, *, graph: Any, node_id: Any = None) -> Diagnosis:
    """Hold back labelled nodes fold by fold, take the edges from half of them, fit, compare.

    The gain is that of all parts over those that know nothing of the graph, both pooled on the
    validation nodes of the fit, on nodes without edges; the feature contribution ratio (of classes)
    is taken on those that keep theirs.  The networks are trained shorter than in ``fit``: what they
    would still learn is not in the gain that is promised.  A graph of more than 50,000 nodes is cut
    to the surroundings of 2,000 labelled ones.
    """
    started = time.perf_counter()
    fresh: Any = clone(model)
    quick = {name: min(getattr(fresh, name), most) for name, most in QUICK.items()}
    model = fresh.set_params(cold_part="auto", verbose=0, **quick)
    owner = type(model).__name__
    X, ids = read_rows(model, X, reset=True)
    ids = ids if node_id is None else node_index(owner, node_id, len(ids))
    y, classes = model._encode(owner, y, len(ids))
    known_label = is_labelled(y)
    known = as_graph(graph, n_rows=len(ids), row_id=ids).positional()
    figures: dict[str, Any] = {
        "nodes": len(ids),
        "edges": known.n_edges,
        "labelled nodes": int(known_label.sum()),
        "nodes without edges, %": 100 * float((known.degree == 0).mean()),
        "nodes with at most one edge, %": 100 * float((known.degree <= 1).mean()),
        "nodes without features, %": 100 * float((np.asarray(abs(X).sum(1)) == 0).mean()),
    }
    numbers = not len(classes)
    if not numbers:
        figures |= {"classes": len(classes), "homophily": homophily(known, y)}

    def answer(verdict: str, advice: str, **more: Any) -> Diagnosis:
        seconds = time.perf_counter() - started
        return Diagnosis(verdict, figures=figures, advice=advice, seconds=seconds, **more)

    if known.n_edges == 0:
        return answer("does not apply", "The graph has no edges: use the features alone.")
    rng = generator(model.random_state, "diagnose")
    if len(ids) > MOST_NODES:
        seeds = rng.permutation(np.flatnonzero(known_label))[:MOST_LABELS]
        kept = surroundings(known, seeds, model.random_state)
        X, y, known, known_label = X[kept], y[kept], known.subgraph(kept), known_label[kept]
        figures["nodes looked at"] = len(kept)
    labelled = rng.permutation(np.flatnonzero(known_label))
    if len(labelled) < FEWEST:
        few = count(len(labelled), "labelled node")
        return answer("cannot tell", f"{few} are too few to measure with; label at least {FEWEST}.")
    found = Credits()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MakedoWarning)  # a class that only held-back nodes have
        for held_back in np.array_split(labelled, FOLDS):
            hold_back(model, X, y, known, held_back, rng, found)
            if time.perf_counter() - started > SECONDS:
                break
    credit = {
        name: np.concatenate(folds) if folds else np.empty(0) for name, folds in vars(found).items()
    }
    if len(credit["graph"]) < 10 or len(credit["served"]) < 10:
        return answer("cannot tell", "Too few labelled nodes have edges to measure anything on.")
    metric = model._task.metric
    gain = paired_rows(credit["served"], credit["mlp"], names=("Cold Brew", "MLP"), metric=metric)
    shown = {
        "without edges: nodes": len(credit["mlp"]),
        "without edges: MLP": credit["mlp"],
        "without edges: Cold Brew": credit["served"],
        "with edges: nodes": len(credit["graph"]),
        "with edges: MLP": credit["features"],
        "with edges: graph network": credit["graph"],
    }
    fcr = None
    if not numbers:
        fcr = measured_fcr(credit["graph"], credit["features"], credit["spread"], rng)
        shown["with edges: label propagation"] = credit["spread"]
    for name, value in shown.items():
        counts = isinstance(value, int)
        figures[name if counts else f"{name}, {'%' if metric.unit else metric.name}"] = (
            value if counts else metric.scale * float(np.mean(value))
        )
    if fcr is not None:
        figures["feature contribution ratio, %"] = fcr.ratio
        figures["its interval, %"] = f"{fcr.low:.0f} to {fcr.high:.0f}"
    more: dict[str, Any] = {
        "expected_gain": gain.gain,
        "interval": gain.interval,
        "unit": f"{unit_of(metric)} {WHERE}",
    }
    low = (gain.interval or (-np.inf,))[0]
    little = LITTLE * metric.scale
    if low <= 0 and (gain.gain < little or (fcr is not None and fcr.low >= 100)):
        return answer(
            "does not apply",
            "What the graph adds does not carry over to nodes without edges: a model of the "
            "features is as good and simpler.",
            **more,
        )
    more["command"] = COMMAND
    if low > 0:
        return answer("applies", f"{fcr.reading} {HELPS}" if fcr else HELPS, **more)
    return answer("may help", f"{fcr.reading} {UNSURE}" if fcr else UNSURE, **more)


def unit_of(metric: Metric) -> str:
    """``"points of accuracy"``, or ``"R²"``."""
    return f"{metric.unit} of {metric.name}" if metric.unit else metric.name


HELPS = "A student of the graph serves nodes without edges better than their features alone."
UNSURE = (
    "What the graph adds to nodes without edges is little or unclear: fit, and let the report "
    "decide."
)


def hold_back(
    model: ColdBrew,
    X: Any,
    y: np.ndarray,
    graph: Graph,
    held_back: np.ndarray,
    rng: np.random.Generator,
    found: Credits,
) -> None:
    """One fold: fit without the labels of ``held_back``, half of which lose their edges too."""
    unlinked, linked = hide_half(held_back, graph.degree, rng)
    shown = y.copy()
    shown[held_back] = np.nan if y.dtype.kind == "f" else -1
    rest = graph.without_edges_of(unlinked)
    if rest.n_edges == 0 or len(np.unique(shown[is_labelled(shown)])) < 2:
        return
    model.fit(X, shown, graph=rest)
    scaled, server, task = model.scaler_.transform(model.X_), model._server, model._task
    truth = y
    if isinstance(task, Classification):  # classes of the fold by number: some may be missing
        truth = task.match(type(model).__name__, pd.Series(y), len(y))
        spread = LabelPropagation().fit(X, shown, graph=rest)
        found.spread.append(spread.predict(nodes=linked) == y[linked])
    plain = plain_pool(model)
    teacher = server.warm(scaled, rest)
    for into, rows, said in (
        (found.served, unlinked, server.pooled(scaled[unlinked], model.unlinked_pool_)),
        (found.mlp, unlinked, server.pooled(scaled[unlinked], plain)),
        (found.graph, linked, teacher[linked]),
        (found.features, linked, server.pooled(scaled[linked], plain)),
    ):
        into.append(task.credit(said, truth[rows]))


def plain_pool(model: ColdBrew) -> Pool:
    """The pool that is left without the parts that know of the graph, fitted on the same nodes."""
    frame = model.validation_
    hidden = frame.loc[frame["edges_hidden"], "row"].to_numpy()
    scaled = model.scaler_.transform(model.X_[hidden])
    answers = {part: model._server.cold(scaled, part) for part in PLAIN_PARTS}
    return fit_pool(model._task, answers, model.y_[hidden])


def surroundings(graph: Graph, seeds: np.ndarray, random_state: int) -> np.ndarray:
    """Positions of some nodes, of up to ten neighbours of each, and of up to two of those."""
    indptr, indices = torch.from_numpy(graph.indptr), torch.from_numpy(graph.indices)
    chance = torch.Generator().manual_seed(derive(random_state, "surroundings"))
    nodes = torch.from_numpy(seeds)
    near = sample_neighbors(indptr, indices, nodes, 10, chance).flatten()
    further = sample_neighbors(indptr, indices, near.unique(), 2, chance).flatten()
    return torch.cat([nodes, near, further]).unique().numpy()
