"""Frames, one after another, as the bytes of each format."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, BinaryIO, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from makedo.data.formats import MISSING


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
                # What a table says of itself, where pandas looks for it.
                said = {"PANDAS_ATTRS": json.dumps(frame.attrs)} if frame.attrs else None
                table = table.cast(pa.schema(fields, said))
                writer = pq.ParquetWriter(stream, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


WRITERS: dict[str, Callable[[Iterator[pd.DataFrame], BinaryIO], None]] = {
    "csv": _write_delimited,
    "tsv": _write_tabbed,
    "jsonl": _write_json_lines,
    "parquet": _write_parquet,
}
