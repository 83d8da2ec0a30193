"""Which labels are wrong?  Scores from leave-one-out predictions, and where to draw the line.

Dukler et al. (2022, section 4.2) flag a sample whose derivative is not negative: with more weight
on it the others are predicted worse.  The leave-one-out predictions that the derivative needs give
two simpler scores at no cost, the margin and the self-confidence.  The derivative asks whether a
sample hurts *others*; for the question whether its label is wrong the margin ranks at least as well
on all data that we measured, so it is the default (RESULTS.md).

Not in the paper: the threshold "auto" (:func:`.label_scores.share_of_wrong_labels`), several labels
a row, soft labels, numbers, groups, and predictions of the user's own model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.special import ndtri
from sklearn.utils.validation import check_is_fitted

from makedo.core.checks import Choice, Either, MakedoInputError, Number, count, first
from makedo.core.estimator import Estimator
from makedo.core.persistence import fingerprint
from makedo.methods.diva.estimator import DatasetDerivative
from makedo.methods.diva.label_scores import (
    margins,
    most_suspicious,
    of_given,
    share_of_wrong_labels,
    standardised,
)
from makedo.methods.diva.remembering import refuse_misfits
from makedo.methods.diva.targets import Targets, class_codes, in_order, read_targets

SCORES = {  # what can be asked of each kind of target, without features and with them
    "classes": (("margin", "self_confidence"), ("derivative", "ensemble")),
    "soft": (("margin", "self_confidence"), ("derivative", "ensemble")),
    "multilabel": (("margin", "self_confidence"), ()),
    "values": (("residual",), ("derivative",)),
}
KIND_NAMES = {
    "classes": "classes",
    "soft": "soft labels",
    "multilabel": "several labels a row, where each is scored",
    "values": "numbers",
}


# --- the estimator --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Predictions:
    """What a model that did not see a sample says of it."""

    targets: Targets
    F: np.ndarray  # (N, c)
    ids: pd.Index
    gradient: np.ndarray | None = None  # (N,); None: from a model of the user's


class LabelIssueFinder(Estimator):
    r"""Rank the samples of a table by how likely their label is wrong.

    A ridge head predicts each sample without having seen it, all of them from one solution [1]_:

    .. math:: f_i^{-i} = y_i - \frac{y_i - W^\top z_i}{1 - \alpha_i h_i}

    Nothing is deleted: look at the samples, then decide.

    Parameters
    ----------
    score : {"margin", "self_confidence", "derivative", "ensemble", "residual"}, default="margin"
        What the ranking goes by; higher is more suspicious.  "margin": largest output of the other
        classes minus that of the given one.  "self_confidence": 1 minus the output of the given
        class.  "derivative": what more weight on the sample does to the loss of the others.
        "ensemble": mean rank of these three.  "residual", for numbers, where "margin" means it too:
        distance from the prediction in robust standard deviations.
    threshold : {"auto", "zero"} or float, default="auto"
        What ``is_issue`` says.  "auto" estimates how many labels are wrong from what labels drawn
        at random would score, and marks as many, though no label that is predicted; for numbers it
        marks residuals so large that half a one is expected among as many normal ones.  "zero" is
        for "margin", where it marks samples of which another class is predicted, and for
        "derivative", where it is the rule of the paper, scores from 0.  A number is the expected
        share of wrong labels, in [0, 1].
    penalty : float or "loo", default="loo"
        :math:`\lambda`; "loo" has the least leave-one-out squared error.
    outer_loss : str or callable, default="mae"
        Of the derivative, as in :class:`DatasetDerivative`.  "mae" is bounded: wrong labels among
        the samples that are predicted count less.  For numbers "huber" or "squared".
    outer_temperature : float, default=5.0
        Of the outer loss.
    fit_intercept : bool, default=True
    scale : {"rms", "standardize", None}, default="rms"
        Of the features, as in :class:`DatasetDerivative`.
    targets : {"auto", "classes", "multilabel", "soft", "values"}, default="auto"
        What y holds.

    Attributes
    ----------
    issues_ : DataFrame
        A row for each sample, in the order and with the ids of X: score, given, suggested (what is
        predicted without the sample), rank (1 is the most suspicious), is_issue.  Several labels or
        numbers a sample: a row for each of them, with the name of the column in the index.
    score_ : str, the score that was used
    noise_rate_ : float, share of labels that are marked
    verdict_ : str, that in a sentence
    kind_ : str, what y holds
    output_names_ : ndarray, the classes, or the columns of y
    scores_, given_, suggested_, marked_ : ndarray, the columns of ``issues_``
    ids_ : Index, the ids of the samples

    Shapes
    ------
    X (n_samples, n_features) · y (n_samples,) or (n_samples, n_outputs) ·
    pred_probs (n_samples, n_classes) · issues_: n_samples rows, or n_samples · n_outputs

    Cost
    ----
    O(n_samples · n_features²), once; no model is trained again.

    Requirements
    ------------
    Features that a linear model does well on, and that were not trained on the labels in doubt.  A
    copy of a sample with the same wrong label vouches for it: give ``groups``.

    Relations
    ---------
    cleanlab ranks by "self_confidence" or the margin too, from probabilities that the user computes
    by cross-validation; give them as ``pred_probs`` and the ranking is the same.
    :meth:`to_cleanlab` gives its columns.

    References
    ----------
    .. [1] Dukler et al., "DIVA: Dataset Derivative of a Learning Task", ICLR 2022, Proposition 3.

    Examples
    --------
    >>> import numpy as np
    >>> from makedo import LabelIssueFinder
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(90) % 3
    >>> X = rng.normal(size=(90, 5)) + 4 * np.eye(3, 5)[y]
    >>> y[7] = 2  # was 1
    >>> finder = LabelIssueFinder().fit(X, y)
    >>> finder.issues_.query("is_issue")[["given", "suggested", "rank"]]
       given  suggested  rank
    7      2          1     1
    """

    _constraints: ClassVar = {
        "score": Choice(("margin", "self_confidence", "derivative", "ensemble", "residual")),
        "threshold": Either((Choice(("auto", "zero")), Number(0, 1))),
    } | {
        name: DatasetDerivative._constraints[name]
        for name in (
            "penalty", "outer_loss", "outer_temperature", "fit_intercept", "scale", "targets"
        )
    }  # fmt: skip

    def __init__(
        self,
        score: str = "margin",
        threshold: str | float = "auto",
        *,
        penalty: float | str = "loo",
        outer_loss: str | Callable[..., Any] = "mae",
        outer_temperature: float = 5.0,
        fit_intercept: bool = True,
        scale: str | None = "rms",
        targets: str = "auto",
    ):
        self.score = score
        self.threshold = threshold
        self.penalty = penalty
        self.outer_loss = outer_loss
        self.outer_temperature = outer_temperature
        self.fit_intercept = fit_intercept
        self.scale = scale
        self.targets = targets

    def fit(
        self, X: Any = None, y: Any = None, *, groups: Any = None, pred_probs: Any = None
    ) -> LabelIssueFinder:
        """Score every label.

        Parameters
        ----------
        X : table or matrix of shape (n_samples, n_features)
            Left out where ``pred_probs`` are given.
        y : classes, columns of 0 and 1, soft labels or numbers, of length n_samples
        groups : array-like of shape (n_samples,), optional
            Samples of one group (copies, one patient) do not vouch for each other.
        pred_probs : data frame or array of shape (n_samples, n_classes), optional
            Out-of-sample predictions of a model of your own, instead of X.  Columns in the order of
            the sorted classes, or named by them.  For numbers: the predictions.

        Raises
        ------
        MakedoInputError
            X and ``pred_probs`` both or neither, a score that the kind of labels does not have,
            missing labels, lengths or classes that do not match.
        """
        self._check_parameters()
        if (X is None) == (pred_probs is None):
            raise MakedoInputError(
                f"{type(self).__name__}.fit: give either X, or pred_probs of a model of your own. "
                f"Got {'neither' if X is None else 'both'}."
            )
        if groups is not None and pred_probs is not None:
            raise MakedoInputError(
                f"{type(self).__name__}.fit: groups are for X. Your pred_probs must come from a "
                "model that saw nothing of a row's group; leave groups out."
            )
        found = self._predict(X, y, groups) if pred_probs is None else self._take(y, pred_probs)
        targets = found.targets
        self.kind_, self.output_names_, self.ids_ = targets.kind, targets.names, found.ids
        self.score_ = self._score_of(targets, found.gradient is not None)
        self.scores_, wrong = self._scored(found)
        self.given_, self.suggested_ = _words(targets, targets.Y), _words(targets, found.F)
        if self.scores_.ndim == 1 and targets.kind in ("multilabel", "values"):
            self.given_, self.suggested_ = self.given_[:, 0], self.suggested_[:, 0]
        self.marked_ = self._mark(found, wrong)
        self.noise_rate_ = float(self.marked_.mean())
        self.verdict_ = _verdict(self.marked_)
        self.fingerprint_ = fingerprint(targets.Y, found.F)
        return self

    # --- predictions ------------------------------------------------------------------------------

    def _predict(self, X: Any, y: Any, groups: Any) -> Predictions:
        """By a ridge head without the sample."""
        wants_derivative = self.score in ("derivative", "ensemble")
        head: Any = DatasetDerivative(
            penalty=self.penalty,
            fit_intercept=self.fit_intercept,
            outer_loss=self.outer_loss if wants_derivative else "squared",
            outer_temperature=self.outer_temperature,
            scale=self.scale,
            targets=self.targets,
        ).fit(X, y, groups=groups)
        if head.kind_ == "classes":
            Y = np.eye(len(head.classes_))[head.y_]
            targets = Targets("classes", Y, head.classes_, head.y_)
        else:
            targets = Targets(head.kind_, head.y_, head.output_names_, None)
        return Predictions(targets, head.loo_predictions_, head.ids_, head.gradient_)

    def _take(self, y: Any, pred_probs: Any) -> Predictions:
        """From a model of the user's."""
        owner = f"{type(self).__name__}.fit"
        frame = isinstance(pred_probs, pd.DataFrame)
        named = [str(name) for name in pred_probs.columns] if frame else None
        try:
            F = np.asarray(pred_probs, dtype=float)
        except (TypeError, ValueError) as error:
            raise MakedoInputError(
                f"{owner}: pred_probs holds values that are not numbers ({str(error)[:80]})."
            ) from error
        F = F[:, None] if F.ndim == 1 else F
        if F.ndim != 2:
            raise MakedoInputError(
                f"{owner}: pred_probs must have a column for each class. Got shape {F.shape}."
            )
        if not np.isfinite(F).all():
            raise MakedoInputError(
                f"{owner}: pred_probs holds {count(int((~np.isfinite(F)).sum()), 'number')} that "
                "are NaN or infinite. Every sample needs a prediction by a model that has not seen "
                "it."
            )
        targets = read_targets(owner, y, len(F), self.targets)
        if targets.kind == "classes":
            targets = _match_columns(owner, y, targets, F, named)
        elif F.shape != targets.Y.shape:
            raise MakedoInputError(
                f"{owner}: pred_probs has shape {F.shape}, the labels {targets.Y.shape}. Give one "
                "column for each column of y."
            )
        else:
            F = np.asarray(in_order(owner, pred_probs, targets.names), dtype=float).reshape(F.shape)
        return Predictions(targets, F, _shared_ids(owner, y, pred_probs, len(F)))

    # --- scores -----------------------------------------------------------------------------------

    def _score_of(self, targets: Targets, with_features: bool) -> str:
        """The score to use for this kind of labels, or an error."""
        kind = targets.kind
        wanted = "residual" if kind == "values" and self.score == "margin" else self.score
        alone, featured = SCORES[kind]
        if kind == "values" and targets.Y.shape[1] > 1:
            featured = ()  # a derivative is of the sample, not of one of its numbers
        if wanted in alone or (wanted in featured and with_features):
            return wanted
        if wanted in featured:
            why = "needs the features. Give X instead of pred_probs"
        else:
            usable = (*alone, *(featured if with_features else ()))
            why = f"is not a score of {KIND_NAMES[kind]}. Take one of {first(usable, 9)}"
        raise MakedoInputError(f"{type(self).__name__}: score={wanted!r} {why}.")

    def _scored(self, found: Predictions) -> tuple[np.ndarray, np.ndarray]:
        """Scores (N,), or (N, c) where each column has its own, and margins of wrong labels."""
        targets, F, Y = found.targets, found.F, found.targets.Y
        if targets.kind == "values":
            if self.score_ == "derivative":
                assert found.gradient is not None
                return found.gradient, np.empty(0)
            scores = standardised(Y - F)
            return scores[:, 0] if scores.shape[1] == 1 else scores, np.empty(0)
        if targets.kind == "multilabel":
            miss = np.where(Y > 0, 1 - F, F)  # 1 minus the output of the given one
            return (2 * miss - 1 if self.score_ == "margin" else miss), (1 - 2 * miss).ravel()
        every = margins(F)
        margin, wrong = of_given(every, Y), every[Y < Y.max(1, keepdims=True)]
        parts = {
            "margin": margin,
            "self_confidence": 1 - of_given(F, Y),
            "derivative": found.gradient,
        }
        if self.score_ != "ensemble":
            scores = parts[self.score_]
            assert scores is not None
            return scores, wrong
        return pd.DataFrame(parts).rank(pct=True).mean(axis=1).to_numpy(), wrong

    def _mark(self, found: Predictions, wrong: np.ndarray) -> np.ndarray:
        """Which labels to look at, of the shape of the scores."""
        scores, owner = self.scores_, type(self).__name__
        if self.threshold == "zero":
            if self.score_ not in ("margin", "derivative"):
                raise MakedoInputError(
                    f'{owner}: threshold="zero" has a meaning for the scores "margin" and '
                    f'"derivative". With {self.score_!r} take "auto", or the share of wrong labels '
                    "that you expect."
                )
            return scores >= 0 if self.score_ == "derivative" else scores > 0
        if self.threshold != "auto":
            return most_suspicious(scores, round(float(self.threshold) * scores.size))
        if self.kind_ == "values":
            residuals = standardised(found.targets.Y - found.F).reshape(scores.shape)
            n = int((residuals > -ndtri(0.25 / scores.size)).sum())
            return most_suspicious(scores, n)
        if self.kind_ == "multilabel":
            given = -wrong  # of two labels the wrong one has the margin of the given one, negated
        else:
            given = of_given(margins(found.F), found.targets.Y)
        share = share_of_wrong_labels(given, wrong)
        return most_suspicious(scores, round(share * scores.size)) & (
            self.given_ != self.suggested_
        )

    # --- what was found ---------------------------------------------------------------------------

    @property
    def issues_(self) -> pd.DataFrame:
        """A row for each label, in the user's order."""
        check_is_fitted(self, "scores_")
        rank = np.empty(self.scores_.size, dtype=np.int64)
        rank[np.argsort(-self.scores_.ravel(), kind="stable")] = np.arange(1, len(rank) + 1)
        index = self.ids_
        if self.scores_.ndim == 2:
            row, column = np.indices(self.scores_.shape).reshape(2, -1)
            index = pd.MultiIndex.from_arrays(
                [self.ids_[row], self.output_names_[column]],
                names=[self.ids_.name, "label" if self.kind_ == "multilabel" else "output"],
            )
        return pd.DataFrame(
            {
                "score": self.scores_.ravel(),
                "given": self.given_.ravel(),
                "suggested": self.suggested_.ravel(),
                "rank": rank,
                "is_issue": self.marked_.ravel(),
            },
            index=index,
        )

    def to_cleanlab(self) -> pd.DataFrame:
        """The same in the columns of cleanlab.

        They are is_label_issue, label_quality, given_label and predicted_label.  The quality is
        lower where the label is more suspicious, and ranks as ``score`` does.  For "margin" and
        "self_confidence" it is cleanlab's formula, in [0, 1] for probabilities (a ridge's outputs
        may leave that range a little); for "residual" exp(−score), for the others the share of
        labels that are more suspicious.
        """
        issues = self.issues_
        score = issues["score"]
        quality = {
            "margin": (1 - score) / 2,
            "self_confidence": 1 - score,
            "residual": np.exp(-score),
        }.get(self.score_, (issues["rank"] - 0.5) / len(issues))
        return pd.DataFrame(
            {
                "is_label_issue": issues["is_issue"],
                "label_quality": quality,
                "given_label": issues["given"],
                "predicted_label": issues["suggested"],
            }
        )

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        shape = np.shape(self.scores_)
        refuse_misfits(
            self,
            score_=any(self.score_ in (*alone, *featured) for alone, featured in SCORES.values()),
            scores_=np.asarray(self.scores_).dtype.kind == "f"
            and shape in ((len(self.ids_),), (len(self.ids_), len(self.output_names_))),
            **{
                name: np.shape(getattr(self, name)) == shape
                for name in ("given_", "suggested_", "marked_")
            },
        )

    def _card(self) -> str:
        return (
            f"{self.verdict_} tables.parquet and weights.safetensors hold the ids and labels of "
            "the user's rows; the features are not stored."
        )


