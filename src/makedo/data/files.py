"""Tables in files (csv, tsv, jsonl, parquet, each also ``.gz``; npz): read, in batches, written.

A file is looked at twice: for what each column holds over the *whole* file, then for its values.
A batch therefore has the types of the whole, wherever the first missing value or leading zero is.

Rules for text files, which do not say what their columns are:

* A column is whole numbers, numbers or true/false when every value is; else it stays the text that
  was written.
* A value with a leading zero (``007``) or a plus sign (``+49``) keeps its column as text: such
  values are identifiers.  So do whole numbers beyond 64 bits, and those beyond 2**53 in a column
  with missing values, which a float would round.
* An empty field and the unquoted words NA, N/A, #N/A, NaN, nan and <NA> are missing.  None, none,
  NULL, null and n/a are missing among numbers or true/false, and are text in a column of text
  (somebody may be called Null); so is a quoted ``"NA"``.
* The separator of a .csv is the comma; where the header has none, the semicolon, tab or bar it has.
* A column without a name (the row numbers that pandas writes) is left out, with a warning.
"""

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
from datetime import date
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

pc: Any = pyarrow.compute  # its functions are made at import: no type checker sees them

suffixes_readable = tuple(
    suffix + packed for suffix in (".csv", ".tsv", ".jsonl", ".parquet") for packed in ("", ".gz")
) + (".npz",)
suffixes_writable = suffixes_readable[:-1]

MISSING = ("", "NA", "N/A", "#N/A", "NaN", "nan", "<NA>")
_WORDS = ("None", "none", "NULL", "null", "n/a")  # missing among numbers, text among text
_INTEGER = r"^\s*-?(0|[1-9][0-9]*)\s*$"
_NUMBER = r"^\s*-?(((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|[iI]nf|[iI]nfinity)\s*$"
_BOOLEAN = ("true", "false", "True", "False", "TRUE", "FALSE")
_EXACT = 2**53  # floats hold every whole number up to here
_BLOCK = 1 << 24  # bytes of csv parsed at once; no row may be longer
_UNNAMED = "__index_level_"  # how pandas names an unnamed index in parquet

# What each column holds over the whole file, and so becomes: "int", "float", "bool", "text",
# "keep" (as stored), "bool_missing" (True, False, None), "empty" (no value: floats, all NaN).
Kinds = dict[str, str]


def read_table(path: str | Path, allow_empty: bool = False) -> pd.DataFrame:
    """Read a table from a file whose suffix says what it is.

    Parameters
    ----------
    path : str or Path
        A file ending in one of ``suffixes_readable``.  Arrays of an npz are columns; a 2-d array is
        a column of vectors.
    allow_empty : bool, default=False
        Whether columns without rows are accepted, as a frame of length 0.

    Returns
    -------
    DataFrame of shape (n_rows, n_columns)
        With row numbers as index.

    Raises
    ------
    MakedoInputError
        The file is missing, a directory, empty, cut short, not what its suffix says, or not one
        table: rows of different length, two columns of one name.  The message names the file, and
        the line where there is one.
    """
    source = _Source(path)
    chunks = list(source.chunks(source.all_rows))
    frame = source.frame(chunks, _decide(source, chunks))
    if frame.empty and not allow_empty:
        columns = f"{count(frame.shape[1], 'column')} but " if frame.shape[1] else ""
        raise source.fail(f"has {columns}no rows.")
    return frame


def read_batches(path: str | Path, rows: int = 65536) -> Iterator[pd.DataFrame]:
    """Read a table in batches of ``rows`` rows, each with the types that the whole table has.

    The file is checked and its types are found at once; the batches are read as they are asked for.
    A file with columns but no rows gives one batch of length 0.  The index of a batch is the row
    numbers of the file.

    Raises
    ------
    MakedoInputError
        As :func:`read_table`.
    """
    source = _Source(path)
    kinds = _decide(source, source.chunks(rows))

    def batches() -> Iterator[pd.DataFrame]:
        start = 0
        for chunk in source.chunks(rows):
            frame = source.frame([chunk], kinds)
            frame.index = pd.RangeIndex(start, start + len(frame))
            start += len(frame)
            yield frame
        if start == 0:
            yield source.frame([], kinds)

    return batches()


