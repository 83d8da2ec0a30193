"""Does Cold Brew apply?  Measured, not guessed: on labelled nodes that are held back, half of them without their edges."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from makedo.baselines.label_propagation import LabelPropagation
from makedo.core.checks import MakedoWarning, count
from makedo.core.compare import paired_rows
from makedo.core.diagnosis import Diagnosis
from makedo.core.labels import encode_labels
from makedo.core.seeds import generator
from makedo.data.degrees import homophily
from makedo.data.features import read_rows
from makedo.data.graph import as_graph
from makedo.methods.cold_brew.fcr import measured_fcr
from makedo.methods.cold_brew.routing import hide_half

if TYPE_CHECKING:
    from makedo.methods.cold_brew.estimator import ColdBrewClassifier

FEWEST = 40  # labelled nodes, below which nothing can be measured
MOST_LABELS = 20_000  # labelled nodes that are used; more would not change the verdict
HELD_BACK = 0.4
SMALL_GAIN = 1.0  # points of accuracy that are worth a method
UNIT = "points of accuracy on nodes without edges, over an MLP on the features"
COMMAND = "makedo cold-brew fit --nodes NODES --edges EDGES --label LABEL --out model/"


def diagnose(
    model: ColdBrewClassifier, X: Any, y: Any, *, graph: Any, node_id: Any = None
) -> Diagnosis:
    """Hold back labelled nodes, take the edges from half of them, fit on the rest, and compare.

    The gain is that of the part which the fit itself would choose, over a plain MLP, on the nodes without edges; the feature
    contribution ratio is taken on those that keep theirs.
    """
    started = time.perf_counter()
    model = clone(model).set_params(cold_part="auto", verbose=0)
    owner = type(model).__name__
    X, ids = read_rows(model, X, reset=True)
    ids = ids if node_id is None else _index(node_id)
    codes, classes = encode_labels(owner, y, len(ids))
    known = as_graph(graph, n_rows=len(ids), row_id=ids).positional()
    labelled = np.flatnonzero(codes >= 0)
    figures: dict[str, Any] = {
        "nodes": len(ids), "edges": known.n_edges, "labelled nodes": len(labelled), "classes": len(classes),
        "nodes without edges, %": 100 * float((known.degree == 0).mean()),
        "nodes with at most one edge, %": 100 * float((known.degree <= 1).mean()),
        "homophily": homophily(known, np.where(codes >= 0, codes, -1)),
    }  # fmt: skip

    def answer(verdict: str, advice: str, **more: Any) -> Diagnosis:
        return Diagnosis(
            verdict, figures=figures, advice=advice, seconds=time.perf_counter() - started, **more
        )

    if known.n_edges == 0:
        return answer("does not apply", "The graph has no edges: use a classifier on the features.")
    rng = generator(model.random_state, "diagnose")
    labelled = rng.permutation(labelled)[:MOST_LABELS]
    test, train = np.split(labelled, [round(HELD_BACK * len(labelled))])
    hidden, kept = hide_half(test, known.degree, rng)
    if len(labelled) < FEWEST or len(kept) < 10 or len(np.unique(codes[train])) < 2:
        return answer(
            "cannot tell",
            f"{count(len(labelled), 'labelled node')} are too few to measure anything; label at least {FEWEST}.",
        )
    figures |= {
        "measured on nodes without edges": len(hidden),
        "measured on nodes with edges": len(kept),
    }
    shown = np.full_like(codes, -1)
    shown[train] = codes[train]
    rest = known.without_edges_of(hidden)
    if rest.n_edges == 0:
        return answer(
            "cannot tell", "Hardly a node has an edge: nothing can be held back to measure with."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MakedoWarning)  # classes that only the held-back nodes have
        model.fit(X, shown, graph=rest)
        spread = LabelPropagation().fit(X, shown, graph=rest)
    places = model.classes_  # numbers of the classes that training nodes have

    def right(proba: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return places[proba.argmax(1)] == codes[rows]

    scaled = model.scaler_.transform(model.X_)
    mlp = right(model._cold(scaled[hidden], "mlp"), hidden)
    chosen = right(model._cold(scaled[hidden], model.part_), hidden)
    teacher = right(model._server.warm(scaled, rest)[kept], kept)
    features = right(model._cold(scaled[kept], "mlp"), kept)
    fcr = measured_fcr(teacher, features, spread.predict(nodes=kept) == codes[kept], rng)
    gain = paired_rows(chosen, mlp, names=(model.part_, "mlp"))
    graph_gain = paired_rows(teacher, features, names=("teacher", "mlp"))
    figures |= {
        "without edges: MLP, %": 100 * float(mlp.mean()),
        f"without edges: {model.part_}, %": 100 * float(chosen.mean()),
        "with edges: MLP, %": 100 * fcr.z_mlp, "with edges: graph network, %": 100 * fcr.z_gnn,
        "with edges: label propagation, %": 100 * fcr.z_lp,
        "feature contribution ratio, %": fcr.ratio, "its interval, %": f"{fcr.low:.0f} to {fcr.high:.0f}",
    }  # fmt: skip
    more: dict[str, Any] = {
        "expected_gain": gain.gain,
        "interval": gain.interval,
        "unit": UNIT,
        "command": COMMAND,
    }
    low, high = gain.interval or (-np.inf, np.inf)
    if low > 0:
        return answer(
            "applies",
            f"{fcr.reading} A student of the graph serves nodes without edges better than their features alone.",
            **more,
        )
    if high < SMALL_GAIN or (gain.gain < SMALL_GAIN and graph_gain.gain < SMALL_GAIN):
        little = (
            "The graph adds little to the features here"
            if graph_gain.gain < 2 * SMALL_GAIN
            else "What the graph adds does not carry over to nodes without edges"
        )
        return answer(
            "does not apply",
            f"{little}: a classifier on the features is as good and simpler.",
            **more,
        )
    return answer(
        "may help",
        f"{fcr.reading} On nodes without edges the gain is not clear yet; fit, and let the report decide.",
        **more,
    )


def _index(ids: Any) -> Any:
    import pandas as pd

    return pd.Index(ids)
