"""GRDA for classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin

from makedo.methods.grda.estimator import GRDA
from makedo.methods.grda.problem import Problem
from makedo.methods.grda.tasks import Classification


class GRDAClassifier(ClassifierMixin, GRDA):
    r"""Classify in domains without labels, when a graph says which domains are alike.

    Trains encodings that keep the class, and from which a discriminator cannot tell whether two
    rows come from neighbouring domains: a domain has to look like its neighbours together, and
    distant domains may differ [1]_.

    .. math:: \min_{E,F} \max_D \; L_f(E, F) - \lambda L_d(D, E)

    with E the encoder, F the predictor, D the graph discriminator.  λ is chosen without target
    labels, among 0 and more, beside a linear model of the sources and self-training along the hops.

    Parameters
    ----------
    method : {"auto", "network", "self-training", "domain-means", "linear"}, default="auto"
        What predicts: the best of all on hidden sources, or one of them.
    domain_weight : float or "auto", default="auto"
        λ above, in [0, inf).  0 is plain source training.
    adversary : {"graph", "dann", "cdann", "cida", "adda", "mdd"}, default="graph"
        What the encoder plays against.  "cida" guesses the domain's embedding; the others but
        "graph" know of no graph.
    self_pairs : {"none", "negative"}, default="none"
        Whether two rows of one domain count among the pairs that are no neighbours.  The paper's
        theorem needs them, its code leaves them out.
    loss_scale : {"n_domains", "none"}, default="n_domains"
        Whether λ is multiplied by the number of domains, as in the released code.
    encoder : {"mlp"} or torch module, default="mlp"
        A module takes x, or x and z, and gives (n, width); it must be handed back to ``load``.
    hidden : int, default=64
    domain_embedding : {"auto", "bce", "spectral", "none"}, default="auto"
        z_u: of the paper; of the graph's Laplacian; or none.  "auto": the paper's for classes, none
        for numbers, which it makes worse far from sources.
    n_embedding : int or "auto", default="auto"
        Entries of z_u and of D(e); "auto" is log2 of the number of domains, 2 to 8.
    base_estimator : {"auto", "linear", "domain-means", None} or estimator, default="auto"
        A model of the sources that the network corrects: linear, or half of it linear in the row
        and half in the row and the mean of its domain; or a scikit-learn estimator of yours.
        "auto": none for classes, "domain-means" for numbers.
    normalize_encoding : bool, default=True
    embedding_dropout : float, default=0.5
        Chance that a row trains without its z.
    ramp : bool, default=True
        λ rises from 0.
    stop_when_fooled : bool, default=True
        The encoder is not rewarded for a discriminator that is worse than chance by half.
    clip_norm : float or None, default=1.0
        Longest gradient of each player.
    averaging : float, default=0.99
        Decay of the average of the weights, which predicts; 0: the last weights do.
    init : {"default", "paper"}, default="default"
    learning_rate : float, default=1e-3
    weight_decay : float, default=1e-2
        Of encoder and predictor.
    max_epochs : int, default=100
    batch_size : int, default=10
        Rows of each domain in a batch.
    domains_per_batch : int or "auto", default="auto"
        "auto": all, up to 30.
    random_state, verbose : int, default=0
    device : str, default="auto"

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    served_ : str
        What predicts.
    selection_ : DataFrame
        The candidates on hidden sources; empty where nothing was chosen.
    hidden_losses_ : DataFrame, the same by hidden source
    target_hop_ : float, mean hops of targets to the nearest source
    domain_weights_ : list of float, λ of each network
    domain_embedding_ : ndarray of shape (n_domains, k)
    domain_encoding_ : ndarray of shape (n_domains, hidden), the mean encoding of each domain
    edge_chance_ : ndarray of shape (n_domains, n_domains), how sure D is of each edge
    graph_ : DomainGraph
    sources_ : Index, names of the domains with labels
    domain_column_ : str, int or None, the column of domains in X
    history_ : DataFrame, a row an epoch; ``discriminator`` is its loss over that of pure chance

    Shapes
    ------
    X (n_samples, n_features) · domain (n_samples,) · graph: n_domains domains · predict ->
    (n_samples,)

    Cost
    ----
    O(epochs · n · width²) time and O(n_domains²) memory; the choice of λ costs some 20 such fits,
    done together.

    Requirements
    ------------
    Labels in three domains or more (in one, if λ is given); rows in every target; a graph with
    edges.  Proportions of the classes that differ much between domains mislead any alignment.

    Relations
    ---------
    One source and one target: DANN is enough.  Domains on a line: ``DomainGraph.from_chain``.  A
    graph whose nodes are rows is another problem: :class:`makedo.ColdBrewClassifier`.

    References
    ----------
    .. [1] Xu et al., "Graph-Relational Domain Adaptation", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo import GRDAClassifier
    >>> from makedo.data.domains import DomainGraph
    >>> rng = np.random.default_rng(0)
    >>> year = np.repeat(np.arange(8), 20)
    >>> y = np.tile([0, 1], 80)
    >>> turn = 0.2 * year
    >>> side = 2 * y - 1
    >>> X = np.c_[side * np.cos(turn), side * np.sin(turn)] + rng.normal(scale=0.3, size=(160, 2))
    >>> model = GRDAClassifier(max_epochs=10)
    >>> years = DomainGraph.from_chain(range(8))
    >>> model = model.fit(X, y, domain=year, graph=years, sources=range(4))
    >>> model.predict(X[-2:], domain=year[-2:]).shape
    (2,)
    """

    _encode = staticmethod(Classification.encode)

    def predict(self, X: Any, *, domain: Any = None) -> np.ndarray:
        """Classes (n_samples,) of rows, each in its domain.

        Parameters
        ----------
        X : rows of shape (n_samples, n_features)
        domain : column of X, or array-like of shape (n_samples,), optional
            Default: the column of ``fit``.
        """
        proba = self.predict_proba(X, domain=domain)
        return self.classes_[proba.argmax(1)]

    def predict_proba(self, X: Any, *, domain: Any = None) -> np.ndarray:
        """Class probabilities (n_samples, n_classes) by ``classes_``; as in ``predict``."""
        return self._answers(X, domain).served

    def score(self, X: Any, y: Any, sample_weight: Any = None, *, domain: Any = None) -> float:
        """Accuracy; unlabelled rows do not count."""
        return self._score(X, y, domain, sample_weight)

    def _learn_task(self, problem: Problem) -> None:
        self.classes_ = problem.classes

    @property
    def _task(self) -> Classification:
        return Classification(self.classes_)

    @property
    def _is_regressor(self) -> bool:
        return False

    def _said(self, answer: np.ndarray) -> pd.DataFrame:
        """Answers as columns for the user."""
        return pd.DataFrame(
            {"label": self.classes_[answer.argmax(1)], "probability": answer.max(1, initial=0)}
        )
