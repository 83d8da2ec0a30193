"""What a fit found of each sample, as a table with a row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from makedo.methods.diva.label_scores import margins, of_given, standardised

if TYPE_CHECKING:
    from makedo.methods.diva.estimator import DatasetDerivative


def listing(model: DatasetDerivative) -> pd.DataFrame:
    """Derivative, leverage, weight, label, what is predicted without the sample, and how far off.

    Returns
    -------
    DataFrame indexed by the user's ids
        derivative (negative: the sample helps), leverage, weight, given, suggested (predicted
        without the sample), and margin: the output of the given label minus the largest of the
        others, below 0 where another one is suggested (the least of several labels).  Numbers have
        residual instead: the distance from the prediction in robust standard deviations, and with
        several numbers a given and a suggested column each.
    """
    F, Y = model.loo_predictions_, targets_of(model)
    table = pd.DataFrame(
        {
            "derivative": model.gradient_,
            "leverage": model.leverage_,
            "weight": model.sample_weight_,
        },
        index=model.ids_,
    )
    if model.kind_ == "values":
        one = Y.shape[1] == 1
        for j, name in enumerate(model.output_names_):
            table["given" if one else f"given {name}"] = Y[:, j]
            table["suggested" if one else f"suggested {name}"] = F[:, j]
        return table.assign(residual=standardised(Y - F).max(1))
    margin = -of_given(margins(F), Y)
    if model.kind_ == "multilabel":
        margin = np.where(Y > 0.5, 2 * F - 1, 1 - 2 * F).min(1)
    return table.assign(given=words(model, Y), suggested=words(model, F), margin=margin)


def targets_of(model: DatasetDerivative) -> np.ndarray:
    """Y of the training rows, (N, c)."""
    return np.eye(len(model.output_names_))[model.y_] if model.kind_ == "classes" else model.y_


def words(model: DatasetDerivative, outputs: np.ndarray) -> np.ndarray:
    """Outputs (n, c) as labels: the largest; of several labels a row, those above a half."""
    names = model.output_names_
    if model.kind_ != "multilabel":
        return names[outputs.argmax(1)]
    return np.array(["; ".join(map(str, names[row > 0.5])) for row in outputs], dtype=object)


def outputs_table(model: DatasetDerivative) -> pd.DataFrame:
    """The predictions without the sample, a column an output."""
    columns = [f"without {name}" for name in model.output_names_]
    return pd.DataFrame(model.loo_predictions_, index=model.ids_, columns=columns)
