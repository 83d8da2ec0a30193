"""Strict cold start: how every candidate is split, fitted and scored, as in the paper's tables.

A split says which nodes teach, validate and test.  The nodes of lowest degree lose all their edges
(section 4.1 of the paper).  Then half of the validation nodes lose theirs too, for every candidate
alike: a configuration is judged on nodes as they will be served, some without edges, some with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from makedo.core.compare import Outcome
from makedo.core.labels import is_labelled
from makedo.core.seeds import derive, generator
from makedo.data import catalog
from makedo.data.catalog import GraphData
from makedo.data.degrees import degree_splits
from makedo.data.graph import Graph
from makedo.methods.cold_brew.classifier import ColdBrewClassifier
from makedo.methods.cold_brew.regressor import ColdBrewRegressor
from makedo.methods.cold_brew.routing import hide_half

COLD = ("isolated", "collateral")  # groups whose nodes have no edge
COUNTS = {"cora": (600, 271), "citeseer": (600, 333)}  # nodes to learn from and to validate on
SHARES = (0.48, 0.32)  # the same of each class, where a data set brings no splits


@dataclass(frozen=True)
class ColdStart:
    """A graph in which some test nodes have no edges.

    Parameters
    ----------
    X : matrix (n_nodes, n_features)
    y : ndarray (n_nodes,)
        Class numbers (−1 unlabelled), or numbers to predict (NaN unlabelled).
    graph : Graph
        The edges of isolated nodes are gone.
    train, valid : int64 ndarrays, positions
    groups : mapping of str to int64 ndarray
        Test nodes: isolated, collateral (lost their last edge with an isolated one), tail, head,
        all.
    """

    X: Any
    y: np.ndarray
    graph: Graph
    train: np.ndarray
    valid: np.ndarray
    groups: Mapping[str, np.ndarray]


def strict_cold_start(
    X: Any,
    y: np.ndarray,
    graph: Graph,
    train: np.ndarray,
    valid: np.ndarray,
    test: np.ndarray,
    *,
    share: float = 0.1,
    random_state: int = 0,
) -> ColdStart:
    """Take the edges from the ``share`` of nodes of lowest degree (section 4.1).

    Head and tail are as large.
    """
    parts = degree_splits(
        graph.positional(), share, share, share, random_state=derive(random_state, "degree ties")
    )
    test = test[is_labelled(y[test])]
    nodes = {
        "isolated": parts.isolated,
        "collateral": parts.collateral,
        "tail": parts.tail,
        "head": parts.head,
    }
    groups = {name: np.intersect1d(test, found) for name, found in nodes.items()}
    groups["all"] = np.sort(test)
    train, valid = (rows[is_labelled(y[rows])] for rows in (train, valid))
    return ColdStart(X, y, parts.graph, train, valid, groups)


def split(data: GraphData, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of labelled nodes to learn from, to validate on and to test, no node twice.

    Cora and Citeseer: a random split, with as many labelled nodes as the paper's Cora has.  Data
    sets that bring several splits: number seed modulo their number.  Others: 48 / 32 / 20 per cent
    of each class, at random.
    """
    if data.name not in COUNTS and data.masks:
        given = [data.masks[part] for part in ("train", "valid", "test")]
        masks = (part[seed % len(part)] & (data.y >= 0) for part in given)
        train, valid, test = map(np.flatnonzero, masks)
        return train, valid, test
    rng = generator(seed, data.name, "split")
    if data.name in COUNTS:
        order = rng.permutation(np.flatnonzero(data.y >= 0))
        train, valid, test = np.split(order, np.cumsum(COUNTS[data.name]))
        return train, valid, test
    return _stratified(data.y, rng)


def _stratified(
    y: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The SHARES of each class, and what is left of it."""
    parts = []
    for label in np.unique(y[y >= 0]):
        rows = rng.permutation(np.flatnonzero(y == label))
        parts.append(np.split(rows, np.rint(np.cumsum(SHARES) * len(rows)).astype(int)))
    train, valid, test = (np.sort(np.concatenate(rows)) for rows in zip(*parts, strict=True))
    return train, valid, test


def load_problem(name: str, seed: int) -> ColdStart:
    """A data set of the catalogue as a cold start, one tenth of its nodes without edges."""
    data = catalog.load(name)
    return strict_cold_start(data.X, data.y, data.graph, *split(data, seed), random_state=seed)


def accuracy(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Share of right answers; NaN of none."""
    return _mean(predicted == truth)


def run(
    model: Any,
    seed: int,
    problem: ColdStart,
    score: Callable[[np.ndarray, np.ndarray], float] = accuracy,
) -> Outcome:
    """Fit one candidate and score it on every group; validation scores are the same's."""
    n = len(problem.y)
    hidden, kept = hide_half(problem.valid, problem.graph.degree, generator(seed, "hidden edges"))
    masks: dict[str, Any] = {
        "train_mask": _mask(problem.train, n),
        "valid_mask": _mask(problem.valid, n),
    }
    # Cold Brew hides the same nodes by itself, as its random_state is the seed.
    if isinstance(model, (ColdBrewClassifier, ColdBrewRegressor)):
        model.fit(problem.X, problem.y, graph=problem.graph, **masks)
        served = model.validation_.set_index("row")["served"]
        cold, warm, both = (_mean(served.loc[rows]) for rows in (hidden, kept, problem.valid))
    else:
        model.fit(problem.X, problem.y, graph=problem.graph.without_edges_of(hidden), **masks)
        cold, warm, both = (
            score(model.predict(nodes=rows), problem.y[rows])
            for rows in (hidden, kept, problem.valid)
        )
    test = problem.groups["all"]
    said = dict(zip(test.tolist(), model.predict(nodes=test).tolist(), strict=True))
    scores = {
        name: score(np.array([said[i] for i in rows.tolist()]), problem.y[rows])
        for name, rows in problem.groups.items()
    }
    return Outcome(
        valid=both,
        groups=scores,
        sizes={name: len(rows) for name, rows in problem.groups.items()},
        valid_groups={
            name: cold if name in COLD else both if name == "all" else warm for name in scores
        },
    )


def _mask(rows: np.ndarray, n: int) -> np.ndarray:
    mask = np.zeros(n, dtype=bool)
    mask[rows] = True
    return mask


def _mean(right: Any) -> float:
    return float(np.mean(right)) if len(right) else float("nan")
