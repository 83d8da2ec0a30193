"""The teacher: a GCN whose nodes also have structural embeddings, free parameters (section 3.2).

Layer l, with Ã the normalised adjacency with self loops (paper, eq. 1 and 2)::

    Z⁽ˡ⁾ = X⁽ˡ⁾ W⁽ˡ⁾ + E⁽ˡ⁾          X⁽ˡ⁺¹⁾ = σ( Norm( Ã Z⁽ˡ⁾ + b⁽ˡ⁾ ) )

W⁽ˡ⁾ (d_l, d_{l+1}) weights, E⁽ˡ⁾ (n_nodes, d_{l+1}) structural embedding, σ the ReLU except after
the last layer.  The loss is the cross-entropy on labelled nodes plus η Σ ‖E⁽ˡ⁾‖²; η → ∞ is an
ordinary GCN.  A row of E moves only if a labelled node lies within its receptive field (or through
the statistics of a norm), hence E starts at zero and a node outside the training graph has E_i = 0.

With a skip connection (appendix B) there is a linear layer before the first and one after the last
graph layer, all graph layers are h → h, and X⁽ˡ⁺¹⁾ is mixed with earlier ones: see :mod:`.skips`.

What differs from the released code: norms act whatever the skip, on hidden layers only (classes
whose scores have a fixed norm cannot become certain); "first", "last" and "all" mean the same graph
layers with a skip as without; E comes before the propagation; no dropout on the scores of classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from makedo.core.checks import Choice, Number
from makedo.core.training import Phase, Update
from makedo.methods.cold_brew.skips import build_skips
from makedo.nn.features import FeatureLinear, Features
from makedo.nn.graph_dropout import drop_edges, drop_nodes, sample_layers
from makedo.nn.norms import Statistic, build_norm, measured
from makedo.nn.propagation import Propagation
from makedo.nn.targets import CLASSES, Target

DROPPED = 0.2  # share of the edges or nodes that a training step does without

Propagate = Callable[[Tensor], Tensor]

TEACHER_CONSTRAINTS = {
    "n_layers": Number(1, integer=True),
    "structural": Choice(("first", "last", "all", None)),
    "structural_penalty": Number(0),
    "skip": Choice((None, "residual", "initial", "dense", "jumping")),
    "skip_weight": Number(0, 1),
    "norm": Choice((None, "batch", "pair", "node", "mean", "group")),
    "graph_dropout": Choice((None, "edge", "node", "layer")),
}


class StructuralGCN(nn.Module):
    """GCN with structural embeddings.

    Parameters
    ----------
    n_nodes, n_features, hidden, n_outputs, n_layers : int
    dropout : float
        On the input of every layer.
    structural : {"first", "last", "all", None}
        Which graph layers have an E; None is an ordinary GCN.
    skip : {"residual", "initial", "dense", "jumping", None}
    skip_weight : float in [0, 1]
        α, the weight of the earlier state in "residual" and "initial".
    norm : {"batch", "pair", "node", "mean", "group", None}
        Of hidden layers, see :mod:`makedo.nn.norms`.
    graph_dropout : {"edge", "node", "layer", None}
        What of the graph is left out at random in each step of the training, a share of 0.2: edges,
        nodes, or the nodes that send in each layer; see :mod:`makedo.nn.graph_dropout`.

    Shapes
    ------
    features (n_nodes, n_features) -> list of n_layers tensors (n_nodes, d_{l+1}), before σ; the
    last one (n_nodes, n_outputs)
    """

    def __init__(
        self,
        n_nodes: int,
        n_features: int,
        hidden: int,
        n_outputs: int,
        n_layers: int = 2,
        dropout: float = 0.5,
        structural: str | None = "first",
        skip: str | None = None,
        skip_weight: float = 0.1,
        norm: str | None = None,
        graph_dropout: str | None = None,
    ):
        super().__init__()
        widths = [n_features, *[hidden] * (n_layers - 1), n_outputs]
        self.output_widths = widths[1:]
        self.input = self.output = None
        if skip is not None:
            self.input, widths = FeatureLinear(n_features, hidden), [hidden] * (n_layers + 1)
        self.layers = nn.ModuleList(
            FeatureLinear(d_in, d_out) for d_in, d_out in zip(widths[:-1], widths[1:], strict=True)
        )
        if skip is not None:
            self.output = FeatureLinear(hidden, n_outputs)
        n_hidden = n_layers - (skip is None)
        self.norms = nn.ModuleList(
            build_norm(norm if k < n_hidden else None, hidden) for k in range(n_layers)
        )
        self.skips = nn.ModuleList(build_skips(skip, skip_weight, hidden, n_layers))
        every = range(n_layers)
        some = {"first": every[:1], "last": every[-1:], "all": every, None: every[:0]}[structural]
        self.E = nn.ParameterDict(
            {str(k): nn.Parameter(torch.zeros(n_nodes, widths[k + 1])) for k in some}
        )
        self.dropout, self.graph_dropout = dropout, graph_dropout

    def forward(
        self, features: Features, propagation: Propagate, n_known: int | None = None
    ) -> list[Tensor]:
        """The outputs of all layers, before σ; with a skip the last are scores of classes too.

        The first ``n_known`` rows (default: as many as E has) are nodes of the training graph;
        others have E_i = 0.
        """
        x, states, outputs = features, [], []
        if self.input is not None:
            x = Features(F.relu(self.input(features, dropout=self.dropout)))
            states.append(x.values)  # x_0 (n_rows, hidden)
        graphs = self._graphs(propagation)
        for k, (layer, norm, skip) in enumerate(
            zip(self.layers, self.norms, self.skips, strict=True)
        ):
            assert isinstance(layer, FeatureLinear)
            z = self._add_E(k, layer(x, dropout=self.dropout, bias=False), n_known)
            outputs.append(norm(graphs[k](z) + layer.bias))  # (n_rows, d_{k+1})
            states.append(skip(F.relu(outputs[-1]), states))
            x = Features(states[-1])
        if self.output is not None:
            outputs[-1] = self.output(x, dropout=self.dropout)
        return outputs

    def _add_E(self, k: int, z: Tensor, n_known: int | None) -> Tensor:
        if str(k) not in self.E:
            return z
        E = self.E[str(k)][:n_known]
        return z + (E if len(E) == len(z) else F.pad(E, (0, 0, 0, len(z) - len(E))))

    def _graphs(self, propagation: Propagate) -> list[Propagate]:
        """What each layer propagates over: in train mode, the part of the graph that is left."""
        n_layers = len(self.layers)
        if not self.training or self.graph_dropout is None:
            return [propagation] * n_layers
        assert isinstance(propagation, Propagation)
        if self.graph_dropout == "layer":
            return sample_layers(propagation, DROPPED, n_layers)
        drop = {"edge": drop_edges, "node": drop_nodes}[self.graph_dropout]
        return [drop(propagation, DROPPED)] * n_layers

    def bank_width(self, bank: str = "layers") -> int:
        """Number of columns of :func:`embedding_bank`."""
        return self.output_widths[-1] if bank == "output" else sum(self.output_widths)

    def structural_penalty(self) -> Tensor:
        """Σ_l ‖E⁽ˡ⁾‖²_F."""
        return sum((E.square().sum() for E in self.E.values()), start=torch.zeros(()))


def teacher_phase(
    net: StructuralGCN,
    features: Features,
    propagation: Propagation,
    y: Tensor,
    train: Tensor,
    valid: Tensor,
    *,
    penalty: float,
    learning_rate: float,
    weight_decay: float,
    max_epochs: int,
    patience: int | None,
    name: str = "teacher",
    target: Target = CLASSES,
) -> Phase:
    """Loss on ``train`` (cross-entropy, or squared error) + η Σ ‖E⁽ˡ⁾‖².

    The state with the best score on ``valid`` is kept.  E stands in a parameter group without
    weight decay: η alone penalises it.
    """
    rows_of_nodes = list(net.E.parameters())
    others = [weight for name, weight in net.named_parameters() if not name.startswith("E.")]
    groups = [{"params": others, "weight_decay": weight_decay}]
    if rows_of_nodes:
        groups.append({"params": rows_of_nodes, "weight_decay": 0.0})
    optimizer = torch.optim.Adam(groups, lr=learning_rate, fused=True)
    normed = any(isinstance(part, Statistic) for part in net.modules())

    def loss(_: None) -> Tensor:
        error = target.loss(net(features, propagation)[-1][train], y[train])
        if not rows_of_nodes:
            return error
        return error + penalty * net.structural_penalty().to(error.device)

    def scores() -> Tensor:
        """Scores of classes without dropout; norms keep the statistics that they meet."""
        return measured(net, lambda: net(features, propagation)[-1])

    def batches(_: np.random.Generator) -> Iterator[None]:
        yield None
        if normed and not len(valid):  # the step is done, and no validation will follow
            scores()

    def validate() -> dict[str, float]:
        return target.figures(scores()[valid], y[valid])

    return Phase(
        name,
        {"net": net},
        [Update(optimizer, loss)],
        max_epochs,
        batches=batches,
        validate=validate if len(valid) else None,
        patience=patience,
        least_gain=target.least_gain,
    )


@torch.inference_mode()
def embedding_bank(outputs: list[Tensor], bank: str = "layers") -> Tensor:
    """Ē (n_nodes, width): the outputs of all layers side by side, or the last one (section 3.3)."""
    return outputs[-1] if bank == "output" else torch.cat(outputs, dim=1)
