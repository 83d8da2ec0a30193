"""The formats of tables, told by the suffix of their file."""

from __future__ import annotations

from pathlib import Path

from makedo.core.checks import MakedoInputError

suffixes_readable = tuple(
    suffix + packed for suffix in (".csv", ".tsv", ".jsonl", ".parquet") for packed in ("", ".gz")
) + (".npz",)
suffixes_writable = suffixes_readable[:-1]

# Unquoted fields of a text file that hold no value.
MISSING = ("", "NA", "N/A", "#N/A", "NaN", "nan", "<NA>")


def format_of(path: Path, accepted: tuple[str, ...], verb: str) -> tuple[str, bool]:
    """Format and whether gzip lies over it, from the suffix: ``x.csv.gz`` is ``("csv", True)``."""
    name = path.name.lower()
    for suffix in sorted(accepted, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix.removesuffix(".gz")[1:], suffix.endswith(".gz")
    raise MakedoInputError(
        f"{path.name or path}: a file of this suffix cannot be {verb}. "
        f"Accepted: {', '.join(accepted)}."
    )
