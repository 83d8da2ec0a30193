"""Cold Brew for links: which known nodes will a node link to that has no edges yet?

W. Zheng, E. W. Huang, N. Rao, S. Katariya, Z. Wang, K. Subbian, "Cold Brew: Distilling Graph Node
Representations with Incomplete or Missing Neighborhoods", ICLR 2022,
https://arxiv.org/abs/2111.04840, Table 4.

As in classification, but teacher and student learn an embedding z of a node instead of its class,
and a pair of nodes is scored by the inner product of theirs (:mod:`link_loss`).  A new node is
embedded by the student, a known one by the teacher, who has seen its edges.

Symbols: as in :mod:`estimator` · z embedding of which the inner product scores a link.

What differs from the paper, and why:

* Known nodes are embedded by the teacher, not by the student: their edges are known, so why guess?
* An edge that a step asks for carries no message in that step, and while the student learns, the
  nodes that ask are cut off: a new node has left no trace in the embeddings of others.
* A share of the linked nodes loses all edges before anything is trained.  Those edges choose every
  epoch, and what serves: popularity, cosine of features, an MLP as dual encoder, the teacher on
  a node that stands alone, or the student.  The released code selects on test edges.
* The reciprocal rank is taken in expectation over its random negatives (:mod:`ranking`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import Choice, MakedoInputError, Number
from makedo.core.devices import pick_device
from makedo.core.diagnosis import Diagnosis
from makedo.core.estimator import Estimator
from makedo.core.persistence import fingerprint
from makedo.core.seeds import generator
from makedo.core.training import Training, history_frame
from makedo.data.features import Matrix, RowScaler, read_rows
from makedo.data.graph import as_graph
from makedo.data.nodes import node_index
from makedo.methods.cold_brew.links.brewing import LinkBrewing
from makedo.methods.cold_brew.links.loss import linked_nodes
from makedo.methods.cold_brew.links.serving import (
    LINK_PARTS,
    LinkServer,
    build_link_networks,
    check_new,
    link_scores,
    ranked,
)
from makedo.methods.cold_brew.links.validation import choose_link_part, hide_nodes
from makedo.methods.cold_brew.restoring import OBJECTS, restore

if TYPE_CHECKING:
    from makedo.report import Report


class ColdBrewLinkPredictor(Estimator):
    r"""Say which known nodes of a graph a new one will link to, when it has no edges yet.

    Trains a graph network on the links that are there (teacher) and a network that sees features
    only (student), which guesses what the teacher would have made of a new node, looks up known
    nodes that resemble that, and embeds the new node among the known ones [1]_:

    .. math:: s(i, j) = \langle z^0_i + \xi_2([x_i, \tilde e_i, \hat e_i]), z_j \rangle

    with :math:`\hat e` the guess, :math:`\tilde e` the mean of what resembles it, :math:`z^0` a
    first guess (see ``part2``), and :math:`z_j` the teacher's embedding of the known node j.

    Parameters
    ----------
    hidden, n_layers : int, default=64, 1
        Width of the teacher's inner layers and number of its layers.
    embedding_width : int, default=128
        Width of z.
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
    temperature : float, default=0.1
        :math:`\tau`; small values let the nearest neighbour decide.
    n_negatives : int, default=1
        Random nodes that stand against each edge while training.
    student_hidden : int, default=256
        Width of both parts of the student, and of the MLP.
    part2 : {"correction", "whole"}, default="correction"
        What part 2 says: what to add to two guesses of z (the teacher's on a node that stands alone
        and part 1's), or, as in the paper, z itself.
    dropout, student_dropout : float, default=0.5
        On the input of each teacher layer; on the hidden layer of the student and the MLP.
    learning_rate, student_learning_rate, part2_learning_rate : float, default=0.01, 0.002, 5e-5
        Of the teacher and the linear encoder, of the MLP and part 1, and of part 2.
    weight_decay : float, default=0
        On all weights but the structural embedding.
    max_epochs, student_max_epochs : int, default=200, 100
        Most passes over the edges of the teacher, and of each other network.
    patience, student_patience : int, default=20
        Epochs without a better validation score after which a network stops.
    batch_size : int, default=512
        Most edges a step of the student and the MLP; a fifth of the edges where that is less.
    cold_part : {"popularity", "features", "linear", "mlp", "teacher", "student"}, default="auto"
        What ranks the known nodes: their degree, the cosine of features, a linear map or an MLP
        that embeds both ends by features, the teacher on a node that stands alone, or the student.
        "auto" takes the one that ranks the hidden links of validation nodes best.
    validation_fraction : float, default=0.1
        Share of the linked nodes whose edges are hidden to choose epochs and ``part_``.
    normalize : {"auto", "rows", "columns", "none"}, default="auto"
        "auto": counts to row sum 1, other dense features to mean 0 and sd 1 over linked nodes.
    random_state, verbose : int, default=0
    device : str, default="auto"
        "auto" is cuda, else mps, else cpu.

    Attributes
    ----------
    n_features_in_ : int
    part_ : str, what ranks the known nodes
    part_scores_ : dict, mean reciprocal rank of the hidden links among 20 negatives, by part
    validation_ : DataFrame, of each validation node: row, its hidden links, reciprocal rank by part
    embedding_ : dict of ndarray (n_nodes, embedding_width), z of the known nodes by network
    graph_ : Graph, that of the training, nodes in the order of the rows of X
    node_id_ : Index, their ids
    table_ : TableEncoder or None, how the columns of a data frame became numbers
    history_ : DataFrame, one row per phase and epoch

    Shapes
    ------
    X (n_nodes, n_features) · graph: n_nodes nodes · predict_links -> (n_rows · top, 4)

    Cost
    ----
    Teacher epoch O((nnz(X) + n_edges) · hidden), student epoch O(n_edges · student_hidden);
    predict_links O(n_rows · n_nodes · embedding_width) time, in blocks.  The model keeps X and the
    graph.

    Requirements
    ------------
    Edges for some nodes, features for all.  No labels.

    Relations
    ---------
    Both ends of a link have edges: any link predictor (PyG's ``LinkNeighborLoader``).  Features
    alone decide: a dual encoder, which is among the candidates.

    References
    ----------
    .. [1] Zheng et al., "Cold Brew: Distilling Graph Node Representations with Incomplete or
       Missing Neighborhoods", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo import ColdBrewLinkPredictor
    >>> rng = np.random.default_rng(0)
    >>> group = np.arange(120) % 2
    >>> X = rng.normal(size=(120, 8)) + group[:, None]
    >>> alike = [(i, j) for i in range(120) for j in range(i) if group[i] == group[j]]
    >>> graph = np.array([pair for pair in alike if rng.random() < 0.1]).T
    >>> model = ColdBrewLinkPredictor(max_epochs=10, student_max_epochs=5).fit(X, graph=graph)
    >>> model.predict_links(X[:1] * 1.01, top=2).columns.tolist()  # a new node, no edges
    ['node', 'neighbor', 'rank', 'score']
    """

    _constraints: ClassVar = {
        "hidden": Number(1, integer=True),
        "n_layers": Number(1, integer=True),
        "embedding_width": Number(1, integer=True),
        "structural": Choice(("first", "last", "all", None)),
        "structural_penalty": Number(0),
        "bank": Choice(("layers", "output")),
        "n_neighbors": Number(1, integer=True),
        "similarity": Choice(("cosine", "dot")),
        "temperature": Number(0, open_low=True),
        "n_negatives": Number(1, integer=True),
        "student_hidden": Number(1, integer=True),
        "part2": Choice(("correction", "whole")),
        "dropout": Number(0, 1, open_high=True),
        "student_dropout": Number(0, 1, open_high=True),
        "learning_rate": Number(0, open_low=True),
        "student_learning_rate": Number(0, open_low=True),
        "part2_learning_rate": Number(0, open_low=True),
        "weight_decay": Number(0),
        "max_epochs": Number(1, integer=True),
        "student_max_epochs": Number(1, integer=True),
        "patience": Number(1, integer=True),
        "student_patience": Number(1, integer=True),
        "batch_size": Number(1, integer=True),
        "cold_part": Choice(("auto", *LINK_PARTS)),
        "validation_fraction": Number(0, 1, open_low=True, open_high=True),
        "normalize": Choice(("auto", "rows", "columns", "none")),
        "random_state": Number(0, integer=True),
        "verbose": Number(0, integer=True),
    }

    def __init__(
        self,
        hidden: int = 64,
        n_layers: int = 1,
        *,
        embedding_width: int = 128,
        structural: str | None = "first",
        structural_penalty: float = 1e-2,
        bank: str = "layers",
        n_neighbors: int = 16,
        similarity: str = "cosine",
        temperature: float = 0.1,
        n_negatives: int = 1,
        student_hidden: int = 256,
        part2: str = "correction",
        dropout: float = 0.5,
        student_dropout: float = 0.5,
        learning_rate: float = 0.01,
        student_learning_rate: float = 0.002,
        part2_learning_rate: float = 5e-5,
        weight_decay: float = 0.0,
        max_epochs: int = 200,
        student_max_epochs: int = 100,
        patience: int = 20,
        student_patience: int = 20,
        batch_size: int = 512,
        cold_part: str = "auto",
        validation_fraction: float = 0.1,
        normalize: str = "auto",
        random_state: int = 0,
        device: str = "auto",
        verbose: int = 0,
    ):
        self.hidden = hidden
        self.n_layers = n_layers
        self.embedding_width = embedding_width
        self.structural = structural
        self.structural_penalty = structural_penalty
        self.bank = bank
        self.n_neighbors = n_neighbors
        self.similarity = similarity
        self.temperature = temperature
        self.n_negatives = n_negatives
        self.student_hidden = student_hidden
        self.part2 = part2
        self.dropout = dropout
        self.student_dropout = student_dropout
        self.learning_rate = learning_rate
        self.student_learning_rate = student_learning_rate
        self.part2_learning_rate = part2_learning_rate
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.student_max_epochs = student_max_epochs
        self.patience = patience
        self.student_patience = student_patience
        self.batch_size = batch_size
        self.cold_part = cold_part
        self.validation_fraction = validation_fraction
        self.normalize = normalize
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    # --- learning -----------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        graph: Any,
        node_id: Any = None,
        checkpoint_dir: str | Path | None = None,
        on_step: Callable[[dict[str, Any]], bool | None] | None = None,
    ) -> ColdBrewLinkPredictor:
        """Learn from a graph whose nodes are the rows of X.

        Parameters
        ----------
        X : data frame, ndarray, scipy sparse or tensor of shape (n_nodes, n_features)
            The index of a frame holds the node ids.  Text, categories, dates and gaps are welcome
            in a frame.
        y : ignored
            Links are what is learnt.
        graph : Graph, data frame of edges, edge_index, scipy sparse, networkx or PyG data
            Joined by node id; by position it must have exactly n_nodes nodes.  A row that is
            missing is a node removed.
        node_id : array-like of shape (n_nodes,), optional
            Ids of the rows, instead of the index of X.
        checkpoint_dir : str or Path, optional
            State is kept there; a killed fit, called again, ends in the same model bit for bit.
        on_step : callable, optional
            Gets each row of ``history_``; returning True stops early.

        Raises
        ------
        MakedoInputError
            No edges, ids or sizes that do not match, a checkpoint of another fit.
        """
        self._check_parameters()
        self.X_, ids = read_rows(self, X, reset=True)
        ids = ids if node_id is None else node_index(type(self).__name__, node_id, len(ids))
        self.graph_, self.node_id_ = as_graph(graph, n_rows=len(ids), row_id=ids), ids
        links = hide_nodes(self, generator(self.random_state, "hidden edges"))
        self.scaler_ = RowScaler(self.normalize).fit(self.X_, linked_nodes(links.graph))
        self.fingerprint_ = fingerprint(self.X_, self.graph_)
        with Training(
            type(self).__name__,
            random_state=self.random_state,
            verbose=self.verbose,
            key=fingerprint(self.get_params(), self.fingerprint_),
            checkpoint_dir=checkpoint_dir,
            on_step=on_step,
        ) as training:
            brewing = LinkBrewing(self, training, links)
            brewing.run()
        self.nets_, self.bank_, self.moments_ = brewing.nets, brewing.bank, brewing.moments
        self.history_ = history_frame(training.history)
        self.part_, self.part_scores_, self.validation_ = choose_link_part(self, links)
        # Validation nodes get their edges back: from here on they are known like all others.
        self.embedding_ = self._server.embed(self._scaled, self.graph_)
        return self

    # --- predicting ---------------------------------------------------------------------------

    def predict_links(self, X: Any, top: int = 10, *, node_id: Any = None) -> pd.DataFrame:
        """The known nodes that new ones will most likely link to.

        Parameters
        ----------
        X : rows of shape (n_rows, n_features)
            New nodes, which have no edges.
        top : int, default=10
            Known nodes named for each; all of them, where there are fewer.
        node_id : sequence of length n_rows, optional
            Ids of the new nodes, instead of the index of X.

        Returns
        -------
        DataFrame with a row per node and rank
            node, neighbor (ids), rank (from 1, the best) and score.  Scores of one model can be
            compared; they are no probabilities.
        """
        if isinstance(top, bool) or not isinstance(top, (int, np.integer)) or top < 1:
            raise MakedoInputError(
                f"{type(self).__name__}.predict_links: top must be an integer from 1 on. "
                f"Got {top!r}."
            )
        scaled, ids = self._new(X, node_id)
        return ranked(self._scores(scaled, self.part_), ids, self.node_id_, int(top))

    def decision_scores(self, X: Any, pairs: Any, *, node_id: Any = None) -> np.ndarray:
        """Scores (n_pairs,) of given pairs of a new and a known node.

        Parameters
        ----------
        X, node_id
            New nodes, as in :meth:`predict_links`.
        pairs : array of shape (2, n_pairs)
            Positions: rows of X, and rows of the X of ``fit``.
        """
        from makedo.methods.cold_brew.links.serving import score_pairs

        scaled, _ = self._new(X, node_id)
        blocks = self._scores(scaled, self.part_)
        return score_pairs(type(self).__name__, blocks, pairs, scaled.shape[0], len(self.node_id_))

    def transform(self, X: Any) -> np.ndarray:
        """Embeddings (n_rows, embedding_width) of new nodes, by ``part_`` if that is a network."""
        scaled, _ = self._new(X, None)
        if self.part_ in ("popularity", "features"):
            raise MakedoInputError(
                f"{type(self).__name__}.transform: links are served by {self.part_}, which embeds "
                'nothing. Fit with cold_part="student".'
            )
        return self._server.query(scaled, self.part_).cpu().numpy()

    def evaluate(
        self, X: Any, edges: Any, *, node_id: Any = None, n_negatives: int = 20
    ) -> pd.DataFrame:
        """How well each part ranks the true links of new nodes.

        Parameters
        ----------
        X, node_id
            New nodes, as in :meth:`predict_links`.
        edges : data frame or array (2, n_edges)
            Their edges to known nodes, by id; in an array by position, the known nodes first, then
            the rows of X.  Edges between two new nodes do not count.
        n_negatives : int, default=20
            Known nodes, drawn at random, among which the reciprocal rank of a link is taken.

        Returns
        -------
        DataFrame
            candidate, metric, mean, low, high (per cent; 95 % bootstrap interval over nodes), n.
            A node counts once, by the mean of its links.  MRR is the expectation over the draw of
            negatives; hits@10 says whether a link is among the first ten of all known nodes that
            are no other link of the node.  Equal scores are ranked in random order.
        """
        from makedo.methods.cold_brew.links.scoring import evaluate

        return evaluate(self, X, edges, node_id=node_id, n_negatives=n_negatives)

    def diagnose(self, X: Any, y: Any = None, *, graph: Any, node_id: Any = None) -> Diagnosis:
        """Measure on held-back nodes whether this method would help, in under a minute.

        Arguments as in :meth:`fit`; the estimator itself is not fitted.
        """
        from makedo.methods.cold_brew.links.diagnose import diagnose

        return diagnose(self, X, graph=graph, node_id=node_id)

    def report(
        self,
        X: Any = None,
        edges: Any = None,
        *,
        node_id: Any = None,
        n_negatives: int = 20,
        show_rows: bool = False,
    ) -> Report:
        """Did it pay?  Compared with simpler rankings on true links; else what ``fit`` stored.

        Parameters
        ----------
        X, edges, node_id, n_negatives
            New nodes and their links, as in :meth:`evaluate`.
        show_rows : bool, default=False
            Whether ids of nodes may stand in the report.
        """
        from makedo.methods.cold_brew.links.page import report

        given = {"node_id": node_id, "n_negatives": n_negatives}
        return report(self, X, edges, **given, show_rows=show_rows)

    # --- inside -------------------------------------------------------------------------------

    @property
    def _server(self) -> LinkServer:
        look_up, device = (self.n_neighbors, self.temperature), pick_device(self.device)
        return LinkServer(self.nets_, self.bank_, *look_up, self.moments_, device)

    @property
    def _scaled(self) -> Matrix:
        return self.scaler_.transform(self.X_)

    def _scores(self, scaled: Matrix, part: str) -> Any:
        return link_scores(self._server, scaled, part, self._known)

    def _known(self, part: str) -> Any:
        if part == "popularity":
            return self.graph_.degree
        return self._scaled if part == "features" else self.embedding_[part]

    def _new(self, X: Any, node_id: Any) -> tuple[Matrix, pd.Index]:
        """Scaled rows of new nodes and their ids."""
        check_is_fitted(self)
        matrix, ids = read_rows(self, X, allow_empty=True)
        ids = ids if node_id is None else node_index(type(self).__name__, node_id, len(ids))
        check_new(type(self).__name__, ids, self.node_id_)
        return self.scaler_.transform(matrix), ids

    def _restore(self, state: dict[str, Any]) -> None:
        from makedo.methods.cold_brew.links.serving import check_links_restored

        objects = {name: state.pop(name) for name in OBJECTS}
        super()._restore(state)
        restore(self, objects, build_link_networks)
        check_links_restored(self)

    def _card(self) -> str:
        from makedo.methods.cold_brew.links.serving import link_card

        return link_card(self)
