"""Did it pay, and how sure are we?  Equal budget, paired differences, a verdict in words.

A room lists its candidates from the simplest to the most elaborate and writes its protocol as one
function, ``run(model, seed) -> Outcome``: split by the seed, fit, score.  :func:`compare` does the
rest.

* Equal budget: at most ``budget`` configurations a candidate, each fitted once on the tuning seed;
  the one that is best on validation is run on all seeds.  Test scores never choose a configuration.
* Two numbers are compared only where they are paired: the same seed (:func:`compare`), or the same
  row (:func:`compare_rows`, which scores finished predictions on fixed rows).
* A candidate that cannot run (:class:`MakedoInputError`) is a missing row with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from makedo.core.candidates import (
    Candidate,
    Outcome,
    Run,
    Runs,
    check_seeds,
    clause,
    measure,
)
from makedo.core.checks import MakedoInputError, count, first
from makedo.core.paired import (
    ACCURACY,
    Difference,
    Metric,
    bootstrap_interval,
    difference,
    mean,
    paired_rows,
    summary,
    t_interval,
)
from makedo.core.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ACCURACY",
    "Candidate",
    "Comparison",
    "Difference",
    "Metric",
    "Outcome",
    "Runs",
    "compare",
    "compare_rows",
    "from_runs",
    "measure",
    "paired_rows",
]


class Comparison:
    """Scores of all candidates, paired differences and the verdict.

    Made by :func:`compare` (over seeds) or :func:`compare_rows` (over fixed rows).  All numbers are
    in the metric's unit.

    Attributes
    ----------
    candidates : list of str
        From the simplest to the most elaborate.
    groups : list of str
    seeds : list of int or None
        None: over rows.
    configurations : dict of str to dict
        What tuning chose.
    failures : dict of str to str
        Why a candidate has no score, or not on all seeds.
    reference, ours : str
    metric : Metric
    """

    def __init__(
        self,
        scores: Mapping[str, Mapping[str, np.ndarray]],  # candidate, group -> (n_seeds or n_rows,)
        *,
        reference: str,
        ours: str,
        metric: Metric,
        seeds: Sequence[int] | None,
        sizes: Mapping[str, float],
        valid: Mapping[str, Mapping[str, float]],
        failures: Mapping[str, str],
        configurations: Mapping[str, Mapping[str, Any]],
        over: str = "row",
        random_state: int = 0,
    ):
        self.candidates = list(scores)
        self.groups = list(next(iter(scores.values())))
        self.seeds = None if seeds is None else list(seeds)
        self.reference, self.ours, self.metric = reference, ours, metric
        self.failures, self.configurations = dict(failures), dict(configurations)
        self._scores, self._sizes, self._valid = scores, sizes, valid
        self._over, self._random_state = over, random_state

    @property
    def scores(self) -> pd.DataFrame:
        """One line per score: candidate, seed (or row), group, score."""
        import pandas as pd

        lines = [
            (name, int(i) if self.seeds is None else self.seeds[i], group, float(values[i]))
            for name in self.candidates
            for group, values in self._scores[name].items()
            for i in np.flatnonzero(~np.isnan(values))
        ]
        key = "row" if self.seeds is None else "seed"
        return pd.DataFrame(lines, columns=["candidate", key, "group", "score"])

    def table(self) -> pd.DataFrame:
        """One line per candidate and group: mean, sd, low, high, n, size, note.

        ``sd`` is over seeds (missing over rows), ``low`` and ``high`` are the 95 % interval of the
        mean, ``n`` counts seeds or rows, ``size`` is the mean number of test rows.  A candidate
        that could not run keeps its lines, without scores and with the reason as ``note``.
        """
        import pandas as pd

        lines = []
        for name in self.candidates:
            for group in self.groups:
                values = self._finite(name, group)
                average, sd = summary(values)
                if self.seeds is None:
                    sd, interval = math.nan, bootstrap_interval(values, self._random_state)
                else:
                    interval = t_interval(values)
                low, high = interval or (math.nan, math.nan)
                size, note = self._sizes.get(group, math.nan), self.failures.get(name, "")
                lines.append((name, group, average, sd, low, high, len(values), size, note))
        columns = ["candidate", "group", "mean", "sd", "low", "high", "n", "size", "note"]
        return pd.DataFrame(lines, columns=columns)

    def paired(self, ours: str, reference: str, group: str | None = None) -> Difference:
        """What ``ours`` gains over ``reference`` in ``group`` (default: the first)."""
        group = self._known(group, ours, reference)
        return difference(
            self._scores[ours][group],
            self._scores[reference][group],
            seeds=self.seeds,
            names=(ours, reference),
            group=group,
            metric=self.metric,
            over=self._over,
            random_state=self._random_state,
        )

    def differences(self) -> pd.DataFrame:
        """What ours gains over each other candidate: ours, reference, group, gain, low, high, n."""
        import pandas as pd

        lines = []
        for name in self.candidates:
            for group in self.groups if name != self.ours else ():
                d = self.paired(self.ours, name, group)
                low, high = d.interval or (math.nan, math.nan)
                lines.append((d.ours, d.reference, group, d.gain, low, high, d.n))
        columns = ["ours", "reference", "group", "gain", "low", "high", "n"]
        return pd.DataFrame(lines, columns=columns)

    def pick(self, group: str | None = None) -> str:
        """The candidate to use in ``group``: the simplest one that is not clearly beaten.

        Validation names a leader.  The simplest candidate that neither the leader nor ours clearly
        beats on test rows (paired, 95 %) is picked: an elaborate method has to show its worth.
        Candidates that failed on a seed are passed over while others have not.  With too few pairs
        for an interval the bare difference decides.
        """
        group = self._known(group)
        scored = [name for name in self.candidates if len(self._finite(name, group))]
        running = [name for name in scored if name not in self.failures] or scored
        if not running:
            return self.reference
        leader = self._leader(running, group)
        for name in running:
            rivals = {leader, self.ours} & set(running) - {name}
            against = [self.paired(rival, name, group) for rival in rivals]
            if not any(d.clear > 0 or (d.interval is None and d.gain > 0) for d in against):
                return name
        return leader

    def verdict(self, group: str | None = None, noun: str | None = None) -> str:
        """Say in one sentence what to use, by how much it is better, and how sure that is.

        Parameters
        ----------
        group : str, optional
            The group of rows that matters; default the first.
        noun : str, optional
            What rows are: ``"series"``, ``"customers"``; "" where groups say it.  Default: as
            :func:`compare_rows` was told.
        """
        group, noun = self._known(group), f"{self._over}s" if noun is None else noun
        where, pick = f"on {group}" + (f" {noun}" if noun else ""), self.pick(group)
        if not len(self._finite(self.ours, group)):
            why = clause(self.failures.get(self.ours, f"there are no {group} {noun} to test on"))
            if not len(self._finite(pick, group)):
                return f"Nothing could be compared {where} ({why})."
            return f"{self.ours} could not be tested {where} ({why}): use {pick}."
        if pick == self.ours:
            text = self._for_ours(group, where)
        else:
            text = self._against_ours(pick, group, where)
            if self.reference not in (pick, self.ours) and len(self._finite(self.reference, group)):
                text += f"; {self.paired(self.ours, self.reference, group).words}"
        for name in dict.fromkeys((self.ours, self.reference, pick)):
            if name in self.failures:
                text += f"; {name}: {clause(self.failures[name])}"
        return f"{text}."

    def _for_ours(self, group: str, where: str) -> str:
        d = self.paired(self.ours, self.reference, group)
        if d.clear > 0:
            by = d.metric.amount(d.gain)
            return f"Use {self.ours}: {where} it beats {self.reference} by {by} ({d.evidence})"
        return f"Use {self.ours}: {where} {d.words}"

    def _against_ours(self, pick: str, group: str, where: str) -> str:
        d = self.paired(self.ours, pick, group)
        simpler = self.candidates.index(pick) < self.candidates.index(self.ours)
        if simpler and d.n and d.clear == 0 and d.interval is not None:
            sure = f"as far as {count(d.n, d.over)} can tell ({d.figure})"
            return f"{pick[:1].upper()}{pick[1:]} alone is as good {where}, {sure}: use that"
        if d.clear < 0:
            by = d.metric.amount(-d.gain)
            evidence = d.reversed().evidence
            return f"Use {pick}: {where} it beats {self.ours} by {by} ({evidence})"
        return f"Use {pick}: {where} {d.words}"

    def _leader(self, names: Sequence[str], group: str) -> str:
        """The best on validation; on test rows only where no candidate was validated."""
        means = {name: self._valid.get(name, {}).get(group, math.nan) for name in names}
        means = {name: score for name, score in means.items() if not math.isnan(score)}
        if not means:
            means = {name: mean(self._finite(name, group)) for name in names}
        return max(means, key=lambda name: self.metric.sign * means[name])  # simplest of equals

    def _finite(self, name: str, group: str) -> np.ndarray:
        values = self._scores[name][group]
        return values[~np.isnan(values)]

    def _known(self, group: str | None, *names: str) -> str:
        for name in names:
            if name not in self.candidates:
                there = first(self.candidates, 99)
                raise MakedoInputError(f"compare: no candidate {name!r}. There are {there}.")
        if group is None:
            return self.groups[0]
        if group not in self.groups:
            there = first(self.groups, 99)
            raise MakedoInputError(f"compare: no group {group!r}. There are {there}.")
        return group


def compare(
    candidates: Sequence[Candidate],
    run: Run,
    *,
    seeds: Sequence[int],
    reference: str,
    ours: str,
    metric: Metric = ACCURACY,
    budget: int = 8,
    tuning_seed: int = 0,
    verbose: int = 0,
) -> Comparison:
    """Tune and run every candidate by one protocol, at equal budget, on equal seeds.

    Parameters
    ----------
    candidates : sequence of Candidate
        From the simplest to the most elaborate: of equals the simpler one is recommended.
    run : callable (model, seed) -> Outcome
        The protocol.  It splits by ``seed`` alone, so that all candidates see the same rows.
    seeds : sequence of int
    reference, ours : str
        Names of the obvious baseline and of the room's method.
    metric : Metric
    budget : int
        The most configurations that any candidate may try.
    tuning_seed : int
        The seed whose validation score chooses the configuration.
    verbose : int
        1 shows progress.

    Raises
    ------
    MakedoInputError
        Two candidates of one name, an unknown ``reference`` or ``ours``, a grid longer than
        ``budget``, no seed.
    """
    _check_names("compare", [candidate.name for candidate in candidates], reference, ours)
    check_seeds(seeds)
    reused = tuning_seed in seeds
    total = sum(len(seeds) + (len(c.grid) - reused if len(c.grid) > 1 else 0) for c in candidates)
    runs = []
    with Progress("compare", total, verbose) as progress:
        for candidate in candidates:
            runs.append(
                measure(
                    candidate,
                    run,
                    seeds=seeds,
                    metric=metric,
                    budget=budget,
                    tuning_seed=tuning_seed,
                    progress=progress,
                )
            )
    return from_runs(runs, seeds=seeds, reference=reference, ours=ours, metric=metric)


def from_runs(
    runs: Sequence[Runs],
    *,
    seeds: Sequence[int],
    reference: str,
    ours: str,
    metric: Metric = ACCURACY,
) -> Comparison:
    """Put together what :func:`measure` gave for each candidate."""
    outcomes = [outcome for one in runs for outcome in one.outcomes.values()]
    groups = list(dict.fromkeys(group for outcome in outcomes for group in outcome.groups))

    def test(one: Runs, group: str) -> np.ndarray:
        found = [one.outcomes[s].groups.get(group, math.nan) if s in one.outcomes else math.nan
                 for s in seeds]  # fmt: skip
        return np.array(found, dtype=float) * metric.scale  # (n_seeds,)

    def valid(one: Runs, group: str) -> float:
        found = [o.valid_groups.get(group, o.valid) for o in one.outcomes.values()]
        return mean(np.array([score for score in found if not math.isnan(score)]))

    groups = groups or ["all"]
    sizes = {g: [o.sizes[g] for o in outcomes if g in o.sizes] for g in groups}
    return Comparison(
        {one.name: {group: test(one, group) for group in groups} for one in runs},
        reference=reference,
        ours=ours,
        metric=metric,
        seeds=seeds,
        sizes={group: mean(np.array(found)) for group, found in sizes.items() if found},
        valid={one.name: {group: valid(one, group) for group in groups} for one in runs},
        failures={one.name: one.failure for one in runs if one.failures},
        configurations={one.name: one.configuration for one in runs},
    )


def compare_rows(
    scores: Mapping[str, Any],
    *,
    reference: str,
    ours: str,
    groups: Mapping[str, Any] | None = None,
    valid: Mapping[str, float] | None = None,
    metric: Metric = ACCURACY,
    over: str = "row",
    random_state: int = 0,
) -> Comparison:
    """Compare finished predictions on fixed rows; intervals by bootstrap over the rows.

    Parameters
    ----------
    scores : dict of str to array-like of shape (n_rows,)
        Per candidate, from the simplest to the most elaborate: the score of each row (right or
        wrong, or its loss); NaN where a row has no label.  The metric must be the mean of these.
    reference, ours : str
    groups : dict of str to array-like of bool of shape (n_rows,), optional
        Default: all rows.
    valid : dict of str to float, optional
        Validation score of each candidate, from the data that it was fitted on.
    metric : Metric
    over : str
        What a row is, in the words of the verdict: ``"node"``, ``"user"``.
    random_state : int
        Seed of the bootstrap.
    """
    _check_names("compare_rows", list(scores), reference, ours)
    columns = {n: np.asarray(v, dtype=float) * metric.scale for n, v in scores.items()}
    n_rows = len(columns[ours])
    masks = {"all": np.ones(n_rows)} if not groups else groups
    masks = {group: np.asarray(mask, dtype=bool) for group, mask in masks.items()}
    for what, values in [*columns.items(), *masks.items()]:
        if values.shape != (n_rows,):
            raise MakedoInputError(
                f"compare_rows: {what!r} has shape {values.shape}, but {ours!r} scores "
                f"{count(n_rows, 'row')}. Give one value per row."
            )
    labelled = ~np.isnan(columns[ours])
    return Comparison(
        {n: {g: np.where(m, v, math.nan) for g, m in masks.items()} for n, v in columns.items()},
        reference=reference,
        ours=ours,
        metric=metric,
        seeds=None,
        sizes={group: float((mask & labelled).sum()) for group, mask in masks.items()},
        valid={name: dict.fromkeys(masks, score) for name, score in (valid or {}).items()},
        failures={},
        configurations={},
        over=over,
        random_state=random_state,
    )


def _check_names(caller: str, names: Sequence[str], reference: str, ours: str) -> None:
    twice = [name for name in dict.fromkeys(names) if list(names).count(name) > 1]
    if twice:
        raise MakedoInputError(
            f"{caller}: two candidates have one name (first: {first(twice)}). Rename one."
        )
    for role, name in (("reference", reference), ("ours", ours)):
        if name not in names:
            there = first(names, 99)
            raise MakedoInputError(f"{caller}: {role} {name!r} is not among {there}.")
