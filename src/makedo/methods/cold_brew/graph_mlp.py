r"""Graph-MLP: an MLP that pulls linked nodes together while it learns (Hu et al., 2021).

The graph enters the loss only.  Over a batch B of nodes with embeddings z, and
:math:`\gamma_{ij}` the entries of :math:`\tilde A^r`, the neighbouring contrast is the mean over
the nodes i of B that have an r-hop neighbour in it of

.. math:: -\log \frac{\sum_{j \ne i} \gamma_{ij} \exp(\cos(z_i, z_j) / \tau)}
    {\sum_{j \ne i} \exp(\cos(z_i, z_j) / \tau)}

What differs from the paper: an epoch is a pass over the labelled nodes, and each step contrasts
other nodes, drawn among those with edges; the paper's epoch is one batch for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from makedo.baselines.network import (
    TRAINING_CONSTRAINTS,
    NetworkClassifier,
    proba_of_rows,
    to_tensors,
)
from makedo.core.checks import Number
from makedo.core.training import Phase, Training, Update
from makedo.data.features import Matrix
from makedo.data.nodes import Nodes
from makedo.nn.dropout import dropout as drop
from makedo.nn.features import FeatureLinear, Features
from makedo.nn.targets import CLASSES


class GraphMLP(nn.Module):
    """x → Linear → GELU → LayerNorm → Dropout → Linear = z → Linear.

    Shapes
    ------
    features (n_rows, n_features) -> (n_rows, n_outputs)
    """

    def __init__(self, n_features: int, hidden: int, n_outputs: int, dropout: float = 0.6):
        super().__init__()
        self.input = FeatureLinear(n_features, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.dropout = dropout
        self.middle = nn.Linear(hidden, hidden)
        self.output = nn.Linear(hidden, n_outputs)

    def embed(self, features: Features) -> Tensor:
        """Return z (n_rows, hidden), which the contrast compares."""
        h = self.norm(F.gelu(self.input(features)))
        return self.middle(drop(h, self.dropout) if self.training else h)

    def forward(self, features: Features) -> Tensor:
        """Return scores of classes before the softmax."""
        return self.output(self.embed(features))


def neighbors_in_batch(A: sp.csr_matrix, rows: np.ndarray, n_hops: int) -> np.ndarray:
    """Return the entries of A^r among some nodes, their diagonal zero: (n_rows, n_rows) float32.

    A (n_nodes, n_nodes) is symmetric; only ``rows`` of its powers are ever formed.
    """
    left = A[rows]
    right = left.T  # the columns of A, as it is symmetric
    for _ in range(n_hops - 2):
        left = left @ A
    block = (left @ right if n_hops > 1 else left[:, rows]).toarray()
    np.fill_diagonal(block, 0)
    return block


def neighbor_contrast(z: Tensor, gamma: Tensor, temperature: float) -> Tensor:
    """The contrast of the module's docstring.  z (n, width), gamma (n, n) with a zero diagonal."""
    unit = F.normalize(z)
    alike = (unit @ unit.T / temperature).exp()  # (n, n); at most exp(1 / τ)
    everyone = alike.sum(1) - alike.diagonal()
    near = (gamma * alike).sum(1)
    some = near > 0
    if not some.any():
        return z.sum() * 0.0
    return (everyone[some].log() - near[some].log()).mean()


def graph_mlp_phase(
    net: GraphMLP,
    features: Features,
    neighbors: Callable[[np.ndarray], np.ndarray],
    connected: Tensor,
    y: Tensor,
    train: Tensor,
    valid: Tensor,
    *,
    alpha: float,
    temperature: float,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    max_epochs: int,
    patience: int | None,
) -> Phase:
    """Cross-entropy on labelled rows + α · neighbouring contrast on as many connected ones.

    Parameters
    ----------
    neighbors : callable, rows (n,) -> γ among them (n, n), float32
    connected, train, valid : int64 tensors
        Positions: nodes with edges, which are contrasted; labelled nodes; nodes that choose the
        state that is kept.
    """
    optimizer = torch.optim.Adam(
        net.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
    )

    def batches(rng: np.random.Generator) -> Iterable[tuple[Tensor, Tensor]]:
        order = torch.from_numpy(rng.permutation(len(train)))
        for hard in train[order].tensor_split(math.ceil(len(train) / batch_size)):
            drawn = rng.choice(len(connected), min(batch_size, len(connected)), replace=False)
            yield hard, connected[torch.from_numpy(drawn)]

    def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
        hard, near = batch
        if not alpha:
            return F.cross_entropy(net(features.rows(hard)), y[hard])
        z = net.embed(features.rows(torch.cat(batch)))  # (n_hard + n_near, hidden)
        gamma = torch.from_numpy(neighbors(near.cpu().numpy())).to(z.device)
        contrast = neighbor_contrast(z[len(hard) :], gamma, temperature)
        return F.cross_entropy(net.output(z[: len(hard)]), y[hard]) + alpha * contrast

    valid_features = features.rows(valid)

    def validate() -> dict[str, float]:
        return CLASSES.figures(net(valid_features), y[valid])

    return Phase(
        "graph mlp",
        {"net": net},
        [Update(optimizer, loss)],
        max_epochs,
        batches=batches,
        validate=validate if len(valid) else None,
        patience=patience,
        least_gain=CLASSES.least_gain,
    )


