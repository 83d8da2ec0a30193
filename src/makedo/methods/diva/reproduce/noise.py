"""Training sets whose wrong labels are known: what the tables of this folder learn from.

* ``digits``: 1,200 of scikit-learn's 1,797 digits, the others to test on; features are the cosines
  of 400 random projections (random Fourier features of a Gaussian kernel, γ = 0.5 on pixels / 16).
* ``cifar10_subset``: embeddings of 300 of the first 1,000 pictures of each class, 2,000 others to
  test on; with labels broken by us, and with those of three sets of human labels.

Digits, projections, pictures and broken labels are drawn by the seed; the human labels are fixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from makedo.core.seeds import generator
from makedo.data import catalog
from makedo.data.samples import SampleData

CLEAN, UNIFORM = "true labels", "20 % at random"
HUMAN = {"aggregate": "human: aggregate", "random1": "human: random 1", "worst": "human: worst"}
SHARE = 0.2  # of labels that are replaced by another class
N_DIGITS, N_FEATURES, GAMMA = 1200, 400, 0.5
N_CLASSES, PER_CLASS, N_EACH = 10, 1000, 300


@dataclass(frozen=True)
class Noisy:
    """A training set with the labels it was given, the true ones, and test rows.

    Parameters
    ----------
    X : ndarray (N, D)
        Centred, and divided by one number so that the mean square is 1.
    given, true : ndarray (N,)
        Class numbers.
    test_X, test_y : ndarray (n_test, D), (n_test,)
    """

    X: np.ndarray
    given: np.ndarray
    true: np.ndarray
    test_X: np.ndarray
    test_y: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        """Which labels are wrong, (N,)."""
        return self.given != self.true


def groups(data: str) -> list[str]:
    """The kinds of wrong labels that a data set has."""
    return [UNIFORM] if data == "digits" else [UNIFORM, *HUMAN.values()]


@lru_cache(maxsize=8)
def problem(data: str, group: str, seed: int) -> Noisy:
    """The training set of a seed, with one kind of labels."""
    found = _load(data)
    rng = generator(seed, data, "rows")
    X, y, test_X, test_y, rows = _digits(found, rng) if data == "digits" else _cifar(found, rng)
    mean = X.mean(0)
    scale = np.sqrt(((X - mean) ** 2).mean())
    given = y
    if group == UNIFORM:
        given = replaced(y, SHARE, generator(seed, data, "wrong labels"))
    elif group != CLEAN:
        kind = next(key for key, name in HUMAN.items() if name == group)
        given = found.labels[kind][rows]
    return Noisy((X - mean) / scale, given, y, (test_X - mean) / scale, test_y)


def replaced(y: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Labels of which a share is replaced by one of the other classes, each as likely."""
    y = y.copy()
    wrong = rng.permutation(len(y))[: round(share * len(y))]
    y[wrong] = (y[wrong] + rng.integers(1, N_CLASSES, len(wrong))) % N_CLASSES
    return y


_load = lru_cache(maxsize=1)(catalog.load)
Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _digits(found: SampleData, rng: np.random.Generator) -> Parts:
    pixels = found.X / 16
    directions = rng.normal(scale=np.sqrt(2 * GAMMA), size=(pixels.shape[1], N_FEATURES))
    features = np.cos(pixels @ directions + rng.uniform(0, 2 * np.pi, N_FEATURES))
    order = rng.permutation(len(pixels))
    train, test = order[:N_DIGITS], order[N_DIGITS:]
    return features[train], found.y[train], features[test], found.y[test], train


def _cifar(found: SampleData, rng: np.random.Generator) -> Parts:
    of_class = [c * PER_CLASS + rng.permutation(PER_CLASS)[:N_EACH] for c in range(N_CLASSES)]
    rows = np.concatenate(of_class)
    assert found.test_X is not None and found.test_y is not None
    return found.X[rows], found.y[rows], found.test_X, found.test_y, rows
