"""Which domains are neighbours: a graph of states, stores, machines or years; ways to make one.

The nodes of a :class:`DomainGraph` are domains, each with a name; many rows of a table belong to
one.  It is not a graph whose nodes are rows: that is :class:`makedo.data.graph.Graph`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components, shortest_path

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first
from makedo.data.edges import check_ids

UNREACHABLE = -1  # in hops: no path leads there
ACCEPTED = (
    "a DomainGraph, pairs of names, a table of edges (columns source and target, else its first "
    "two), a square table with the same names as index and columns, a square array or sparse "
    "matrix, or a networkx graph"
)


class DomainGraph:
    """Which domains are neighbours; undirected, unweighted, without self loops.

    Make one with :meth:`from_edges`, :meth:`from_adjacency`, :meth:`from_networkx`,
    :meth:`from_knn`, :meth:`from_chain`, :meth:`from_gal` or :meth:`complete`.

    Parameters
    ----------
    names : sequence of length n_domains
        Unique.
    adjacency : bool ndarray of shape (n_domains, n_domains)
        Symmetric, False on the diagonal.

    Examples
    --------
    >>> graph = DomainGraph.from_edges([("WA", "OR"), ("OR", "CA")])
    >>> graph
    DomainGraph(3 domains, 2 edges)
    >>> graph.neighbors("OR")
    ['WA', 'CA']
    >>> graph.hops(["WA"]).tolist()
    [0, 1, 2]
    """

    def __init__(self, names: Any, adjacency: np.ndarray):
        self.names = check_ids(names, "domain graph")
        self.adjacency = np.asarray(adjacency, dtype=bool)
        n = len(self.names)
        if self.adjacency.shape != (n, n):
            raise MakedoInputError(
                f"domain graph: {count(n, 'name')} need an adjacency of shape ({n}, {n}). Got "
                f"{self.adjacency.shape}."
            )
        if (self.adjacency != self.adjacency.T).any() or self.adjacency.diagonal().any():
            raise MakedoInputError(
                "domain graph: the adjacency must be symmetric with a diagonal of zeros. Use "
                "DomainGraph.from_adjacency, which mends both."
            )

    def __repr__(self) -> str:
        return f"DomainGraph({count(self.n_domains, 'domain')}, {count(self.n_edges, 'edge')})"

    # --- making one -------------------------------------------------------------------------------

    @classmethod
    def from_edges(cls, edges: Any, *, names: Any = None, where: str = "edges") -> DomainGraph:
        """Make one from pairs of neighbours.

        Parameters
        ----------
        edges : sequence of pairs of names, or table
            A table has the columns ``source`` and ``target``, else its first two are taken.  Each
            pair may be there in one direction or in both.
        names : sequence, optional
            All domains, in the order wanted; it may hold some without an edge.  Default: those that
            the edges name, as they first come.
        where : str
            What messages call the edges.

        Raises
        ------
        MakedoInputError
            No pair and no names, a pair of other than two names, a missing name, one that is not
            in ``names``.

        Warns
        -----
        MakedoWarning
            A domain is listed as its own neighbour; that pair is left out.
        """
        source, target = _pairs(edges, where)
        if names is None and not len(source):
            raise MakedoInputError(
                f"{where}: there is no edge. Give at least one pair of neighbours."
            )
        if names is None:
            names = pd.unique(np.column_stack([source, target]).ravel())
        ids = check_ids(names, "domain names")
        ends = [ids.get_indexer(pd.Index(end, tupleize_cols=False)) for end in (source, target)]
        unknown = [name for end, at in zip((source, target), ends, strict=True)
                   for name, place in zip(end, at, strict=True) if place < 0]  # fmt: skip
        if unknown:
            different = list(dict.fromkeys(unknown))
            raise MakedoInputError(
                f"{where}: {count(len(different), 'domain')} not among names (first: "
                f"{first(different)}). Add them to names, or drop their edges."
            )
        adjacency = np.zeros((len(ids), len(ids)), dtype=bool)
        adjacency[ends[0], ends[1]] = True
        return cls(ids, _undirected(adjacency, ids, where))

    @classmethod
    def from_adjacency(
        cls, matrix: Any, *, names: Any = None, threshold: float = 0.0, where: str = "adjacency"
    ) -> DomainGraph:
        """Make one from a square matrix; entries above ``threshold`` are edges.

        Parameters
        ----------
        matrix : array, sparse matrix or data frame of shape (n_domains, n_domains)
            A pair counts as neighbours if either direction says so.
        names : sequence, optional
            Default: the index of a data frame, else 0, 1, 2 ...
        threshold : float, default=0.0

        Raises
        ------
        MakedoInputError
            Not square, not numbers, an index that differs from the columns.

        Warns
        -----
        MakedoWarning
            The diagonal holds entries; they are left out.
        """
        if isinstance(matrix, pd.DataFrame):
            if list(matrix.index) != list(matrix.columns):
                raise MakedoInputError(
                    f"{where}: the index and the columns must be the same names in the same order. "
                    "Set both to the names of the domains."
                )
            names = matrix.index if names is None else names
            matrix = matrix.to_numpy()
        dense = matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)
        if dense.ndim != 2 or dense.shape[0] != dense.shape[1] or dense.dtype.kind not in "biuf":
            raise MakedoInputError(
                f"{where} must be a square matrix of numbers. Got {dense.dtype} of shape "
                f"{dense.shape}."
            )
        if not np.isfinite(dense).all():
            raise MakedoInputError(f"{where} holds NaN or infinite values. Set them to 0.")
        ids = pd.RangeIndex(len(dense)) if names is None else check_ids(names, "domain names")
        return cls(ids, _undirected(dense > threshold, ids, where))

    @classmethod
    def from_networkx(cls, graph: Any) -> DomainGraph:
        """Make one from a networkx graph, whose nodes are the names."""
        return cls.from_edges(list(graph.edges()), names=list(graph.nodes()))

    @classmethod
    def from_knn(cls, coordinates: Any, k: int = 3, *, names: Any = None) -> DomainGraph:
        """Link each domain to the ``k`` nearest by Euclidean distance, and those to it.

        Parameters
        ----------
        coordinates : data frame or array of shape (n_domains, n_coordinates)
            Latitude and longitude should be projected first where distances are large.
        k : int, default=3
        names : sequence, optional
            Default: the index of a data frame, else 0, 1, 2 ...
        """
        if isinstance(coordinates, pd.DataFrame) and names is None:
            names = coordinates.index
        points = np.asarray(coordinates, dtype=float)
        if points.ndim != 2 or not np.isfinite(points).all():
            raise MakedoInputError(
                "coordinates must be a table of finite numbers, one row a domain. Got shape "
                f"{points.shape}."
            )
        n = len(points)
        if not 1 <= k < n:
            raise MakedoInputError(
                f"k must be at least 1 and below the number of domains, {n}. Got {k}."
            )
        distance = ((points[:, None] - points[None]) ** 2).sum(2)  # (n, n)
        np.fill_diagonal(distance, np.inf)
        adjacency = np.zeros((n, n), dtype=bool)
        adjacency[np.arange(n)[:, None], np.argsort(distance, 1, kind="stable")[:, :k]] = True
        ids = pd.RangeIndex(n) if names is None else names
        return cls(ids, adjacency | adjacency.T)

    @classmethod
    def from_chain(cls, order: Iterable[Any]) -> DomainGraph:
        """Link each domain to the next one: years, ages, positions along a line."""
        names = check_ids(list(order), "order")
        return cls(
            names, np.eye(len(names), k=1, dtype=bool) | np.eye(len(names), k=-1, dtype=bool)
        )

    @classmethod
    def complete(cls, names: Iterable[Any]) -> DomainGraph:
        """Make every domain a neighbour of every other."""
        ids = check_ids(list(names), "domain names")
        return cls(ids, ~np.eye(len(ids), dtype=bool))

    @classmethod
    def from_gal(cls, path: str | Path) -> DomainGraph:
        """Read the text form of GeoDa and PySAL: ``name n_neighbors``, then a line of neighbours.

        The names are text.

        Raises
        ------
        MakedoInputError
            The file is not of this form.
        """
        where = Path(path).name
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise MakedoInputError(f"{path} cannot be read as text ({error}).") from error
        names, pairs, at = [], [], 1  # the first line holds the number of domains
        while at < len(lines):
            head = lines[at].split()
            if not head:
                at += 1
                continue
            if len(head) != 2 or not head[1].isdigit():
                raise MakedoInputError(
                    f"{where}: line {at + 1:,} must hold a name and the number of its neighbours. "
                    f"Got {lines[at]!r}."
                )
            n_neighbors, found = int(head[1]), []
            at += 1
            if n_neighbors:
                found = lines[at].split() if at < len(lines) else []
                at += 1
            if len(found) != n_neighbors:
                raise MakedoInputError(
                    f"{where}: {head[0]!r} should have {count(n_neighbors, 'neighbour')}; line "
                    f"{at:,} names {len(found)}."
                )
            names.append(head[0])
            pairs += [(head[0], name) for name in found]
        return cls.from_edges(pairs, names=names, where=where)

    # --- what it says -----------------------------------------------------------------------------

    @property
    def n_domains(self) -> int:
        """Number of domains, those without an edge included."""
        return len(self.names)

    @property
    def n_edges(self) -> int:
        """Number of pairs of neighbours."""
        return int(self.adjacency.sum()) // 2

    @property
    def degree(self) -> np.ndarray:
        """Number of neighbours of each domain, int64 of shape (n_domains,)."""
        return self.adjacency.sum(1)

    @property
    def components(self) -> np.ndarray:
        """Number of the connected part that each domain belongs to, (n_domains,)."""
        return connected_components(self.adjacency, directed=False)[1]

    @property
    def diameter(self) -> int:
        """Most hops between two domains that a path joins."""
        distance = self.distances()
        return int(distance.max(initial=0))

    def distances(self) -> np.ndarray:
        """Hops between domains, int64 of shape (n_domains, n_domains); -1 where no path leads."""
        hops = shortest_path(self.adjacency.astype(float), directed=False, unweighted=True)
        return np.where(np.isfinite(hops), hops, UNREACHABLE).astype(np.int64)

    def hops(self, sources: Iterable[Any]) -> np.ndarray:
        """Hops of each domain to the nearest of some, int64 (n_domains,); -1 where none leads."""
        at = self.positions(list(sources))
        far = self.n_domains  # more than any path
        distance = self.distances()[at]
        nearest = np.where(distance < 0, far, distance).min(0, initial=far)
        return np.where(nearest == far, UNREACHABLE, nearest)

    def neighbors(self, name: Any) -> list[Any]:
        """Names of the neighbours of a domain."""
        return self.names[self.adjacency[self.positions([name])[0]]].tolist()

    def positions(self, domains: Any, where: str = "domain") -> np.ndarray:
        """Positions of domains given by name, int64 of the same length.

        Numbers that are whole match the same whole numbers, whatever their type.

        Raises
        ------
        MakedoInputError
            One is missing, or is not in the graph.
        """
        given = pd.Index(_plain(domains), tupleize_cols=False)
        if given.hasnans:
            raise MakedoInputError(
                f"{where}: {count(int(given.isna().sum()), 'row')} without a domain. Every row "
                "needs one: fill them in, or drop those rows."
            )
        found = self.names.get_indexer(given)
        if (found < 0).any():
            unknown = given[found < 0].unique()
            hint = ""
            if set(unknown.astype(str)) & set(self.names.astype(str)):
                hint = " The graph has them as another type: use text, or numbers, in both."
            raise MakedoInputError(
                f"{where}: {count(len(unknown), 'domain')} not in the graph (first: "
                f"{first(unknown)}; the graph has {first(self.names)} …).{hint} Add them to the "
                "graph, or leave their rows out."
            )
        return found.astype(np.int64)

    # --- other forms ------------------------------------------------------------------------------

    def edges(self) -> np.ndarray:
        """Each edge once, as positions (smaller, larger): int64 of shape (n_edges, 2)."""
        return np.argwhere(np.triu(self.adjacency))

    def subgraph(self, positions: np.ndarray) -> DomainGraph:
        """The graph of some domains, in the order given."""
        return DomainGraph(self.names[positions], self.adjacency[np.ix_(positions, positions)])

    def permuted(self, rng: np.random.Generator) -> DomainGraph:
        """The same graph with its names dealt out at random: as many edges, no meaning."""
        order = rng.permutation(self.n_domains)
        return DomainGraph(self.names, self.adjacency[np.ix_(order, order)])

    def to_state(self) -> dict[str, Any]:
        """Plain values from which :meth:`from_state` makes the same graph."""
        return {"names": self.names, "adjacency": self.adjacency.astype(np.uint8)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> DomainGraph:
        """Make the graph that :meth:`to_state` described."""
        return cls(state["names"], np.asarray(state["adjacency"], dtype=bool))


def as_domain_graph(graph: Any, where: str = "graph") -> DomainGraph:
    """Return a :class:`DomainGraph` of whatever a user holds.

    Raises
    ------
    MakedoInputError
        It is none of the accepted forms, or has no edges.
    """
    if graph is None:
        raise MakedoInputError(f"{where}: no graph of domains is given. Pass {ACCEPTED}.")
    made = _convert(graph, where)
    if made.n_edges == 0:
        raise MakedoInputError(
            f"{where}: the graph of {count(made.n_domains, 'domain')} has no edges, so it says "
            "nothing about which domains are alike. Give its edges, for example by "
            "DomainGraph.from_knn, or train on the sources alone."
        )
    return made


def _convert(graph: Any, where: str) -> DomainGraph:
    if isinstance(graph, DomainGraph):
        return graph
    if hasattr(graph, "to_pandas"):  # polars, pyarrow
        graph = graph.to_pandas()
    if isinstance(graph, pd.DataFrame):
        square = graph.shape[0] == graph.shape[1] and list(graph.index) == list(graph.columns)
        return (DomainGraph.from_adjacency if square else DomainGraph.from_edges)(
            graph, where=where
        )
    if hasattr(graph, "nodes") and hasattr(graph, "edges"):
        return DomainGraph.from_networkx(graph)
    if sp.issparse(graph) or isinstance(graph, np.ndarray):
        return DomainGraph.from_adjacency(graph, where=where)
    if isinstance(graph, (list, tuple)):
        return DomainGraph.from_edges(graph, where=where)
    raise MakedoInputError(
        f"{where}: a {type(graph).__name__} is no graph of domains. Pass {ACCEPTED}."
    )


def _pairs(edges: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of each edge, as object arrays of the same length."""
    if hasattr(edges, "to_pandas"):
        edges = edges.to_pandas()
    if isinstance(edges, pd.DataFrame):
        named = {"source", "target"} <= set(edges.columns)
        if edges.shape[1] < 2:
            raise MakedoInputError(
                f"{where}: a table of edges needs two columns, source and target."
            )
        edges = edges[["source", "target"] if named else list(edges.columns[:2])]
        edges = list(edges.itertuples(index=False, name=None))
    pairs = list(edges)
    bad = [pair for pair in pairs if not hasattr(pair, "__len__") or len(pair) != 2
           or isinstance(pair, str)]  # fmt: skip
    if bad:
        raise MakedoInputError(
            f"{where}: {count(len(bad))} of {count(len(pairs), 'edge')} are not pairs of names "
            f"(first: {bad[0]!r})."
        )
    ends = np.empty((2, len(pairs)), dtype=object)
    for i, (a, b) in enumerate(pairs):
        ends[0, i], ends[1, i] = _plain_one(a), _plain_one(b)
    if pd.isna(ends.ravel()).any():
        raise MakedoInputError(f"{where}: an edge lacks a name. Fill it in, or drop the edge.")
    return ends[0], ends[1]


def _undirected(adjacency: np.ndarray, names: pd.Index, where: str) -> np.ndarray:
    """Both directions, and no domain next to itself."""
    loops = np.flatnonzero(adjacency.diagonal())
    if len(loops):
        warnings.warn(
            f"{where}: {count(len(loops), 'domain')} listed as their own neighbour (first: "
            f"{first(names[loops])}); a self loop says nothing and is left out.",
            MakedoWarning,
            stacklevel=4,
        )
    both = adjacency | adjacency.T
    np.fill_diagonal(both, False)
    return both


def _plain(domains: Any) -> Any:
    """Names without the type that a container gave them: whole floats are integers."""
    if hasattr(domains, "detach"):
        domains = domains.detach().cpu().numpy()
    values = pd.Series(domains).array
    if values.dtype.kind == "f":
        numbers = np.asarray(values, dtype=float)
        known = numbers[~np.isnan(numbers)]
        if (
            np.isfinite(known).all()
            and (known == np.floor(known)).all()
            and len(known) == len(numbers)
        ):
            return numbers.astype(np.int64)
    return values


def _plain_one(name: Any) -> Any:
    if isinstance(name, np.generic):
        name = name.item()
    return int(name) if isinstance(name, float) and name.is_integer() else name
