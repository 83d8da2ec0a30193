"""Validation nodes of a link predictor: cut off before anything trains, asked for their links."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from makedo.core.checks import MakedoInputError, count
from makedo.data.graph import Graph
from makedo.methods.cold_brew.links.ranking import (
    N_NEGATIVES,
    LinkPairs,
    by_row,
    inner_products,
    reciprocal_rank,
    stand,
)
from makedo.methods.cold_brew.links.serving import link_scores
from makedo.nn.features import Features

if TYPE_CHECKING:
    from makedo.methods.cold_brew.links.predictor import ColdBrewLinkPredictor

CHECKED = 2**28  # most scores that are computed for one check of a network
FEWEST_CHECKED = 200  # nodes, however many scores that are


@dataclass(frozen=True)
class ColdLinks:
    """Nodes that lost their edges, and the links that are to be found again.

    Parameters
    ----------
    graph : Graph
        All nodes; the hidden ones have no edges.
    hidden : int64 ndarray (n_hidden,), positions
    rows : int64 ndarray (n_rows,), positions
        Hidden nodes that linked to a candidate: those that can be asked.
    candidates : int64 ndarray (n_candidates,), positions
        All nodes that are not hidden.
    pairs : LinkPairs
        Hidden links, as numbers in ``rows`` and in ``candidates``.
    """

    graph: Graph
    hidden: np.ndarray
    rows: np.ndarray
    candidates: np.ndarray
    pairs: LinkPairs

    def asking(self, x: Features) -> Features:
        """The features of ``rows``."""
        return x.rows(torch.from_numpy(self.rows))

    def known(self, x: Features) -> Features:
        """The features of ``candidates``."""
        return x.rows(torch.from_numpy(self.candidates))

    def check(self, embed: Callable[[], tuple[Tensor, Tensor]]) -> Callable[[], float] | None:
        """The mean reciprocal rank of z of ``rows`` and ``candidates``; None without any pair.

        On a large graph of the first rows only, so that a check does not cost more than an epoch.
        """
        if not len(self.rows):
            return None
        n = min(len(self.rows), max(FEWEST_CHECKED, CHECKED // len(self.candidates)))
        some = self.pairs.row < n
        pairs = LinkPairs(self.pairs.row[some], self.pairs.known[some])

        def validate() -> float:
            query, keys = embed()
            ranks = reciprocal_rank(stand(inner_products(query[:n], keys), pairs), N_NEGATIVES)
            return float(np.nanmean(by_row(ranks, pairs, n)))

        return validate


def hide_nodes(model: ColdBrewLinkPredictor, rng: np.random.Generator) -> ColdLinks:
    """Take all edges from a share of the linked nodes of ``model.graph_``.

    Raises
    ------
    MakedoInputError
        There are no edges, or none is left.
    """
    owner, graph = type(model).__name__, model.graph_
    linked = np.flatnonzero(graph.degree > 0)
    if not len(linked):
        raise MakedoInputError(
            f"{owner}: no node of the graph has an edge, so there are no links to learn from."
        )
    n_hidden = max(1, round(model.validation_fraction * len(linked)))
    order = rng.permutation(linked)[:n_hidden]
    rest = graph.without_edges_of(order)
    if rest.n_edges == 0:
        raise MakedoInputError(
            f"{owner}: without the edges of {count(n_hidden, 'validation node')} no edge is left. "
            "Lower validation_fraction, or give a graph with more edges."
        )
    candidate = np.ones(graph.n_nodes, dtype=bool)
    candidate[order] = False
    links = graph.to_scipy()[order][:, candidate].tocsr()
    asked = np.diff(links.indptr) > 0
    links = links[asked]
    row = np.repeat(np.arange(links.shape[0]), np.diff(links.indptr))
    pairs = LinkPairs(row, links.indices.astype(np.int64))
    return ColdLinks(rest, np.sort(order), order[asked], np.flatnonzero(candidate), pairs)


def choose_link_part(
    model: ColdBrewLinkPredictor, links: ColdLinks
) -> tuple[str, dict[str, float], pd.DataFrame]:
    """Choose what ranks the known nodes: what ranks the hidden links best; of equals the simplest.

    Returns
    -------
    part, scores : what serves, and the mean reciprocal rank of every part
    validation : DataFrame, one row a node: row, links, reciprocal rank by part
    """
    server = model._server
    ready = server.ready if model.cold_part == "auto" else [model.cold_part]
    ready = [part for part in ready if part in server.ready] or server.ready
    scaled = model._scaled
    embedding = server.embed(scaled, links.graph)
    sources = {"popularity": links.graph.degree, "features": scaled} | embedding

    def known(part: str) -> np.ndarray:
        return sources[part][links.candidates]

    n = len(links.rows)
    ranks = {}
    for part in ready:
        blocks = link_scores(server, scaled[links.rows], part, known)
        found = reciprocal_rank(stand(blocks, links.pairs), N_NEGATIVES)
        ranks[part] = by_row(found, links.pairs, n)
    scores = {part: float(r.mean()) if n else float("nan") for part, r in ranks.items()}
    part = max(scores, key=lambda name: scores[name]) if n else list(scores)[-1]  # first of equals
    frame = pd.DataFrame({"row": links.rows, "links": np.bincount(links.pairs.row, minlength=n)})
    return part, scores, frame.assign(**ranks)
