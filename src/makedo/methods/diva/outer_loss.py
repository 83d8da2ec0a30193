"""Losses of the outer problem: what a prediction is worth, and its gradient.

The inner problem is a weighted ridge regression (squared error).  The outer loss, on a validation
set or on leave-one-out predictions, may be any that has a gradient with respect to predictions.
Each takes predictions F and targets Y, both (n, c), and gives the loss of each row (n,) with its
gradient (n, c).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    shifted = scores - scores.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(x / 2))
