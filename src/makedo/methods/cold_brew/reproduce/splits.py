"""The splits of the tables: which labelled nodes train, validate and test, by seed."""

from __future__ import annotations

import numpy as np

from makedo.core.seeds import generator
from makedo.data.catalog import GraphData

N_TRAIN, N_VALID = 600, {"cora": 271, "citeseer": 333}
SHARES = (0.48, 0.32)  # to learn from and to validate on, of each class


def split(data: GraphData, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of the training, validation and test nodes.

    Cora and Citeseer: 600 nodes to learn from, 271 or 333 to validate on, the rest to test, at
    random.  Others by their splits in the literature, one a seed, from the first again after the
    last; without any, 48, 32 and 20 % of each class at random.
    """
    if data.name in N_VALID:
        labelled = generator(seed, data.name, "split").permutation(np.flatnonzero(data.y >= 0))
        train, valid, test = np.split(labelled, [N_TRAIN, N_TRAIN + N_VALID[data.name]])
        return train, valid, test
    if data.masks:
        at = seed % len(data.masks["train"])
        masks = (data.masks[part][at] for part in ("train", "valid", "test"))
        train, valid, test = (np.flatnonzero(mask & (data.y >= 0)) for mask in masks)
        return train, valid, test
    rng, parts = generator(seed, data.name, "split"), ([], [], [])
    for label in np.unique(data.y[data.y >= 0]):
        members = rng.permutation(np.flatnonzero(data.y == label))
        ends = np.round(np.cumsum(SHARES) * len(members)).astype(int)
        for part, found in zip(parts, np.split(members, ends), strict=True):
            part.append(found)
    train, valid, test = (np.concatenate(part) for part in parts)
    return train, valid, test
