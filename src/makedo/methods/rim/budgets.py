"""What a campaign may spend and must deliver, as its owner writes it down, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, count, first

LARGEST = 1e30  # cost or value


@dataclass(frozen=True)
class PerId:
    """A parameter that is one number for all, or one for each user or item.

    Parameters
    ----------
    noun : {"user", "item"}
    whole : bool
        Whether only whole numbers will do.
    none : bool
        Whether it may be left out.
    """

    noun: str
    whole: bool = False
    none: bool = True

    def accepts(self, value: Any) -> bool:
        """Whether the value has such a form; its numbers are checked when ids are known."""
        if value is None:
            return self.none
        if isinstance(value, (Mapping, pd.Series, pd.DataFrame)):
            return True
        try:
            return np.asarray(value).dtype.kind in "iuf" and np.ndim(value) <= 1
        except (TypeError, ValueError):
            return False

    def __str__(self) -> str:
        kind = "whole number" if self.whole else "number"
        more = " or None" if self.none else ""
        return (
            f"a {kind} from 0, one for each {self.noun} in a sequence, or a Series, dict or frame "
            f"by {self.noun}_id{more}"
        )

    def read(self, value: Any, name: str, ids: pd.Index, otherwise: float) -> np.ndarray:
        """One number for each id, float64 (n,); ``otherwise`` where none is given.

        Raises
        ------
        MakedoInputError
            Another length, unknown ids, or numbers that are missing, negative or not whole.
        """
        if value is None:
            return np.full(len(ids), otherwise)
        if isinstance(value, (Mapping, pd.Series, pd.DataFrame)):
            found = self._by_id(_as_series(value, name, self.noun), name, ids, otherwise)
        else:
            found = np.asarray(value, np.float64)
            if found.ndim and len(found) != len(ids):
                raise MakedoInputError(
                    f"BudgetMatcher: {name} has {count(len(found), 'number')} for "
                    f"{count(len(ids), self.noun)}. Give one for each, one for all, or a Series "
                    f"by {self.noun}_id."
                )
            found = np.broadcast_to(found, len(ids)).copy()
        self._check(found, name, ids)
        return found

    def _by_id(self, values: pd.Series, name: str, ids: pd.Index, otherwise: float) -> np.ndarray:
        if not values.index.is_unique:
            again = values.index[values.index.duplicated()]
            raise MakedoInputError(
                f"BudgetMatcher: {name} names {count(len(again), self.noun)} twice (first: "
                f"{first(again)}). Give each once."
            )
        unknown = ~values.index.isin(ids)
        if unknown.any():
            raise MakedoInputError(
                f"BudgetMatcher: {name} names {count(int(unknown.sum()), self.noun)} without scores"
                f" (first: {first(values.index[unknown])}). Give scores for them, or leave them "
                "out."
            )
        found = np.full(len(ids), otherwise)
        at = values.index.get_indexer(ids)
        found[at >= 0] = values.to_numpy(np.float64)[at[at >= 0]]
        return found

    def _check(self, found: np.ndarray, name: str, ids: pd.Index) -> None:
        for wrong, what, fix in (
            (np.isnan(found), "is missing", "Fill it in, or leave the row out"),
            (found < 0, "is negative", "Give 0 or more"),
            (
                (found > LARGEST) & (not self.whole),
                "is infinite or above 1e30",
                "Give a smaller number; where nothing may be given, a maximum of 0",
            ),
            (
                (found != np.floor(found)) & np.isfinite(found) & self.whole,
                "is not a whole number of contacts",
                "Round it as you mean it; multiply a share by what it is a share of",
            ),
        ):
            if wrong.any():
                raise MakedoInputError(
                    f"BudgetMatcher: {name} {what} for {count(int(wrong.sum()), self.noun)} (first:"
                    f" {first(ids[wrong])}). {fix}."
                )


def _as_series(value: Any, name: str, noun: str) -> pd.Series:
    """A dict, Series, or frame with a column of ids and one that is called as the parameter."""
    if isinstance(value, pd.DataFrame):
        key = f"{noun}_id"
        if name not in value or (key not in value and value.index.name != key):
            raise MakedoInputError(
                f"BudgetMatcher: {name} as a frame needs the columns {key!r} and {name!r}. There "
                f"are {first(value.columns, 8)}."
            )
        value = value.set_index(key)[name] if key in value else value[name]
    series = pd.Series(value)
    if series.dtype.kind not in "iuf":
        raise MakedoInputError(
            f"BudgetMatcher: {name} has values that are no numbers (first: {first(series)}). Give "
            "plain numbers, without units or %."
        )
    return series
