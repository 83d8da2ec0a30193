"""The one training loop: optimisers, validation, early stop, best state, resume, interrupt.

A room describes each :class:`Phase` (modules, losses, batches, how to validate) and runs them in a
:class:`Training`::

    with Training("GIANT", random_state=0, key=fingerprint, on_step=on_step) as training:
        training.run(Phase("teacher", {"net": net}, [Update(adam, loss)], 200, validate=score))

Every epoch draws its random numbers from (random_state, phase, epoch) alone, so nothing but
parameters and optimiser moments has to be stored for a resumed run to equal an uninterrupted one
bit for bit.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from makedo.core.checks import InterruptedWarning, MakedoInputError, count
from makedo.core.persistence import replacing
from makedo.core.progress import Progress
from makedo.core.seeds import derive, generator, torch_seed

# State is written after the first epoch that ends this long after the last writing.
CHECKPOINT_SECONDS = 1.0
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Update:
    """One optimiser step a batch: lower ``loss(batch)`` over the parameters of ``optimizer``."""

    optimizer: torch.optim.Optimizer
    loss: Callable[[Any], Tensor]
    name: str = "loss"


def full_batch(rng: np.random.Generator) -> Iterable[Any]:
    """The batches of full-batch training: one, which the losses ignore."""
    return (None,)


def shuffled(n_rows: int, batch_size: int | None) -> Callable[[np.random.Generator], Iterable[Any]]:
    """Batches of row positions without replacement, as int64 tensors; None: all rows in one."""

    def batches(rng: np.random.Generator) -> Iterable[Tensor]:
        order = torch.from_numpy(rng.permutation(n_rows))
        return order.split(batch_size or n_rows)

    return batches


@dataclass(frozen=True)
class Phase:
    """One stretch of training.

    Parameters
    ----------
    name : str
        Unique in its training; stands in ``history_``.
    modules : mapping of str to Module
        What is trained.  They end in their best state.
    updates : sequence of Update
        Run in this order on each batch.
    max_epochs : int
    batches : callable (numpy Generator) -> iterable of batches
        Called at the start of each epoch.
    validate : callable () -> float or mapping, optional
        Run after each epoch in eval mode without gradients.  The score, or the entry ``"score"``,
        is higher when better and decides which state is kept; None keeps the last.
    patience : int, optional
        Epochs without a better score after which the phase ends.
    least_gain : float
        Gain of the score that counts as better for ``patience``; any gain decides which state is
        kept.
    """

    name: str
    modules: Mapping[str, nn.Module]
    updates: Sequence[Update]
    max_epochs: int
    batches: Callable[[np.random.Generator], Iterable[Any]] = full_batch
    validate: Callable[[], float | Mapping[str, float]] | None = None
    patience: int | None = None
    least_gain: float = 0.0


class Training:
    """The phases of one ``fit``: their history, checkpoints, and what happens on Ctrl-C.

    Parameters
    ----------
    owner : str
        Name of the estimator, for messages.
    random_state : int
    verbose : int
    key : str
        What the result depends on: parameters and data.  A checkpoint of another key is refused.
    checkpoint_dir : str or Path, optional
        Where the state is written while training goes on.
    on_step : callable (row of the history) -> bool or None, optional
        Called after each epoch; returning True stops the training.

    Attributes
    ----------
    history : list of dict
        One row an epoch: phase, epoch, each loss, the validation figures, seconds since the start
        of the phase.
    stopped : bool
        Ctrl-C or ``on_step`` asked to stop: the phase in progress ended with its best state, later
        ones do not run.
    """

    def __init__(
        self,
        owner: str,
        *,
        random_state: int,
        verbose: int = 0,
        key: str = "",
        checkpoint_dir: str | Path | None = None,
        on_step: Callable[[dict[str, Any]], bool | None] | None = None,
    ):
        self.owner, self.random_state, self.verbose, self.key = owner, random_state, verbose, key
        self.checkpoint_dir = None if checkpoint_dir is None else Path(checkpoint_dir)
        if self.checkpoint_dir is not None and self.checkpoint_dir.is_file():
            raise MakedoInputError(
                f"{owner}: {checkpoint_dir} is a file. The state is kept in a folder: name another "
                "path."
            )
        self.on_step = on_step
        self.history: list[dict[str, Any]] = []
        self.stopped = False
        self._interrupted = False

    # --- Ctrl-C: finish the step, then stop; a second one raises at once --------------------------

    def __enter__(self) -> Training:
        self._old_handler = None
        if threading.current_thread() is threading.main_thread():
            self._old_handler = signal.getsignal(signal.SIGINT)
            if self._old_handler is signal.default_int_handler:
                signal.signal(signal.SIGINT, self._on_interrupt)
            else:  # somebody else's handler, or a caller who ignores Ctrl-C: leave it
                self._old_handler = None
        return self

    def _on_interrupt(self, *_: object) -> None:
        self.stopped = self._interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, kind: object, *_: object) -> None:
        if self._old_handler is not None:
            signal.signal(signal.SIGINT, self._old_handler)
        if self._interrupted and kind is None:
            warnings.warn(
                f"{self.owner}: interrupted after {count(len(self.history), 'epoch')}; "
                "the best state so far is kept.",
                InterruptedWarning,
                stacklevel=3,
            )

    # --- one phase --------------------------------------------------------------------------------

    def run(self, phase: Phase) -> bool:
        """Train one phase, or return False where the training was stopped before it."""
        state = self._resume(phase)
        if state.done:
            for module in phase.modules.values():
                module.eval()
            self.history += state.rows
            return True
        if self.stopped:
            if not self.history:
                raise KeyboardInterrupt  # nothing has been learnt yet
            return False
        with (
            torch_seed(derive(self.random_state, phase.name)),
            Progress(f"{self.owner}: {phase.name}", phase.max_epochs, self.verbose) as progress,
        ):
            try:
                self._epochs(phase, state, progress)
            except KeyboardInterrupt:
                if not state.rows:
                    raise  # nothing has been learnt yet
                self.stopped = self._interrupted = True
        if phase.validate is not None:
            _put_tensors(phase.modules, state.best)
        for module in phase.modules.values():
            module.eval()
        self.history += state.rows
        if not self.stopped:
            state.done = True
            self._write(phase, state)
        return True

    def _epochs(self, phase: Phase, state: _State, progress: Progress) -> None:
        written = started = time.perf_counter()
        for epoch in range(len(state.rows), phase.max_epochs):
            seed_epoch(derive(self.random_state, phase.name, epoch))
            row: dict[str, Any] = {"phase": phase.name, "epoch": epoch}
            row |= _one_epoch(phase, generator(self.random_state, phase.name, epoch))
            if phase.validate is not None:
                row |= _validate(phase)
                if not state.best or row["score"] > state.gain_score + phase.least_gain:
                    state.gain_score, state.gain_epoch = row["score"], epoch
                if not state.best or row["score"] > state.best_score:
                    state.best_score = row["score"]
                    now = _get_tensors(phase.modules)
                    state.best = {name: tensor.clone() for name, tensor in now.items()}
            figures = {name: row[name] for name in row if name not in ("phase", "epoch")}
            row["seconds"] = state.seconds + time.perf_counter() - started
            state.rows.append(row)
            progress.advance(**figures)
            if self.on_step is not None and self.on_step(dict(row)):
                self.stopped = True
            wait = phase.patience if state.best else None
            if self.stopped or (wait is not None and epoch - state.gain_epoch >= wait):
                return
            if time.perf_counter() - written > CHECKPOINT_SECONDS:
                self._write(phase, state)
                written = time.perf_counter()

    # --- checkpoints ------------------------------------------------------------------------------

    def _file(self, phase: Phase) -> Path | None:
        if self.checkpoint_dir is None:
            return None
        return self.checkpoint_dir / f"{phase.name}.safetensors"

    def _write(self, phase: Phase, state: _State) -> None:
        path = self._file(phase)
        if path is None:
            return
        tensors = _above("now", _get_tensors(phase.modules))
        if not state.done:  # a finished phase ends in its best state and needs no optimiser
            tensors |= _above("best", state.best)
            tensors |= _above("optimizer", _optimizer_tensors(phase))
        header = {
            "key": self.key,
            "done": state.done,
            "rows": state.rows,
            "best_score": state.best_score,
            "gain_epoch": state.gain_epoch,
            "gain_score": state.gain_score,
        }
        tensors = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
        with replacing(path) as fresh:
            save_file(tensors, fresh, metadata={"makedo": json.dumps(header)})
            with open(fresh, "rb") as file:
                os.fsync(file.fileno())

    def _resume(self, phase: Phase) -> _State:
        path = self._file(phase)
        if path is None or not path.exists():
            return _State()
        try:
            with safe_open(path, "pt") as file:
                header = json.loads(file.metadata()["makedo"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise MakedoInputError(
                f"{path} is not a checkpoint of makedo, or is damaged ({error}). Use an empty "
                "checkpoint_dir."
            ) from error
        if header["key"] != self.key:
            raise MakedoInputError(
                f"{path} is the state of another fit (other parameters or other data). "
                f"Use an empty checkpoint_dir, or the parameters and data of that fit."
            )
        try:
            _put_tensors(phase.modules, _below("now", tensors))
            state = _State(rows=header["rows"], done=header["done"], best=_below("best", tensors))
            state.best_score, state.gain_epoch, state.gain_score = (
                header[name] for name in ("best_score", "gain_epoch", "gain_score")
            )
            state.seconds = state.rows[-1]["seconds"] if state.rows else 0.0
            if not state.done:
                _put_optimizer_tensors(phase, _below("optimizer", tensors))
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
            raise MakedoInputError(
                f"{path} is a damaged checkpoint, or one of other networks "
                f"({type(error).__name__}). Use an empty checkpoint_dir."
            ) from error
        return state


def seed_epoch(seed: int) -> None:
    """Seed every generator of torch, where there is no GPU without the cost of looking for one."""
    if torch.cuda.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


class _State:
    """How far a phase has come."""

    def __init__(
        self,
        rows: list[dict[str, Any]] | None = None,
        done: bool = False,
        best: Tensors | None = None,
    ):
        self.rows, self.done = rows or [], done
        self.best: Tensors = best or {}
        self.best_score, self.seconds = 0.0, 0.0
        self.gain_epoch, self.gain_score = -1, 0.0  # the last epoch whose gain counts for patience


def _one_epoch(phase: Phase, rng: np.random.Generator) -> dict[str, float]:
    """Every update on every batch; the mean of each loss over the batches."""
    for module in phase.modules.values():
        module.train()
    sums, n_batches = [torch.zeros(())] * len(phase.updates), 0
    for batch in phase.batches(rng):
        for i, update in enumerate(phase.updates):
            update.optimizer.zero_grad(set_to_none=True)
            loss = update.loss(batch)
            loss.backward()
            update.optimizer.step()
            sums[i] = sums[i].to(loss.device) + loss.detach()
        n_batches += 1
    losses = {
        update.name: float(total) / n_batches
        for update, total in zip(phase.updates, sums, strict=True)
    }
    if bad := [name for name, value in losses.items() if not np.isfinite(value)]:
        raise MakedoInputError(
            f"Training phase {phase.name!r} diverged: {bad[0]} is {losses[bad[0]]}. Lower the "
            "learning rate or scale the features."
        )
    return losses


@torch.inference_mode()
def _validate(phase: Phase) -> dict[str, float]:
    assert phase.validate is not None
    for module in phase.modules.values():
        module.eval()
    result = phase.validate()
    figures = dict(result) if isinstance(result, Mapping) else {"score": result}
    return {name: float(value) for name, value in figures.items()}


def _get_tensors(modules: Mapping[str, nn.Module]) -> Tensors:
    tensors: Tensors = {}
    for m, module in modules.items():
        tensors |= _above(m, module.state_dict())
    return tensors


def _put_tensors(modules: Mapping[str, nn.Module], tensors: Tensors) -> None:
    for m, module in modules.items():
        module.load_state_dict(_below(m, tensors))


def _above(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}.{name}": t for name, t in tensors.items()}


def _below(prefix: str, tensors: Tensors) -> Tensors:
    """The inverse of :func:`_above`, among tensors of other prefixes."""
    start = prefix + "."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


def _optimizer_tensors(phase: Phase) -> Tensors:
    return {
        f"{u}.{parameter}.{name}": torch.as_tensor(value)
        for u, update in enumerate(phase.updates)
        for parameter, moments in update.optimizer.state_dict()["state"].items()
        for name, value in moments.items()
        if value is not None
    }


def _put_optimizer_tensors(phase: Phase, tensors: Tensors) -> None:
    for u, update in enumerate(phase.updates):
        state: dict[int, dict[str, Any]] = {}
        for name, tensor in _below(str(u), tensors).items():
            parameter, moment = name.split(".", 1)
            state.setdefault(int(parameter), {})[moment] = tensor
        groups = update.optimizer.state_dict()["param_groups"]
        update.optimizer.load_state_dict({"state": state, "param_groups": groups})


def history_frame(history: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows of a training as the ``history_`` of an estimator."""
    return pd.DataFrame(
        list(history) or None, columns=None if history else ["phase", "epoch", "loss", "seconds"]
    )
