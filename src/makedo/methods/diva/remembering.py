"""Models that come from a directory: do their parts fit, and what they are with their rows.

A saved model does not hold its rows; given them again, it is what it was after ``fit``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from makedo.core.checks import MakedoInputError, count
from makedo.methods.diva.targets import KINDS

if TYPE_CHECKING:
    from makedo.methods.diva.estimator import DatasetDerivative


def are_columns(*names: Any) -> bool:
    """Whether these can be the names of columns of a table; None is no column."""
    return all(name is None or isinstance(name, str) for name in names)


def refuse_misfits(model: Any, **fits: bool) -> None:
    """Raise ValueError for the first part of a model directory that does not fit the others.

    ``fits`` says it of some parts of the model; of those that every class has it is seen to here.
    """
    names = model.output_names_
    fits = {
        "kind_": model.kind_ in KINDS,
        "output_names_": isinstance(names, np.ndarray) and names.ndim == 1,
        "classes_": np.array_equal(getattr(model, "classes_", names), names),
    } | fits
    if wrong := [name for name, right in fits.items() if not right]:
        raise ValueError(f"{wrong[0]} has a wrong size or kind")


def with_rows(
    model: DatasetDerivative,
    X: Any,
    y: Any,
    *,
    where: str,
    groups: Any = None,
    X_val: Any = None,
    y_val: Any = None,
) -> DatasetDerivative:
    """Fit the model again on the rows that it learnt from, with the weights that it had.

    Raises
    ------
    MakedoInputError
        These are other rows, or what came with them is other.
    """
    n = len(model.gradient_)
    if len(X) != n:
        raise MakedoInputError(
            f"{where} has {count(len(X), 'row')}, the model learnt from {count(n)}. Give the table "
            "that fit was given; rows to test on are given with --test."
        )
    again: Any = clone(model)
    again.set_params(penalty=model.penalty_, class_weight=None)
    again.fit(X, y, sample_weight=model.sample_weight_, groups=groups, X_val=X_val, y_val=y_val)
    for name, what in (
        ("loo_predictions_", "the rows, labels or groups are"),
        ("gradient_", "the validation set is"),
    ):
        a, b = getattr(again, name), getattr(model, name)
        if a.shape != b.shape or not np.allclose(a, b, rtol=1e-3, atol=1e-3 * np.abs(b).max()):
            raise MakedoInputError(
                f"{where}: {what} not what the model learnt from. Give what fit was given, with "
                "the same --group and --validation; rows to test on are given with --test."
            )
    again.set_params(**model.get_params())
    again.history_ = model.history_
    return again
