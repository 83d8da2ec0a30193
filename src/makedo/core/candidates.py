"""One candidate: its configurations, and all its runs at the budget that every candidate has."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from makedo.core.checks import MakedoInputError, count, first
from makedo.core.paired import ACCURACY, Metric
from makedo.core.progress import Progress


@dataclass(frozen=True)
class Candidate:
    """One way to solve the task, with the configurations it may be tuned over.

    Parameters
    ----------
    name : str
        As it stands in tables and verdicts.
    make : callable
        ``make(random_state=seed, **configuration)`` gives what ``run`` takes: an estimator or any
        other object.
    grid : sequence of dict
        Configurations; the first wins a tie on validation.  With a single one nothing is tuned.
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
        Validation score, in the direction of the metric; it chooses among configurations.  NaN:
        there is none.
    groups : dict of str to float
        Test score per group of rows (``{"all": 0.71, "isolated": 0.62}``).  NaN: no test row of
        that group.
    sizes : dict of str to int
        Test rows per group.
    valid_groups : dict of str to float
        Validation score per group, for groups that ``valid`` does not judge alike in all
        candidates (nodes without edges are judged on validation nodes with hidden edges).
    """

    valid: float
    groups: Mapping[str, float]
    sizes: Mapping[str, int] = field(default_factory=dict)
    valid_groups: Mapping[str, float] = field(default_factory=dict)


Run = Callable[[Any, int], Outcome]


@dataclass(frozen=True)
class Runs:
    """All runs of one candidate.

    Parameters
    ----------
    name : str
    configuration : dict
        What tuning chose.
    outcomes : dict of int to Outcome
        By seed.
    failures : dict of int to str
        By seed: why there is no outcome.
    notes : tuple of str
        Configurations that could not run while tuning.
    seconds : float
        With tuning.
    """

    name: str
    configuration: Mapping[str, Any]
    outcomes: Mapping[int, Outcome]
    failures: Mapping[int, str]
    notes: tuple[str, ...]
    seconds: float

    @property
    def failure(self) -> str:
        """Why there is no outcome, or not on all seeds; empty when there is."""
        if not self.failures:
            return ""
        reason, n_seeds = (
            next(iter(self.failures.values())),
            len(self.outcomes) + len(self.failures),
        )
        if not self.outcomes:
            return reason
        return f"failed on {len(self.failures)} of {count(n_seeds, 'seed')} ({clause(reason)})"


def measure(
    candidate: Candidate,
    run: Run,
    *,
    seeds: Sequence[int],
    metric: Metric = ACCURACY,
    budget: int = 8,
    tuning_seed: int = 0,
    progress: Progress | None = None,
) -> Runs:
    """Tune one candidate on validation with one seed, then run its best configuration on all.

    Parameters
    ----------
    candidate : Candidate
    run : callable (model, seed) -> Outcome
        The protocol.  :class:`MakedoInputError` from it or from ``make`` is recorded; any other
        error is a fault and passes.
    seeds : sequence of int
    metric : Metric
        Says which validation score is the better one.
    budget : int
        The most configurations that any candidate may try.
    tuning_seed : int
        Its run is used again when it is among ``seeds``.
    """
    started = time.perf_counter()
    check_seeds(seeds)
    grid = [dict(configuration) for configuration in candidate.grid]
    if not 1 <= len(grid) <= budget:
        raise MakedoInputError(
            f"compare: candidate {candidate.name!r} has {count(len(grid), 'configuration')}; the "
            f"equal budget is 1 to {budget}. Shorten its grid."
        )
    done: dict[tuple[int, int], Outcome] = {}  # by position in the grid and seed
    failed: dict[tuple[int, int], str] = {}

    def attempt(position: int, seed: int) -> None:
        try:
            outcome = run(candidate.make(random_state=seed, **grid[position]), seed)
            infinite = [group for group, score in outcome.groups.items() if math.isinf(score)]
            if infinite:
                raise MakedoInputError(f"the test score of {first(infinite)} is infinite")
            done[position, seed] = outcome
        except MakedoInputError as error:
            failed[position, seed] = str(error)
        if progress is not None:
            progress.advance()

    best = 0
    if len(grid) > 1:
        for position in range(len(grid)):
            attempt(position, tuning_seed)
        valid = {p: o.valid for (p, _), o in done.items() if math.isfinite(o.valid)}
        if not valid:
            reason = next(iter(failed.values()), "no configuration has a validation score")
            missing = dict.fromkeys(seeds, reason)
            return Runs(candidate.name, {}, {}, missing, (), time.perf_counter() - started)
        best = max(valid, key=lambda position: metric.sign * valid[position])  # first of equals
    for seed in seeds:
        if (best, seed) not in done:
            attempt(best, seed)
    return Runs(
        name=candidate.name,
        configuration=grid[best],
        outcomes={seed: done[best, seed] for seed in seeds if (best, seed) in done},
        failures={seed: failed[best, seed] for seed in seeds if (best, seed) in failed},
        notes=tuple(f"{grid[p]} failed: {why}" for (p, _), why in failed.items() if p != best),
        seconds=time.perf_counter() - started,
    )


def clause(sentence: str) -> str:
    """A sentence without its full stop, to stand inside another."""
    return sentence.strip().removesuffix(".")


def check_seeds(seeds: Sequence[int]) -> None:
    """Seeds must be different, and there must be one."""
    if not len(seeds) or len(set(seeds)) < len(seeds):
        raise MakedoInputError(
            f"compare: seeds must be one or more different integers. Got {list(seeds)}."
        )