def _shared_ids(owner: str, y: Any, pred_probs: Any, n_rows: int) -> pd.Index:
    """The ids that y or the predictions bring, the same ones if both do."""
    found = [one.index for one in (y, pred_probs) if isinstance(one, (pd.Series, pd.DataFrame))]
    if len(found) == 2 and not found[0].equals(found[1]):
        raise MakedoInputError(
            f"{owner}: y and pred_probs have different ids (first: {first(found[0])}; "
            f"{first(found[1])}). Put them in the same order, for example by "
            "pred_probs.loc[y.index]."
        )
    return found[0] if found else pd.RangeIndex(n_rows)


def _match_columns(
    owner: str, y: Any, targets: Targets, F: np.ndarray, named: list[str] | None
) -> Targets:
    """The given classes by the columns of ``pred_probs``, which may have more."""
    classes = targets.names
    if named is not None and set(map(str, classes)) <= set(named):
        by_name = {str(label): label for label in classes.tolist()}
        names: np.ndarray = np.array([by_name.get(name, name) for name in named], dtype=object)
        names = names.astype(classes.dtype) if len(names) == len(classes) else names
    elif F.shape[1] == len(classes):
        return targets
    elif classes.dtype.kind in "iu" and classes[0] >= 0 and classes[-1] < F.shape[1]:
        names = np.arange(F.shape[1])
    else:
        raise MakedoInputError(
            f"{owner}: pred_probs has {count(F.shape[1], 'column')}, y has "
            f"{count(len(classes), 'class', 'classes')} (first: {first(classes)}). Give a column "
            "for each class, or a data frame whose columns are named by the classes."
        )
    codes = class_codes(owner, y, len(F), names)
    return Targets("classes", np.eye(len(names))[codes], names, codes)


def _words(targets: Targets, F: np.ndarray) -> np.ndarray:
    """Outputs, or given labels in their form, as the user writes labels."""
    if targets.kind in ("classes", "soft"):
        return targets.names[F.argmax(1)]
    return (F > 0.5).astype(np.int64) if targets.kind == "multilabel" else F


def _verdict(marked: np.ndarray) -> str:
    n, of = int(marked.sum()), marked.size
    if not n:
        return f"None of {count(of, 'label')} stands out as wrong."
    verb = "looks" if n == 1 else "look"
    return f"{count(n)} of {count(of, 'label')} ({n / of:.1%}) {verb} wrong: see them first."