def write_table(
    frames: pd.DataFrame | Iterable[pd.DataFrame],
    path: str | Path,
    suffix_from: str | Path | None = None,
) -> None:
    """Write a frame, or frames one after another, to one file.

    A named index is written as the first column, an unnamed one is not.

    Parameters
    ----------
    frames : DataFrame or iterable of DataFrame
        All with the same columns.  An exception of the iterable passes through and leaves the file
        unfinished: removing it is the caller's.
    path : str or Path
        The file to write.
    suffix_from : str or Path, optional
        The path whose suffix decides the format, when ``path`` is a temporary name.

    Raises
    ------
    MakedoInputError
        The suffix is not one of ``suffixes_writable``, or the file cannot be written.
    """
    target = Path(suffix_from if suffix_from is not None else path)
    kind, packed = _format(target, suffixes_writable, "written")
    frames = iter([frames] if isinstance(frames, pd.DataFrame) else frames)
    try:
        raw = open(path, "wb")
    except OSError as error:
        raise MakedoInputError(f"{target}: cannot be written: {error.strerror}.") from error
    with raw:
        if not packed:
            _WRITERS[kind](frames, raw)
            return
        # Level 6, as gzip itself; no clock in it, so that the same table is the same bytes.
        with gzip.GzipFile("", "wb", 6, raw, mtime=0) as stream:
            _WRITERS[kind](frames, cast(BinaryIO, stream))


def frame_from_arrow(table: pa.Table) -> pd.DataFrame:
    """Arrow table to DataFrame as from parquet: whole numbers with missing values are floats."""
    table = _plain(table)
    facts = _arrow_facts(table)
    return _settle(table, {name: _kind(facts[name]) for name in table.column_names})


def text_facts(values: pa.Array | pa.ChunkedArray) -> set[str]:
    """What a column of texts holds by the rules of csv.

    Any of int, huge (for a float to hold exactly), float, bool, text, word (for missing), missing.
    """
    facts = {"missing"} if values.null_count else set()
    values = values.drop_null()
    if len(values) == 0:
        return facts
    head = values.slice(0, 200)
    if _all(pc.match_substring_regex(head, _NUMBER)):
        if _all(pc.match_substring_regex(values, _INTEGER)):
            return facts | _integer_facts(pc.utf8_trim_whitespace(values))
        if _all(pc.match_substring_regex(values, _NUMBER)):
            return facts | {"float"}
    word = pc.is_in(values, pa.array(_WORDS))
    boolean = pc.is_in(values, pa.array(_BOOLEAN))
    if not _all(pc.or_(pc.or_(pc.match_substring_regex(head, _NUMBER), word[:200]), boolean[:200])):
        return facts | {"text"}  # decided by the first values: most columns of text end here
    rest = values.filter(pc.invert(pc.or_(word, boolean)))
    facts |= {"word"} if pc.any(word).as_py() else set()
    facts |= {"bool"} if pc.any(boolean).as_py() else set()
    if len(rest) == 0:
        return facts
    if not _all(pc.match_substring_regex(rest, _NUMBER)):
        return facts | {"text"}
    whole = _all(pc.match_substring_regex(rest, _INTEGER))
    return facts | (_integer_facts(pc.utf8_trim_whitespace(rest)) if whole else {"float"})


# --- deciding what a column is -------------------------------------------------------------------


def _decide(source: _Source, chunks: Iterable[Any]) -> Kinds:
    """What each column is, from the facts of all chunks."""
    facts: dict[str, set[str]] = {name: set() for name in source.names}
    for position, chunk in enumerate(chunks):
        found = source.facts(chunk)
        for name, held in found.items():
            # A key that first appears in a later chunk of a jsonl is missing in those before.
            facts.setdefault(name, {"missing"} if position else set()).update(held)
        for name in facts.keys() - found.keys():
            facts[name].add("missing")
    return {name: _kind(held) for name, held in facts.items()}


def _kind(facts: set[str]) -> str:
    """What a column with these facts becomes."""
    if "keep" in facts:
        return "keep"
    held = facts - {"missing", "word"}
    if "word" in facts and (not held or "text" in held):
        return "text"
    missing = bool(facts & {"missing", "word"})
    if not held:
        return "empty"
    if held == {"bool"}:
        return "bool_missing" if missing else "bool"
    if held == {"int"} or (held == {"int", "huge"} and not missing):
        return "float" if missing else "int"
    return "float" if held <= {"int", "float"} else "text"


