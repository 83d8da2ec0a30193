"""Which augmentations to train with, and how much of each (paper: section 4.3, words only).

The paper says that flips are given less weight on house numbers.  Here: 300 of scikit-learn's
digits and a copy of each for nine transformations; the others, about 1,500, to test on.  Flipped
digits are other signs; moved and turned ones are what digits of other hands might be.

Features are the cosines of 400 random projections of the pixels (random Fourier features), wider
(γ = 0.05) than in the tables of wrong labels: there a picture moved by a pixel is like no other.
For every training set λ has the least error of rows left out with all that share their original.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from scipy import ndimage

from makedo.core.paired import Metric
from makedo.core.results import Record, measured
from makedo.core.seeds import generator
from makedo.core.tables import Pair, Row
from makedo.data import catalog
from makedo.methods.diva.augmentations import ORIGINAL, AugmentationSelector
from makedo.methods.diva.estimator import DatasetDerivative
from makedo.methods.diva.reproduce.extend import ERROR

TITLE = "Augmentations: test error (paper: section 4.3)"
TITLE_SHARES = "Augmentations: how much of each (paper: section 4.3)"
SHARE = Metric("probability", unit="%", higher_is_better=None, decimals=1)
N_ORIGINALS, N_FEATURES, GAMMA = 300, 400, 0.05


def _moved(down: int, right: int) -> Callable[[np.ndarray], np.ndarray]:
    return partial(ndimage.shift, shift=(0, down, right))


def _turned(degrees: float) -> Callable[[np.ndarray], np.ndarray]:
    return partial(ndimage.rotate, angle=degrees, axes=(1, 2), reshape=False, order=1)


AUGMENTATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # of pictures (n, 8, 8) in [0, 1]
    "up": _moved(-1, 0),
    "down": _moved(1, 0),
    "left": _moved(0, -1),
    "right": _moved(0, 1),
    "turned left": _turned(12),
    "turned right": _turned(-12),
    "more contrast": lambda pictures: np.minimum(1.5 * pictures, 1),
    "flipped left to right": lambda pictures: pictures[:, :, ::-1],
    "flipped upside down": lambda pictures: pictures[:, ::-1],
}
FLIPS = ("flipped left to right", "flipped upside down")
NONE, EVEN, CHOSEN, KEPT = (
    "none",
    "all alike",
    "DIVA's probabilities",
    'only those of advice "keep"',
)
NO_FLIPS = "all alike but flips (told by a person)"


@dataclass(frozen=True)
class Digits:
    """Originals, then the copies of each augmentation; and test rows."""

    X: np.ndarray
    y: np.ndarray
    augmentation: np.ndarray
    source: np.ndarray
    test_X: np.ndarray
    test_y: np.ndarray


@lru_cache(maxsize=2)
def problem(data: str, seed: int) -> Digits:
    """The pictures of a seed, which also draws the features."""
    found, rng = catalog.load(data), generator(seed, data, "augmentations")
    order = rng.permutation(len(found.y))
    directions = rng.normal(scale=np.sqrt(2 * GAMMA), size=(found.X.shape[1], N_FEATURES))
    phases = rng.uniform(0, 2 * np.pi, N_FEATURES)

    def features(pictures: np.ndarray) -> np.ndarray:
        return np.cos(pictures.reshape(len(pictures), -1) @ directions + phases)

    pictures = found.X.reshape(-1, 8, 8) / 16
    train, test = order[:N_ORIGINALS], order[N_ORIGINALS:]
    copies = [features(make(pictures[train])) for make in AUGMENTATIONS.values()]
    n = 1 + len(copies)
    return Digits(
        np.vstack([features(pictures[train]), *copies]),
        np.tile(found.y[train], n),
        np.repeat([ORIGINAL, *AUGMENTATIONS], N_ORIGINALS),
        np.tile(np.arange(N_ORIGINALS), n),
        features(pictures[test]),
        found.y[test],
    )


@lru_cache(maxsize=20)
def selector(data: str, seed: int) -> AugmentationSelector:
    """Fitted at its defaults."""
    d = problem(data, seed)
    return AugmentationSelector(random_state=seed).fit(
        d.X, d.y, augmentation=d.augmentation, source=d.source
    )


def masses(data: str, seed: int) -> dict[str, dict[str, float]]:
    """The weight of all copies of each augmentation, beside 1 of the originals, for each arm."""
    found = selector(data, seed)
    table = found.augmentations_.iloc[1:]
    even = 1 / len(AUGMENTATIONS)
    kept = set(table["name"][table["advice"] == "keep"])
    return {
        NONE: dict.fromkeys(AUGMENTATIONS, 0.0),
        EVEN: dict.fromkeys(AUGMENTATIONS, even),
        NO_FLIPS: {name: even * (name not in FLIPS) for name in AUGMENTATIONS},
        KEPT: {name: even * (name in kept) for name in AUGMENTATIONS},
        CHOSEN: dict(zip(table["name"], found.masses_.tolist(), strict=True)),
    }


def rows(data: str, seeds: Sequence[int]) -> list[Row | Pair]:
    """Test error of each mixture; probability of each augmentation, and how often it is advised."""
    arms = (NONE, EVEN, NO_FLIPS, KEPT, CHOSEN)
    errors = [Row(TITLE, data, arm, partial(_errors, data, arm, seeds), seeds) for arm in arms]
    pairs = [Pair(TITLE, data, CHOSEN, other) for other in (NONE, EVEN, NO_FLIPS)]
    shares = [
        Row(TITLE_SHARES, data, name, partial(_shares, data, name, seeds), seeds)
        for name in (ORIGINAL, *AUGMENTATIONS)
    ]
    return [*errors, *pairs, *shares]


def _errors(data: str, arm: str, seeds: Sequence[int]) -> list[Record]:
    values, size = {}, 0
    for seed in seeds:
        d = problem(data, seed)
        each = {ORIGINAL: 1.0} | masses(data, seed)[arm]
        weights = np.array([each[name] for name in d.augmentation])
        used = weights > 0
        head = DatasetDerivative().fit(
            d.X[used], d.y[used], sample_weight=weights[used], groups=d.source[used]
        )
        values[seed] = float((head.predict(d.test_X) != d.test_y).mean()) * ERROR.scale
        size = len(d.test_y)
    return [measured(ERROR, "all", values, size=size)]


def _shares(data: str, name: str, seeds: Sequence[int]) -> list[Record]:
    tables = {s: selector(data, s).augmentations_.set_index("name").loc[name] for s in seeds}
    share = {seed: 100 * float(row["probability"]) for seed, row in tables.items()}
    records = [measured(SHARE, "probability", share)]
    for advice in () if name == ORIGINAL else ("keep", "down-weight"):
        often = {seed: 100.0 * (row["advice"] == advice) for seed, row in tables.items()}
        records.append(measured(SHARE, f'seeds that say "{advice}"', often))
    return records
