"""Predictors that are networks: one lesson, one way to predict, many futures.

The samples are trained by the error of the best of them (variety loss; Gupta et al., Social GAN,
2018), the single best guess by its mean distance, and the spread around it by its likelihood.

A network reads features of the cues and answers in four steps::

    encoded     = net.encode(*features)      what coalitions of a target share
    c           = context(encoded, present)  (B, hidden), with those neighbours that are present
    samples     = net.decode(c, z)           one future (B, K, n_steps, 2) for each latent z
    best, spread = net.decode_best(c), net.decode_spread(c)

All lengths are in the target's frame and divided by one scale; futures are departures from a drift.
What it reads, and what it is, stands in :mod:`.attention` and :mod:`.lstm`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from makedo.core.checks import Choice, Constraint, MakedoInputError, Number
from makedo.core.devices import pick_device
from makedo.core.estimator import Estimator
from makedo.core.seeds import derive, torch_seed
from makedo.core.training import Phase, Training, Update, history_frame, shuffled
from makedo.data.windows import Cues, Windows
from makedo.methods.trajectory.draws import lattice, seeds_of, spread_normal
from makedo.methods.trajectory.local_frame import LocalFrame
from makedo.methods.trajectory.metrics import ade, minade
from makedo.methods.trajectory.predictors import ahead

if TYPE_CHECKING:
    from typing import Self

LATENT = 2  # z of a sample: two numbers are enough to tell some dozens of futures apart
LEAST_SIGMA, MOST_CORRELATION = 0.01, 0.95


@dataclass(frozen=True)
class EncodedCues:
    """The cues of targets after the parts of the network that no coalition changes.

    Parameters
    ----------
    net : Any
        What the network's ``encode`` gave; rows are taken by ``net[rows]``.
    drift : Tensor (B, n_steps, 2)
        What answers are added to, in the target's frame and scale.
    frame : LocalFrame
    """

    net: Any
    drift: Tensor
    frame: LocalFrame

    def __len__(self) -> int:
        return len(self.drift)


class NetworkPredictor(Estimator):
    """Base of the predictors that are networks.

    A subclass builds its network, chooses what of the cues it reads, and makes a context of it.
    """

    place: bool
    mirror: bool
    zoom: float
    n_train_samples: int
    weight_decay: float
    learning_rate: float
    max_epochs: int
    batch_size: int
    device: str
    verbose: int
    random_state: int

    _constraints: ClassVar[Mapping[str, Constraint]] = {
        "place": Choice((True, False)),
        "mirror": Choice((True, False)),
        "zoom": Number(0, 1, open_high=True),
        "hidden": Number(4, integer=True),
        "n_train_samples": Number(1, integer=True),
        "dropout": Number(0, 1, open_high=True),
        "weight_decay": Number(0),
        "learning_rate": Number(0, open_low=True),
        "max_epochs": Number(1, integer=True),
        "batch_size": Number(1, integer=True),
        "verbose": Number(0, integer=True),
        "random_state": Number(0, integer=True),
    }
    _phase: ClassVar[str]  # of the training; its random numbers depend on it
    _positions: ClassVar[tuple[str, ...]] = ("past",)  # what of the input is mirrored and zoomed
    _rows: ClassVar[int] = 16_384  # decoded at once, each with all of its samples

    # --- what differs -----------------------------------------------------------------------------

    def _build(self) -> Any:
        """The network with its first weights."""
        raise NotImplementedError

    def _features(self, cues: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """What the network encodes."""
        raise NotImplementedError

    def _context(self, encoded: Any, present: Tensor) -> Tensor:
        """The context (B, hidden), with those neighbours that are present (B, M)."""
        raise NotImplementedError

    def _lesson_context(self, cues: dict[str, Tensor]) -> Tensor:
        """The context (B, hidden) of a batch of training."""
        raise NotImplementedError

    def _worth_trying(self, c: Tensor, z: Tensor, truth: Tensor) -> Tensor:
        """Latents of a batch of training, of which the nearest future learns (B, K, 2).

        Those that others beat learn nothing, and a network may leave them out beforehand.
        """
        return z

    def _learn_sizes(self, windows: Windows) -> None:
        """What must be known of the data before the network is built."""
        self.n_past_, self.n_steps_ = windows.past.shape[1], windows.future.shape[1]
        moved = windows.future - windows.past[:, -1:]
        self.scale_ = float(np.sqrt((moved**2).mean())) or 1.0
        places = np.concatenate([windows.past[:, -1], windows.future[:, -1]])
        self.middle_ = (places.min(0) + places.max(0)) / 2

    def _inputs(self, cues: Cues, frame: LocalFrame) -> dict[str, np.ndarray]:
        """The cues in the target's frame and scale."""
        return {
            "past": frame.enter(cues.past) / self.scale_,
            "place": (frame.origin - self.middle_) * frame.side / self.scale_,
        }

    # --- training ---------------------------------------------------------------------------------

    def fit(
        self,
        windows: Windows,
        *,
        valid: Windows | None = None,
        on_step: Callable[[dict[str, Any]], bool | None] | None = None,
        checkpoint_dir: str | Path | None = None,
    ) -> Self:
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
        self._learn_sizes(windows)
        with torch_seed(derive(self.random_state, "weights")):
            self.net_ = self._build().to(pick_device(self.device))
        lesson = _Lesson(self, windows)
        key = f"{self.get_params()} {windows!r} {float(np.nansum(windows.past)):.6f}"
        with Training(
            type(self).__name__, random_state=self.random_state, verbose=self.verbose, key=key,
            checkpoint_dir=checkpoint_dir, on_step=on_step,
        ) as training:  # fmt: skip
            training.run(lesson.phase(valid))
        self.history_ = history_frame(training.history)
        return self

    def _frame(self, cues: Cues) -> LocalFrame:
        middle = self.middle_ if self.place and self.mirror else None
        return LocalFrame.of(cues.past, turned=not self.place, middle=middle)

    def _tensors(self, cues: Cues, frame: LocalFrame) -> dict[str, Tensor]:
        """The inputs as tensors on the network's device."""
        if cues.past.shape[1] != self.n_past_:
            raise MakedoInputError(
                f"{type(self).__name__} has learnt from {self.n_past_} steps of the past and got "
                f"{cues.past.shape[1]}. Cut the windows with the n_past of training."
            )
        device = next(self.net_.parameters()).device
        parts = self._inputs(cues, frame)
        made = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in parts.items()}
        return {
            name: (t.float() if t.is_floating_point() else t).to(device) for name, t in made.items()
        }

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
        device = encoded.drift.device
        for start in range(0, len(rows), self._rows):
            some = slice(start, start + self._rows)
            at = torch.from_numpy(np.asarray(rows[some])).to(device)
            shown = torch.from_numpy(np.ascontiguousarray(present[some])).to(device)
            c = self._context(encoded.net[at], shown)
            moves = self._moves(c, n_samples, seeds[some])
            local = (encoded.drift[at][:, None] + moves)[:, :, :n_steps].cpu().numpy()
            frame = encoded.frame.take(rows[some])
            found[some] = frame.leave(local.astype(np.float64) * self.scale_)
        return found

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
            present = torch.from_numpy(np.ascontiguousarray(cues.present))
            c = self._context(encoded.net, present.to(encoded.drift.device))
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
                f"{type(self).__name__} has learnt {self.n_steps_} steps of the future and was "
                f"asked for {n_steps}. Fit it on windows with a longer n_future."
            )

    def _restore(self, state: dict[str, Any]) -> None:
        tensors = state.pop("net_")
        super()._restore(state)
        self.net_ = self._build()
        self.net_.load_state_dict(tensors)
        self.net_ = self.net_.to(pick_device(self.device)).eval()