def _integer_facts(digits: pa.Array | pa.ChunkedArray) -> set[str]:
    """Facts of whole numbers written in digits."""
    try:
        return _size_facts(pc.cast(digits, pa.int64()))
    except pa.ArrowInvalid:  # beyond 64 bits: an identifier, not a quantity
        return {"text"}


def _size_facts(values: pa.Array | pa.ChunkedArray) -> set[str]:
    bounds = pc.min_max(values).as_py()
    huge = bounds["min"] is not None and (bounds["min"] < -_EXACT or bounds["max"] > _EXACT)
    return {"int", "huge"} if huge else {"int"}


def _arrow_facts(table: pa.Table) -> dict[str, set[str]]:
    """Facts of columns whose type is stored: only missing values can change what they become."""
    facts = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        missing = {"missing"} if column.null_count else set()
        if pa.types.is_boolean(column.type):
            facts[name] = {"bool"} | missing
        elif pa.types.is_integer(column.type):
            facts[name] = missing | (_size_facts(column) if missing else {"int"})
        elif pa.types.is_null(column.type):
            facts[name] = missing
        else:
            facts[name] = {"keep"}
    return facts


def _settle(table: pa.Table, kinds: Kinds) -> pd.DataFrame:
    """Columns of the decided kinds as a DataFrame."""
    columns = [_settle_column(table.column(name), kind) for name, kind in kinds.items()]
    return (
        pa.table(columns, names=list(kinds))
        .to_pandas()
        .astype({name: object for name, kind in kinds.items() if kind == "bool_missing"})
    )


