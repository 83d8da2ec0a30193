"""GRDA for numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin

from makedo.methods.grda.estimator import GRDA
from makedo.methods.grda.problem import Problem
from makedo.methods.grda.tasks import Regression


class GRDARegressor(RegressorMixin, GRDA):
    r"""Predict numbers in domains without labels, when a graph says which domains are alike.

    The game of :class:`GRDAClassifier` [1]_ with squared error as L_f.  By default the network
    corrects ridge regressions of the sources, and starts as those: far from any source an
    unguarded network is worse than no adaptation.  One of them sees the mean of a row's domain,
    which its unlabelled rows give away.

    Parameters
    ----------
    method : {"auto", "network", "self-training", "domain-means", "linear"}, default="auto"
    domain_weight : float or "auto", default="auto"
    adversary : {"graph", "dann", "cdann", "cida", "adda", "mdd"}, default="graph"
    self_pairs : {"none", "negative"}, default="none"
    loss_scale : {"n_domains", "none"}, default="n_domains"
    encoder : {"mlp"} or torch module, default="mlp"
    hidden : int, default=64
    domain_embedding : {"auto", "bce", "spectral", "none"}, default="auto"
    n_embedding : int or "auto", default="auto"
    base_estimator : {"auto", "linear", "domain-means", None} or estimator, default="auto"
    normalize_encoding : bool, default=True
    embedding_dropout : float, default=0.5
    ramp, stop_when_fooled : bool, default=True
    clip_norm : float or None, default=1.0
    averaging : float, default=0.99
    init : {"default", "paper"}, default="default"
    learning_rate : float, default=1e-3
    weight_decay : float, default=1e-2
    max_epochs : int, default=100
    batch_size : int, default=10
    domains_per_batch : int or "auto", default="auto"
    random_state, verbose : int, default=0
    device : str, default="auto"
        All as in :class:`GRDAClassifier`.

    Attributes
    ----------
    y_mean_, y_scale_ : ndarray of shape (n_outputs,), of the labels of the sources
    one_output_ : bool, whether y had one column
    served_, selection_, hidden_losses_, target_hop_, domain_weights_, domain_embedding_, graph_
    domain_encoding_, edge_chance_, sources_, domain_column_, history_
        As in :class:`GRDAClassifier`.

    Shapes
    ------
    X (n_samples, n_features) · y (n_samples,) or (n_samples, n_outputs) · domain (n_samples,) ·
    graph: n_domains domains · predict -> as y

    Cost
    ----
    That of :class:`GRDAClassifier`.

    Requirements
    ------------
    Numbers in three domains or more (NaN and None are unlabelled, −1 is a number); rows in every
    target; a graph with edges.

    Relations
    ---------
    Ridge regression on the sources is what to beat, and is among the candidates, with and without
    domain means.  Where a season or
    another known condition matters, fit on the rows of that condition.

    References
    ----------
    .. [1] Xu et al., "Graph-Relational Domain Adaptation", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo import GRDARegressor
    >>> from makedo.data.domains import DomainGraph
    >>> rng = np.random.default_rng(0)
    >>> year = np.repeat(np.arange(8), 20)
    >>> X = rng.normal(size=(160, 3))
    >>> y = X[:, 0] + 0.1 * year * X[:, 1]
    >>> model = GRDARegressor(max_epochs=10)
    >>> years = DomainGraph.from_chain(range(8))
    >>> model = model.fit(X, y, domain=year, graph=years, sources=range(4))
    >>> model.predict(X[-2:], domain=year[-2:]).shape
    (2,)
    """

    _encode = staticmethod(Regression.encode)

    def predict(self, X: Any, *, domain: Any = None) -> np.ndarray:
        """Numbers (n_samples,), or (n_samples, n_outputs), of rows, each in its domain.

        Arguments as in :meth:`GRDAClassifier.predict`.
        """
        said = self._answers(X, domain).served
        return said[:, 0] if self.one_output_ else said

    def score(self, X: Any, y: Any, sample_weight: Any = None, *, domain: Any = None) -> float:
        """Mean squared error over the variance of the source labels, negative: 0 is best."""
        return -self._score(X, y, domain, sample_weight)

    def _learn_task(self, problem: Problem) -> None:
        known = problem.y[problem.labelled]  # (n, n_outputs)
        scale = known.std(0)
        self.y_mean_, self.y_scale_ = known.mean(0), np.where(scale > 0, scale, 1.0)
        self.one_output_ = known.shape[1] == 1

    @property
    def _task(self) -> Regression:
        return Regression(self.y_mean_, self.y_scale_)

    @property
    def _is_regressor(self) -> bool:
        return True

    def _said(self, answer: np.ndarray) -> pd.DataFrame:
        """Answers as columns for the user."""
        names = ["value"] if self.one_output_ else [f"value_{i}" for i in range(answer.shape[1])]
        return pd.DataFrame(answer, columns=names)
