"""The student: from features to embedding, virtual neighbours and prediction (section 3.3).

ξ₁ guesses the embedding ê_i that the teacher would have given node i (part 1, mean squared error to
the bank Ē); the K most similar rows of the bank are its virtual neighbours (eq. 4 and 5); ξ₂
predicts from [x_i, ẽ_i, ê_i] (part 2).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from makedo.core.training import Phase, Update, shuffled
from makedo.nn.features import Features
from makedo.nn.mlp import step_size

BLOCK = 4096  # queries whose scores against the whole bank are held at once


class Bank:
    """The teacher's embeddings of connected nodes.

    Parameters
    ----------
    rows : int64 tensor (n_bank,)
        Positions in the training table.
    values : tensor (n_bank, width)
        Ē, its columns standardised.
    score : {"cosine", "dot"}

    Attributes
    ----------
    keys : tensor (n_bank, width)
        The rows as the score compares them: normalised for the cosine.
    """

    def __init__(self, rows: Tensor, values: Tensor, score: str):
        self.rows, self.values, self.score = rows, values, score
        self.keys = F.normalize(values) if score == "cosine" else values

    def to_state(self) -> dict[str, Tensor | str]:
        """Plain values for a model directory."""
        return {"rows": self.rows, "values": self.values, "score": self.score}


def column_scale(embedding: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the columns of Ē, to standardise them.

    Else the layer with the largest scale would decide alone.  A constant column says nothing about
    a node: its scale is infinite, so that it becomes zero.
    """
    scale = embedding.std(0, correction=0)
    return embedding.mean(0), torch.where(scale < 1e-12, torch.inf, scale)


def part1_phase(
    net: nn.Module,
    features: Features,
    rows: Tensor,
    target: Tensor,
    valid_rows: Tensor,
    valid_target: Tensor,
    *,
    learning_rate: float,
    weight_decay: float,
    max_epochs: int,
    patience: int | None,
    batch_size: int,
) -> Phase:
    """ξ₁: mean squared error of ê_i to the bank row of node i over ``rows``.

    target (n_rows, width) is in their order.
    """
    optimizer = torch.optim.Adam(
        net.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
    )

    def loss(batch: Tensor) -> Tensor:
        batch = batch.to(rows.device)
        return F.mse_loss(net(features.rows(rows[batch])), target[batch])

    valid_features = features.rows(valid_rows)

    def validate() -> float:
        return -float(F.mse_loss(net(valid_features), valid_target))

    return Phase(
        "part 1",
        {"net": net},
        [Update(optimizer, loss)],
        max_epochs,
        batches=shuffled(len(rows), step_size(len(rows), batch_size)),
        validate=validate if len(valid_rows) else None,
        patience=patience,
    )


@torch.inference_mode()
def nearest_in_bank(
    e_hat: Tensor, bank: Bank, n_neighbors: int, temperature: float, own: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The K best bank rows of each query and their weights, w = softmax(s / τ) over the K (eq. 5).

    Parameters
    ----------
    e_hat : tensor (n_queries, width)
    own : int64 tensor (n_queries,), optional
        Position in the bank of the query itself, or −1.  A node is not its own virtual neighbour
        while part 2 trains: it would see its exact embedding, which a new node never has.

    Returns
    -------
    index : int64 tensor (n_queries, K), positions in the bank
    weight : tensor (n_queries, K)
    """
    K = min(n_neighbors, len(bank.values) - (own is not None))
    query = F.normalize(e_hat) if bank.score == "cosine" else e_hat
    index = torch.empty(len(query), K, dtype=torch.int64, device=query.device)
    weight = torch.empty(len(query), K, device=query.device, dtype=query.dtype)
    for start in range(0, len(query), BLOCK):
        block = slice(start, start + BLOCK)
        s = query[block] @ bank.keys.T  # (block, n_bank)
        if own is not None:
            known = torch.nonzero(own[block] >= 0).squeeze(1)
            s[known, own[block][known]] = -torch.inf
        s, index[block] = s.topk(K, dim=1)
        weight[block] = (s / temperature).softmax(1)
    return index, weight


@torch.inference_mode()
def virtual_embedding(bank: Bank, index: Tensor, weight: Tensor) -> Tensor:
    """ẽ_i = Σ_j w_ij Ē_j (eq. 4).  index, weight (n_queries, K) -> (n_queries, width)."""
    return F.embedding_bag(index, bank.values, per_sample_weights=weight, mode="sum")


def virtual_neighborhood(
    part1: nn.Module,
    x: Features,
    bank: Bank,
    n_neighbors: int,
    temperature: float,
    own: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Virtual neighbours of rows, and what part 2 sees beside the features.

    Returns
    -------
    index, weight : tensors (n_rows, K), positions in the bank and softmax weights
    extra : tensor (n_rows, 2 · width), [ẽ, ê]
    """
    e_hat = part1(x)
    index, weight = nearest_in_bank(e_hat, bank, n_neighbors, temperature, own)
    return index, weight, torch.cat([virtual_embedding(bank, index, weight), e_hat], dim=1)
