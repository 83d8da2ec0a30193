"""Growing the training set from a pool, by DIVA's choice and at random.

A part of the trusted rows (of the training rows, without any) is held back and tested on; the
others guide the choice.  Every size of every part is trained with λ tuned anew.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoWarning
from makedo.core.paired import t_interval
from makedo.core.seeds import generator
from makedo.methods.diva.estimator import DatasetDerivative
from makedo.methods.diva.study import Samples, Split, Study, fitted_study

OURS, UNIFORM = "DIVA", "uniform"
PARTS, SIZES, DRAWS = 5, 7, 3
SECONDS = 30.0  # no further part is begun after so long


def extension_curve(model: DatasetDerivative, X_pool: Any, y_pool: Any) -> pd.DataFrame:
    """The credit of a head on held-back rows as a pool is added to its training rows.

    Parameters
    ----------
    model : DatasetDerivative
        Fitted, with its rows in memory.
    X_pool, y_pool : labelled rows

    Returns
    -------
    DataFrame
        candidate ("DIVA" or "uniform"), added (rows of the pool), training (rows in all), part,
        score (in the metric's unit), helpful (whether DIVA still saw a gain in the last row added).
    """
    rng = generator(0, "extension")
    study = fitted_study(model, rng, pool=(X_pool, y_pool))
    pool = study.pool
    assert pool is not None
    sizes = np.unique(np.linspace(0, len(pool), SIZES + 1).astype(int))
    started, found = time.perf_counter(), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MakedoWarning)  # a small core: the curve shows what it does
        for part, split in enumerate(study.splits(PARTS, rng)):
            order, gain = chosen(study, split, pool)
            drawn = [rng.permutation(len(pool)) for _ in range(DRAWS)]
            for size in sizes:
                where = {"added": size, "training": len(split.train) + size, "part": part}
                helpful = size == 0 or bool(gain[size - 1] > 0)
                ours = score(study, split, pool, order[:size])
                found.append({"candidate": OURS, **where, "score": ours, "helpful": helpful})
                theirs = float(np.mean([score(study, split, pool, d[:size]) for d in drawn]))
                found.append({"candidate": UNIFORM, **where, "score": theirs, "helpful": False})
            if part >= 2 and time.perf_counter() - started > SECONDS:
                break
    return pd.DataFrame(found)


def chosen(study: Study, split: Split, pool: Samples) -> tuple[np.ndarray, np.ndarray]:
    """All positions of the pool in the order in which DIVA would add them, and their gains."""
    from makedo.methods.diva.selector import DivaSelector

    model = study.model
    selector = DivaSelector(
        budget=len(pool),
        stop="budget",
        batch=max(1, len(pool) // 20),
        scale=None,
        targets=study.kind,
        outer_loss=model.outer_loss,
        outer_temperature=model.outer_temperature,
        fit_intercept=model.fit_intercept,
    )
    train, guide = split.train, split.guide
    trusted = (None, None) if guide is None else (guide.Z, study.labels(guide.Y))
    selector.fit(train.Z, study.labels(train.Y), *trusted)
    picks = selector.select(pool.Z, study.labels(pool.Y))
    return picks.index.to_numpy(), picks["gain"].to_numpy(float)


def score(study: Study, split: Split, pool: Samples, added: np.ndarray) -> float:
    """Mean credit on the rows that are held back."""
    model = study.fit(split.train.and_also(pool.take(added)))
    credit = study.credit(study.outputs(model, split.held), split.held.Y)
    return study.metric.scale * float(credit.mean())


def summary(curve: pd.DataFrame) -> pd.DataFrame:
    """Mean and 95 % interval over parts: candidate, added, mean, low, high.

    How parts differ at large, which is the same for both candidates and all sizes, is taken out of
    the interval (Cousineau, 2005).
    """
    by_part = curve.groupby("part")["score"].transform("mean")
    curve = curve.assign(score=curve["score"] - by_part + curve["score"].mean())
    rows = []
    for name in (OURS, UNIFORM):
        for added, scores in _by_size(curve, name).items():
            low, high = t_interval(scores) or (np.nan, np.nan)
            rows.append((name, added, scores.mean(), low, high))
    return pd.DataFrame(rows, columns=["candidate", "added", "mean", "low", "high"])


def gains(curve: pd.DataFrame, sign: float = 1.0) -> pd.DataFrame:
    """Over uniform choice at each size below the whole pool, paired by part.

    Columns: added, gain, low, high, helpful.
    """
    ours, uniform = _by_size(curve, OURS), _by_size(curve, UNIFORM)
    helpful = _by_size(curve, OURS, "helpful")
    rows = []
    for added in ours:
        gain = sign * (ours[added] - uniform[added])
        low, high = t_interval(gain) or (np.nan, np.nan)
        rows.append((added, gain.mean(), low, high, bool(helpful[added].mean() > 0.5)))
    table = pd.DataFrame(rows, columns=["added", "gain", "low", "high", "helpful"])
    inner = (table["added"] > 0) & (table["added"] < table["added"].max())
    return table.loc[inner, :].reset_index(drop=True)


def _by_size(curve: pd.DataFrame, name: str, column: str = "score") -> dict[int, np.ndarray]:
    """A column of one candidate, part by part, for each number of rows added."""
    here = curve.loc[curve["candidate"] == name].sort_values(by=["added", "part"])
    sizes = sorted(set(here["added"].tolist()))
    return {n: here.loc[here["added"] == n, column].to_numpy(float) for n in sizes}
