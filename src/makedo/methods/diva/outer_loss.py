"""Losses of the outer problem: what a prediction is worth, and its gradient.

The inner problem is a weighted ridge regression (squared error).  The outer loss, on a validation
set or on leave-one-out predictions, may be any that has a gradient with respect to predictions.
Each takes predictions F and targets Y, both (n, c), and gives the loss of each row (n,) with its
gradient (n, c).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from makedo.core.checks import MakedoInputError
from makedo.methods.diva.targets import Targets

OuterLoss = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def squared(F: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ_c (F − Y)²."""
    error = F - Y
    return (error**2).sum(1), 2 * error


def cross_entropy(
    F: np.ndarray, Y: np.ndarray, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """−Σ_c Y log softmax(β F): outputs of a ridge lie near [0, 1], so β must be given."""
    log_p = _log_softmax(temperature * F)
    return -(Y * log_p).sum(1), temperature * (np.exp(log_p) * Y.sum(1, keepdims=True) - Y)


def mae(F: np.ndarray, Y: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """1 − Σ_c Y softmax(β F), one minus the probability of the given label: bounded."""
    p = np.exp(_log_softmax(temperature * F))
    right = (Y * p).sum(1)
    return 1 - right, -temperature * p * (Y - right[:, None])


def margin(F: np.ndarray, Y: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """σ(−β m), m the output of the given class minus the largest of the others."""
    rows, given = np.arange(len(F)), Y.argmax(1)
    others = F.astype(float, copy=True)
    others[rows, given] = -np.inf
    rival = others.argmax(1)
    value = _sigmoid(temperature * (F[rows, rival] - F[rows, given]))
    slope = temperature * value * (1 - value)
    gradient = np.zeros_like(F, dtype=float)
    gradient[rows, given] = -slope
    gradient[rows, rival] = slope
    return value, gradient


def huber(F: np.ndarray, Y: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Σ_c of half the square up to ``width``, linear beyond."""
    error = F - Y
    size = np.abs(error)
    value = np.where(size <= width, error**2 / 2, width * (size - width / 2))
    return value.sum(1), np.clip(error, -width, width)


def pinball(F: np.ndarray, Y: np.ndarray, quantile: float) -> tuple[np.ndarray, np.ndarray]:
    """Σ_c of the loss whose minimum is the quantile."""
    error = Y - F
    gradient = np.where(error >= 0, -quantile, 1 - quantile)
    return np.maximum(quantile * error, (quantile - 1) * error).sum(1), gradient


# name -> the kinds of targets that it has a meaning for, and the loss at a temperature
LOSSES: dict[str, tuple[tuple[str, ...], Callable[[float], OuterLoss]]] = {
    "squared": (("classes", "multilabel", "soft", "values"), lambda _: squared),
    "huber": (("classes", "multilabel", "soft", "values"), lambda t: partial(huber, width=t)),
    "cross_entropy": (("classes", "soft"), lambda t: partial(cross_entropy, temperature=t)),
    "mae": (("classes", "soft"), lambda t: partial(mae, temperature=t)),
    "margin": (("classes",), lambda t: partial(margin, temperature=t)),
    "pinball": (("values",), lambda t: partial(pinball, quantile=t)),
}
MEANING = {
    "classes": "one class a row",
    "multilabel": "several labels a row",
    "soft": "soft labels",
    "values": "numbers",
}


def find_loss(owner: str, loss: str | OuterLoss, temperature: float, targets: Targets) -> OuterLoss:
    """The loss of that name, or the user's own once it has been tried on some targets.

    Raises
    ------
    MakedoInputError
        The loss has no meaning for this kind of targets; what the user's gives has wrong shapes.
    """
    if not isinstance(loss, str):
        _try(owner, loss, targets.Y[:3])
        return loss
    kind = targets.kind
    kinds, make = LOSSES[loss]
    if kind not in kinds:
        accepted = " or ".join(MEANING[k] for k in kinds)
        raise MakedoInputError(
            f"{owner}: outer_loss={loss!r} is for {accepted}, and y holds {MEANING[kind]}. Take "
            "'squared' or 'huber'."
        )
    if loss == "pinball" and not 0 < temperature < 1:
        raise MakedoInputError(
            f"{owner}: with outer_loss='pinball' outer_temperature is the quantile, a number in "
            f"(0, 1). Got {temperature:g}."
        )
    return make(temperature)


def _try(owner: str, loss: Any, Y: np.ndarray) -> None:
    found = loss(Y + 0.25, Y)
    shapes = (
        [np.shape(part) for part in found] if isinstance(found, tuple) else type(found).__name__
    )
    wanted = [(len(Y),), Y.shape]
    if shapes != wanted:
        raise MakedoInputError(
            f"{owner}: outer_loss must give the loss of each row and its gradient by the "
            f"predictions, of shapes {wanted[0]} and {wanted[1]} here. Got {shapes}."
        )
    if not all(np.isfinite(part).all() for part in found):
        raise MakedoInputError(f"{owner}: outer_loss gives NaN or infinity near the targets.")


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    shifted = scores - scores.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(x / 2))
