"""Random numbers that belong to a row, not to a call: common random numbers for coalitions.

A row's draws depend on its seed alone.  Two rows with one seed, in one call or in two, among other
rows or alone, get the same numbers; so a difference between their predictions is due to their cues.
Numbers come from a hash of (seed, place), the finaliser of SplitMix64 (Steele, Lea and Flood 2014).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import ndtri

from makedo.core.checks import MakedoInputError

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


def seeds_of(seeds: Any, n_rows: int) -> np.ndarray:
    """A seed for each row, uint64 (n_rows,); the row's number where the caller gave none.

    Raises
    ------
    MakedoInputError
        There are more or fewer, or they are no whole numbers.
    """
    if seeds is None:
        return np.arange(n_rows, dtype=np.uint64)
    found = np.asarray(seeds)
    if found.shape != (n_rows,) or found.dtype.kind not in "iu":
        raise MakedoInputError(
            f"seeds must be {n_rows:,} whole numbers, one a row. Got shape {found.shape} of "
            f"{found.dtype}."
        )
    return found.astype(np.uint64)


def uniform(seeds: np.ndarray, *shape: int) -> np.ndarray:
    """Numbers in (0, 1) for each seed, float64 (B, *shape).

    Parameters
    ----------
    seeds : uint64 ndarray of shape (B,)
    *shape : int
    """
    place = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64)
    state = _mixed(np.asarray(seeds, np.uint64))[:, None] + place * GOLDEN  # wraps around
    bits = _mixed(state) >> np.uint64(11)  # 53 of them
    return ((bits.astype(np.float64) + 0.5) / 2.0**53).reshape(len(seeds), *shape)


def normal(seeds: np.ndarray, *shape: int) -> np.ndarray:
    """Standard normal numbers for each seed, float64 (B, *shape)."""
    return ndtri(uniform(seeds, *shape))


def spread_normal(seeds: np.ndarray, n_samples: int) -> np.ndarray:
    """Pairs of standard normal numbers that fill the plane evenly, float64 (B, n_samples, 2).

    A lattice in the unit square, moved by a random amount that is the row's own and taken through
    the inverse of the normal distribution: each pair is standard normal, and the ``n_samples`` of a
    row do not crowd (randomised quasi-Monte Carlo).
    """
    points = (uniform(seeds, 1, 2) + lattice(n_samples)) % 1.0  # (B, n_samples, 2)
    return ndtri(np.clip(points, 1e-12, 1 - 1e-12))


def lattice(n: int) -> np.ndarray:
    """Points (n, 2) of the unit square, one in each n-th of either side (a rank-1 lattice).

    The second coordinate advances by the fraction of n that is nearest to the golden ratio.
    """
    steps = [step for step in range(1, n + 1) if math.gcd(step, n) == 1]
    step = min(steps, key=lambda one: abs(one / n - GOLDEN_RATIO))
    k = np.arange(n)
    return np.stack([k / n, (k * step % n) / n], axis=1)


def _mixed(bits: np.ndarray) -> np.ndarray:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
