"""The game of encoder, predictor and discriminator, for several models at once.

A team is models that differ in λ and in the labels that they see: the candidates of the selection,
one for each λ and each group of sources that is hidden; or the final model with λ = 0 beside it.
Two optimisers take turns on each batch: the discriminator's, then that of encoder and predictor.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from makedo.core.devices import pick_device
from makedo.core.seeds import derive, torch_seed
from makedo.core.training import Phase, Training, Update
from makedo.methods.grda.adversaries import (
    Adversary,
    ConditionalAdversary,
    DomainAdversary,
    GraphAdversary,
    IndexAdversary,
    MarginAdversary,
    SourceAdversary,
    Step,
    masked_mean,
)
from makedo.methods.grda.embedding import domain_index
from makedo.methods.grda.networks import Encoder, OwnEncoder, predictor
from makedo.methods.grda.sampling import Batch
from makedo.methods.grda.tasks import Classification, Task

if TYPE_CHECKING:
    from makedo.methods.grda.estimator import GRDA

MOST_LOSS = 1.5  # times that of a fair discriminator, beyond which the encoder is not helped
ROWS = 8192  # encoded at once when predicting
SUMMARY_ROWS = 50  # of each domain, for its mean encoding and edges
ADVERSARIES = ("graph", "dann", "cdann", "cida", "adda", "mdd")


@dataclass(frozen=True)
class Rows:
    """What a team learns on.

    Attributes
    ----------
    X : float32 ndarray (n, …)
        Scaled.
    domain : int64 ndarray (n,)
        Positions in the graph.
    z : float32 ndarray (n_domains, k)
    adjacency : bool ndarray (n_domains, n_domains)
    """

    X: np.ndarray
    domain: np.ndarray
    z: np.ndarray
    adjacency: np.ndarray


@dataclass(frozen=True)
class Player:
    """One model of a team: its λ, its labels (scaled), which rows it sees them of, its offset."""

    weight: float
    y: np.ndarray  # (n,) or (n, n_outputs)
    labelled: np.ndarray  # bool (n,)
    offset: np.ndarray | None = None  # (n, n_outputs): what the base model says


class Clock(nn.Module):
    """Steps taken and steps planned, kept with the weights: a resumed fit knows its λ and rates."""

    step: Tensor
    total: Tensor

    def __init__(self, total: int):
        super().__init__()
        self.register_buffer("step", torch.tensor(0))
        self.register_buffer("total", torch.tensor(total))

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return float(self.step) / float(self.total)


class Team(nn.Module):
    """Encoders and predictors of all models, and what predicts with them."""

    def __init__(self, encoder: nn.Module, head: nn.Module):
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Encodings (n_models, n, hidden) and outputs (n_models, n, n_outputs)."""
        e = self.encoder(x, z)
        return e, self.head(e)

    @torch.inference_mode()
    def run(self, X: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same for arrays X (n, …) and z (n, k), in blocks."""
        device = next(self.parameters()).device
        parts = []
        for start in range(0, max(len(X), 1), ROWS):
            block = (torch.from_numpy(a[start : start + ROWS]).to(device) for a in (X, z))
            parts.append([t.cpu().numpy() for t in self(*block)])
        e, outputs = (np.concatenate(part, 1) for part in zip(*parts, strict=True))
        return e, outputs


def build_team(model: GRDA, n_models: int, shape: tuple[int, ...], n_z: int, task: Task) -> Team:
    """Untrained encoder and predictor; ``shape`` is that of one row of X."""
    own = isinstance(model.encoder, nn.Module)
    if own:
        encoder: nn.Module = OwnEncoder(
            model.encoder, n_models, model.normalize_encoding, model.embedding_dropout
        )
        with torch.no_grad():
            hidden = encoder.eval()(torch.zeros(2, *shape), torch.zeros(2, n_z)).shape[2]
    else:
        hidden = model.hidden
        encoder = Encoder(
            n_models, math.prod(shape), n_z, hidden, model.init,
            model.normalize_encoding, model.embedding_dropout,
        )  # fmt: skip
    head = predictor(n_models, hidden, task.n_outputs, model.init, zero=model._base is not None)
    return Team(encoder, head)


def build_adversary(
    model: GRDA, n_models: int, hidden: int, z: np.ndarray, task: Task
) -> Adversary:
    """The adversary that the model names; ``z`` (n_domains, k) are the domain embeddings."""
    init, n_outputs, n_domains = model.init, task.n_outputs, len(z)
    if model.adversary == "graph":
        scaled, pairs = model.normalize_encoding, model._self_pairs
        return GraphAdversary(n_models, hidden, model._n_embedding, init, scaled, pairs)
    if model.adversary == "dann":
        return DomainAdversary(n_models, hidden, n_domains, init)
    if model.adversary == "cdann":
        return ConditionalAdversary(n_models, hidden, n_domains, n_outputs, init)
    if model.adversary == "cida":
        index = torch.from_numpy(domain_index(model.graph_, z, model._n_embedding))
        return IndexAdversary(n_models, hidden, index, init)
    if model.adversary == "adda":
        return SourceAdversary(n_models, hidden, init)
    classes = isinstance(task, Classification)
    return MarginAdversary(n_models, hidden, n_outputs, init, classes)


class Game:
    """One phase of training: the losses of both sides, their optimisers, their schedule."""

    def __init__(self, model: GRDA, rows: Rows, players: list[Player], task: Task):
        self.model, self.task = model, task
        self.device = pick_device(model.device)
        to = self._to_device
        self.X, self.domain, self.z = to(rows.X), to(rows.domain), to(rows.z)
        self.adjacency = to(rows.adjacency)
        self.y = to(np.stack([player.y for player in players]))  # (n_models, n[, n_outputs])
        self.labelled = to(np.stack([player.labelled for player in players]))
        offsets = [player.offset for player in players if player.offset is not None]
        self.offset = to(np.stack(offsets)) if offsets else None
        self.weight = to(np.array([player.weight for player in players], dtype=np.float32))
        n_models, n_domains = len(players), len(rows.z)
        self.team = build_team(model, n_models, rows.X.shape[1:], rows.z.shape[1], task)
        first: Any = next(iter(self.team.head.children()))
        hidden = first.weight.shape[1]
        self.adversary = build_adversary(model, n_models, hidden, rows.z, task)
        self.team.to(self.device)
        self.adversary.to(self.device)
        self.average = copy.deepcopy(self.team).requires_grad_(False)
        any_label = np.logical_or.reduce([player.labelled for player in players])
        self.rows_of = drawable(rows.domain, any_label)
        self.batches = model._batches(self.rows_of, rows.adjacency)
        n_steps = sum(1 for _ in self.batches(np.random.default_rng(0)))
        self.clock = Clock(n_steps * model.max_epochs).to(self.device)
        self.scale = n_domains if model.loss_scale == "n_domains" else 1
        self.optimizers = self._optimizers()

    def _to_device(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        rate = self.model.learning_rate
        for_team = torch.optim.AdamW(
            self.team.parameters(), lr=rate, weight_decay=self.model.weight_decay
        )
        for_adversary = torch.optim.Adam(self.adversary.parameters(), lr=rate)
        for optimizer in (for_team, for_adversary):
            optimizer.register_step_pre_hook(self._before_step)
        for_team.register_step_post_hook(self._after_step)
        return for_team, for_adversary

    def _before_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Cosine decay of the learning rate; gradients no longer than ``clip_norm``, by model."""
        rate = self.model.learning_rate * (1 + math.cos(math.pi * self.clock.progress)) / 2
        for group in optimizer.param_groups:
            group["lr"] = rate
            if self.model.clip_norm is not None:
                clip(group["params"], len(self.weight), self.model.clip_norm)

    def _after_step(self, *_: Any) -> None:
        """Move the average of the weights, which predicts, and the clock."""
        step = float(self.clock.step)
        decay = min(self.model.averaging, (1 + step) / (10 + step))
        for slow, fast in zip(self.average.parameters(), self.team.parameters(), strict=True):
            slow.lerp_(fast.detach(), 1 - decay)
        for slow, fast in zip(self.average.buffers(), self.team.buffers(), strict=True):
            slow.copy_(fast)  # of a user's module
        self.clock.step += 1

    # --- the two losses ---------------------------------------------------------------------------

    def encode(self, batch: Batch) -> None:
        """Encodings and scores of the batch, for every loss of this step."""
        domains, rows = (part.to(self.device) for part in batch)
        flat = rows.flatten()
        self.flat = flat
        self.e, outputs = self.team(self.X[flat], self.z[self.domain[flat]])
        self.scores = outputs if self.offset is None else outputs + self.offset[:, flat]
        near = self.adjacency[domains][:, domains]
        self.step = Step(domains, near, self.labelled[:, flat], self.scores.detach())

    def discriminator_loss(self, batch: Batch) -> Tensor:
        """Encode the batch, for both sides, and let the discriminator lower its loss."""
        self.encode(batch)
        self.fooled = self.adversary.discriminator_loss(self.e.detach(), self.step)
        return self.fooled.sum() / self.adversary.fair

    def team_loss(self, batch: Batch) -> Tensor:
        """Encoder and predictor: the task on sources, and λ times what the adversary dislikes."""
        losses = self.task.losses(self.scores, self.y[:, self.flat])
        total = masked_mean(losses, self.labelled[:, self.flat])  # (n_models,)
        weight = self.weight * self.scale * self._ramp()
        if self.model.stop_when_fooled:
            weight = weight * (self.fooled.detach() < MOST_LOSS * self.adversary.fair)
        if bool((weight > 0).any()):
            total = total + weight * self.adversary.encoder_loss(self.e, self.step)
        return total.sum()

    def _ramp(self) -> float:
        if not self.model.ramp:
            return 1.0
        return 2 / (1 + math.exp(-10 * self.clock.progress)) - 1

    # --- the phase --------------------------------------------------------------------------------

    def phase(self, name: str) -> Phase:
        """What the training loop runs."""
        for_team, for_adversary = self.optimizers
        modules = {
            "team": self.team, "adversary": self.adversary, "average": self.average,
            "clock": self.clock,
        }  # fmt: skip
        updates = [
            Update(for_adversary, self.discriminator_loss, "discriminator"),
            Update(for_team, self.team_loss, "loss"),
        ]
        return Phase(name, modules, updates, self.model.max_epochs, self.batches)

    # --- what is left of it -----------------------------------------------------------------------

    @property
    def result(self) -> Team:
        """The networks that predict."""
        return self.average if self.model.averaging > 0 else self.team

    @torch.inference_mode()
    def summary(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Of the last model: mean encoding of each domain, and how sure D is of each edge.

        Returns
        -------
        encoding : float32 (n_domains, hidden), NaN for domains without rows
        edge_chance : float32 (n_domains, n_domains) or None where D knows no edges
        """
        rows = np.concatenate([some[:SUMMARY_ROWS] for some in self.rows_of.values()])
        at, domain = torch.from_numpy(rows).to(self.device), self.domain[rows]
        e = self.result(self.X[at], self.z[domain])[0]  # (n_models, n, hidden)
        n_domains = len(self.z)
        encoding = torch.full((n_domains, e.shape[2]), math.nan, device=self.device)
        q = self.adversary.net(e)[-1] if isinstance(self.adversary, GraphAdversary) else None
        nodes = {}
        for u in self.rows_of:
            encoding[u] = e[-1, domain == u].mean(0)
            if q is not None:
                nodes[u] = q[domain == u] * self.adversary.scale
        chance = None
        if nodes:
            chance = np.full((n_domains, n_domains), np.nan, dtype=np.float32)
            for u, mine in nodes.items():
                for v, theirs in nodes.items():
                    chance[u, v] = float(torch.sigmoid(mine @ theirs.T).mean())
        return encoding.cpu().numpy(), chance


def play(
    model: GRDA, training: Training, name: str, rows: Rows, players: list[Player], task: Task
) -> Game | None:
    """Train the models of some players; None where the training was stopped before."""
    with torch_seed(derive(model.random_state, name, "weights")):
        game = model._game(model, rows, players, task)
    return game if training.run(game.phase(name)) else None


def drawable(domain: np.ndarray, labelled: np.ndarray) -> dict[int, np.ndarray]:
    """The rows that batches draw of each domain: the labelled ones, if there are any."""
    rows_of = {}
    for u in np.unique(domain).tolist():
        rows = np.flatnonzero(domain == u)
        known = rows[labelled[rows]]
        rows_of[u] = known if len(known) else rows
    return rows_of


def clip(parameters: Iterable[Tensor], n_models: int, most: float) -> None:
    """Shorten the gradient of each model to norm ``most``; parameters begin with n_models."""
    grads = [p.grad for p in parameters if p.grad is not None]
    if any(len(grad) != n_models or grad.ndim < 3 for grad in grads):  # a user's module
        torch.nn.utils.clip_grad_norm_([p for p in parameters if p.grad is not None], most)
        return
    square = sum((grad.flatten(1).square().sum(1) for grad in grads), torch.zeros(()))
    factor = (most / (square.sqrt() + 1e-6)).clamp(max=1.0)  # (n_models,)
    for grad in grads:
        grad.mul_(factor.view(-1, *[1] * (grad.ndim - 1)))
