"""Labels with gaps: what is unlabelled, classes and numbers to predict, masks and splits."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 1e150  # of the numbers to predict: errors are squared


def encode_labels(owner: str, y: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Turn labels into class numbers.

    NaN and None are unlabelled; so is -1 where the labels are integers (as in
    ``sklearn.semi_supervised``).  Floats that hold whole numbers are integers.

    Returns
    -------
    codes : int64 ndarray of shape (n_rows,)
        The class number, or -1 where unlabelled.
    classes : ndarray of shape (n_classes,)
        Sorted.

    Raises
    ------
    MakedoInputError
        Wrong length or shape, no label at all, one class only, numbers that are no classes, labels
        of different kinds.
    """
    values = as_series(owner, y, n_rows)
    labelled = values.notna().to_numpy(dtype=bool, copy=True)
    integers = bool(labelled.any()) and _are_integers(values.loc[labelled])
    minus_one = np.zeros(n_rows, dtype=bool)
    if integers:
        minus_one = values.eq(-1).fillna(False).to_numpy(dtype=bool)
        labelled &= ~minus_one
    if not labelled.any():
        raise MakedoInputError(
            f"{owner}: no row has a label (NaN, None and, for integer classes, -1 are unlabelled)."
        )
    known = values.loc[labelled]
    if integers:
        known = known.astype(np.int64)
    try:
        classes, codes_of_known = np.unique(known.to_numpy(), return_inverse=True)
    except TypeError as error:
        kinds = ", ".join(sorted({type(label).__name__ for label in known}))
        raise MakedoInputError(
            f"{owner}: the labels mix kinds ({kinds}). Use one, for example text."
        ) from error
    if classes.dtype.kind == "f":
        raise MakedoInputError(
            f"{owner}: y is continuous (first: {first(classes)}). A classifier needs classes; if "
            "these numbers are names of classes, give them as text."
        )
    if len(classes) == 1:
        why = " The label -1 means unlabelled; rename it if it is a class."
        raise MakedoInputError(
            f"{owner}: the only class among {count(int(labelled.sum()), 'label')} is "
            f"{first(classes)}; two classes are needed.{why if minus_one.any() else ''}"
        )
    codes = np.full(n_rows, -1, dtype=np.int64)
    codes[labelled] = codes_of_known
    return codes, classes


def match_labels(owner: str, y: Any, classes: np.ndarray, n_rows: int) -> np.ndarray:
    """Class numbers (n_rows,) under known classes: -1 unlabelled, -2 a class not among them."""
    values = as_series(owner, y, n_rows)
    labelled = values.notna().to_numpy(dtype=bool, copy=True)
    if classes.dtype.kind in "iu":
        labelled &= ~values.eq(-1).fillna(False).to_numpy(dtype=bool)
    place = {label: i for i, label in enumerate(classes.tolist())}
    codes = np.full(n_rows, -1, dtype=np.int64)
    codes[labelled] = [place.get(label, -2) for label in values[labelled].tolist()]
    if n_unknown := int((codes == -2).sum()):
        unknown = f"(first: {first(dict.fromkeys(values[codes == -2].tolist()))})"
        theirs = f"the model knows {first(classes, 5)}{' …' if len(classes) > 5 else ''}"
        if (codes < 0).all() and {str(label) for label in place} & set(map(str, values[labelled])):
            raise MakedoInputError(
                f"{owner}: the labels {unknown} are of another type than the classes: {theirs}. "
                "Write them as they were in fit."
            )
        warnings.warn(
            f"{owner}: {count(n_unknown, 'label')} of {count(int(labelled.sum()))} {unknown} name "
            f"no class of the model, and are scored as wrong; {theirs}.",
            MakedoWarning,
            stacklevel=3,
        )
    return codes


