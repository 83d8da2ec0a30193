"""A predictor that is a network: attention over neighbours, many futures, trained in minutes.

The samples are trained by the error of the best of them (variety loss; Gupta et al., Social GAN,
2018), the single best guess by its mean distance, and the spread around it by its likelihood.
Neighbours are left out at random in training, so that a coalition without some of them is nothing
new to the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from makedo.core.checks import Choice, MakedoInputError, Number
from makedo.core.devices import pick_device
from makedo.core.estimator import Estimator
from makedo.core.seeds import derive, torch_seed
from makedo.core.training import Phase, Training, Update, history_frame, shuffled
from makedo.data.windows import Cues, Windows
from makedo.methods.trajectory.attention import AttentionNet, Encoded, gaussian_log_density
from makedo.methods.trajectory.draws import lattice, seeds_of, spread_normal
from makedo.methods.trajectory.local_frame import LocalFrame, Relations
from makedo.methods.trajectory.metrics import ade, minade
from makedo.methods.trajectory.predictors import ahead

ROWS = 16_384  # rows decoded at once, each with all of its samples


@dataclass(frozen=True)
class EncodedCues:
    """The cues of targets after the parts of the network that no coalition changes.

    Parameters
    ----------
    net : Encoded
    drift : Tensor (B, n_steps, 2)
        What answers are added to, in the target's frame and scale.
    frame : LocalFrame
    """

    net: Encoded
    drift: Tensor
    frame: LocalFrame

    def __len__(self) -> int:
        return len(self.drift)


class AttentionPredictor(Estimator):
    """Predict with a network that attends to neighbours.

    Parameters
    ----------
    neighbors : bool, default=True
        False: the same network without neighbours, to compare with.
    place : bool, default=False
        Whether the place in the scene is an input; the frame is then that of the map, not turned to
        where the target goes.  For scenes of one map: a court, a harbour.
    mirror : bool, default=True
        Whether mirrored scenes are as good.  Left and right of the target: they are learnt from,
        too.  With ``place``: all are seen as in one quarter of the map, mirrored about its middle,
        so that what is learnt in one holds in all.  Not where the map is not symmetric.
    zoom : float, default=0.2
        Also learn from scenes made smaller or larger by up to this share; 0 with ``place``.
    neighbor_dropout : float, default=0.3
        Chance that a neighbour is left out in training.
    hidden, n_heads : int, default=64 and 4
    n_train_samples : int, default=20
        Samples of which the best is trained.
    dropout, weight_decay, learning_rate : float
    max_epochs, batch_size : int
    device : str, default="auto"
    verbose, random_state : int

    Attributes
    ----------
    net_ : AttentionNet
    scale_ : float
        Metres that are 1 to the network.
    middle_ : ndarray of shape (2,)
        Of the map.
    relations_ : ndarray of shape (n_kinds,)
    history_ : DataFrame
    """

    _constraints: ClassVar = {
        "neighbors": Choice((True, False)),
        "place": Choice((True, False)),
        "mirror": Choice((True, False)),
        "zoom": Number(0, 1, open_high=True),
        "neighbor_dropout": Number(0, 1, open_high=True),
        "hidden": Number(4, integer=True),
        "n_heads": Number(1, integer=True),
        "n_train_samples": Number(1, integer=True),
        "dropout": Number(0, 1, open_high=True),
        "weight_decay": Number(0),
        "learning_rate": Number(0, open_low=True),
        "max_epochs": Number(1, integer=True),
        "batch_size": Number(1, integer=True),
        "verbose": Number(0, integer=True),
        "random_state": Number(0, integer=True),
    }

    def __init__(
        self,
        neighbors: bool = True,
        place: bool = False,
        mirror: bool = True,
        zoom: float = 0.2,
        neighbor_dropout: float = 0.3,
        hidden: int = 64,
        n_heads: int = 4,
        n_train_samples: int = 20,
        dropout: float = 0.1,
        weight_decay: float = 0.01,
        learning_rate: float = 4e-3,
        max_epochs: int = 20,
        batch_size: int = 256,
        device: str = "auto",
        verbose: int = 0,
        random_state: int = 0,
    ):
        self.neighbors, self.place, self.mirror, self.zoom = neighbors, place, mirror, zoom
        self.neighbor_dropout, self.hidden, self.n_heads = neighbor_dropout, hidden, n_heads
        self.n_train_samples, self.dropout, self.weight_decay = (
            n_train_samples,
            dropout,
            weight_decay,
        )
        self.learning_rate, self.max_epochs, self.batch_size = learning_rate, max_epochs, batch_size
        self.device, self.verbose, self.random_state = device, verbose, random_state

    # --- training ---------------------------------------------------------------------------------

    def fit(
        self,
        windows: Windows,
        *,
        valid: Windows | None = None,
        on_step: Callable[[dict[str, Any]], bool | None] | None = None,
        checkpoint_dir: str | Path | None = None,
    ) -> AttentionPredictor:
        """Train the network.

        Parameters
        ----------
        windows : Windows
        valid : Windows, optional
            Its errors stand in ``history_`` and decide which epoch is kept; None keeps the last.
        on_step, checkpoint_dir
            As in every ``fit`` of makedo.
        """
        self._check_parameters()
        if self.hidden % self.n_heads:
            raise MakedoInputError(
                f"AttentionPredictor: hidden must be a multiple of n_heads={self.n_heads}. Got "
                f"{self.hidden}."
            )
        cues = windows.cues()
        self.n_past_, self.n_steps_ = windows.past.shape[1], windows.future.shape[1]
        self.relations_ = Relations.learn(cues, len(windows.kinds)).of_kind
        moved = windows.future - windows.past[:, -1:]
        self.scale_ = float(np.sqrt((moved**2).mean())) or 1.0
        places = np.concatenate([windows.past[:, -1], windows.future[:, -1]])
        self.middle_ = (places.min(0) + places.max(0)) / 2
        with torch_seed(derive(self.random_state, "weights")):
            self.net_ = self._build().to(pick_device(self.device))
        lesson = _Lesson(self, windows)
        key = f"{self.get_params()} {windows!r} {float(np.nansum(windows.past)):.6f}"
        with Training(
            "AttentionPredictor", random_state=self.random_state, verbose=self.verbose, key=key,
            checkpoint_dir=checkpoint_dir, on_step=on_step,
        ) as training:  # fmt: skip
            training.run(lesson.phase(valid))
        self.history_ = history_frame(training.history)
        return self

    def _build(self) -> AttentionNet:
        """The network with its first weights."""
        n_own = 4 * self.n_past_ - 4 + 2 * self.place
        n_neighbor = 5 * self.n_past_ - 1 + Relations(self.relations_).n
        return AttentionNet(
            n_own, n_neighbor, self.n_steps_, self.hidden, self.n_heads, self.dropout
        )

    def _frame(self, cues: Cues) -> LocalFrame:
        middle = self.middle_ if self.place and self.mirror else None
        return LocalFrame.of(cues.past, turned=not self.place, middle=middle)

    def _tensors(self, cues: Cues, frame: LocalFrame) -> dict[str, Tensor]:
        """Cues in the target's frame and scale, and whether each step of a neighbour was seen."""
        if cues.past.shape[1] != self.n_past_:
            raise MakedoInputError(
                f"AttentionPredictor has learnt from {self.n_past_} steps of the past and got "
                f"{cues.past.shape[1]}. Cut the windows with the n_past of training."
            )
        M = cues.present.shape[1] if self.neighbors else 0
        neighbors = frame.enter(cues.neighbors[:, :M]) / self.scale_
        parts = {
            "past": frame.enter(cues.past) / self.scale_,
            "place": (frame.origin - self.middle_) * frame.side / self.scale_,
            "neighbors": np.nan_to_num(_backfilled(neighbors)),
            "seen": ~np.isnan(neighbors[..., 0]),
            "relation": Relations(self.relations_)(cues)[:, :M],
            "present": cues.present[:, :M],
        }
        device = next(self.net_.parameters()).device
        made = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in parts.items()}
        return {
            name: (t.float() if t.is_floating_point() else t).to(device) for name, t in made.items()
        }

    def _features(self, cues: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Features (B, n_own) of the target and (B, M, n_neighbor) of its neighbours."""
        past, neighbors = cues["past"], cues["neighbors"]
        own = [past[:, :-1].flatten(1), past.diff(dim=1).flatten(1) * self.n_past_]
        if self.place:
            own.append(cues["place"])
        # Steps are small beside places and say most: they get numbers of their own.
        steps = neighbors.diff(dim=2) * self.n_past_  # (B, M, n_past - 1, 2)
        near = 1 / (1 + self.scale_ * neighbors[:, :, -1].norm(dim=2))
        n = Relations(self.relations_).n
        relation = nn.functional.one_hot(cues["relation"].long(), n).float()
        features = [
            neighbors.flatten(2), steps.flatten(2), cues["seen"].float(), near[..., None], relation
        ]  # fmt: skip
        return torch.cat(own, 1), torch.cat(features, 2)

    # --- predicting -------------------------------------------------------------------------------

    def predict(
        self, cues: Cues, *, n_samples: int = 1, n_steps: int = 12, seeds: Any = None
    ) -> np.ndarray:
        """Positions (B, n_samples, n_steps, 2): the best guess, or as many different futures."""
        encoded = self.encode(cues)
        rows = np.arange(len(cues))
        return self.decode(
            encoded, rows, cues.present, n_samples=n_samples, n_steps=n_steps, seeds=seeds
        )

    @torch.inference_mode()
    def encode(self, cues: Cues) -> EncodedCues:
        """What coalitions of these targets share: once with their past, once without."""
        check_is_fitted(self, "net_")
        frame = self._frame(cues)
        tensors = self._tensors(cues, frame)
        encoded = self.net_.encode(*self._features(tensors))
        return EncodedCues(encoded, self._drift(tensors["past"]), frame)

    @torch.inference_mode()
    def decode(
        self,
        encoded: EncodedCues,
        rows: np.ndarray,
        present: np.ndarray,
        *,
        n_samples: int = 1,
        n_steps: int = 12,
        seeds: Any = None,
    ) -> np.ndarray:
        """Positions (R, n_samples, n_steps, 2) of coalitions.

        Parameters
        ----------
        encoded : EncodedCues
        rows : int ndarray of shape (R,)
            Which target of ``encoded`` each coalition belongs to.
        present : bool ndarray of shape (R, M)
            Who is in it.
        n_samples, n_steps : int
        seeds : uint64 ndarray of shape (R,)
        """
        self._check_steps(n_steps)
        seeds = seeds_of(seeds, len(rows))
        found = np.empty((len(rows), n_samples, n_steps, 2))
        for start in range(0, len(rows), ROWS):
            some = slice(start, start + ROWS)
            at = torch.from_numpy(np.asarray(rows[some])).to(encoded.drift.device)
            c = self._context(encoded.net.take(at), present[some])
            moves = self._moves(c, n_samples, seeds[some])
            local = (encoded.drift[at][:, None] + moves)[:, :, :n_steps].cpu().numpy()
            frame = encoded.frame.take(rows[some])
            found[some] = frame.leave(local.astype(np.float64) * self.scale_)
        return found

    def _context(self, encoded: Encoded, present: np.ndarray) -> Tensor:
        M = encoded.value.shape[1]
        mask = torch.from_numpy(np.ascontiguousarray(present[:, :M])).to(encoded.own.device)
        return self.net_.fuse(encoded, mask)

    def _moves(self, c: Tensor, n_samples: int, seeds: np.ndarray) -> Tensor:
        """Departures from the drift (B, n_samples, n_steps, 2)."""
        if n_samples == 1:
            return self.net_.decode_best(c)[:, None]
        z = spread_normal(seeds, n_samples)
        return self.net_.decode(c, torch.from_numpy(z).to(c))

    def _drift(self, past: Tensor) -> Tensor:
        """What the network's answer is added to (B, n_steps, 2), in the target's frame and scale.

        Constant velocity; with ``place`` standing still, as there the map says where one goes.
        """
        steps = torch.from_numpy(ahead(self.n_steps_)).to(past) * (not self.place)
        return (past[:, -1] - past[:, -2])[:, None] * steps

    def density(self, cues: Cues, future: np.ndarray, clamp: float | None = None) -> np.ndarray:
        """Log density of futures (B,) under a Gaussian at each step around the best guess.

        The mean over steps, in nats; ``clamp``: a step's log density counts for no more.
        """
        with torch.inference_mode():
            self._check_steps(future.shape[1])
            encoded = self.encode(cues)
            c = self._context(encoded.net, cues.present)
            best = encoded.drift + self.net_.decode_best(c)
            sigma, rho = self.net_.decode_spread(c)
            truth = torch.from_numpy(encoded.frame.enter(future) / self.scale_).to(best)
            n = future.shape[1]
            left = truth - best[:, :n]
            each = gaussian_log_density(left, sigma[:, :n], rho[:, :n]) - 2 * math.log(self.scale_)
            if clamp is not None:
                each = each.clamp(max=clamp)
            return each.mean(1).cpu().numpy().astype(np.float64)

    def _check_steps(self, n_steps: int) -> None:
        if n_steps > self.n_steps_:
            raise MakedoInputError(
                f"AttentionPredictor has learnt {self.n_steps_} steps of the future and was asked "
                f"for {n_steps}. Fit it on windows with a longer n_future."
            )

    def _restore(self, state: dict[str, Any]) -> None:
        tensors = state.pop("net_")
        super()._restore(state)
        self.net_ = self._build()
        self.net_.load_state_dict(tensors)
        self.net_ = self.net_.to(pick_device(self.device)).eval()


def _backfilled(neighbors: np.ndarray) -> np.ndarray:
    """Neighbours (B, M, n_past, 2) with the first position seen in place of those before it."""
    filled = neighbors.copy()
    for t in range(filled.shape[2] - 2, -1, -1):
        unseen = np.isnan(filled[:, :, t])
        filled[:, :, t][unseen] = filled[:, :, t + 1][unseen]
    return filled


class _Lesson:
    """The data and the loss of one training."""

    def __init__(self, model: AttentionPredictor, windows: Windows):
        self.model, self.net = model, model.net_
        cues = windows.cues()
        frame = model._frame(cues)
        self.cues = model._tensors(cues, frame)
        device = self.cues["past"].device
        future = frame.enter(windows.future) / model.scale_
        self.future = torch.from_numpy(future).float().to(device)
        self.step = nn.Module()  # so that a resumed training goes on with the same rate
        self.step.register_buffer("done", torch.zeros((), dtype=torch.float64))
        self.n_steps = math.ceil(len(windows) / model.batch_size) * model.max_epochs
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=model.learning_rate, weight_decay=model.weight_decay
        )
        self.optimizer.register_step_pre_hook(self._before_step)

    def phase(self, valid: Windows | None) -> Phase:
        """What the training loop runs."""
        model, validate = self.model, None
        if valid is not None:
            validate = partial(_errors, model, valid, valid.seeds(model.random_state))
        return Phase(
            "attention",
            {"net": self.net, "step": self.step},
            [Update(self.optimizer, self.loss)],
            model.max_epochs,
            shuffled(len(self.future), model.batch_size),
            validate,
        )

    def _before_step(self, *_: Any) -> None:
        """Cosine decay of the learning rate after a short rise; no gradient longer than 1."""
        done: Any = self.step.done
        share = float(done) / self.n_steps
        rise = min(1.0, float(done + 1) / (0.02 * self.n_steps + 1))
        for group in self.optimizer.param_groups:
            group["lr"] = self.model.learning_rate * rise * (1 + math.cos(math.pi * share)) / 2
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        done += 1

    def loss(self, rows: Tensor) -> Tensor:
        """Error of the best guess and of the best sample, and how unlikely the future was."""
        model, net = self.model, self.net
        cues, future = self._changed({name: t[rows] for name, t in self.cues.items()}, rows)
        kept = torch.rand(cues["present"].shape) >= model.neighbor_dropout
        present = cues["present"] & kept.to(future.device)
        c = net.fuse(net.encode(*model._features(cues)), present)
        truth = future - model._drift(cues["past"])  # (B, n_steps, 2)
        best = net.decode_best(c)
        guess = (best - truth).norm(dim=2).mean()
        z = _latents(len(rows), model.n_train_samples).to(c)
        each = (net.decode(c, z) - truth[:, None]).norm(dim=3).mean(2)  # (B, K)
        # The spread learns beside the others, without pulling at what they share.
        sigma, rho = net.decode_spread(c.detach())
        likely = gaussian_log_density(truth - best.detach(), sigma, rho)
        return guess + each.min(1).values.mean() - 0.1 * likely.mean()

    def _changed(self, cues: dict[str, Tensor], rows: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The batch mirrored and zoomed at random."""
        model, future, B = self.model, self.future[rows], len(rows)
        if model.place:
            return cues, future  # a place is what it is; its mirrors are seen as one
        factor = torch.ones(B, 2)
        if model.mirror:  # left and right; what is ahead stays ahead
            factor = torch.where(torch.rand(B, 2) < torch.tensor([0.0, 0.5]), -1.0, 1.0)
        if model.zoom:
            factor = factor * (1 + model.zoom * (2 * torch.rand(B, 1) - 1))
        factor = factor.to(future)
        changed = dict(cues)
        changed["past"] = cues["past"] * factor[:, None]
        changed["neighbors"] = cues["neighbors"] * factor[:, None, None]
        return changed, future * factor[:, None]


def _latents(n: int, n_samples: int) -> Tensor:
    """Latents z (n, n_samples, 2) as :func:`~.draws.spread_normal` makes them, from torch."""
    points = (torch.rand(n, 1, 2) + torch.from_numpy(lattice(n_samples)).float()) % 1.0
    return torch.special.ndtri(points.clamp(1e-6, 1 - 1e-6))


def _errors(model: AttentionPredictor, valid: Windows, seeds: np.ndarray) -> dict[str, float]:
    """ADE of the best guess, minADE20, and minus their sum as the score."""
    cues, n_steps = valid.cues(), valid.future.shape[1]
    one = model.predict(cues, n_steps=n_steps)
    some = model.predict(cues, n_samples=20, n_steps=n_steps, seeds=seeds)
    found = float(ade(one, valid.future).mean()), float(minade(some, valid.future).mean())
    return {"score": -sum(found), "ade": found[0], "minade20": found[1]}
