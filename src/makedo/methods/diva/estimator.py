"""The value of every training example, exactly, for a linear head on fixed features.

Y. Dukler, A. Achille, G. Paolini, A. Ravichandran, M. Polito, S. Soatto, "DIVA: Dataset Derivative
of a Learning Task", ICLR 2022, https://arxiv.org/abs/2111.09785.

A ridge regression on fixed features has a closed form, so the loss on a validation set, or of
leaving each sample out, is a known function of the weights α of the training samples.  Its gradient
says which samples help and which harm, without training anything again.

Symbols: Z features (N, D), Y targets (N, c), α weights, λ penalty, C = (Zᵀ diag(α) Z + P)⁻¹,
W = C Zᵀ diag(α) Y, F = Z W, E = Y − F, h_i = z_iᵀ C z_i.  :mod:`.ridge` has the head, :mod:`.outer`
the two losses whose derivative is taken, :mod:`.derivative` and :mod:`.changes` the formulas in the
paper's order, :mod:`.penalty` how λ is chosen.

What differs from the paper, and why:

* λ is chosen by leaving out (the paper does not say how it was): a gain of any reweighting that
  only makes up for a wrong λ is none.
* Its formulas are corrected, and cost O(N D²) in blocks of rows that may lie in a file.
* Groups that are left out together, and exact finite changes, are added.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import Choice, Either, Function, MakedoInputError, Number, count
from makedo.core.diagnosis import Diagnosis
from makedo.core.estimator import Estimator
from makedo.core.persistence import fingerprint
from makedo.data.table import TableEncoder
from makedo.methods.diva import inputs, outer_loss, penalty, scoring
from makedo.methods.diva.derivative import Derivative, Groups
from makedo.methods.diva.outer import LeavingOut, OnValidation, batch_groups
from makedo.methods.diva.outer_loss import LOSSES, find_loss
from makedo.methods.diva.remembering import are_columns, refuse_misfits
from makedo.methods.diva.ridge import Head, QuadraticForm
from makedo.methods.diva.rows import Rows
from makedo.methods.diva.targets import KINDS

if TYPE_CHECKING:
    from makedo.report import Report

Effect = Literal["derivative", "remove", "add"]


class DatasetDerivative(Estimator):
    r"""Say of every training example whether it helps or harms, exactly and without retraining.

    Fits a ridge regression on fixed features (one-hot classes, several labels a row, soft labels or
    numbers) and differentiates its loss on a validation set, or of leaving each example out, by the
    weight of each training example [1]_:

    .. math:: g_m = \frac{d}{d \alpha_m} \frac1N \sum_i \ell(f_i^{-i}, y_i), \qquad
       f_i^{-i} = y_i - \frac{E_i}{1 - \alpha_i h_i}

    with E the residuals and h the leverages.  **Negative: the example helps**, with more weight on
    it the loss falls.  Positive: it harms.

    Parameters
    ----------
    penalty : float or "loo", default="loo"
        λ, on features that were scaled as ``scale`` says.  "loo": of 25 values on a logarithmic
        grid the one with the least squared error when each example (or group) is left out.
    fit_intercept : bool, default=True
        Without a penalty on it.  False: features are not centred either.
    outer_loss : str or callable, default="squared"
        What is differentiated.  "squared" and "huber" for any targets; "cross_entropy" and "mae"
        (one minus the probability of the given label; bounded, for noisy labels) for classes and
        soft labels; "margin" for classes; "pinball" for numbers.  Or a function of predictions and
        targets, both (n, c), that gives the loss of each row (n,) and its gradient (n, c).
    outer_temperature : float, default=5.0
        β of "cross_entropy", "mae" and "margin": outputs of a ridge lie near [0, 1], and with β = 1
        all classes look alike.  The width of "huber"; the quantile of "pinball", in (0, 1).
    scale : {"rms", "standardize", None}, default="rms"
        Divide centred features by one number, by each one's standard deviation, or not at all
        (then they are not centred either).
    targets : {"auto", "classes", "multilabel", "soft", "values"}, default="auto"
        What y holds; "auto" looks (see :func:`makedo.methods.diva.targets.read_targets`).
    class_weight : {None, "balanced"}, default=None
        "balanced": weights start at N / (number of classes · size of the class).
    block_size : int or None, default=None
        Rows that are worked on at once; None: 8 MB of them.  It changes no result.
    dtype : {"float64", "float32"}, default="float64"
        Of the products of a block; sums and factorisations are float64.  "float32" is twice as
        fast and good to about 1e-3.

    Attributes
    ----------
    gradient_ : ndarray (n_samples,), the derivative of ``loss_`` by each weight
    loss_ : float, the outer loss at the weights of the fit
    loo_predictions_ : ndarray (n_samples, n_outputs), of the head trained without the row (group)
    leverage_ : ndarray (n_samples,), h
    sample_weight_ : ndarray (n_samples,), α
    penalty_ : float, λ
    history_ : DataFrame, the penalties that were tried with their leave-one-out squared error
    coef_ : ndarray (n_outputs, n_features), for features as they were given (encoded, for a table)
    intercept_ : ndarray (n_outputs,)
    kind_ : {"classes", "multilabel", "soft", "values"}, what y held
    classes_ : ndarray (n_classes,), only for classes
    output_names_ : ndarray (n_outputs,), names of the outputs; for classes ``classes_``
    y_ : ndarray, class numbers (n_samples,), else targets (n_samples, n_outputs)
    ids_ : Index (n_samples,), of the training rows
    mean_, scale_ : ndarray (n_features,), what features are centred by and divided by
    linear_, curvature_ : what scores examples of a pool
    label_column_, group_column_ : str or None, columns of X that are no features

    Shapes
    ------
    X (n_samples, n_features) · y (n_samples,) or (n_samples, n_outputs) · groups (n_samples,) ·
    X_val (n_valid, n_features) · gradient_ -> (n_samples,) · score_pool -> (n_pool,)

    Cost
    ----
    O(N · D²) time, O(D² + N · c) memory beside a block of rows; with more features than rows
    O(N² · D).  No N × N matrix.  A million rows of 512 features in float32: see
    ``benchmarks/diva_million.py``.

    Requirements
    ------------
    A label for every row, good features that were not trained on the same labels, at least two
    classes.  Near-duplicates must be named as ``groups``, or they vouch for each other.

    Relations
    ---------
    Influence functions linearise what is exact here.  To find wrong labels the margin of
    ``loo_predictions_`` is as good or better; the derivative says who harms *others*.  Where
    a linear head is poor on these features its derivative describes the wrong model.

    References
    ----------
    .. [1] Dukler et al., "DIVA: Dataset Derivative of a Learning Task", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo import DatasetDerivative
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> y = np.where(X[:, 0] > 0, "right", "left")
    >>> y[X[:, 0].argmax()] = "left"                     # one wrong label, row 54
    >>> model = DatasetDerivative().fit(X, y)
    >>> int(model.gradient_.argmax())                    # it harms most
    54
    >>> bool(model.effect("remove", [54])[0] < 0)        # without it the loss is lower, exactly
    True
    """

    _constraints: ClassVar = {
        "penalty": Either((Choice(("loo",)), Number(0.0, open_low=True))),
        "fit_intercept": Choice((True, False)),
        "outer_loss": Either((Choice(tuple(LOSSES)), Function("(F, Y) -> (value, gradient)"))),
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
        *,
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
            Also a memory map, a scipy sparse matrix, a tensor, a DataLoader that does not shuffle,
            a :class:`makedo.data.streams.ParquetMatrix`, or the path of a .npy or .parquet file,
            which may be larger than memory.
        y : classes, columns of 0 and 1, soft labels or numbers, of length n_samples
            Or the name of a column of X.  A DataLoader may bring it.
        sample_weight : array-like of shape (n_samples,), optional
            α, not negative; default 1.
        X_val, y_val : optional
            A trusted validation set, as X and y; without it every sample is predicted by a head
            that was trained without it.
        groups : array-like of shape (n_samples,) or str, optional
            Samples of one group (copies, one patient) are left out together.  Or the name of
            a column of X.

        Raises
        ------
        MakedoInputError
            Labels are missing or name one class only, weights are negative or all zero, lengths do
            not match, a class of the validation set is not in training, the outer loss does not fit
            the targets, a sample is predicted by itself alone.
        """
        self._check_parameters()
        data = inputs.read_training(self, X, y, groups)
        self._learn_data(data)
        rows, Y = data.rows, data.targets.Y
        alpha = inputs.start_weights(self, sample_weight, data)
        loss = find_loss(self._name, self.outer_loss, self.outer_temperature, data.targets)
        batches = None if data.groups is None else batch_groups(data.groups, rows.size)
        leaving_out = LeavingOut(loss, batches)
        if X_val is None and y_val is None:
            self._outer: OnValidation | LeavingOut = leaving_out
        else:
            self._outer = OnValidation(loss, *inputs.read_validation(self, X_val, y_val, rows))

        self.penalty_, path = self._choose_penalty(rows, Y, alpha, batches)
        head = Head(rows, Y, alpha, self.penalty_)
        inputs.check_leverage(self, head, batches)
        if self.dtype == "float32":
            inputs.check_precision(self, head)
        found = self._outer.derivative(head)

        self.loss_, self.gradient_ = found.loss, found.gradient
        self.linear_, self.curvature_ = found.linear, found.curvature
        self.loo_predictions_ = leaving_out.predictions(head)
        if path is None:
            loo_loss = outer_loss.squared(self.loo_predictions_, Y)[0].mean()
            path = {"penalty": [self.penalty_], "loo_loss": [loo_loss]}
        self.history_ = pd.DataFrame(path)
        self._learn_head(head)
        self.fingerprint_ = fingerprint(self.mean_, self.scale_, Y, alpha)
        return self

    # --- using ------------------------------------------------------------------------------------

    def decision_function(self, X: Any) -> np.ndarray:
        """Outputs of the head, (n_samples, n_outputs); one for each class, near 1 for the right."""
        check_is_fitted(self)
        return inputs.read_new(self, X).times(self._W)

    def predict(self, X: Any) -> np.ndarray:
        """Class of each row; 0 and 1 for several labels; shares or numbers else."""
        scores = self.decision_function(X)
        if self.kind_ == "classes":
            return self.classes_[scores.argmax(1)]
        if self.kind_ == "multilabel":
            return (scores > 0.5).astype(int)
        return scores[:, 0] if self.kind_ == "values" and scores.shape[1] == 1 else scores

    def effect(self, kind: Effect = "derivative", indices: Any = None) -> np.ndarray:
        """What changing one sample's weight does to the outer loss, exactly, each alone.

        Parameters
        ----------
        kind : {"derivative", "remove", "add"}
            Per unit of weight; the change of the loss when α_i becomes 0; when it grows by 1.
        indices : array-like of int or bool, optional
            Positions of training rows; default all.  Without a validation set each finite change
            costs O(N · (D + c)).

        Returns
        -------
        ndarray (n,)
            Negative: the loss falls.
        """
        check_is_fitted(self)
        if kind not in ("derivative", "remove", "add"):
            raise MakedoInputError(
                f"{self._name}: kind must be 'derivative', 'remove' or 'add'. Got {kind!r}."
            )
        rows = inputs.positions(self, indices)
        if kind == "derivative":
            return self.gradient_[rows]
        head = self._trained("exact effects")
        delta = -head.alpha if kind == "remove" else np.ones(len(head.alpha))
        return self._outer.changed(head, delta, rows)

    def cross_gradient(self, indices: Any = None) -> np.ndarray:
        """Who helps whom: the derivative of each single loss by the weight of some samples.

        Parameters
        ----------
        indices : array-like of int or bool, optional
            Positions of training rows; default all.

        Returns
        -------
        ndarray (n, V)
            Of the loss of each validation sample; without a validation set, of each training sample
            as it is predicted without itself (n, N).  The mean of a row is its ``gradient_``.
        """
        check_is_fitted(self)
        head = self._trained("cross_gradient")
        return self._outer.of_each(head, inputs.positions(self, indices))

    def score_pool(self, X: Any, y: Any = None) -> np.ndarray:
        """Derivative of the outer loss by the weight of samples that are not in training, at 0.

        Parameters
        ----------
        X, y : samples and their labels, as in :meth:`fit`

        Returns
        -------
        ndarray (n_pool,)
            Negative: a first bit of weight on the sample would lower the loss.
        """
        check_is_fitted(self)
        rows, Y = inputs.read_labelled(self, X, y, "X")
        known = Derivative(self.loss_, self.gradient_, self.linear_, self.curvature_)
        return known.of_new(self._W, rows, Y)

    def score(self, X: Any, y: Any) -> float:
        """Accuracy, share of right labels, or R²; rows without a label do not count."""
        check_is_fitted(self)
        return scoring.score(self, X, y)

    def evaluate(self, X: Any, y: Any) -> pd.DataFrame:
        """How good the head is on rows that took no part in anything so far.

        Parameters
        ----------
        X, y : labelled rows; rows without a label do not count
            Not the validation set: it has chosen what ``gradient_`` says.

        Returns
        -------
        DataFrame
            candidate ("constant", the most frequent class or the mean, and "ridge head"), group,
            mean (accuracy in per cent, or R²), low, high (its 95 % bootstrap interval), n.
        """
        check_is_fitted(self)
        return scoring.evaluate(self, X, y)

    def diagnose(self, X: Any, y: Any = None, **more: Any) -> Diagnosis:
        """Say whether the derivative can be trusted on this data, and what acting on it would gain.

        Parameters
        ----------
        X, y : as in :meth:`fit`, with its other arguments by name
        """
        from makedo.methods.diva.diagnose import diagnose

        return diagnose(self, X, y, **more)

    def report(self, X: Any = None, y: Any = None, *, show_rows: bool = False) -> Report:
        """Show what ``fit`` found, and on labelled rows whether acting on it pays.

        Parameters
        ----------
        X, y : optional
            Labelled rows that took no part in the fit.
        show_rows : bool, default=False
            Whether ids and rows may stand in the report.
        """
        check_is_fitted(self)
        from makedo.methods.diva.page import report

        return report(self, X, y, show_rows=show_rows)

    # --- inside -----------------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def _W(self) -> np.ndarray:
        """W of the scaled rows, (D, c)."""
        W = self.coef_.T * self.scale_[:, None]
        last = self.intercept_ + self.coef_ @ self.mean_
        return np.vstack([W, last]) if self.fit_intercept else W

    def _learn_data(self, data: inputs.Training) -> None:
        targets, self.ids_ = data.targets, data.ids
        self.mean_, self.scale_ = data.rows.scaler.mean, data.rows.scaler.scale
        self.kind_, self.output_names_ = targets.kind, targets.names
        self.__dict__.pop("classes_", None)
        self.y_ = targets.Y
        if targets.kind == "classes" and targets.codes is not None:
            self.classes_, self.y_ = targets.names, targets.codes

    def _learn_head(self, head: Head) -> None:
        self.coef_ = (head.W[: head.rows.n_features] / self.scale_[:, None]).T
        last = head.W[-1] if self.fit_intercept else np.zeros(head.W.shape[1])
        self.intercept_ = last - self.coef_ @ self.mean_
        self.sample_weight_, self.leverage_ = head.alpha, head.h
        self._head = head

    def _choose_penalty(
        self, rows: Rows, Y: np.ndarray, alpha: np.ndarray, groups: Groups | None
    ) -> tuple[float, dict[str, np.ndarray] | None]:
        """λ of the least squared error when samples are left out, and the path to it."""
        if not isinstance(self.penalty, str):
            return float(self.penalty), None
        weights = np.full(len(Y), 1 / len(Y))
        penalties, losses = penalty.path(rows, Y, alpha, outer_loss.squared, weights, groups)
        return float(penalties[losses.argmin()]), {"penalty": penalties, "loo_loss": losses}

    def _trained(self, what: str) -> Head:
        """The head with its training rows, which a model directory does not hold."""
        if not hasattr(self, "_head"):
            raise MakedoInputError(
                f"{self._name}: {what} needs the training rows, which a saved model does not hold. "
                "Call fit again, with penalty=penalty_ to save time."
            )
        return self._head

    def _card(self) -> str:
        return (
            f"The value of {count(len(self.gradient_), 'training example')}, and a ridge head.\n\n"
            "weights.safetensors holds for each training row its label, weight, derivative, "
            "leverage and leave-one-out prediction; tables.parquet holds ids of rows, and names of "
            "classes and columns. Neither holds features of rows."
        )

    def _restore(self, state: dict[str, Any]) -> None:
        table, form = state.pop("table_"), state.pop("curvature_")
        super()._restore(state)
        self.table_ = None if table is None else TableEncoder.from_state(table)
        self.curvature_ = None if form is None else QuadraticForm(form["left"], form["right"])
        n, c = len(self.mean_), len(self.output_names_)
        width = n + bool(self.fit_intercept)
        known = {"penalty", "loo_loss"} <= set(getattr(self.history_, "columns", ()))
        codes = self.y_ if self.kind_ == "classes" else np.zeros(1, int)
        learnt: Any = self
        refuse_misfits(
            self,
            kind_=self.kind_ in KINDS and (self.kind_ == "classes") == hasattr(self, "classes_"),
            label_column_=are_columns(learnt.label_column_, learnt.group_column_),
            history_=isinstance(self.history_, pd.DataFrame) and known,
            penalty_=Number(0.0).accepts(self.penalty_),
            loss_=Number().accepts(self.loss_),
            n_features_in_=Number(1, integer=True).accepts(learnt.n_features_in_),
            y_=len(self.y_) == len(self.ids_)
            and codes.dtype.kind == "i"
            and bool(((codes >= 0) & (codes < c)).all()),
            coef_=np.shape(self.coef_) == (c, n) and np.shape(self.intercept_) == (c,),
            scale_=np.shape(self.scale_) == (n,),
            linear_=np.shape(self.linear_) == (width, c),
            curvature_=self.curvature_ is None or self.curvature_.fits(width),
            **{
                name: len(getattr(self, name)) == len(self.ids_)
                for name in ("gradient_", "leverage_", "sample_weight_", "loo_predictions_")
            },
        )
