"""The dual as the paper's code solves it, from its description: both sides in turn, by bisection.

Scores are divided by the largest, ε falls from 1 by a factor each epoch, and in each epoch all user
prices are found by bisection given item prices, and then all item prices given those.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

N_EPOCHS, LAST = 100, 1e-10  # ε falls to this from 1
BISECTIONS = 100


def naive_dual(
    scores: np.ndarray,
    user_max: int,
    item_min: int,
    *,
    n_epochs: int = N_EPOCHS,
    random_state: int = 0,
) -> np.ndarray:
    """Item prices (n_items,) in points of score.

    Parameters
    ----------
    scores : ndarray (n_users, n_items)
        -inf where a pair may not be matched.
    user_max, item_min : int
    n_epochs : int
        Of the whole schedule of ``N_EPOCHS``; fewer only to be timed.
    random_state : int
    """
    n, m = scores.shape
    largest = scores.max()
    s = np.where(np.isfinite(scores), scores / largest, -10.0)  # (n, m)
    v = -np.random.default_rng(random_state).random(m)
    for epoch in range(n_epochs):
        epsilon = LAST ** (epoch / N_EPOCHS)
        u = np.maximum(_root(s - v, user_max / m, epsilon, max(n, m)), 0)
        v = np.minimum(_root((s - u[:, None]).T, item_min / n, epsilon, max(n, m)), 0)
    return v * largest


def _root(t: np.ndarray, share: float, epsilon: float, size: int) -> np.ndarray:
    """The price p of each row at which the mean of σ((t - p)/ε) is a share in (0, 1)."""
    margin = epsilon * abs(np.log(share / (1 - share))) + epsilon
    low, high = t.min(1) - margin, t.max(1) + margin
    for _ in range(BISECTIONS):
        p = (low + high) / 2
        over = expit((t - p[:, None]) / epsilon).mean(1) - share
        low, high = np.where(over > 0, p, low), np.where(over > 0, high, p)
        if np.abs(over).max() <= 0.1 / size:
            break
    return (low + high) / 2
