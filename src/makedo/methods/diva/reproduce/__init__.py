"""The paper's tables on data that can be had, with several seeds and tuned baselines beside them.

What differs from the paper: its data sets of pictures are not to be had here with its networks, so
no figure of ours is set beside one of its; λ is tuned for every arm; people's own mistakes stand
beside labels that we broke.  A module of this folder is a table, or several that share their data:
their titles and ``rows(data, seeds)``.
"""

from __future__ import annotations

from collections.abc import Iterable

from makedo.core.tables import Pair, Row
from makedo.methods.diva.reproduce import (
    augmentation,
    extend,
    label_noise,
    other_targets,
    pool_without_labels,
    reweight,
)

SEEDS = 10
BOTH = ("digits", "cifar10_subset")
TABLES = {  # name -> (module, data sets)
    "label-noise": (label_noise, BOTH),
    "reweight": (reweight, BOTH),
    "extend": (extend, BOTH),
    "pool-without-labels": (pool_without_labels, BOTH),
    "other-targets": (other_targets, ("diabetes", "cifar10_subset")),
    "augmentation": (augmentation, ("digits",)),
}


def tables() -> list[str]:
    """Names for ``makedo reproduce diva --table``."""
    return list(TABLES)


def rows(table: str, seeds: int | None = None) -> Iterable[Row | Pair]:
    """The rows of a table, in the order in which they are measured."""
    module, names = TABLES[table]
    for data in names:
        yield from module.rows(data, range(seeds or SEEDS))
