"""What neighbours bring to predictions: walking people, and basketball.

Values are those of minADE20 (ADE of the single guess for ridge regression, which has no samples
worth the name), exact for up to ten players.  Beside the best neighbour stands the best of as many
random ones of the same target; intervals are over blocks of 60 s, or games.  Targets are thinned to
about a thousand a scene: windows overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.paired import Metric
from makedo.core.results import Record, measured
from makedo.core.tables import Row
from makedo.data.track_sets import ETH_UCY_FOLDS
from makedo.data.windows import Windows
from makedo.methods.trajectory.attribution import Attribution, block_mean
from makedo.methods.trajectory.estimator import TrajectoryAttributor
from makedo.methods.trajectory.reproduce import basketball, walking

MOST_TARGETS = 1_000  # of a scene
QUANTITIES = {
    "past": "past",
    "neighbors": "all neighbours together",
    "neighbors_beyond_random": "these, less random ones",
    "interaction": "best neighbour",
    "corrected": "best, less best random one",
    "random": "random neighbour",
}
METRIC = Metric("value", "m", decimals=4)


def rows(seeds: Sequence[int]) -> list[Row]:
    """A row for each predictor and quantity, of both data sets."""
    made = []
    for data, title, predictors in (
        ("eth_ucy", walking.TITLE.split(";")[0], walking.PREDICTORS),
        ("nba_sportvu", basketball.TITLE, basketball.PREDICTORS),
    ):
        table = f"What cues bring: {title}; in brackets 95 % intervals over blocks"
        for name in ("ridge, neighbours", "network, neighbours"):
            mine = seeds if name.startswith("network") else seeds[:1]
            made += [
                Row(
                    table, data, f"{name}: {words}",
                    partial(compute, data, name, quantity, tuple(mine), predictors[name]), mine,
                )
                for quantity, words in QUANTITIES.items()
            ]  # fmt: skip
    return made


def compute(
    data: str, name: str, quantity: str, seeds: tuple[int, ...], make: Callable[[int], Any]
) -> list[Record]:
    """One quantity in each group, with the interval of its mean over the seeds."""
    folds: tuple[str, ...] = tuple(ETH_UCY_FOLDS) if data == "eth_ucy" else ("games",)
    records = []
    for fold in folds:
        scores, block = explained(data, name, fold, seeds, make)
        values = {s: float(np.nanmean(scores[s][quantity])) for s in seeds}
        mean = np.mean([scores[s][quantity].to_numpy(float) for s in seeds], axis=0)
        _, low, high, n, blocks = block_mean(mean, block)
        note = f"95 % interval {low:.4f} to {high:.4f} over {blocks} blocks"
        interval = (low, high) if len(seeds) == 1 else None
        note = "" if interval else f"{fold}: {note}"
        records.append(measured(METRIC, fold, values, interval=interval, size=n, note=note))
    return records


@lru_cache(maxsize=16)
def explained(
    data: str, name: str, fold: str, seeds: tuple[int, ...], make: Callable[[int], Any]
) -> tuple[dict[int, pd.DataFrame], np.ndarray]:
    """Scores of all targets by seed, and their blocks."""
    train, test = windows(data, name, fold)
    found: dict[int, Attribution] = {}
    for seed in seeds:
        ridge = name.startswith("ridge")
        more: dict[str, Any] = {"metric": "ade", "n_samples": 1} if ridge else {}
        if data == "nba_sportvu":
            more |= {"estimator": "permutation", "n_permutations": 10}
        model = TrajectoryAttributor(make(seed), random_state=seed, max_neighbors=10, **more)
        found[seed] = model.fit(train).explain(test)
    block = found[seeds[0]].targets["block"].to_numpy()
    return {seed: one.scores() for seed, one in found.items()}, block


@lru_cache(maxsize=1)
def windows(data: str, name: str, fold: str) -> tuple[Windows, Windows]:
    """What is learnt from, and the targets that are explained."""
    if data == "nba_sportvu":
        train, test = basketball.windows()
    else:
        train, test = walking.windows(fold, walking.RADIUS.get(name, 3.0))
        train = walking.thinned(train)
    step = -(-len(test) // MOST_TARGETS)
    return train, test.take(slice(None, None, step))
