"""Numbers instead of classes: monthly traffic of Wikipedia pages, as a logarithm.

The splits and the cold start are those of the main table; scores are R² within the group, with the
group's own variance.  The paper has no regression; the baselines are what a user would try first.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from makedo.core.candidates import Candidate, Outcome
from makedo.core.tables import Pair, Row, comparison_rows
from makedo.data import catalog
from makedo.methods.cold_brew.protocol import ColdStart, run, split, strict_cold_start
from makedo.methods.cold_brew.regression_baselines import regression_candidates
from makedo.methods.cold_brew.regressor import ColdBrewRegressor
from makedo.methods.cold_brew.tasks import R2

TITLE = "Regression: log10 of monthly traffic"
OURS, STUDENT, MLP, GCN = "Cold Brew", "Cold Brew, student only", "MLP", "GCN"
MOST_SEEDS = 5


def rows(data: str, seeds: range) -> list[Row | Pair]:
    """Mean, ridge, feature neighbours, MLP, GCN (on isolated nodes: alone), student and pool."""
    seeds = seeds[:MOST_SEEDS]
    load = cache(lambda seed: problem(data, seed))

    def one(model: Any, seed: int) -> Outcome:
        return run(model, seed, load(seed), score=r_squared)

    known = {candidate.name: candidate for candidate in regression_candidates()}
    brew = known[OURS].grid
    listed = [
        *(known[name] for name in ("mean", "ridge", "feature neighbours")),
        Candidate(MLP, _part("normed mlp", degree_threshold=np.inf), _mlp_grid()),
        Candidate(GCN, _part("teacher", degree_threshold=0, structural=None), _gcn_grid()),
        Candidate(STUDENT, _part("student"), brew),
        known[OURS],
    ]
    others = ("ridge", "feature neighbours", MLP, GCN)
    pairs = [(ours, other) for ours in (STUDENT, OURS) for other in others]
    return comparison_rows(TITLE, data, listed, one, seeds=seeds, metric=R2, pairs=pairs)


def problem(data: str, seed: int) -> ColdStart:
    """The cold start of the main table with log10 of the traffic as labels."""
    graph = catalog.load(data)
    traffic = np.log10(np.maximum(graph.targets["traffic"], 1).astype(float))
    parts = split(graph, seed)
    return strict_cold_start(graph.X, traffic, graph.graph, *parts, random_state=seed)


def r_squared(predicted: np.ndarray, truth: np.ndarray) -> float:
    """1 − mean squared error / variance of these rows; NaN for fewer than two."""
    if len(truth) < 2 or truth.var() == 0:
        return float("nan")
    return 1 - float(np.mean((predicted - truth) ** 2) / truth.var())


def _part(cold_part: str, **fixed: Any) -> Any:
    def make(**parameters: Any) -> ColdBrewRegressor:
        return ColdBrewRegressor(cold_part=cold_part, **fixed, **parameters)

    return make


def _mlp_grid() -> list[dict[str, Any]]:
    return [
        {"student_dropout": dropout, "weight_decay": decay, "student_hidden": hidden}
        for dropout in (0.5, 0.2)
        for decay in (5e-4, 5e-5)
        for hidden in (256, 64)
    ]


def _gcn_grid() -> list[dict[str, Any]]:
    return [
        {"dropout": dropout, "weight_decay": decay, "hidden": hidden}
        for dropout in (0.5, 0.2)
        for decay in (5e-4, 5e-5)
        for hidden in (64, 256)
    ]
