"""What the degrees and labels of a graph say: groups of nodes by degree, and homophily."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError
from makedo.data.graph import Graph


@dataclass(frozen=True)
class DegreeSplits:
    """Groups of nodes by degree: disjoint arrays of positions, and the graph that is left."""

    isolated: np.ndarray  # had their edges removed, or had none
    tail: np.ndarray  # fewest edges among the nodes that have any left
    head: np.ndarray  # most edges
    collateral: (
        np.ndarray
    )  # all others without an edge in ``graph``, most of them because of the removal
    graph: Graph


def degree_splits(
    graph: Graph,
    isolated: float = 0.1,
    tail: float = 0.1,
    head: float = 0.1,
    random_state: int = 0,
) -> DegreeSplits:
    """Cut off the nodes of lowest degree and name the groups by degree of Cold Brew (ICLR 2022).

    Isolated are the ``ceil(isolated * n_nodes)`` nodes of lowest degree; all their edges are
    removed.  Tail are those of lowest degree above zero in what remains, head those of highest
    degree in the graph as it was (less any that the removal stranded).  Ties are broken at random.

    Parameters
    ----------
    graph : Graph
    isolated, tail, head : float, default=0.1
        Shares of all nodes, in [0, 1], together at most 1.
    random_state : int, default=0
        Seed of the order among nodes of equal degree.
    """
    shares = (isolated, tail, head)
    if not all(0 <= share <= 1 for share in shares) or sum(shares) > 1 + 1e-9:
        raise MakedoInputError(
            "degree_splits: isolated, tail and head are shares in [0, 1], together at most 1. "
            f"Got {shares}."
        )
    n = graph.n_nodes
    n_isolated, n_tail, n_head = (ceil(share * n - 1e-9) for share in shares)
    random_order = np.random.default_rng(random_state).permutation(n)

    def ascending(degree: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        return nodes[np.argsort(degree[nodes], kind="stable")]

    by_degree = ascending(graph.degree, random_order)
    low = by_degree[:n_isolated]
    rest = graph.without_edges_of(low)
    connected = rest.degree > 0
    high = by_degree[n_isolated:][::-1][:n_head]
    high = high[connected[high]]
    others = random_order[connected[random_order] & ~np.isin(random_order, high)]
    thin = ascending(rest.degree, others)[:n_tail]
    stranded = ~connected
    stranded[low] = False
    return DegreeSplits(np.sort(low), np.sort(thin), np.sort(high), np.flatnonzero(stranded), rest)


def homophily(graph: Graph, y: Any) -> float:
    """Mean over nodes of the share of neighbours with the same label: 1 when only like meets like.

    Nodes without a label (NaN, None, or -1 among integers) are left out, as node and as neighbour;
    nodes without labelled neighbours too.  NaN when none is left.
    """
    values = np.asarray(y)
    code = pd.factorize(pd.Series(values))[0]
    if values.dtype.kind == "i":
        code[values == -1] = -1
    rows = np.repeat(np.arange(graph.n_nodes), graph.degree)
    known = (code[rows] >= 0) & (code[graph.indices] >= 0)
    same = known & (code[rows] == code[graph.indices])
    n_known = np.bincount(rows, known, graph.n_nodes)
    n_same = np.bincount(rows, same, graph.n_nodes)
    has_any = n_known > 0
    return float((n_same[has_any] / n_known[has_any]).mean()) if has_any.any() else float("nan")
