"""What the user gave, as the head takes it: rows, targets, weights, groups; checked.

``model`` is a :class:`makedo.methods.diva.estimator.DatasetDerivative`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first
from makedo.data.features import read_rows
from makedo.data.streams import drop_columns, is_loader, open_rows, read_loader, take_column
from makedo.methods.diva.derivative import Groups, share_left
from makedo.methods.diva.overlap import warn_of_shared
from makedo.methods.diva.penalty import SURE
from makedo.methods.diva.ridge import Head
from makedo.methods.diva.rows import Blocks, Rows, Scaler
from makedo.methods.diva.targets import Targets, match_targets, read_targets

LARGEST_GROUP = 10_000  # rows; the square of it is held
COARSE = 1e-3  # relative error of W that float32 may have


class Training(NamedTuple):
    """The training rows and what is known of them."""

    rows: Rows  # Z
    targets: Targets
    groups: np.ndarray | None  # the number of the group of each row, (N,)
    ids: pd.Index


def read_training(model: Any, X: Any, y: Any, groups: Any) -> Training:
    """Read what ``fit`` was given; the model keeps the names of columns that are no features."""
    owner = type(model).__name__
    model.label_column_ = y if isinstance(y, str) else None
    model.group_column_ = groups if isinstance(groups, str) else None
    X = open_rows(X)
    if isinstance(groups, str):
        groups = take_column(X, groups, "groups")
    X, y = _open(model, X, y)
    matrix, ids = read_rows(model, X, reset=True, dtype=None)
    n_rows, n_features = matrix.shape
    targets = read_targets(owner, y, n_rows, model.targets)
    codes = None if groups is None else group_codes(owner, groups, n_rows)
    _check_classes(owner, targets, codes)
    blocks = Blocks(matrix, model.dtype, model.block_size)
    scaler = Scaler.fit(blocks, n_rows, n_features, model.scale, centre=model.fit_intercept)
    _check_columns(owner, scaler)
    return Training(Rows(blocks, scaler, model.fit_intercept), targets, codes, ids)


def read_new(model: Any, X: Any) -> Rows:
    """Other rows as the head sees them."""
    return _scaled(model, _open(model, open_rows(X), None)[0])


def read_labelled(model: Any, X: Any, y: Any, name: str) -> tuple[Rows, np.ndarray]:
    """Other samples with labels: Z, and Y (n, c)."""
    owner = type(model).__name__
    if X is None:
        raise MakedoInputError(f"{owner}: labels without rows. Give {name} too.")
    X, y = _open(model, open_rows(X), model.label_column_ if y is None else y)
    rows = _scaled(model, X)
    if not rows.n_rows:
        raise MakedoInputError(f"{owner}: {name} has no rows.")
    if y is None:
        raise MakedoInputError(f"{owner}: {name} comes without labels. Give them too.")
    names = model.output_names_
    like = Targets(model.kind_, np.empty((0, len(names))), names, None)
    return rows, match_targets(owner, y, rows.n_rows, like).Y


def read_validation(model: Any, X: Any, y: Any, training: Rows) -> tuple[Rows, np.ndarray]:
    """The trusted samples: Z, and Y (n, c); warns where they are training rows too."""
    rows, Y = read_labelled(model, X, y, "X_val")
    warn_of_shared(type(model).__name__, training, rows, "X_val")
    return rows, Y


def read_pool(model: Any, X: Any, y: Any) -> tuple[Rows, np.ndarray | None, pd.Index]:
    """A pool: Z, its ids, and Y (n, c), which is None where neither X nor y bring labels."""
    ids = X.index if isinstance(X, pd.DataFrame) else None
    X = open_rows(X)
    if is_loader(X):
        X, theirs = read_loader(X)
        y = theirs if y is None else y
    column = model.label_column_
    if y is None and column is not None and column in _columns(X):
        y = column
    if y is None:
        rows, Y = read_new(model, X), None
    else:
        rows, Y = read_labelled(model, X, y, "X_pool")
    if not rows.n_rows:
        raise MakedoInputError(f"{type(model).__name__}: X_pool has no rows.")
    return rows, Y, pd.RangeIndex(rows.n_rows) if ids is None else ids


def start_weights(model: Any, sample_weight: Any, data: Training) -> np.ndarray:
    """α, (N,): the user's, each class of the same sum if asked for."""
    owner, targets, codes = type(model).__name__, data.targets, data.groups
    n = len(targets.Y)
    alpha = read_weights(owner, sample_weight, n)
    if codes is not None and len(np.unique(codes[alpha > 0])) == 1:
        raise MakedoInputError(
            f"{owner}: all weight lies on one group, and without it nothing is left to learn from. "
            "Give at least two groups with weight."
        )
    if targets.kind == "classes" and targets.codes is not None:
        weighted = np.unique(targets.codes[alpha > 0])
        if len(weighted) == 1:
            warnings.warn(
                f"{owner}: all weight lies on one class ({first(targets.names[weighted])}), so the "
                "head knows no other. Give another one weight too.",
                MakedoWarning,
                stacklevel=3,
            )
    if model.class_weight == "balanced" and targets.codes is not None:
        sizes = np.bincount(targets.codes, minlength=targets.Y.shape[1])
        alpha = alpha * (n / (np.count_nonzero(sizes) * sizes[targets.codes]))
    return alpha


