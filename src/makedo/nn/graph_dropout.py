r"""Random parts of a graph for one training step: edges, nodes, or nodes layer by layer.

All start from :math:`\tilde A = D^{-1/2} (A + I) D^{-1/2}` as a :class:`Propagation` and cost
O(nnz), as little as a product of width 1: no sparse matrix is built anew.

* :func:`drop_edges`: Rong et al., "DropEdge: Towards Deep Graph Convolutional Networks on Node
  Classification", ICLR 2020.
* :func:`drop_nodes`: Do et al., "Graph Convolutional Neural Networks with Node Transition
  Probability-based Message Passing and DropNode Regularization", 2021.
* :func:`sample_layers`: Zou et al., "Layer-Dependent Importance Sampling for Training Deep and
  Large Graph Convolutional Networks" (LADIES), NeurIPS 2019.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from makedo.nn.propagation import Propagation


def drop_edges(propagation: Propagation, p: float) -> Propagation:
    """Return Ã of the graph without a random share ``p`` of its edges; self loops stay."""
    row, column, mirror = propagation.places
    chance = torch.rand(len(row), device=row.device)
    one = torch.minimum(torch.arange(len(row), device=row.device), mirror)  # both ways fall alike
    return _renormalized(propagation, (chance[one] >= p) | (row == column))


def drop_nodes(propagation: Propagation, p: float) -> Propagation:
    """Return Ã of the graph in which a random share ``p`` of the nodes stand alone."""
    row, column, _ = propagation.places
    kept = torch.rand(propagation.shape[0], device=row.device) >= p
    return _renormalized(propagation, (kept[row] & kept[column]) | (row == column))


def _renormalized(propagation: Propagation, keep: Tensor) -> Propagation:
    """Return Ã of the graph with those of its entries that ``keep`` (nnz,) names.

    With s = √D, which the diagonal of Ã holds as 1/s², and Ã_K the kept entries, the new degrees
    are s ∘ Ã_K s.  Hence the new matrix is t ∘ Ã_K ∘ tᵀ with t = √(s / Ã_K s).
    """
    row, column, _ = propagation.places
    s = propagation.values[row == column].rsqrt()  # (n_nodes,)
    assert len(s) == propagation.shape[0], "every node needs its self loop"
    values = propagation.values * keep
    t = (s / propagation.with_values(values)(s[:, None]).squeeze(1)).sqrt()
    return propagation.with_values(values * t[row] * t[column])


def sample_layers(
    propagation: Propagation, p: float, n_layers: int
) -> list[Callable[[Tensor], Tensor]]:
    """One random version of Ã a layer, in which about a share 1 − p of the nodes send.

    From the last layer down: a node sends with a chance proportional to its squared column norm in
    the rows of Ã that the layer above has drawn, and as if it were as many as it stands for.  Rows
    are scaled back to their sums in Ã, as LADIES does; a row of which nothing was drawn is zero.
    """
    n = propagation.shape[0]
    squared = propagation.with_values(propagation.values.square())
    drawn = torch.ones(n, 1, device=propagation.values.device)
    layers = []
    for _ in range(n_layers):
        norm = squared(drawn)  # (n_nodes, 1), over the drawn rows: Ã is symmetric
        chance = ((1 - p) * n * norm / norm.sum()).clamp(max=1)
        drawn = (torch.rand_like(chance) < chance).to(chance.dtype)
        layers.append(_Sampled(propagation, drawn / chance.clamp(min=1e-12)))
    return layers[::-1]


class _Sampled:
    """Z -> r ∘ Ã (w ∘ Z) with r such that the rows sum to what they sum to in Ã."""

    def __init__(self, propagation: Propagation, weight: Tensor):
        self.propagation, self.weight = propagation, weight  # (n_nodes, 1)
        whole, left = propagation(torch.ones_like(weight)), propagation(weight)
        self.scale = torch.where(left > 0, whole / left, 0)

    def __call__(self, z: Tensor) -> Tensor:
        return self.scale * self.propagation(self.weight * z)
