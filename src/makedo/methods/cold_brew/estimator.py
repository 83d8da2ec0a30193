"""Cold Brew: node prediction when neighbourhoods are missing.

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
  and fit the pool of parts that serves nodes without edges; the other half stop the teacher and fit
  the pool for thinly linked nodes (see routing.py).  The released code selects on test nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import Choice, Either, MakedoInputError, Number, count
from makedo.core.diagnosis import Diagnosis
from makedo.core.estimator import Estimator
from makedo.core.labels import read_weight
from makedo.core.persistence import fingerprint
from makedo.core.seeds import generator
from makedo.core.training import Training, history_frame
from makedo.data.features import Matrix, RowScaler, read_rows
from makedo.data.nodes import Nodes, read_nodes
from makedo.methods.cold_brew.brewing import Brewing
from makedo.methods.cold_brew.restoring import OBJECTS, card, check_restored, restore
from makedo.methods.cold_brew.routing import PARTS, hide_half, route
from makedo.methods.cold_brew.serving import (
    Answer,
    Server,
    answer,
)
from makedo.methods.cold_brew.tasks import Task
from makedo.methods.cold_brew.teacher import (
    TEACHER_CONSTRAINTS,
)

if TYPE_CHECKING:
    from typing import Self

    from makedo.report import Report


class ColdBrew(Estimator):
    """The algorithm, for classes and for numbers alike; a subclass says which (``_task``)."""

    _constraints: ClassVar = TEACHER_CONSTRAINTS | {
        "hidden": Number(1, integer=True),
        "bank": Choice(("layers", "output")),
        "n_neighbors": Number(1, integer=True),
        "similarity": Choice(("cosine", "dot")),
        "look_up": Choice(("auto", "exact", "approximate")),
        "temperature": Number(0, open_low=True),
        "part1_nodes": Choice(("connected", "labelled")),
        "student_inputs": Choice(("both", "neighbors", "guess")),
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
        "part1_patience": Number(1, integer=True),
        "batch_size": Number(1, integer=True),
        "cold_part": Choice(("auto", *PARTS, "teacher")),
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
        skip: str | None = None,
        skip_weight: float = 0.1,
        norm: str | None = None,
        graph_dropout: str | None = None,
        bank: str = "layers",
        n_neighbors: int = 16,
        similarity: str = "cosine",
        look_up: str = "auto",
        temperature: float = 0.1,
        part1_nodes: str = "connected",
        student_inputs: str = "both",
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
        student_patience: int = 100,
        part1_patience: int = 40,
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
        self.skip = skip
        self.skip_weight = skip_weight
        self.norm = norm
        self.graph_dropout = graph_dropout
        self.bank = bank
        self.n_neighbors = n_neighbors
        self.similarity = similarity
        self.look_up = look_up
        self.temperature = temperature
        self.part1_nodes = part1_nodes
        self.student_inputs = student_inputs
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
        self.part1_patience = part1_patience
        self.batch_size = batch_size
        self.cold_part = cold_part
        self.degree_threshold = degree_threshold
        self.validation_fraction = validation_fraction
        self.normalize = normalize
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    @classmethod
    def from_paper(cls, **changes: Any) -> Self:
        """Build the paper's model for Cora, as far as it and its readme say; slower and less good.

        Three neighbours by the dot product, no temperature, no soft labels, PairNorm, 1,500 epochs
        without early stop, full batches, the student for nodes without edges and the teacher for
        all others.  What still differs, and why: validation nodes choose the epoch (the released
        code looks at test accuracy); the bank is standardised and a node is not its own neighbour;
        the penalty is on ‖E‖², so that the printed weights (32 for Cora) mean nothing here; norms
        act (the released code builds them and leaves them out).

        Parameters
        ----------
        **changes
            Parameters that are to be otherwise.
        """
        settings: dict[str, Any] = {
            "norm": "pair",
            "n_neighbors": 3,
            "similarity": "dot",
            "look_up": "exact",
            "temperature": 1.0,
            "distill": 0.0,
            "dropout": 0.6,
            "student_dropout": 0.5,
            "learning_rate": 0.005,
            "student_learning_rate": 0.005,
            "max_epochs": 1500,
            "student_max_epochs": 1500,
            "patience": 1500,
            "student_patience": 1500,
            "part1_patience": 1500,
            "batch_size": 65_536,
            "cold_part": "student",
            "degree_threshold": 1,
            "normalize": "rows",
        }
        return cls(**settings | changes)

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
    ) -> Self:
        """Learn from a graph whose nodes are the rows of X.

        Parameters
        ----------
        X : data frame, ndarray, scipy sparse or tensor of shape (n_nodes, n_features)
            The index of a frame holds the node ids.  Text, categories, dates and gaps are welcome
            in a frame.
        y : array-like of shape (n_nodes,)
            NaN, None and, for integer classes, -1 are unlabelled.  (A regressor: NaN, None.)
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
            encode=self._encode,
        )
        assert nodes.graph is not None
        self.X_, self.y_, self.node_id_ = nodes.X, nodes.y, nodes.id
        self.graph_, self.train_, self.valid_ = nodes.graph, nodes.train, nodes.valid
        self._learn_task(nodes)
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
            brewing = Brewing(self, training, training_graph, connected, hidden, kept)
            brewing.run()
        self.nets_, self.bank_ = brewing.nets, brewing.bank
        self.history_ = history_frame(training.history)
        routing = route(self, hidden, kept)
        self.unlinked_pool_, self.linked_pool_ = routing.unlinked_pool, routing.linked_pool
        self.teacher_temperature_ = routing.teacher_temperature
        self.degree_threshold_ = routing.degree_threshold
        self.part_scores_, self.validation_ = routing.part_scores, routing.validation
        return self

    # --- predicting ---------------------------------------------------------------------------

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
            What is predicted (label and probability, or value); route: "teacher", "linked" (the
            pool for nodes of few edges) or "unlinked"; and the first virtual neighbours with their
            weights where the model has a bank: known nodes that this one resembles.
        """
        if n_neighbors < 0:
            raise MakedoInputError(f"n_neighbors must be 0 or more. Got {n_neighbors}.")
        found = self._answer(X, nodes, edges, node_id)
        table = pd.DataFrame(self._said(found.said), index=found.ids)
        table["route"] = found.route.astype(str)
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

    def evaluate(
        self,
        X: Any = None,
        y: Any = None,
        *,
        nodes: Any = None,
        edges: Any = None,
        node_id: Any = None,
    ) -> pd.DataFrame:
        """How good each part and the routed model are; arguments as in :meth:`predict`.

        Returns
        -------
        DataFrame
            candidate, group, mean (accuracy in per cent, or R²), low, high (its 95 % bootstrap
            interval over nodes), n.
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

    @staticmethod
    def _encode(owner: str, y: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels as :func:`read_nodes` wants them."""
        raise NotImplementedError

    def _learn_task(self, nodes: Nodes) -> None:
        """Keep what ``_task`` needs to know of the labels."""
        raise NotImplementedError

    @property
    def _task(self) -> Task:
        raise NotImplementedError

    def _said(self, answers: np.ndarray) -> dict[str, np.ndarray]:
        """Answers (n_rows, n_outputs) as columns for the user."""
        raise NotImplementedError

    @property
    def _server(self) -> Server:
        return Server(
            self._task,
            self.nets_,
            self.bank_,
            self.n_neighbors,
            self.temperature,
            self.student_inputs,
        )

    def _answer(self, X: Any, nodes: Any, edges: Any, node_id: Any) -> Answer:
        check_is_fitted(self)
        return answer(self, X, nodes, edges, node_id)

    def _score(self, X: Any, y: Any, sample_weight: Any) -> float:
        """Accuracy or R² of labelled rows, as new nodes without edges."""
        said = self._answer(X, None, None, None).said
        owner = f"{type(self).__name__}.score"
        truth = self._task.match(type(self).__name__, y, len(said))
        labelled = ~np.isnan(self._task.credit(said, truth))
        if not labelled.any():
            raise MakedoInputError(f"{owner}: no row has a label.")
        weight = read_weight(owner, sample_weight, labelled)
        return self._task.score(owner, said[labelled], truth[labelled], weight)

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
