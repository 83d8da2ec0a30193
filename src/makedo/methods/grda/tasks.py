"""What is predicted in a domain, a class or numbers: how labels are read, learnt and judged."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np
from torch import Tensor
from torch.nn import functional

from makedo.core.checks import MakedoInputError
from makedo.core.labels import LARGEST, encode_labels, encode_values, match_labels, match_values
from makedo.core.paired import ACCURACY, Metric

# Lower is better, and 1 is as bad as the mean of the sources on the sources themselves.
SQUARED_ERROR = Metric("squared error", decimals=3, higher_is_better=False)


class Task(Protocol):
    """Classes or numbers; everything that the two differ in."""

    metric: ClassVar[Metric]  # of credits, whose mean over rows it is
    label: ClassVar[str]  # of the metric on an axis
    n_outputs: int

    def scaled(self, y: np.ndarray) -> np.ndarray:
        """Labels as the networks learn them; rows without one hold anything finite."""
        ...

    def losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Loss of each row, (n_models, n), of outputs (n_models, n, n_outputs)."""
        ...

    def answer(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs (n, n_outputs) as probabilities, or as numbers in the unit of the labels."""
        ...

    def credit(self, answer: np.ndarray, y: np.ndarray) -> np.ndarray:
        """What each row scores, (n,); NaN without a label."""
        ...

    def match(self, owner: str, y: Any, n_rows: int) -> np.ndarray:
        """Labels of a user's rows as this task knows them."""
        ...


class Classification:
    """Probabilities of classes.

    Parameters
    ----------
    classes : ndarray (n_classes,)
    """

    metric, label = ACCURACY, "accuracy, %"
    encode = staticmethod(encode_labels)

    def __init__(self, classes: np.ndarray):
        self.classes, self.n_outputs = classes, len(classes)

    def scaled(self, y: np.ndarray) -> np.ndarray:
        """Class numbers; 0 for unlabelled rows, which never count."""
        return np.maximum(y, 0)

    def losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        """−log of the probability of the right class."""
        flat = functional.cross_entropy(outputs.flatten(0, 1), y.flatten(), reduction="none")
        return flat.view(y.shape)

    def answer(self, outputs: np.ndarray) -> np.ndarray:
        """Softmax."""
        powered = np.exp(outputs - outputs.max(1, keepdims=True, initial=-np.inf))
        return powered / powered.sum(1, keepdims=True)

    def credit(self, answer: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Right or wrong."""
        return np.where(y == -1, np.nan, answer.argmax(1) == y)

    def match(self, owner: str, y: Any, n_rows: int) -> np.ndarray:
        """Class numbers; −1 unlabelled, −2 a class not seen in fit."""
        return match_labels(owner, y, self.classes, n_rows)


class Regression:
    """One number a row, or several.

    Parameters
    ----------
    mean, scale : ndarray (n_outputs,)
        Of the labels of the sources; networks learn standardised ones.
    """

    metric, label = SQUARED_ERROR, "squared error / variance of the source labels"

    def __init__(self, mean: np.ndarray, scale: np.ndarray):
        self.mean, self.scale, self.n_outputs = mean, scale, len(mean)

    @staticmethod
    def encode(owner: str, y: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (n_rows, n_outputs), NaN unlabelled; and no classes."""
        values, columns = read_values(owner, y, n_rows), []
        for column in values.T:
            columns.append(encode_values(owner, column, n_rows)[0])
        return np.column_stack(columns), np.empty(0)

    def scaled(self, y: np.ndarray) -> np.ndarray:
        """Standardised, float32; 0 for unlabelled rows, which never count."""
        return np.nan_to_num((y - self.mean) / self.scale).astype(np.float32)

    def losses(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Mean over the outputs of the squared error."""
        return ((outputs - y) ** 2).mean(2)

    def answer(self, outputs: np.ndarray) -> np.ndarray:
        """In the unit of the labels."""
        return outputs.astype(float) * self.scale + self.mean

    def credit(self, answer: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Squared error in units of the variance of the source labels, mean over outputs."""
        return (((answer - y) / self.scale) ** 2).mean(1)

    def match(self, owner: str, y: Any, n_rows: int) -> np.ndarray:
        """The numbers; NaN unlabelled."""
        values = read_values(owner, y, n_rows)
        if values.shape[1] != self.n_outputs:
            raise MakedoInputError(
                f"{owner}: y has {values.shape[1]} columns, fit saw {self.n_outputs}. Give as many."
            )
        return values


def read_values(owner: str, y: Any, n_rows: int) -> np.ndarray:
    """Numbers to predict as float64 (n_rows, n_outputs); a row with a gap is unlabelled."""
    table = y.detach().cpu().numpy() if hasattr(y, "detach") else y
    shape = np.shape(table) if hasattr(table, "shape") else ()
    if len(shape) != 2 or shape[1] < 2:
        return match_values(owner, table, n_rows)[:, None]
    columns = np.asarray(table, dtype=object).T
    values = np.column_stack([match_values(owner, list(column), n_rows) for column in columns])
    if np.nanmax(np.abs(values), initial=0.0) > LARGEST:
        raise MakedoInputError(f"{owner}: the largest label is too large to be squared.")
    values[np.isnan(values).any(1)] = np.nan
    return values


def is_known(y: np.ndarray) -> np.ndarray:
    """Which rows have a label: class numbers from 0 on, or rows of numbers without NaN."""
    return np.asarray(y >= 0 if y.ndim == 1 else ~np.isnan(y).any(1))
