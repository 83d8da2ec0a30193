"""The rows of one file in chunks, whatever its format, and what is wrong with it."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from makedo.core.checks import MakedoInputError, MakedoWarning, count, first
from makedo.data.formats import MISSING, format_of, suffixes_readable
from makedo.data.kinds import (
    Kinds,
    arrow_facts,
    decide,
    json_column,
    json_facts,
    plain_columns,
    settle,
    text_facts,
)

pc: Any = pyarrow.compute  # its functions are made at import: no type checker sees them

_BLOCK = 1 << 24  # bytes of csv parsed at once; no row may be longer
_SAVE = "save it as UTF-8, which spreadsheets call CSV UTF-8"
_UNNAMED = "__index_level_"  # how pandas names an unnamed index in parquet


class Source:
    """One file: its format, its column names, its rows in chunks, and what a chunk holds."""

    all_rows = 1 << 62
    decimal_comma = False  # whether 3,14 is a number

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.name = self.path.name or str(path)
        self._check_exists()
        self.format, self.packed = format_of(self.path, suffixes_readable, "read")
        self._check_head()
        with self._explained():
            self.names, self._read = _READERS[self.format](self)
        self._check_names()

    def chunks(self, rows: int) -> Iterator[Any]:
        """The rows in chunks of ``rows``; the last may be shorter, none is empty."""
        with self._explained():
            yield from self._read(rows)

    def kinds(self, chunks: Iterable[Any]) -> Kinds:
        """What each column is; a notice where commas are read as decimal points."""
        kinds = decide(self.names, map(self.facts, chunks))
        if commas := [name for name, kind in kinds.items() if kind == "comma"]:
            warnings.warn(
                f"{self.name}: {count(len(commas), 'column')} of numbers with a decimal comma "
                f"(first: {first(commas)}); 3,14 is read as 3.14.",
                MakedoWarning,
                stacklevel=3,
            )
        return kinds

    def facts(self, chunk: Any) -> dict[str, set[str]]:
        """What each column of a chunk holds."""
        if isinstance(chunk, dict):
            return {name: json_facts(values) for name, values in chunk.items()}
        if self.format in ("csv", "tsv"):
            found = {name: text_facts(chunk.column(name)) for name in self.names}
            if self.decimal_comma:
                return found
            return {
                name: held - {"comma"} | {"text"} if "comma" in held else held
                for name, held in found.items()
            }
        return arrow_facts(chunk) if isinstance(chunk, pa.Table) else {}

    def frame(self, chunks: list[Any], kinds: Kinds) -> pd.DataFrame:
        """Chunks as one frame of columns of the decided kinds."""
        with self._explained():
            return self._frame(chunks, kinds)

    def _frame(self, chunks: list[Any], kinds: Kinds) -> pd.DataFrame:
        if self.format == "jsonl":
            n_rows = [len(next(iter(chunk.values()))) if chunk else 0 for chunk in chunks]
            return pd.DataFrame(
                {
                    name: json_column(
                        [
                            value
                            for chunk, n in zip(chunks, n_rows, strict=True)
                            for value in chunk.get(name, [None] * n)
                        ],
                        kind,
                    )
                    for name, kind in kinds.items()
                }
            )
        if self.format == "npz":
            return (
                pd.concat(chunks, ignore_index=True) if chunks else pd.DataFrame(columns=self.names)
            )
        if not chunks:
            return pd.DataFrame({name: pd.Series(dtype="float64") for name in self.names})
        return settle(pa.concat_tables(chunks), kinds)

    def open(self) -> BinaryIO:
        """The bytes of the file, unpacked."""
        return cast(BinaryIO, gzip.open(self.path, "rb") if self.packed else open(self.path, "rb"))

    def fail(self, what: str) -> MakedoInputError:
        """The error of this file."""
        return MakedoInputError(f"{self.name}: {what}")

    def _check_exists(self) -> None:
        if self.path.is_dir():
            raise MakedoInputError(f"{self.path}: is a directory. Give a file in it.")
        if not self.path.exists():
            raise MakedoInputError(f"{self.path}: there is no such file.")
        if not self.path.is_file():
            raise MakedoInputError(f"{self.path}: is not a regular file. Save it to a file first.")

    def _check_head(self) -> None:
        with self._explained():
            with self.open() as stream:
                head = stream.read(4096)
        if not head:
            raise self.fail("is empty.")
        if self.format in ("csv", "tsv", "jsonl"):
            self._check_text(head)

    def _check_text(self, head: bytes) -> None:
        looks = {
            b"\x1f\x8b": "gzip (name it .gz)",
            b"PAR1": "parquet (name it .parquet)",
            b"PK\x03\x04": "a zip or a spreadsheet (save the sheet as csv)",
            b"\xff\xfe": f"UTF-16 text ({_SAVE})",
            b"\xfe\xff": f"UTF-16 text ({_SAVE})",
        }
        for start, what in looks.items():
            if head.startswith(start):
                raise self.fail(f"is not a {self.format} file; it looks like {what}.")
        zeros = head[::2].count(0), head[1::2].count(0)
        if min(zeros) == 0 and max(zeros) > len(head) // 4:  # every other byte: plain letters
            raise self.fail(f"is not a {self.format} file; it looks like UTF-16 text ({_SAVE}).")
        if b"\0" in head:
            raise self.fail(f"is not a {self.format} file: it holds bytes that no text has.")

    def _check_names(self) -> None:
        if not self.names and self.format != "jsonl":
            raise self.fail("has no columns.")
        twice = [name for name in dict.fromkeys(self.names) if self.names.count(name) > 1]
        if twice:
            raise self.fail(
                f"has {count(len(twice), 'column name')} twice (first: {first(twice)}). "
                "Every column needs a name of its own."
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the readers raise into one sentence that names the file."""
        try:
            yield
        except MakedoInputError:
            raise
        except UnicodeDecodeError as error:
            raise self.fail(self._undecodable()) from error
        except UnicodeEncodeError as error:  # JSON can escape half a character
            raise self.fail("holds text that is not valid Unicode (half a character).") from error
        except (EOFError, zlib.error, gzip.BadGzipFile, BadZipFile) as error:
            kind = "gzip" if self.packed else "zip"
            raise self.fail(f"is cut short or damaged ({kind}: {error}). Copy it again.") from error
        except (pa.ArrowException, csv.Error) as error:
            raise self.fail(self._unreadable(str(error))) from error
        except OSError as error:
            if error.strerror is None:  # Arrow's word for damaged contents
                raise self.fail(self._unreadable(str(error))) from error
            raise self.fail(f"cannot be read: {error.strerror}.") from error

    def _unreadable(self, message: str) -> str:
        if self.format == "parquet":
            return f"is cut short, damaged, or not parquet ({_brief(message)})."
        if "UTF8" in message:
            return self._undecodable()
        if "straddl" in message or "field larger" in message:
            return f'a row is longer than {_BLOCK >> 20} MB. Is a quote (") left open?'
        return f"cannot be read as {self.format} ({_brief(message)})."

    def _undecodable(self) -> str:
        with self.open() as stream:
            for number, line in enumerate(stream, 1):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    byte = line[error.start : error.start + 1]
                    letter = byte.decode("cp1252", errors="ignore")
                    meant = (
                        f", '{letter}' in Windows-1252"
                        if letter.strip() and letter.isprintable()
                        else ""
                    )
                    where = f"line {number:,} is not UTF-8 text (byte 0x{byte.hex()}{meant})"
                    return f"{where}; {_SAVE}."
        return f"is not UTF-8 text; {_SAVE}."


