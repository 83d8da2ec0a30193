r"""Extend: which samples of a pool to add to a training set, or to have labelled.

Dukler et al., "DIVA: Dataset Derivative of a Learning Task", ICLR 2022 (arXiv 2111.09785), the task
that it calls DIVA Extend.  Symbols as in :mod:`makedo.methods.diva.estimator`: the core has weight
α = 1, the pool α = 0, and the derivative at 0 says which pool samples would lower the outer loss.

What differs from the paper, and why:

* λ is chosen anew by leaving out whenever the training set has grown by a tenth: with a λ for few
  samples the larger set would look worse than it is.
* Of the samples that would help, the ones about which the head is least sure come first
  (``rank="margin"``).  The largest derivatives (the paper's order, ``rank="gain"``) are alike, and
  without a validation set they repeat what the core has: see the table "Extend" in RESULTS.md.
* A pool without labels, class quotas, and K-fold as outer loss are added.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import (
    Choice,
    Either,
    Function,
    MakedoInputError,
    MakedoWarning,
    Number,
    count,
)
from makedo.core.estimator import Estimator
from makedo.core.persistence import fingerprint
from makedo.core.seeds import generator
from makedo.data.table import TableEncoder
from makedo.methods.diva import derivative, inputs, outer_loss, penalty
from makedo.methods.diva.derivative import Derivative, slopes
from makedo.methods.diva.growing import GrowingHead, Stack, as_rows, rows_of
from makedo.methods.diva.outer_loss import LOSSES, MEANING, find_loss
from makedo.methods.diva.remembering import are_columns, refuse_misfits
from makedo.methods.diva.ridge import Head
from makedo.methods.diva.rows import Rows
from makedo.methods.diva.targets import KINDS, Targets

GROWTH = 1.1  # λ is chosen anew when the training set is this much larger
BATCH = 0.05  # of the pool, a round
FEW = 100  # rows of the core for each output; below, leaving out misleads: RESULTS.md


# --- one round ------------------------------------------------------------------------------------


def margins(F: np.ndarray) -> np.ndarray:
    """How sure the head is: its largest output less the second, (n,)."""
    top = np.partition(F, -2, axis=1)[:, -2:]
    return top[:, 1] - top[:, 0]


def ranked(gradient: np.ndarray, margin: np.ndarray | None) -> np.ndarray:
    """Positions, best first: by derivative, or helpful ones before others and then by margin."""
    if margin is None:
        return np.argsort(gradient, kind="stable")
    return np.lexsort((margin, gradient >= 0))


def within_quota(order: np.ndarray, codes: np.ndarray, room: np.ndarray) -> np.ndarray:
    """``order`` without those for whose class there is no room left, ``room`` (n_classes,)."""
    place = pd.Series(codes[order]).groupby(codes[order]).cumcount().to_numpy()
    return order[place < room[codes[order]]]


def sharpness(F: np.ndarray, codes: np.ndarray) -> float:
    """β with the least mean −log softmax(β F) of the labels; F predicted without the row itself."""

    def loss(log_beta: float) -> float:
        Y = np.eye(F.shape[1])[codes]
        return float(outer_loss.cross_entropy(F, Y, np.exp(log_beta))[0].mean())

    found: Any = minimize_scalar(loss, bounds=(-2, 6), method="bounded")
    return float(np.exp(found.x))


# --- the estimator --------------------------------------------------------------------------------


class DivaSelector(Estimator):
    r"""Choose from a pool the samples that help a training set, or those worth a label.

    The derivative of the outer loss (on a validation set, or of leaving core samples out) by the
    weight of a pool sample, at weight 0 [1]_:

    .. math:: g_m = (z_m^T M) \cdot (y_m - W^T z_m) + \text{(leaving out only)} \; z_m^T T z_m

    A negative one means that the sample helps.  A batch of helpful samples joins the training set,
    everything is computed anew, and so on until none helps or the budget is spent.

    Parameters
    ----------
    budget : int or None, default=None
        The most samples to choose; None: as many as help.
    batch : int or "auto", default="auto"
        Samples a round; "auto" is 5 % of the pool.  1 computes everything anew after each sample,
        by an exact rank-one update: slower, and the choice is more varied.
    rank : {"auto", "margin", "gain"}, default="auto"
        Which of the helpful samples come first.  "gain", as in the paper: those with the most
        negative derivative.  "margin": those whose two likeliest classes are closest.  "auto" is
        "margin" for classes, else "gain".
    quota : {None, "class"}, default=None
        "class": the choice has the class shares of the validation set (or of the core).
    stop : {"no_gain", "budget"}, default="no_gain"
        "no_gain": when no derivative is negative.  "budget": the helpful first, then others, until
        the budget is spent.
    criterion : {"auto", "loo", "kfold"}, default="auto"
        The outer loss without a validation set: of core samples, each predicted without itself
        ("loo", and "auto"), or without its fold ("kfold").
    n_folds : int, default=5
        Of "kfold".
    penalty : float or "loo", default="loo"
        λ.  "loo": with the least squared leave-one-out error of the training set, chosen anew when
        that has grown by a tenth.
    fit_intercept : bool, default=True
        Without a penalty on it.
    outer_loss : str or callable, default="squared"
        As for :class:`DatasetDerivative`.  "mae" is bounded: for a pool or core with wrong labels.
    outer_temperature : float, default=5.0
        As for :class:`DatasetDerivative`.
    scale : {"rms", "standardize", None}, default="rms"
        How features are scaled, by the mean and spread of the core.
    targets : {"auto", "classes", "multilabel", "soft", "values"}, default="auto"
        What y holds.
    block_size : int or None, default=None
        Rows that are worked on at once.
    dtype : {"float64", "float32"}, default="float64"
        Of the products of a block.
    random_state : int, default=0
        Draws the folds.

    Attributes
    ----------
    history_ : DataFrame, a row a round: n_chosen so far, outer loss, penalty, n_helpful left; after
        ``fit`` the core alone, after ``select`` the rounds of that pool
    stopped_ : {"budget", "no_gain", "quota", "pool"}, why ``select`` ended ("pool": all chosen)
    penalty_ : float, λ of the core
    kind_ : {"classes", "multilabel", "soft", "values"}, what y held
    classes_ : ndarray (n_classes,), only for classes
    output_names_ : ndarray (n_outputs,)
    core_, core_targets_ : ndarray (n_core, n_features) scaled, (n_core, n_outputs)
    valid_, valid_targets_ : the same of the validation set, or None
    mean_, scale_ : ndarray (n_features,), what features are centred by and divided by
    label_column_, group_column_ : str or None, columns of X that are no features

    Shapes
    ------
    X (n_core, n_features) · X_val (n_valid, n_features) · X_pool (n_pool, n_features) ·
    select -> DataFrame (n_chosen, 2), indexed by the ids of the pool

    Cost
    ----
    With N rows of core and pool: O(N · D²) for each factorisation, O(N · D · k) for a batch of k
    below D / 4.  Leaving out adds O(N · D²) a round.  3,000 rows of 256 features in batches of 100:
    about a tenth of a second a round on one core.

    Requirements
    ------------
    A core with all classes.  A validation set that can be trusted; without one a core of 100 rows
    a class, else there is a warning.  A pool without labels needs classes to guess.

    Relations
    ---------
    Where pool labels are right and free, take the whole pool: a chosen part of it was never better
    on our data.  Where validation labels can be spared for training, adding them is worth as much
    as the choice.  Uncertainty sampling is this without the derivative, and cannot tell wrong
    labels; for a pool without labels the two were about as good.

    References
    ----------
    .. [1] Dukler et al., "DIVA: Dataset Derivative of a Learning Task", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo import DivaSelector
    >>> rng = np.random.default_rng(0)
    >>> kind = rng.integers(0, 4, 900)                   # four clouds
    >>> X = 2 * rng.normal(size=(4, 8))[kind] + rng.normal(size=(900, 8))
    >>> y = np.array(["a", "b", "c", "d"])[kind]
    >>> noisy = y.copy()
    >>> noisy[500:700] = "a"                             # half of the pool: a bad annotator
    >>> selector = DivaSelector(budget=40).fit(X[:60], y[:60], X[60:500], y[60:500])
    >>> chosen = selector.select(X[500:], noisy[500:])   # index: positions in the pool
    >>> right = noisy[500:] == y[500:]
    >>> float(right.mean()), float(right[chosen.index].mean())
    (0.6125, 0.875)
    """

    _constraints: ClassVar = {
        "budget": Number(1, integer=True, none=True),
        "batch": Either((Choice(("auto",)), Number(1, integer=True))),
        "rank": Choice(("auto", "margin", "gain")),
        "quota": Choice((None, "class")),
        "stop": Choice(("no_gain", "budget")),
        "criterion": Choice(("auto", "loo", "kfold")),
        "n_folds": Number(2, integer=True),
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
        budget: int | None = None,
        *,
        batch: int | str = "auto",
        rank: str = "auto",
        quota: str | None = None,
        stop: str = "no_gain",
        criterion: str = "auto",
        n_folds: int = 5,
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
        self.budget = budget
        self.batch = batch
        self.rank = rank
        self.quota = quota
        self.stop = stop
        self.criterion = criterion
        self.n_folds = n_folds
        self.penalty = penalty
        self.fit_intercept = fit_intercept
        self.outer_loss = outer_loss
        self.outer_temperature = outer_temperature
        self.scale = scale
        self.targets = targets
        self.block_size = block_size
        self.dtype = dtype
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, X_val: Any = None, y_val: Any = None) -> DivaSelector:
        """Take the training set as it is, and what judges additions to it.

        Parameters
        ----------
        X, y : the core
            In the forms that :meth:`DatasetDerivative.fit` takes.
        X_val, y_val : optional
            A trusted validation set.  Without it core samples are predicted without themselves.

        Raises
        ------
        MakedoInputError
            As :meth:`DatasetDerivative.fit`; a quota or margin is asked for without classes; more
            folds than rows; a criterion is named beside a validation set.
        """
        self._check_parameters()
        data = inputs.read_training(self, X, y, None)
        targets = data.targets
        self.mean_, self.scale_ = data.rows.scaler.mean, data.rows.scaler.scale
        self.kind_, self.output_names_ = targets.kind, targets.names
        self.__dict__.pop("classes_", None)
        if targets.kind == "classes":
            self.classes_ = targets.names
        self.core_, self.core_targets_ = _features(data.rows), targets.Y
        self.valid_, self.valid_targets_ = None, None
        if X_val is not None or y_val is not None:
            rows, self.valid_targets_ = inputs.read_validation(self, X_val, y_val, data.rows)
            self.valid_ = _features(rows)
        self._check_choices()

        head = self._tuned(self._core(), targets.Y, np.arange(len(targets.Y)))
        inputs.check_leverage(self, head)
        self.penalty_ = head.penalty
        self.history_ = pd.DataFrame([_line(0, head, self._derivative(head))])
        self.fingerprint_ = fingerprint(self.core_, targets.Y)
        return self

    def select(self, X_pool: Any, y_pool: Any = None) -> pd.DataFrame:
        """Choose samples of a pool, the first ones first.

        Parameters
        ----------
        X_pool : rows as in :meth:`fit`
        y_pool : labels, optional
            With labels, rounds of ``batch`` samples until the budget is spent or none helps.

            Without labels there is one round, of ``budget`` samples (``batch`` without a budget):
            label them, add them to the core, and fit again.  The unknown label is taken to be drawn
            from p = softmax(β f), with β calibrated on left-out core samples; the expected
            derivative Σ_c p_c g(c) then says which samples to leave alone, and of the others the
            least certain come first.  (Under p = f itself the expected derivative of a validation
            loss is 0: what is asked for is where a calibrated head would move an uncalibrated one.)

        Returns
        -------
        DataFrame
            Indexed by the ids of the pool (positions, where it has none), in the order of choice.
            ``gain``: minus the derivative when it was chosen (the expected one, without labels), so
            positive where the outer loss falls.  ``round``: from 1.

        Raises
        ------
        MakedoInputError
            Another width or other columns than the core; labels that it does not have; no labels,
            and the core has no classes.
        """
        check_is_fitted(self)
        rows, Y, ids = inputs.read_pool(self, X_pool, y_pool)
        chosen = self._ask(rows) if Y is None else self._extend(rows, Y)
        at = chosen.pop("position").to_numpy(dtype=int)
        return chosen.set_axis(ids[at], axis=0)

    # --- with labels ------------------------------------------------------------------------------

    def _extend(self, rows: Rows, Y: np.ndarray) -> pd.DataFrame:
        """Rounds: the derivative, a batch of the pool at weight 1, the head anew."""
        core = self._core()
        stack, targets = Stack(core, rows), np.vstack([self.core_targets_, Y])
        codes = targets.argmax(1)
        training, fresh = np.arange(core.n_rows), np.arange(0)
        head: GrowingHead | None = None
        n_tuned, places, batches, lines = 0, 0, [], []
        while True:
            training = np.concatenate([training, fresh])
            if head is None or len(training) >= GROWTH * n_tuned:
                head, n_tuned = self._tuned(stack, targets, training), len(training)
            else:
                head.add(fresh)
            found = self._derivative(head)
            left = np.flatnonzero(head.alpha == 0)
            lines.append(_line(len(training) - core.n_rows, head, found, left))
            chosen = training[core.n_rows :]
            size = self._size(len(left), len(chosen))
            fresh, places = self._batch(found.gradient, head.F, codes, left, chosen, size, places)
            if not len(fresh):
                break
            batches.append((fresh - core.n_rows, -found.gradient[fresh]))
        self.stopped_ = self._why(found.gradient[left], len(chosen))
        self.history_ = pd.DataFrame(lines)
        return _frame(batches)

    # --- without labels ---------------------------------------------------------------------------

    def _ask(self, rows: Rows) -> pd.DataFrame:
        """One round: the expected derivative, and the least certain of those that should help."""
        if self.kind_ != "classes":
            raise MakedoInputError(
                f"DivaSelector: a pool without labels needs classes to guess, and y held "
                f"{MEANING[self.kind_]}. Give y_pool."
            )
        n_core = len(self.core_)
        head = self._tuned(self._core(), self.core_targets_, np.arange(n_core))
        found = self._derivative(head)
        beta = sharpness(derivative.left_out(head), self.core_targets_.argmax(1))
        F = rows.times(head.W)
        expected = slopes(rows, softmax(beta * F, axis=1) - F, found.linear, found.curvature)
        left, none = np.arange(rows.n_rows), np.arange(0)
        size = self._size(rows.n_rows, 0) if self.budget is None else self.budget
        chosen, _ = self._batch(expected, F, F.argmax(1), left, none, size, 0)
        self.stopped_ = "budget" if len(chosen) == size else self._why(expected, len(chosen))
        return _frame([(chosen, -expected[chosen])])

    # --- inside -----------------------------------------------------------------------------------

    def _batch(
        self,
        gradient: np.ndarray,
        F: np.ndarray,
        codes: np.ndarray,
        left: np.ndarray,
        chosen: np.ndarray,
        size: int,
        places: int,
    ) -> tuple[np.ndarray, int]:
        """Which of the rows ``left`` to choose now, at most ``size``, best first.

        places : how many were given out before; those of a class without helpful rows stay empty,
            so with a quota they may be more than ``chosen``.  They grow by ``size`` for the batch.
        """
        margin = margins(F[left]) if self._rank == "margin" else None
        order = left[ranked(gradient[left], margin)]
        if self.stop == "no_gain":
            order = order[gradient[order] < 0]
        if self.quota is None:
            return order[:size], places + size
        judges = self.core_targets_ if self.valid_targets_ is None else self.valid_targets_
        shares = judges.mean(0)
        there = np.bincount(codes[chosen], minlength=len(shares))
        most = len(left) + len(chosen) if self.budget is None else self.budget
        while size and places < most:
            places = min(places + size, most)
            batch = within_quota(order, codes, np.ceil(shares * places - 1e-9) - there)[:size]
            if len(batch):
                return batch, places
        return order[:0], places

    def _size(self, n_left: int, n_chosen: int) -> int:
        """Of the next batch."""
        auto = max(1, int(BATCH * (n_left + n_chosen)))
        size = auto if isinstance(self.batch, str) else self.batch
        return size if self.budget is None else min(size, self.budget - n_chosen)

    def _why(self, gradient: np.ndarray, n_chosen: int) -> str:
        """Why nothing more is chosen, given the derivatives of what is left."""
        if n_chosen == self.budget:
            return "budget"
        if not len(gradient):
            return "pool"
        return "no_gain" if self.stop == "no_gain" and (gradient >= 0).all() else "quota"

    @property
    def _rank(self) -> str:
        if self.rank == "auto":
            return "margin" if self.kind_ == "classes" else "gain"
        return self.rank

    def _core(self) -> Rows:
        return as_rows(self.core_, self.fit_intercept)

    def _tuned(self, rows: Rows, Y: np.ndarray, training: np.ndarray) -> GrowingHead:
        """The head of the training rows, with λ by leaving each of them out."""
        alpha = np.zeros(len(Y))
        alpha[training] = 1.0
        if not isinstance(self.penalty, str):
            return GrowingHead(rows, Y, alpha, float(self.penalty))
        n = len(training)
        penalties, losses = penalty.path(
            rows_of(rows, training), Y[training], np.ones(n), outer_loss.squared, np.full(n, 1 / n)
        )
        return GrowingHead(rows, Y, alpha, float(penalties[losses.argmin()]))

    def _derivative(self, head: Head) -> Derivative:
        """Of the loss on the validation set, or of core rows left out, by every weight."""
        n_core, c = self.core_targets_.shape
        known = Targets(self.kind_, self.core_targets_, self.output_names_, None)
        loss = find_loss(type(self).__name__, self.outer_loss, self.outer_temperature, known)
        if self.valid_ is not None and self.valid_targets_ is not None:
            valid, n = as_rows(self.valid_, self.fit_intercept), len(self.valid_)
            return derivative.on_validation(
                head, valid, self.valid_targets_, loss, np.full(n, 1 / n)
            )
        weights = np.zeros(len(head.Y))
        weights[:n_core] = 1 / n_core  # what was added does not judge
        if self.criterion != "kfold":
            return derivative.by_leaving_one_out(head, loss, weights)
        return derivative.by_leaving_groups_out(head, loss, weights, self._folds(n_core))

    def _folds(self, n_core: int) -> list[np.ndarray]:
        order = generator(self.random_state, "folds").permutation(n_core)
        return np.array_split(order, self.n_folds)

    def _check_choices(self) -> None:
        """What the parameters ask for must exist in this data."""
        n_core, c = self.core_targets_.shape
        if self.kind_ != "classes" and (self.quota == "class" or self.rank == "margin"):
            what = "quota='class'" if self.quota == "class" else "rank='margin'"
            raise MakedoInputError(
                f"DivaSelector: {what} needs one class a row, and y holds {MEANING[self.kind_]}."
            )
        if self.valid_ is not None and self.criterion != "auto":
            raise MakedoInputError(
                f"DivaSelector: criterion={self.criterion!r} is for a core without a validation "
                "set. Leave X_val and y_val out, or take criterion='auto'."
            )
        if self.criterion == "kfold" and self.n_folds > n_core:
            raise MakedoInputError(
                f"DivaSelector: n_folds={self.n_folds} is more than the "
                f"{count(n_core, 'row')} of the core."
            )
        if self.valid_ is None and n_core < FEW * c:
            warnings.warn(
                f"DivaSelector: no validation set, and a core of {count(n_core, 'row')} for "
                f"{count(c, 'output')}: left-out core rows then judge badly, and rank='gain' may "
                "choose worse than chance. Give X_val and y_val, or keep rank='margin', with "
                "outer_loss='mae' and quota='class' if labels may be wrong.",
                MakedoWarning,
                stacklevel=3,
            )

    def _restore(self, state: dict[str, Any]) -> None:
        if isinstance(state.get("table_"), dict):
            state["table_"] = TableEncoder.from_state(state["table_"])
        super()._restore(state)
        D, c = np.shape(self.core_)[1], len(self.output_names_)
        learnt: Any = self
        refuse_misfits(
            self,
            n_features_in_=Number(1, integer=True).accepts(learnt.n_features_in_),
            kind_=self.kind_ in KINDS and (self.kind_ == "classes") == hasattr(self, "classes_"),
            label_column_=are_columns(learnt.label_column_, learnt.group_column_),
            core_targets_=np.shape(self.core_targets_) == (len(self.core_), c),
            mean_=np.shape(self.mean_) == np.shape(self.scale_) == (D,),
            valid_=self.valid_ is None
            or np.shape(self.valid_)[1:] == (D,)
            and np.shape(learnt.valid_targets_) == (len(self.valid_), c),
        )

    def _card(self) -> str:
        return (
            "Chooses samples of a pool. `weights.safetensors` holds the features and labels of the "
            "core and of the validation set, row by row."
        )


def _features(rows: Rows) -> np.ndarray:
    """All rows, scaled, without the constant column, (n, n_features)."""
    return rows.take(np.arange(rows.n_rows))[:, : rows.n_features].copy()


def _line(
    n_chosen: int, head: Head, found: Derivative, left: np.ndarray | None = None
) -> dict[str, Any]:
    """A line of the history."""
    n_helpful = 0 if left is None else int((found.gradient[left] < 0).sum())
    return {
        "n_chosen": n_chosen,
        "loss": found.loss,
        "penalty": head.penalty,
        "n_helpful": n_helpful,
    }


def _frame(batches: list[tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """Positions and gains, batch by batch, as the answer of ``select``; "position" goes later."""
    return pd.DataFrame(
        {
            "position": np.concatenate([at for at, _ in batches] or [np.arange(0)]),
            "gain": np.concatenate([gain for _, gain in batches] or [np.empty(0)]),
            "round": np.repeat(np.arange(1, len(batches) + 1), [len(at) for at, _ in batches]),
        }
    )
