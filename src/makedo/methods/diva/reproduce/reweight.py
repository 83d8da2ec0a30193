"""Does weighing the samples lower the test error? (paper: Table 1, Reweight).

The paper reports 1 to 3 points on six data sets of pictures, from single runs, and does not say how
the penalty was set.  Here λ has the least leave-one-out squared error for every arm, and anew for
each set of weights, so that no gain is one of the penalty alone; the test rows choose nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from makedo.core.candidates import Candidate, Outcome
from makedo.core.paired import Metric
from makedo.core.tables import Pair, Row, comparison_rows
from makedo.methods.diva.estimator import DatasetDerivative
from makedo.methods.diva.reproduce.noise import CLEAN, groups, problem
from makedo.methods.diva.reweighter import DivaReweighter

TITLE = "Weights of samples: test error (paper: Table 1)"
ERROR = Metric("test error", unit="points", scale=100.0, higher_is_better=False, decimals=2)
UNIFORM, BALANCED = "uniform weights", "class-balanced weights"
STEPS = (1, 2, 3, "auto")


def rows(data: str, seeds: Sequence[int]) -> list[Row | Pair]:
    """Uniform and class-balanced weights, and DIVA's by two outer losses."""
    listed = [
        Candidate(UNIFORM, partial(_ridge, None)),
        Candidate(BALANCED, partial(_ridge, "balanced")),
        *(
            Candidate(_name(loss, steps), partial(_reweighter, loss, steps))
            for loss in ("squared", "mae")
            for steps in STEPS
        ),
    ]
    pairs = [(candidate.name, UNIFORM) for candidate in listed[1:]]
    return comparison_rows(
        TITLE, data, listed, partial(run, data), seeds=seeds, metric=ERROR, pairs=pairs
    )


def run(data: str, model: Any, seed: int) -> Outcome:
    """Test error with each kind of labels; there is nothing to tune."""
    errors, sizes = {}, {}
    for group in (CLEAN, *groups(data)):
        found = problem(data, group, seed)
        wrong = model.fit(found.X, found.given).predict(found.test_X) != found.test_y
        errors[group], sizes[group] = float(wrong.mean()), len(wrong)
    return Outcome(float("nan"), errors, sizes)


def _ridge(class_weight: str | None, random_state: int) -> DatasetDerivative:
    return DatasetDerivative(class_weight=class_weight)


def _reweighter(loss: str, n_steps: str | int, random_state: int) -> DivaReweighter:
    return DivaReweighter(n_steps=n_steps, outer_loss=loss, random_state=random_state)


def _name(loss: str, steps: str | int) -> str:
    return f"DIVA, {loss}, {steps}" if steps == "auto" else f"DIVA, {loss}, steps: {steps}"
