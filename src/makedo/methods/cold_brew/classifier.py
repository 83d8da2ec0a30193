"""Cold Brew for classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin

from makedo.data.nodes import Nodes
from makedo.methods.cold_brew.estimator import ColdBrew
from makedo.methods.cold_brew.tasks import Classification


class ColdBrewClassifier(ClassifierMixin, ColdBrew):
    r"""Classify nodes of a graph, above all those that nothing links to.

    Trains a graph network on the graph (teacher) and a network that sees features only (student),
    which looks up known nodes that resemble what the teacher would have made of a new one [1]_:

    .. math:: \hat e_i = \xi_1(x_i), \quad \tilde e_i = \sum_{j \in \mathrm{top}K}
        \mathrm{softmax}_j(s(\hat e_i, \bar E_j) / \tau)\, \bar E_j, \quad
        \hat y_i = \xi_2([x_i, \tilde e_i, \hat e_i])

    with :math:`\bar E` the teacher's embeddings of connected nodes and s the score.

    Parameters
    ----------
    hidden, n_layers : int, default=64, 2
        Width and number of the teacher's layers.
    structural : {"first", "last", "all", None}, default="first"
        Teacher layers with a structural embedding; None is an ordinary GCN.
    structural_penalty : float, default=0.01
        :math:`\eta`, the weight of :math:`\sum \|E\|^2`.
    skip : {None, "residual", "initial", "dense", "jumping"}, default=None
        What a teacher layer's result is mixed with: the layer's input, the state before the first
        layer, all earlier states, or all states once after the last layer.  For deep teachers.
    skip_weight : float, default=0.1
        Weight in [0, 1] of the earlier state in "residual" and "initial".
    norm : {None, "batch", "pair", "node", "mean", "group"}, default=None
        Of the teacher's hidden layers, see :mod:`makedo.nn.norms`.
    graph_dropout : {None, "edge", "node", "layer"}, default=None
        Leaves a fifth of the graph out of each step of the teacher: edges (DropEdge), nodes
        (DropNode), or the nodes that send in each layer (LADIES).
    bank : {"layers", "output"}, default="layers"
        What the bank holds: the outputs of all teacher layers side by side, or the last one.
    n_neighbors : int, default=16
        K, virtual neighbours of a node.
    similarity : {"cosine", "dot"}, default="cosine"
        How a guess is compared with the bank.
    look_up : {"auto", "exact", "approximate"}, default="auto"
        Whether all of the bank is compared with a guess, or only the parts of it that are most like
        it, enough of them for 95 in 100 of the K neighbours; "auto" is exact up to 50,000 rows.
    temperature : float, default=0.1
        :math:`\tau`; small values let the nearest neighbour decide.
    part1_nodes : {"connected", "labelled"}, default="connected"
        Whose embeddings part 1 learns to guess: of all nodes with edges, as the paper says, or of
        the labelled ones among them, as its released code does, which loses most of the gain.
    student_inputs : {"both", "neighbors", "guess"}, default="both"
        What part 2 sees beside the features: ẽ and ê, ẽ alone, or ê alone.
    distill : float, default=0.5
        Weight in [0, 1] of the teacher's soft labels in part 2; 0 is the paper.
    student_hidden : int, default=256
        Width of both parts of the student.
    dropout, student_dropout : float, default=0.5
        On the input of each teacher layer; on the hidden layer of the student.
    learning_rate, student_learning_rate : float, default=0.01, 0.002
    weight_decay : float, default=5e-4
        On all weights but the structural embedding.
    max_epochs, student_max_epochs : int, default=500, 150
        Most passes over the data of the teacher, and of each student network.
    patience, student_patience, part1_patience : int, default=200, 100, 40
        Epochs without a better validation score after which a network stops: the teacher, the
        student's networks that are judged by their accuracy, which jumps, and part 1, which is
        judged by a squared error, which does not.
    batch_size : int, default=512
        Most rows a step of the student; a fifth of the rows where that is less.
    cold_part : {"auto", "mlp", "normed mlp", "distilled mlp", "student", "teacher"}, default="auto"
        What serves nodes without edges: a plain MLP of either shape, an MLP on the teacher's soft
        labels (GLNN [2]_), or the student.  "auto" trains all and pools their probabilities, with
        the weights that are most likely on validation nodes whose edges were hidden.  "teacher"
        asks the graph network of nodes that stand alone.
    degree_threshold : int or "auto", default="auto"
        Degree from which the teacher serves; "auto" chooses on validation nodes with edges.
    validation_fraction : float, default=0.2
        Share of the labelled nodes that is held back when ``fit`` gets no ``valid_mask``.
    normalize : {"auto", "rows", "columns", "none"}, default="auto"
        "auto": counts to row sum 1, other dense features to mean 0 and sd 1 over linked nodes.
    random_state, verbose : int, default=0
    device : str, default="auto"
        "auto" is cuda, else mps, else cpu.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    unlinked_pool_, linked_pool_ : dict
        What serves nodes without edges, and nodes of fewer edges than ``degree_threshold_``: of
        each part its weight, and the temperature T of its probabilities, softmax(log p / T).
    part_scores_ : dict, accuracy of each part on validation nodes with hidden edges
    degree_threshold_ : float, degree from which the teacher serves; ``inf`` is never
    teacher_temperature_ : float, as in the pools
    validation_ : DataFrame
        Of each validation node: row, degree, edges hidden?, which parts were right, whether what is
        served was.
    graph_ : Graph, that of the training, nodes in the order of the rows of X
    node_id_ : Index, their ids
    table_ : TableEncoder or None, how the columns of a data frame became numbers
    history_ : DataFrame, one row per phase and epoch

    Shapes
    ------
    X (n_nodes, n_features) · y (n_nodes,) · graph: n_nodes nodes · predict -> (n_rows,) ·
    predict_proba -> (n_rows, n_classes)

    Cost
    ----
    Teacher epoch O((nnz(X) + n_edges) · hidden), student epoch O(nnz(X) · student_hidden), look-up
    O(n_rows · n_bank · width), once.  The model keeps X and the graph.

    Requirements
    ------------
    Labels for some nodes, edges for some nodes, features for all.

    Relations
    ---------
    A node with edges at hand: any graph network will do.  Features that beat the graph (see
    :meth:`diagnose`): a plain classifier.  GLNN [2]_ is among the candidates.

    References
    ----------
    .. [1] Zheng et al., "Cold Brew: Distilling Graph Node Representations with Incomplete or
       Missing Neighborhoods", ICLR 2022.
    .. [2] Zhang et al., "Graph-less Neural Networks: Teaching Old MLPs New Tricks via
       Distillation", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo import ColdBrewClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(120) % 2
    >>> X = rng.normal(size=(120, 8)) + y[:, None]
    >>> alike = [(i, j) for i in range(120) for j in range(i) if y[i] == y[j]]
    >>> graph = np.array([pair for pair in alike if rng.random() < 0.1]).T
    >>> model = ColdBrewClassifier(max_epochs=20, student_max_epochs=10).fit(X, y, graph=graph)
    >>> model.predict(X[:2] * 1.01).shape  # two new nodes, no edges
    (2,)
    """

    _encode = staticmethod(Classification.encode)

    def predict(
        self, X: Any = None, *, nodes: Any = None, edges: Any = None, node_id: Any = None
    ) -> np.ndarray:
        """Classes of new nodes, or of nodes of the training graph.

        Parameters
        ----------
        X : rows of shape (n_rows, n_features), optional
            New nodes.  Alone: they have no edges, and the graph is not touched.
        nodes : sequence of ids, optional
            Nodes of the training graph, instead of X.
        edges : data frame or array (2, n_edges), optional
            Edges between new nodes and the training graph, by id; in an array by position, the
            training nodes first, then the rows of X.  A node of at least ``degree_threshold_``
            edges is then served by the teacher.
        node_id : sequence of length n_rows, optional
            Ids of the new nodes, instead of the index of X.

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        proba = self.predict_proba(X, nodes=nodes, edges=edges, node_id=node_id)
        return self.classes_[proba.argmax(1)]

    def predict_proba(
        self, X: Any = None, *, nodes: Any = None, edges: Any = None, node_id: Any = None
    ) -> np.ndarray:
        """Class probabilities (n_rows, n_classes) by ``classes_``; arguments as in predict."""
        return self._answer(X, nodes, edges, node_id).said

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy on new nodes without edges; unlabelled rows do not count."""
        return self._score(X, y, sample_weight)

    def _learn_task(self, nodes: Nodes) -> None:
        self.classes_ = nodes.classes

    @property
    def _task(self) -> Classification:
        never = np.setdiff1d(np.arange(len(self.classes_)), self.y_[self.train_])
        return Classification(self.classes_, never)

    def _said(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        return {"label": self.classes_[answers.argmax(1)], "probability": answers.max(1)}
