"""Graphs made to order: sizes, degrees, homophily and features as asked, in seconds at a million.

For what real data cannot show: how time and memory grow with the number of nodes, and how near a
method comes to the best answer that there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from makedo.core.checks import MakedoInputError, Number
from makedo.data.graph import Graph

ROWS = 65_536  # rows of features made at once
FULL = 0.25  # of the pairs inside, or between, classes that may be edges: drawing stays quick
LIMITS = {
    "n_nodes": Number(2, integer=True),
    "n_classes": Number(1, integer=True),
    "n_features": Number(1, integer=True),
    "mean_degree": Number(0),
    "homophily": Number(0, 1),
    "degree_exponent": Number(2, open_low=True),
    "signal": Number(0),
    "random_state": Number(0, integer=True),
}


@dataclass(frozen=True)
class BlockModelGraph:
    """A graph out of :func:`sbm_graph`, with what it was drawn from.

    Attributes
    ----------
    X : float32 ndarray of shape (n_nodes, n_features)
    y : int64 ndarray of shape (n_nodes,)
        Class of each node.
    graph : Graph
    centers : float32 ndarray of shape (n_classes, n_features)
        Mean of the features of each class.
    propensity : float64 ndarray of shape (n_nodes,)
        θ, expected degree over ``mean_degree``, nearly.
    """

    X: np.ndarray
    y: np.ndarray
    graph: Graph
    centers: np.ndarray
    propensity: np.ndarray

    def best_guess(self, X: np.ndarray) -> np.ndarray:
        """The most probable class of rows without edges: no classifier is right more often.

        All classes are as frequent and all features have variance 1, so it is the class with the
        nearest center.  X (n_rows, n_features) -> int64 (n_rows,)
        """
        closeness = X @ self.centers.T - (self.centers**2).sum(1) / 2  # (n_rows, n_classes)
        return closeness.argmax(1)


def sbm_graph(
    n_nodes: int,
    n_classes: int,
    *,
    n_features: int = 64,
    mean_degree: float = 10.0,
    homophily: float = 0.8,
    degree_exponent: float = 2.5,
    signal: float = 2.0,
    random_state: int = 0,
) -> BlockModelGraph:
    r"""Draw a degree-corrected block model whose nodes have features.

    1. Classes: uniform, independent.
    2. Propensities: :math:`\theta_i` from the density :math:`\propto \theta^{-\gamma}` on [1, b],
       divided by their mean.  b is the cut-off where two nodes of one class would expect about
       one edge: an expected degree of :math:`\sqrt{n\, \bar d / C}`.
    3. Edges: of ``m = round(n_nodes * mean_degree / 2)``, ``round(homophily * m)`` lie inside a
       class, node i and j of class c with probability
       :math:`\propto \theta_i \theta_j / \sum_{k \in c} \theta_k`; the others join two classes,
       with probability :math:`\propto \theta_i \theta_j`.  They are drawn one by one; loops and
       edges that are there already are drawn again, so that there are exactly m.
    4. Features: :math:`x_i = s\, u_{y_i} + \varepsilon_i` with :math:`u_c` random unit vectors and
       :math:`\varepsilon` standard normal, independent of the edges given the class.

    Parameters
    ----------
    n_nodes, n_classes, n_features : int
    mean_degree : float, default=10
        :math:`\bar d`; exact up to rounding.
    homophily : float, default=0.8
        Share of edges inside classes; exact up to rounding.
    degree_exponent : float, default=2.5
        :math:`\gamma > 2`, exponent of the tail of the degrees; ``inf`` is the plain block model.
    signal : float, default=2.0
        s, distance of the center of a class from the origin.
    random_state : int, default=0
        The result is the same, bit for bit, for the same arguments.

    Raises
    ------
    MakedoInputError
        A parameter out of its range; more edges than a quarter of the pairs that there are.

    Examples
    --------
    >>> data = sbm_graph(1000, 4, mean_degree=6, random_state=0)
    >>> data.graph
    Graph(1,000 nodes, 3,000 edges)
    """
    given = locals()
    for name, limit in LIMITS.items():
        if not limit.accepts(given[name]):
            raise MakedoInputError(
                f"sbm_graph: parameter {name} must be {limit}. Got {given[name]!r}."
            )
    rng = np.random.default_rng(random_state)
    y = rng.integers(n_classes, size=n_nodes)
    propensity = _propensities(rng, n_nodes, n_classes, mean_degree, degree_exponent)
    n_edges = round(n_nodes * mean_degree / 2)
    n_inside = round(homophily * n_edges)
    _check_room(y, n_inside, n_edges - n_inside)
    draw = _Ends(y, propensity)
    keys = np.concatenate(
        [
            _distinct(rng, n_inside, draw.inside, n_nodes),
            _distinct(rng, n_edges - n_inside, draw.between, n_nodes),
        ]
    )
    centers = rng.standard_normal((n_classes, n_features), dtype=np.float32)
    centers *= np.float32(signal) / np.linalg.norm(centers, axis=1, keepdims=True)
    X = rng.standard_normal((n_nodes, n_features), dtype=np.float32)
    for start in range(0, n_nodes, ROWS):
        X[start : start + ROWS] += centers[y[start : start + ROWS]]
    return BlockModelGraph(X, y, _graph_of(keys, n_nodes), centers, propensity)


def _propensities(
    rng: np.random.Generator, n: int, n_classes: int, mean_degree: float, exponent: float
) -> np.ndarray:
    """Values with density ∝ θ^-γ on [1, b], by the inverse of its distribution, over their mean."""
    a = exponent - 1
    mean = 1 / (1 - 1 / a)  # on [1, inf)
    cut = max(1.0, np.sqrt(n / n_classes / max(mean_degree, 1e-12)) * mean)
    theta = (1 - rng.random(n) * (1 - cut**-a)) ** (-1 / a)
    return theta / theta.mean()


def _check_room(y: np.ndarray, n_inside: int, n_between: int) -> None:
    sizes = np.bincount(y).astype(float)
    inside = (sizes * (sizes - 1)).sum() / 2
    between = len(y) * (len(y) - 1) / 2 - inside
    for wanted, pairs, what in (
        (n_inside, inside, "inside classes"),
        (n_between, between, "between classes"),
    ):
        if wanted > FULL * pairs:
            raise MakedoInputError(
                f"sbm_graph: {wanted:,} edges {what}, where there are {pairs:,.0f} pairs of nodes; "
                f"at most {FULL:.0%} of them can be drawn. Lower mean_degree, or take more nodes."
            )


class _Ends:
    """Draws pairs of nodes with probability ∝ θ_i θ_j, inside one class or between two."""

    def __init__(self, y: np.ndarray, propensity: np.ndarray):
        self.y = y
        self.order = np.argsort(y, kind="stable")  # nodes of one class side by side
        self.upto = np.concatenate([[0.0], np.cumsum(propensity[self.order])])
        first = np.searchsorted(y[self.order], np.arange(y.max() + 2))  # of each class, and the end
        self.start = self.upto[first]

    def nodes(self, low: np.ndarray | float, high: np.ndarray | float, u: np.ndarray) -> np.ndarray:
        """The nodes over which the points of [low, high) lie, θ_i wide each."""
        at = np.searchsorted(self.upto, low + u * (high - low), side="right") - 1
        return self.order[np.minimum(at, len(self.order) - 1)]

    def inside(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        one = self.nodes(0.0, self.upto[-1], rng.random(n))
        c = self.y[one]
        other = self.nodes(self.start[c], self.start[c + 1], rng.random(n))
        same = self.y[other] == c  # rounding at the border of two classes
        return one[same], other[same]

    def between(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        one, other = (self.nodes(0.0, self.upto[-1], rng.random(n)) for _ in range(2))
        apart = self.y[one] != self.y[other]
        return one[apart], other[apart]


def _distinct(rng: np.random.Generator, n_edges: int, draw, n_nodes: int) -> np.ndarray:
    """Exactly ``n_edges`` different edges out of ``draw``, as smaller end · n_nodes + larger."""
    keys = np.empty(0, dtype=np.int64)
    while len(keys) < n_edges:
        one, other = draw(rng, int(1.1 * (n_edges - len(keys))) + 16)
        low, high = np.minimum(one, other), np.maximum(one, other)
        fresh = (low * n_nodes + high)[low != high]
        every = np.concatenate([keys, fresh])
        keys = every[np.sort(np.unique(every, return_index=True)[1])]  # in the order drawn
    return keys[:n_edges]


def _graph_of(keys: np.ndarray, n_nodes: int) -> Graph:
    ends = keys // n_nodes, keys % n_nodes
    rows, columns = np.concatenate(ends), np.concatenate(ends[::-1])
    ones = np.ones(len(rows), dtype=np.float32)
    matrix = sp.coo_matrix((ones, (rows, columns)), (n_nodes, n_nodes)).tocsr()
    matrix.sort_indices()
    return Graph(matrix.indptr, matrix.indices)
