"""Does Cold Brew apply?  Measured on labelled nodes that are held back, half without edges."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.base import clone

from makedo.baselines.label_propagation import LabelPropagation
from makedo.core.checks import MakedoWarning, count
from makedo.core.compare import paired_rows
from makedo.core.diagnosis import Diagnosis
from makedo.core.labels import encode_labels
from makedo.core.seeds import derive, generator
from makedo.data.degrees import homophily
from makedo.data.features import read_rows
from makedo.data.graph import Graph, as_graph
from makedo.data.nodes import node_index
from makedo.methods.cold_brew.fcr import measured_fcr
from makedo.methods.cold_brew.routing import hide_half
from makedo.nn.sampling import sample_neighbors

if TYPE_CHECKING:
    from makedo.methods.cold_brew.estimator import ColdBrewClassifier

FEWEST = 40  # labelled nodes, below which nothing can be measured
MOST_NODES = 50_000  # of a larger graph, the neighbourhood of some labelled nodes is looked at
MOST_LABELS = 2_000
FOLDS, SECONDS = 3, 20.0  # no further fold is begun after so long
QUICK = {"max_epochs": 200, "patience": 50}  # of the teacher: enough to see whether it helps
LITTLE = 1.0  # points of accuracy that are not worth a method
UNIT = "points of accuracy on nodes without edges, over an MLP on the features"
COMMAND = "makedo cold-brew fit --nodes NODES --edges EDGES --label LABEL --out model/"


@dataclass
class Answers:
    """Whether each model was right on nodes that were held back: bools, one array a fold."""

    student: list[np.ndarray] = field(default_factory=list)  # without edges
    mlp: list[np.ndarray] = field(default_factory=list)  # the same nodes
    graph: list[np.ndarray] = field(default_factory=list)  # with edges
    features: list[np.ndarray] = field(default_factory=list)  # the same nodes, from here on
    spread: list[np.ndarray] = field(default_factory=list)


def diagnose(
    model: ColdBrewClassifier, X: Any, y: Any, *, graph: Any, node_id: Any = None
) -> Diagnosis:
    """Hold back labelled nodes fold by fold, take the edges from half of them, fit, compare.

    The gain is that of the better student of the graph (by the validation nodes of its fit) over a
    plain MLP, on nodes without edges; the feature contribution ratio is taken on those that keep
    theirs.  A graph of more than 50,000 nodes is cut to the surroundings of 2,000 labelled ones.
    """
    started = time.perf_counter()
    fresh: Any = clone(model)
    quick = {name: min(getattr(fresh, name), most) for name, most in QUICK.items()}
    model = fresh.set_params(cold_part="auto", verbose=0, **quick)
    owner = type(model).__name__
    X, ids = read_rows(model, X, reset=True)
    ids = ids if node_id is None else node_index(owner, node_id, len(ids))
    y, classes = encode_labels(owner, y, len(ids))
    known = as_graph(graph, n_rows=len(ids), row_id=ids).positional()
    figures: dict[str, Any] = {
        "nodes": len(ids),
        "edges": known.n_edges,
        "labelled nodes": int((y >= 0).sum()),
        "classes": len(classes),
        "nodes without edges, %": 100 * float((known.degree == 0).mean()),
        "nodes with at most one edge, %": 100 * float((known.degree <= 1).mean()),
        "homophily": homophily(known, y),
    }

    def answer(verdict: str, advice: str, **more: Any) -> Diagnosis:
        seconds = time.perf_counter() - started
        return Diagnosis(verdict, figures=figures, advice=advice, seconds=seconds, **more)

    if known.n_edges == 0:
        return answer("does not apply", "The graph has no edges: use a classifier on the features.")
    rng = generator(model.random_state, "diagnose")
    if len(ids) > MOST_NODES:
        seeds = rng.permutation(np.flatnonzero(y >= 0))[:MOST_LABELS]
        kept = surroundings(known, seeds, model.random_state)
        X, y, known = X[kept], y[kept], known.subgraph(kept)
        figures["nodes looked at"] = len(kept)
    labelled = rng.permutation(np.flatnonzero(y >= 0))
    if len(labelled) < FEWEST:
        few = count(len(labelled), "labelled node")
        return answer("cannot tell", f"{few} are too few to measure with; label at least {FEWEST}.")
    answers = Answers()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MakedoWarning)  # a class that only held-back nodes have
        for held_back in np.array_split(labelled, FOLDS):
            hold_back(model, X, y, known, held_back, rng, answers)
            if time.perf_counter() - started > SECONDS:
                break
    student, mlp, gnn, features, spread = (
        np.concatenate(found) if found else np.empty(0, dtype=bool)
        for found in vars(answers).values()
    )
    if len(gnn) < 10 or len(student) < 10:
        return answer("cannot tell", "Too few labelled nodes have edges to measure anything on.")
    fcr = measured_fcr(gnn, features, spread, rng)
    gain = paired_rows(student, mlp, names=("student", "MLP"))
    figures |= {
        "without edges: nodes": len(mlp),
        "without edges: MLP, %": 100 * float(mlp.mean()),
        "without edges: student of the graph, %": 100 * float(student.mean()),
        "with edges: nodes": fcr.n_nodes,
        "with edges: MLP, %": 100 * fcr.z_mlp,
        "with edges: graph network, %": 100 * fcr.z_gnn,
        "with edges: label propagation, %": 100 * fcr.z_lp,
        "feature contribution ratio, %": fcr.ratio,
        "its interval, %": f"{fcr.low:.0f} to {fcr.high:.0f}",
    }
    more: dict[str, Any] = {
        "expected_gain": gain.gain,
        "interval": gain.interval,
        "unit": UNIT,
    }
    low = (gain.interval or (-np.inf,))[0]
    if low <= 0 and (gain.gain < LITTLE or fcr.low >= 100):
        return answer(
            "does not apply",
            "What the graph adds does not carry over to nodes without edges: a classifier on the "
            "features is as good and simpler.",
            **more,
        )
    more["command"] = COMMAND
    if low > 0:
        return answer("applies", f"{fcr.reading} {HELPS}", **more)
    return answer("may help", f"{fcr.reading} {UNSURE}", **more)


HELPS = "A student of the graph serves nodes without edges better than their features alone."
UNSURE = (
    "What the graph adds to nodes without edges is little or unclear: fit, and let the report "
    "decide."
)


def hold_back(
    model: ColdBrewClassifier,
    X: Any,
    y: np.ndarray,
    graph: Graph,
    held_back: np.ndarray,
    rng: np.random.Generator,
    answers: Answers,
) -> None:
    """One fold: fit without the labels of ``held_back``, half of which lose their edges too."""
    unlinked, linked = hide_half(held_back, graph.degree, rng)
    shown = y.copy()
    shown[held_back] = -1
    rest = graph.without_edges_of(unlinked)
    if rest.n_edges == 0 or len(np.unique(shown[shown >= 0])) < 2:
        return
    model.fit(X, shown, graph=rest)
    spread = LabelPropagation().fit(X, shown, graph=rest)
    scaled = model.scaler_.transform(model.X_)
    scores = model.part_scores_
    plain = max(("mlp", "normed mlp"), key=lambda part: scores[part])
    best = max(("distilled mlp", "student"), key=lambda part: scores[part])

    def right(proba: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return model.classes_[proba.argmax(1)] == y[rows]

    answers.student.append(right(model._cold(scaled[unlinked], best), unlinked))
    answers.mlp.append(right(model._cold(scaled[unlinked], plain), unlinked))
    answers.graph.append(right(model._server.warm(scaled, rest)[linked], linked))
    answers.features.append(right(model._cold(scaled[linked], plain), linked))
    answers.spread.append(spread.predict(nodes=linked) == y[linked])


def surroundings(graph: Graph, seeds: np.ndarray, random_state: int) -> np.ndarray:
    """Positions of some nodes, of up to ten neighbours of each, and of up to two of those."""
    indptr, indices = torch.from_numpy(graph.indptr), torch.from_numpy(graph.indices)
    chance = torch.Generator().manual_seed(derive(random_state, "surroundings"))
    nodes = torch.from_numpy(seeds)
    near = sample_neighbors(indptr, indices, nodes, 10, chance).flatten()
    further = sample_neighbors(indptr, indices, near.unique(), 2, chance).flatten()
    return torch.cat([nodes, near, further]).unique().numpy()
