"""The teacher: a GCN whose nodes also have structural embeddings, free parameters (section 3.2).

Layer l, with Ã the normalised adjacency with self loops (paper, eq. 1 and 2)::

    Z⁽ˡ⁾ = X⁽ˡ⁾ W⁽ˡ⁾ + E⁽ˡ⁾          X⁽ˡ⁺¹⁾ = σ( Ã Z⁽ˡ⁾ + b⁽ˡ⁾ )

W⁽ˡ⁾ (d_l, d_{l+1}) weights, E⁽ˡ⁾ (n_nodes, d_{l+1}) structural embedding, σ the ReLU except after
the last layer.  The loss is the cross-entropy on labelled nodes plus η Σ ‖E⁽ˡ⁾‖²; η → ∞ is an
ordinary GCN.  A row of E moves only if a labelled node lies within its receptive field, hence E
starts at zero and a node outside the training graph has E_i = 0.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from makedo.core.training import Phase, Update
from makedo.nn.features import FeatureLinear, Features
from makedo.nn.propagation import Propagation
from makedo.nn.targets import CLASSES, Target


class StructuralGCN(nn.Module):
    """GCN with structural embeddings.

    Parameters
    ----------
    n_nodes, n_features, hidden, n_outputs, n_layers : int
    dropout : float
        On the input of every layer.
    structural : {"first", "last", "all", None}
        Which layers have an E; None is an ordinary GCN.

    Shapes
    ------
    features (n_nodes, n_features) -> list of n_layers tensors (n_nodes, d_{l+1}), before σ
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
    ):
        super().__init__()
        widths = [hidden] * (n_layers - 1) + [n_outputs]
        self.layers = nn.ModuleList(
            FeatureLinear(d_in, d_out)
            for d_in, d_out in zip([n_features, *widths[:-1]], widths, strict=True)
        )
        every = range(n_layers)
        some = {"first": every[:1], "last": every[-1:], "all": every, None: every[:0]}[structural]
        self.E = nn.ParameterDict(
            {str(k): nn.Parameter(torch.zeros(n_nodes, widths[k])) for k in some}
        )
        self.dropout = dropout

    def forward(
        self,
        features: Features,
        propagation: Callable[[Tensor], Tensor],
        n_known: int | None = None,
    ) -> list[Tensor]:
        """The outputs of all layers, before σ.

        The first ``n_known`` rows (default: as many as E has) are nodes of the training graph;
        others have E_i = 0.
        """
        outputs: list[Tensor] = []
        for k, layer in enumerate(self.layers):
            x = features if k == 0 else Features(F.relu(outputs[-1]))
            assert isinstance(layer, FeatureLinear)
            z = layer(x, dropout=self.dropout, bias=False)  # (n_rows, d_{k+1})
            if str(k) in self.E:
                E = self.E[str(k)][:n_known]
                z = z + (E if len(E) == len(z) else F.pad(E, (0, 0, 0, len(z) - len(E))))
            outputs.append(propagation(z) + layer.bias)
        return outputs

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
    groups = [{"params": list(net.layers.parameters()), "weight_decay": weight_decay}]
    if rows_of_nodes:
        groups.append({"params": rows_of_nodes, "weight_decay": 0.0})
    optimizer = torch.optim.Adam(groups, lr=learning_rate, fused=True)

    def loss(_: None) -> Tensor:
        error = target.loss(net(features, propagation)[-1][train], y[train])
        if not rows_of_nodes:
            return error
        return error + penalty * net.structural_penalty().to(error.device)

    def validate() -> dict[str, float]:
        return target.figures(net(features, propagation)[-1][valid], y[valid])

    return Phase(
        name,
        {"net": net},
        [Update(optimizer, loss)],
        max_epochs,
        validate=validate if len(valid) else None,
        patience=patience,
        least_gain=target.least_gain,
    )


@torch.inference_mode()
def embedding_bank(outputs: list[Tensor], bank: str = "layers") -> Tensor:
    """Ē (n_nodes, width): the outputs of all layers side by side, or the last one (section 3.3)."""
    return outputs[-1] if bank == "output" else torch.cat(outputs, dim=1)
