"""What an estimator of nodes is fitted on: rows of X as nodes, their labels, their graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first
from makedo.core.labels import encode_labels, read_mask, split_labelled
from makedo.core.seeds import generator
from makedo.data.features import Matrix, read_rows
from makedo.data.graph import Graph, as_graph


@dataclass(frozen=True)
class Nodes:
    """Nodes with features, some of them with a label.

    Attributes
    ----------
    X : float32 matrix of shape (n_nodes, n_features)
    id : Index of length n_nodes
    y : ndarray of shape (n_nodes,)
        Class number (int64; -1 unlabelled), or the number to predict (float64; NaN unlabelled).
    classes : ndarray of shape (n_classes,)
        Empty where numbers are predicted.
    graph : Graph or None
        Node ``i`` is row ``i``.
    train, valid : int64 ndarrays
        Positions of the labelled nodes to learn from and to validate on.
    """

    X: Matrix
    id: pd.Index
    y: np.ndarray
    classes: np.ndarray
    graph: Graph | None
    train: np.ndarray
    valid: np.ndarray

    @property
    def connected(self) -> np.ndarray:
        """Positions of the nodes with an edge; all nodes where there is no graph."""
        if self.graph is None:
            return np.arange(len(self.id))
        return np.flatnonzero(self.graph.degree > 0)


def read_nodes(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    graph: Any = None,
    node_id: Any = None,
    train_mask: Any = None,
    valid_mask: Any = None,
    validation_fraction: float,
    random_state: int,
    needs_edges: bool = True,
    encode: Callable[[str, Any, int], tuple[np.ndarray, np.ndarray]] = encode_labels,
) -> Nodes:
    """Read the arguments of ``fit``; the estimator gets what :func:`read_rows` gives it.

    Parameters
    ----------
    graph : object, optional
        Whatever :func:`as_graph` takes; the masks of a PyG graph are used where none are passed.
    validation_fraction : float
        Share of the labelled nodes that is held back without ``valid_mask``.
    needs_edges : bool
        Whether a missing graph, or one without edges, is an error.
    encode : callable
        Reads y: :func:`encode_labels` or :func:`encode_values`.

    Raises
    ------
    MakedoInputError
        No label, one class, no edges, ids or sizes that do not match.

    Warns
    -----
    MakedoWarning
        A class has no training node.
    """
    owner = type(estimator).__name__
    matrix, ids = read_rows(estimator, X, reset=True)
    ids = ids if node_id is None else node_index(owner, node_id, len(ids))
    codes, classes = encode(owner, y, len(ids))
    if graph is None and needs_edges:
        raise MakedoInputError(f"{owner} learns from edges. Pass graph=.")
    known = None if graph is None else as_graph(graph, n_rows=len(ids), row_id=ids)
    if known is not None and needs_edges and known.n_edges == 0:
        raise MakedoInputError(
            f"{owner}: no node of the graph has an edge, so there is nothing for a graph method to "
            "learn. Use a classifier on the features alone."
        )
    train_mask = _first_of(train_mask, graph, "train_mask")
    valid_mask = _first_of(valid_mask, graph, "valid_mask", "val_mask")
    train, valid = split_labelled(
        owner,
        codes,
        read_mask(owner, train_mask, "train_mask", len(ids)),
        read_mask(owner, valid_mask, "valid_mask", len(ids)),
        validation_fraction,
        generator(random_state, "validation"),
    )
    never = np.setdiff1d(np.arange(len(classes)), codes[train])
    if len(never):
        warnings.warn(
            f"{owner}: {count(len(never), 'class', 'classes')} without a training node "
            f"({first(classes[never])}): never predicted, and scored as wrong.",
            MakedoWarning,
            stacklevel=3,
        )
    return Nodes(matrix, ids, codes, classes, known, train, valid)


def node_index(owner: str, node_id: Any, n_rows: int) -> pd.Index:
    """Return the ``node_id=`` of a caller, one id a row."""
    index = pd.Index(node_id)
    if len(index) != n_rows:
        raise MakedoInputError(
            f"{owner}: node_id has {count(len(index), 'id')}, X has {count(n_rows, 'row')}."
        )
    return index


def find_nodes(owner: str, known: pd.Index, nodes: Any) -> np.ndarray:
    """Positions of ``nodes`` (ids) among the nodes of the training graph."""
    ids = pd.Index(nodes)
    rows = known.get_indexer(ids)
    if (rows < 0).any():
        raise MakedoInputError(
            f"{owner}: {count(int((rows < 0).sum()))} of {count(len(ids), 'node')} are not in the "
            f"training graph (first: {first(ids[rows < 0])}). Give their features as X instead."
        )
    return rows


def _first_of(mask: Any, graph: Any, *names: str) -> Any:
    """Return the mask that was passed, else the one that a PyG graph carries."""
    return next(
        (m for m in (mask, *(getattr(graph, name, None) for name in names)) if m is not None), None
    )
