"""Times and lengths of time, as a user gives them and as a reader likes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError


def date(time: float) -> str:
    """A Unix time for a reader."""
    found = pd.to_datetime(float(time), unit="s", errors="coerce")
    return str(time) if found is pd.NaT else f"{found:%Y-%m-%d %H:%M:%S}"


UNITS = ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute"), (1.0, "second"))


def in_words(length: float) -> str:
    """A length of time for a reader: ``'28 days'``."""
    size, noun = next((one for one in UNITS if length >= one[0]), UNITS[-1])
    n = length / size
    return f"{n:,.3g} {noun}{'' if n == 1 else 's'}"


def seconds(time: Any) -> np.ndarray:
    """A time, or several, as Unix seconds, float64: numbers as they are, dates and ISO text in UTC.

    Raises
    ------
    MakedoInputError
        It is no time.
    """
    values = np.asarray(float(time) if _is_number(time) else time)
    if values.dtype.kind in "iuf":
        return values.astype(np.float64)
    try:
        stamps: Any = pd.to_datetime(np.atleast_1d(values).ravel(), utc=True, format="ISO8601")
        found = stamps.tz_localize(None).astype("datetime64[s]").astype(np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise MakedoInputError(
            f"{time!r} is no time. Accepted: Unix seconds, a date, or text such as 2017-11-30."
        ) from error
    return np.asarray(found, np.float64).reshape(values.shape)


def duration(length: Any) -> float:
    """A length of time in seconds: a positive number, or text such as ``"28D"`` or ``"12h"``.

    Raises
    ------
    MakedoInputError
        It is none, or not positive.
    """
    try:
        number = isinstance(length, (int, float)) or _is_number(length)
        found = float(length) if number else pd.Timedelta(length).total_seconds()
    except (ValueError, TypeError) as error:
        raise MakedoInputError(
            f"{length!r} is no length of time. Accepted: seconds, or text such as 28D or 12h."
        ) from error
    if not 0 < found < np.inf:
        raise MakedoInputError(f"A horizon must be longer than 0. Got {length!r}.")
    return found


def _is_number(text: Any) -> bool:
    """Whether it is text that is written as a plain number, as on a command line."""
    return isinstance(text, str) and text.strip().replace(".", "", 1).isdigit()
