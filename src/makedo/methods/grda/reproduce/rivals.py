"""Rivals that play against nobody: other losses of the same networks, and other features.

Deep CORAL and GroupDRO train the encoder and predictor of this room with a loss of their own.
Centring by domain and coordinates of domains change what a simple model of the sources sees.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from makedo.core.candidates import Candidate
from makedo.core.training import Phase, Update
from makedo.data.domains import DomainGraph
from makedo.methods.grda.embedding import spectral_embedding
from makedo.methods.grda.sampling import Batch
from makedo.methods.grda.tasks import Task
from makedo.methods.grda.team import Game, Player, Rows, masked_mean

GROUP_RATE = 0.01  # η, as in the experiments of the paper
N_COORDINATES = 2  # as on a map
CIDA, CORAL, DRO = "CIDA", "Deep CORAL", "GroupDRO"
CENTRED, LOCATED = "linear, centred by domain", "linear, domain coordinates"
BOOSTING, LOCATED_BOOSTING = "gradient boosting", "gradient boosting, domain coordinates"

Change = Callable[[np.ndarray, Any], np.ndarray]  # features of rows in domains -> other features


def rivals(cls: type, trees: Any, weight: float | str) -> list[Candidate]:
    """The same rows for every table.

    Parameters
    ----------
    cls : GRDAClassifier or GRDARegressor
    trees : scikit-learn estimator
        Gradient boosting.
    weight : float or "auto"
        λ of the table's adversaries.
    """
    network = {"method": "network", "domain_weight": weight}
    linear, boosted = partial(cls, "linear"), partial(cls, "linear", base_estimator=trees)
    return [
        Candidate(CIDA, partial(cls, **network, adversary="cida")),
        Candidate(CORAL, partial(trained_by(cls, Coral), **network)),
        Candidate(DRO, partial(trained_by(cls, GroupDRO), "network", 0.0)),
        Candidate(CENTRED, seeing(centred, linear)),
        Candidate(LOCATED, seeing(located, linear)),
        Candidate(BOOSTING, boosted),
        Candidate(LOCATED_BOOSTING, seeing(located, boosted)),
    ]


def trained_by(cls: type, game: type[Game]) -> type:
    """The estimator, with networks that ``game`` trains."""
    return type(game.__name__ + cls.__name__, (cls,), {"_game": game})


# --- other losses ---------------------------------------------------------------------------------


class Alone(Game):
    """Encoder and predictor lower one loss; there is no discriminator."""

    def loss(self, batch: Batch) -> Tensor:
        """Sum over the models."""
        raise NotImplementedError

    def phase(self, name: str) -> Phase:
        """What the training loop runs."""
        modules = {"team": self.team, "average": self.average, "clock": self.clock}
        updates = [Update(self.optimizers[0], self.loss)]
        return Phase(name, modules, updates, self.model.max_epochs, self.batches)


class Coral(Alone):
    """Deep CORAL with many domains: encodings of any two get like means and covariances.

    B. Sun, K. Saenko, "Deep CORAL", ECCV workshops 2016, eq. (1); there two domains and covariances
    only.
    """

    def loss(self, batch: Batch) -> Tensor:
        """The task on sources, and λ times the distance."""
        self.encode(batch)
        losses = self.task.losses(self.scores, self.y[:, self.flat])
        task = masked_mean(losses, self.labelled[:, self.flat])
        distance = moment_distance(self.e.unflatten(1, (len(batch[0]), self.step.n_rows)))
        return (task + self.weight * self.scale * self._ramp() * distance).sum()


def moment_distance(e: Tensor) -> Tensor:
    """How far domains are apart in mean and covariance: mean over pairs of domains and entries.

    The mean of (a - b)² over pairs is twice the variance.

    Parameters
    ----------
    e : (n_models, n_domains, n_rows, hidden)

    Returns
    -------
    (n_models,)
    """
    mean = e.mean(2, keepdim=True)
    centred = e - mean
    covariance = centred.transpose(2, 3) @ centred / (e.shape[2] - 1)
    return sum((2 * t.var(1).flatten(1).mean(1) for t in (mean, covariance)), torch.zeros(()))


class GroupDRO(Alone):
    """GroupDRO: sources are groups, and those with a large loss get a large weight.

    S. Sagawa, P. W. Koh, T. B. Hashimoto, P. Liang, "Distributionally Robust Neural Networks for
    Group Shifts", ICLR 2020, algorithm 1.
    """

    def __init__(self, model: Any, rows: Rows, players: list[Player], task: Task):
        super().__init__(model, rows, players, task)
        groups = nn.functional.one_hot(self.domain, len(rows.z)).bool()  # (n, n_domains)
        seen = (self.labelled[:, :, None] & groups).any(1).float()  # (n_models, n_domains)
        self.share = nn.Module()  # kept with the weights: a resumed fit goes on with it
        self.share.register_buffer("q", seen / seen.sum(1, keepdim=True))

    def phase(self, name: str) -> Phase:
        """What the training loop runs."""
        phase = super().phase(name)
        return Phase(
            name, {**phase.modules, "share": self.share}, phase.updates, phase.max_epochs,
            phase.batches,
        )  # fmt: skip

    def loss(self, batch: Batch) -> Tensor:
        """Losses of the groups, by their weights after this step."""
        self.encode(batch)
        domains, shape = batch[0].to(self.device), (len(batch[0]), self.step.n_rows)
        losses = self.task.losses(self.scores, self.y[:, self.flat])
        by_row, known = (t.unflatten(1, shape) for t in (losses, self.labelled[:, self.flat]))
        by_group = (by_row * known).sum(2) / known.sum(2).clamp(min=1)  # (n_models, n_domains)
        q: Any = self.share.q
        q[:, domains] = q[:, domains] * torch.exp(GROUP_RATE * by_group.detach())
        q /= q.sum(1, keepdim=True)
        here = q[:, domains]
        return ((here * by_group).sum(1) / here.sum(1).clamp(min=1e-12)).sum()


# --- other features -------------------------------------------------------------------------------


class Seeing:
    """A model that sees other features of the rows than there are.

    Parameters
    ----------
    features : callable (X, domain, graph) -> Change
    model : estimator of this room
    """

    def __init__(self, features: Callable[[np.ndarray, Any, DomainGraph], Change], model: Any):
        self.features, self.model = features, model

    def fit(self, X: Any, y: Any, *, domain: Any, graph: DomainGraph, sources: Any) -> Seeing:
        """As the model's own."""
        self.change = self.features(np.asarray(X), domain, graph)
        X = self.change(np.asarray(X), domain)
        self.model.fit(X, y, domain=domain, graph=graph, sources=sources)
        return self

    def predict(self, X: Any, *, domain: Any) -> np.ndarray:
        """As the model's own."""
        return self.model.predict(self.change(np.asarray(X), domain), domain=domain)


def seeing(features: Callable[..., Change], make: Callable[..., Any]) -> Callable[..., Seeing]:
    """``make`` of a candidate that sees other features."""
    return lambda **parameters: Seeing(features, make(**parameters))


def centred(X: np.ndarray, domain: Any, graph: DomainGraph) -> Change:
    """Each row less the mean of its domain."""
    at = graph.positions(domain)
    means = np.zeros((graph.n_domains, X.shape[1]))
    for u in np.unique(at):
        means[u] = X[at == u].mean(0)
    return lambda X, domain: X - means[graph.positions(domain)]


def located(X: np.ndarray, domain: Any, graph: DomainGraph) -> Change:
    """Where the domain lies beside the features: eigenvectors of the graph's Laplacian."""
    z = spectral_embedding(graph, N_COORDINATES)
    return lambda X, domain: np.column_stack([X, z[graph.positions(domain)]])
