"""What a table encoder learnt, read back from where it was stored: checked before it is used.

A damaged state would otherwise be noticed at the first prediction, or never: a shorter list of
weights moves every feature that follows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from makedo.core.checks import MakedoInputError
from makedo.data.columns import DATE_PARTS, ENCODE, TEXT_BUCKETS, Column

KNOWN = {field.name for field in fields(Column)}


def columns_from_state(state: Any) -> list[Column]:
    """The columns of a state of :class:`makedo.data.table.TableEncoder`.

    Raises
    ------
    MakedoInputError
        The state is that of something else, or is damaged; one line that names the column.
    """
    stored = state.get("columns") if isinstance(state, Mapping) else None
    if not isinstance(stored, list) or not stored or not isinstance(state.get("sparse"), bool):
        raise MakedoInputError(
            "This is not the stored state of a table encoder: it has no columns, or does not say "
            "whether the matrix is sparse. Save the model again."
        )
    columns: list[Column] = []
    for place, one in enumerate(stored):
        wrong = _wrong_with(one)
        if wrong is None and any(one["name"] == other.name for other in columns):
            wrong = "its name is there twice"
        if wrong is not None:
            name = one.get("name") if isinstance(one, Mapping) else None
            which = f"column {name!r}" if isinstance(name, (str, int)) else f"column {place + 1}"
            raise MakedoInputError(
                f"The stored table encoder is damaged ({which}: {wrong}). Save the model again."
            )
        columns.append(Column(**one))
    if all(column.kind == "dropped" for column in columns):
        raise MakedoInputError(
            "The stored table encoder is damaged (no column of it is used). Save the model again."
        )
    return columns


def _wrong_with(stored: Any) -> str | None:
    """What is wrong with a column as it was stored, in words."""
    if not isinstance(stored, Mapping) or not {"name", "kind"} <= set(stored) <= KNOWN:
        return "it is none, or has other entries than one"
    column = Column(**stored)
    if not _is(column.name, str, int):
        return "its name is neither text nor a whole number"
    if column.kind not in (*ENCODE, "dropped"):
        return f"there are no columns of kind {column.kind!r}"
    if not _is(column.done, str) or not _is(column.missing, int) or column.missing < 0:
        return "what was done with it, or how many of its values were missing, is not said"
    if not isinstance(column.names, list) or not all(_is(name, str) for name in column.names):
        return "its features have no names"
    if column.kind == "dropped":
        return None
    if not isinstance(column.learnt, Mapping):
        return "nothing is stored of it"
    n_features = _N_FEATURES[column.kind](column.learnt)
    if n_features is None:
        return f"what is stored of it is not what a column of kind {column.kind!r} needs"
    if n_features != len(column.names):
        return f"it has {len(column.names):,} names for {n_features:,} features"
    return None


# --- the number of features that something learnt makes; None where it is damaged -----------------


def _n_parts(learnt: Mapping[str, Any], n_parts: int) -> int | None:
    """Median, mean and deviation of each part, and which of them are kept."""
    keep, flag = learnt.get("keep"), _stored(learnt, "flag")
    if not isinstance(keep, list) or not all(_is(k, int) and 0 <= k < n_parts for k in keep):
        return None
    if not _is(flag, bool) or not _numbers(learnt.get("median"), n_parts):
        return None
    mean, deviation = learnt.get("mean"), learnt.get("deviation")
    scaled = _numbers(mean, n_parts) and _numbers(deviation, n_parts)
    if scaled and (np.asarray(deviation)[keep] <= 0).any():
        return None
    as_it_is = "mean" in learnt and mean is None and deviation is None and len(keep) == n_parts
    return len(keep) + flag if scaled or as_it_is else None


def _n_flagged(learnt: Mapping[str, Any]) -> int | None:
    return 1 + learnt["flag"] if _is(learnt.get("flag"), bool) else None


def _n_vector(learnt: Mapping[str, Any]) -> int | None:
    width, flag = _stored(learnt, "width"), _stored(learnt, "flag")
    return width + flag if _is(width, int) and width > 0 and _is(flag, bool) else None


def _n_categories(learnt: Mapping[str, Any]) -> int | None:
    known, truths = learnt.get("categories"), learnt.get("truths", {})
    if not isinstance(known, list) or not known or not all(_is(value, str) for value in known):
        return None
    if len(set(known)) < len(known) or not isinstance(truths, Mapping):
        return None
    if not all(_is(value, str) for value in truths.values()):
        return None
    other, flag = _stored(learnt, "other"), _stored(learnt, "flag")
    digits = learnt.get("digits", False)
    if not all(_is(value, bool) for value in (other, flag, digits)):
        return None
    return len(known) + other + flag


def _n_words(learnt: Mapping[str, Any]) -> int | None:
    used, idf = learnt.get("used"), learnt.get("idf")
    if not isinstance(used, np.ndarray) or used.dtype.kind not in "iu" or used.ndim != 1:
        return None
    rising = (
        len(used) > 0 and used[0] >= 0 and used[-1] < TEXT_BUCKETS and (np.diff(used) > 0).all()
    )
    if not rising or not _numbers(idf, len(used)) or (np.asarray(idf) <= 0).any():
        return None
    return len(used) if _is(learnt.get("digits", False), bool) else None


_N_FEATURES: dict[str, Callable[[Mapping[str, Any]], int | None]] = {
    "number": lambda learnt: _n_parts(learnt, 1),
    "boolean": _n_flagged,
    "category": _n_categories,
    "text": _n_words,
    "date": lambda learnt: _n_parts(learnt, len(DATE_PARTS)),
    "vector": _n_vector,
}


def _stored(learnt: Mapping[str, Any], name: str) -> Any:
    return learnt.get(name)


def _is(value: Any, *kinds: type) -> bool:
    """Whether a value is of one of these types; True and False are no whole numbers."""
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _numbers(values: Any, n: int) -> bool:
    """Whether these are n finite numbers in an array."""
    if not isinstance(values, np.ndarray) or values.shape != (n,) or values.dtype.kind != "f":
        return False
    return bool(np.isfinite(values).all())
