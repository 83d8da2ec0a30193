"""Columns of an interaction log from any source, batch by batch: ids as codes, times as seconds.

What is repaired, with a warning: times in milli-, micro- or nanoseconds.  What is refused: missing
ids, times or values, ids of two kinds or with a decimal point, times before 1970, in two units or
in 32-bit floats.
"""

from __future__ import annotations

import glob
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api import types

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first
from makedo.data.files import read_batches
from makedo.data.kinds import frame_from_arrow
from makedo.data.reading import Source
from makedo.data.table import as_frame
from makedo.data.times import recipe

BATCH = 1 << 20  # rows of a Parquet file that are looked at together
# Whole seconds stay below 1e11 until the year 5138; the same moment in finer units is above.
UNITS = ((1e17, "nanoseconds", 10**9), (1e14, "microseconds", 10**6), (1e11, "milliseconds", 1000))
FEW_BITS = ("float16", "float32", "float[pyarrow]")  # of a float, for Unix seconds
A_DAY = 86_400
LARGEST = np.iinfo(np.int64).max  # of an id
ROLES = ("user", "item", "time", "value", "event")
MOST_KINDS = 20  # of events; more are no kinds


class Columns:
    """The columns of a log while they are read.

    Parameters
    ----------
    names : dict of str to str or None
        Columns of user, item and time, and of value and event where there are such; upper and lower
        case are alike.
    where : str
        What messages call the source.
    """

    def __init__(self, names: Mapping[str, str | None], where: str):
        self.names = {role: name for role, name in names.items() if name is not None}
        self.where = where
        roles = [role for role in ("user", "item", "time", "event") if role in self.names]
        apart = [self.names[role] for role in roles]
        if len({one.lower() for one in apart}) < len(apart):
            what = "three" if len(apart) == 3 else "four"
            raise MakedoInputError(
                f"{where}: {', '.join(roles[:-1])} and {roles[-1]} must be {what} columns. Got "
                f"{first(apart, 4)}."
            )
        self.users, self.items, self.kinds = Ids(), Ids(), Ids()
        self.parts: dict[str, list[np.ndarray]] = {role: [] for role in ROLES}
        self.n_rows = 0

    def add(self, frame: pd.DataFrame) -> None:
        """Take the rows of a frame."""
        found = {role: self._column(frame, role) for role in self.names}
        if not len(frame):
            return
        for role in ("user", "item"):
            column = self._ids(found[role], role)
            self.parts[role].append(getattr(self, f"{role}s").codes(column))
        self.parts["time"].append(self._times(found["time"]))
        values = np.ones(len(frame), np.float32)
        if "value" in found:
            values = self._values(found["value"])
        self.parts["value"].append(values)
        kinds = np.zeros(len(frame), np.int32)
        if "event" in found:
            kinds = self.kinds.codes(found["event"].astype(str))
        self.parts["event"].append(kinds)
        self.n_rows += len(frame)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Codes of users and items, times in whole seconds, values, codes of kinds; each (n,)."""
        if not self.n_rows:
            raise self._no_rows()
        user, item, time, value, kind = (np.concatenate(part) for part in self.parts.values())
        return user, item, self._seconds(time), value, kind

    def kinds_with(self, target: str | None, known: Sequence[str]) -> dict[str, int]:
        """The code of each kind of event, of which the target is one, or is known."""
        assert self.kinds.index is not None
        found = list(self.kinds.index)
        column = f"{self.where}: column {self.names['event']!r}"
        if len(found) > MOST_KINDS:
            raise MakedoInputError(
                f"{column} names {len(found):,} kinds of events (first: {first(found)}). Name a "
                f"column of at most {MOST_KINDS}, such as view and purchase."
            )
        if target is None:
            raise MakedoInputError(
                f"{column} names {count(len(found), 'kind')} of events ({first(found, 5)}). Say "
                "which is to be predicted: target=."
            )
        if target not in (*found, *known):
            raise MakedoInputError(
                f"{column} has no event of kind {target!r}. It has {first(found, 5)}."
            )
        return {kind: code for code, kind in enumerate(found)}

    def _no_rows(self) -> MakedoInputError:
        return MakedoInputError(f"{self.where}: there are no rows. Give at least one event.")

    # --- one column at a time ---------------------------------------------------------------------

    def _column(self, frame: pd.DataFrame, role: str) -> pd.Series:
        wanted = self.names[role]
        found = wanted if wanted in frame else None
        if found is None:
            alike = [name for name in frame if str(name).lower() == wanted.lower()]
            found = alike[0] if len(alike) == 1 else None
        if found is None and not len(frame.columns):
            raise self._no_rows()
        if found is None:
            raise MakedoInputError(
                f"{self.where}: no column {wanted!r} for {role}. There are "
                f"{first(frame.columns, 12)}. Name the right one with {role}= (on the command line "
                f"--{role})."
            )
        column = pd.Series(frame[found])
        missing = column.isna().to_numpy()
        if missing.any():
            self._refuse(role, missing, "no value", "Drop those rows, or fill them", self.n_rows)
        return column

    def _ids(self, column: pd.Series, role: str) -> pd.Series:
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(column.cat.categories.dtype)
        if types.is_float_dtype(column.dtype):
            raise MakedoInputError(
                f"{self.where}: column {self.names[role]!r} holds ids with a decimal point (first: "
                f"{first(column)}). Ids are whole numbers or text: convert them first."
            )
        if types.is_integer_dtype(column.dtype):
            if column.max() > LARGEST:
                raise MakedoInputError(
                    f"{self.where}: column {self.names[role]!r} holds ids above {LARGEST:,} "
                    f"(first: {first(column[column > LARGEST])}). Give ids of that size as text."
                )
            return column.astype(np.int64)
        if column.dtype == object and types.infer_dtype(column) not in ("string", "integer"):
            raise MakedoInputError(
                f"{self.where}: column {self.names[role]!r} holds ids of kind "
                f"{types.infer_dtype(column)} (first: {first(column)}). Ids are whole numbers or "
                "text, all of one kind."
            )
        return column

    def _times(self, column: pd.Series) -> np.ndarray:
        """Numbers as they come, (n,) int64; dates in seconds."""
        if types.is_bool_dtype(column.dtype):
            raise self._no_time(column)
        if types.is_integer_dtype(column.dtype):
            times = column.to_numpy(np.int64)
            self._refuse_digits_of_dates(times)
            return times
        if types.is_float_dtype(column.dtype):
            return self._from_floats(column)
        try:
            stamps: Any = pd.to_datetime(column, utc=True, format="ISO8601")
        except (ValueError, TypeError, OverflowError) as error:
            raise self._no_time(column) from error
        return stamps.dt.tz_localize(None).astype("datetime64[s]").astype(np.int64).to_numpy()

    def _from_floats(self, column: pd.Series) -> np.ndarray:
        values = column.to_numpy(np.float64)
        if not np.isfinite(values).all():
            self._refuse("time", ~np.isfinite(values), "an infinite value", "Mend it", self.n_rows)
        if str(column.dtype).lower() in FEW_BITS and np.abs(values).max(initial=0) > 2**24:
            raise MakedoInputError(
                f"{self.where}: column {self.names['time']!r} holds times as 32-bit floats, which "
                "round Unix seconds by up to two minutes. Give them as 64-bit integers."
            )
        return np.floor(values).astype(np.int64)

    def _refuse_digits_of_dates(self, times: np.ndarray) -> None:
        """Refuse 20171130 and the like: a day to whoever wrote it, seconds of 1970 if believed."""
        year, month, day = times // 10_000, times // 100 % 100, times % 100
        parts = ((year, 1900, 2100), (month, 1, 12), (day, 1, 31))
        if all(((low <= part) & (part <= high)).all() for part, low, high in parts):
            raise MakedoInputError(
                f"{self.where}: column {self.names['time']!r} holds dates as whole numbers (first: "
                f"{first(times)}). Write them as text such as 2017-11-30."
            )

    def _no_time(self, column: pd.Series) -> MakedoInputError:
        return MakedoInputError(
            f"{self.where}: column {self.names['time']!r} holds no times (first: {first(column)}). "
            "Accepted: Unix seconds as numbers, dates, and text such as 2017-11-30T12:00:00Z."
            + recipe(column)
        )

    def _values(self, column: pd.Series) -> np.ndarray:
        if not types.is_numeric_dtype(column.dtype):
            raise MakedoInputError(
                f"{self.where}: column {self.names['value']!r} for value holds no numbers (first: "
                f"{first(column)})."
            )
        return column.to_numpy(np.float32)

    def _refuse(self, role: str, bad: np.ndarray, what: str, fix: str, begin: int = 0) -> None:
        """Say in which of the rows looked at, the first of which is ``begin``, something is bad."""
        n_bad, row = int(bad.sum()), begin + int(bad.argmax())
        raise MakedoInputError(
            f"{self.where}: column {self.names[role]!r} for {role} has {what} in {n_bad:,} of "
            f"{count(len(bad), 'row')} (first: row {row:,}). {fix}."
        )

    # --- times of the whole log -------------------------------------------------------------------

    def _seconds(self, time: np.ndarray) -> np.ndarray:
        """Times in whole seconds; a finer unit is told by its size."""
        if time.min() < 0:
            self._refuse("time", time < 0, "a time before 1970", "Give seconds since 1970")
        low, high = _unit(float(time[time > 0].min(initial=time.max()))), _unit(float(time.max()))
        if low != high:
            raise MakedoInputError(
                f"{self.where}: column {self.names['time']!r} mixes {low[0]} and {high[0]} (first: "
                f"{first([time[time > 0].min(), time.max()])}). Give all times in seconds."
            )
        name, per_second = high
        if per_second > 1:
            warnings.warn(
                f"{self.where}: times look like {name} and are divided by {per_second:,}.",
                MakedoWarning,
                stacklevel=4,
            )
            time = time // per_second
        self._warn_of_the_future(time)
        return time

    def _warn_of_the_future(self, time: np.ndarray) -> None:
        now = pd.Timestamp.now("UTC").timestamp()
        late = time > now + A_DAY  # clocks and time zones differ
        if late.any():
            last = pd.to_datetime(int(time.max()), unit="s", errors="coerce")
            warnings.warn(
                f"{self.where}: {count(int(late.sum()), 'event')} of {len(time):,} lie in the "
                f"future (last: {last}). They are kept; check the unit of {self.names['time']!r}.",
                MakedoWarning,
                stacklevel=5,
            )


def _unit(value: float) -> tuple[str, int]:
    """What a time of this size is given in, and how many of it make a second."""
    return next(((name, n) for low, name, n in UNITS if value >= low), ("seconds", 1))


class Ids:
    """Ids in the order in which they first come, and the code of each."""

    def __init__(self) -> None:
        self.index: pd.Index | None = None

    def codes(self, values: pd.Series) -> np.ndarray:
        """Codes (n,) int32 of values; new ones are added."""
        inside, found = pd.factorize(values)
        found = pd.Index(found, tupleize_cols=False)
        if self.index is None:
            self.index = found
            return inside.astype(np.int32)
        at = self.index.get_indexer(found)
        new = at < 0
        at[new] = len(self.index) + np.arange(new.sum())
        if new.any():
            self.index = self.index.append(found[new])
        return at[inside].astype(np.int32)

    def in_order(self, where: str, name: str) -> tuple[pd.Index, np.ndarray]:
        """The ids sorted, and for each code its place among them."""
        assert self.index is not None
        try:
            order = self.index.argsort()
        except TypeError as error:
            raise MakedoInputError(
                f"{where}: column {name!r} mixes ids that are numbers and ids that are text. Give "
                "all as text."
            ) from error
        place = np.empty(len(order), np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        return self.index[order], place


# --- sources --------------------------------------------------------------------------------------


def batches_of(source: Any, columns: Columns) -> Iterator[pd.DataFrame]:
    """The rows of a table, file, glob of files or stream of frames, in frames."""
    if isinstance(source, (str, Path)):
        for path in _paths(source):
            yield from _file_batches(path, columns)
    elif isinstance(source, pd.DataFrame) or _is_table(source):
        yield from _table_batches(source)
    elif isinstance(source, Iterable):
        yield from (as_frame(frame, columns.where) for frame in source)
    else:
        yield as_frame(source, columns.where)  # which refuses it


def name_of(source: Any) -> str:
    """What messages call a source."""
    if isinstance(source, (str, Path)):
        return Path(source).name or str(source)
    return str(getattr(source, "name", None) or "the log")


def _paths(source: str | Path) -> list[Path]:
    if not glob.has_magic(str(source)) or Path(source).exists():
        return [Path(source)]
    found = sorted(glob.glob(str(source), recursive=True))
    if not found:
        raise MakedoInputError(f"{source}: no file has such a name.")
    return [Path(name) for name in found]


def _file_batches(path: Path, columns: Columns) -> Iterator[pd.DataFrame]:
    if path.suffix.lower() != ".parquet":
        yield from read_batches(path)
        return
    source = Source(path)
    wanted = {name.lower() for name in columns.names.values()}
    names = [name for name in source.names if name.lower() in wanted]
    for table in source.chunks(BATCH):
        yield frame_from_arrow(table.select(names) if len(names) == len(wanted) else table)


def _is_table(source: Any) -> bool:
    return any(
        hasattr(source, name) for name in ("__arrow_c_stream__", "__dataframe__", "collect_schema")
    )


def _table_batches(table: Any) -> Iterator[pd.DataFrame]:
    """A pandas frame whole; what streams Arrow batch by batch, such as a DuckDB relation."""
    if isinstance(table, pd.DataFrame) or not hasattr(table, "__arrow_c_stream__"):
        yield as_frame(table, "the log")
        return
    for batch in pa.RecordBatchReader.from_stream(table):
        yield frame_from_arrow(pa.Table.from_batches([batch]))
