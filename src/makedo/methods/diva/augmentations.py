r"""Which augmentations help, and how often to apply each: one weight for all copies of a kind.

Dukler et al., "DIVA: Dataset Derivative of a Learning Task", ICLR 2022 (arXiv 2111.09785): the data
set is joined by a transformed copy of itself for each augmentation, all of it is weighted, and the
share of the weight that lies on an augmentation's copies is its probability.

Symbols as in :mod:`makedo.methods.diva.estimator`, and m_k the mass of augmentation k: the weight
of all its copies, in units of the weight of all originals.

What differs from the paper, and why:

* An original is left out with all its copies, or these would tell its label.
* Only originals are predicted: a model is not asked about flipped pictures.
* There is one weight for each augmentation instead of each copy, so that it is not fitted to
  single pictures; λ grows with the total weight, so that no step is only a change of λ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from makedo.core.checks import Choice, Either, Function, MakedoInputError, Number, count, first
from makedo.core.estimator import Estimator
from makedo.core.persistence import fingerprint
from makedo.core.seeds import generator
from makedo.data.streams import drop_columns, open_rows, take_column
from makedo.data.table import TableEncoder
from makedo.methods.diva import inputs, outer_loss, penalty
from makedo.methods.diva.derivative import Groups, by_leaving_groups_out
from makedo.methods.diva.outer import batch_groups
from makedo.methods.diva.outer_loss import LOSSES, OuterLoss, find_loss
from makedo.methods.diva.ridge import Head
from makedo.methods.diva.rows import Rows
from makedo.methods.diva.targets import KINDS

ORIGINAL = "original"
NORMAL = 1.96  # standard deviations of a 95 % interval


class Mixture:
    """Originals at weight 1, copies at weights that share out the mass of their augmentation.

    Parameters
    ----------
    rows, Y : the originals and copies, and their targets (N, c)
    kind : ndarray of int (N,)
        The number of the augmentation; −1 for originals.
    source : ndarray of int (N,)
        The number of the original that a row is, or comes from.
    loss : OuterLoss
    penalty : float, optional
        λ where the copies weigh as much as the originals; None: chosen there by leaving out.
    """

    def __init__(
        self,
        rows: Rows,
        Y: np.ndarray,
        kind: np.ndarray,
        source: np.ndarray,
        loss: OuterLoss,
        penalty: float | None = None,
    ):
        self.rows, self.Y, self.kind, self.source, self.loss = rows, Y, kind, source, loss
        self.n_original = int((kind < 0).sum())
        self.n_copies = np.bincount(kind[kind >= 0])  # (K,)
        self.groups: Groups = batch_groups(source, rows.size)
        self.judges = (kind < 0) / self.n_original  # weights of the outer loss, (N,)
        alpha = self.weights(self.even())
        self.penalty = self._choose(alpha) if penalty is None else penalty
        self._per_weight = self.penalty / alpha.sum()

    def even(self) -> np.ndarray:
        """All augmentations alike, together as much as the originals, (K,)."""
        return np.full(len(self.n_copies), 1 / len(self.n_copies))

    def weights(self, mass: np.ndarray) -> np.ndarray:
        """α (N,)."""
        each = mass * self.n_original / self.n_copies
        return np.where(self.kind < 0, 1.0, each[self.kind])

    def head(self, mass: np.ndarray) -> Head:
        """The ridge of these weights; λ in proportion to their sum."""
        alpha = self.weights(mass)
        return Head(self.rows, self.Y, alpha, self._per_weight * alpha.sum())

    def slopes(self, mass: np.ndarray, times: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        """The outer loss, and its derivative by each mass (K,).

        times : how often each source stands in the data, (n_sources,); default once.

        As scaling α and λ alike changes nothing, d/dα_i with λ in proportion to Σα is
        g_i − Σ_j α_j g_j / Σ_j α_j.
        """
        often = np.ones(len(self.Y)) if times is None else times[self.source]
        alpha, judges = self.weights(mass) * often, self.judges * often
        head = Head(self.rows, self.Y, alpha, self._per_weight * alpha.sum())
        found = by_leaving_groups_out(head, self.loss, judges / judges.sum(), self.groups)
        by_weight = often * (found.gradient - alpha @ found.gradient / alpha.sum())
        copies = self.kind >= 0
        total = np.bincount(self.kind[copies], by_weight[copies], minlength=len(mass))
        return found.loss, total * self.n_original / self.n_copies

    def _choose(self, alpha: np.ndarray) -> float:
        penalties, losses = penalty.path(
            self.rows, self.Y, alpha, outer_loss.squared, self.judges, self.groups
        )
        return float(penalties[losses.argmin()])


def descend(mixture: Mixture, n_steps: int) -> tuple[np.ndarray, list[dict[str, float]]]:
    """Masses in [0, 1] of least outer loss, from even ones (L-BFGS-B); the loss at each step."""
    start = mixture.even()
    history = [{"step": 0, "loss": mixture.slopes(start)[0]}]
    if n_steps == 0:
        return start, history

    def note(intermediate_result: Any) -> None:
        history.append({"step": len(history), "loss": float(intermediate_result.fun)})

    found = minimize(
        mixture.slopes,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * len(start),
        callback=note,
        options={"maxiter": n_steps},
    )
    return found.x, history


class AugmentationSelector(Estimator):
    r"""Say which augmentations help a model, and with which probability to apply each.

    Originals and their augmented copies train one head; the loss of predicting each original by the
    head without it *and without its copies* is differentiated by the mass m_k of each augmentation
    (the weight of all its copies, in units of that of the originals) [1]_:

    .. math:: \frac{dL}{dm_k} = \frac{n}{n_k} \sum_{i \in k} \frac{dL}{d\alpha_i}, \qquad
       p_k = \frac{m_k}{1 + \sum_j m_j}

    Negative: the augmentation helps.  The masses then follow the derivative downhill, and the share
    p_k that is left for an augmentation is the probability with which to apply it.

    "Augmentation" may be any source of rows besides the trusted ones: another modality, another
    site, synthetic rows; then ``source`` is left out.

    Parameters
    ----------
    n_steps : int, default=20
        The most steps downhill; each costs a fit or two.
    n_bootstrap : int, default=50
        Samples of the originals (with all their copies) whose spread gives the intervals; each
        costs one fit.
    penalty : float or "loo", default="loo"
        λ where the copies weigh as much as the originals; it grows with the total weight.  "loo":
        with the least squared error when originals are left out with their copies.
    fit_intercept : bool, default=True
        Without a penalty on it.
    outer_loss : str or callable, default="squared"
        As for :class:`DatasetDerivative`.
    outer_temperature : float, default=5.0
        As for :class:`DatasetDerivative`.
    scale : {"rms", "standardize", None}, default="rms"
        How features are scaled.
    targets : {"auto", "classes", "multilabel", "soft", "values"}, default="auto"
        What y holds.
    block_size : int or None, default=None
        Rows that are worked on at once.
    dtype : {"float64", "float32"}, default="float64"
        Of the products of a block.
    random_state : int, default=0
        Draws the bootstrap.

    Attributes
    ----------
    augmentations_ : DataFrame, a row for the originals and each augmentation: name, n_rows,
        derivative, low, high (95 %: 1.96 bootstrap sd to each side), advice ("keep" where all of
        that is negative, "down-weight" where all is positive, else "unclear"), probability
    probabilities_ : dict of str to float, the last column by name; they sum to 1
    masses_ : ndarray (n_augmentations,), m
    loss_ : float, the outer loss at these masses
    history_ : DataFrame, step and outer loss
    penalty_ : float, λ
    kind_ : {"classes", "multilabel", "soft", "values"}, what y held
    label_column_, group_column_ : str or None, columns of X that are no features

    Shapes
    ------
    X (n_rows, n_features) originals and copies in any order · augmentation (n_rows,) ·
    source (n_rows,) · probabilities_ -> n_augmentations + 1

    Cost
    ----
    O((n_steps + n_bootstrap) · N · D²) for N rows with all copies.

    Requirements
    ------------
    Features of the augmented copies (run the extractor on them).  Every copy names its source, or
    an original would be predicted from its own copies and every augmentation would look good.

    Notes
    -----
    The derivative and the advice are about the even mixture, where each augmentation stands beside
    all others; the probability is about where the steps end.  One that helps only by making up for
    a harmful one is advised to keep, and has no probability once the other is gone.

    It has no verb and no report: what it finds is the table ``augmentations_``, and features of
    augmented copies are made in Python.

    Relations
    ---------
    This chooses for a linear head on fixed features, and needs one fit a step; a search that trains
    networks may find that an augmentation serves the features themselves.

    References
    ----------
    .. [1] Dukler et al., "DIVA: Dataset Derivative of a Learning Task", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo import AugmentationSelector
    >>> X = np.random.default_rng(0).normal(size=(150, 4))
    >>> y = X[:, 0] + X[:, 1] ** 2                        # the sign of column 1 is nothing to y
    >>> Z = np.column_stack([X, X[:, 1] ** 2])
    >>> mirror, negate = Z * [1, -1, 1, 1, 1], Z * [-1, 1, 1, 1, 1]
    >>> selector = AugmentationSelector().fit(
    ...     np.vstack([Z, mirror, negate]), np.tile(y, 3),
    ...     augmentation=np.repeat(["original", "mirror", "negate"], 150),
    ...     source=np.tile(np.arange(150), 3))
    >>> selector.augmentations_.set_index("name").advice[["mirror", "negate"]].tolist()
    ['keep', 'down-weight']
    """

    _constraints: ClassVar = {
        "n_steps": Number(0, integer=True),
        "n_bootstrap": Number(2, integer=True),
        "penalty": Either((Choice(("loo",)), Number(0.0, open_low=True))),
        "fit_intercept": Choice((True, False)),
        "outer_loss": Either((Choice(tuple(LOSSES)), Function("(F, Y) -> (value, gradient)"))),
        "outer_temperature": Number(0.0, open_low=True),
        "scale": Choice(("rms", "standardize", None)),
        "targets": Choice(("auto", *KINDS)),
        "block_size": Number(1, integer=True, none=True),
        "dtype": Choice(("float64", "float32")),
        "random_state": Number(0, integer=True),
    }

    def __init__(
        self,
        n_steps: int = 20,
        *,
        n_bootstrap: int = 50,
        penalty: float | str = "loo",
        fit_intercept: bool = True,
        outer_loss: str | Callable[..., Any] = "squared",
        outer_temperature: float = 5.0,
        scale: str | None = "rms",
        targets: str = "auto",
        block_size: int | None = None,
        dtype: str = "float64",
        random_state: int = 0,
    ):
        self.n_steps = n_steps
        self.n_bootstrap = n_bootstrap
        self.penalty = penalty
        self.fit_intercept = fit_intercept
        self.outer_loss = outer_loss
        self.outer_temperature = outer_temperature
        self.scale = scale
        self.targets = targets
        self.block_size = block_size
        self.dtype = dtype
        self.random_state = random_state

    def fit(
        self, X: Any, y: Any = None, *, augmentation: Any, source: Any = None
    ) -> AugmentationSelector:
        """Find the derivative by each augmentation's mass, its interval, and the probabilities.

        Parameters
        ----------
        X, y : originals and copies, and the labels of all
            In the forms that :meth:`DatasetDerivative.fit` takes.
        augmentation : array-like of shape (n_rows,) or str
            What was done to each row; "original" or nothing (None, NaN, "") for originals.  Or the
            name of a column of X.
        source : array-like of shape (n_rows,) or str, optional
            Which original a row is or comes from.  Or the name of a column of X.  Default: no row
            comes from another.

        Raises
        ------
        MakedoInputError
            As :meth:`DatasetDerivative.fit`; no originals, no copies, a copy whose source has no
            original.
        """
        self._check_parameters()
        owner = type(self).__name__
        X = open_rows(X)
        if isinstance(augmentation, str):
            name, augmentation = augmentation, take_column(X, augmentation, "augmentation")
            X = drop_columns(X, [name])
        data = inputs.read_training(self, X, y, source)
        kind, names = _read_kinds(owner, augmentation, data.rows.n_rows)
        groups = np.arange(data.rows.n_rows) if data.groups is None else data.groups
        if data.groups is not None:
            _check_sources(owner, kind, groups)

        loss = find_loss(owner, self.outer_loss, self.outer_temperature, data.targets)
        chosen = None if isinstance(self.penalty, str) else float(self.penalty)
        mixture = Mixture(data.rows, data.targets.Y, kind, groups, loss, chosen)
        start = mixture.even()
        inputs.check_leverage(self, mixture.head(start))
        slope = mixture.slopes(start)[1]
        half = NORMAL * self._bootstrap(mixture, start).std(axis=0, ddof=1)
        low, high = slope - half, slope + half
        self.masses_, history = descend(mixture, self.n_steps)

        self.penalty_, self.kind_ = mixture.penalty, data.targets.kind
        self.history_ = pd.DataFrame(history)
        self.loss_ = history[-1]["loss"]
        share = np.concatenate([[1.0], self.masses_]) / (1 + self.masses_.sum())
        advice = np.where(high < 0, "keep", np.where(low > 0, "down-weight", "unclear")).tolist()
        self.augmentations_ = pd.DataFrame(
            {
                "name": [ORIGINAL, *names],
                "n_rows": [mixture.n_original, *mixture.n_copies],
                "derivative": [np.nan, *slope],
                "low": [np.nan, *low],
                "high": [np.nan, *high],
                "advice": ["", *advice],
                "probability": share,
            }
        )
        self.probabilities_ = dict(zip([ORIGINAL, *names], share.tolist(), strict=True))
        self.fingerprint_ = fingerprint(data.targets.Y, kind, groups)
        return self

    def _bootstrap(self, mixture: Mixture, mass: np.ndarray) -> np.ndarray:
        """Derivatives on samples of the sources, drawn with replacement, (n_bootstrap, K)."""
        n = mixture.source.max() + 1
        rng = generator(self.random_state, "bootstrap")
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=self.n_bootstrap).astype(float)
        return np.array([mixture.slopes(mass, times)[1] for times in drawn])

    def _restore(self, state: dict[str, Any]) -> None:
        if isinstance(state.get("table_"), dict):
            state["table_"] = TableEncoder.from_state(state["table_"])
        super()._restore(state)

    def _card(self) -> str:
        return "Probabilities of augmentations. No file holds rows of the user's."


def _read_kinds(owner: str, augmentation: Any, n_rows: int) -> tuple[np.ndarray, list[str]]:
    """Number of the augmentation of each row (N,), −1 for originals; names by number."""
    given = pd.Series(np.asarray(augmentation, dtype=object)).replace(["", ORIGINAL], None)
    if len(given) != n_rows:
        raise MakedoInputError(
            f"{owner}: augmentation names {count(len(given), 'row')}, X has {count(n_rows)}. Give "
            "one name a row, 'original' for originals."
        )
    kind, names = pd.factorize(given)
    if not (kind < 0).any():
        raise MakedoInputError(
            f"{owner}: no row is an original. Their augmentation is 'original', None or ''."
        )
    if not len(names):
        raise MakedoInputError(
            f"{owner}: all {count(n_rows, 'row')} are originals. Add augmented copies, each with "
            "the name of its augmentation."
        )
    return kind, [str(name) for name in names]


def _check_sources(owner: str, kind: np.ndarray, groups: np.ndarray) -> None:
    copies = kind >= 0
    alone = np.flatnonzero(copies & ~np.isin(groups, groups[~copies]))
    if len(alone):
        raise MakedoInputError(
            f"{owner}: {count(len(alone), 'copy', 'copies')} of {count(int(copies.sum()))} whose "
            f"source has no original (first: row {first(alone)}). Give an original and its copies "
            "the same source."
        )
