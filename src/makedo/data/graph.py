"""Graphs of nodes that are rows of a table: one container, and the ways to make it.

A :class:`Graph` is undirected, has no self loops and no edge twice, and knows its nodes' ids if
they have any. :func:`as_graph` turns whatever a user holds (edge table, sparse matrix, networkx,
PyG ...) into one whose node ``i`` is row ``i`` of ``X``, or refuses.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first
from makedo.data.edges import (
    check_ids,
    check_positions,
    check_weight,
    is_text,
    read_edges,
    to_numpy,
    unknown_nodes_error,
)

ACCEPTED = (
    "a makedo Graph, a table of edges (columns source, target and perhaps weight), an edge_index "
    "of shape (2, n_edges), a square scipy sparse matrix, a networkx graph or a PyG Data"
)


class Graph:
    """Who is connected with whom, for nodes that are rows of a table.

    Undirected, without self loops, each edge once; stored by rows (CSR) with both directions.  Make
    one with :meth:`from_edges`.  It has no length and no shape on purpose: scikit-learn's splitters
    then hand it on whole, and the estimator takes the part it needs by ``node_id``.

    Parameters
    ----------
    indptr : ndarray of int64, shape (n_nodes + 1,)
    indices : ndarray of int64, shape (2 * n_edges,)
        Neighbours of node ``i`` are ``indices[indptr[i]:indptr[i + 1]]``, ascending.
    weight : ndarray of float32, shape (2 * n_edges,), or None
        Positive; None means that every edge counts 1.
    node_id : Index of length n_nodes, or None
        Unique; None means that nodes are known by position only.

    Examples
    --------
    >>> graph = Graph.from_edges([[0, 1, 1], [1, 2, 2]])
    >>> graph
    Graph(3 nodes, 2 edges)
    >>> graph.degree
    array([1, 2, 1])
    """

    def __init__(
        self,
        indptr: np.ndarray,
        indices: np.ndarray,
        weight: np.ndarray | None = None,
        node_id: pd.Index | None = None,
    ):
        self.indptr = np.asarray(indptr, dtype=np.int64)
        self.indices = np.asarray(indices, dtype=np.int64)
        self.weight = None if weight is None else np.asarray(weight, dtype=np.float32)
        self.node_id = node_id

    def __repr__(self) -> str:
        return f"Graph({count(self.n_nodes, 'node')}, {count(self.n_edges, 'edge')})"

    @property
    def n_nodes(self) -> int:
        """Number of nodes, isolated ones included."""
        return len(self.indptr) - 1

    @property
    def n_edges(self) -> int:
        """Number of undirected edges."""
        return len(self.indices) // 2

    @property
    def degree(self) -> np.ndarray:
        """Number of neighbours of each node, int64 of shape (n_nodes,)."""
        return np.diff(self.indptr)

    # --- making one ------------------------------------------------------------------------------

    @classmethod
    def from_edges(
        cls,
        edges: Any,
        *,
        n_nodes: int | None = None,
        node_id: Any = None,
        unknown_nodes: str = "error",
        where: str = "edges",
        nodes_where: str = "node_id",
    ) -> Graph:
        """Make a graph from a list of edges.

        Each pair may be listed in one direction or both.  Self loops, edges of weight 0 and
        repetitions are removed; the weights of repetitions are added up, and of two directions with
        different weights the larger counts.

        Parameters
        ----------
        edges : DataFrame, or array or tensor of shape (2, n_edges)
            A table has the columns ``source`` and ``target`` (else its first two are taken) and
            perhaps ``weight``.
        n_nodes : int, optional
            The entries of ``edges`` are positions in ``range(n_nodes)``.
        node_id : sequence, optional
            The entries of ``edges`` are ids out of these; node ``i`` is the one with the ``i``-th
            id.  Without ``n_nodes`` and ``node_id`` an array holds positions up to its maximum, and
            a table names its nodes itself.
        unknown_nodes : {"error", "drop"}, default="error"
            What to do with edges that name a node which is not there.
        where, nodes_where : str
            What ``edges`` and ``node_id`` are called in messages, for example the names of files.

        Raises
        ------
        MakedoInputError
            Edges of another form, unknown or missing ids, repeated ``node_id``, negative or missing
            weights.

        Warns
        -----
        MakedoWarning
            Some edges are listed in both directions and some in one: the graph was directed and is
            not any more.
        """
        if unknown_nodes not in ("error", "drop"):
            raise MakedoInputError(
                f"unknown_nodes must be one of 'error', 'drop'. Got {unknown_nodes!r}."
            )
        source, target, weight, named = read_edges(edges, where)
        ends = source, target
        if node_id is not None:
            node_id = check_ids(node_id, nodes_where)
        elif named and n_nodes is None:
            node_id = pd.Index(pd.unique(pd.concat([pd.Series(source), pd.Series(target)])))
        if node_id is not None:
            source, target = (node_id.get_indexer(pd.Index(end)) for end in ends)
            n_nodes, among = len(node_id), nodes_where
        else:
            source, target = (check_positions(end, where) for end in ends)
            if n_nodes is None:
                n_nodes = _n_named(source, target)
            among = f"range({n_nodes:,})"
        bad_source, bad_target = ((end < 0) | (end >= n_nodes) for end in (source, target))
        bad = bad_source | bad_target
        if bad.any():
            if unknown_nodes == "error":
                rows = np.flatnonzero(bad)[:3]
                names = [ends[0][i] if bad_source[i] else ends[1][i] for i in rows]
                raise unknown_nodes_error(names, int(bad.sum()), len(bad), node_id, among, where)
            source, target = source[~bad], target[~bad]
            weight = None if weight is None else weight[~bad]
        return _undirected(source, target, weight, n_nodes, node_id, where)

    # --- parts of it -----------------------------------------------------------------------------

    def subgraph(self, keep: Any) -> Graph:
        """Return the graph that some nodes induce, renumbered in their order.

        Parameters
        ----------
        keep : mask of shape (n_nodes,) or positions without repetition
        """
        keep = np.asarray(keep)
        keep = np.flatnonzero(keep) if keep.dtype == bool else keep.astype(np.int64)
        return self._renumber(keep, None if self.node_id is None else self.node_id[keep])

    def align(self, ids: Any) -> Graph:
        """Return the graph whose node ``i`` is the one with the ``i``-th id.

        Nodes that are not in ``ids`` are removed; ids that the graph does not have become isolated
        nodes.
        """
        if self.node_id is None:
            raise MakedoInputError(
                "The graph has no node_id to be joined by. "
                "Make it with Graph.from_edges(edges, node_id=...)."
            )
        ids = check_ids(ids, "the rows of X")
        return self._renumber(self.node_id.get_indexer(ids), ids)

    def positional(self) -> Graph:
        """Return the same graph without ids: its nodes are known by position."""
        return Graph(self.indptr, self.indices, self.weight)

    def without_edges_of(self, positions: Any) -> Graph:
        """Return the same nodes with those at ``positions`` (or in a mask) cut off."""
        cut = np.zeros(self.n_nodes, dtype=bool)
        cut[np.asarray(positions)] = True
        rows = self._rows()
        return self._from_directed(
            ~(cut[rows] | cut[self.indices]), rows, self.indices, self.n_nodes
        )

    def _rows(self) -> np.ndarray:
        return np.repeat(np.arange(self.n_nodes), self.degree)

    def _renumber(self, old: np.ndarray, node_id: pd.Index | None) -> Graph:
        """Node ``i`` of the result is node ``old[i]``, or a new one where that is negative."""
        new = np.full(self.n_nodes, -1)
        here = np.flatnonzero(old >= 0)
        new[old[here]] = here
        rows, columns = new[self._rows()], new[self.indices]
        result = self._from_directed((rows >= 0) & (columns >= 0), rows, columns, len(old))
        result.node_id = node_id
        return result

    def _from_directed(
        self, keep: np.ndarray, rows: np.ndarray, columns: np.ndarray, n_nodes: int
    ) -> Graph:
        data = np.ones(keep.sum(), np.float32) if self.weight is None else self.weight[keep]
        matrix = sp.coo_matrix((data, (rows[keep], columns[keep])), (n_nodes, n_nodes)).tocsr()
        matrix.sort_indices()
        weight = None if self.weight is None else matrix.data
        return Graph(matrix.indptr, matrix.indices, weight, self.node_id)

    # --- other forms -----------------------------------------------------------------------------

    def edges(self) -> np.ndarray:
        """Each edge once, as positions (smaller, larger): int64 of shape (n_edges, 2)."""
        rows = self._rows()
        once = rows < self.indices
        return np.column_stack([rows[once], self.indices[once]])

    def to_scipy(self) -> sp.csr_matrix:
        """Return the adjacency matrix, float32 of shape (n_nodes, n_nodes)."""
        data = np.ones(len(self.indices), np.float32) if self.weight is None else self.weight
        return sp.csr_matrix((data, self.indices, self.indptr), (self.n_nodes, self.n_nodes))

    def normalized(self) -> sp.csr_matrix:
        r"""Return :math:`D^{-1/2} (A + I) D^{-1/2}` with D the row sums of A + I, float32."""
        matrix = self.to_scipy().astype(np.float64) + sp.eye(self.n_nodes, format="csr")
        scale = 1 / np.sqrt(np.asarray(matrix.sum(axis=1)).ravel())
        matrix = sp.csr_matrix(matrix)
        matrix.data *= np.repeat(scale, np.diff(matrix.indptr)) * scale[matrix.indices]
        return sp.csr_matrix(matrix, dtype=np.float32)

    def to_state(self) -> dict[str, Any]:
        """Return plain arrays from which :meth:`from_state` makes the same graph."""
        return {
            "indptr": self.indptr,
            "indices": self.indices,
            "weight": self.weight,
            "node_id": self.node_id,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Graph:
        """Make the graph that :meth:`to_state` described; a state that is no graph is refused."""
        graph = cls(state["indptr"], state["indices"], state["weight"], state["node_id"])
        try:
            matrix = graph.to_scipy()
            matrix.check_format(full_check=True)
        except (ValueError, TypeError, IndexError) as error:
            raise MakedoInputError(f"The stored graph is damaged ({error}).") from error
        if abs(matrix - matrix.T).nnz or matrix.diagonal().any():
            raise MakedoInputError("The stored graph is damaged (its two directions do not agree).")
        ids = graph.node_id
        if ids is not None and (len(ids) != graph.n_nodes or not ids.is_unique):
            raise MakedoInputError("The stored graph is damaged (its ids are not one per node).")
        return graph


def _n_named(source: np.ndarray, target: np.ndarray) -> int:
    """Return the least number of nodes that these positions need."""
    return int(max(source.max(initial=-1), target.max(initial=-1))) + 1


def _undirected(
    source: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    n_nodes: int,
    node_id: pd.Index | None,
    where: str,
    once_is_undirected: bool = True,
) -> Graph:
    """Drop loops and repetitions, and add the missing directions, with a notice if there were any.

    ``once_is_undirected``: in a list, pairs that are all there in one direction only are the usual
    way to write undirected edges down; in a matrix they are not.
    """
    keep = source != target
    if weight is not None:
        keep &= weight > 0
    data = np.ones(len(source)) if weight is None else weight
    matrix = sp.coo_matrix((data[keep], (source[keep], target[keep])), (n_nodes, n_nodes)).tocsr()
    if weight is None:
        matrix.data[:] = 1
    both = sp.csr_matrix(matrix.maximum(matrix.T))
    both.sort_indices()
    one_way = both.nnz - matrix.nnz
    if one_way and not (once_is_undirected and 2 * one_way == both.nnz):
        warnings.warn(
            f"{where}: {count(one_way)} of {count(both.nnz // 2, 'edge')} lead one way only; "
            "the graph is used as undirected.",
            MakedoWarning,
            stacklevel=3,
        )
    weighted = weight is not None and bool((both.data != 1).any())
    return Graph(both.indptr, both.indices, both.data if weighted else None, node_id)


# --- the graph of a table's rows -----------------------------------------------------------------


def as_graph(
    graph: Any, *, n_rows: int, row_id: pd.Index | None = None, where: str = "graph"
) -> Graph:
    """Turn what a user passed as ``graph=`` into a graph whose node ``i`` is row ``i`` of X.

    Joined by id where X has ids (an index that is not merely 0, 1, 2 ...) and the graph has too:
    nodes that are not rows are left out, rows that are not nodes are isolated.  Joined by position
    otherwise, and then the graph must have exactly ``n_rows`` nodes: a graph that scikit-learn's
    splitters have cut, or rows that they have, is refused rather than misread.

    Parameters
    ----------
    graph : object
        A Graph, DataFrame of edges, array or tensor of shape (2, n_edges), scipy sparse matrix,
        networkx graph or PyG Data.
    n_rows : int
    row_id : Index, optional
        The index of X.
    where : str
        What the graph is called in messages.

    Raises
    ------
    MakedoInputError
        Another form, another number of nodes, ids that do not match, unusable weights.
    """
    if isinstance(row_id, pd.RangeIndex) and row_id.equals(pd.RangeIndex(n_rows)):
        row_id = None
    if row_id is not None:
        row_id = check_ids(row_id, "the index of X")
    if hasattr(graph, "to_pandas"):
        graph = graph.to_pandas()
    if isinstance(graph, pd.DataFrame):
        return _from_table(graph, n_rows, row_id, where)
    if not isinstance(graph, Graph):
        graph = _convert(graph, row_id is not None, where)
    if graph.node_id is None:
        return _by_position(graph, n_rows, row_id, where)
    if row_id is None:
        raise MakedoInputError(
            f"{where} names its nodes (node_id, first: {first(graph.node_id)}) but the rows of X "
            "have no ids. Give X an index with the same ids, or make the graph without node_id."
        )
    if n_rows and graph.n_nodes and is_text(row_id) != is_text(graph.node_id):
        raise MakedoInputError(
            f"{where}: its node_id (first: {first(graph.node_id)}) and the index of X "
            f"(first: {first(row_id)}) are of different types. "
            "Read both as text, or both as numbers."
        )
    return graph.align(row_id)


def _from_table(edges: pd.DataFrame, n_rows: int, row_id: pd.Index | None, where: str) -> Graph:
    untouched = edges.index.equals(pd.RangeIndex(len(edges)))
    if len(edges) == n_rows and (row_id is None or not untouched):
        raise MakedoInputError(
            f"{where}: the table of edges has as many rows as X ({n_rows:,}), so scikit-learn's "
            "splitters cut it like X. Pass Graph.from_edges(edges, node_id=...) instead, "
            "and give X an index with these ids."
        )
    if row_id is not None:
        return Graph.from_edges(edges, node_id=row_id, where=where, nodes_where="the index of X")
    source, target, weight, _ = read_edges(edges, where)
    source, target = check_positions(source, where), check_positions(target, where)
    n_nodes = _n_named(source, target)
    _check_range(source, target, n_nodes, where)
    return _by_position(
        _undirected(source, target, weight, n_nodes, None, where), n_rows, None, where
    )


def _check_range(source: np.ndarray, target: np.ndarray, n_nodes: int, where: str) -> None:
    ends = np.concatenate([source, target])
    outside = ends[(ends < 0) | (ends >= n_nodes)]
    if len(outside):
        raise MakedoInputError(
            f"{where}: {count(len(outside))} of {count(len(ends), 'end')} of edges are not in "
            f"range({n_nodes:,}) (first: {first(outside)}). Positions of nodes count from 0."
        )


def _convert(graph: Any, by_id: bool, where: str) -> Graph:
    """Read the forms that carry their number of nodes, and the edge_index, which does not."""
    if sp.issparse(graph):
        n_nodes, n_columns = graph.shape
        if n_nodes != n_columns:
            raise MakedoInputError(
                f"{where}: a sparse matrix as graph must be square. Got {n_nodes:,} x "
                f"{n_columns:,}; scikit-learn's splitters cut a matrix like X. "
                "Pass Graph.from_edges(edges, node_id=...) instead."
            )
        entries = graph.tocoo()
        weight = check_weight(entries.data, where)
        return _undirected(entries.row, entries.col, weight, n_nodes, None, where, False)
    if hasattr(graph, "edge_index") and hasattr(graph, "num_nodes"):
        return _from_pyg(graph, where)
    if hasattr(graph, "nodes") and hasattr(graph, "is_directed"):
        return _from_networkx(graph, by_id, where)
    if len(getattr(graph, "shape", ())) != 2:
        raise MakedoInputError(f"{where} must be {ACCEPTED}. Got {type(graph).__name__}.")
    return Graph.from_edges(graph, where=where)


def _from_pyg(data: Any, where: str) -> Graph:
    source, target = (check_positions(end, where) for end in to_numpy(data.edge_index))
    weight, node_id = getattr(data, "edge_weight", None), getattr(data, "node_id", None)
    n_nodes = int(data.num_nodes)
    _check_range(source, target, n_nodes, where)
    if weight is not None:
        weight = check_weight(weight, where)
    if node_id is not None:
        node_id = check_ids(to_numpy(node_id), f"{where}.node_id")
        if len(node_id) != n_nodes:
            raise MakedoInputError(
                f"{where}: {count(n_nodes, 'node')} but {count(len(node_id), 'id')} in node_id. "
                "Every node needs one."
            )
    return _undirected(source, target, weight, n_nodes, node_id, where, False)


def _from_networkx(graph: Any, by_id: bool, where: str) -> Graph:
    """Nodes called 0 to n - 1 are positions, in this order, if the rows of X have no ids."""
    names = list(graph.nodes)
    plain = not by_id and set(names) == set(range(len(names)))
    node_id = pd.RangeIndex(len(names)) if plain else pd.Index(names, tupleize_cols=False)
    edges = list(graph.edges(data="weight"))
    source, target = (node_id.get_indexer([edge[end] for edge in edges]) for end in (0, 1))
    weight = None
    if any(w is not None for _, _, w in edges):
        weight = check_weight([1 if w is None else w for _, _, w in edges], where)
    once = not graph.is_directed()
    node_id = None if plain else node_id
    return _undirected(source, target, weight, len(names), node_id, where, once)


def _by_position(graph: Graph, n_rows: int, row_id: pd.Index | None, where: str) -> Graph:
    if graph.n_nodes != n_rows:
        raise MakedoInputError(
            f"{where} has {count(graph.n_nodes, 'node')} and X {count(n_rows, 'row')}; without "
            "node_id they are joined by position and must agree. Pass Graph.from_edges(edges, "
            "node_id=...) with X indexed by these ids, or Graph.from_edges(edges, n_nodes=...) "
            "if the last nodes have no edges."
        )
    if row_id is not None and row_id.dtype.kind in "iu":
        rows = row_id.to_numpy()
        if (rows != np.arange(n_rows)).any() and (np.sort(rows) == np.arange(n_rows)).all():
            raise MakedoInputError(
                f"{where}: the index of X is 0 to {n_rows - 1:,} in another order, as after a "
                "shuffle, and the graph knows its nodes by position only. Make it with "
                "Graph.from_edges(edges, node_id=range(n_nodes)), or reset the index of X."
            )
    return Graph(graph.indptr, graph.indices, graph.weight, row_id)


def extend(
    graph: Graph, edges: Any, new_id: pd.Index, known_id: pd.Index, where: str = "edges"
) -> Graph:
    """Return the graph with nodes added behind its own, and with edges between any of them.

    Parameters
    ----------
    graph : Graph
    edges : DataFrame, or array or tensor of shape (2, n_edges)
        A table names nodes by id.  An array holds positions: those of ``graph``, then the new
        nodes.
    new_id, known_id : Index
        Ids of the new nodes and of those of ``graph``.
    where : str
        What ``edges`` is called in messages.

    Raises
    ------
    MakedoInputError
        A new node has the id of a known one; an edge names a node that is neither.
    """
    n_new, n_all = len(new_id), graph.n_nodes + len(new_id)
    if hasattr(edges, "columns"):
        twice = new_id[new_id.isin(known_id)]
        if len(twice):
            raise MakedoInputError(
                f"{where}: {count(len(twice), 'new node')} of {count(n_new)} have ids of the "
                f"training graph (first: {first(twice)}). Predict those with nodes=..., "
                "or rename them."
            )
        ids = known_id.append(check_ids(new_id, "the new nodes"))
        among = "the training graph or the new nodes"
        added = Graph.from_edges(edges, node_id=ids, where=where, nodes_where=among)
    else:
        added = Graph.from_edges(edges, n_nodes=n_all, where=where)
    old = sp.block_diag([graph.to_scipy(), sp.csr_matrix((n_new, n_new))], format="csr")
    both = sp.csr_matrix(old.maximum(added.to_scipy()))
    both.sort_indices()
    return Graph(both.indptr, both.indices, both.data if bool((both.data != 1).any()) else None)
