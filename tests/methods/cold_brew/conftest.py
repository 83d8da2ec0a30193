"""A small graph whose classes link among themselves; features are noisy copies of the class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from makedo import ColdBrewClassifier
from makedo.data.graph import Graph

SMALL = {
    "hidden": 8,
    "student_hidden": 16,
    "n_neighbors": 4,
    "max_epochs": 15,
    "student_max_epochs": 8,
    "batch_size": 64,
    "device": "cpu",
}


@dataclass
class Problem:
    X: np.ndarray
    y: np.ndarray
    graph: Graph

    @property
    def ids(self):
        return pd.Index([f"n{i}" for i in range(len(self.y))], name="node")

    @property
    def frame(self):
        return pd.DataFrame(self.X, index=self.ids, columns=list("abcdef"))

    @property
    def named_graph(self):
        return Graph(self.graph.indptr, self.graph.indices, None, self.ids)


def block_model(n, signal=1.0, n_classes=2, random_state=0, inside=0.1, outside=0.01):
    rng = np.random.default_rng(random_state)
    y = rng.permutation(np.arange(n) % n_classes)
    X = rng.normal(size=(n, 6)) + signal * 2 * np.eye(n_classes, 6)[y]
    source, target = np.triu_indices(n, 1)
    linked = rng.random(len(source)) < np.where(y[source] == y[target], inside, outside)
    return Problem(X, y, Graph.from_edges(np.stack([source[linked], target[linked]]), n_nodes=n))


@pytest.fixture(scope="session")
def problem():
    return block_model(90)


@pytest.fixture
def small():
    def make(**changes):
        return ColdBrewClassifier(**{**SMALL, **changes})

    return make


@pytest.fixture(scope="session")
def model(problem):
    """A fitted model that serves everything: teacher, student, bank.  Tests must not change it."""
    model = ColdBrewClassifier(**SMALL, cold_part="student", degree_threshold=3)
    return model.fit(problem.X, problem.y, graph=problem.graph)


@pytest.fixture(scope="session")
def make_problem():
    return block_model
