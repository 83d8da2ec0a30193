"""The link loss and the networks that learn by it (section 4 of the paper, Table 4).

A pair of nodes is scored by the inner product of their embeddings, s(u, v) = ⟨z_u, z_v⟩; the loss
is the binary cross-entropy of edges against uniform negatives::

    L = − ½ mean_{(u,v) edge} log σ(s(u, v)) − ½ mean_{(u,v') negative} log σ(−s(u, v'))

Both ends of an edge ask: (u, v) and (v, u).  The negative v' is a linked node drawn at random.  It
may be a true neighbour of u, once in n_nodes / degree draws.

What a step asks for must not be among what it is told: an edge that also carries a message puts u
into z_v, and a new node is in nobody's embedding.  So the teacher's edges are folded, and those of
the fold that is asked for carry no message.  The student's *nodes* are folded: those that ask are
cut off before the teacher says what the others are, just as new nodes will be, and look for virtual
neighbours in a bank that was filled without their edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from makedo.core.training import Phase, Update
from makedo.data.graph import Graph
from makedo.methods.cold_brew.teacher import StructuralGCN
from makedo.nn.features import FeatureLinear, Features
from makedo.nn.mlp import FeatureMLP, step_size
from makedo.nn.propagation import Propagation

FOLDS = 5
Validate = Callable[[], float]


def link_loss(true: Tensor, false: Tensor) -> Tensor:
    """Binary cross-entropy of the scores of edges (n,) and of negatives (any shape)."""
    return (F.softplus(-true).mean() + F.softplus(false).mean()) / 2


def scores(z: Tensor, known: Tensor, neighbor: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of edges (n,) and negatives (n, k): z (n, width), known (n_known, width)."""
    return (z * known[neighbor]).sum(1), (z[:, None] * known[other]).sum(2)


class Edges:
    """The edges of a graph, some of which can be left out.

    Parameters
    ----------
    graph : Graph

    Attributes
    ----------
    pairs : int64 ndarray (n_edges, 2)
    """

    def __init__(self, graph: Graph):
        self.graph, self.pairs = graph, graph.edges()
        rows = np.repeat(np.arange(graph.n_nodes), graph.degree)
        self._rows = rows
        both = np.stack([np.minimum(rows, graph.indices), np.maximum(rows, graph.indices)])
        code = both[0] * graph.n_nodes + both[1]
        ours = self.pairs[:, 0] * graph.n_nodes + self.pairs[:, 1]  # ascending, as edges() is
        self._number = np.searchsorted(ours, code)  # of the edge that an entry of the graph is of

    def __len__(self) -> int:
        return len(self.pairs)

    def without(self, some: np.ndarray) -> Graph:
        """Return the graph without the edges of these numbers."""
        gone = np.zeros(len(self), dtype=bool)
        gone[some] = True
        keep = ~gone[self._number]
        degree = np.bincount(self._rows[keep], minlength=self.graph.n_nodes)
        weight = None if self.graph.weight is None else self.graph.weight[keep]
        indptr = np.concatenate([[0], np.cumsum(degree)])
        return Graph(indptr, self.graph.indices[keep], weight)


def linked_nodes(graph: Graph) -> np.ndarray:
    """Positions of the nodes that have an edge."""
    return np.flatnonzero(graph.degree > 0)


def both_ways(pairs: np.ndarray) -> np.ndarray:
    """Edges (n, 2) as asked from either end: (2 n, 2)."""
    return np.concatenate([pairs, pairs[:, ::-1]])


