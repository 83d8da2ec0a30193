r"""The value of every training example, exactly, for a linear head on fixed features.

Y. Dukler, A. Achille, G. Paolini, A. Ravichandran, M. Polito, S. Soatto, "DIVA: Dataset Derivative
of a Learning Task", ICLR 2022 (arXiv 2111.09785).

A ridge regression on fixed features has a closed form, so the loss on a validation set, or of
leaving each sample out, is a known function of the weights α of the training samples.  Its gradient
says which samples help and which harm, without training anything again.

Symbols: Z features (N, D), Y targets (N, c), α weights, λ penalty, C = (Zᵀ diag(α) Z + P)⁻¹,
W = C Zᵀ diag(α) Y, F = Z W, E = Y − F, h_i = z_iᵀ C z_i.  :mod:`.ridge` has the head,
:mod:`.derivative` the formulas in the paper's order, :mod:`.penalty` how λ is chosen.

What differs from the paper: λ is chosen (the paper does not say how it was); its formulas are
corrected; the cost is O(N D²) in blocks; groups and exact finite changes are added.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import Choice, Either, MakedoInputError, Number, count
from makedo.core.estimator import Estimator
from makedo.data.features import read_rows
from makedo.methods.diva import derivative, outer_loss, penalty
from makedo.methods.diva.derivative import Derivative
from makedo.methods.diva.outer_loss import OuterLoss
from makedo.methods.diva.ridge import Head
from makedo.methods.diva.rows import Blocks, Rows, Scaler
from makedo.methods.diva.targets import KINDS, Targets, match_targets, read_targets

Effect = Literal["derivative", "remove", "add"]
LOSSES: dict[str, Callable[..., Any]] = {  # name -> loss of (F, Y) and outer_temperature
    "squared": lambda _: outer_loss.squared,
    "cross_entropy": lambda t: partial(outer_loss.cross_entropy, temperature=t),
    "mae": lambda t: partial(outer_loss.mae, temperature=t),
    "margin": lambda t: partial(outer_loss.margin, temperature=t),
    "huber": lambda t: partial(outer_loss.huber, width=t),
    "pinball": lambda t: partial(outer_loss.pinball, quantile=t),
}


class DatasetDerivative(Estimator):
    """TO BE WRITTEN (docstring as tests/contract/test_docstrings.py asks)."""

    _constraints: ClassVar = {
        "penalty": Either((Choice(("loo",)), Number(0.0, open_low=True))),
        "fit_intercept": Choice((True, False)),
        "outer_temperature": Number(0.0, open_low=True),
        "scale": Choice(("rms", "standardize", None)),
        "targets": Choice(("auto", *KINDS)),
        "class_weight": Choice((None, "balanced")),
        "block_size": Number(1, integer=True, none=True),
        "dtype": Choice(("float64", "float32")),
    }

    def __init__(
        self,
        penalty: float | str = "loo",
        fit_intercept: bool = True,
        outer_loss: str | Callable[..., Any] = "squared",
        outer_temperature: float = 5.0,
        scale: str | None = "rms",
        targets: str = "auto",
        class_weight: str | None = None,
        block_size: int | None = None,
        dtype: str = "float64",
    ):
        self.penalty = penalty
        self.fit_intercept = fit_intercept
        self.outer_loss = outer_loss
        self.outer_temperature = outer_temperature
        self.scale = scale
        self.targets = targets
        self.class_weight = class_weight
        self.block_size = block_size
        self.dtype = dtype

    # --- fitting ----------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        groups: Any = None,
    ) -> DatasetDerivative:
        """Fit the head, and take the derivative of its outer loss by the weight of each sample.

        Parameters
        ----------
        X : table or matrix of shape (n_samples, n_features)
        y : classes, columns of 0 and 1, soft labels or numbers, of length n_samples
        sample_weight : array-like of shape (n_samples,), optional
            α, not negative; default 1.
        X_val, y_val : optional
            A trusted validation set; without it every sample is predicted by a head that was
            trained without it.
        groups : array-like of shape (n_samples,), optional
            Samples of one group (copies, one patient) are left out together.
        """
        self._check_parameters()
        rows, targets = self._read(X, y)
        self._targets = targets
        alpha = self._weights(sample_weight, targets)
        loss, even = self._loss(), np.full(rows.n_rows, 1 / rows.n_rows)
        self.penalty_, self.history_ = self._choose_penalty(rows, targets.Y, alpha, even)
        head = Head(rows, targets.Y, alpha, self.penalty_)
        if X_val is not None:
            V = self._rows(X_val)
            val = match_targets(type(self).__name__, y_val, V.n_rows, targets)
            found = derivative.on_validation(head, V, val.Y, loss, np.full(V.n_rows, 1 / V.n_rows))
            self._validation = (V, val)
        else:
            self._validation = None
            found = derivative.by_leaving_one_out(head, loss, even)
        self.loo_predictions_ = derivative.left_out(head)
        self._head, self._derivative = head, found
        self.loss_, self.gradient_ = found.loss, found.gradient
        self.sample_weight_, self.leverage_ = alpha, head.h
        self.coef_ = head.W[: rows.n_features]
        self.intercept_ = head.W[-1] if self.fit_intercept else np.zeros(targets.Y.shape[1])
        return self

    def _read(self, X: Any, y: Any) -> tuple[Rows, Targets]:
        matrix, self.ids_ = read_rows(self, X, reset=True, dtype=None)
        targets = read_targets(type(self).__name__, y, matrix.shape[0], self.targets)
        if targets.kind == "classes":
            self.classes_ = targets.names
        self.kind_, self.output_names_ = targets.kind, targets.names
        blocks = self._blocks(matrix)
        scaler = Scaler.fit(blocks, *matrix.shape, self.scale)
        self.mean_, self.scale_ = scaler.mean, scaler.scale
        return Rows(blocks, scaler, self.fit_intercept), targets

    def _blocks(self, matrix: Any) -> Blocks:
        return Blocks(matrix, self.dtype, self.block_size)

    def _rows(self, X: Any) -> Rows:
        """Other samples as the head sees them."""
        matrix, _ = read_rows(self, X, dtype=None)
        return Rows(self._blocks(matrix), Scaler(self.mean_, self.scale_), self.fit_intercept)

    def _loss(self) -> OuterLoss:
        if callable(self.outer_loss):
            return self.outer_loss
        return LOSSES[self.outer_loss](self.outer_temperature)

    def _weights(self, sample_weight: Any, targets: Targets) -> np.ndarray:
        n = len(targets.Y)
        alpha = np.ones(n) if sample_weight is None else np.asarray(sample_weight, dtype=float)
        if alpha.shape != (n,) or not np.isfinite(alpha).all() or (alpha < 0).any():
            raise MakedoInputError(
                f"{type(self).__name__}: sample_weight must hold {count(n, 'number')}, none "
                "negative. Got something else."
            )
        if not alpha.any():
            raise MakedoInputError(f"{type(self).__name__}: all sample weights are zero.")
        if self.class_weight == "balanced" and targets.codes is not None:
            share = np.bincount(targets.codes, minlength=targets.Y.shape[1]) / n
            alpha = alpha / (share * (share > 0).sum())[targets.codes]
        return alpha

    def _choose_penalty(
        self, rows: Rows, Y: np.ndarray, alpha: np.ndarray, weights: np.ndarray
    ) -> tuple[float, pd.DataFrame]:
        """λ of the least leave-one-out squared error, and the path."""
        if self.penalty != "loo":
            return float(self.penalty), pd.DataFrame(
                {"penalty": [self.penalty], "loo_loss": [np.nan]}
            )
        penalties, losses = penalty.path(rows, Y, alpha, outer_loss.squared, weights)
        best = float(penalties[losses.argmin()])
        return best, pd.DataFrame({"penalty": penalties, "loo_loss": losses})

    # --- using ------------------------------------------------------------------------------------

    def decision_function(self, X: Any) -> np.ndarray:
        """Outputs of the head, (n_samples, n_outputs)."""
        check_is_fitted(self)
        rows = self._rows(X)
        W = np.vstack([self.coef_, self.intercept_]) if self.fit_intercept else self.coef_
        out = np.empty((rows.n_rows, W.shape[1]))
        for where, Z in rows:
            out[where] = Z @ W.astype(Z.dtype, copy=False)
        return out

    def predict(self, X: Any) -> np.ndarray:
        """Class of each row; 0 and 1 for several labels; shares or numbers else."""
        scores = self.decision_function(X)
        if self.kind_ == "classes":
            return self.classes_[scores.argmax(1)]
        if self.kind_ == "multilabel":
            return (scores > 0.5).astype(int)
        return scores[:, 0] if self.kind_ == "values" and scores.shape[1] == 1 else scores

    def effect(self, kind: Effect = "derivative", indices: Any = None) -> np.ndarray:
        """What changing one sample's weight does to the outer loss: exact, for each alone, (n,).

        "derivative" per unit of weight; "remove" the change of the loss when α_i becomes 0;
        "add" when it grows by 1.  Negative means that the loss falls.
        """
        raise NotImplementedError

    def cross_gradient(self, indices: Any) -> np.ndarray:
        """Derivative of each validation sample's loss by the weight of these samples, (n, V)."""
        raise NotImplementedError

    def score_pool(self, X: Any, y: Any) -> np.ndarray:
        """Derivative of the outer loss by the weight, at 0, of samples that are not in training."""
        rows = self._rows(X)
        targets = match_targets(type(self).__name__, y, rows.n_rows, self._targets)
        return self._derivative.of_new(self._head, rows, targets.Y)