class GraphMLPClassifier(NetworkClassifier):
    r"""Classify nodes by an MLP that the graph teaches to keep linked nodes together.

    Minimises the cross-entropy of labelled nodes :math:`+\ \alpha` times the neighbouring contrast
    of nodes with edges [1]_; edges are not needed to predict.

    .. math:: -\log \frac{\sum_{j \ne i} \gamma_{ij} \exp(\cos(z_i, z_j) / \tau)}
        {\sum_{j \ne i} \exp(\cos(z_i, z_j) / \tau)}

    with z the second layer and :math:`\gamma` the entries of
    :math:`(D^{-1/2} (A + I) D^{-1/2})^r`.

    Parameters
    ----------
    alpha : float, default=10.0
        Weight of the contrast.  0 is an MLP that the graph does not teach (and the default of some
        scripts, which then do not measure this method).
    temperature : float, default=2.0
        :math:`\tau`.
    n_hops : int, default=2
        r, how far neighbours may be.
    hidden : int, default=256
        Width of both hidden layers.
    dropout : float, default=0.6
        Before the second layer.
    learning_rate : float, default=0.005
    weight_decay : float, default=5e-4
    max_epochs : int, default=200
    patience : int or None, default=100
        Epochs without a better validation score after which training ends; None is never.  100 as
        for the student of :class:`ColdBrewClassifier`.
    batch_size : int, default=512
        Most labelled nodes a step, and most nodes whose contrast is taken.
    validation_fraction : float, default=0.2
        Share of the labelled nodes that is held back when ``fit`` gets no ``valid_mask``; the state
        that is best on them is kept.
    normalize : {"auto", "rows", "columns", "none"}, default="auto"
        Counts and sparse features to row sum 1, dense ones to mean 0 and sd 1 over the nodes that
        have edges.
    random_state : int, default=0
    device : str, default="auto"
    verbose : int, default=0

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    node_proba_ : ndarray of shape (n_nodes, n_classes)
    history_ : DataFrame
        A row per epoch.

    Shapes
    ------
    X (n_nodes, n_features) · y (n_nodes,) · graph: n_nodes nodes · predict -> (n_rows,)

    Cost
    ----
    A step: O(batch_size² · hidden), and the rows of :math:`\tilde A^r` of the batch, which are few
    entries for r = 2 and most of a batch_size × n_nodes matrix for more on a dense graph.

    Requirements
    ------------
    Labels for some nodes, edges for some nodes, features for all.

    Relations
    ---------
    :class:`GLNNClassifier` learns from a graph network's answers, this one from the edges
    themselves.

    References
    ----------
    .. [1] Hu et al., "Graph-MLP: Node Classification without Message Passing in Graph",
       arXiv 2106.04051, 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo.methods.cold_brew.graph_mlp import GraphMLPClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(60) % 2
    >>> X = rng.normal(size=(60, 4)) + 5 * y[:, None]
    >>> edges = np.array([np.arange(58), np.arange(2, 60)])
    >>> model = GraphMLPClassifier(max_epochs=20).fit(X, y, graph=edges)
    >>> model.predict([[0, 0, 0, 0], [5, 5, 5, 5]])
    array([0, 1])
    """

    needs_edges: ClassVar = True
    _constraints: ClassVar = TRAINING_CONSTRAINTS | {
        "alpha": Number(0),
        "temperature": Number(0, open_low=True),
        "n_hops": Number(1, integer=True),
        "batch_size": Number(1, integer=True),
    }

    def __init__(
        self,
        alpha: float = 10.0,
        *,
        temperature: float = 2.0,
        n_hops: int = 2,
        hidden: int = 256,
        dropout: float = 0.6,
        learning_rate: float = 0.005,
        weight_decay: float = 5e-4,
        max_epochs: int = 200,
        patience: int | None = 100,
        batch_size: int = 512,
        validation_fraction: float = 0.2,
        normalize: str = "auto",
        random_state: int = 0,
        device: str = "auto",
        verbose: int = 0,
    ):
        self.alpha = alpha
        self.temperature = temperature
        self.n_hops = n_hops
        self.hidden = hidden
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.patience = patience
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.normalize = normalize
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def _networks(self, n_features: int, n_classes: int) -> dict[str, nn.Module]:
        return {"graph mlp": GraphMLP(n_features, self.hidden, n_classes, self.dropout)}

    def _train(self, training: Training, nodes: Nodes, X: Matrix) -> np.ndarray:
        assert nodes.graph is not None
        A = nodes.graph.normalized()
        device, self.nets_ = self._start(nodes, "graph mlp")
        net = self.nets_["graph mlp"]
        assert isinstance(net, GraphMLP)
        parts = to_tensors(device, nodes.connected, nodes.y, nodes.train, nodes.valid)
        names = ("alpha", "temperature", "batch_size", "learning_rate", "weight_decay")
        names += ("max_epochs", "patience")
        training.run(
            graph_mlp_phase(
                net,
                Features.of(X, device),
                lambda rows: neighbors_in_batch(A, rows, self.n_hops),
                *parts,
                **{name: getattr(self, name) for name in names},
            )
        )
        return proba_of_rows(net, X, len(nodes.classes))