def spread_of(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Deviations (…, 2) and correlation (…) of Gaussians, from any three numbers (…, 3)."""
    sigma, rho = raw.split([2, 1], -1)
    sigma = nn.functional.softplus(sigma) + LEAST_SIGMA
    return sigma, MOST_CORRELATION * torch.tanh(rho[..., 0])


def gaussian_log_density(left: Tensor, sigma: Tensor, rho: Tensor) -> Tensor:
    """Log density of deviations (…, 2) under bivariate Gaussians, (…)."""
    u = left / sigma
    open_ = 1 - rho**2
    quadratic = (u.square().sum(-1) - 2 * rho * u.prod(-1)) / open_
    return -0.5 * (quadratic + torch.log(open_)) - sigma.log().sum(-1) - math.log(2 * math.pi)


class _Lesson:
    """The data and the loss of one training."""

    def __init__(self, model: NetworkPredictor, windows: Windows):
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
            model._phase,
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
        c = model._lesson_context(cues)
        truth = future - model._drift(cues["past"])  # (B, n_steps, 2)
        best = net.decode_best(c)
        guess = (best - truth).norm(dim=2).mean()
        z = _latents(len(rows), model.n_train_samples).to(c)
        z = model._worth_trying(c, z, truth)
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
        for name in model._positions:
            between = (1,) * (cues[name].ndim - 2)
            changed[name] = cues[name] * factor.view(B, *between, 2)
        return changed, future * factor[:, None]


def _latents(n: int, n_samples: int) -> Tensor:
    """Latents z (n, n_samples, 2) as :func:`~.draws.spread_normal` makes them, from torch."""
    points = (torch.rand(n, 1, 2) + torch.from_numpy(lattice(n_samples)).float()) % 1.0
    return torch.special.ndtri(points.clamp(1e-6, 1 - 1e-6))


def _errors(model: NetworkPredictor, valid: Windows, seeds: np.ndarray) -> dict[str, float]:
    """ADE of the best guess, minADE20, and minus their sum as the score."""
    cues, n_steps = valid.cues(), valid.future.shape[1]
    one = model.predict(cues, n_steps=n_steps)
    some = model.predict(cues, n_samples=20, n_steps=n_steps, seeds=seeds)
    found = float(ade(one, valid.future).mean()), float(minade(some, valid.future).mean())
    return {"score": -sum(found), "ade": found[0], "minade20": found[1]}
