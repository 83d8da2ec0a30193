"""What becomes of a verb's result: refused before the work begins, or written whole."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from makedo.core.checks import MakedoInputError, count
from makedo.core.diagnosis import Diagnosis
from makedo.core.persistence import replacing

if TYPE_CHECKING:
    from pandas import DataFrame

logger = logging.getLogger("makedo")
MOST_ROWS = 60  # of a table on the terminal; a file has them all
PAGES = (".html", ".htm")


@dataclass(frozen=True)
class Request:
    """Where the user wants the result.

    Parameters
    ----------
    out : Path or None
        The file or directory of the result; None shows it.
    report : Path or None
        The page that ``fit`` writes besides the model.
    as_json : bool
        Print JSON.
    quiet : bool
        No closing line.
    files : module
        Has ``write_table`` and ``suffixes_writable``.
    """

    out: Path | None
    report: Path | None
    as_json: bool
    quiet: bool
    files: Any

    def close(self, sentence: str, **record: Any) -> None:
        """Say what was written, as a sentence or as JSON."""
        if self.as_json:
            print_json(record)
        elif not self.quiet:
            click.echo(sentence)


@dataclass(frozen=True)
class Result:
    """A kind of result: how ``--out`` is spelled, what it may be, what is done with the value."""

    metavar: str
    required: bool
    help: str
    check: Callable[[Path, Any], None]
    deliver: Callable[[Any, Request], None]
    report: bool = False


def check_request(result: Result, request: Request, inputs: Sequence[Path]) -> None:
    """Refuse what could not be written, before any work is done.

    Raises
    ------
    MakedoInputError
        No such folder, something else stands there, an unknown suffix, or a file to be read.
    """
    for option, path, check in (
        ("--out", request.out, result.check),
        ("--report", request.report, _check_page),
    ):
        if path is None:
            continue
        folder = path.absolute().parent
        if not folder.is_dir():
            raise MakedoInputError(
                f"{option} {path}: the folder {str(path.parent)!r} does not exist. Create it first."
            )
        if not os.access(folder, os.W_OK | os.X_OK):
            raise MakedoInputError(
                f"{option} {path}: the folder {str(path.parent)!r} cannot be written to."
            )
        for one in inputs:
            if path.exists() and one.exists() and path.samefile(one):
                raise MakedoInputError(
                    f"{option} {path} is a file to be read. Choose another name for the result."
                )
        check(path, request.files)


def print_json(value: Any) -> None:
    """Print a value as one JSON document; numbers that are not finite become null."""
    click.echo(json.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False))


def plain(value: Any) -> Any:
    """A value as JSON can hold it: NaN and infinity become None, unknown objects text."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def show_frame(frame: DataFrame) -> str:
    """A table for the terminal; the index is shown unless it merely counts rows."""
    if not len(frame):
        return f"no rows (columns: {', '.join(map(str, frame.columns))})"
    counts = frame.index.name is None and frame.index.inferred_type == "integer"
    return frame.to_string(index=not counts, float_format=_shown)


def _shown(value: float) -> str:
    """Four figures, and all that lie before the point: times and places differ in the last."""
    if abs(value) < 1000:
        return f"{value:.4g}"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.1f}"


# --- a fitted estimator --------------------------------------------------------------------------


def _check_model(out: Path, files: Any) -> None:
    free = out.is_dir() and not any(out.iterdir())
    if out.exists() and not free and not (out / "model.json").is_file():
        raise MakedoInputError(
            f"--out {out} exists and is not a model directory of makedo. Choose another place."
        )


def _save(model: Any, request: Request) -> None:
    assert request.out is not None
    with ExitStack() as stack:  # the page gets its name only after the model has been saved
        if request.report is not None:
            fresh = stack.enter_context(replacing(request.report))
            fresh.write_text(model.report().to_html(), encoding="utf-8")
        model.save(request.out)
    if (table := getattr(model, "table_", None)) is not None:  # how columns became numbers
        logger.info("%s", table.describe())
    name = type(model).__name__
    page = "" if request.report is None else f" Its report: {request.report}."
    request.close(
        f"Saved {name} to {request.out}.{page}",
        out=request.out,
        **{"class": name},
        report=request.report,
    )


