"""Differences between two candidates, taken only where they are paired: by seed or by row.

An interval over seeds says what would happen if the experiment were repeated on this data.  Seeds
share the data set, and with a fixed split also the test rows, so it says less about other data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from makedo.core.checks import MakedoInputError, count
from makedo.core.seeds import generator

FEWEST_ROWS = 10  # below, a bootstrap over rows pretends to know what it cannot
ROUNDING = 1e-9
MOST_BOOTSTRAP_ROWS = 5_000  # above, the bootstrap of a mean equals the normal interval


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
    higher_is_better : bool or None
        None: neither is; such a metric is reported, not compared.
    decimals : int
        Digits shown.
    """

    name: str
    unit: str = ""
    scale: float = 1.0
    higher_is_better: bool | None = True
    decimals: int = 3

    @property
    def sign(self) -> float:
        """-1 where lower is better, else 1: turns a difference into a gain."""
        return -1.0 if self.higher_is_better is False else 1.0

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
class Difference:
    """What one candidate gains over another in one group, paired by seed or by row.

    Parameters
    ----------
    ours, reference, group : str
    gain : float
        In the metric's unit; positive means that ``ours`` is better, also for a metric where lower
        is better.  NaN: no pair.
    interval : (float, float) or None
        95 % interval of ``gain``: t over seeds, bootstrap over rows.  None: too few pairs.
    n : int
        Number of pairs.
    over : str
        What a pair is: ``"seed"``, ``"row"``, or what the room calls its rows.
    values : dict of int to float
        Gain per seed; empty over rows.
    metric : Metric
    """

    ours: str
    reference: str
    group: str
    gain: float
    interval: tuple[float, float] | None
    n: int
    over: str
    values: Mapping[int, float]
    metric: Metric

    @property
    def clear(self) -> int:
        """1 or -1: better or worse beyond the interval; 0: it contains 0, or there is none."""
        if self.interval is None:
            return 0
        # Rounding must not separate two candidates that are the same.
        return int(self.interval[0] > ROUNDING) - int(self.interval[1] < -ROUNDING)

    @property
    def evidence(self) -> str:
        """``'95 % interval 4.1 to 8.7, 10 seeds'``."""
        pairs = count(self.n, self.over)
        if self.interval is None:
            return f"{pairs}: too few for an interval"
        low, high = (self.metric.show(end) for end in self.interval)
        return f"95 % interval {low} to {high}, {pairs}"

    @property
    def words(self) -> str:
        """Who beats whom, by how much and how sure, as a clause."""
        if self.n == 0:
            return f"{self.ours} and {self.reference} are never tested together"
        if self.clear < 0 or (self.interval is None and self.gain < 0):
            return self.reversed().words
        if self.clear > 0:
            by = self.metric.amount(self.gain)
            return f"{self.ours} beats {self.reference} by {by} ({self.evidence})"
        if self.interval is None:
            ahead = self.metric.amount(self.gain)
            return f"{self.ours} is {ahead} ahead of {self.reference} ({self.evidence})"
        return f"{self.ours} is as good as {self.reference} ({self.figure})"

    @property
    def figure(self) -> str:
        """``'Cold Brew over MLP: +6.4 points of accuracy, 95 % interval 4.1 to 8.7, 10 seeds'``."""
        gain = self.metric.amount(self.gain, sign=True)
        return f"{self.ours} over {self.reference}: {gain}, {self.evidence}"

    def reversed(self) -> Difference:
        """The same difference seen from the reference."""
        return Difference(
            ours=self.reference,
            reference=self.ours,
            group=self.group,
            gain=-self.gain,
            interval=None if self.interval is None else (-self.interval[1], -self.interval[0]),
            n=self.n,
            over=self.over,
            values={seed: -gain for seed, gain in self.values.items()},
            metric=self.metric,
        )

    def __str__(self) -> str:
        return self.figure


def mean(values: np.ndarray) -> float:
    """Mean of (n,); NaN of none."""
    return float(values.mean()) if len(values) else math.nan


