"""The main table: strict cold start, every candidate at equal budget (paper: Table 10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from makedo.core.candidates import Outcome
from makedo.core.tables import Pair, Row, comparison_rows
from makedo.methods.cold_brew.baselines import STUDENT, candidates
from makedo.methods.cold_brew.protocol import ColdStart, load_problem, run

TITLE = "Strict cold start (paper: Table 10)"
# Paper, Table 10: isolated, tail, head and all ("overall"), where it has them.  Its Chameleon still
# has the duplicate nodes, so its figures have no place beside chameleon_filtered.
GROUPS = ("isolated", "tail", "head", "all")
PAPER: Mapping[str, Mapping[str, tuple[float | None, ...]]] = {
    "cora": {
        "MLP": (68.40, 70.76, 74.3, 69.02),
        "GCN": (58.02, 84.54, 88.68, 84.89),
        "GCN + SE": (58.37, 84.66, 89.39, 86.96),
        "GraphSAGE": (66.02, 82.82, None, 80.90),
        "GraphMLP": (65.00, 70.09, 72.5, 71.87),
        STUDENT: (69.62, 71.80, 74.5, 72.36),
    },
    "citeseer": {
        "MLP": (53.26, 54.85, 72.0, 56.59),
        "GCN": (47.09, 56.51, 80.37, 70.38),
        "GCN + SE": (47.78, 56.32, 80.76, 72.44),
        "GraphSAGE": (51.46, 52.77, None, 66.21),
        "GraphMLP": (52.82, 55.56, 69.8, 68.22),
        STUDENT: (53.17, 54.88, 72.3, 67.54),
    },
}
PAIRS = (
    *((ours, other) for ours in (STUDENT, "Cold Brew")
      for other in ("MLP", "GLNN", "GCN", "feature neighbours")),
    ("Cold Brew", "GraphMLP"),
)  # fmt: skip


def rows(data: str, seeds: range) -> list[Row | Pair]:
    """Every candidate on the splits of :func:`protocol.split`, the edges of a tenth removed."""
    problems: dict[int, ColdStart] = {}

    def one(model: Any, seed: int) -> Outcome:
        if seed not in problems:
            problems[seed] = load_problem(data, seed)
        return run(model, seed, problems[seed])

    figures = {
        (row, group): figure
        for row, found in PAPER.get(data, {}).items()
        for group, figure in zip(GROUPS, found, strict=True)
        if figure is not None
    }
    return comparison_rows(TITLE, data, candidates(), one, seeds=seeds, paper=figures, pairs=PAIRS)
