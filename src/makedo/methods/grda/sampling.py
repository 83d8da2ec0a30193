"""Batches of rows: some of every domain, drawn independently of what is drawn of the others.

The released code takes the b-th row of every domain at once, in the order of the file.  Where files
are sorted by class, as its own are, the discriminator then compares rows of one class only, and the
labels of target rows leak into what is learnt.  Here the order of rows means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

Batch = tuple[Tensor, Tensor]  # domains (n_domains,), rows (n_domains, n_rows)
Batches = Callable[[np.random.Generator], Iterator[Batch]]


def domain_batches(
    rows_of: dict[int, np.ndarray], n_rows: int, n_domains: int, adjacency: np.ndarray
) -> Batches:
    """Batches of ``n_rows`` rows of each of ``n_domains`` domains.

    Parameters
    ----------
    rows_of : dict of position of a domain to int64 ndarray
        The rows that may be drawn of it; at least one.
    n_rows : int
        Drawn without replacement until all have come, then again.
    n_domains : int
        Domains a batch; as many as there are: all, in every batch.
    adjacency : bool ndarray (n_all_domains, n_all_domains)

    Returns
    -------
    callable (numpy Generator) -> iterator of (domains, rows)
        An epoch is as many batches as a domain of median size fills.
    """
    known = np.array(list(rows_of))
    n_steps = max(1, round(float(np.median([len(rows) for rows in rows_of.values()])) / n_rows))

    def batches(rng: np.random.Generator) -> Iterator[Batch]:
        dealt = {u: deal(rows, n_steps * n_rows, rng) for u, rows in rows_of.items()}
        for step in range(n_steps):
            chosen = known
            if n_domains < len(known):
                chosen = known[sample_domains(adjacency[np.ix_(known, known)], n_domains, rng)]
            part = slice(step * n_rows, (step + 1) * n_rows)
            yield (
                torch.from_numpy(chosen),
                torch.from_numpy(np.stack([dealt[u][part] for u in chosen.tolist()])),
            )

    return batches


def deal(rows: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` of the rows in random order, each once before any comes again."""
    rounds = -(-n // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:n]


def sample_domains(adjacency: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of ``n`` domains: by a fair coin uniform, or along random walks (code, 2.4)."""
    if rng.random() < 0.5:
        return rng.choice(len(adjacency), n, replace=False)
    left = np.ones(len(adjacency), dtype=bool)
    found: list[int] = []
    while len(found) < n:
        near = adjacency[found[-1]] & left if found else left
        at = int(rng.choice(np.flatnonzero(near if near.any() else left)))
        left[at] = False
        found.append(at)
    return np.array(found)
