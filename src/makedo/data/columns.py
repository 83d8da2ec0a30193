"""The kinds of a table's columns: how each is told, read, learnt and encoded.

What becomes of a column, by what it holds in the rows of ``fit``:

========  =======================================  =============================================
kind      which columns                            features
========  =======================================  =============================================
number    numbers; text that is all numbers        itself; missing: the median, and a flag
boolean   true and false                           0 or 1; missing: 0, and a flag
category  text of few values or of single words    one 0/1 a value, rare pooled; missing: a flag
text      text of many values of several words     hashed TF-IDF of its words; missing: no words
date      dates; text of ISO dates                 year, month, weekday, day of year, hour, time
vector    lists of numbers, all of one length      one each; missing: 0, and a flag
dropped   identifiers, constant or empty columns   none; named in a warning
========  =======================================  =============================================

The flag, a 0/1 feature "is missing", exists where values were missing in ``fit``.  Numbers and
dates are standardised when other kinds stand beside them; a table of only numbers, booleans and
vectors is handed on as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from makedo.core.checks import MakedoInputError, count, first
from makedo.data.kinds import text_facts

MAX_CATEGORIES = 1000  # the most frequent values of a column that get a feature of their own
TEXT_BUCKETS = 2**13  # words of a column of text are hashed to so many numbers

# Words of two letters or more; scripts that write no spaces go by the character.
_SPACELESS = "\u3040-\u30ff\u3400-\u9fff"
_TOKEN = rf"(?u)[^\W{_SPACELESS}]{{2,}}|[{_SPACELESS}]"
_WORD = rf"[^\s{_SPACELESS}]+|[{_SPACELESS}]"
_ISO_DATE = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$"
DATE_PARTS = ("year", "month", "weekday", "day of year", "hour", "time")
EXPECTED = {
    "number": "numbers",
    "boolean": "true and false",
    "category": "categories (text)",
    "text": "text",
    "date": "dates",
    "vector": "vectors",
}

Block = Any  # ndarray or csr_matrix (n_rows, n_features), float32


@dataclass
class Column:
    """One column as ``fit`` found it."""

    name: Any
    kind: str
    done: str = ""
    missing: int = 0
    names: list[str] = field(default_factory=list)  # of its features
    learnt: dict[str, Any] = field(default_factory=dict)


# --- what a column is ----------------------------------------------------------------------------


def classify(series: pd.Series, where: str) -> tuple[Column, Any]:
    """The kind of a column and its values, read as that kind."""
    values: Any
    n_missing = int(series.isna().sum())
    column = Column(_plain_name(series.name), "dropped", missing=n_missing)
    stored = _stored_kind(series)
    if n_missing == len(series):
        column.done = "no value at all"
        return column, None
    if stored in ("number", "boolean", "date", "vector"):
        column.kind = stored
    elif stored == "text":
        column.kind, column.done = _text_kind(series, where)
    else:
        column.done = f"holds {stored}, which cannot be features"
    if column.kind == "dropped":
        return column, None
    try:
        values = read_as(series, column, where)
    except _Ragged as error:
        column.kind, column.done = "dropped", str(error)
        return column, None
    # Blank texts, and "None" among numbers, are missing too.
    column.missing = int(pd.isna(values).reshape(len(values), -1).all(axis=1).sum())
    if column.missing == len(values):
        column.kind, column.done = "dropped", "no value at all"
    return column, values


def _plain_name(name: Any) -> Any:
    return name.item() if isinstance(name, np.generic) else name


def _stored_kind(series: pd.Series) -> str:
    """What pandas holds: number, boolean, date, vector or text; else the type in words."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "text"
    if pd.api.types.is_bool_dtype(dtype):
        return "boolean"
    if pd.api.types.is_complex_dtype(dtype):
        return "complex numbers"
    if pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_timedelta64_dtype(dtype):
        return "number"
    if pd.api.types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        return "date"
    if isinstance(dtype, pd.StringDtype):
        return "text"
    inferred = pd.api.types.infer_dtype(series, skipna=True)
    if inferred in ("integer", "floating", "mixed-integer-float", "decimal", "timedelta"):
        return "number"
    if inferred in ("datetime", "datetime64", "date", "period"):
        return "date"
    if inferred in ("string", "boolean"):
        return {"string": "text"}.get(inferred, inferred)
    types = set(map(type, series.dropna()))
    if types and all(issubclass(kind, (list, tuple, np.ndarray)) for kind in types):
        return "vector"
    odd = [kind for kind in types if not issubclass(kind, (str, int, float, np.generic))]
    return f"values of type {odd[0].__name__}" if odd else "text"  # such as 7 beside "a"


