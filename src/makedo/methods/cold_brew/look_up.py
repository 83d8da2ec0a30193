"""Look-up of virtual neighbours in large banks: the keys in cells, of which few are searched.

An inverted file: k-means puts the keys into cells; a query looks into the cells whose centers are
nearest to it and compares itself with every key inside.  Queries that look into the same cell are
compared with it together, so that the cost is a few thousand products of matrices, not a loop over
queries.  What it may miss is measured (:func:`recall`), and how many cells are searched is chosen
by that (:func:`enough_cells`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

ROWS = 65_536  # queries searched, or keys put into cells, at once
AT_ONCE = 2**25  # scores held at once
TOGETHER = 4096  # queries whose best finds are picked at once
PER_ROOT = 2.0  # cells per root of the number of keys
SAMPLE = 64  # keys a cell that k-means learns from
ROUNDS = 10  # of k-means
# Aimed at on the nodes that n_probe is chosen on, so that 0.95 is reached on others.
RECALL = 0.97


class Cells(NamedTuple):
    """Where the keys of a bank lie that is sorted by cell.

    Parameters
    ----------
    centers : tensor (n_cells, width)
    indptr : int64 tensor (n_cells + 1,)
        The keys of cell c stand at ``indptr[c]`` to ``indptr[c + 1]``.
    n_probe : int
        Cells that a query looks into.
    """

    centers: Tensor
    indptr: Tensor
    n_probe: int

    def to_state(self) -> dict[str, Any]:
        """Plain values for a model directory."""
        return self._asdict()

    @classmethod
    def from_state(cls, state: dict[str, Any], n_keys: int, width: int) -> Cells:
        """The inverse of :meth:`to_state`; cells of another bank are refused."""
        centers, indptr, n_probe = state["centers"], state["indptr"], state["n_probe"]
        n_cells = len(centers)
        fits = (
            centers.shape == (n_cells, width)
            and indptr.shape == (n_cells + 1,)
            and indptr.dtype == torch.int64
            and centers.dtype == torch.float32
            and (int(indptr[0]), int(indptr[-1])) == (0, n_keys)
            and bool((indptr.diff() >= 0).all())
            and type(n_probe) is int
            and 1 <= n_probe <= n_cells
        )
        if not fits:
            raise ValueError("the cells of the bank do not fit to its rows")
        return cls(centers, indptr, n_probe)

    def to(self, device: Any) -> Cells:
        """Return the same on another device."""
        return Cells(self.centers.to(device), self.indptr.to(device), self.n_probe)


# --- making them ----------------------------------------------------------------------------------


@torch.inference_mode()
def make_cells(keys: Tensor, score: str, rng: np.random.Generator) -> tuple[Tensor, Cells]:
    """Put keys (n_keys, width) into cells by k-means.

    For the cosine the keys have length 1 and the centers get it too, so that for either score the
    cells of a query are ranked as its keys are, by the product.

    Returns
    -------
    order : int64 tensor (n_keys,)
        Sorts the keys by cell, as :class:`Cells` wants them.
    cells : Cells
        With ``n_probe`` all of them, until :func:`enough_cells` says how many do.
    """
    n_cells = max(1, min(len(keys), round(PER_ROOT * len(keys) ** 0.5)))
    some = rng.choice(len(keys), min(len(keys), SAMPLE * n_cells), replace=False)
    sample = keys[torch.from_numpy(some).to(keys.device)]
    centers = sample[:n_cells].clone()
    for _ in range(ROUNDS):
        at = _nearest(sample, centers)
        sums = torch.zeros_like(centers).index_add_(0, at, sample)
        sizes = torch.bincount(at, minlength=n_cells)
        used = sizes > 0  # a center that nothing is near to stays where it was
        centers[used] = sums[used] / sizes[used, None]
    at = _nearest(keys, centers)
    indptr = F.pad(torch.bincount(at, minlength=n_cells).cumsum(0), (1, 0))
    centers = F.normalize(centers) if score == "cosine" else centers
    return at.argsort(stable=True), Cells(centers, indptr, n_cells)


def _nearest(points: Tensor, centers: Tensor) -> Tensor:
    """Number of the nearest center of each point.  (n, width) -> int64 (n,)."""
    half = centers.square().sum(1) / 2  # the least ‖p − c‖² is the largest p·c − ‖c‖² / 2
    blocks = points.split(_rows_at_once(len(centers)))
    return torch.cat([torch.addmm(-half, block, centers.T).argmax(1) for block in blocks])


def _rows_at_once(width: int) -> int:
    """Rows of this width that are held at once."""
    return max(1, min(ROWS, AT_ONCE // max(width, 1)))


def ranked_cells(query: Tensor, cells: Cells, n_probe: int) -> Tensor:
    """The cells most like each query, best first.  (n_queries, width) -> (n_queries, n_probe)."""
    blocks = query.split(_rows_at_once(len(cells.centers)))
    return torch.cat([(block @ cells.centers.T).topk(n_probe, dim=1)[1] for block in blocks])


# --- searching ------------------------------------------------------------------------------------


@torch.inference_mode()
def search(
    query: Tensor, keys: Tensor, cells: Cells, K: int, own: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The K best keys of each query among those in the cells that it looks into.

    A query whose cells hold fewer than K keys looks into twice as many, and so on.

    Parameters
    ----------
    query : tensor (n_queries, width)
    keys : tensor (n_keys, width), sorted by cell
    K : int
        At most n_keys, or one less with ``own``.
    own : int64 tensor (n_queries,), optional
        A key that the query may not find, or −1.

    Returns
    -------
    s, index : tensors (n_queries, K), scores and positions of keys, best first
    """
    s = torch.empty(len(query), K, device=query.device, dtype=query.dtype)
    index = torch.empty(len(query), K, device=query.device, dtype=torch.int64)
    sizes, n_probe = cells.indptr.diff(), cells.n_probe
    waiting = torch.arange(len(query), device=query.device)
    while len(waiting):
        poor = []
        for rows in waiting.split(_rows_at_once(n_probe * K)):  # what may be found
            probe = ranked_cells(query[rows], cells, n_probe)  # (n_rows, P)
            enough = sizes[probe].sum(1) >= K + (own is not None)
            rich = rows[enough]
            poor.append(rows[~enough])
            if not len(rich):
                continue
            mine = None if own is None else own[rich]
            s[rich], index[rich] = _search(query[rich], probe[enough], keys, cells, K, mine)
        waiting, n_probe = torch.cat(poor), min(2 * n_probe, len(sizes))
    return s, index


