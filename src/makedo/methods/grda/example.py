"""A small problem for the contract tests: a boundary that turns from year to year."""

from __future__ import annotations

import numpy as np

from makedo.core.example import Example
from makedo.data.domains import DomainGraph
from makedo.methods.grda.classifier import GRDAClassifier


def small_example(random_state: int = 0) -> Example:
    """Two classes in nine years of 14 rows; the years from the sixth on have no labels."""
    rng = np.random.default_rng(random_state)
    year = np.repeat(np.arange(9), 14)
    y = np.tile([0, 1], 63)
    turn = 0.15 * year
    side = np.column_stack([np.cos(turn), np.sin(turn)]) * (2 * y - 1)[:, None]
    X = np.column_stack([side + rng.normal(scale=0.4, size=side.shape), year])
    new = rng.permutation(len(X))[:6]
    kept = np.setdiff1d(np.arange(len(X)), new)
    labels = np.where(year >= 5, -1, y)
    estimator = GRDAClassifier(
        "network", hidden=8, max_epochs=12, device="cpu", random_state=random_state
    )
    graph = DomainGraph.from_chain(range(9))
    fit = {"X": X[kept], "y": labels[kept], "domain": 2, "graph": graph}
    return Example(estimator, fit, X[new])
