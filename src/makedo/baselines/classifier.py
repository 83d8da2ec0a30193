"""What the node classifiers of this package share: one face, with or without a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import MakedoInputError
from makedo.core.estimator import Estimator
from makedo.core.labels import match_labels, read_weight
from makedo.core.persistence import fingerprint
from makedo.data.features import Matrix, RowScaler, read_rows
from makedo.data.nodes import Nodes, find_nodes, read_nodes
from makedo.data.table import TableEncoder

if TYPE_CHECKING:
    from typing import Self


class NodeClassifier(ClassifierMixin, Estimator):
    """Base of the baselines.

    A subclass says whether it ``needs_edges`` and has

    * ``_learn(nodes, X)``: learn from nodes with the scaled rows ``X`` and return the class
      probabilities of all of them;
    * ``_proba(X)``: class probabilities of scaled rows, as nodes without edges.

    Where it has a parameter ``validation_fraction``, that share of the labelled nodes is held back
    without ``valid_mask``; else every labelled node is learnt from.

    Attributes
    ----------
    node_id_ : Index of length n_nodes
        Ids of the training nodes.
    node_proba_ : float32 ndarray of shape (n_nodes, n_classes)
        Their class probabilities.
    """

    needs_edges: ClassVar[bool] = False
    random_state: int
    normalize: str

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        graph: Any = None,
        node_id: Any = None,
        train_mask: Any = None,
        valid_mask: Any = None,
    ) -> Self:
        """Learn from the rows of X, and from the graph of which they are the nodes.

        Parameters
        ----------
        X : data frame, ndarray, scipy sparse or tensor of shape (n_nodes, n_features)
            The index of a frame holds the node ids.
        y : array-like of shape (n_nodes,)
            NaN, None and, for integer classes, -1 are unlabelled.
        graph : Graph, data frame of edges, edge_index, scipy sparse, networkx or PyG data, optional
            Joined by node id; by position it must have exactly n_nodes nodes.
        node_id : array-like of shape (n_nodes,), optional
            Ids of the rows, instead of the index of X.
        train_mask, valid_mask : array-like of bool of shape (n_nodes,), optional
            Default: those of ``graph`` (PyG), else validation nodes are split off from the labelled
            ones where the method needs any.

        Raises
        ------
        MakedoInputError
            No labels, one class, no edges where they are needed, ids or sizes that do not match.
        """
        self._check_parameters()
        nodes = read_nodes(
            self,
            X,
            y,
            graph=graph,
            node_id=node_id,
            train_mask=train_mask,
            valid_mask=valid_mask,
            validation_fraction=getattr(self, "validation_fraction", 0.0),
            random_state=self.random_state,
            needs_edges=self.needs_edges,
        )
        self.classes_, self.node_id_, self.n_encoded_ = nodes.classes, nodes.id, nodes.X.shape[1]
        self.scaler_ = RowScaler(self.normalize).fit(nodes.X, nodes.connected)
        self.node_proba_ = self._learn(nodes, self.scaler_.transform(nodes.X))
        self.fingerprint_ = fingerprint(nodes.X, nodes.y, nodes.graph)
        return self

    def _learn(self, nodes: Nodes, X: Matrix) -> np.ndarray:
        raise NotImplementedError

    def _proba(self, X: Matrix) -> np.ndarray:
        raise NotImplementedError

    def predict(self, X: Any = None, *, nodes: Any = None) -> np.ndarray:
        """Classes of new nodes without edges, or of nodes of the training graph.

        Parameters
        ----------
        X : rows of shape (n_rows, n_features), optional
            New nodes.
        nodes : sequence of ids, optional
            Nodes of the training graph, instead of X.

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        proba = self.predict_proba(X, nodes=nodes)
        return self.classes_[proba.argmax(1)]

    def predict_proba(self, X: Any = None, *, nodes: Any = None) -> np.ndarray:
        """Class probabilities (n_rows, n_classes) in the order of ``classes_``; else as predict."""
        check_is_fitted(self)
        owner = type(self).__name__
        if (X is None) == (nodes is None):
            raise MakedoInputError(
                f"{owner}: give either X (new nodes) or nodes= (ids of the training graph)."
            )
        if nodes is not None:
            return self.node_proba_[find_nodes(owner, self.node_id_, nodes)]
        return self._proba(self.scaler_.transform(read_rows(self, X, allow_empty=True)[0]))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy on new nodes without edges; unlabelled rows do not count."""
        proba = self.predict_proba(X)
        owner = type(self).__name__
        codes = match_labels(owner, y, self.classes_, len(proba))
        labelled = codes != -1
        if not labelled.any():
            raise MakedoInputError(f"{owner}.score: no row has a label.")
        weight = read_weight(f"{owner}.score", sample_weight, labelled)
        right = proba.argmax(1)[labelled] == codes[labelled]
        return float(np.average(right, weights=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _restore(self, state: dict[str, Any]) -> None:
        table, scaler = state.pop("table_"), state.pop("scaler_")
        super()._restore(state)
        self.table_ = None if table is None else TableEncoder.from_state(table)
        self.scaler_ = RowScaler.from_state(scaler)

    def _card(self) -> str:
        return (
            "`weights.safetensors` and `tables.parquet` hold the ids of the training nodes and "
            "what was predicted for them: keep this directory as private as that data."
        )


def class_prior(nodes: Nodes) -> np.ndarray:
    """Share of each class among the training nodes, float32 of shape (n_classes,)."""
    return class_shares(nodes.y[nodes.train], len(nodes.classes))


def class_shares(y: np.ndarray, n_classes: int) -> np.ndarray:
    """Share of each class number in y, float32 of shape (n_classes,)."""
    counts = np.bincount(y, minlength=n_classes)
    return (counts / counts.sum()).astype(np.float32)
