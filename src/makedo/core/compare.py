"""Did it pay, and how sure are we?  Candidates at equal budget, paired differences, a verdict in words.

A room lists its candidates from the simplest to the most elaborate and writes its protocol as one function,
``run(model, seed) -> Outcome``: split by the seed, fit, score.  :func:`compare` does the rest.

* Equal budget: at most ``budget`` configurations a candidate, each fitted once on the tuning seed; the one that is
  best on validation is run on all seeds.  Test scores never choose anything.
* Two numbers are compared only where they are paired: the same seed (:func:`compare`), or the same row
  (:func:`compare_rows`, which scores finished predictions on fixed rows).
* A candidate that cannot run (:class:`MakedoInputError`) is a missing row with its reason.

An interval over seeds says what would happen if this experiment were repeated on this data.  Seeds share the data
set, and with a fixed split also the test rows, so it says less about other data; keep to that in words.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from makedo.core.checks import MakedoInputError, count, first
from makedo.core.progress import Progress
from makedo.core.seeds import generator

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95
FEWEST_ROWS = 10  # below, a bootstrap over rows pretends to know what it cannot
MOST_BOOTSTRAP_ROWS = 10_000  # above, the bootstrap of a mean equals the normal interval


@dataclass(frozen=True)
class Metric:
    """What is measured and how it is shown.

    Parameters
    ----------
    name : str
        For example ``"accuracy"`` or ``"RMSE"``.
    unit : str
        For example ``"points"`` (per cent) or ``"°F"``; may be empty.
    scale : float
        Scores that a room returns are multiplied by this, once; all that comes out is in ``unit``.
    higher_is_better : bool
    decimals : int
        Digits shown.
    """

    name: str
    unit: str = ""
    scale: float = 1.0
    higher_is_better: bool = True
    decimals: int = 3

    def show(self, value: float, sign: bool = False) -> str:
        """Write a score: ``'74.1'``, or ``'+6.4'`` with ``sign``."""
        rounded = round(value, self.decimals) + 0.0  # + 0.0 turns -0.0 into 0.0
        return f"{rounded:{'+' if sign and rounded else ''}.{self.decimals}f}"

    def amount(self, value: float, sign: bool = False) -> str:
        """Write a difference in words: ``'6.4 points of accuracy'``, ``'0.012 in RMSE'``."""
        link = f" {self.unit} of " if self.unit else " in "
        return self.show(value, sign) + link + self.name


ACCURACY = Metric("accuracy", unit="points", scale=100.0, decimals=1)


@dataclass(frozen=True)
class Candidate:
    """One way to solve the task, with the configurations it may be tuned over.

    Parameters
    ----------
    name : str
        As it stands in tables and verdicts.
    make : callable
        ``make(random_state=seed, **configuration)`` gives what ``run`` takes: an estimator or any other object.
    grid : sequence of dict
        Configurations; the first wins a tie on validation.  One configuration means that nothing is tuned.
    """

    name: str
    make: Callable[..., Any]
    grid: Sequence[Mapping[str, Any]] = ({},)


@dataclass(frozen=True)
class Outcome:
    """What one run of a room's protocol measured, before the metric's ``scale``.

    Parameters
    ----------
    valid : float
        Validation score, in the direction of the metric; it chooses among configurations.  NaN: there is none.
    groups : dict of str to float
        Test score per group of rows (``{"all": 0.71, "isolated": 0.62}``).  NaN: no test row of that group.
    sizes : dict of str to int
        Test rows per group.
    valid_groups : dict of str to float
        Validation score per group, where ``valid`` does not judge a group as another candidate's ``valid`` does
        (nodes without edges are judged on validation nodes with hidden edges).  Default: ``valid`` for all groups.
    """

    valid: float
    groups: Mapping[str, float]
    sizes: Mapping[str, int] = field(default_factory=dict)
    valid_groups: Mapping[str, float] = field(default_factory=dict)


Run = Callable[[Any, int], Outcome]


@dataclass(frozen=True)
class Runs:
    """All runs of one candidate: the chosen configuration, outcomes and failures by seed, seconds with tuning."""

    name: str
    configuration: Mapping[str, Any]
    outcomes: Mapping[int, Outcome]
    failures: Mapping[int, str]
    notes: tuple[str, ...]
    seconds: float


def measure(
    candidate: Candidate,
    run: Run,
    *,
    seeds: Sequence[int],
    budget: int = 8,
    tuning_seed: int = 0,
    progress: Progress | None = None,
) -> Runs:
    """Tune one candidate on validation with one seed, then run the best configuration on all seeds.

    Parameters
    ----------
    candidate : Candidate
    run : callable (model, seed) -> Outcome
        The protocol.  :class:`MakedoInputError` from it or from ``make`` is recorded; other errors are faults and pass.
    seeds : sequence of int
    budget : int
        The most configurations that any candidate may try.
    tuning_seed : int
        Its run is used again when it is among ``seeds``.
    """
    started = time.perf_counter()
    grid = [dict(configuration) for configuration in candidate.grid]
    if not 1 <= len(grid) <= budget:
        raise MakedoInputError(
            f"compare: candidate {candidate.name!r} has {count(len(grid), 'configuration')}; the equal budget is 1 to "
            f"{budget}. Shorten its grid."
        )
    done: dict[tuple[int, int], Outcome] = {}  # (position in grid, seed)
    failures: dict[tuple[int, int], str] = {}

    def attempt(position: int, seed: int) -> None:
        try:
            outcome = run(candidate.make(random_state=seed, **grid[position]), seed)
            infinite = [group for group, score in outcome.groups.items() if math.isinf(score)]
            if infinite:
                raise MakedoInputError(f"the score of {first(infinite)} is infinite")
            done[position, seed] = outcome
        except MakedoInputError as error:
            failures[position, seed] = str(error)
        if progress is not None:
            progress.advance()

    best = 0
    if len(grid) > 1:
        for position in range(len(grid)):
            attempt(position, tuning_seed)
        valid = {p: outcome.valid for (p, _), outcome in done.items() if not math.isnan(outcome.valid)}
        if not valid:
            reasons = list(failures.values()) or ["no configuration has a validation score to be chosen by"]
            return Runs(candidate.name, {}, {}, dict.fromkeys(seeds, reasons[0]), (), time.perf_counter() - started)
        best = _best(valid, run_metric(run))
    for seed in seeds:
        if (best, seed) not in done and (best, seed) not in failures:
            attempt(best, seed)
    return Runs(
        candidate.name,
        grid[best],
        {seed: done[best, seed] for seed in seeds if (best, seed) in done},
        {seed: failures[best, seed] for seed in seeds if (best, seed) in failures},
        tuple(f"configuration {grid[p]} failed: {text}" for (p, _), text in failures.items() if p != best),
        time.perf_counter() - started,
    )
