"""DIVA Reweight: weights of the samples by a few steps down the dataset derivative.

Dukler et al. (2022, section 4.1): from α = 1, one to three steps α ← max(0, α − η · derivative),
then train on the weighted samples.

What differs from the paper: η is relative to the mean size of the derivative, as an absolute one
depends on the data; the sum of the weights is kept, as scaling α is the same as changing the
penalty, which would then be tuned in passing; the penalty is chosen anew for each set of weights,
so that a gain is not one of the penalty alone; and an independent criterion says whether the
weights are used at all.  Only the first step follows an unbiased estimate of the test loss: the
next ones fit the weights to the very predictions that judge them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import clone, is_regressor
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import ClassifierTags, RegressorTags, Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, column_or_1d, has_fit_parameter

from makedo.core.checks import (
    Choice,
    Either,
    Having,
    MakedoInputError,
    MakedoWarning,
    Number,
    count,
)
from makedo.core.estimator import Estimator
from makedo.core.persistence import fingerprint
from makedo.core.seeds import generator
from makedo.data.features import read_rows
from makedo.data.table import TableEncoder
from makedo.methods.diva.estimator import DatasetDerivative
from makedo.methods.diva.held_out import Check, Given, can_learn, errors, gain_of
from makedo.methods.diva.inputs import group_codes, read_weights
from makedo.methods.diva.outer_loss import MEANING
from makedo.methods.diva.remembering import refuse_misfits
from makedo.methods.diva.targets import KINDS, Targets, match_targets, read_targets
from makedo.methods.diva.weights import Problem, follow, splits

MOST_STEPS = 3  # further ones overfit the loss that they descend


Path = list[tuple[np.ndarray, DatasetDerivative]]  # weights, and the head trained with them


# --- the estimator --------------------------------------------------------------------------------


def _can(method: str) -> Callable[[Any], bool]:
    """Whether the wrapped estimator has a method; the ridge head has none but decision_function."""

    def check(self: Any) -> bool:
        if self.estimator is None:
            return method == "decision_function" and not is_regressor(self)
        return hasattr(getattr(self, "estimator_", self.estimator), method)

    return check


class DivaReweighter(Estimator):
    r"""Weigh training samples by whether they help, and train any estimator with the weights.

    Follows the derivative of the leave-one-out loss (or of the loss on a validation set) by the
    weight of each sample for a few steps [1]_:

    .. math:: \alpha \leftarrow \Pi\Big(\alpha - \eta \,
        \frac{\nabla_\alpha L}{\mathrm{mean} |\nabla_\alpha L|}\Big)

    with :math:`\Pi` the nearest weights that are not negative and have the same sum.  Folds (of the
    validation set, or else of the training rows) that took no part in the gradient say whether the
    weights help; where they do not show a gain, ``n_steps="auto"`` keeps the weights that ``fit``
    got.

    Parameters
    ----------
    estimator : estimator or None, default=None
        What is trained with the weights, a classifier or regressor whose ``fit`` takes
        ``sample_weight``.  None: the ridge head that the derivative is of.
    n_steps : {"auto"} or int, default="auto"
        "auto": as many of at most 3 steps as lower the error on held-out folds (wrong classes,
        wrong labels, or squared error of numbers), if that gain is clear (95 %).  A number: these
        steps, and no check.
    step : float, default=0.1
        :math:`\eta`: how far a sample of mean derivative moves, in units of the mean weight.
    normalize : {"mean", "class", None}, default="mean"
        Which sum of weights is kept: of all, of each class, or none.
    outer_loss : str or callable, default="squared"
        What is differentiated, as in :class:`DatasetDerivative`; "mae" where labels are noisy.
    outer_temperature : float, default=5.0
    penalty : float or "loo", default="loo"
        :math:`\lambda` of the head; "loo" chooses it anew for each set of weights.
    fit_intercept : bool, default=True
    scale : {"rms", "standardize", None}, default="rms"
        Of the head's features, as in :class:`DatasetDerivative`.
    targets : {"auto", "classes", "multilabel", "soft", "values"}, default="auto"
        What y holds.  "auto": numbers for a regressor, else classes.  "values" makes a regressor
        of the head.
    n_folds : int, default=5
        Of the check.
    random_state : int, default=0
        Which samples are in which fold.

    Attributes
    ----------
    sample_weight_ : ndarray of shape (n_samples,)
        Those that the last training used.
    kept_ : bool, whether they differ from the weights that ``fit`` got
    n_steps_ : int, steps that they are away from these
    verdict_ : str, what the check found
    history_ : DataFrame
        A row a step: step, outer_loss (that it descends), penalty, n_zero (weights of 0), held_out
        (error on held-out folds; NaN without a check).
    penalty_ : float
    classes_ : ndarray of shape (n_classes,), for classes
    estimator_ : the trained estimator, if one was given
    coef_, intercept_ : ndarray of the head (n_outputs, n_features), (n_outputs,)
    n_features_in_ : int
    kind_ : str, what y holds
    ids_ : Index, the ids of the samples
    table_ : TableEncoder or None, how the columns of a data frame became numbers

    Shapes
    ------
    X (n_samples, n_features) · y (n_samples,) or (n_samples, n_outputs) · predict -> (n_rows,) or
    (n_rows, n_outputs)

    Cost
    ----
    (3 + 1) · (n_folds + 1) heads, each O(n_samples · n_features²), and as many fits of
    ``estimator``.

    Requirements
    ------------
    Features that a linear model does well on; hundreds of samples, or no gain can be shown.

    Notes
    -----
    At most three steps are the paper's; their length is its 0.1, made relative.  What the judge
    asks (the class on held-out folds rather than the squared output; a gain that is clear at 95 %)
    was settled while looking at digits and CIFAR-10 embeddings, clean and with wrong labels, in
    draws of other seeds than those of RESULTS.md, but from the same rows: there its figures are no
    test on data that were never seen.

    Relations
    ---------
    A penalty that is tuned alone often gives as much.  Labels that are wrong are better found and
    mended (:class:`LabelIssueFinder`) than weighed.

    References
    ----------
    .. [1] Dukler et al., "DIVA: Dataset Derivative of a Learning Task", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo import DivaReweighter
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 5))
    >>> y = np.where(X[:, 0] > 0, "up", "down")
    >>> y[:100] = np.where(X[:100, 1] > 0, "up", "down")  # a source that means something else
    >>> model = DivaReweighter().fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    >>> model.kept_, bool(model.sample_weight_[:100].mean() < model.sample_weight_[100:].mean())
    (True, True)
    """

    _constraints: ClassVar = {
        "estimator": Either((Choice((None,)), Having("fit", "an estimator"))),
        "n_steps": Either((Choice(("auto",)), Number(0, integer=True))),
        "step": Number(0.0, open_low=True),
        "normalize": Choice(("mean", "class", None)),
        "n_folds": Number(2, integer=True),
        "random_state": Number(integer=True),
    } | {
        name: DatasetDerivative._constraints[name]
        for name in (
            "outer_loss", "outer_temperature", "penalty", "fit_intercept", "scale", "targets"
        )
    }  # fmt: skip

    def __init__(
        self,
        estimator: Any = None,
        n_steps: str | int = "auto",
        step: float = 0.1,
        normalize: str | None = "mean",
        *,
        outer_loss: str | Callable[..., Any] = "squared",
        outer_temperature: float = 5.0,
        penalty: float | str = "loo",
        fit_intercept: bool = True,
        scale: str | None = "rms",
        targets: str = "auto",
        n_folds: int = 5,
        random_state: int = 0,
    ):
        self.estimator = estimator
        self.n_steps = n_steps
        self.step = step
        self.normalize = normalize
        self.outer_loss = outer_loss
        self.outer_temperature = outer_temperature
        self.penalty = penalty
        self.fit_intercept = fit_intercept
        self.scale = scale
        self.targets = targets
        self.n_folds = n_folds
        self.random_state = random_state

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
    ) -> DivaReweighter:
        """Find weights, and train with them.

        Parameters
        ----------
        X : table or matrix of shape (n_samples, n_features)
        y : as ``targets`` says, of length n_samples
        sample_weight : array-like of shape (n_samples,), optional
            Where the steps start; default 1.
        X_val, y_val : optional
            A trusted validation set, whose loss is descended instead of the leave-one-out loss.
        groups : array-like of shape (n_samples,), optional
            Samples of one group are left out together, and are in one fold.

        Raises
        ------
        MakedoInputError
            As :meth:`DatasetDerivative.fit`; an estimator that takes no ``sample_weight``.
        """
        self._check_parameters()
        matrix, self.ids_ = read_rows(self, X, reset=True, dtype=None)
        if getattr(y, "shape", ())[1:] == (1,):
            y = column_or_1d(y, warn=True)
        targets = self._read_targets(y, matrix.shape[0])
        problem = self._problem(matrix, targets, sample_weight, X_val, y_val, groups)
        self._learn(targets)
        path = self._follow(problem)
        given, checked = self._given(X, y, problem.X, problem.y), None
        if self.n_steps == "auto":
            judge = given
            if problem.validation is not None:
                judge = self._given(X_val, y_val, *problem.validation)
            checked = self._check(problem, given, judge)
        self.n_steps_ = len(path) - 1 if checked is None else checked.n_steps
        self.sample_weight_, head = path[self.n_steps_]
        self.kept_ = self.n_steps_ > 0
        self.history_ = _history(path, checked)
        self.verdict_ = (
            checked.verdict if checked else f"{count(self.n_steps_, 'step')}, unchecked."
        )
        self.penalty_, self.coef_, self.intercept_ = head.penalty_, head.coef_, head.intercept_
        if self.estimator is not None:
            self.estimator_ = self._train(given, self.sample_weight_)
        self.fingerprint_ = fingerprint(matrix, targets.Y)
        return self

    @property
    def _wanted_kind(self) -> str:
        """What y holds: as said, else numbers for a regressor and classes for any other."""
        if self.targets != "auto":
            return self.targets
        regression = self.estimator is not None and is_regressor(self.estimator)
        return "values" if regression else "classes"

    def _read_targets(self, y: Any, n_rows: int) -> Targets:
        """What y holds; without an estimator that says so, numbers are not taken for classes."""
        owner = type(self).__name__
        if self.targets == "auto" and self.estimator is None:
            found = read_targets(owner, y, n_rows)
            if found.kind == "values":
                raise MakedoInputError(
                    f'{owner}: y is continuous. Pass targets="values" if these are numbers to '
                    "predict; if they are names of classes, give them as text."
                )
            if found.kind != "classes":
                raise MakedoInputError(
                    f"{owner}: y holds {MEANING[found.kind]}. Say so, by targets={found.kind!r}."
                )
            return found
        return read_targets(owner, y, n_rows, self._wanted_kind)

    def _problem(
        self,
        matrix: Any,
        targets: Targets,
        sample_weight: Any,
        X_val: Any,
        y_val: Any,
        groups: Any,
    ) -> Problem:
        """What the head learns from; what a wrapped estimator cannot do is refused."""
        owner = type(self).__name__
        if self.estimator is not None and not has_fit_parameter(self.estimator, "sample_weight"):
            raise MakedoInputError(
                f"{owner}: fit of {type(self.estimator).__name__} takes no sample_weight. Take an "
                "estimator that does, for example LogisticRegression or Ridge."
            )
        if self.normalize == "class" and targets.kind != "classes":
            raise MakedoInputError(
                f'{owner}: normalize="class" needs classes. Take "mean" for {targets.kind}.'
            )
        n = len(targets.Y)
        alpha = read_weights(owner, sample_weight, n)
        validation = None
        if (X_val is None) != (y_val is None):
            raise MakedoInputError(
                f"{owner}: {'y_val without X_val' if X_val is None else 'X_val without y_val'}. "
                "Give both, or neither."
            )
        if X_val is not None:
            rows, _ = read_rows(self, X_val, dtype=None)
            found = match_targets(owner, y_val, rows.shape[0], targets)
            validation = (rows, _learnable(found))
        groups = None if groups is None else group_codes(owner, groups, n)
        return Problem(matrix, _learnable(targets), alpha, groups, validation)

    def _learn(self, targets: Targets) -> None:
        self.kind_, self.output_names_ = targets.kind, targets.names
        self.__dict__.pop("classes_", None)
        if targets.kind == "classes":
            self.classes_ = targets.names

    def _follow(self, problem: Problem) -> list[tuple[np.ndarray, DatasetDerivative]]:
        head = DatasetDerivative(
            penalty=self.penalty,
            fit_intercept=self.fit_intercept,
            outer_loss=self.outer_loss,
            outer_temperature=self.outer_temperature,
            scale=self.scale,
            targets=self.kind_,
        )
        n_steps = MOST_STEPS if self.n_steps == "auto" else int(self.n_steps)
        return follow(problem, head, n_steps, self.step, self.normalize)

    def _given(self, X: Any, y: Any, matrix: Any, labels: np.ndarray) -> Given:
        """What is learnt from or asked: the user's own for an estimator, data frame or matrix."""
        if self.estimator is None:
            return Given(matrix, labels)
        y = y if isinstance(y, (pd.Series, pd.DataFrame)) else np.asarray(y)
        return Given(matrix if self.table_ is None else X, y)

    def _train(self, given: Given, weights: np.ndarray) -> Any:
        model: Any = clone(self.estimator)
        return model.fit(given.X, given.y, sample_weight=weights)

    # --- the independent criterion ----------------------------------------------------------------

    def _check(self, problem: Problem, given: Given, judge: Given) -> Check:
        """Errors on held-out samples, with weights whose gradient did not see them.

        given, judge : what the model learns from, and what it is asked.
        """
        rng = generator(self.random_state, "folds")
        missed = np.full((MOST_STEPS + 1, len(judge.y)), np.nan)
        for part, rows, held in splits(problem, self.n_folds, rng):
            if not len(held) or not can_learn(part):
                return Check(missed, 0, None)
            with warnings.catch_warnings():  # what is wrong with all rows has been said
                warnings.simplefilter("ignore", MakedoWarning)
                for k, (alpha, head) in enumerate(self._follow(part)):
                    alone = self.estimator is None
                    model = head if alone else self._train(given.take(rows), alpha)
                    asked = judge.take(held)
                    missed[k, held] = errors(model.predict(asked.X), asked.y, self.kind_)
        if problem.validation is None:
            missed[:, problem.alpha == 0] = np.nan  # rows that are not to count
        falls = np.diff(np.nanmean(missed, axis=1)) < 0
        n_steps = len(falls) if falls.all() else int(falls.argmin())
        groups = problem.groups if problem.validation is None else None
        gain = gain_of(missed, max(1, n_steps), groups)
        return Check(missed, n_steps if gain.clear > 0 else 0, gain)

    # --- using ------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> np.ndarray:
        """Outputs of the head, (n_rows, n_outputs)."""
        matrix, _ = read_rows(self, X, dtype=None)
        return np.asarray(matrix @ self.coef_.T) + self.intercept_

    def predict(self, X: Any) -> np.ndarray:
        """Classes, labels of 0 and 1, shares or numbers, by the weighted model."""
        check_is_fitted(self)
        if self.estimator is not None:
            return self.estimator_.predict(X)
        F = self._outputs(X)
        if self.kind_ == "classes":
            return self.classes_[F.argmax(1)]
        if self.kind_ == "multilabel":
            return (F > 0.5).astype(np.int64)
        return F[:, 0] if F.shape[1] == 1 else F

    @available_if(_can("predict_proba"))
    def predict_proba(self, X: Any) -> np.ndarray:
        """Class probabilities of the wrapped estimator, (n_rows, n_classes)."""
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @available_if(_can("decision_function"))
    def decision_function(self, X: Any) -> np.ndarray:
        """Outputs of the head (n_rows, n_outputs), or what the wrapped estimator gives.

        Two classes: the output of the second minus that of the first, (n_rows,).
        """
        check_is_fitted(self)
        if self.estimator is not None:
            return self.estimator_.decision_function(X)
        F = self._outputs(X)
        return F[:, 1] - F[:, 0] if self.kind_ == "classes" and F.shape[1] == 2 else F

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy (all labels of a row right), or R² for shares and numbers."""
        measure = r2_score if self.kind_ in ("values", "soft") else accuracy_score
        return float(measure(y, self.predict(X), sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = tags.input_tags.sparse = True
        if self._wanted_kind == "values":
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        else:
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        return tags

    def _card(self) -> str:
        return (
            f"{self.verdict_}\n\nweights.safetensors holds the weight of each training row, "
            "tables.parquet the ids of the rows. Neither holds features or labels of rows."
        )

    def _restore(self, state: dict[str, Any]) -> None:
        table = state.pop("table_")
        super()._restore(state)
        self.table_ = None if table is None else TableEncoder.from_state(table)
        c = len(self.output_names_)
        learnt: Any = self
        refuse_misfits(
            self,
            n_features_in_=Number(1, integer=True).accepts(learnt.n_features_in_),
            kind_=self.kind_ in KINDS and (self.kind_ == "classes") == hasattr(self, "classes_"),
            coef_=np.ndim(self.coef_) == 2 and len(self.coef_) == c,
            intercept_=np.shape(self.intercept_) == (c,),
            sample_weight_=np.shape(self.sample_weight_) == (len(self.ids_),),
        )


def _learnable(targets: Targets) -> np.ndarray:
    """Classes (N,), or targets (N, c): what the head is given as y."""
    return targets.Y if targets.kind != "classes" else targets.names[targets.codes]


def _history(path: Path, checked: Check | None) -> pd.DataFrame:
    """A row for each set of weights that was tried."""
    frame = pd.DataFrame(
        {
            "step": range(len(path)),
            "outer_loss": [head.loss_ for _, head in path],
            "penalty": [head.penalty_ for _, head in path],
            "n_zero": [int((alpha == 0).sum()) for alpha, _ in path],
        }
    )
    return frame.assign(held_out=np.nan if checked is None else checked.held_out)
