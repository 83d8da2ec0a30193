"""Does the graph matter?  The true graph, a permuted and a complete one on DG-15.

And an empty one, which is refused: that row holds the reason.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from makedo.core.candidates import Candidate, Outcome
from makedo.core.checks import MakedoWarning
from makedo.core.tables import Pair, Row, comparison_rows
from makedo.data.domains import DomainGraph
from makedo.methods.grda.classifier import GRDAClassifier
from makedo.methods.grda.reproduce.spirals import run

TITLE = "The graph matters: other graphs on DG-15"


def _permuted(graph: DomainGraph, seed: int) -> DomainGraph:
    return graph.permuted(np.random.default_rng(seed))


def _complete(graph: DomainGraph, seed: int) -> DomainGraph:
    return DomainGraph.complete(graph.names)


def _empty(graph: DomainGraph, seed: int) -> DomainGraph:
    return DomainGraph(graph.names, np.zeros_like(graph.adjacency))


GRAPHS = {"true": None, "permuted": _permuted, "complete": _complete, "empty": _empty}
OTHERS = ("permuted", "complete")
WAYS: dict[str, dict[str, Any]] = {
    "GRDA": {},
    "GRDA, self-pairs": {"self_pairs": "negative"},
    "self-training": {"method": "self-training"},
}


def rows(data: str, seeds: range) -> list[Row | Pair]:
    """Each way with each graph, and what the other graphs cost it."""

    def one(model: Any, seed: int) -> Outcome:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MakedoWarning)  # of the complete graph
            return run(model, seed, data)

    def candidate(way: str, graph: str) -> Candidate:
        def make(**parameters: Any) -> GRDAClassifier:
            settings: dict[str, Any] = {"method": "network", "domain_weight": 0.1} | WAYS[way]
            model = GRDAClassifier(**settings | parameters)
            if GRAPHS[graph] is not None:
                vars(model)["given_graph"] = GRAPHS[graph]
            return model

        return Candidate(f"{way}, {graph} graph", make)

    listed = [candidate(way, graph) for way in WAYS for graph in ("true", *OTHERS)]
    pairs = [(f"{way}, true graph", f"{way}, {graph} graph") for way in WAYS for graph in OTHERS]
    listed.append(candidate("GRDA", "empty"))
    return comparison_rows(TITLE, data, listed, one, seeds=seeds, pairs=pairs)
