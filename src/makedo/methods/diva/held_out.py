"""An independent judge of weights: errors on samples that took no part in finding them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import _safe_indexing

from makedo.core.checks import count
from makedo.core.paired import Difference, Metric, difference
from makedo.methods.diva.weights import Problem

ERROR = Metric("held-out error", higher_is_better=False)


@dataclass(frozen=True)
class Given:
    """Rows and labels, as the model takes them."""

    X: Any
    y: Any

    def take(self, rows: np.ndarray) -> Given:
        """Some rows."""
        return Given(_safe_indexing(self.X, rows), _safe_indexing(self.y, rows))


@dataclass(frozen=True)
class Check:
    """What held-out samples say of the weights after each step.

    Parameters
    ----------
    errors : ndarray (steps, N)
        NaN where a sample does not count.
    n_steps : int
        Steps whose gain is clear.
    gain : Difference or None
        Of the best number of steps over none; None: there are too few samples to hold some out.
    """

    errors: np.ndarray
    n_steps: int
    gain: Difference | None

    @property
    def held_out(self) -> np.ndarray:
        """Mean error after each step, NaN where nothing could be held out."""
        if self.gain is None:
            return np.full(len(self.errors), np.nan)
        return np.nanmean(self.errors, axis=1)

    @property
    def verdict(self) -> str:
        """In a sentence."""
        if self.gain is None:
            return "There are too few samples to check new weights: they stay as they were."
        if self.n_steps:
            return f"New weights are used: {self.gain.words}."
        return f"The weights stay as they were: no clear gain ({self.gain.figure})."


def errors(said: Any, truth: Any, kind: str) -> np.ndarray:
    """Of each row, (n,): is its class wrong, how many of its labels are, or the squared error.

    Not the squared error of a classifier's outputs: weights may lower it, and yet predict more
    samples wrong.
    """
    rows = len(truth)
    said, truth = (np.asarray(part).reshape(rows, -1) for part in (said, truth))
    return ((said - truth) ** 2 if kind in ("values", "soft") else said != truth).mean(1)


def can_learn(problem: Problem) -> bool:
    """Whether the samples with weight tell anything apart."""
    weighted = problem.alpha > 0
    y = problem.y[weighted]
    apart = len(y) > 1 and bool((y != y[0]).any())
    return apart and (problem.groups is None or len(np.unique(problem.groups[weighted])) > 1)


def gain_of(errors: np.ndarray, step: int, groups: np.ndarray | None) -> Difference:
    """What the weights after some steps gain on held-out samples, or groups of them."""
    before, after = errors[0], errors[step]
    if groups is not None:  # samples of a group are alike: each group counts once
        means: Any = pd.DataFrame({"before": before, "after": after}).groupby(groups).mean()
        before, after = means["before"].to_numpy(), means["after"].to_numpy()
    names = (f"{count(step, 'step')} of weights", "none")
    return difference(after, before, names=names, metric=ERROR)
