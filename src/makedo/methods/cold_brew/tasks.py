"""What is predicted of a node, its class or a number: how parts answer, are judged and are pooled.

Every part of a model gives an answer (n_rows, n_outputs): probabilities of classes, or the number.
The answer that is served is a pool of parts, Σ_p w_p a_p with weights w on the simplex, fitted on
validation nodes that no part was trained on (a linear opinion pool).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from scipy.optimize import minimize_scalar, nnls
from torch import Tensor

from makedo.core.checks import MakedoInputError, count
from makedo.core.labels import encode_labels, encode_values, match_labels, match_values
from makedo.core.paired import ACCURACY, Metric
from makedo.nn.targets import CLASSES, VALUES, Target

LEAST = 1e-6  # probability below which a wrong answer is not punished further
FLATTEST = 5.0  # bounds of the temperature: as flat, and as sharp, as an answer is made
FEWEST = 5  # validation nodes, below which nothing is fitted on them
FEWEST_TEMPERED = 25  # the same for temperatures: a few right answers are no certainty
LEAST_WEIGHT = 0.01  # a part that has less to say is not worth asking
SUM_TO_ONE = 1e3  # weight of the row that makes the weights of a pool sum to 1
R2 = Metric("R²", decimals=3)


class Task(Protocol):
    """Classes or numbers; everything that the two differ in."""

    target: ClassVar[Target]  # losses of the networks
    metric: ClassVar[Metric]  # of credits, whose mean over rows it is
    label: ClassVar[str]  # of the metric on an axis
    n_outputs: int

    def scaled(self, y: np.ndarray) -> np.ndarray:
        """Labels as the networks learn them."""
        ...

    def answer(self, outputs: Tensor) -> np.ndarray:
        """What network outputs (n_rows, n_outputs) say."""
        ...

    def temperature(self, answer: np.ndarray, y: np.ndarray) -> float:
        """How far the answer is to be flattened to be as sure as it is right."""
        ...

    def tempered(self, answer: np.ndarray, temperature: float) -> np.ndarray:
        """The answer, flattened."""
        ...

    def weights(self, answers: Sequence[np.ndarray], y: np.ndarray) -> np.ndarray:
        """The pool of these answers that fits y best."""
        ...

    def loss(self, answer: np.ndarray, y: np.ndarray) -> np.ndarray:
        """What each row costs, (n_rows,); fitted to by everything that is chosen."""
        ...

    def credit(self, answer: np.ndarray, y: np.ndarray) -> np.ndarray:
        """What each row scores, (n_rows,); shown to the user.  NaN for rows without a label."""
        ...

    def judge(self, prediction: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The same of a bare prediction (n_rows,): class numbers, or numbers."""
        ...

    def score(
        self, owner: str, answer: np.ndarray, y: np.ndarray, weight: np.ndarray | None
    ) -> float:
        """The metric over labelled rows, in which a row counts by its weight."""
        ...

    def match(self, owner: str, y: Any, n_rows: int) -> np.ndarray:
        """Labels of a user's rows as this task knows them; see :func:`is_labelled`."""
        ...

    def words(self, y: np.ndarray) -> list[str]:
        """Labels for a reader."""
        ...


