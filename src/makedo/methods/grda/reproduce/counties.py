"""Counties with a high crime rate, by region; and two cases where adaptation must not help.

"no shift": labels from the central counties, where source-only is as good as labels of targets.
"labels shift": a graph dealt out at random, and domains that differ in how frequent classes are.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from makedo.core.candidates import Candidate, Outcome
from makedo.core.tables import Pair, Row, comparison_rows
from makedo.data import catalog
from makedo.data.domain_sets import DomainData
from makedo.data.domains import DomainGraph
from makedo.methods.grda.classifier import GRDAClassifier
from makedo.methods.grda.reproduce.rivals import rivals
from makedo.methods.grda.reproduce.spirals import accuracy

TITLE = "Counties: high crime rate, labels in one region"
LINEAR, HOPS, NETWORK, AUTO = "source only, linear", "self-training along hops", "source only", (
    "default (chooses)"
)  # fmt: skip
ADAPTED = "GRDA, λ = 0.3"
N_DOMAINS, N_ROWS, N_SOURCES = 20, 40, 10


@cache
def problem(name: str, seed: int) -> tuple[Any, np.ndarray, np.ndarray, DomainGraph, list[Any]]:
    """X, y, domain, graph, sources."""
    if name in ("no shift", "labels shift"):
        return made(name, seed)
    data: DomainData = catalog.load("nc_crime")
    return data.X, data.y, data.domain, data.graph, data.tasks[name]


def made(name: str, seed: int) -> tuple[Any, np.ndarray, np.ndarray, DomainGraph, list[Any]]:
    """One rule everywhere, a random graph; with "labels shift" classes differ in frequency."""
    rng = np.random.default_rng(seed)
    domain = np.repeat(np.arange(N_DOMAINS), N_ROWS)
    share = rng.uniform(0.1, 0.9, N_DOMAINS) if name == "labels shift" else np.full(N_DOMAINS, 0.5)
    y = (rng.random(len(domain)) < share[domain]).astype(int)
    X = rng.normal(size=(len(domain), 4)) + 1.2 * y[:, None] * np.array([1, 0.5, 0, 0])
    graph = DomainGraph.from_chain(range(N_DOMAINS)).permuted(rng)
    return X, y, domain, graph, rng.permutation(N_DOMAINS)[:N_SOURCES].tolist()


def run(model: Any, seed: int, name: str) -> Outcome:
    """Fit, and score the target domains."""
    X, y, domain, graph, sources = problem(name, seed)
    model.fit(X, y, domain=domain, graph=graph, sources=sources)
    return Outcome(float("nan"), {"targets": accuracy(model, X, y, domain, sources)})


def rows(name: str, seeds: range) -> list[Row | Pair]:
    """Source-only, self-training, rivals, GRDA and what is chosen."""

    def classifier(**fixed: Any) -> Any:
        def make(**parameters: Any) -> GRDAClassifier:
            return GRDAClassifier(**fixed | parameters)

        return make

    listed = [
        Candidate(LINEAR, classifier(method="linear")),
        Candidate(HOPS, classifier(method="self-training")),
        Candidate(NETWORK, classifier(method="network", domain_weight=0.0)),
        Candidate("DANN", classifier(method="network", domain_weight=0.3, adversary="dann")),
        *rivals(GRDAClassifier, HistGradientBoostingClassifier(max_iter=50), 0.3),
        Candidate(ADAPTED, classifier(method="network", domain_weight=0.3)),
        Candidate(AUTO, classifier()),
    ]
    pairs = [(ADAPTED, NETWORK), (AUTO, LINEAR), (AUTO, ADAPTED)]
    return comparison_rows(
        TITLE, name, listed, lambda model, seed: run(model, seed, name), seeds=seeds, pairs=pairs
    )