def _settle_column(column: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    if kind == "keep":
        return column
    if kind == "empty":
        return pa.chunked_array([pa.nulls(len(column), pa.float64())])
    text = pa.types.is_string(column.type)
    if kind == "text":
        return column if text else column.cast(pa.string())
    if text:  # written numbers or truths: blanks and the words for missing go first
        column = pc.utf8_trim_whitespace(column)
        column = pc.if_else(
            pc.is_in(column, pa.array(_WORDS)), pa.scalar(None, pa.string()), column
        )
    if kind in ("bool", "bool_missing"):
        return pc.equal(pc.utf8_lower(column), "true") if text else column
    if kind == "int":
        return column.cast(pa.int64()) if text else column
    return column.cast(pa.float64())


def _plain(table: pa.Table) -> pa.Table:
    """The columns in the few types that pandas reads the same way in every version."""
    return pa.table([_plain_column(column) for column in table.columns], names=table.column_names)


def _plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind, types = column.type, pa.types
    if isinstance(kind, pa.ExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        return _plain_column(column)
    if types.is_dictionary(kind):
        known = [chunk.dictionary for chunk in column.chunks]
        words = _plain_column(pa.chunked_array(known, kind.value_type))
        parts = zip(words.chunks, column.chunks, strict=True)
        return pa.chunked_array([part.take(chunk.indices) for part, chunk in parts], words.type)
    if types.is_large_string(kind) or types.is_time(kind) or str(kind) == "string_view":
        return column.cast(pa.string())
    if types.is_decimal(kind):
        return column.cast(pa.float64())
    if types.is_float16(kind):
        return column.cast(pa.float32())
    if types.is_date(kind):
        return column.cast(pa.timestamp("ms"))
    return column


def _all(mask: pa.Array | pa.ChunkedArray) -> bool:
    return bool(pc.all(mask).as_py())


# --- reading -------------------------------------------------------------------------------------


class _Source:
    """One file: its format, its column names, its rows in chunks, and what a chunk holds."""

    all_rows = 1 << 62

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.name = self.path.name or str(path)
        self._check_exists()
        self.format, self.packed = _format(self.path, suffixes_readable, "read")
        self._check_head()
        with self._explained():
            self.names, self._read = _READERS[self.format](self)
        self._check_names()

    def chunks(self, rows: int) -> Iterator[Any]:
        """The rows in chunks of ``rows``; the last may be shorter, none is empty."""
        with self._explained():
            yield from self._read(rows)

    def facts(self, chunk: Any) -> dict[str, set[str]]:
        """What each column of a chunk holds."""
        if isinstance(chunk, dict):
            return {name: _json_facts(values) for name, values in chunk.items()}
        if self.format in ("csv", "tsv"):
            return {name: text_facts(chunk.column(name)) for name in self.names}
        return _arrow_facts(chunk) if isinstance(chunk, pa.Table) else {}

    def frame(self, chunks: list[Any], kinds: Kinds) -> pd.DataFrame:
        """Chunks as one frame of columns of the decided kinds."""
        with self._explained():
            return self._frame(chunks, kinds)

    def _frame(self, chunks: list[Any], kinds: Kinds) -> pd.DataFrame:
        if self.format == "jsonl":
            n_rows = [len(next(iter(chunk.values()))) if chunk else 0 for chunk in chunks]
            return pd.DataFrame(
                {
                    name: _json_column(
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
        return _settle(pa.concat_tables(chunks), kinds)

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
            b"\xff\xfe": "UTF-16 (save it as UTF-8)",
            b"\xfe\xff": "UTF-16 (save it as UTF-8)",
        }
        for start, what in looks.items():
            if head.startswith(start):
                raise self.fail(f"is not a {self.format} file; it looks like {what}.")
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
                    byte = line[error.start]
                    where = f"line {number:,} is not UTF-8 text (byte 0x{byte:02x})"
                    return f"{where}. Save the file as UTF-8."
        return "is not UTF-8 text. Save the file as UTF-8."


def _brief(message: str) -> str:
    return message.splitlines()[0][:120].rstrip(". ") if message else "no details"


def _format(path: Path, accepted: tuple[str, ...], verb: str) -> tuple[str, bool]:
    """Format and whether gzip lies over it, from the suffix: ``x.csv.gz`` is ``("csv", True)``."""
    name = path.name.lower()
    for suffix in sorted(accepted, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix.removesuffix(".gz")[1:], suffix.endswith(".gz")
    raise MakedoInputError(
        f"{path.name or path}: a file of this suffix cannot be {verb}. "
        f"Accepted: {', '.join(accepted)}."
    )


Reader = tuple[list[str], Callable[[int], Iterator[Any]]]


def _read_delimited(source: _Source) -> Reader:
    with io.TextIOWrapper(source.open(), encoding="utf-8-sig", newline="") as text:
        line = text.readline()
        while line and not line.strip("\r\n"):
            line = text.readline()
        delimiter = "\t" if source.format == "tsv" else _delimiter(line)
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
        table = pa.Table.from_batches([batch]).slice(skip)
        skip = 0
        columns = [table.column(position) for position in positions.values()]
        nothing = pa.scalar(None, pa.string())
        columns = [pc.if_else(pc.equal(column, ""), nothing, column) for column in columns]
        yield pa.table(columns, names=list(positions))


def _closed(source: _Source, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
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


def _ragged_error(source: _Source, delimiter: str, expected: int, row: Any) -> MakedoInputError:
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


def _warn_unnamed(source: _Source, position: int) -> None:
    warnings.warn(
        f"{source.name}: column {position} has no name (row numbers that pandas wrote?) and is "
        "left out. Name it in the file to use it.",
        MakedoWarning,
        stacklevel=5,
    )


def _read_json_lines(source: _Source) -> Reader:
    def read(rows: int) -> Iterator[dict[str, list[Any]]]:
        with io.TextIOWrapper(source.open(), encoding="utf-8-sig") as text:
            records = _json_records(source, text)
            while block := list(itertools.islice(records, min(rows, 2**62))):
                names = dict.fromkeys(key for record in block for key in record)
                yield {name: [record.get(name) for record in block] for name in names}

    return [], read


def _json_records(source: _Source, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
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


def _json_facts(values: list[Any]) -> set[str]:
    names = {bool: "bool", int: "int", float: "float", str: "text", type(None): "missing"}
    facts = {names.get(kind, "keep") for kind in set(map(type, values))}
    if facts >= {"int"} and not facts & {"text", "keep"}:
        whole = [value for value in values if type(value) is int]
        if max(map(abs, whole)) >= 2**63:
            return facts | {"text"}
        if max(map(abs, whole)) > _EXACT:
            return facts | {"huge"}
    return facts


def _json_column(values: list[Any], kind: str) -> pd.Series:
    if kind == "text":
        texts = [
            value if value is None or type(value) is str else json.dumps(value) for value in values
        ]
        return pa.array(texts, pa.string()).to_pandas()
    if kind in ("keep", "bool_missing"):
        return pd.Series(values, dtype=object)
    return pd.Series(values, dtype={"int": "int64", "bool": "bool"}.get(kind, "float64"))


def _read_parquet(source: _Source) -> Reader:
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
                    yield _plain(pa.Table.from_batches([batch]))

    def regrouped(rows: int) -> Iterator[pa.Table]:
        return _regroup(read(rows), rows)

    return names, regrouped


def _seekable(source: _Source) -> Any:
    """Parquet is read from its end, which a gzip stream does not allow."""
    if not source.packed:
        return str(source.path)
    with source.open() as stream:
        return io.BytesIO(stream.read())


def _read_arrays(source: _Source) -> Reader:
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


_READERS: dict[str, Callable[[_Source], Reader]] = {
    "csv": _read_delimited,
    "tsv": _read_delimited,
    "jsonl": _read_json_lines,
    "parquet": _read_parquet,
    "npz": _read_arrays,
}


# --- writing -------------------------------------------------------------------------------------


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    named = [name for name in frame.index.names if name is not None]
    return frame.reset_index(level=named) if named else frame


def _write_delimited(
    frames: Iterator[pd.DataFrame], stream: BinaryIO, separator: str = ","
) -> None:
    for position, frame in enumerate(map(_with_index, frames)):
        vectors = {
            name: frame[name].map(_jsonable).map(json.dumps)
            for name in frame.columns
            if frame[name].dtype == object and any(map(_is_vector, frame[name]))
        }
        texts = frame.select_dtypes(include=["object", "string"])
        ambiguous = bool(texts.isin(list(MISSING)).to_numpy().any())  # 'NA' the text: quote it
        written = frame.assign(**vectors).to_csv(
            index=False,
            header=position == 0,
            sep=separator,
            lineterminator="\n",
            quoting=csv.QUOTE_NONNUMERIC if ambiguous else csv.QUOTE_MINIMAL,
        )
        stream.write(written.encode())


def _write_tabbed(frames: Iterator[pd.DataFrame], stream: BinaryIO) -> None:
    _write_delimited(frames, stream, "\t")


def _write_json_lines(frames: Iterator[pd.DataFrame], stream: BinaryIO) -> None:
    for frame in map(_with_index, frames):
        names = [str(name) for name in frame.columns]
        columns = [_json_cells(pd.Series(frame[name])) for name in frame.columns]
        for row in zip(*columns, strict=True):
            record = dict(zip(names, row, strict=True))
            stream.write((json.dumps(record, ensure_ascii=False) + "\n").encode())


def _json_cells(series: pd.Series) -> list[Any]:
    if series.dtype.kind in "iub":
        return series.tolist()
    if isinstance(series.dtype, pd.StringDtype) or series.dtype.kind == "f":
        return series.astype(object).where(series.notna(), cast(Any, None)).tolist()
    return [_jsonable(value) for value in series.astype(object)]


def _is_vector(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray))


def _jsonable(value: Any) -> Any:
    """A cell as JSON can hold it; missing values are null."""
    if _is_vector(value):
        return [_jsonable(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    return value.isoformat() if isinstance(value, date) else value


def _write_parquet(frames: Iterator[pd.DataFrame], stream: BinaryIO) -> None:
    writer = None
    try:
        for frame in map(_with_index, frames):
            schema = None if writer is None else writer.schema
            table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
            if writer is None:
                # A first frame without a single value says nothing: later frames may bring text.
                fields = [
                    pa.field(field.name, pa.string()) if pa.types.is_null(field.type) else field
                    for field in table.schema
                ]
                table = table.cast(pa.schema(fields))
                writer = pq.ParquetWriter(stream, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


_WRITERS: dict[str, Callable[[Iterator[pd.DataFrame], BinaryIO], None]] = {
    "csv": _write_delimited,
    "tsv": _write_tabbed,
    "jsonl": _write_json_lines,
    "parquet": _write_parquet,
}
