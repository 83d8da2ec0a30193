"""How far predicted positions are from the true ones, and how likely the true ones were.

All take samples (B, K, n_steps, 2) and the future (B, n_steps, 2), in metres, and give one number
for each row, (B,); lower is better.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

FAR = 2.0  # metres from the true end: a miss
LEAST_LOG_DENSITY = -20.0  # of a kernel estimate, in nats


def distances(samples: np.ndarray, future: np.ndarray) -> np.ndarray:
    """Metres from the true position at each step, (B, K, n_steps)."""
    return np.sqrt(((samples - future[:, None]) ** 2).sum(3))


def ade(samples: np.ndarray, future: np.ndarray) -> np.ndarray:
    """Mean distance over steps and samples."""
    return distances(samples, future).mean((1, 2))


def fde(samples: np.ndarray, future: np.ndarray) -> np.ndarray:
    """Mean distance at the last step over samples."""
    return distances(samples, future)[:, :, -1].mean(1)


def minade(samples: np.ndarray, future: np.ndarray) -> np.ndarray:
    """Mean distance over steps of the best of the samples."""
    return distances(samples, future).mean(2).min(1)


def minfde(samples: np.ndarray, future: np.ndarray) -> np.ndarray:
    """Distance at the last step of the sample that is nearest there."""
    return distances(samples, future)[:, :, -1].min(1)


def miss(samples: np.ndarray, future: np.ndarray) -> np.ndarray:
    """1 where every sample ends further than two metres from the true end, else 0."""
    return (minfde(samples, future) > FAR).astype(np.float64)


def kernel_nll(samples: np.ndarray, future: np.ndarray) -> np.ndarray:
    """Negative log density of the future, in nats, from a Gaussian kernel at each sample.

    The mean over steps.  At each step the kernels' width is the standard deviation of the samples
    times Scott's factor :math:`K^{-1/6}`, at least a centimetre; a step's log density is at least
    -20.
    """
    K = samples.shape[1]
    width = np.maximum(samples.std(1) * K ** (-1 / 6), 0.01)  # (B, n_steps, 2)
    z = (samples - future[:, None]) / width[:, None]
    each = -0.5 * (z**2).sum(3)  # (B, K, n_steps)
    top = each.max(1)
    log_mean = top + np.log(np.exp(each - top[:, None]).mean(1))
    log_density = log_mean - np.log(2 * np.pi * width.prod(2))
    return -np.maximum(log_density, LEAST_LOG_DENSITY).mean(1)


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "ade": ade,
    "fde": fde,
    "minade": minade,
    "minfde": minfde,
    "miss": miss,
    "nll": kernel_nll,
}
