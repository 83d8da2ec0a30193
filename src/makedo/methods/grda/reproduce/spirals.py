"""DG-15 and DG-60: all methods, rows shuffled inside each domain; and the run that leaks.

Accuracy is the mean over target domains, in per cent.  The paper's figures are single runs of code
that pairs rows in the order of files sorted by class.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier

from makedo.core.candidates import Candidate, Outcome
from makedo.core.tables import Pair, Row, comparison_rows
from makedo.data import catalog
from makedo.data.domain_sets import DomainData
from makedo.methods.grda.classifier import GRDAClassifier
from makedo.methods.grda.reproduce.rivals import CIDA, CORAL, rivals
from makedo.methods.grda.sampling import Batch, Batches, deal

TITLE = "Domains along a spiral: accuracy on domains without labels"
LINEAR, HOPS, NETWORK = "source only, linear", "self-training along hops", "source only"
OURS, LEAK, AUTO = "GRDA, λ = 1", "GRDA, λ = 1, shared row order (leaks)", "default (chooses)"
PAPER = {
    "dg15": {NETWORK: 39.77, "DANN": 72.11, "ADDA-style": 69.00, "CDANN": 72.44, "MDD": 51.33,
             OURS: 84.44},
    "dg60": {NETWORK: 38.39, "DANN": 61.98, "ADDA-style": 32.17, "CDANN": 61.70, "MDD": 66.24,
             OURS: 96.76},
}  # fmt: skip
ADVERSARIES = {"DANN": "dann", "CDANN": "cdann", "ADDA-style": "adda", "MDD": "mdd"}


class SharedOrder(GRDAClassifier):
    """The released code's pairing: the b-th row of every domain, in one order for all."""

    def _batches(self, rows_of: dict[int, np.ndarray], adjacency: np.ndarray) -> Batches:
        domains = torch.tensor(list(rows_of))
        shortest = min(map(len, rows_of.values()))

        def batches(rng: np.random.Generator) -> Iterator[Batch]:
            places = deal(np.arange(shortest), shortest - shortest % self.batch_size, rng)
            for start in range(0, len(places), self.batch_size):
                some = places[start : start + self.batch_size]
                yield domains, torch.from_numpy(np.stack([rows_of[u][some] for u in rows_of]))

        return batches


@cache
def problem(name: str) -> DomainData:
    """The published file."""
    return catalog.load(name)


def run(model: Any, seed: int, name: str) -> Outcome:
    """Fit with rows in random order (sorted for the run that leaks) and score target domains."""
    data = problem(name)
    sources = next(iter(data.tasks.values()))
    order = np.random.default_rng(seed).permutation(len(data.y))
    if isinstance(model, SharedOrder):
        order = np.lexsort((data.y, data.domain))
    X, y, domain = data.X.to_numpy()[order], data.y[order], data.domain[order]
    graph = getattr(model, "given_graph", lambda graph, _: graph)(data.graph, seed)
    model.fit(X, y, domain=domain, graph=graph, sources=sources)
    return Outcome(float("nan"), {"targets": accuracy(model, X, y, domain, sources)})


def accuracy(model: Any, X: Any, y: np.ndarray, domain: np.ndarray, sources: Any) -> float:
    """Mean over target domains of the share of right answers."""
    right = model.predict(X, domain=domain) == y
    targets = np.setdiff1d(domain, sources)
    return float(np.mean([right[domain == u].mean() for u in targets]))


def network(**fixed: Any) -> Any:
    """Makes a network of given λ and adversary."""

    def make(**parameters: Any) -> GRDAClassifier:
        return GRDAClassifier(**{"method": "network", "domain_weight": 1.0} | fixed | parameters)

    return make


def leaking(**parameters: Any) -> SharedOrder:
    """GRDA on rows that are paired by class."""
    return SharedOrder("network", 1.0, **parameters)


def rows(data: str, seeds: range) -> list[Row | Pair]:
    """Source-only, the rivals, GRDA, self-training, what is chosen, and the run that leaks."""
    listed = [
        Candidate(LINEAR, network(method="linear")),
        Candidate(HOPS, network(method="self-training")),
        Candidate(NETWORK, network(domain_weight=0.0)),
        *(Candidate(name, network(adversary=kind)) for name, kind in ADVERSARIES.items()),
        *rivals(GRDAClassifier, HistGradientBoostingClassifier(max_iter=50), 1.0),
        Candidate("GRDA, λ = 0.1", network(domain_weight=0.1)),
        Candidate("GRDA, λ = 1, self-pairs", network(self_pairs="negative")),
        Candidate(OURS, network()),
        Candidate("GRDA, λ chosen", network(domain_weight="auto")),
        Candidate(AUTO, network(method="auto", domain_weight="auto")),
        Candidate(LEAK, leaking),
    ]
    others = (NETWORK, HOPS, *ADVERSARIES, CIDA, CORAL, LEAK)
    return comparison_rows(
        TITLE,
        data,
        listed,
        lambda model, seed: run(model, seed, data),
        seeds=seeds,
        paper={(name, "targets"): figure for name, figure in PAPER[data].items()},
        pairs=[(OURS, other) for other in others] + [(AUTO, HOPS)],
    )
