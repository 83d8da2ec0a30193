"""A small problem on which an estimator shows what it does: the contract tests run on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Example:
    """An estimator with data that it learns from in a few seconds.

    Every room has ``example.py`` with ``small_example(random_state=0) -> Example``.

    Parameters
    ----------
    estimator : Estimator
        Unfitted, with settings small enough to fit in less than three seconds.
    fit : dict
        The keyword arguments of its ``fit``, ``X`` and (where it takes one) ``y`` among them.
    new : rows that were not among those of ``fit``, at least five
        What ``predict`` takes.
    judged : dict or None
        The keyword arguments of ``evaluate`` and ``report``, where those are not such rows with
        their labels: ``{"X": later_events}``.
    """

    estimator: Any
    fit: dict[str, Any]
    new: Any
    judged: dict[str, Any] | None = None
