"""Links of nodes without edges (paper: Table 4): which known nodes do they link to?

The nodes of lowest degree are taken out of the graph, and their edges to the others are to be found
again.  The mean reciprocal rank is taken among 20 random nodes, as in the released code, in
expectation over their draw.  What differs from the paper: nodes to train on are all that remain,
a share of which chooses epochs and settings by its own hidden edges; the paper's code selects on
test edges, and its baselines are not told apart from feature cosine, which is not among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from makedo.core.candidates import Candidate, Outcome
from makedo.core.results import Record, measured
from makedo.core.seeds import derive
from makedo.core.tables import Pair, Row, comparison_rows
from makedo.data import catalog
from makedo.data.degrees import degree_splits
from makedo.data.graph import Graph
from makedo.methods.cold_brew.links.predictor import ColdBrewLinkPredictor
from makedo.methods.cold_brew.links.ranking import MRR, N_NEGATIVES, LinkPairs
from makedo.methods.cold_brew.links.scoring import rank_parts

TITLE = "Links of nodes without edges (paper: Table 4)"
SHARE = 0.1  # of nodes, those of lowest degree, that lose their edges
GROUP = "isolated"
GCN, TEACHER = "GCN, asked without edges", "GCN with SE, asked without edges"
STUDENT, ROUTED = "Cold Brew, student only", "Cold Brew"

PAPER: Mapping[str, dict[tuple[str, str], float]] = {
    "cora": {(GCN, GROUP): 34.10, (STUDENT, GROUP): 44.59},
    "citeseer": {(GCN, GROUP): 50.41, (STUDENT, GROUP): 55.14},
}
ONLY_PAPER: Mapping[str, dict[str, float]] = {
    "cora": {"TailGCN": 36.13, "Meta-Tail2Vec": 36.92},
    "citeseer": {"TailGCN": 51.48, "Meta-Tail2Vec": 50.90},
}


@dataclass(frozen=True)
class NewNodes:
    """Known nodes with their graph, and new ones with their links to them.

    Parameters
    ----------
    X : matrix (n_known, n_features)
    graph : Graph
        Of the known nodes.
    X_new : matrix (n_new, n_features)
    pairs : LinkPairs
        Links of rows of ``X_new`` to known nodes.
    """

    X: Any
    graph: Graph
    X_new: Any
    pairs: LinkPairs


def rows(data: str, seeds: range) -> list[Row | Pair]:
    """Take the tenth of nodes of lowest degree out, and find their links again."""
    problems: dict[int, NewNodes] = {}

    def one(model: Any, seed: int) -> Outcome:
        if seed not in problems:
            problems[seed] = problem(data, seed)
        return run(model, problems[seed])

    against = ["features: MLP", "features: linear", GCN, TEACHER]
    pairs = [(STUDENT, other) for other in against] + [(ROUTED, "features: cosine")]
    settings: dict[str, Any] = {"seeds": seeds, "metric": MRR, "paper": PAPER[data]}
    measured_here = comparison_rows(TITLE, data, candidates(), one, pairs=pairs, **settings)
    return [*only_in_the_paper(data), *measured_here]


def only_in_the_paper(data: str) -> list[Row]:
    """Methods whose figure the paper gives and that are not among ours."""

    def quote(figure: float) -> list[Record]:
        note = "the paper's figure only: not implemented here"
        return [measured(MRR, GROUP, {}, paper=figure, note=note)]

    return [
        Row(TITLE, data, name, lambda figure=figure: quote(figure))
        for name, figure in ONLY_PAPER[data].items()
    ]


def problem(data: str, seed: int) -> NewNodes:
    """The tenth of lowest degree as new nodes: those that had an edge to a known node."""
    found = catalog.load(data)
    graph = found.graph.positional()
    ties = derive(seed, data, "degree ties")
    new = degree_splits(graph, SHARE, 0, 0, random_state=ties).isolated
    known = np.setdiff1d(np.arange(graph.n_nodes), new)
    links = graph.to_scipy()[new][:, known].tocsr()
    asked = np.diff(links.indptr) > 0
    links = links[asked]
    row = np.repeat(np.arange(links.shape[0]), np.diff(links.indptr))
    pairs = LinkPairs(row, links.indices.astype(np.int64))
    return NewNodes(found.X[known], graph.subgraph(known), found.X[new[asked]], pairs)


def run(model: ColdBrewLinkPredictor, problem: NewNodes) -> Outcome:
    """Fit on the known nodes and rank them for the new ones."""
    model.fit(problem.X, graph=problem.graph)
    scaled = model.scaler_.transform(problem.X_new)
    ranks = rank_parts(model, scaled, problem.pairs, N_NEGATIVES, [model.part_])[MRR][model.part_]
    return Outcome(
        valid=model.part_scores_[model.part_],
        groups={GROUP: float(np.nanmean(ranks))},
        sizes={GROUP: len(ranks)},
    )


def candidates() -> list[Candidate]:
    """From the simplest to the most elaborate, with four configurations each."""
    linear = [{"n_negatives": k, "weight_decay": decay} for k in (1, 5) for decay in (0.0, 1e-5)]
    mlp = [{"n_negatives": k, "student_dropout": drop} for k in (1, 5) for drop in (0.5, 0.2)]
    gcn = [{"n_layers": layers, "n_negatives": k} for layers in (1, 2) for k in (1, 5)]
    teacher = [
        {"n_layers": layers, "structural_penalty": penalty}
        for layers in (1, 2)
        for penalty in (1e-2, 1e-4)
    ]
    student = [
        {"n_layers": layers, "part2_learning_rate": rate}
        for layers in (1, 2)
        for rate in (5e-5, 2e-4)
    ]
    whole = [
        {"n_layers": layers, "part2_learning_rate": rate}
        for layers in (1, 2)
        for rate in (2e-3, 5e-4)
    ]

    def of(part: str, **fixed: Any) -> Any:
        return lambda **chosen: ColdBrewLinkPredictor(cold_part=part, **fixed, **chosen)

    return [
        Candidate("popularity", of("popularity")),
        Candidate("features: cosine", of("features")),
        Candidate("features: linear", of("linear"), linear),
        Candidate("features: MLP", of("mlp"), mlp),
        Candidate(GCN, of("teacher", structural=None), gcn),
        Candidate(TEACHER, of("teacher"), teacher),
        Candidate("student whose part 2 is all (paper)", of("student", part2="whole"), whole),
        Candidate(STUDENT, of("student"), student),
        Candidate(ROUTED, of("auto"), student),
    ]
