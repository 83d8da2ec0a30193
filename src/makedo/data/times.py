"""Times and lengths of time, as a user gives them and as a reader likes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError, first


def date(time: float) -> str:
    """A Unix time for a reader."""
    found = pd.to_datetime(float(time), unit="s", errors="coerce")
    return str(time) if found is pd.NaT else f"{found:%Y-%m-%d %H:%M:%S}"


TOO_LATE = 1e11  # seconds, in the year 5138; the same moment of our time in finer units is above
UNITS = ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute"), (1.0, "second"))


def in_words(length: float) -> str:
    """A length of time for a reader: ``'28 days'``."""
    size, noun = next((one for one in UNITS if length >= one[0]), UNITS[-1])
    n = length / size
    return f"{n:,.0f} {noun}s" if n >= 1000 else f"{n:.3g} {noun}{'' if n == 1 else 's'}"


def seconds(time: Any) -> np.ndarray:
    """A time, or several, as Unix seconds, float64: numbers as they are, dates and ISO text in UTC.

    Infinite numbers are times too (all events, or none); NaN passes as what is missing.

    Raises
    ------
    MakedoInputError
        It is no time, lies before 1970, or is a number too large for seconds.
    """
    values = np.asarray(float(time) if _is_number(time) else time)
    if values.dtype.kind in "iuf":
        return _in_seconds(values.astype(np.float64))
    flat = np.atleast_1d(values).ravel()
    try:
        stamps: Any = pd.to_datetime(flat, utc=True, format="ISO8601")
        found = stamps.tz_localize(None).astype("datetime64[s]").astype(np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise _no_time(flat) from error
    if stamps.isna().any():
        raise _no_time(flat[stamps.isna()])
    return _in_seconds(np.asarray(found, np.float64).reshape(values.shape))


def _no_time(values: np.ndarray) -> MakedoInputError:
    return MakedoInputError(
        f"{first(values)} is no time. Accepted: Unix seconds, a date, or text such as 2017-11-30."
    )


# Dates as they are written outside of ISO 8601.
DATES = ("%d-%m-%Y", "%m-%d-%Y", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d/%m/%y", "%m/%d/%y")
OTHERS = (
    "%Y-%m-%d %H:%M:%S UTC",
    "%a %b %d %H:%M:%S %z %Y",
    "%d %b %Y, %H:%M",
    "%d %b %Y %H:%M:%S",
)
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
LOOKED_AT = 10_000  # different texts


def recipe(column: pd.Series) -> str:
    """A sentence on how to read dates that are not in ISO form; empty where nothing reads them."""
    texts = pd.Series(column.dropna().astype(str).unique()[:LOOKED_AT])
    if len(texts) and texts.str.fullmatch(r"\d+(\.\d+)?").all():
        return " These are numbers as text: convert them first, such as by astype(float)."
    forms = [*(date + clock for date in DATES for clock in CLOCKS), *OTHERS]
    fit = [repr(f) for f in forms if pd.to_datetime(texts, format=f, errors="coerce").notna().all()]
    if not fit or not len(texts):
        return ""
    return (
        " Turn them into dates first: pandas reads them by pd.to_datetime(column, format="
        f"{' or '.join(fit)}){', whichever is meant' if len(fit) > 1 else ''}."
    )


def _in_seconds(values: np.ndarray) -> np.ndarray:
    """The values, if they can be seconds since 1970."""
    wrong = np.isfinite(values) & ((values < 0) | (values >= TOO_LATE))
    if wrong.any():
        raise MakedoInputError(
            f"{first(np.atleast_1d(values)[np.atleast_1d(wrong)], 1)} seconds since 1970 lie before"
            " 1970 or after the year 5000. Give Unix seconds, not milliseconds, or a date."
        )
    return values


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
