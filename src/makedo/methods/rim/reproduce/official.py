"""The official code's own figures on MovieLens 100K, and ours on the same split and items.

The official code (awslabs/recurrent-intensity-model-experiments, commit 204c29b) was run with its
user split, its second half of each history, its filter of items (471 users × 1,557 items) and its
seeds.  It breaks ties by the order of its table; ours is the mean over twenty orders.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from makedo.core.results import Record, measured
from makedo.core.seeds import generator
from makedo.core.tables import Row
from makedo.methods.rim.ranking import PRECISION, rank
from makedo.methods.rim.reproduce.protocols import NO_LAMBDA, movielens

TITLE = "MovieLens 100K beside the official code, its item filter (471 × 1,557)"
FIGURES = {  # measured with the official code: ItemRec@16, UserRec@5
    "Rand": (0.0031, 0.0049),
    "ItemPop × UserPop": (0.0175, 0.0087),
    "ItemPop × EMA": (0.0175, 0.0180),
    "ItemPop × HP": (None, None),
    "ItemPop": (None, None),
}
TASKS = (("ItemRec@16", "items", 16), ("UserRec@5", "users", 5))


def rows(data: str) -> list[Row]:
    """One row a model."""
    return [Row(TITLE, data, name, partial(compute, name)) for name in FIGURES]


def compute(name: str) -> list[Record]:
    """Precision of both rankings, with the official figure."""
    protocol = movielens(1)
    targets = protocol.targets
    if name == "Rand":
        scores = generator(0, "rand").random(targets.shape)
        scores[protocol.split.test.seen().toarray()] = -np.inf
    else:
        mark, _, rate = name.partition(" × ")
        scores = protocol.scores(mark).scaled(protocol.rate(rate or NO_LAMBDA))
    records = []
    for (group, side, length), official in zip(TASKS, FIGURES[name], strict=True):
        found = rank(scores, targets, length, side, tie_orders=20)
        value, interval = found.precision(length), found.interval(length)
        records.append(measured(PRECISION, group, [value], paper=official, interval=interval))
    return records
