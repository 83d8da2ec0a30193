"""Neighbours drawn at random, for networks that look at a few of them per node and step."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_neighbors(
    indptr: Tensor,
    indices: Tensor,
    seeds: Tensor,
    n_neighbors: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw neighbours of some nodes, uniformly and with replacement.

    Parameters
    ----------
    indptr, indices : int64 tensors of shape (n_nodes + 1,) and (n_entries,)
        The graph by rows (CSR).
    seeds : int64 tensor of shape (n_seeds,)
    n_neighbors : int
    generator : torch.Generator, optional
        Else torch's own.

    Returns
    -------
    int64 tensor of shape (n_seeds, n_neighbors)
        A node without neighbours gets itself.

    Examples
    --------
    >>> indptr, indices = torch.tensor([0, 1, 2, 2]), torch.tensor([1, 0])
    >>> sample_neighbors(indptr, indices, torch.tensor([0, 2]), 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    start, degree = indptr[seeds], indptr[seeds + 1] - indptr[seeds]
    # double: in single precision rand * degree reaches degree for large degrees
    share = torch.rand(
        len(seeds), n_neighbors, generator=generator, device=seeds.device, dtype=torch.float64
    )
    offset = (share * degree[:, None]).long()  # in [0, degree), or 0 where degree is 0
    isolated = (degree == 0)[:, None]
    entry = torch.where(isolated, 0, start[:, None] + offset)
    drawn = indices[entry] if len(indices) else entry
    return torch.where(isolated, seeds[:, None], drawn)