def read_weights(owner: str, sample_weight: Any, n: int) -> np.ndarray:
    """The user's weights, (n,); None is 1 for each."""
    try:
        alpha = np.ones(n) if sample_weight is None else np.array(sample_weight, dtype=float)
    except (TypeError, ValueError) as error:
        raise MakedoInputError(
            f"{owner}: sample_weight holds values that are not numbers. Give numbers from 0 on."
        ) from error
    if alpha.shape != (n,):
        raise MakedoInputError(
            f"{owner}: sample_weight has shape {alpha.shape}, X has {count(n, 'row')}. Give one "
            "weight a row."
        )
    if (wrong := np.flatnonzero(~(np.isfinite(alpha) & (alpha >= 0)))).size:
        raise MakedoInputError(
            f"{owner}: {count(len(wrong), 'weight')} of {count(n)} negative or not finite (first: "
            f"row {wrong[0]:,}, {alpha[wrong[0]]:g}). Weights are numbers from 0 on."
        )
    if not alpha.any():
        raise MakedoInputError(
            f"{owner}: all sample weights are zero. Give some sample a positive one."
        )
    return alpha


def positions(model: Any, indices: Any) -> np.ndarray:
    """Positions of training rows, from positions or a mask; None is all."""
    n = len(model.gradient_)
    given = np.arange(n) if indices is None else np.atleast_1d(np.asarray(indices))
    if given.dtype == bool and given.shape == (n,):
        return np.flatnonzero(given)
    whole = given.dtype.kind in "iu" and given.ndim == 1
    if given.size and not (whole and -n <= given.min() and given.max() < n):
        raise MakedoInputError(
            f"{type(model).__name__}: indices must be positions of training rows (whole numbers "
            f"below {count(n)}) or {count(n, 'bool')}. Got {first(given.ravel())}."
        )
    return given.astype(int) % n


def check_leverage(model: Any, head: Head, groups: Groups | None = None) -> None:
    """Warn, or refuse, where a sample or group is predicted by its own labels alone."""
    u = share_left(head, groups)
    sure = SURE[np.dtype(model.dtype)]
    if not (close := np.flatnonzero(~(u > 100 * sure))).size:
        return
    what = (
        f"{type(model).__name__}: {count(len(close), 'sample')} (first: "
        f"{first(model.ids_[close[np.argsort(u[close])]])}) decided by its own label (or group) "
        f"alone, as nothing else has its features and penalty={model.penalty_:.3g} is small: what "
        "the others say of it is not known. Raise the penalty."
    )
    if not (u > sure).all():
        raise MakedoInputError(what)
    warnings.warn(what, MakedoWarning, stacklevel=3)


def check_precision(model: Any, head: Head) -> None:
    """Warn where float32 products are too coarse: the residuals do not balance the penalty."""
    gap = head.rows.moments(head.E, head.alpha)  # Zᵀ diag(α) E − P W, 0 for exact sums
    gap[: head.rows.n_features] -= head.penalty * head.W[: head.rows.n_features]
    error = np.linalg.norm(head.factor.solve(gap)) / np.linalg.norm(head.W)
    if error > COARSE:
        warnings.warn(
            f"{type(model).__name__}: float32 is too coarse for these features (coefficients are "
            f'off by {100 * error:.2g} %). Take dtype="float64", or raise the penalty.',
            MakedoWarning,
            stacklevel=3,
        )


