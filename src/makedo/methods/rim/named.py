"""Marks by the names that ``RIM(marks=…)`` takes, and how each is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.base import clone

from makedo.core.checks import MakedoInputError
from makedo.core.estimator import Estimator
from makedo.data.interactions import Requests
from makedo.methods.rim import factorised, marks, repeats, sequences
from makedo.methods.rim.given import GivenScores
from makedo.methods.rim.marks import Marks

MARKS: dict[str, type[Marks]] = {
    **marks.NAMES,
    **repeats.NAMES,
    **factorised.NAMES,  # trained by implicit
    **sequences.NAMES,  # networks
    "given": GivenScores,
}
SHARED = ("random_state", "device", "verbose")


def made(given: Any, names: Mapping[str, type]) -> Any:
    """A fresh model of what the constructor was given."""
    return names[given]() if isinstance(given, str) else clone(given)


def share(owner: Estimator, part: Estimator) -> None:
    """Give a part that was named the settings of its owner that it has too."""
    there = part.get_params().keys()
    part.set_params(**{name: getattr(owner, name) for name in SHARED if name in there})


def learn_marks(
    model: Marks, train: Requests, horizon: float, scores: Any, steps: Mapping[str, Any]
) -> Marks:
    """Fit marks; ``scores`` are for those that are given, ``steps`` for networks."""
    if isinstance(model, GivenScores):
        return model.fit(train, horizon, scores)
    if scores is not None:
        raise MakedoInputError('RIM.fit: scores are for marks="given". Leave one of them out.')
    if isinstance(model, sequences.SequenceMarks):
        return model.fit(train, horizon, **steps)
    return model.fit(train, horizon)
