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
* In a file separated by semicolons, numbers with a decimal comma (3,14) are numbers, with a
  warning; elsewhere they are text.  Numbers with marks between thousands (1,234.5) are text.
* The separator of a .csv is the comma; where the header has none, the semicolon, tab or bar it has.
* A column without a name (the row numbers that pandas writes) is left out, with a warning.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pandas as pd

from makedo.core.checks import MakedoInputError, count
from makedo.data.formats import format_of, suffixes_readable, suffixes_writable
from makedo.data.reading import Source
from makedo.data.writing import WRITERS

__all__ = ["read_batches", "read_table", "suffixes_readable", "suffixes_writable", "write_table"]


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
    source = Source(path)
    chunks = list(source.chunks(source.all_rows))
    frame = source.frame(chunks, source.kinds(chunks))
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
    source = Source(path)
    kinds = source.kinds(source.chunks(rows))

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
    kind, packed = format_of(target, suffixes_writable, "written")
    frames = iter([frames] if isinstance(frames, pd.DataFrame) else frames)
    try:
        raw = open(path, "wb")
    except OSError as error:
        raise MakedoInputError(f"{target}: cannot be written: {error.strerror}.") from error
    with raw:
        if not packed:
            WRITERS[kind](frames, raw)
            return
        # Level 6, as gzip itself; no clock in it, so that the same table is the same bytes.
        with gzip.GzipFile("", "wb", 6, raw, mtime=0) as stream:
            WRITERS[kind](frames, cast(BinaryIO, stream))
