"""Cold Brew: node classification when neighbourhoods are missing.

W. Zheng, E. W. Huang, N. Rao, S. Katariya, Z. Wang, K. Subbian, "Cold Brew: Distilling Graph Node
Representations with Incomplete or Missing Neighborhoods", ICLR 2022,
https://arxiv.org/abs/2111.04840.

A graph network (the teacher) learns on the graph.  A student that sees features only guesses the
embedding that the teacher would have given a node (part 1), looks up the most similar embeddings of
known nodes (its virtual neighbours), and predicts from features, virtual neighbourhood and guess
(part 2).  So a node that nothing links to can be served.

Symbols: Ã normalised adjacency · E structural embedding · Ē bank, one teacher embedding per
connected node · ξ₁, ξ₂ the two parts of the student · ê_i = ξ₁(x_i) guess · ẽ_i virtual embedding ·
K virtual neighbours · τ temperature · λ weight of the teacher's soft labels.

What differs from the paper, and why (its released code differs from it in further ways):

* E starts at zero and is penalised by η‖E‖², not ‖E‖: rows far from labels would stay noise.
* The bank is standardised and compared by cosine with a temperature, K = 16, so that neither the
  layer with the largest scale nor rows with a large norm decide.
* A node is never its own virtual neighbour while part 2 trains: new nodes never are.
* Part 2 also learns from the teacher's soft labels (λ = 0.5, by validation; λ = 0 is the paper).
* Half of the validation nodes lose their edges before anything is trained.  They stop the students
  and choose what serves nodes without edges (an MLP, a distilled MLP, or Cold Brew); the other half
  stop the teacher and choose the degree from which it serves.  The released code selects on test
  nodes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import Choice, Either, MakedoInputError, MakedoWarning, Number, count
from makedo.core.devices import pick_device
from makedo.core.diagnosis import Diagnosis
from makedo.core.estimator import Estimator
from makedo.core.labels import match_labels
from makedo.core.persistence import fingerprint
from makedo.core.seeds import derive, generator, torch_seed
from makedo.core.training import Phase, Training, history_frame
from makedo.data.features import Matrix, RowScaler, read_rows
from makedo.data.graph import Graph
from makedo.data.nodes import read_nodes
from makedo.methods.cold_brew.restoring import OBJECTS, card, check_restored, restore
from makedo.methods.cold_brew.routing import PARTS, hide_half, route
from makedo.methods.cold_brew.serving import PLAIN_MLP, Answer, Server, answer, build_networks
from makedo.methods.cold_brew.student import (
    Bank,
    beside_the_features,
    choose_cells,
    column_scale,
    part1_phase,
)
from makedo.methods.cold_brew.teacher import StructuralGCN, embedding_bank, teacher_phase
from makedo.nn.features import Features
from makedo.nn.mlp import classifier_phase
from makedo.nn.propagation import Propagation

if TYPE_CHECKING:
    from makedo.report import Report


class ColdBrewClassifier(ClassifierMixin, Estimator):
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
    patience, student_patience : int, default=200, 20
        Epochs without a better validation score after which a network stops.
    batch_size : int, default=512
        Most rows a step of the student; a fifth of the rows where that is less.
    cold_part : {"auto", "mlp", "normed mlp", "distilled mlp", "student"}, default="auto"
        What serves nodes without edges: a plain MLP of either shape, an MLP on the teacher's soft
        labels (GLNN [2]_), or the student.  "auto" trains all and takes the one that is right most
        often on validation nodes whose edges were hidden.
    degree_threshold : int or "auto", default="auto"
        Degree from which the teacher serves; "auto" chooses on validation nodes that keep edges.
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
    part_ : str, what serves nodes without edges
    part_scores_ : dict, accuracy of each part on validation nodes with hidden edges
    degree_threshold_ : float, degree from which the teacher serves; ``inf`` is never
    validation_ : DataFrame, of each validation node: degree, edges hidden?, which parts were right
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

    _constraints: ClassVar = {
        "hidden": Number(1, integer=True),
        "n_layers": Number(1, integer=True),
        "structural": Choice(("first", "last", "all", None)),
        "structural_penalty": Number(0),
        "bank": Choice(("layers", "output")),
        "n_neighbors": Number(1, integer=True),
        "similarity": Choice(("cosine", "dot")),
        "look_up": Choice(("auto", "exact", "approximate")),
        "temperature": Number(0, open_low=True),
        "distill": Number(0, 1),
        "student_hidden": Number(1, integer=True),
        "dropout": Number(0, 1, open_high=True),
        "student_dropout": Number(0, 1, open_high=True),
        "learning_rate": Number(0, open_low=True),
        "student_learning_rate": Number(0, open_low=True),
        "weight_decay": Number(0),
        "max_epochs": Number(1, integer=True),
        "student_max_epochs": Number(1, integer=True),
        "patience": Number(1, integer=True),
        "student_patience": Number(1, integer=True),
        "batch_size": Number(1, integer=True),
        "cold_part": Choice(("auto", *PARTS)),
        "degree_threshold": Either((Choice(("auto",)), Number(0))),
        "validation_fraction": Number(0, 1, open_low=True, open_high=True),
        "normalize": Choice(("auto", "rows", "columns", "none")),
        "random_state": Number(0, integer=True),
        "verbose": Number(0, integer=True),
    }

    def __init__(
        self,
        hidden: int = 64,
        n_layers: int = 2,
        *,
        structural: str | None = "first",
        structural_penalty: float = 1e-2,
        bank: str = "layers",
        n_neighbors: int = 16,
        similarity: str = "cosine",
        look_up: str = "auto",
        temperature: float = 0.1,
        distill: float = 0.5,
        student_hidden: int = 256,
        dropout: float = 0.5,
        student_dropout: float = 0.5,
        learning_rate: float = 0.01,
        student_learning_rate: float = 0.002,
        weight_decay: float = 5e-4,
        max_epochs: int = 500,
        student_max_epochs: int = 150,
        patience: int = 200,
        student_patience: int = 20,
        batch_size: int = 512,
        cold_part: str = "auto",
        degree_threshold: float | str = "auto",
        validation_fraction: float = 0.2,
        normalize: str = "auto",
        random_state: int = 0,
        device: str = "auto",
        verbose: int = 0,
    ):
        self.hidden = hidden
        self.n_layers = n_layers
        self.structural = structural
        self.structural_penalty = structural_penalty
        self.bank = bank
        self.n_neighbors = n_neighbors
        self.similarity = similarity
        self.look_up = look_up
        self.temperature = temperature
        self.distill = distill
        self.student_hidden = student_hidden
        self.dropout = dropout
        self.student_dropout = student_dropout
        self.learning_rate = learning_rate
        self.student_learning_rate = student_learning_rate
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.student_max_epochs = student_max_epochs
        self.patience = patience
        self.student_patience = student_patience
        self.batch_size = batch_size
        self.cold_part = cold_part
        self.degree_threshold = degree_threshold
        self.validation_fraction = validation_fraction
        self.normalize = normalize
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    # --- learning -----------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        graph: Any,
        node_id: Any = None,
        train_mask: Any = None,
        valid_mask: Any = None,
        checkpoint_dir: str | Path | None = None,
        on_step: Callable[[dict[str, Any]], bool | None] | None = None,
    ) -> ColdBrewClassifier:
        """Learn from a graph whose nodes are the rows of X.

        Parameters
        ----------
        X : data frame, ndarray, scipy sparse or tensor of shape (n_nodes, n_features)
            The index of a frame holds the node ids.  Text, categories, dates and gaps are welcome
            in a frame.
        y : array-like of shape (n_nodes,)
            NaN, None and, for integer classes, -1 are unlabelled.
        graph : Graph, data frame of edges, edge_index, scipy sparse, networkx or PyG data
            Joined by node id; by position it must have exactly n_nodes nodes.  A row that is
            missing is a node removed.
        node_id : array-like of shape (n_nodes,), optional
            Ids of the rows, instead of the index of X.
        train_mask, valid_mask : array-like of bool of shape (n_nodes,), optional
            Default: those of ``graph`` (PyG), else validation nodes are split off from the labelled
            ones.
        checkpoint_dir : str or Path, optional
            State is kept there; a killed fit, called again, ends in the same model bit for bit.
        on_step : callable, optional
            Gets each row of ``history_``; returning True stops early.

        Raises
        ------
        MakedoInputError
            No labels, one class, no edges, ids or sizes that do not match, a checkpoint of another
            fit.
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
            validation_fraction=self.validation_fraction,
            random_state=self.random_state,
        )
        assert nodes.graph is not None
        self.X_, self.y_, self.classes_, self.node_id_ = nodes.X, nodes.y, nodes.classes, nodes.id
        self.graph_, self.train_, self.valid_ = nodes.graph, nodes.train, nodes.valid
        rng = generator(self.random_state, "hidden edges")
        hidden, kept = hide_half(nodes.valid, nodes.graph.degree, rng)
        training_graph = nodes.graph.without_edges_of(hidden)
        connected = np.flatnonzero(training_graph.degree > 0)
        if len(connected) == 0:
            n_hidden = count(len(hidden), "validation node")
            raise MakedoInputError(
                f"{type(self).__name__}: without the edges of {n_hidden} no edge is left. Give "
                "valid_mask, or a graph with more edges."
            )
        self.scaler_ = RowScaler(self.normalize).fit(nodes.X, connected)
        self.fingerprint_ = fingerprint(nodes.X, nodes.y, nodes.graph, nodes.train, nodes.valid)
        with Training(
            type(self).__name__,
            random_state=self.random_state,
            verbose=self.verbose,
            key=fingerprint(self.get_params(), self.fingerprint_),
            checkpoint_dir=checkpoint_dir,
            on_step=on_step,
        ) as training:
            self._train(training, training_graph, connected, hidden, kept)
        self.history_ = history_frame(training.history)
        self.part_, self.part_scores_, self.degree_threshold_, self.validation_ = route(
            self, hidden, kept
        )
        return self

    def _train(
        self,
        training: Training,
        graph: Graph,
        connected: np.ndarray,
        hidden: np.ndarray,
        kept: np.ndarray,
    ) -> None:
        """Train every part in turn; one that was stopped before it began stays out of ``nets_``."""
        device = pick_device(self.device)
        x = Features.of(self.scaler_.transform(self.X_), device)
        with torch_seed(derive(self.random_state, "initial weights")):
            nets = build_networks(self)
        nets = {name: net.to(device) for name, net in nets.items()}
        y, train, rows, no_edges, edges = (
            torch.from_numpy(a).to(device) for a in (self.y_, self.train_, connected, hidden, kept)
        )
        full = {
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "max_epochs": self.max_epochs,
            "patience": self.patience,
        }
        student: dict[str, Any] = {
            "learning_rate": self.student_learning_rate,
            "weight_decay": self.weight_decay,
            "max_epochs": self.student_max_epochs,
            "patience": self.student_patience,
            "batch_size": self.batch_size,
        }
        self.nets_, self.bank_ = {}, None

        def run(phase: Phase) -> bool:
            if training.run(phase):
                self.nets_[phase.name] = nets[phase.name]
            return phase.name in self.nets_

        def classifier(name: str, **settings: Any) -> Phase:
            net: Any = nets[name]
            return classifier_phase(name, net, x, y, train, no_edges, **settings)

        # Plain MLPs: they see labelled rows only, so that an epoch is a step or a few
        for name in ("mlp", "normed mlp"):
            if name in nets:
                run(classifier(name, **student | PLAIN_MLP | {"max_epochs": self.max_epochs}))

        # Teacher
        net = nets["teacher"]
        assert isinstance(net, StructuralGCN)
        propagation = Propagation(graph.normalized()).to(device)
        penalty = self.structural_penalty
        if not run(teacher_phase(net, x, propagation, y, train, edges, penalty=penalty, **full)):
            return
        with torch.no_grad():
            outputs = net(x, propagation)  # per layer (n_nodes, d_{l+1})
        soft: dict[str, Any] = {"soft": outputs[-1].softmax(1), "soft_rows": rows}
        if "distilled mlp" in nets:
            run(classifier("distilled mlp", distill=1.0, **soft, **student))
        if "part 1" not in nets:
            return

        # Bank
        embedding = embedding_bank(outputs, self.bank)
        mean, scale = column_scale(embedding[rows])
        cells_rng = generator(self.random_state, "cells")
        bank = Bank(rows, (embedding[rows] - mean) / scale, self.similarity)
        bank = bank.for_look_up(self.look_up, cells_rng)
        if self.n_neighbors > len(rows):
            warnings.warn(
                f"{type(self).__name__}: n_neighbors={self.n_neighbors} but the bank has "
                f"{count(len(rows), 'node')}; all of them are used.",
                MakedoWarning,
                stacklevel=3,
            )

        # Part 1, judged by what the teacher says of nodes whose edges part 1 was not shown
        with torch.no_grad():
            shown = Propagation(self.graph_.normalized()).to(device)
            judged = (embedding_bank(net(x, shown), self.bank)[no_edges] - mean) / scale
        part1, K = nets["part 1"], self.n_neighbors
        if not run(part1_phase(part1, x, bank.rows, bank.values, no_edges, judged, **student)):
            return
        choose_cells(part1, x, bank, no_edges, K, cells_rng)

        # Virtual neighbours, once: nothing in them is learnt
        seen = torch.cat([train, no_edges, rows if self.distill else rows[:0]]).unique()
        extra = beside_the_features(part1, x, bank, K, self.temperature, seen)

        # Part 2
        if run(classifier("part 2", extra=extra, distill=self.distill, **soft, **student)):
            self.bank_ = bank

    # --- predicting ---------------------------------------------------------------------------

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
        return self._answer(X, nodes, edges, node_id).proba

    def explain(
        self,
        X: Any = None,
        *,
        nodes: Any = None,
        edges: Any = None,
        node_id: Any = None,
        n_neighbors: int = 3,
    ) -> pd.DataFrame:
        """Predictions with their reasons; arguments as in :meth:`predict`.

        Returns
        -------
        DataFrame indexed by node id
            label, probability, route (what served the node), and the first virtual neighbours with
            their weights where the model has a bank: known nodes that this one resembles.
        """
        if n_neighbors < 0:
            raise MakedoInputError(f"n_neighbors must be 0 or more. Got {n_neighbors}.")
        found = self._answer(X, nodes, edges, node_id)
        label = self.classes_[found.proba.argmax(1)]
        table = pd.DataFrame({"label": label, "probability": found.proba.max(1)}, index=found.ids)
        table["route"] = np.where(found.by_teacher, "teacher", self.part_)
        if self.bank_ is not None:
            index, weight, _ = self._server.virtual(found.scaled)
            names = self.node_id_[self.bank_.rows.cpu().numpy()]
            for k in range(min(n_neighbors, index.shape[1])):
                table[f"neighbor_{k + 1}"] = names[index[:, k]]
                table[f"weight_{k + 1}"] = weight[:, k]
        return table

    def virtual_neighbors(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Ids and weights of the K virtual neighbours of rows, both (n_rows, K), best first."""
        index, weight, _ = self._virtual(X)
        assert self.bank_ is not None
        return self.node_id_[self.bank_.rows.cpu().numpy()].to_numpy()[index], weight

    def transform(self, X: Any) -> np.ndarray:
        """What the student makes of rows: [ẽ, ê] side by side, (n_rows, 2 · width)."""
        return self._virtual(X)[2]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy on new nodes without edges; unlabelled rows do not count."""
        proba = self.predict_proba(X)
        codes = match_labels(type(self).__name__, y, self.classes_, len(proba))
        labelled = codes != -1
        if not labelled.any():
            raise MakedoInputError(f"{type(self).__name__}.score: no row has a label.")
        weights = None if sample_weight is None else np.asarray(sample_weight)[labelled]
        return float(np.average(proba.argmax(1)[labelled] == codes[labelled], weights=weights))

    def evaluate(
        self,
        X: Any = None,
        y: Any = None,
        *,
        nodes: Any = None,
        edges: Any = None,
        node_id: Any = None,
    ) -> pd.DataFrame:
        """Accuracy of each part and of the routed model; arguments as in :meth:`predict`.

        Returns
        -------
        DataFrame
            candidate, group, mean, low, high (per cent; 95 % bootstrap interval over nodes), n.
        """
        from makedo.methods.cold_brew.scoring import evaluate

        return evaluate(self, X, y, nodes=nodes, edges=edges, node_id=node_id)

    def diagnose(self, X: Any, y: Any, *, graph: Any, node_id: Any = None) -> Diagnosis:
        """Measure on held-back labels whether this method would help, in under a minute.

        Arguments as in :meth:`fit`; the estimator itself is not fitted.
        """
        from makedo.methods.cold_brew.diagnose import diagnose

        return diagnose(self, X, y, graph=graph, node_id=node_id)

    def report(
        self,
        X: Any = None,
        y: Any = None,
        *,
        nodes: Any = None,
        edges: Any = None,
        node_id: Any = None,
        budget: int = 2,
        show_rows: bool = False,
    ) -> Report:
        """Did it pay?  Compared with the baselines on labelled nodes; else what ``fit`` stored.

        Parameters
        ----------
        X, y, nodes, edges, node_id
            Labelled nodes, as in :meth:`predict`.
        budget : int, default=2
            Configurations that each baseline may try on the validation nodes of the fit, 1 to 8.
        show_rows : bool, default=False
            Whether ids of nodes may stand in the report.
        """
        from makedo.methods.cold_brew.page import report

        where = {"nodes": nodes, "edges": edges, "node_id": node_id}
        return report(self, X, y, **where, budget=budget, show_rows=show_rows)

    # --- inside -------------------------------------------------------------------------------

    @property
    def _server(self) -> Server:
        never = np.setdiff1d(np.arange(len(self.classes_)), self.y_[self.train_])
        return Server(self.nets_, self.bank_, self.n_neighbors, self.temperature, never)

    def _answer(self, X: Any, nodes: Any, edges: Any, node_id: Any) -> Answer:
        check_is_fitted(self)
        return answer(self, X, nodes, edges, node_id)

    def _cold(self, scaled: Matrix, part: str) -> np.ndarray:
        return self._server.cold(scaled, part)

    def _encoded(self, X: Any) -> Matrix:
        check_is_fitted(self)
        return read_rows(self, X, allow_empty=True)[0]

    def _virtual(self, X: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        encoded = self._encoded(X)
        if self.bank_ is None:
            raise MakedoInputError(
                f"{type(self).__name__}: this model has no virtual neighbours "
                f"(cold_part={self.cold_part!r}, or its training was stopped). "
                'Fit with cold_part="auto" or "student".'
            )
        return self._server.virtual(self.scaler_.transform(encoded))

    def _restore(self, state: dict[str, Any]) -> None:
        objects = {name: state.pop(name) for name in OBJECTS}
        super()._restore(state)
        restore(self, objects)
        check_restored(self)

    def _card(self) -> str:
        return card(self)
