"""The mechanism: what each piece of the student is worth on nodes without edges.

One change at a time to the student at its defaults (``cold_part="student"``); then what pooling it
with the MLPs adds.  Nothing is tuned: the settings are the defaults, so that a row differs from
the first one in what it says and in nothing else.
"""

from __future__ import annotations

from typing import Any

from makedo.core.candidates import Candidate, Outcome
from makedo.core.tables import Pair, Row, comparison_rows
from makedo.methods.cold_brew.classifier import ColdBrewClassifier
from makedo.methods.cold_brew.protocol import ColdStart, load_problem, run

TITLE = "Ablation: what the pieces of the student are worth"
STUDENT, POOL = "student", "pool of all parts"
CHANGES: dict[str, dict[str, Any]] = {
    "MLP (normed)": {"cold_part": "normed mlp"},
    "distilled MLP (GLNN)": {"cold_part": "distilled mlp"},
    "teacher asked without edges": {"cold_part": "teacher"},
    STUDENT: {},
    "part 1 on labelled nodes only": {"part1_nodes": "labelled"},
    "no virtual neighbours": {"student_inputs": "guess"},
    "no guess beside them": {"student_inputs": "neighbors"},
    "no structural embedding": {"structural": None},
    "no soft labels": {"distill": 0.0},
    "3 neighbours by dot product": {"n_neighbors": 3, "similarity": "dot", "temperature": 1.0},
    POOL: {"cold_part": "auto"},
}


def rows(data: str, seeds: range) -> list[Row | Pair]:
    """One row a change, and its difference to the student as it is."""
    problems: dict[int, ColdStart] = {}

    def one(model: Any, seed: int) -> Outcome:
        if seed not in problems:
            problems[seed] = load_problem(data, seed)
        return run(model, seed, problems[seed])

    def candidate(name: str) -> Candidate:
        changes: dict[str, Any] = {"cold_part": "student"} | CHANGES[name]

        def make(**parameters: Any) -> ColdBrewClassifier:
            return ColdBrewClassifier(**changes, **parameters)

        return Candidate(name, make)

    pairs = [(name, STUDENT) for name in CHANGES if name != STUDENT]
    pairs.append((POOL, "distilled MLP (GLNN)"))
    return comparison_rows(
        TITLE, data, list(map(candidate, CHANGES)), one, seeds=seeds, pairs=pairs
    )
