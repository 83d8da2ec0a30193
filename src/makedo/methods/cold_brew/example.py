"""A small graph for the contract tests: two groups of nodes that link among themselves."""

from __future__ import annotations

import numpy as np

from makedo.core.example import Example
from makedo.data.graph import Graph
from makedo.methods.cold_brew.classifier import ColdBrewClassifier


def small_example(random_state: int = 0) -> Example:
    """Two classes, 90 nodes of which a third are unlabelled, and six new nodes without edges."""
    rng = np.random.default_rng(random_state)
    y = np.arange(96) % 2
    X = rng.normal(size=(96, 6)) + 1.5 * y[:, None]
    source, target = np.triu_indices(90, 1)
    linked = rng.random(len(source)) < np.where(y[source] == y[target], 0.08, 0.01)
    graph = Graph.from_edges(np.stack([source[linked], target[linked]]), n_nodes=90)
    labels = np.where(rng.random(90) < 1 / 3, -1, y[:90])
    estimator = ColdBrewClassifier(
        hidden=8,
        student_hidden=16,
        n_neighbors=4,
        max_epochs=15,
        student_max_epochs=8,
        batch_size=32,
        device="cpu",
        random_state=random_state,
    )
    return Example(estimator, {"X": X[:90], "y": labels, "graph": graph}, X[90:])
