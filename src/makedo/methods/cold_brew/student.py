"""The student: from features to embedding, virtual neighbours and prediction (section 3.3).

ξ₁ guesses the embedding ê_i that the teacher would have given node i (part 1, mean squared error to
the bank Ē); the K most similar rows of the bank are its virtual neighbours (eq. 4 and 5); ξ₂
predicts from [x_i, ẽ_i, ê_i] (part 2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from makedo.core.training import Phase, Update, shuffled
from makedo.methods.cold_brew.look_up import Cells, enough_cells, make_cells, search
from makedo.nn.features import Features
from makedo.nn.mlp import step_size

BLOCK = 4096  # queries whose scores against the whole bank are held at once
SCORES = 2**28  # such scores, at most
GUESSES = 65_536  # rows that part 1 guesses at once
EXACT_UP_TO = 50_000  # rows of a bank, for look_up="auto"
TRIED = 1000  # queries on which the number of cells is chosen
Rng = np.random.Generator


class Bank:
    """The teacher's embeddings of connected nodes.

    Parameters
    ----------
    rows : int64 tensor (n_bank,)
        Positions in the training table.
    values : tensor (n_bank, width)
        Ē, its columns standardised.
    score : {"cosine", "dot"}
    cells : Cells, optional
        Where to look for the neighbours of a query, if not everywhere; the rows are sorted by cell.

    Attributes
    ----------
    keys : tensor (n_bank, width)
        The rows as the score compares them: normalised for the cosine.
    """

    def __init__(self, rows: Tensor, values: Tensor, score: str, cells: Cells | None = None):
        self.rows, self.values, self.score, self.cells = rows, values, score, cells
        self.keys = F.normalize(values) if score == "cosine" else values

    def for_look_up(self, how: str, rng: Rng) -> Bank:
        """The same rows, sorted into cells if the look-up is to be approximate.

        how : {"auto", "exact", "approximate"}; "auto" is exact up to ``EXACT_UP_TO`` rows.
        """
        if how == "exact" or (how == "auto" and len(self.rows) <= EXACT_UP_TO):
            return self
        order, cells = make_cells(self.keys, self.score, rng)
        return Bank(self.rows[order], self.values[order], self.score, cells)

    def as_key(self, e_hat: Tensor) -> Tensor:
        """Queries as the score compares them with the keys."""
        return F.normalize(e_hat) if self.score == "cosine" else e_hat

    def positions(self, n_nodes: int) -> Tensor:
        """Where each node of the training table stands in the bank, or −1: int64 (n_nodes,)."""
        positions = torch.full((n_nodes,), -1, device=self.rows.device)
        positions[self.rows] = torch.arange(len(self.rows), device=self.rows.device)
        return positions

    def to_state(self) -> dict[str, Any]:
        """Plain values for a model directory."""
        cells = None if self.cells is None else self.cells.to_state()
        return {"rows": self.rows, "values": self.values, "score": self.score, "cells": cells}

    @classmethod
    def from_state(cls, state: dict[str, Any], device: Any) -> Bank:
        """The inverse of :meth:`to_state`; directories older than the cells have none."""
        rows, values, cells = state["rows"], state["values"], state.get("cells")
        if cells is not None:
            cells = Cells.from_state(cells, *values.shape).to(device)
        return cls(rows.to(device), values.to(device), state["score"], cells)


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
        return F.mse_loss(net(features.rows(rows[batch])), target.index_select(0, batch))

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

    In a bank with cells some of the K may be the next best instead: see :mod:`.look_up`.

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
    query = bank.as_key(e_hat)
    if bank.cells is None:
        s, index = exact_search(query, bank.keys, K, own)
    else:
        s, index = search(query, bank.keys, bank.cells, K, own)
    return index, (s / temperature).softmax(1)


def exact_search(
    query: Tensor, keys: Tensor, K: int, own: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The K best keys of each query, in blocks; arguments and results as in :func:`search`."""
    s = torch.empty(len(query), K, device=query.device, dtype=query.dtype)
    index = torch.empty(len(query), K, dtype=torch.int64, device=query.device)
    step = min(BLOCK, max(1, SCORES // len(keys)))
    for start in range(0, len(query), step):
        block = slice(start, start + step)
        scores = query[block] @ keys.T  # (block, n_bank)
        if own is not None:
            known = torch.nonzero(own[block] >= 0).squeeze(1)
            scores[known, own[block][known]] = -torch.inf
        s[block], index[block] = scores.topk(K, dim=1)
    return s, index


@torch.inference_mode()
def virtual_embedding(bank: Bank, index: Tensor, weight: Tensor) -> Tensor:
    """ẽ_i = Σ_j w_ij Ē_j (eq. 4).  index, weight (n_queries, K) -> (n_queries, width)."""
    return F.embedding_bag(index, bank.values, per_sample_weights=weight, mode="sum")


@torch.inference_mode()
def guesses(part1: nn.Module, x: Features) -> Tensor:
    """ê of rows, in blocks.  (n_rows, n_features) -> (n_rows, width)."""
    if len(x) <= GUESSES:
        return part1(x)
    blocks = torch.arange(len(x), device=x.values.device).split(GUESSES)
    return torch.cat([part1(x.rows(block)) for block in blocks])


@torch.inference_mode()
def choose_cells(
    part1: nn.Module, x: Features, bank: Bank, held_out: Tensor, n_neighbors: int, rng: Rng
) -> None:
    """Let a query look into as many cells of the bank as find its neighbours, and no more.

    Counted on ``held_out`` rows of x, which neither the bank nor part 1 has seen; where they are
    fewer than ``TRIED``, nodes of the bank join in, each without itself.  An exact bank stays.
    """
    if bank.cells is None:
        return
    rows = torch.cat([_shuffled(held_out, rng), _shuffled(bank.rows, rng)])[:TRIED]
    query = bank.as_key(part1(x.rows(rows)))
    own = bank.positions(len(x))[rows]
    _, exact = exact_search(query, bank.keys, min(n_neighbors, len(bank.rows) - 1), own)
    bank.cells = enough_cells(query, exact, bank.cells)


def _shuffled(rows: Tensor, rng: Rng) -> Tensor:
    return rows[torch.from_numpy(rng.permutation(len(rows))).to(rows.device)]


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
    e_hat = guesses(part1, x)
    index, weight = nearest_in_bank(e_hat, bank, n_neighbors, temperature, own)
    return index, weight, torch.cat([virtual_embedding(bank, index, weight), e_hat], dim=1)


@torch.inference_mode()
def beside_the_features(
    part1: nn.Module,
    x: Features,
    bank: Bank,
    n_neighbors: int,
    temperature: float,
    rows: Tensor,
) -> Tensor:
    """[ẽ, ê] of some training rows, (len(x), 2 · width); zero in all others.

    No row is its own virtual neighbour.
    """
    own = bank.positions(len(x))
    extra = torch.zeros(len(x), 2 * bank.values.shape[1], device=rows.device)
    for block in rows.split(GUESSES):
        found = virtual_neighborhood(
            part1, x.rows(block), bank, n_neighbors, temperature, own[block]
        )
        extra[block] = found[2]
    return extra
