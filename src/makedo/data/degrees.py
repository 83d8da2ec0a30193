"""What the degrees and labels of a graph say: groups of nodes by degree, and homophily."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError
from makedo.data.graph import Graph

METHODS = ("paper", "official")
SHARE = 0.1  # of all nodes, by the paper
STEPS_DOWN, STEPS_UP = 4, 5  # medians of medians, in the paper's released code


@dataclass(frozen=True)
class DegreeSplits:
    """Groups of nodes by degree: disjoint arrays of positions, and the graph that is left."""

    isolated: np.ndarray  # had their edges removed, or had none
    tail: np.ndarray  # few edges
    head: np.ndarray  # most edges
    # All others without an edge in ``graph``, most of them because of the removal.
    collateral: np.ndarray
    graph: Graph


def degree_splits(
    graph: Graph,
    isolated: float = SHARE,
    tail: float = SHARE,
    head: float = SHARE,
    *,
    method: str = "paper",
    random_state: int = 0,
) -> DegreeSplits:
    """Cut off the nodes of lowest degree and name the groups by degree of Cold Brew (ICLR 2022).

    The paper's rule.  Isolated are the ``ceil(isolated * n_nodes)`` nodes of lowest degree; all
    their edges are removed.  Tail are those of lowest degree above zero in what remains, head those
    of highest degree in the graph as it was (less any that the removal stranded).

    The rule of its released code, ``method="official"``.  The nodes up to the fourth repeated
    median of the degrees (the median, then the median of the degrees up to it, and so on) are put
    in order: the first half is isolated, the second half is tail.  Head are the nodes from the
    fifth repeated median upwards.  The sizes follow from the degrees and can be far from a tenth;
    tail nodes that the removal strands stay in the tail.

    Ties are broken at random.

    Parameters
    ----------
    graph : Graph
    isolated, tail, head : float, default=0.1
        Shares of all nodes, in [0, 1], together at most 1; the official rule has none.
    method : {"paper", "official"}, default="paper"
    random_state : int, default=0
        Seed of the order among nodes of equal degree.

    Examples
    --------
    >>> star = Graph.from_edges([[0, 0, 0, 0], [1, 2, 3, 4]])
    >>> splits = degree_splits(star, isolated=0.4, tail=0.4, head=0.2)
    >>> len(splits.isolated), len(splits.tail), splits.head.tolist(), splits.graph
    (2, 2, [0], Graph(5 nodes, 2 edges))
    """
    shares = (isolated, tail, head)
    if method not in METHODS:
        raise MakedoInputError(
            f"degree_splits: method must be one of 'paper', 'official'. Got {method!r}."
        )
    if not all(0 <= share <= 1 for share in shares) or sum(shares) > 1 + 1e-9:
        raise MakedoInputError(
            "degree_splits: isolated, tail and head are shares in [0, 1], together at most 1. "
            f"Got {shares}."
        )
    if method == "official" and shares != (SHARE,) * 3:
        raise MakedoInputError(
            "degree_splits: the official rule takes no shares, its sizes follow from the degrees. "
            f"Got {shares}: leave them out, or use the rule of the paper."
        )
    random_order = np.random.default_rng(random_state).permutation(graph.n_nodes)
    if method == "official":
        return _official_splits(graph, random_order)
    return _paper_splits(graph, random_order, *shares)


def _paper_splits(
    graph: Graph, random_order: np.ndarray, isolated: float, tail: float, head: float
) -> DegreeSplits:
    n = graph.n_nodes
    n_isolated, n_tail, n_head = (ceil(share * n - 1e-9) for share in (isolated, tail, head))
    by_degree = _ascending(graph.degree, random_order)
    low = by_degree[:n_isolated]
    rest = graph.without_edges_of(low)
    connected = rest.degree > 0
    high = by_degree[n_isolated:][::-1][:n_head]
    high = high[connected[high]]
    others = random_order[connected[random_order] & ~np.isin(random_order, high)]
    return _groups(rest, low, _ascending(rest.degree, others)[:n_tail], high)


def _official_splits(graph: Graph, random_order: np.ndarray) -> DegreeSplits:
    degree = graph.degree
    most, least = np.median(degree), np.median(degree)
    for _ in range(STEPS_DOWN - 1):
        most = np.median(degree[degree <= most])
    for _ in range(STEPS_UP - 1):
        least = np.median(degree[degree >= least])
    low = _ascending(degree, random_order[degree[random_order] <= most])
    half = len(low) // 2
    # Where most nodes have one degree, a node can be both low and high: then it is low.
    high = np.setdiff1d(np.flatnonzero(degree >= least), low)
    return _groups(graph.without_edges_of(low[:half]), low[:half], low[half:], high)


def _ascending(degree: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Return the nodes by degree; those of equal degree stay in the order given."""
    return nodes[np.argsort(degree[nodes], kind="stable")]


def _groups(rest: Graph, low: np.ndarray, thin: np.ndarray, high: np.ndarray) -> DegreeSplits:
    stranded = rest.degree == 0
    for named in (low, thin, high):
        stranded[named] = False
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
