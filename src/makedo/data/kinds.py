"""What the columns of a file are: decided from what they hold over the whole file.

A text file does not say what its columns are.  The rules stand in :mod:`makedo.data.files`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute

pc: Any = pyarrow.compute  # its functions are made at import: no type checker sees them

_WORDS = ("None", "none", "NULL", "null", "n/a")  # missing among numbers, text among text
_INTEGER = r"^\s*-?(0|[1-9][0-9]*)\s*$"
_NUMBER = r"^\s*-?(((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|[iI]nf|[iI]nfinity)\s*$"
_COMMA = r"^\s*-?(0|[1-9][0-9]*),[0-9]+([eE][+-]?[0-9]+)?\s*$"
_GROUPED = r"^\s*-?[1-9][0-9]{0,2}((\.[0-9]{3})+,[0-9]+|(,[0-9]{3})+(\.[0-9]+)?)\s*$"
_BOOLEAN = ("true", "false", "True", "False", "TRUE", "FALSE")
_EXACT = 2**53  # floats hold every whole number up to here

# What each column holds over the whole file, and so becomes: "int", "float", "comma" (floats,
# written with a decimal comma), "bool", "text", "keep" (as stored), "bool_missing" (True, False,
# None), "empty" (no value: floats, all NaN).
Kinds = dict[str, str]


def decide(names: Iterable[str], chunks: Iterable[dict[str, set[str]]]) -> Kinds:
    """What each column is, from the facts of all chunks."""
    facts: dict[str, set[str]] = {name: set() for name in names}
    for position, found in enumerate(chunks):
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
    if held <= {"int", "comma"}:
        return "comma"
    return "float" if held <= {"int", "float"} else "text"


# --- what columns hold ---------------------------------------------------------------------------


def text_facts(values: pa.Array | pa.ChunkedArray) -> set[str]:
    """What a column of texts holds by the rules of csv.

    Any of int, huge (for a float to hold exactly), float, comma (3,14), grouped (1.234,5 or
    1,234.5), bool, text, word (for missing), missing.
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
    number = pc.match_substring_regex(head, f"{_NUMBER}|{_COMMA}|{_GROUPED}")
    if not _all(pc.or_(pc.or_(number, word[:200]), boolean[:200])):
        return facts | {"text"}  # decided by the first values: most columns of text end here
    rest = values.filter(pc.invert(pc.or_(word, boolean)))
    facts |= {"word"} if pc.any(word).as_py() else set()
    facts |= {"bool"} if pc.any(boolean).as_py() else set()
    for fact, written in (("comma", _COMMA), ("grouped", _GROUPED)):
        such = pc.match_substring_regex(rest, written)
        facts |= {fact} if pc.any(such).as_py() else set()
        rest = rest.filter(pc.invert(such))
    if len(rest) == 0:
        return facts
    if not _all(pc.match_substring_regex(rest, _NUMBER)):
        return facts | {"text"}
    whole = _all(pc.match_substring_regex(rest, _INTEGER))
    return facts | (_integer_facts(pc.utf8_trim_whitespace(rest)) if whole else {"float"})


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


def arrow_facts(table: pa.Table) -> dict[str, set[str]]:
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


def json_facts(values: list[Any]) -> set[str]:
    """What the values of a key hold; "keep" are lists, objects and the like."""
    names = {bool: "bool", int: "int", float: "float", str: "text", type(None): "missing"}
    facts = {names.get(kind, "keep") for kind in set(map(type, values))}
    if facts >= {"int"} and not facts & {"text", "keep"}:
        whole = [value for value in values if type(value) is int]
        if max(map(abs, whole)) >= 2**63:
            return facts | {"text"}
        if max(map(abs, whole)) > _EXACT:
            return facts | {"huge"}
    return facts


def _all(mask: pa.Array | pa.ChunkedArray) -> bool:
    return bool(pc.all(mask).as_py())


# --- columns of the decided kinds ----------------------------------------------------------------


def frame_from_arrow(table: pa.Table) -> pd.DataFrame:
    """Arrow table to DataFrame as from parquet: whole numbers with missing values are floats."""
    table = plain_columns(table)
    facts = arrow_facts(table)
    return settle(table, {name: _kind(facts[name]) for name in table.column_names})


def settle(table: pa.Table, kinds: Kinds) -> pd.DataFrame:
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
    if kind == "comma":
        column = pc.replace_substring(column, ",", ".")
    return column.cast(pa.float64())


def plain_columns(table: pa.Table) -> pa.Table:
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


def json_column(values: list[Any], kind: str) -> pd.Series:
    """The values of a key as a column of the decided kind."""
    if kind == "text":
        texts = [
            value if value is None or type(value) is str else json.dumps(value) for value in values
        ]
        return pa.array(texts, pa.string()).to_pandas()
    if kind in ("keep", "bool_missing"):
        return pd.Series(values, dtype=object)
    return pd.Series(values, dtype={"int": "int64", "bool": "bool"}.get(kind, "float64"))