def _search(
    query: Tensor, probe: Tensor, keys: Tensor, cells: Cells, K: int, own: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Search the cells ``probe`` (n_queries, P), which hold K keys or more for every query.

    The K-th best key of the nearest cell is a bar: in the other cells only what is above it is
    looked at again, which spares most of the sorting.
    """
    bar = query.new_full((len(query), 1), -torch.inf)
    found = _Found(len(query), query.device)
    for rows, at, s in _scores(query, probe[:, :1], keys, cells, own):
        best = found.add_best(rows, at, s, K)
        if best.shape[1] == K:
            bar[rows] = best[:, -1:]
    for rows, at, s in _scores(query, probe[:, 1:], keys, cells, own):
        above = ~(s <= bar[rows])  # a score that is no number counts as one above
        if int(above.sum()) > K * len(rows):
            found.add_best(rows, at, s, K)
        else:
            found.add(rows, at, s, above)
    return found.best(K)


class _Found:
    """Keys that may be among the best of their query, in the order they were found."""

    def __init__(self, n_queries: int, device: Any):
        self.n_found = torch.zeros(n_queries, dtype=torch.int64, device=device)
        # Per batch: query, how many its query had before, score, key; all (n_found,)
        self.parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def add(self, rows: Tensor, at: int, s: Tensor, chosen: Tensor) -> None:
        """Take the chosen keys of a cell that begins at key ``at``; s, chosen (n_rows, size)."""
        row, column = chosen.nonzero(as_tuple=True)
        n = chosen.sum(1)
        before = self.n_found[rows] + n - n.cumsum(0)
        place = before[row] + torch.arange(len(row), device=row.device)
        self.parts.append((rows[row], place, s[row, column], at + column))
        self.n_found[rows] += n

    def add_best(self, rows: Tensor, at: int, s: Tensor, K: int) -> Tensor:
        """Take the K best of a cell, or all where it has fewer; their scores, best first."""
        best, column = s.topk(min(K, s.shape[1]), dim=1)
        n = best.shape[1]
        place = self.n_found[rows][:, None] + torch.arange(n, device=s.device)
        query = rows.repeat_interleave(n)
        self.parts.append((query, place.flatten(), best.flatten(), at + column.flatten()))
        self.n_found[rows] += n
        return best

    def best(self, K: int) -> tuple[Tensor, Tensor]:
        """Scores and keys of the K best of each query, (n_queries, K), best first."""
        query, place, s, key = (torch.cat(part) for part in zip(*self.parts, strict=True))
        first = self.n_found.cumsum(0) - self.n_found
        order = torch.empty_like(key)
        order[first[query] + place] = torch.arange(len(key), device=key.device)  # by query
        best_s = s.new_empty(len(first), K)
        best_key = key.new_empty(len(first), K)
        # Queries with about as many finds together, so that a table of them has few gaps
        for rows in self.n_found.argsort().split(TOGETHER):
            column = torch.arange(int(self.n_found[rows].max()), device=key.device)
            there = column < self.n_found[rows, None]
            table = order[(first[rows, None] + column).clamp_(max=len(order) - 1)]
            best_s[rows], where = s[table].masked_fill_(~there, -torch.inf).topk(K, dim=1)
            best_key[rows] = key[table.gather(1, where)]
        return best_s, best_key


def _scores(
    query: Tensor, probe: Tensor, keys: Tensor, cells: Cells, own: Tensor | None
) -> Iterator[tuple[Tensor, int, Tensor]]:
    """Cell by cell: the queries that look into it, its first key, the scores (n_rows, size)."""
    by_cell = probe.flatten().argsort(stable=True)
    n_rows = torch.bincount(probe.flatten(), minlength=len(cells.centers)).tolist()
    rows_of_cells = by_cell.div(probe.shape[1], rounding_mode="floor").split(n_rows)
    ends = cells.indptr.tolist()
    for cell, rows_of_cell in enumerate(rows_of_cells):
        at, size = ends[cell], ends[cell + 1] - ends[cell]
        if not size or not len(rows_of_cell):
            continue
        for rows in rows_of_cell.split(max(1, AT_ONCE // size)):
            s = query[rows] @ keys[at : at + size].T
            if own is not None:
                column = own[rows] - at
                here = torch.nonzero((column >= 0) & (column < size)).squeeze(1)
                s[here, column[here]] = -torch.inf
            yield rows, at, s


# --- what it misses -------------------------------------------------------------------------------


def recall(index: Tensor, exact: Tensor) -> float:
    """Share of the exact neighbours that were found.  (n_queries, K), (n_queries, K) -> [0, 1].

    In each row every position stands once.
    """
    both = torch.cat([index, exact], dim=1).sort(1)[0]
    return float((both[:, 1:] == both[:, :-1]).sum() / max(exact.numel(), 1))


@torch.inference_mode()
def enough_cells(query: Tensor, exact: Tensor, cells: Cells, least: float = RECALL) -> Cells:
    """The same cells with the least ``n_probe`` that finds a share ``least`` of the neighbours.

    No search is needed: a neighbour is found from that many cells on that its own comes at among
    the cells nearest to the query.

    Parameters
    ----------
    query : tensor (n_queries, width)
        Nodes like those that will be looked up, which the bank does not hold.
    exact : int64 tensor (n_queries, K), positions of their best keys
    """
    n_cells = len(cells.centers)
    cell = torch.searchsorted(cells.indptr, exact, right=True) - 1  # of each neighbour
    needed = torch.empty_like(exact)
    step = _rows_at_once(n_cells)
    for start in range(0, len(query), step):
        block = slice(start, start + step)
        place = ranked_cells(query[block], cells, n_cells).argsort(1)  # the inverse permutation
        needed[block] = place.gather(1, cell[block]) + 1
    if not exact.numel():
        return cells
    in_order = needed.flatten().sort()[0]
    n_probe = int(in_order[max(1, math.ceil(least * len(in_order))) - 1])
    return cells._replace(n_probe=n_probe)
