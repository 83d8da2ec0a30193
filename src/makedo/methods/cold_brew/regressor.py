"""Cold Brew for numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin

from makedo.data.nodes import Nodes
from makedo.methods.cold_brew.estimator import ColdBrew
from makedo.methods.cold_brew.tasks import Regression


class ColdBrewRegressor(RegressorMixin, ColdBrew):
    r"""Predict a number for nodes of a graph, above all those that nothing links to.

    As :class:`ColdBrewClassifier`, with squared error in place of the cross-entropy, also to the
    teacher [1]_.  Labels are standardised inside; predictions are in their unit.

    Parameters
    ----------
    hidden, n_layers : int, default=64, 2
    structural : {"first", "last", "all", None}, default="first"
    structural_penalty : float, default=0.01
    skip : {None, "residual", "initial", "dense", "jumping"}, default=None
    skip_weight : float, default=0.1
    norm : {None, "batch", "pair", "node", "mean", "group"}, default=None
    graph_dropout : {None, "edge", "node", "layer"}, default=None
    bank : {"layers", "output"}, default="layers"
    n_neighbors : int, default=16
    similarity : {"cosine", "dot"}, default="cosine"
    look_up : {"auto", "exact", "approximate"}, default="auto"
    temperature : float, default=0.1
    part1_nodes : {"connected", "labelled"}, default="connected"
    student_inputs : {"both", "neighbors", "guess"}, default="both"
    distill : float, default=0.5
    student_hidden : int, default=256
    dropout, student_dropout : float, default=0.5
    learning_rate, student_learning_rate : float, default=0.01, 0.002
    weight_decay : float, default=5e-4
    max_epochs, student_max_epochs : int, default=500, 150
    patience, student_patience, part1_patience : int, default=200, 100, 40
    batch_size : int, default=512
    cold_part : {"auto", "mlp", "normed mlp", "distilled mlp", "student", "teacher"}, default="auto"
    degree_threshold : int or "auto", default="auto"
    validation_fraction : float, default=0.2
    normalize : {"auto", "rows", "columns", "none"}, default="auto"
    random_state, verbose : int, default=0
    device : str, default="auto"
        All as in :class:`ColdBrewClassifier`.

    Attributes
    ----------
    y_mean_, y_scale_ : float, of the training labels
    part_scores_ : dict, R² of each part on validation nodes with hidden edges
    unlinked_pool_, linked_pool_ : dict, of each part its weight; temperatures are 1
    degree_threshold_, validation_, graph_, node_id_, table_, history_
        As in :class:`ColdBrewClassifier`; ``validation_`` holds 1 − squared error / variance.

    Shapes
    ------
    X (n_nodes, n_features) · y (n_nodes,) · graph: n_nodes nodes · predict -> (n_rows,)

    Cost
    ----
    That of :class:`ColdBrewClassifier`.

    Requirements
    ------------
    Numbers for some nodes (NaN and None are unlabelled, −1 is a number), edges for some nodes,
    features for all.

    Relations
    ---------
    A ridge regression on the features is what to beat; a part on the features alone is among the
    candidates.  Heavily skewed targets, such as page views, are better predicted as logarithms.

    References
    ----------
    .. [1] Zheng et al., "Cold Brew: Distilling Graph Node Representations with Incomplete or
       Missing Neighborhoods", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo import ColdBrewRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(120, 8))
    >>> y = X[:, 0] + rng.normal(scale=0.1, size=120)
    >>> near = [(i, j) for i in range(120) for j in range(i) if abs(y[i] - y[j]) < 0.1]
    >>> model = ColdBrewRegressor(max_epochs=20, student_max_epochs=10)
    >>> model.fit(X, y, graph=np.array(near).T).predict(X[:2] * 1.01).shape
    (2,)
    """

    _encode = staticmethod(Regression.encode)

    def predict(
        self, X: Any = None, *, nodes: Any = None, edges: Any = None, node_id: Any = None
    ) -> np.ndarray:
        """Numbers (n_rows,) for new nodes, or for nodes of the training graph.

        Arguments as in :meth:`ColdBrewClassifier.predict`.
        """
        return self._answer(X, nodes, edges, node_id).said[:, 0]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R² on new nodes without edges; unlabelled rows do not count."""
        return self._score(X, y, sample_weight)

    def _learn_task(self, nodes: Nodes) -> None:
        known = nodes.y[nodes.train]
        self.y_mean_, self.y_scale_ = float(known.mean()), float(known.std()) or 1.0

    @property
    def _task(self) -> Regression:
        return Regression(self.y_mean_, self.y_scale_)

    def _said(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        return {"value": answers[:, 0]}
