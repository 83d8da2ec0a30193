"""Does Cold Brew help to find the links of new nodes?  Measured on linked nodes held back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from makedo.core.checks import count
from makedo.core.compare import paired_rows
from makedo.core.diagnosis import Diagnosis
from makedo.core.seeds import generator
from makedo.data.features import Matrix, read_rows
from makedo.data.graph import Graph, as_graph
from makedo.data.nodes import node_index
from makedo.methods.cold_brew.diagnose import surroundings
from makedo.methods.cold_brew.links.ranking import MRR, N_NEGATIVES, LinkPairs
from makedo.methods.cold_brew.links.scoring import rank_parts

if TYPE_CHECKING:
    from makedo.methods.cold_brew.links.predictor import ColdBrewLinkPredictor

FEWEST = 40  # linked nodes, below which nothing can be measured
MOST_NODES = 20_000  # of a larger graph, the neighbourhood of some linked nodes is looked at
SEEDS = 1_000
FOLDS, HELD_BACK, SECONDS = 3, 0.15, 15.0  # no further fold is begun after so long
QUICK = {"max_epochs": 100, "student_max_epochs": 40, "patience": 10, "student_patience": 10}
LITTLE = 1.0  # points of MRR that are not worth a method
UNIT = f"points of MRR among {N_NEGATIVES} negatives, over the best ranking by features alone"
COMMAND = "makedo cold-brew fit --task links --nodes NODES --edges EDGES --out model/"
PLAIN = ("popularity", "features", "linear", "mlp")
GRAPH = ("teacher", "student")


def diagnose(model: ColdBrewLinkPredictor, X: Any, *, graph: Any, node_id: Any = None) -> Diagnosis:
    """Hold back linked nodes fold by fold, fit, and rank their links.

    The gain is that of the better part that learnt from the graph over the best that did not, both
    by the validation nodes of the fold.
    """
    started = time.perf_counter()
    fresh: Any = clone(model)
    quick = {name: min(getattr(fresh, name), most) for name, most in QUICK.items()}
    fresh.set_params(cold_part="auto", verbose=0, **quick)
    owner = type(fresh).__name__
    X, ids = read_rows(fresh, X, reset=True)
    ids = ids if node_id is None else node_index(owner, node_id, len(ids))
    known = as_graph(graph, n_rows=len(ids), row_id=ids).positional()
    figures: dict[str, Any] = {
        "nodes": len(ids),
        "edges": known.n_edges,
        "nodes without edges, %": 100 * float((known.degree == 0).mean()),
    }

    def answer(verdict: str, advice: str, **more: Any) -> Diagnosis:
        seconds = time.perf_counter() - started
        return Diagnosis(verdict, figures=figures, advice=advice, seconds=seconds, **more)

    if known.n_edges == 0:
        return answer("does not apply", "The graph has no edges: there are no links to learn from.")
    rng = generator(fresh.random_state, "diagnose")
    linked = rng.permutation(np.flatnonzero(known.degree > 0))
    if len(linked) < FEWEST:
        few = count(len(linked), "linked node")
        return answer("cannot tell", f"{few} are too few to measure with; give at least {FEWEST}.")
    if len(ids) > MOST_NODES:
        kept = surroundings(known, linked[:SEEDS], fresh.random_state)
        X, known = X[kept], known.subgraph(kept)
        linked = rng.permutation(np.flatnonzero(known.degree > 0))
        figures["nodes looked at"] = len(kept)
    folds = np.array_split(linked, round(1 / HELD_BACK))[:FOLDS]
    ours, plain = measure(fresh, X, known, folds, started)
    if len(ours) < 10:
        return answer("cannot tell", "Too few linked nodes could be held back to measure anything.")
    gain = paired_rows(ours, plain, names=("Cold Brew", "features"), metric=MRR)
    figures |= {
        "held back nodes": len(ours),
        "MRR by features alone, %": 100 * float(plain.mean()),
        "MRR with the graph, %": 100 * float(ours.mean()),
    }
    more: dict[str, Any] = {"expected_gain": gain.gain, "interval": gain.interval, "unit": UNIT}
    low = (gain.interval or (-np.inf,))[0]
    if low <= 0 and gain.gain < LITTLE:
        return answer("does not apply", USELESS, **more)
    verdict, advice = ("applies", HELPS) if low > 0 else ("may help", UNSURE)
    return answer(verdict, advice, command=COMMAND, **more)


USELESS = "What the graph adds does not carry over to new nodes: rank by features, it is as good."
HELPS = "What learnt from the graph finds the links of new nodes better than features alone."
UNSURE = "What the graph adds is little or unclear: fit, and let the report decide."


def measure(
    model: ColdBrewLinkPredictor, X: Matrix, graph: Graph, folds: list[np.ndarray], started: float
) -> tuple[np.ndarray, np.ndarray]:
    """Reciprocal ranks (n_nodes,) of the best part with the graph and the best without."""
    ours, plain = [], []
    for fold in folds:
        keep = np.setdiff1d(np.arange(graph.n_nodes), fold)
        rest = graph.subgraph(keep)
        links = graph.to_scipy()[fold][:, keep].tocsr()
        if rest.n_edges < 2 or not links.nnz:
            continue
        row = np.repeat(np.arange(len(fold)), np.diff(links.indptr))
        model.fit(X[keep], graph=rest)
        best = [max(
            (part for part in side if part in model.part_scores_),
            key=lambda part: model.part_scores_[part],
        ) for side in (GRAPH, PLAIN)]  # fmt: skip
        pairs = LinkPairs(row, links.indices.astype(np.int64))
        scaled = model.scaler_.transform(X[fold])
        scores = rank_parts(model, scaled, pairs, N_NEGATIVES, best)[MRR]
        asked = ~np.isnan(scores[best[0]])
        ours.append(scores[best[0]][asked])
        plain.append(scores[best[1]][asked])
        if time.perf_counter() - started > SECONDS:
            break
    return np.concatenate([np.empty(0), *ours]), np.concatenate([np.empty(0), *plain])