def _brief(message: str) -> str:
    return message.splitlines()[0][:120].rstrip(". ") if message else "no details"


Reader = tuple[list[str], Callable[[int], Iterator[Any]]]


def _read_delimited(source: Source) -> Reader:
    with io.TextIOWrapper(source.open(), encoding="utf-8-sig", newline="") as text:
        line = text.readline()
        while line and not line.strip("\r\n"):
            line = text.readline()
        delimiter = "\t" if source.format == "tsv" else _delimiter(line)
        # Spreadsheets write semicolons where the comma is the decimal sign.
        source.decimal_comma = delimiter == ";"
        records = csv.reader(itertools.chain([line], text), delimiter=delimiter)
        header = [name.strip() for name in next(records, [])]
        has_rows = any(line.strip() for line in text)
    positions = {name: i for i, name in enumerate(header) if name}
    if "" in header and len(header) > 1:
        _warn_unnamed(source, header.index("") + 1)
    names = [name for name in header if name]

    def read(rows: int) -> Iterator[pa.Table]:
        if not has_rows:
            return
        ragged: list[Any] = []
        try:
            with source.open() as stream:
                reader = pa_csv.open_csv(stream, *_csv_options(delimiter, len(header), ragged))
                yield from _regroup(_closed(source, _named(reader, positions)), rows)
        except pa.ArrowInvalid as error:
            if not ragged:
                raise
            raise _ragged_error(source, delimiter, len(header), ragged[0]) from error

    return names, read