def with_negatives(
    rng: np.random.Generator, asked: np.ndarray, pool: np.ndarray, n_negatives: int, device: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Node, neighbour (n,) and negatives (n, k) of the pairs ``asked`` (n, 2), on the device."""
    other = pool[rng.integers(0, len(pool), (len(asked), n_negatives))]
    parts = (asked[:, 0], asked[:, 1], other)
    node, neighbor, negatives = (torch.from_numpy(p.copy()).to(device) for p in parts)
    return node, neighbor, negatives


def folds(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    """Cut range(n) into FOLDS random parts; none is empty."""
    return [part for part in np.array_split(rng.permutation(n), FOLDS) if len(part)]


def link_teacher_phase(
    net: StructuralGCN,
    features: Features,
    graph: Graph,
    validate: Validate | None,
    *,
    penalty: float,
    n_negatives: int,
    learning_rate: float,
    weight_decay: float,
    max_epochs: int,
    patience: int | None,
    device: Any,
) -> Phase:
    """Link loss + η Σ ‖E⁽ˡ⁾‖²; an epoch is five steps, each asking for a fold of the edges."""
    rows_of_nodes = list(net.E.parameters())
    groups = [{"params": list(net.layers.parameters()), "weight_decay": weight_decay}]
    if rows_of_nodes:
        groups.append({"params": rows_of_nodes, "weight_decay": 0.0})
    optimizer = torch.optim.Adam(groups, lr=learning_rate, fused=True)
    edges, pool = Edges(graph), linked_nodes(graph)

    def batches(rng: np.random.Generator) -> Iterator[Any]:
        for fold in folds(rng, len(edges)):
            told = Propagation(edges.without(fold).normalized()).to(device)
            asked = both_ways(edges.pairs[fold])
            yield told, with_negatives(rng, asked, pool, n_negatives, device)

    def loss(batch: Any) -> Tensor:
        told, (node, neighbor, other) = batch
        z = net(features, told)[-1]
        error = link_loss(*scores(z[node], z, neighbor, other))
        return error + penalty * net.structural_penalty().to(error.device)

    return Phase(
        "teacher",
        {"net": net},
        [Update(optimizer, loss)],
        max_epochs,
        batches=batches,
        validate=validate,
        patience=patience,
    )


def link_encoder_phase(
    name: str,
    net: FeatureLinear | FeatureMLP,
    features: Features,
    graph: Graph,
    validate: Validate | None,
    *,
    n_negatives: int,
    learning_rate: float,
    weight_decay: float,
    max_epochs: int,
    patience: int | None,
    batch_size: int,
    device: Any,
) -> Phase:
    """A dual encoder: both ends of a pair by the same network, which sees features only."""
    optimizer = torch.optim.Adam(
        net.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
    )
    asked, pool = both_ways(graph.edges()), linked_nodes(graph)

    def batches(rng: np.random.Generator) -> Iterator[Any]:
        size = step_size(len(asked), batch_size)
        order = rng.permutation(len(asked))
        for start in range(0, len(asked), size):
            some = asked[order[start : start + size]]
            yield with_negatives(rng, some, pool, n_negatives, device)

    def loss(batch: Any) -> Tensor:
        named = torch.cat([part.flatten() for part in batch])
        nodes, place = named.unique(return_inverse=True)  # each node is encoded once
        node, neighbor, other = place.split([part.numel() for part in batch])
        z = net(features.rows(nodes))  # (n_named, width)
        return link_loss(*scores(z[node], z, neighbor, other.view(batch[2].shape)))

    return Phase(
        name,
        {"net": net},
        [Update(optimizer, loss)],
        max_epochs,
        batches=batches,
        validate=validate,
        patience=patience,
    )


class CutOff(NamedTuple):
    """Some linked nodes as if they were new: what they ask for, and of whom."""

    nodes: np.ndarray  # (n,), the nodes
    asked: np.ndarray  # (n_asked, 2), their edges to other nodes
    pool: np.ndarray  # all linked nodes but them: the negatives
    outputs: list[Tensor]  # the teacher's, per layer (n_nodes, d), on the graph without their edges
    graph: Graph  # that graph


@torch.no_grad()
def cut_off_folds(
    net: StructuralGCN, features: Features, graph: Graph, rng: np.random.Generator, device: Any
) -> list[CutOff]:
    """The linked nodes in five folds, each cut off in turn; folds that ask nothing are left out."""
    linked, pairs = linked_nodes(graph), both_ways(graph.edges())
    found = []
    for fold in folds(rng, len(linked)):
        new = np.zeros(graph.n_nodes, dtype=bool)
        new[linked[fold]] = True
        asked = pairs[new[pairs[:, 0]] & ~new[pairs[:, 1]]]
        if len(asked):
            rest = graph.without_edges_of(new)
            outputs = net(features, Propagation(rest.normalized()).to(device))
            found.append(CutOff(np.flatnonzero(new), asked, linked[~new[linked]], outputs, rest))
    return found


def link_part2_phase(
    embed: Callable[[Tensor], Tensor],
    net: FeatureMLP,
    cut_off: list[CutOff],
    validate: Validate | None,
    *,
    n_negatives: int,
    learning_rate: float,
    weight_decay: float,
    max_epochs: int,
    patience: int | None,
    batch_size: int,
    device: Any,
) -> Phase:
    """ξ₂, which is in ``embed``: the link loss of z_u of nodes cut off against the teacher's z_v.

    ``embed`` gives z (n, width) of nodes at some positions (n,), by ``net``.
    """
    optimizer = torch.optim.Adam(
        net.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
    )
    size = step_size(sum(len(fold.asked) for fold in cut_off), batch_size)

    def batches(rng: np.random.Generator) -> Iterator[Any]:
        for f in rng.permutation(len(cut_off)):
            fold = cut_off[f]
            order = rng.permutation(len(fold.asked))
            for start in range(0, len(order), size):
                some = fold.asked[order[start : start + size]]
                asked = with_negatives(rng, some, fold.pool, n_negatives, device)
                yield fold.outputs[-1], asked

    def loss(batch: Any) -> Tensor:
        known, (node, neighbor, other) = batch
        return link_loss(*scores(embed(node), known, neighbor, other))

    return Phase(
        "part 2",
        {"net": net},
        [Update(optimizer, loss)],
        max_epochs,
        batches=batches,
        validate=validate,
        patience=patience,
    )