def _text_kind(series: pd.Series, where: str) -> tuple[str, str]:
    """Kind of a column of text, and for a dropped one the reason."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        return "category", ""
    texts = _texts(series)
    present = texts[~pd.isna(texts)]
    if not len(present):
        return "dropped", "no value at all"
    facts = text_facts(pa.array(present, pa.string())) - {"huge"}
    if facts <= {"int", "float", "word"} and facts != {"word"}:
        return "number", ""
    if facts & {"comma", "grouped"} and facts <= {"int", "float", "comma", "grouped", "word"}:
        marked = present[pd.Series(present).str.contains(",").to_numpy(bool)]
        raise MakedoInputError(
            f"{where}: column '{series.name}' holds numbers written with commas (first: "
            f"{first(dict.fromkeys(marked))}), which would be taken for categories. Write them "
            "plainly, as in 1234.5, or leave the column out."
        )
    if facts == {"bool"}:
        return "boolean", ""
    if _iso_dates(present) is not None:
        return "date", ""
    n_distinct = len(pd.unique(present))
    if n_distinct <= max(20, 0.05 * len(present)):
        return "category", ""
    words = pd.Series(present, dtype=object).str.count(_WORD).mean()
    if words >= 2:
        return "text", ""
    if n_distinct > 0.9 * len(present):
        return "dropped", "nearly every value is different, like an identifier"
    return "category", ""


# --- reading a column as a kind ------------------------------------------------------------------


class _Ragged(ValueError):
    """Vectors that are no rows of a matrix."""


def read_as(series: pd.Series, column: Column, where: str) -> Any:
    """The values of a column as its kind needs them, whatever they are stored as.

    Raises
    ------
    MakedoInputError
        The column holds something else than in ``fit``.
    """
    kind = column.kind
    if kind == "vector":
        return _vectors(series, column, where)
    if kind in ("category", "text"):
        return _texts_as(series, column, where)
    if series.isna().all():
        missing = np.full(len(series), np.nan)
        return missing.astype("datetime64[us]") if kind == "date" else missing
    if kind == "date":
        return _dates(series, column, where)
    numbers = _numbers(series, column, where)
    if kind == "boolean" and not np.isin(numbers[~np.isnan(numbers)], (0, 1)).all():
        raise _changed(column, "other numbers than 0 and 1", where)
    return numbers


def _changed(column: Column, found: str, where: str) -> MakedoInputError:
    return MakedoInputError(
        f"{where}: column '{column.name}' held {EXPECTED[column.kind]} in fit and now holds "
        f"{found}. Give the column as it was, or fit again."
    )


def _numbers(series: pd.Series, column: Column, where: str) -> np.ndarray:
    stored = _stored_kind(series)
    values: Any = series
    if stored == "text":
        texts = _texts(series)
        words = pd.Series(texts, dtype=object).str.strip().str.lower()
        if column.kind == "boolean":
            words = words.replace({"true": "1", "false": "0"})
        words = words.mask(words.isin(["none", "null", "n/a"]), None)
        values = pd.to_numeric(words, errors="coerce")
        numbers = values.to_numpy(np.float64)
        bad = np.flatnonzero(np.isnan(numbers) & words.notna().to_numpy())
        if len(bad):
            shown = f"text in {count(len(bad), 'row')} (first: {first([texts[bad[0]]])})"
            raise _changed(column, shown, where)
    elif stored in ("number", "boolean"):
        if pd.api.types.is_timedelta64_dtype(series.dtype):
            values = series.dt.total_seconds()
        elif series.dtype == object and pd.api.types.infer_dtype(series) == "timedelta":
            values = pd.to_timedelta(series).dt.total_seconds()
        numbers = values.to_numpy(np.float64, na_value=np.nan)
    else:
        raise _changed(column, EXPECTED.get(stored, stored), where)
    _check_finite(numbers, series.index, column, where)
    return numbers


def _check_finite(numbers: np.ndarray, index: pd.Index, column: Column, where: str) -> None:
    with np.errstate(over="ignore"):
        bad = np.flatnonzero(np.isinf(numbers.astype(np.float32)).reshape(len(numbers), -1).any(1))
    if len(bad):
        raise MakedoInputError(
            f"{where}: column '{column.name}' has {count(len(bad), 'row')} with infinite numbers "
            f"or numbers too large for a float32 (first: row {first(index[bad[:1]])}). "
            "Replace them, or leave them missing."
        )


def _dates(series: pd.Series, column: Column, where: str) -> np.ndarray:
    """Days and times in UTC, datetime64[us]."""
    stored = _stored_kind(series)
    if stored == "text":
        texts = _texts(series)
        present = ~pd.isna(texts)
        dates = _iso_dates(texts[present])
        if dates is None:
            raise _changed(column, "text that is not all ISO dates", where)
        values = np.full(len(series), np.datetime64("NaT"), dtype="datetime64[us]")
        values[present] = dates
        return values
    if stored != "date":
        raise _changed(column, EXPECTED.get(stored, stored), where)
    if isinstance(series.dtype, pd.PeriodDtype):
        series = series.dt.to_timestamp()
    try:
        utc = pd.to_datetime(series, utc=True)
    except (ValueError, TypeError) as error:
        raise _changed(column, f"dates that cannot be read ({error})", where) from error
    return utc.dt.tz_localize(None).to_numpy().astype("datetime64[us]")


def _iso_dates(texts: np.ndarray) -> np.ndarray | None:
    """ISO dates as datetime64[us] in UTC, or None if one of the texts is none."""
    strings = pd.Series(texts, dtype=object)
    if not strings.head(50).str.match(_ISO_DATE).all() or not strings.str.match(_ISO_DATE).all():
        return None
    dates = pd.to_datetime(strings, format="ISO8601", utc=True, errors="coerce")
    if dates.isna().any():
        return None
    return dates.dt.tz_localize(None).to_numpy().astype("datetime64[us]")


def _vectors(series: pd.Series, column: Column, where: str) -> np.ndarray:
    """Rows of a matrix, float32 (n_rows, width); missing vectors are rows of NaN."""
    present = series.notna().to_numpy()
    width = column.learnt.get("width", 0)
    if not present.any():
        return np.full((len(series), width), np.nan, dtype=np.float32)
    stored = _stored_kind(series)
    if stored != "vector":
        raise _changed(column, EXPECTED.get(stored, stored), where)
    cells = series.to_numpy(dtype=object)[present]
    try:
        matrix = np.array(list(cells), dtype=np.float32).reshape(len(cells), -1)
    except (ValueError, TypeError) as error:
        found = "lists of different lengths or of other things than numbers"
        raise (_changed(column, found, where) if width else _Ragged(f"holds {found}")) from error
    if width and matrix.shape[1] != width:
        raise _changed(column, f"{matrix.shape[1]:,} numbers a vector, not {width:,}", where)
    values = np.full((len(series), width or matrix.shape[1]), np.nan, dtype=np.float32)
    if np.isnan(matrix).any():
        raise MakedoInputError(
            f"{where}: column '{column.name}' has vectors with missing numbers in them. "
            "Fill them, or leave the whole vector missing."
        )
    _check_finite(matrix, series.index[present], column, where)
    values[present] = matrix
    return values


def _texts_as(series: pd.Series, column: Column, where: str) -> np.ndarray:
    """Texts of a column that held text; other values only where such text may be read as them."""
    stored = _stored_kind(series)
    learnt = column.learnt
    if stored == "boolean" and learnt.get("truths"):
        truths = learnt["truths"]
        return np.array(
            [None if pd.isna(v) else truths.get(str(bool(v)).lower(), str(v)) for v in series],
            dtype=object,
        )
    allowed = stored == "text" or (stored == "number" and learnt.get("digits", not learnt))
    if learnt and not allowed and series.notna().any():
        raise _changed(column, EXPECTED.get(stored, stored), where)
    return _texts(series)


def _texts(series: pd.Series) -> np.ndarray:
    """Texts as an object array, None where missing or blank; 7 and 7.0 read as "7"."""
    nothing: Any = None
    if isinstance(series.dtype, pd.StringDtype):
        texts = series.to_numpy(dtype=object, na_value=None)
    elif series.dtype == object and pd.api.types.infer_dtype(series, skipna=True) == "string":
        texts = series.to_numpy(dtype=object)
        texts = np.where(pd.isna(texts), nothing, texts)
    else:
        codes, distinct = pd.factorize(series.astype(object))
        words = np.array([*map(_as_text, distinct), None], dtype=object)
        texts = words[codes]
    blank = pd.Series(texts, dtype=object).str.fullmatch(r"\s*", na=False).to_numpy(dtype=bool)
    if blank.any():
        texts = np.where(blank, nothing, texts)
    return texts


def _as_text(value: Any) -> str:
    whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
    return str(int(value)) if whole else str(value)


# --- what is learnt of a column, and its encoding ------------------------------------------------


def _fit_number(column: Column, values: np.ndarray, scale: bool) -> None:
    column.learnt = _learn_parts(values[:, None], scale)
    if scale and column.learnt["keep"] == [] and not column.missing:
        column.kind, column.done = "dropped", f"constant ({values[0]:g})"
        return
    column.names = [str(column.name)] * len(column.learnt["keep"]) + _flag(column)
    column.done = ("standardised" if scale else "as it is") + _told(column, "the median")


def _encode_number(values: np.ndarray, learnt: dict[str, Any]) -> np.ndarray:
    return _encode_parts(values[:, None], np.isnan(values), learnt)


def _fit_date(column: Column, values: np.ndarray, scale: bool) -> None:
    column.learnt = _learn_parts(_date_parts(values), scale)
    if not column.learnt["keep"] and not column.missing:
        column.kind, column.done = "dropped", "constant"
        return
    kept = [DATE_PARTS[part] for part in column.learnt["keep"]]
    column.names = [f"{column.name} {part}" for part in kept] + _flag(column)
    column.done = f"parts ({', '.join(kept)}), standardised" + _told(column, "the median")


def _encode_date(values: np.ndarray, learnt: dict[str, Any]) -> np.ndarray:
    return _encode_parts(_date_parts(values), np.isnat(values), learnt)


def _date_parts(values: np.ndarray) -> np.ndarray:
    """Parts of dates, float64 (n_rows, 6) in the order of DATE_PARTS; time in days since 1970."""
    dates = pd.Series(values).dt
    parts = [dates.year, dates.month, dates.day_of_week, dates.day_of_year, dates.hour]
    days = values.astype(np.int64) / 86_400e6
    days[np.isnat(values)] = np.nan
    return np.column_stack([*[part.to_numpy(np.float64) for part in parts], days])


def _learn_parts(parts: np.ndarray, scale: bool) -> dict[str, Any]:
    """Median, mean and deviation of each column (n_rows, n_parts), and which are not constant."""
    median = np.nanmedian(parts, axis=0)
    filled = np.where(np.isnan(parts), median, parts)
    learnt = {"median": median, "flag": bool(np.isnan(parts).any())}
    if not scale:
        return learnt | {"keep": list(range(parts.shape[1])), "mean": None, "deviation": None}
    mean, deviation = filled.mean(axis=0), filled.std(axis=0)
    varies = deviation > 1e-12 * np.abs(mean)
    return learnt | {"keep": np.flatnonzero(varies).tolist(), "mean": mean, "deviation": deviation}


def _encode_parts(parts: np.ndarray, missing: np.ndarray, learnt: dict[str, Any]) -> np.ndarray:
    parts = np.where(missing[:, None], learnt["median"], parts)
    if learnt["mean"] is not None:
        keep = learnt["keep"]
        parts = (parts[:, keep] - learnt["mean"][keep]) / learnt["deviation"][keep]
    return _flagged(parts, missing, learnt)


def _fit_boolean(column: Column, values: np.ndarray, scale: bool) -> None:
    present = values[~np.isnan(values)]
    column.learnt = {"flag": bool(column.missing)}
    if scale and not column.missing and (present == present[0]).all():
        column.kind, column.done = "dropped", f"constant ({bool(present[0])})"
        return
    column.names = [str(column.name), *_flag(column)]
    column.done = "0 or 1" + _told(column, "0")


def _encode_boolean(values: np.ndarray, learnt: dict[str, Any]) -> np.ndarray:
    return _flagged(np.nan_to_num(values)[:, None], np.isnan(values), learnt)


def _fit_vector(column: Column, values: np.ndarray, scale: bool) -> None:
    column.learnt = {"flag": bool(column.missing), "width": values.shape[1]}
    column.names = [f"{column.name}[{i}]" for i in range(values.shape[1])] + _flag(column)
    column.done = "as it is" + _told(column, "0")


def _encode_vector(values: np.ndarray, learnt: dict[str, Any]) -> np.ndarray:
    missing = np.isnan(values[:, 0])
    return _flagged(np.where(missing[:, None], np.float32(0), values), missing, learnt)


def _fit_category(column: Column, values: np.ndarray, scale: bool) -> None:
    counts: Any = pd.Series(values, dtype=object).value_counts()
    counts = counts.sort_index().sort_values(ascending=False, kind="stable")
    # Seen in 1 % of the rows, or in 10: enough to learn what a value means.
    least = max(1, min(10, len(values) // 100))
    kept = counts[counts >= least].index[:MAX_CATEGORIES]
    if not len(kept):
        column.kind, column.done = "dropped", f"no value is in {count(least, 'row')} or more"
        return
    n_pooled = len(counts) - len(kept)
    if len(counts) == 1 and not column.missing:
        column.kind, column.done = "dropped", f"constant ({first(counts.index)})"
        return
    known = sorted(kept)
    column.learnt = {
        "categories": known,
        "other": n_pooled > 0,
        "flag": bool(column.missing),
        "digits": _some_numbers(counts.index),
        "truths": {str(v).lower(): v for v in counts.index if str(v).lower() in ("true", "false")},
    }
    column.names = [f"{column.name}={value}" for value in known]
    column.names += [f"{column.name}=(other)"] * bool(n_pooled) + _flag(column)
    pooled = f", {n_pooled:,} rare ones pooled" if n_pooled else ""
    column.done = f"one-hot of {count(len(known), 'value')}{pooled}"
    column.done += ", missing flagged" if column.missing else ""


def _some_numbers(texts: Any) -> bool:
    """Whether some texts look like numbers: in another file the column may be read as numbers."""
    texts = pd.Series(texts, dtype=object)
    return bool(texts.str.fullmatch(r"\s*[-+]?[0-9.]+\s*", na=False).any())


def _encode_category(values: np.ndarray, learnt: dict[str, Any]) -> sparse.csr_matrix:
    known = pd.Index(learnt["categories"], dtype=object)
    missing = pd.isna(values)
    place = known.get_indexer(pd.Index(values, dtype=object))
    if learnt["other"]:
        place[(place < 0) & ~missing] = len(known)
    if learnt["flag"]:
        place[missing] = len(known) + learnt["other"]
    rows = np.flatnonzero(place >= 0)  # unknown values where nothing was pooled stay zero
    shape = (len(values), len(known) + learnt["other"] + learnt["flag"])
    ones = np.ones(len(rows), dtype=np.float32)
    return sparse.csr_matrix((ones, (rows, place[rows])), shape=shape)


def _fit_text(column: Column, values: np.ndarray, scale: bool) -> None:
    counts = _hash_words(values)
    n_rows = np.bincount(counts.indices, minlength=TEXT_BUCKETS)
    least = 2 if len(values) >= 100 else 1  # a word of one row alone is no feature
    used = np.flatnonzero(n_rows >= least)
    if not len(used):
        column.kind, column.done = "dropped", "no word is in two rows"
        return
    idf = np.log((1 + len(values)) / (1 + n_rows[used])) + 1
    column.learnt = {"used": used.astype(np.int64), "idf": idf, "digits": _some_numbers(values)}
    column.names = [f"{column.name}~{bucket}" for bucket in used]
    column.done = "hashed TF-IDF of words"


def _encode_text(values: np.ndarray, learnt: dict[str, Any]) -> sparse.csr_matrix:
    from sklearn.feature_extraction.text import TfidfTransformer  # slow to import

    tfidf = TfidfTransformer(sublinear_tf=True)
    tfidf.idf_ = learnt["idf"]
    if not len(values):
        return sparse.csr_matrix((0, len(learnt["used"])), dtype=np.float32)
    weights = tfidf.transform(_hash_words(values)[:, learnt["used"]])
    return sparse.csr_matrix(weights, dtype=np.float32)


def _hash_words(values: np.ndarray) -> sparse.csr_matrix:
    """Counts of hashed words, (n_rows, TEXT_BUCKETS) float64."""
    from sklearn.feature_extraction.text import HashingVectorizer

    unscaled: Any = None
    words = HashingVectorizer(
        n_features=TEXT_BUCKETS, token_pattern=_TOKEN, alternate_sign=False, norm=unscaled
    )
    return sparse.csr_matrix(words.transform(["" if value is None else value for value in values]))


def _flag(column: Column) -> list[str]:
    return [f"{column.name} is missing"] * bool(column.missing)


def _told(column: Column, filled: str) -> str:
    return f", missing become {filled} and are flagged" if column.missing else ""


def _flagged(block: np.ndarray, missing: np.ndarray, learnt: dict[str, Any]) -> np.ndarray:
    block = block.astype(np.float32, copy=False)
    return np.column_stack([block, missing.astype(np.float32)]) if learnt["flag"] else block


FIT: dict[str, Callable[[Column, Any, bool], None]] = {
    "number": _fit_number,
    "boolean": _fit_boolean,
    "category": _fit_category,
    "text": _fit_text,
    "date": _fit_date,
    "vector": _fit_vector,
}
ENCODE: dict[str, Callable[[Any, dict[str, Any]], Block]] = {
    "number": _encode_number,
    "boolean": _encode_boolean,
    "category": _encode_category,
    "text": _encode_text,
    "date": _encode_date,
    "vector": _encode_vector,
}
