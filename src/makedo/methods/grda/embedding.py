"""Domain embeddings z: a vector for each domain, so that neighbours have a positive dot product."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from makedo.core.checks import MakedoInputError, count
from makedo.core.seeds import generator
from makedo.data.domains import DomainGraph

STEPS, LEARNING_RATE, START_SD = 2000, 1e-2, 0.1
BETAS, EPSILON = (0.9, 0.999), 1e-8  # of Adam


def embed_domains(graph: DomainGraph, how: Any, n_embedding: int, random_state: int) -> np.ndarray:
    """A table of embeddings, float32 (n_domains, k).

    Parameters
    ----------
    graph : DomainGraph
    how : {"bce", "spectral", "none"} or array of shape (n_domains, k)
        "bce" lowers L_g over a free table; "spectral" takes eigenvectors of the Laplacian; "none"
        gives zeros; an array, in the order of the graph's names, is standardised.
    n_embedding : int
        k, for the first two.
    random_state : int
    """
    n = graph.n_domains
    if not isinstance(how, str):
        return _own(graph, how)
    if how == "none":
        return np.zeros((n, 1), dtype=np.float32)
    if how == "spectral":
        return spectral_embedding(graph, n_embedding)
    rng = generator(random_state, "domain embedding")
    start = rng.normal(scale=START_SD, size=(n, n_embedding))
    return lower_loss(torch.tensor(start, dtype=torch.float32), graph.adjacency).numpy()


@torch.no_grad()
def lower_loss(z: torch.Tensor, adjacency: np.ndarray) -> torch.Tensor:
    """Lower L_g by Adam from z on, in place.  z (n_domains, k).

    L_g is the mean over unordered pairs of domains of BCE(σ(z_i · z_j), A_ij).  The steps are tiny
    and there are thousands: with gradient and Adam written out they take a sixth of the time that
    autograd and an optimiser take, for the same numbers.
    """
    n = len(z)
    i, j = torch.triu_indices(n, n, 1)
    pair = i * n + j  # positions in a flat (n, n)
    linked = torch.from_numpy(adjacency).float().take(pair)
    slope = torch.zeros(n, n)  # ∂L_g / ∂(z_i · z_j) for i < j
    first, second = torch.zeros_like(z), torch.zeros_like(z)  # running moments of the gradient
    for step in range(1, STEPS + 1):
        error = torch.sigmoid((z @ z.T).take(pair)).sub_(linked).div_(len(pair))
        slope.view(-1).index_copy_(0, pair, error)
        gradient = slope @ z + slope.T @ z
        first.lerp_(gradient, 1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        root = (second.sqrt() / (1 - BETAS[1] ** step) ** 0.5).add_(EPSILON)
        z.addcdiv_(first, root, value=-LEARNING_RATE / (1 - BETAS[0] ** step))
    return z


def spectral_embedding(graph: DomainGraph, n_embedding: int) -> np.ndarray:
    """Eigenvectors 2 to k + 1 of the Laplacian, times √n; the largest entry of each is positive."""
    n = graph.n_domains
    laplacian = np.diag(graph.degree.astype(float)) - graph.adjacency
    vectors = np.linalg.eigh(laplacian)[1][:, 1 : n_embedding + 1] * np.sqrt(n)
    sign = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])])
    return (vectors * sign).astype(np.float32)


def domain_index(graph: DomainGraph, z: np.ndarray, n_embedding: int) -> np.ndarray:
    """Where each domain lies, in numbers of mean 0 and variance 1, float32 (n_domains, k).

    The embedding z; where a model does without one, the spectral embedding.
    """
    return standardised(z if np.ptp(z, axis=0).any() else spectral_embedding(graph, n_embedding))


def standardised(table: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and variance 1; constant ones of zeros."""
    sd = table.std(0)
    return (table - table.mean(0)) / np.where(sd > 0, sd, 1)


def _own(graph: DomainGraph, table: Any) -> np.ndarray:
    values = np.asarray(table, dtype=np.float32)
    if values.ndim != 2 or len(values) != graph.n_domains or not np.isfinite(values).all():
        raise MakedoInputError(
            f"domain_embedding must hold one row of finite numbers for each of "
            f"{count(graph.n_domains, 'domain')}, in the order of graph.names. Got shape "
            f"{values.shape}."
        )
    return standardised(values)
