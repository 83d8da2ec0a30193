"""Domain embeddings z: a vector for each domain, so that neighbours have a positive dot product."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from makedo.core.checks import MakedoInputError, count
from makedo.core.seeds import generator
from makedo.data.domains import DomainGraph

STEPS, LEARNING_RATE, START_SD = 2000, 1e-2, 0.1


def embedding_loss(z: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
    """L_g: mean over unordered pairs of BCE(σ(z_i · z_j), A_ij).  z (n_domains, k)."""
    i, j = torch.triu_indices(len(z), len(z), 1)
    logits = (z @ z.T)[i, j]
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, adjacency[i, j])


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
    z = torch.tensor(start, dtype=torch.float32, requires_grad=True)
    adjacency = torch.from_numpy(graph.adjacency).float()
    adam = torch.optim.Adam([z], lr=LEARNING_RATE)
    with torch.enable_grad():
        for _ in range(STEPS):
            adam.zero_grad()
            embedding_loss(z, adjacency).backward()
            adam.step()
    return z.detach().numpy()


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
