"""A small core, a pool, a validation set and test rows: what the tables of choosing learn from.

* ``cifar10_subset``: embeddings; of the first 1,000 pictures of each class 30 are the core, 50 the
  validation set and 270 the pool; the 2,000 test rows choose nothing.
* ``digits``: pixels through 400 random Fourier features, as in :mod:`.noise`; 6, 10 and 84 of each
  class, the others (about 800) to test on.

The seed draws the rows, the features of digits and the wrong labels of the pool.  Every training
set is judged by the test error of a ridge head with λ of least leave-one-out squared error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from makedo.core.seeds import generator
from makedo.data import catalog
from makedo.methods.diva.estimator import DatasetDerivative
from makedo.methods.diva.reproduce.noise import GAMMA, N_CLASSES, N_FEATURES, replaced

SHARES = {"true labels": 0.0, "40 % wrong": 0.4}  # of wrong labels in the pool
PER_CLASS = {"cifar10_subset": (30, 50, 270), "digits": (6, 10, 84)}  # core, validation, pool
BATCH = {"cifar10_subset": 100, "digits": 20}
SIZES = {"cifar10_subset": (600, 900, 1200), "digits": (100, 200, 300)}  # with the core


@dataclass(frozen=True)
class PoolProblem:
    """Rows and labels; ``given`` are the labels of the pool, which may be wrong."""

    core_X: np.ndarray
    core_y: np.ndarray
    valid_X: np.ndarray
    valid_y: np.ndarray
    pool_X: np.ndarray
    given: np.ndarray
    test_X: np.ndarray
    test_y: np.ndarray

    def error(self, chosen: np.ndarray, with_valid: bool = False) -> float:
        """Test error of core and chosen pool rows, and the validation rows if asked for."""
        X = [self.core_X, self.pool_X[chosen]] + [self.valid_X] * with_valid
        y = [self.core_y, self.given[chosen]] + [self.valid_y] * with_valid
        head = DatasetDerivative().fit(np.vstack(X), np.concatenate(y))
        return float((head.predict(self.test_X) != self.test_y).mean())


_load = lru_cache(maxsize=1)(catalog.load)


@lru_cache(maxsize=4)
def problem(data: str, share: float, seed: int) -> PoolProblem:
    """The problem of a seed, with a share of wrong labels in the pool."""
    found = _load(data)
    rng = generator(seed, data, "pool")
    X, test_X, test_y = found.X, found.test_X, found.test_y
    if data == "digits":
        directions = rng.normal(scale=np.sqrt(2 * GAMMA), size=(X.shape[1], N_FEATURES))
        X = np.cos(X / 16 @ directions + rng.uniform(0, 2 * np.pi, N_FEATURES))
    parts = [[], [], [], []]  # core, validation, pool, others
    for c in range(N_CLASSES):
        rows = rng.permutation(np.flatnonzero(found.y == c))
        for part, some in zip(parts, np.split(rows, np.cumsum(PER_CLASS[data])), strict=True):
            part.append(some)
    core, valid, pool, others = map(np.concatenate, parts)
    if test_X is None or test_y is None:
        test_X, test_y = X[others], found.y[others]
    pool = rng.permutation(pool)
    given = replaced(found.y[pool], share, rng)
    return PoolProblem(
        X[core], found.y[core], X[valid], found.y[valid], X[pool], given, test_X, test_y
    )