def _csv_options(delimiter: str, n_columns: int, ragged: list[Any]) -> tuple[Any, Any, Any]:
    """Options of the parser: every column is text, rows of another length go to ``ragged``."""
    return (
        # The header is read as a row of text and dropped later, so that no name needs escaping.
        pa_csv.ReadOptions(autogenerate_column_names=True, block_size=_BLOCK),
        pa_csv.ParseOptions(
            delimiter=delimiter,
            newlines_in_values=True,
            invalid_row_handler=lambda row: ragged.append(row) or "error",
        ),
        pa_csv.ConvertOptions(
            column_types={f"f{i}": pa.string() for i in range(n_columns)},
            null_values=MISSING,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _named(batches: Iterable[pa.RecordBatch], positions: dict[str, int]) -> Iterator[pa.Table]:
    """Tables without the header row, with names, and with quoted empty fields missing too."""
    skip = 1
    for batch in batches:
        if batch.num_rows == 0:
            continue
        table = pa.Table.from_batches([batch])
        columns = [table.column(position) for position in positions.values()]
        nothing = pa.scalar(None, pa.string())
        # Before the header is cut off: pyarrow under 24 writes wrong offsets for a sliced column.
        columns = [pc.if_else(pc.equal(column, ""), nothing, column) for column in columns]
        yield pa.table(columns, names=list(positions)).slice(skip)
        skip = 0


def _closed(source: Source, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The tables, unless a quote that is never closed swallowed the rest of the file."""
    cell = None
    for table in tables:
        if table.num_rows:
            cell = table.column(table.num_columns - 1)[-1].as_py()
        yield table
    if cell is not None and "\n" in cell:
        with source.open() as stream:
            tail = b""
            while block := stream.read(1 << 20):
                tail = (tail + block)[-4096:]
        if not tail.rstrip().endswith(b'"'):
            raise source.fail(
                f'a quote (") is opened and never closed, before {first([cell[:40]])}. Close it.'
            )


def _regroup(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Tables of any length to tables of ``rows`` rows, the last one shorter."""
    waiting: list[pa.Table] = []
    n_waiting = 0
    for table in tables:
        waiting.append(table)
        n_waiting += table.num_rows
        if n_waiting < rows:
            continue
        whole = pa.concat_tables(waiting)
        start = 0
        while n_waiting - start >= rows:
            yield whole.slice(start, rows)
            start += rows
        waiting, n_waiting = [whole.slice(start)], n_waiting - start
    if n_waiting:
        yield pa.concat_tables(waiting)


def _delimiter(header: str) -> str:
    if "," in header:
        return ","
    return next((mark for mark in ";\t|" if mark in header), ",")


def _ragged_error(source: Source, delimiter: str, expected: int, row: Any) -> MakedoInputError:
    """The first row of another length, by its line: the fast parser counts rows, people lines."""
    found, line = row.actual_columns, row.number or 0
    with io.TextIOWrapper(source.open(), encoding="utf-8-sig", newline="") as text:
        records = csv.reader(text, delimiter=delimiter)
        with suppress(csv.Error):  # a very long value: the fast parser's row number must do
            for record in records:
                if record and len(record) != expected:
                    found, line = len(record), records.line_num
                    break
    return source.fail(
        f"line {line:,} has {count(found, 'value')}, the header has {expected:,}. "
        "Quote values that hold the separator, or mend the line."
    )


def _warn_unnamed(source: Source, position: int) -> None:
    warnings.warn(
        f"{source.name}: column {position} has no name (row numbers that pandas wrote?) and is "
        "left out. Name it in the file to use it.",
        MakedoWarning,
        stacklevel=5,
    )


def _read_json_lines(source: Source) -> Reader:
    def read(rows: int) -> Iterator[dict[str, list[Any]]]:
        with io.TextIOWrapper(source.open(), encoding="utf-8-sig") as text:
            records = _json_records(source, text)
            while block := list(itertools.islice(records, min(rows, 2**62))):
                names = dict.fromkeys(key for record in block for key in record)
                yield {name: [record.get(name) for record in block] for name in names}

    return [], read


def _json_records(source: Source, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise source.fail(
                f"line {number:,} is not JSON ({_brief(str(error))}). Each line must be one object."
            ) from error
        if not isinstance(record, dict):
            raise source.fail(
                f"line {number:,} is not a JSON object. Write one object a line, such as "
                '{"id": 7, "age": 31}.'
            )
        yield record


def _read_parquet(source: Source) -> Reader:
    file = pq.ParquetFile(_seekable(source))
    stored = file.schema_arrow.names
    names = [name for name in stored if not name.startswith(_UNNAMED)]
    if len(names) < len(stored):
        _warn_unnamed(source, 1 + next(i for i, name in enumerate(stored) if name not in names))
    file.close()

    def read(rows: int) -> Iterator[pa.Table]:
        with pq.ParquetFile(_seekable(source)) as file:
            for batch in file.iter_batches(batch_size=min(rows, 1 << 20), columns=names):
                if batch.num_rows:
                    yield plain_columns(pa.Table.from_batches([batch]))

    def regrouped(rows: int) -> Iterator[pa.Table]:
        return _regroup(read(rows), rows)

    return names, regrouped


def _seekable(source: Source) -> Any:
    """Parquet is read from its end, which a gzip stream does not allow."""
    if not source.packed:
        return str(source.path)
    with source.open() as stream:
        return io.BytesIO(stream.read())


def _read_arrays(source: Source) -> Reader:
    with source.open() as stream:
        if stream.read(2) != b"PK":
            raise source.fail("is not an npz file (numpy.savez writes one).")
    try:
        with np.load(source.path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except ValueError as error:
        raise source.fail(
            "holds Python objects, which are never loaded, or is damaged. Save plain arrays of "
            "numbers or of text (dtype 'U')."
        ) from error
    bad = [name for name, array in arrays.items() if array.ndim not in (1, 2)]
    if bad:
        raise source.fail(
            f"has {count(len(bad), 'array')} of neither 1 nor 2 dimensions (first: {first(bad)})."
        )
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"'{name}': {n:,}" for name, n in list(lengths.items())[:6])
        raise source.fail(
            f"arrays of different lengths cannot be the columns of one table ({shown})."
        )
    frame = pd.DataFrame(
        {name: array if array.ndim == 1 else list(array) for name, array in arrays.items()}
    )

    def read(rows: int) -> Iterator[pd.DataFrame]:
        for start in range(0, len(frame), min(rows, max(len(frame), 1))):
            yield frame.iloc[start : start + rows]

    return list(arrays), read


_READERS: dict[str, Callable[[Source], Reader]] = {
    "csv": _read_delimited,
    "tsv": _read_delimited,
    "jsonl": _read_json_lines,
    "parquet": _read_parquet,
    "npz": _read_arrays,
}