def encode_values(owner: str, y: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Read numbers to predict; NaN and None are unlabelled, −1 is a number.

    Returns
    -------
    values : float64 ndarray of shape (n_rows,)
        NaN where unlabelled.
    classes : ndarray of shape (0,)
        There are none; the form is that of :func:`encode_labels`.

    Raises
    ------
    MakedoInputError
        Wrong length or shape, no number at all, text, infinity, all numbers equal, numbers whose
        squares overflow.
    """
    values = match_values(owner, y, n_rows)
    known = values[~np.isnan(values)]
    if not len(known):
        raise MakedoInputError(f"{owner}: no row has a label (NaN and None are unlabelled).")
    if len(known) > 1 and known.min() == known.max():
        raise MakedoInputError(
            f"{owner}: all {count(len(known), 'label')} are {known[0]:g}; there is nothing "
            "to learn."
        )
    if (largest := np.abs(known).max()) > LARGEST:
        raise MakedoInputError(
            f"{owner}: the largest label is {largest:g}; its square is too large for a computer. "
            "Take logarithms, or another unit."
        )
    return values, np.empty(0)


def match_values(owner: str, y: Any, n_rows: int) -> np.ndarray:
    """Numbers to compare with, float64 of shape (n_rows,); NaN where unlabelled."""
    import pandas as pd

    raw = as_series(owner, y, n_rows)
    numbers: pd.Series = pd.to_numeric(raw, errors="coerce")  # pyright: ignore[reportAssignmentType]
    values = numbers.to_numpy(dtype=float, na_value=np.nan)
    text = raw.notna().to_numpy(dtype=bool) & np.isnan(values)
    if text.any():
        raise MakedoInputError(
            f"{owner}: {count(int(text.sum()), 'label')} of {count(n_rows)} are not numbers "
            f"(first: {first(dict.fromkeys(raw[text].tolist()))}). A regressor needs numbers; for "
            "names of classes use the classifier."
        )
    if (infinite := np.isinf(values)).any():
        raise MakedoInputError(
            f"{owner}: {count(int(infinite.sum()), 'label')} of {count(n_rows)} are infinite. "
            "Leave those rows unlabelled (NaN)."
        )
    return values


def is_labelled(y: np.ndarray) -> np.ndarray:
    """Which rows have a label: class numbers from 0 on, or numbers that are not NaN."""
    return ~np.isnan(y) if y.dtype.kind == "f" else y >= 0


def read_weight(owner: str, sample_weight: Any, labelled: np.ndarray) -> np.ndarray | None:
    """The weights of the labelled rows, float64; None where there are none given.

    Raises
    ------
    MakedoInputError
        They are not one number a row, from 0 on, of which a labelled row has more than 0.
    """
    if sample_weight is None:
        return None
    try:
        weight = np.asarray(sample_weight, dtype=float)
    except (TypeError, ValueError) as error:
        raise MakedoInputError(f"{owner}: sample_weight must be numbers ({error}).") from error
    if weight.shape != labelled.shape:
        raise MakedoInputError(
            f"{owner}: sample_weight must be {count(len(labelled), 'number')}, one a row. Got the "
            f"shape {weight.shape}."
        )
    weight = weight[labelled]
    if not (np.isfinite(weight) & (weight >= 0)).all() or not weight.sum() > 0:
        raise MakedoInputError(
            f"{owner}: sample_weight must be 0 or more, and more than 0 for a row with a label."
        )
    return weight


def as_series(owner: str, y: Any, n_rows: int) -> pd.Series:
    """The labels in one column, by position."""
    import pandas as pd
    from sklearn.utils.validation import column_or_1d

    if y is None:
        raise MakedoInputError(f"{owner} requires y to be passed, but the target y is None.")
    if hasattr(y, "detach"):
        y = y.detach().cpu().numpy()
    if isinstance(y, (list, tuple)):  # numpy would turn gaps and numbers among text into text
        plain = np.empty(len(y), dtype=object)
        plain[:] = y
        y = pd.Series(plain).infer_objects()
    if not isinstance(y, pd.Series):
        y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    elif y.ndim != 1:
        raise MakedoInputError(f"{owner}: y must have one column. Got shape {y.shape}.")
    values = pd.Series(y)
    if len(values) != n_rows:
        raise MakedoInputError(
            f"{owner}: y has {count(len(values), 'label')}, X has {count(n_rows, 'row')}."
        )
    return values.reset_index(drop=True)


def _are_integers(known: pd.Series) -> bool:
    if known.dtype.kind == "f":
        return bool(np.all(known == np.floor(known)))
    return known.dtype.kind in "iu" or (
        known.dtype == object
        and all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in known)
    )


def read_mask(owner: str, mask: Any, name: str, n_rows: int) -> np.ndarray | None:
    """A mask as bool ndarray (n_rows,), or None."""
    if mask is None:
        return None
    if hasattr(mask, "detach"):
        mask = mask.detach().cpu().numpy()
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != (n_rows,):
        raise MakedoInputError(
            f"{owner}: {name} must hold {count(n_rows, 'bool')}, one a row of X. Got {mask.dtype} "
            f"of shape {mask.shape}."
        )
    return mask


def split_labelled(
    owner: str,
    y: np.ndarray,
    train_mask: np.ndarray | None,
    valid_mask: np.ndarray | None,
    fraction: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the labelled nodes to learn from and to validate on.

    Without ``valid_mask`` a share ``fraction`` (of each class, if y are class numbers) is held
    back, though never the last training node (of a class).
    """
    labelled = is_labelled(y)
    train = labelled & (True if train_mask is None else train_mask)
    if valid_mask is not None:
        valid = labelled & valid_mask
        if train_mask is None:
            train &= ~valid
        if n_both := int((train & valid).sum()):
            raise MakedoInputError(
                f"{owner}: {count(n_both, 'node')} in both train_mask and valid_mask."
            )
    else:
        valid = np.zeros_like(train)
        strata = np.zeros(len(y)) if y.dtype.kind == "f" else y
        for c in np.unique(strata[train]):
            members = rng.permutation(np.flatnonzero(train & (strata == c)))
            valid[members[: min(round(fraction * len(members)), len(members) - 1)]] = True
        train &= ~valid
    if not train.any():
        raise MakedoInputError(
            f"{owner}: no labelled node is left to learn from; train_mask must select some."
        )
    return np.flatnonzero(train), np.flatnonzero(valid)