class Classification:
    """Probabilities of classes, judged by their likelihood.

    Parameters
    ----------
    classes : ndarray (n_classes,)
    never : int64 ndarray
        Classes without a training node, which are not predicted.
    """

    target, metric, label = CLASSES, ACCURACY, "accuracy, %"
    encode = staticmethod(encode_labels)

    def __init__(self, classes: np.ndarray, never: np.ndarray):
        self.classes, self.never, self.n_outputs = classes, never, len(classes)

    def scaled(self, y: np.ndarray) -> np.ndarray:
        """Class numbers stay as they are."""
        return y

    def answer(self, outputs: Tensor) -> np.ndarray:
        """Probabilities; 0 for classes that have no training node."""
        outputs = outputs.clone()
        outputs[:, self.never] = -np.inf
        return outputs.softmax(1).cpu().numpy()

    def temperature(self, answer: np.ndarray, y: np.ndarray) -> float:
        """The T that makes softmax(log p / T) most likely."""
        if len(y) < FEWEST_TEMPERED:
            return 1.0

        def cost(log_temperature: float) -> float:
            return float(self.loss(self.tempered(answer, np.exp(log_temperature)), y).mean())

        bounds = (-np.log(FLATTEST), np.log(FLATTEST))
        found: Any = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 0.01})
        return float(np.exp(found.x))

    def tempered(self, answer: np.ndarray, temperature: float) -> np.ndarray:
        """softmax(log p / T)."""
        if temperature == 1.0:
            return answer
        with np.errstate(divide="ignore"):
            log = np.log(answer) / temperature
        powered = np.exp(log - log.max(1, keepdims=True, initial=-np.inf))
        return powered / powered.sum(1, keepdims=True)

    def weights(self, answers: Sequence[np.ndarray], y: np.ndarray) -> np.ndarray:
        """Maximum likelihood of Σ_p w_p a_p, by expectation maximisation."""
        likelihood = np.stack([np.exp(-self.loss(answer, y)) for answer in answers])  # (n, n_rows)
        w = np.full(len(answers), 1 / len(answers))
        for _ in range(300):
            share = w[:, None] * likelihood
            w = (share / share.sum(0)).mean(1)
        return w

    def loss(self, answer: np.ndarray, y: np.ndarray) -> np.ndarray:
        """−log of the probability of the right class."""
        return -np.log(np.maximum(answer[np.arange(len(y)), y], LEAST))

    def credit(self, answer: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Right or wrong."""
        return self.judge(answer.argmax(1), y)

    def judge(self, prediction: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Right or wrong."""
        return np.where(y == -1, np.nan, prediction == y)

    def score(
        self, owner: str, answer: np.ndarray, y: np.ndarray, weight: np.ndarray | None
    ) -> float:
        """Accuracy."""
        return float(np.average(self.credit(answer, y), weights=weight))

    def match(self, owner: str, y: Any, n_rows: int) -> np.ndarray:
        """Class numbers; −1 unlabelled, −2 a class not seen in fit."""
        return match_labels(owner, y, self.classes, n_rows)

    def words(self, y: np.ndarray) -> list[str]:
        """Names of classes."""
        return [str(self.classes[c]) if c >= 0 else "unlabelled" for c in y]


class Regression:
    """Numbers, judged by their squared error.

    Parameters
    ----------
    mean, scale : float
        Of the training labels; the networks learn standardised ones.
    """

    target, metric, label, n_outputs = VALUES, R2, "R²", 1
    encode = staticmethod(encode_values)

    def __init__(self, mean: float, scale: float):
        self.mean, self.scale = mean, scale

    def scaled(self, y: np.ndarray) -> np.ndarray:
        """Standardised, float32."""
        return ((y - self.mean) / self.scale).astype(np.float32)

    def answer(self, outputs: Tensor) -> np.ndarray:
        """Numbers in the unit of the labels, float64 (n_rows, 1)."""
        return outputs.cpu().numpy().astype(float) * self.scale + self.mean

    def temperature(self, answer: np.ndarray, y: np.ndarray) -> float:
        """A number has no confidence to correct."""
        return 1.0

    def tempered(self, answer: np.ndarray, temperature: float) -> np.ndarray:
        """The answer itself."""
        return answer

    def weights(self, answers: Sequence[np.ndarray], y: np.ndarray) -> np.ndarray:
        """Least squared error of Σ_p w_p a_p, w ≥ 0 and Σ w = 1."""
        columns = (np.column_stack(answers) - self.mean) / self.scale  # (n_rows, n)
        one = np.full((1, len(answers)), SUM_TO_ONE * np.sqrt(len(y)))
        rows = np.append((y - self.mean) / self.scale, one[0, 0])
        w = nnls(np.concatenate([columns, one]), rows)[0]
        return w / w.sum()

    def loss(self, answer: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Squared error in units of the training labels' variance."""
        return ((answer[:, 0] - y) / self.scale) ** 2

    def credit(self, answer: np.ndarray, y: np.ndarray) -> np.ndarray:
        """1 − squared error / variance of the labels given: its mean over them is R²."""
        return self.judge(answer[:, 0], y)

    def judge(self, prediction: np.ndarray, y: np.ndarray) -> np.ndarray:
        """1 − squared error / variance of the labels given."""
        known = y[~np.isnan(y)]
        variance = known.var() if len(known) else 0.0
        error = (prediction - y) ** 2
        return 1 - error / variance if variance > 0 else np.full(len(y), np.nan)

    def score(
        self, owner: str, answer: np.ndarray, y: np.ndarray, weight: np.ndarray | None
    ) -> float:
        """R²; the variance is weighted as the errors are."""
        variance = np.average((y - np.average(y, weights=weight)) ** 2, weights=weight)
        if not variance > 0:
            raise MakedoInputError(
                f"{owner}: R² needs labels that differ, and all rows of weight have the value "
                f"{y[0 if weight is None else int(weight.argmax())]:g}. Give other weights."
            )
        return float(1 - np.average((answer[:, 0] - y) ** 2, weights=weight) / variance)

    def match(self, owner: str, y: Any, n_rows: int) -> np.ndarray:
        """The numbers; NaN unlabelled."""
        values = match_values(owner, y, n_rows)
        known = values[~np.isnan(values)]
        if len(known) and known.min() == known.max():
            raise MakedoInputError(
                f"{owner}: R² needs labels that differ, and there is {count(len(known), 'label')} "
                f"with the value {known[0]:g}. Give more labelled rows."
            )
        return values

    def words(self, y: np.ndarray) -> list[str]:
        """Numbers with three digits."""
        return ["unlabelled" if np.isnan(value) else f"{value:.3g}" for value in y]


# --- pools ----------------------------------------------------------------------------------------

# A pool as it is stored: part -> its weight and temperature.
Pool = dict[str, dict[str, float]]


def fit_pool(task: Task, answers: Mapping[str, np.ndarray], y: np.ndarray) -> Pool:
    """Weights and temperatures of parts by their answers to validation nodes.

    Where there are fewer than five nodes to fit on, the last part serves alone; up to 24 nodes the
    confidence of the parts is left as it is.

    Parameters
    ----------
    answers : mapping of str to ndarray (n_rows, n_outputs)
    y : ndarray (n_rows,)
        Labels, all known.
    """
    heat = {part: task.temperature(answer, y) for part, answer in answers.items()}
    if len(y) < FEWEST or len(answers) == 1:
        weight = [0.0] * (len(answers) - 1) + [1.0]
    else:
        w = task.weights([task.tempered(answer, heat[part]) for part, answer in answers.items()], y)
        w = np.where(w < LEAST_WEIGHT, 0.0, w)
        weight = (w / w.sum()).tolist()
    return {
        part: {"weight": w, "temperature": heat[part]}
        for part, w in zip(answers, weight, strict=True)
    }


def pooled(task: Task, pool: Pool, answers: Mapping[str, np.ndarray]) -> np.ndarray:
    """Σ_p w_p a_p, (n_rows, n_outputs); parts of weight 0 need not be among the answers."""
    terms = [
        one["weight"] * task.tempered(answers[part], one["temperature"])
        for part, one in pool.items()
        if one["weight"] > 0
    ]
    return sum(terms[1:], start=terms[0])


def asked(pool: Pool) -> list[str]:
    """The parts that have a say."""
    return [part for part, one in pool.items() if one["weight"] > 0]


def in_words(pool: Pool) -> str:
    """Who has how much to say: ``'the student'``, ``'student (62 %) and mlp (38 %)'``."""
    parts = sorted(asked(pool), key=lambda part: -pool[part]["weight"])
    if len(parts) == 1:
        return f"the {parts[0]}"
    shares = [f"{part} ({100 * pool[part]['weight']:.0f} %)" for part in parts]
    return f"{', '.join(shares[:-1])} and {shares[-1]}"
