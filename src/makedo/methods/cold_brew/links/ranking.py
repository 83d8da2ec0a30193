"""Where the true links of a node stand among all known nodes, and what that is worth.

A link (i, j) is ranked among the known nodes that i does not link to.  Both figures are exact
expectations: the reciprocal rank over the draw of its negatives, and both over the order of
candidates with equal scores, which is random.  So a model that scores all nodes alike is worth what
guessing is worth, neither more nor less.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from makedo.core.paired import Metric

MRR = Metric("MRR", unit="points", scale=100.0, decimals=1)
HITS = Metric("hits@10", unit="points", scale=100.0, decimals=1)
TOP = 10  # of HITS
N_NEGATIVES = 20  # of MRR, as in the paper's code
CELLS = 2**23  # scores that are held at once


class LinkPairs(NamedTuple):
    """True links: which row links to which known node.

    ``row`` and ``known`` are int64 ndarrays (n_pairs,), sorted by row.
    """

    row: np.ndarray
    known: np.ndarray


class Standing(NamedTuple):
    """How many candidates score above each link, how many the same, and how many there are."""

    above: np.ndarray  # (n_pairs,)
    tied: np.ndarray  # (n_pairs,)
    candidates: np.ndarray  # (n_pairs,)


def reciprocal_rank(standing: Standing, n_negatives: int) -> np.ndarray:
    r"""Mean of 1 / rank over all draws of ``n_negatives`` candidates, uniform and with replacement.

    With :math:`a` and :math:`t` the shares of candidates above and tied, and the order of ties
    decided by a uniform number :math:`\nu` of each, a negative is above with probability
    :math:`a + t\nu`, so that the rank is one more than a binomial number:

    .. math:: \int_0^1 \mathrm{E}\frac{1}{1 + \mathrm{Bin}(n, a + t\nu)}\, d\nu =
        \frac{1}{n + 1} \sum_{k=1}^{n+1} \frac{(1-a)^k - (1-a-t)^k}{k\, t}

    which for :math:`t \to 0` is :math:`\sum_k (1-a)^{k-1} / (n+1)`.  NaN: there is no candidate.
    """
    share = [np.where(standing.candidates > 0, count, np.nan) for count in standing[:2]]
    a, t = (part[:, None] / np.maximum(standing.candidates, 1)[:, None] for part in share)
    k = np.arange(1, n_negatives + 2)
    below, least = 1 - a, np.maximum(1 - a - t, 0)  # (n_pairs, 1)
    tied = (below**k - least**k) / (k * np.where(t > 0, t, 1))  # (n_pairs, n_negatives + 1)
    return np.where(t > 0, tied, below ** (k - 1)).sum(1) / (n_negatives + 1)


def in_top(standing: Standing, top: int) -> np.ndarray:
    """Probability (n_pairs,) that a link is among the first ``top`` of its candidates."""
    return np.clip((top - standing.above) / (standing.tied + 1), 0, 1)


def stand(blocks: Iterable[tuple[int, Tensor]], pairs: LinkPairs) -> Standing:
    """Count for each link the candidates that score above it and the same.

    Parameters
    ----------
    blocks : iterable of (int, tensor (n_block, n_known))
        First row and scores of consecutive blocks of rows; the scores are overwritten.
    pairs : LinkPairs
    """
    above, tied = (np.zeros(len(pairs.row), dtype=np.int64) for _ in range(2))
    n_known = 0
    for start, scores in blocks:
        n_known = scores.shape[1]
        first, last = np.searchsorted(pairs.row, [start, start + len(scores)])
        if first == last:
            continue
        row, known = (torch.from_numpy(part[first:last]).to(scores.device) for part in pairs)
        own = scores[row - start, known]  # (n_pairs of the block,)
        scores[row - start, known] = -torch.inf  # a link is not a candidate of its node
        for some in torch.arange(len(row), device=scores.device).split(max(1, CELLS // n_known)):
            theirs, mine = scores[row[some] - start], own[some][:, None]
            place = slice(first + int(some[0]), first + int(some[-1]) + 1)
            above[place] = (theirs > mine).sum(1).cpu().numpy()
            tied[place] = (theirs == mine).sum(1).cpu().numpy()
    n_links = np.bincount(pairs.row, minlength=1)[pairs.row] if len(pairs.row) else above
    return Standing(above, tied, n_known - n_links)


def by_row(values: np.ndarray, pairs: LinkPairs, n_rows: int) -> np.ndarray:
    """Mean over the links of each row: values (n_pairs,) -> (n_rows,), NaN where it has none."""
    n = np.bincount(pairs.row, minlength=n_rows)
    total = np.bincount(pairs.row, weights=values, minlength=n_rows)
    return np.divide(total, n, out=np.full(n_rows, np.nan), where=n > 0)


def inner_products(query: Tensor, keys: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Scores ⟨q, k⟩ of all rows (n_rows, width) with all keys (n_known, width), block by block."""
    size = max(1, CELLS // max(1, len(keys)))
    for start in range(0, len(query), size):
        yield start, query[start : start + size] @ keys.T


def best(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Positions and values (n_rows, k) of the k best columns; of equal scores the first columns.

    ``topk`` may take any of equal scores: rows in which that matters are sorted as a whole.
    """
    value, index = scores.topk(k, dim=1)
    undecided = (scores >= value[:, -1:]).sum(1) > k
    if undecided.any():
        order = scores[undecided].sort(dim=1, descending=True, stable=True)
        value[undecided], index[undecided] = order.values[:, :k], order.indices[:, :k]
    index, by_column = index.sort(dim=1)
    value, by_value = value.gather(1, by_column).sort(dim=1, descending=True, stable=True)
    return index.gather(1, by_value), value