def summary(values: np.ndarray) -> tuple[float, float]:
    """Mean and sample standard deviation of (n,); NaN where there are too few."""
    return mean(values), float(values.std(ddof=1)) if len(values) > 1 else math.nan


def t_interval(values: np.ndarray) -> tuple[float, float] | None:
    """95 % interval of the mean of repeats (n,), by Student's t; None for fewer than two."""
    from scipy.special import stdtrit  # scipy.stats takes half a second to import

    n = len(values)
    if n < 2:
        return None
    mean, half = values.mean(), stdtrit(n - 1, 0.975) * values.std(ddof=1) / math.sqrt(n)
    return float(mean - half), float(mean + half)


def bootstrap_interval(
    values: np.ndarray, random_state: int = 0, n_boot: int = 2000
) -> tuple[float, float] | None:
    """95 % percentile bootstrap interval of the mean over rows (n,); None for fewer than ten rows.

    Above 5,000 rows the normal interval, to which the bootstrap of a mean converges.
    """
    n = len(values)
    if n < FEWEST_ROWS:
        return None
    if n > MOST_BOOTSTRAP_ROWS:
        half = 1.959964 * values.std(ddof=1) / math.sqrt(n)
        return float(values.mean() - half), float(values.mean() + half)
    rng = generator(random_state, "bootstrap")
    block = max(1, 2_000_000 // n)
    means = [
        values[rng.integers(0, n, size=(min(block, n_boot - done), n))].mean(axis=1)
        for done in range(0, n_boot, block)
    ]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)


def difference(
    ours: Any,
    reference: Any,
    *,
    seeds: Sequence[int] | None = None,
    names: tuple[str, str] = ("ours", "reference"),
    group: str = "all",
    metric: Metric = ACCURACY,
    over: str = "row",
    random_state: int = 0,
) -> Difference:
    """Compare scores that are in the metric's unit already, pair by pair.

    Parameters
    ----------
    ours, reference : array-like of shape (n_pairs,)
        Pairs in which either is NaN (no test row of the group, a failed run) are left out.
    seeds : sequence of int, optional
        The seeds that the pairs are; None: the pairs are rows, or what ``over`` says.
    """
    gains = (np.asarray(ours, dtype=float) - np.asarray(reference, dtype=float)) * metric.sign
    kept = np.flatnonzero(~np.isnan(gains)).tolist()
    gains = gains[kept]
    gain = mean(gains)
    if seeds is None:
        interval = bootstrap_interval(gains, random_state)
        return Difference(*names, group, gain, interval, len(gains), over, {}, metric)
    values = {int(seeds[i]): value for i, value in zip(kept, gains.tolist(), strict=True)}
    return Difference(*names, group, gain, t_interval(gains), len(gains), "seed", values, metric)


def paired_rows(
    ours: Any,
    reference: Any,
    *,
    names: tuple[str, str] = ("ours", "reference"),
    group: str = "all",
    metric: Metric = ACCURACY,
    random_state: int = 0,
) -> Difference:
    """Compare two finished predictions on the same rows, without fitting anything again.

    Parameters
    ----------
    ours, reference : array-like of shape (n_rows,)
        The score of each row: right or wrong for accuracy, the loss of the row for a loss.  Rows
        where either is NaN (no label) are left out.

    Examples
    --------
    >>> right = [1] * 40 + [0] * 10
    >>> print(paired_rows(right, [1] * 25 + [0] * 25, names=("GLNN", "MLP")).words)
    GLNN beats MLP by 30.0 points of accuracy (95 % interval 18.0 to 44.0, 50 rows)
    """
    a, b = np.asarray(ours, dtype=float), np.asarray(reference, dtype=float)  # (n_rows,)
    if a.shape != b.shape or a.ndim != 1:
        raise MakedoInputError(
            f"paired_rows: {names[0]} and {names[1]} must be scores of the same rows, one number "
            f"per row. Got shapes {a.shape} and {b.shape}."
        )
    a, b = a * metric.scale, b * metric.scale
    return difference(a, b, names=names, group=group, metric=metric, random_state=random_state)
