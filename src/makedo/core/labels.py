"""Class labels with gaps: what is unlabelled, and the classes as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from makedo.core.checks import MakedoInputError, count, first


def encode_labels(owner: str, y: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Turn labels into class numbers.

    NaN and None are unlabelled; so is −1 where the labels are integers (as in ``sklearn.semi_supervised``).

    Returns
    -------
    codes : int64 ndarray of shape (n_rows,), the class number, or −1 where unlabelled
    classes : ndarray of shape (n_classes,), sorted

    Raises
    ------
    MakedoInputError
        Wrong length, no label at all, or one class only.
    """
    import pandas as pd

    if hasattr(y, "detach"):
        y = y.detach().cpu().numpy()
    values = pd.Series(np.asarray(y) if not hasattr(y, "array") else y).reset_index(drop=True)
    if np.ndim(np.asarray(y)) != 1 and np.shape(np.asarray(y))[1:] != (1,):
        raise MakedoInputError(
            f"{owner}: y must have one column. Got shape {np.shape(np.asarray(y))}."
        )
    if len(values) != n_rows:
        raise MakedoInputError(
            f"{owner}: y has {count(len(values), 'label')}, X has {count(n_rows, 'row')}."
        )
    labelled = values.notna().to_numpy(dtype=bool, copy=True)
    integers = labelled.any() and _are_integers(values[labelled])
    if integers:
        minus_one = (values == -1).fillna(False).to_numpy(dtype=bool)
        labelled &= ~minus_one
    if not labelled.any():
        raise MakedoInputError(
            f"{owner}: no row has a label (NaN, None and, for integer classes, -1 mean unlabelled)."
        )
    known = values[labelled]
    if integers:
        known = known.astype(np.int64)
    try:
        classes, codes_of_known = np.unique(known.to_numpy(), return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in known})
        raise MakedoInputError(
            f"{owner}: the labels mix kinds ({', '.join(kinds)}). Use one, for example text."
        ) from error
    if len(classes) == 1:
        why = (
            " The label -1 means unlabelled; rename it if it is a class."
            if integers and minus_one.any()
            else ""
        )
        raise MakedoInputError(
            f"{owner}: all {count(int(labelled.sum()))} labels are {first(classes)}; two classes are needed.{why}"
        )
    codes = np.full(n_rows, -1, dtype=np.int64)
    codes[labelled] = codes_of_known
    return codes, classes


def _are_integers(known: Any) -> bool:
    """Whether labels are whole numbers (floats that hold whole numbers beside NaN count)."""
    if known.dtype.kind in "iu":
        return True
    if known.dtype.kind == "f":
        return bool(np.all(known == np.floor(known)))
    return known.dtype == object and all(
        isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in known
    )


def match_labels(owner: str, y: Any, classes: np.ndarray, n_rows: int) -> np.ndarray:
    """Class numbers of given labels under known classes: −1 unlabelled, −2 a class that was never seen."""
    import pandas as pd

    if hasattr(y, "detach"):
        y = y.detach().cpu().numpy()
    values = pd.Series(np.asarray(y) if not hasattr(y, "array") else y).reset_index(drop=True)
    if len(values) != n_rows:
        raise MakedoInputError(
            f"{owner}: y has {count(len(values), 'label')}, X has {count(n_rows, 'row')}."
        )
    labelled = values.notna().to_numpy(dtype=bool, copy=True)
    if classes.dtype.kind in "iu":
        labelled &= ~(values == -1).fillna(False).to_numpy(dtype=bool)
    place = {label: i for i, label in enumerate(classes.tolist())}
    codes = np.full(n_rows, -1, dtype=np.int64)
    codes[labelled] = [
        place.get(label.item() if isinstance(label, np.generic) else label, -2)
        for label in values[labelled]
    ]
    return codes


def read_mask(owner: str, mask: Any, name: str, n_rows: int) -> np.ndarray | None:
    """A mask as bool ndarray (n_rows,), or None."""
    if mask is None:
        return None
    if hasattr(mask, "detach"):
        mask = mask.detach().cpu().numpy()
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != (n_rows,):
        raise MakedoInputError(
            f"{owner}: {name} must hold {count(n_rows, 'bool')}, one a row of X. Got {mask.dtype} of shape {mask.shape}."
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

    Without ``valid_mask`` a share ``fraction`` of each class is held back, though never the last training node of a class.
    """
    train = (y >= 0) & (True if train_mask is None else train_mask)
    if valid_mask is not None:
        valid = (y >= 0) & valid_mask
        if train_mask is None:
            train &= ~valid
        if (train & valid).any():
            raise MakedoInputError(
                f"{owner}: {count(int((train & valid).sum()), 'node')} in both train_mask and valid_mask."
            )
    else:
        valid = np.zeros_like(train)
        for c in np.unique(y[train]):
            members = rng.permutation(np.flatnonzero(train & (y == c)))
            valid[members[: min(round(fraction * len(members)), len(members) - 1)]] = True
        train &= ~valid
    if not train.any():
        raise MakedoInputError(
            f"{owner}: no labelled node is left to learn from; train_mask must select some."
        )
    return np.flatnonzero(train), np.flatnonzero(valid)
