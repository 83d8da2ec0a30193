"""Does the graph say anything about the data?  A permutation test of neighbours being alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from makedo.data.domains import DomainGraph

N_PERMUTATIONS, N_PROJECTIONS, N_QUANTILES = 999, 32, 16
DOUBTFUL = 0.1  # p-value above which the graph should be doubted


@dataclass(frozen=True)
class Relevance:
    """How alike neighbours are.

    Attributes
    ----------
    ratio : float
        Mean distance between neighbours over that between other domains; below 1 neighbours are
        alike.
    p_value : float
        Share of graphs with names dealt out at random whose ratio is as small.
    n_domains : int
    """

    ratio: float
    p_value: float
    n_domains: int


def domain_distances(
    X: np.ndarray, domain: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Sliced Wasserstein distances between the rows of domains, by quantiles along random lines.

    Parameters
    ----------
    X : ndarray (n, n_features)
        Scaled.
    domain : int64 (n,)

    Returns
    -------
    domains : int64 (n_present,)
    distance : (n_present, n_present)
    """
    lines = rng.normal(size=(X.shape[1], N_PROJECTIONS))
    lines /= np.linalg.norm(lines, axis=0)
    along = X @ lines  # (n, n_projections)
    domains = np.unique(domain)
    at = (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES
    profile = np.stack([np.quantile(along[domain == u], at, axis=0).ravel() for u in domains])
    square = ((profile[:, None] - profile[None]) ** 2).mean(2)
    return domains, np.sqrt(square)


def graph_relevance(
    graph: DomainGraph, domains: np.ndarray, distance: np.ndarray, rng: np.random.Generator
) -> Relevance | None:
    """Are neighbours less distant than others?  None where all pairs are of one kind.

    Parameters
    ----------
    graph : DomainGraph
    domains : int64 (n_present,)
        Positions of the domains that have rows.
    distance : (n_present, n_present)
    """
    adjacency = graph.adjacency[np.ix_(domains, domains)]
    i, j = np.triu_indices(len(domains), 1)
    near = adjacency[i, j]
    if near.all() or not near.any():
        return None

    def ratio(order: np.ndarray) -> float:
        values = distance[order[i], order[j]]
        return float(values[near].mean() / max(values[~near].mean(), 1e-12))

    seen = ratio(np.arange(len(domains)))
    chance = np.array([ratio(rng.permutation(len(domains))) for _ in range(N_PERMUTATIONS)])
    p = (1 + int((chance <= seen + 1e-12).sum())) / (1 + N_PERMUTATIONS)
    return Relevance(seen, p, len(domains))
