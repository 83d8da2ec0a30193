"""Training a graph network on the whole graph at once: one batch, labels at some of its nodes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from makedo.core.training import Phase, Update
from makedo.nn.features import Features
from makedo.nn.propagation import Propagation
from makedo.nn.targets import CLASSES


def whole_graph_phase(
    name: str,
    net: nn.Module,
    features: Features,
    propagation: Propagation,
    y: Tensor,
    train: Tensor,
    valid: Tensor,
    *,
    learning_rate: float,
    weight_decay: float,
    max_epochs: int,
    patience: int | None,
) -> Phase:
    """Full-batch cross-entropy on ``train``; the state with the best accuracy on ``valid`` is kept.

    Parameters
    ----------
    net : module (features, propagation) -> scores (n_nodes, n_classes)
    features, propagation
        Of all nodes.
    y : int64 tensor (n_nodes,)
    train, valid : int64 tensors
        Positions.  Without validation nodes the last state is kept.
    """
    optimizer = torch.optim.Adam(
        net.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
    )

    def loss(_: None) -> Tensor:
        return CLASSES.loss(net(features, propagation)[train], y[train])

    def validate() -> dict[str, float]:
        return CLASSES.figures(net(features, propagation)[valid], y[valid])

    return Phase(
        name,
        {"net": net},
        [Update(optimizer, loss)],
        max_epochs,
        validate=validate if len(valid) else None,
        patience=patience,
    )