# --- rows ----------------------------------------------------------------------------------------


def _check_table(out: Path, files: Any) -> None:
    if out.is_dir():
        raise MakedoInputError(f"--out {out} is a directory. Give the name of a file.")
    if not out.name.lower().endswith(tuple(files.suffixes_writable)):
        raise MakedoInputError(
            f"--out {out} must end in one of {', '.join(files.suffixes_writable)}."
        )


def _write_rows(value: Any, request: Request) -> None:
    frames: Iterator[DataFrame] = iter([value] if hasattr(value, "columns") else value)
    if request.out is None:
        (_print_records if request.as_json else _print_rows)(frames)
        return
    n_rows = 0

    def counted() -> Iterator[DataFrame]:
        nonlocal n_rows
        for frame in frames:
            n_rows += len(frame)
            yield frame

    with replacing(request.out) as fresh:
        request.files.write_table(counted(), fresh, suffix_from=request.out)
    request.close(f"Wrote {count(n_rows, 'row')} to {request.out}.", out=request.out, rows=n_rows)


def _print_rows(frames: Iterable[DataFrame]) -> None:
    import pandas as pd

    shown: list[DataFrame] = []
    for frame in frames:
        shown.append(frame)
        if sum(map(len, shown)) > MOST_ROWS:  # what would not be shown is not computed
            break
    table = pd.concat(shown)
    click.echo(show_frame(table.iloc[:MOST_ROWS]))
    if len(table) > MOST_ROWS:
        click.echo(f"… and more: these are the first {MOST_ROWS} rows, --out FILE writes all.")


def _print_records(frames: Iterable[DataFrame]) -> None:
    """One JSON array, written batch by batch."""
    separator = "["
    for frame in frames:
        named = [name for name in frame.index.names if name is not None]
        flat = frame.reset_index(level=named) if named else frame
        for record in flat.astype(object).where(flat.notna(), None).to_dict("records"):
            text = json.dumps(plain(record), ensure_ascii=False, allow_nan=False)
            click.echo(f"{separator}{text}", nl=False)
            separator = ",\n "
    click.echo("[]" if separator == "[" else "]")


# --- a diagnosis ---------------------------------------------------------------------------------


def _check_json(out: Path, files: Any) -> None:
    if out.is_dir() or out.suffix.lower() != ".json":
        raise MakedoInputError(f"--out {out} must be a file that ends in .json.")


def _print_diagnosis(value: Diagnosis, request: Request) -> None:
    if request.as_json:
        print_json(value.to_dict())
    else:
        click.echo(str(value))
    if request.out is not None:
        with replacing(request.out) as fresh:
            text = json.dumps(plain(value.to_dict()), indent=1, ensure_ascii=False, allow_nan=False)
            fresh.write_text(text + "\n", encoding="utf-8")


# --- a page --------------------------------------------------------------------------------------


def _check_page(out: Path, files: Any) -> None:
    if out.is_dir() or out.suffix.lower() not in PAGES:
        raise MakedoInputError(f"{out} must be a file that ends in .html.")


def _write_page(report: Any, request: Request) -> None:
    assert request.out is not None
    with replacing(request.out) as fresh:
        fresh.write_text(report.to_html(), encoding="utf-8", errors="replace")
    if request.as_json:
        print_json(report.to_dict())
    else:
        click.echo(report.verdict)
        request.close(f"Report: {request.out}")


MODEL = Result("DIR", True, "model directory to write", _check_model, _save, report=True)
ROWS = Result(
    "FILE", False, "table to write, format by suffix (default: show it)", _check_table, _write_rows
)
DIAGNOSIS = Result(
    "FILE.json", False, "also write the answer as JSON", _check_json, _print_diagnosis
)
PAGE = Result("FILE.html", True, "page to write", _check_page, _write_page)
