"""What neighbours bring to predictions: walking people, and basketball.

Values are those of minADE20, and of the ADE of the single guess (only this for ridge regression,
which has no samples worth the name).  They are exact for up to ten players; on the court from five
pairs of orders.  Beside the best neighbour stands the best of as many random ones of the same
target; intervals are over blocks of 60 s, or games.  Targets are thinned to about a thousand a
scene, 300 in the crowd of univ, 500 of the games: windows overlap.

Random neighbours come in two ways: all at once in a game of their own, and one at a time in the
seat of a real one while the others stay.  The second was added after the first had been measured:
ten strangers on a court are nothing that a predictor has seen, one among nine players is nearer to
it.  Both stand in the table.

On the court the neighbours are told apart by what they are to the target, and how near: who brings
most, ball, opponents or team-mates?
"""

from __future__ import annotations

from collections.abc import Sequence
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
from makedo.methods.trajectory.explaining import PAST, REAL, STRANGER
from makedo.methods.trajectory.reproduce import basketball, walking

MOST_TARGETS = {"univ": 300, "games": 500}  # of all others:
TARGETS = 1_000
QUANTITIES = {
    "past": "past",
    "neighbors": "all neighbours together",
    "neighbors_beyond_random": "these, less random ones",
    "interaction": "best neighbour",
    "corrected": "best, less best random one",
    "random": "random neighbour",
}
SHARE = "random_share"
SEATED = "_in_seats"  # random neighbours one at a time in the seats of real ones
IN_SEATS = {
    f"corrected{SEATED}": "best, less best random one in its seat",
    f"each_beyond_random{SEATED}": "each, less random one in its seat",
    f"random{SEATED}": "random neighbour in the seat of a real one",
}
ROLES = ("ball", "nearest opponent", "other opponents", "nearest team-mate", "other team-mates")
TABLES = {
    "eth_ucy": {**QUANTITIES, SHARE: "random neighbour, in % of the past", **IN_SEATS},
    "nba_sportvu": {
        **QUANTITIES, SHARE: "random neighbour, in % of the past", **IN_SEATS,
        **{role: f"{role}, each" if role.startswith("other") else role for role in ROLES},
    },
}  # fmt: skip
VIEWS = {  # predictor, metric and number of samples
    "ridge, neighbours": ("ridge, neighbours", "ade", 1),
    "network, neighbours": ("network, neighbours", "minade", 20),
    "network, neighbours, one guess": ("network, neighbours", "ade", 1),
}
METRIC = Metric("value", "m", decimals=4)
SHARE_METRIC = Metric("share of the past's value", "%", decimals=2)


def rows(seeds: Sequence[int]) -> list[Row]:
    """A row for each predictor and quantity, of both data sets."""
    made = []
    titles = {"eth_ucy": walking.TITLE.split(";")[0], "nba_sportvu": basketball.TITLE}
    for data, quantities in TABLES.items():
        table = f"What cues bring: {titles[data]}; in brackets 95 % intervals over blocks"
        for view, (name, _, _) in VIEWS.items():
            mine = tuple(seeds if name.startswith("network") else seeds[:1])
            made += [
                Row(
                    table, data, f"{view}: {words}",
                    partial(compute, data, view, quantity, mine), mine,
                )
                for quantity, words in quantities.items()
            ]  # fmt: skip
    return made


def compute(data: str, view: str, quantity: str, seeds: tuple[int, ...]) -> list[Record]:
    """One quantity in each group, with the interval of its mean over the seeds."""
    folds: tuple[str, ...] = tuple(ETH_UCY_FOLDS) if data == "eth_ucy" else ("games",)
    records = []
    for fold in folds:
        null_mode = "swap" if quantity in IN_SEATS else "separate"
        scores, block = explained(data, view, fold, seeds, null_mode)
        found = {s: score_of(scores[s], quantity) for s in seeds}
        values = {s: float(np.nanmean(found[s])) for s in seeds}
        _, low, high, n, blocks = block_mean(np.mean(list(found.values()), axis=0), block)
        metric = SHARE_METRIC if quantity == SHARE else METRIC
        text = f"{low:.{metric.decimals}f} to {high:.{metric.decimals}f} over {blocks} blocks"
        interval = (low, high) if len(seeds) == 1 else None
        note = "" if interval else f"{fold}: 95 % interval {text}"
        records.append(measured(metric, fold, values, interval=interval, size=n, note=note))
    return records


def score_of(scores: pd.DataFrame, quantity: str) -> np.ndarray:
    """A quantity of each target (n,), whose mean is the quantity of all."""
    if quantity != SHARE:
        return scores[quantity.removesuffix(SEATED)].to_numpy(float)
    past, random = (scores[name].to_numpy(float) for name in ("past", "random"))
    share = np.nanmean(random) / np.nanmean(past)
    # of a ratio of means, to first order: each target's part has the same mean and spread
    return 100 * (share + (random - share * past) / np.nanmean(past))


@lru_cache(maxsize=16)
def explained(
    data: str, view: str, fold: str, seeds: tuple[int, ...], null_mode: str
) -> tuple[dict[int, pd.DataFrame], np.ndarray]:
    """Scores of all targets by seed, and their blocks."""
    name, metric, n_samples = VIEWS[view]
    train, test = windows(data, name, fold)
    found: dict[int, Attribution] = {}
    for seed in seeds:
        court = data == "nba_sportvu"
        more: dict[str, Any] = {"estimator": "permutation", "n_permutations": 5} if court else {}
        model = basketball.trained(name, seed) if court else walking.trained(name, fold, seed)
        attributor = TrajectoryAttributor(
            model, metric=metric, n_samples=n_samples, max_neighbors=10, null_mode=null_mode,
            random_state=seed, **more,
        )  # fmt: skip
        found[seed] = attributor.fit(train).explain(test)
    block = found[seeds[0]].targets["block"].to_numpy()
    scores = {seed: pd.concat([one.scores(), by_role(one)], axis=1) for seed, one in found.items()}
    return scores, block


def by_role(found: Attribution) -> pd.DataFrame:
    """Mean φ of the neighbours of each role, a row for each target; NaN where it has none."""
    local = found.local
    near = local[(local["game"] == REAL) & ~local["player"].isin([PAST, STRANGER])]
    own = found.targets["kind"].to_numpy()[near["target"]]
    relation = np.where(near["kind"] == own, "team-mate", "opponent")
    relation = np.where(near["kind"] == "ball", "ball", relation)
    first = near.groupby(["target", relation])["distance"].rank(method="first") == 1
    role = np.where(first, "nearest ", "other ") + relation + np.where(first, "", "s")
    role = np.where(relation == "ball", "ball", role)
    table = near["phi"].groupby([near["target"], role]).mean().unstack()
    return table.reindex(index=range(len(found)), columns=list(ROLES))


@lru_cache(maxsize=1)
def windows(data: str, name: str, fold: str) -> tuple[Windows, Windows]:
    """What donors come from, and the targets that are explained."""
    if data == "nba_sportvu":
        train, test = basketball.windows()
    else:
        train, test = walking.windows(fold, walking.RADIUS.get(name, 3.0))
        train = walking.thinned(train)
    step = -(-len(test) // MOST_TARGETS.get(fold, TARGETS))
    return train, test.take(slice(None, None, step))
