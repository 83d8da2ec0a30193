"""An independent judge of weights: the loss of samples that took no part in finding them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import _safe_indexing

from makedo.core.checks import count
from makedo.core.paired import Difference, Metric, difference
from makedo.methods.diva.estimator import DatasetDerivative
from makedo.methods.diva.weights import Problem

LOSS = Metric("held-out loss", higher_is_better=False)


@dataclass(frozen=True)
class Given:
    """X and y as the user gave them, for the wrapped estimator."""

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
    losses : ndarray (steps, N)
        NaN where a sample does not count.
    n_steps : int
        Steps whose gain is clear.
    gain : Difference or None
        Of the best number of steps over none; None: there are too few samples to hold some out.
    """

    losses: np.ndarray
    n_steps: int
    gain: Difference | None

    @property
    def held_out(self) -> np.ndarray:
        """Mean loss after each step, NaN where nothing could be held out."""
        if self.gain is None:
            return np.full(len(self.losses), np.nan)
        return np.nanmean(self.losses, axis=1)

    @property
    def verdict(self) -> str:
        """In a sentence."""
        if self.gain is None:
            return "There are too few samples to check new weights: they stay as they were."
        if self.n_steps:
            return f"New weights are used: {self.gain.words}."
        return f"The weights stay as they were: no clear gain ({self.gain.figure})."


def squared_error(F: np.ndarray, y: np.ndarray, head: DatasetDerivative) -> np.ndarray:
    """Of the head, (n,); where a class has no sample in the head's training, for the others."""
    Y = (y[:, None] == head.classes_).astype(float) if head.kind_ == "classes" else y
    return ((F - Y) ** 2).sum(1)


def miss_of(model: Any, judge: Given, kind: str) -> np.ndarray:
    """Of an estimator, (n,): squared error of numbers; else whether it is wrong."""
    said, truth = np.asarray(model.predict(judge.X)), np.asarray(judge.y)
    miss = (said - truth) ** 2 if kind in ("values", "soft") else said != truth
    return miss.reshape(len(truth), -1).mean(1)


def can_learn(problem: Problem) -> bool:
    """Whether the samples with weight tell anything apart."""
    weighted = problem.alpha > 0
    y = problem.y[weighted]
    apart = len(y) > 1 and bool((y != y[0]).any())
    return apart and (problem.groups is None or len(np.unique(problem.groups[weighted])) > 1)


def gain_of(losses: np.ndarray, step: int, groups: np.ndarray | None) -> Difference:
    """What the weights after some steps gain on held-out samples, or groups of them."""
    before, after = losses[0], losses[step]
    if groups is not None:  # samples of a group are alike: each group counts once
        means: Any = pd.DataFrame({"before": before, "after": after}).groupby(groups).mean()
        before, after = means["before"].to_numpy(), means["after"].to_numpy()
    names = (f"{count(step, 'step')} of weights", "none")
    return difference(after, before, names=names, metric=LOSS)
