"""The main table: strict cold start, every candidate at equal budget (paper: Table 10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from makedo.core.candidates import Candidate, Outcome
from makedo.core.seeds import generator
from makedo.core.tables import Pair, Row, comparison_rows
from makedo.data import catalog
from makedo.methods.cold_brew.baselines import candidates
from makedo.methods.cold_brew.protocol import ColdStart, run, strict_cold_start

TITLE = "Strict cold start (paper: Table 10)"
STUDENT = "Cold Brew, student only"

# Paper, Table 10.  Its MLP, GCN and student; "tail" and "head" are its words for the same groups.
PAPER: Mapping[str, dict[tuple[str, str], float]] = {
    "cora": {
        ("GCN", "isolated"): 58.02,
        ("MLP", "isolated"): 68.40,
        (STUDENT, "isolated"): 69.62,
        ("GCN", "tail"): 84.54,
        ("MLP", "tail"): 70.76,
        (STUDENT, "tail"): 71.80,
        ("GCN", "head"): 88.68,
        ("GCN", "all"): 84.89,
        ("MLP", "all"): 69.02,
        (STUDENT, "all"): 72.36,
    },
    "citeseer": {
        ("GCN", "isolated"): 47.09,
        ("MLP", "isolated"): 53.26,
        (STUDENT, "isolated"): 53.17,
        ("GCN", "tail"): 56.51,
        ("MLP", "tail"): 54.85,
        (STUDENT, "tail"): 54.88,
        ("GCN", "head"): 80.37,
        ("GCN", "all"): 70.38,
        ("MLP", "all"): 56.59,
        (STUDENT, "all"): 67.54,
    },
}


def rows(data: str, seeds: range) -> list[Row | Pair]:
    """Random splits: 600 nodes to learn from, 271 or 333 to validate on, the rest to test."""
    student = Candidate(STUDENT, *_of(candidates("student")[-1]))
    listed = [*candidates()[:-1], student, candidates()[-1]]
    problems: dict[int, ColdStart] = {}

    def one(model: Any, seed: int) -> Outcome:
        if seed not in problems:
            problems[seed] = problem(data, seed)
        return run(model, seed, problems[seed])

    against = ["MLP", "GLNN", "GCN", "feature neighbours"]
    pairs = [(ours, other) for ours in (STUDENT, "Cold Brew") for other in against]
    return comparison_rows(TITLE, data, listed, one, seeds=seeds, paper=PAPER[data], pairs=pairs)


def problem(data: str, seed: int) -> ColdStart:
    """One random split, with the edges of the tenth of lowest degree removed."""
    graph = catalog.load(data)
    labelled = generator(seed, data, "split").permutation(np.flatnonzero(graph.y >= 0))
    n_valid = {"cora": 271, "citeseer": 333}[data]
    train, valid, test = np.split(labelled, [600, 600 + n_valid])
    return strict_cold_start(graph.X, graph.y, graph.graph, train, valid, test, random_state=seed)


def _of(candidate: Candidate) -> tuple[Any, Any]:
    return candidate.make, candidate.grid