def _open(model: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """X without the columns that are no features; y, also where X brings it."""
    if is_loader(X):
        X, theirs = read_loader(X)
        y = theirs if y is None else y
    if isinstance(y, str):
        y = take_column(X, y, "y")
    names = [c for c in (model.label_column_, model.group_column_) if c is not None]
    return drop_columns(X, names), y


def _columns(X: Any) -> Sequence[Any]:
    """Names of the columns of a table or Parquet matrix."""
    return next((getattr(X, a) for a in ("names", "columns", "column_names") if hasattr(X, a)), ())


def _scaled(model: Any, X: Any) -> Rows:
    matrix, _ = read_rows(model, X, dtype=None, allow_empty=True)
    blocks = Blocks(matrix, model.dtype, model.block_size)
    return Rows(blocks, Scaler(model.mean_, model.scale_), model.fit_intercept)


def group_codes(owner: str, groups: Any, n_rows: int) -> np.ndarray:
    """Number of the group of each row, (N,)."""
    names = pd.Series(groups) if isinstance(groups, (list, tuple)) else groups  # gaps stay gaps
    names = np.asarray(names)
    if names.ndim != 1:
        raise MakedoInputError(
            f"{owner}: groups must hold one name a row. Got {type(groups).__name__} of shape "
            f"{names.shape}."
        )
    codes, _ = pd.factorize(names)
    if codes.shape != (n_rows,):
        raise MakedoInputError(
            f"{owner}: groups names {count(len(codes), 'group')}, X has {count(n_rows, 'row')}. "
            "Give one a row."
        )
    if (largest := np.bincount(codes[codes >= 0], minlength=1).max()) > LARGEST_GROUP:
        raise MakedoInputError(
            f"{owner}: a group has {count(int(largest), 'row')}; at most {count(LARGEST_GROUP)} "
            "can be left out together, as their square is held in memory. Give a group that is so "
            "large as X_val instead."
        )
    if (missing := np.flatnonzero(codes < 0)).size:
        raise MakedoInputError(
            f"{owner}: {count(len(missing), 'row')} without a group (first: row {missing[0]:,}). "
            "Give every row one, its own if need be."
        )
    return codes


def _check_classes(owner: str, targets: Targets, groups: np.ndarray | None) -> None:
    """Warn of classes that are left out as a whole."""
    if targets.kind != "classes":
        return
    assert targets.codes is not None
    of_class, c = targets.codes, len(targets.names)
    if groups is not None:  # a class once for each group that it stands in
        of_class = np.unique(groups * c + targets.codes) % c
    alone = targets.names[np.bincount(of_class, minlength=c) == 1]
    if len(alone):
        warnings.warn(
            f"{owner}: {count(len(alone), 'class', 'classes')} with one "
            f"{'sample' if groups is None else 'group'} (first: {first(alone)}). Left out, it is "
            "predicted by a head that never saw its class, which says nothing of it. Add samples, "
            "or merge classes.",
            MakedoWarning,
            stacklevel=4,
        )


def _check_columns(owner: str, scaler: Scaler) -> None:
    empty = scaler.empty
    if scaler.huge.any():
        raise MakedoInputError(
            f"{owner}: {count(int(scaler.huge.sum()), 'feature')} of {count(len(empty))} with "
            f"numbers whose squares are too large for a computer (first: column "
            f"{int(scaler.huge.argmax())}). Give them in another unit."
        )
    if empty.all():
        raise MakedoInputError(
            f"{owner}: {count(len(empty), 'feature')}, all constant. Give features that tell rows "
            "apart."
        )
    if empty.any():
        warnings.warn(
            f"{owner}: {count(int(empty.sum()), 'feature')} of {count(len(empty))} constant "
            f"(first: column {int(empty.argmax())}); ignored.",
            MakedoWarning,
            stacklevel=4,
        )
