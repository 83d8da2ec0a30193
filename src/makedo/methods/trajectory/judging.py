"""How good a predictor is with and without neighbours, beside simpler ones, on the same targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.data.windows import Windows
from makedo.methods.trajectory import metrics
from makedo.methods.trajectory.attribution import block_mean
from makedo.methods.trajectory.named import BASELINES
from makedo.methods.trajectory.value import Value, log_density

if TYPE_CHECKING:
    from makedo.methods.trajectory.estimator import TrajectoryAttributor

WITH, WITHOUT = "with all cues", "without neighbours"
OF_BEST_GUESS = ("ade", "fde")  # from one sample
OF_SAMPLES = ("minade", "minfde", "miss", "nll")


@dataclass(frozen=True)
class Judged:
    """Errors of candidates on the same targets.

    Attributes
    ----------
    errors : dict of candidate to dict of metric to ndarray of shape (n,)
    block : ndarray of shape (n,)
    """

    errors: Mapping[str, Mapping[str, np.ndarray]]
    block: np.ndarray

    def table(self) -> pd.DataFrame:
        """The table of :meth:`TrajectoryAttributor.evaluate`."""
        lines = [
            (candidate, metric, *block_mean(values, self.block))
            for candidate, found in self.errors.items()
            for metric, values in found.items()
        ]
        names = ["candidate", "metric", "mean", "low", "high", "n_targets", "n_blocks"]
        return pd.DataFrame(lines, columns=names)

    def gain(self, ours: str, reference: str, metric: str = "ade") -> tuple[float, float, float]:
        """By how much less one errs than another, paired, with an interval over blocks."""
        gap = self.errors[reference][metric] - self.errors[ours][metric]
        return block_mean(gap, self.block)[:3]


def judged(model: TrajectoryAttributor, windows: Windows) -> Judged:
    """The predictor with and without neighbours, and the baselines of the fit."""
    ours = model._predictor
    found = {
        WITH: _errors(model, ours, windows, alone=False),
        WITHOUT: _errors(model, ours, windows, alone=True),
    }
    for name, words in BASELINES.items():
        found[words] = _errors(model, model.baselines_[name], windows, alone=False)
    return Judged(found, windows.block)


def _errors(
    model: TrajectoryAttributor, predictor: Any, windows: Windows, *, alone: bool
) -> dict[str, np.ndarray]:
    cues = windows.cues().alone() if alone else windows.cues()
    seeds, future = windows.seeds(model.random_state), windows.future
    n_steps, found = future.shape[1], {}
    wanted: list[tuple[int, tuple[str, ...]]] = [(1, OF_BEST_GUESS)]
    if model.n_samples > 1:
        wanted.append((model.n_samples, OF_SAMPLES))
    for n_samples, names in wanted:
        samples = Value(predictor, n_samples=n_samples).samples(cues, seeds, n_steps)
        for name in names:
            if name == "nll" and hasattr(predictor, "density"):
                found[name] = -log_density(predictor, cues, future)
            elif name != "nll" or samples.shape[1] > 1:
                found[name] = metrics.METRICS[name](samples, future)
    return found
