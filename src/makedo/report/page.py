"""What a room found out, as one page: the verdict first, then the figures and tables behind it.

:class:`Report` is a plain record.  :meth:`Report.to_dict` gives it to a machine,
:meth:`Report.to_html` to a reader.
"""

from __future__ import annotations

import datetime
import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from pandas.api.types import is_integer_dtype

import makedo
from makedo.core.checks import MakedoInputError, count
from makedo.report.palette import DARK, LIGHT
from makedo.report.svg import inline_svg
from makedo.report.writing import MISSING, decimals, number, printable, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 200  # of a table on the page; the JSON form has them all
UNBROKEN = 22  # a column whose cells have at most so many characters keeps them on one line
_LOOKS_NUMERIC = re.compile(r"^[+\-−±<>≤≥~]?\s?\d")


@dataclass(frozen=True)
class Section:
    """One heading of a report and what stands under it, in this order: text, figure, table, note.

    Parameters
    ----------
    title : str
        Unique in its report: it names the section's figure and table.
    text : str
        Paragraphs, separated by an empty line.  Words between backticks are set as code.
    figure : Figure, optional
        See :mod:`makedo.report.figures`.
    caption : str
        The sentence that says what the figure shows; a figure must have one.
    table : DataFrame, optional
        An index is shown unless it merely counts rows.  Floats are shown to about three figures.
    table_caption : str
    formats : mapping of column to format specification
        For columns that need another form than the default: ``{"gain": "+.1f", "year": "d"}``.
    note : str
        A remark in small print.
    """

    title: str
    text: str = ""
    figure: Figure | None = None
    caption: str = ""
    table: pd.DataFrame | None = None
    table_caption: str = ""
    formats: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        assert self.figure is None or self.caption, f"the figure of {self.title!r} has no sentence"
        known = set() if self.table is None else set(_with_index(self.table).columns)
        assert set(self.formats) <= known, f"formats of {self.title!r} name unknown columns"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON.  Of a figure the caption: its numbers belong in a table."""
        document: dict[str, Any] = {"title": self.title, "text": self.text}
        if self.figure is not None:
            document["figure"] = self.caption
        if self.table is not None:
            frame = _with_index(self.table)
            document["table"] = {
                "caption": self.table_caption,
                "columns": list(frame.columns),
                "rows": [
                    [plain(v) for v in row] for row in frame.itertuples(index=False, name=None)
                ],
            }
        if self.note:
            document["note"] = self.note
        return document


@dataclass
class Report:
    """A verdict in words with the figures and tables that it rests on.

    Parameters
    ----------
    title : str
        What was examined: method and data.
    verdict : str
        One sentence: what to use and how sure that is.  The first line of the page.
    summary : sequence of str
        Paragraphs under the verdict.
    facts : mapping of str to number or str
        A few key figures, shown in one row under the summary.
    sections : list of Section
    command : str
        The command line that gives this report again.
    date : date, optional
        Default: today.

    Attributes
    ----------
    tables : dict of str to DataFrame
        By the title of their section.
    figures : dict of str to Figure
        By the title of their section.

    Examples
    --------
    >>> import pandas as pd
    >>> scores = pd.DataFrame({"model": ["MLP", "Cold Brew"], "accuracy, %": [68.0, 74.4]})
    >>> report = Report("Cold Brew on cora", "Use Cold Brew.")
    >>> report.sections.append(Section("Scores", table=scores))
    >>> page = report.to_html()
    >>> report.to_dict()["verdict"]
    'Use Cold Brew.'
    """

    title: str
    verdict: str
    summary: Sequence[str] = ()
    facts: Mapping[str, float | int | str] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)
    command: str = ""
    date: datetime.date | None = None

    def __post_init__(self) -> None:
        self.date = self.date or datetime.date.today()

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by the title of their section."""
        return {s.title: s.table for s in self.sections if s.table is not None}

    @property
    def figures(self) -> dict[str, Figure]:
        """The figures by the title of their section."""
        return {s.title: s.figure for s in self.sections if s.figure is not None}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; a missing number is None, dates are ISO text."""
        return {
            "makedo": makedo.__version__,
            "date": str(self.date),
            "command": self.command,
            "title": self.title,
            "verdict": self.verdict,
            "summary": list(self.summary),
            "facts": {str(name): plain(value) for name, value in self.facts.items()},
            "sections": [section.to_dict() for section in self.sections],
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """Give the report as JSON text and, with ``path``, write it there (UTF-8)."""
        return _deliver(
            json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False), path
        )

    def to_html(self, path: str | Path | None = None) -> str:
        """Give the report as one HTML page and, with ``path``, write it there (UTF-8).

        The page loads nothing, runs no script, follows the reader's light or dark mode, and prints.
        """
        titles = [section.title for section in self.sections]
        assert len(set(titles)) == len(titles), f"section titles are not unique: {titles}"
        sections = [
            {
                "section": section,
                "svg": None if section.figure is None else _picture(section, f"f{i}"),
                "table": None if section.table is None else _table(section),
            }
            for i, section in enumerate(self.sections, start=1)
        ]
        facts = {name: _fact(value) for name, value in self.facts.items()}
        page = _template().render(
            report=self,
            facts=facts,
            sections=sections,
            version=makedo.__version__,
            light=LIGHT,
            dark=DARK,
        )
        return _deliver(page, path)

    def _repr_html_(self) -> str:
        # A frame of its own keeps the style sheets of page and notebook apart.
        return (
            f'<iframe srcdoc="{html.escape(self.to_html())}" title="{html.escape(self.title)}" '
            'sandbox="" style="width: 100%; height: 40rem; border: 0; resize: vertical"></iframe>'
        )


def plain(value: Any) -> Any:
    """A cell as JSON can hold it: NaN and the like become None, infinity ``"inf"``, dates text."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _deliver(text: str, path: str | Path | None) -> str:
    if path is not None:
        path = Path(path)
        if not path.parent.is_dir():
            raise MakedoInputError(
                f"{path}: the folder {str(path.parent)!r} does not exist. Create it first."
            )
        path.write_text(text, encoding="utf-8", errors="replace")
    return text


@cache
def _template():
    environment = Environment(
        loader=PackageLoader("makedo.report"),
        autoescape=True,
        undefined=StrictUndefined,
        # Markup is ours and clean
        finalize=lambda value: printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["paragraphs"] = lambda text: [
        p for p in re.split(r"\n\s*\n", text) if p.strip()
    ]
    environment.filters["code"] = _with_code
    return environment.get_template("page.html")


def _with_code(text: str) -> Markup:
    """Escape a text and set what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(printable(text)))))


def _picture(section: Section, prefix: str) -> Markup:
    assert section.figure is not None
    return Markup(inline_svg(section.figure, prefix=prefix, label=section.caption))


def _fact(value: Any) -> str:
    value = plain(value)
    if value is None:
        return MISSING
    if isinstance(value, float):
        return number(value, decimals([value]))
    return number(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)


# --- tables ---------------------------------------------------------------------------------------


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with text as column names and its index as leading columns.

    An index of integers without a name only counts rows and is left out.
    """
    body = frame.reset_index(drop=True)
    body.columns = [_column_name(name) for name in frame.columns]
    if frame.index.nlevels == 1 and frame.index.name is None and is_integer_dtype(frame.index):
        return body
    names = ["" if name is None else str(name) for name in frame.index.names]
    levels = [[plain(v) for v in frame.index.get_level_values(i)] for i in range(len(names))]
    head = pd.DataFrame(dict(enumerate(levels)), dtype=object)
    head.columns = names
    return pd.concat([head, body], axis=1)


def _column_name(name: Any) -> str:
    return (
        " · ".join(str(part) for part in name if part != "")
        if isinstance(name, tuple)
        else str(name)
    )


def _table(section: Section) -> dict[str, Any]:
    """A table as cells of text, for the template."""
    assert section.table is not None
    frame = _with_index(section.table)
    shown = frame.iloc[:MOST_ROWS]
    columns = []
    for i, name in enumerate(frame.columns):
        texts = _texts([plain(v) for v in shown.iloc[:, i]], section.formats.get(name))
        written = [text for text in texts if text != MISSING]
        numeric = bool(written) and all(_LOOKS_NUMERIC.match(text) for text in written)
        short = max(map(len, texts), default=0) <= UNBROKEN
        kind = "long" if not short else "number" if numeric else "short"
        columns.append({"name": name, "texts": texts, "kind": kind})
    left = len(frame) - len(shown)
    return {
        "columns": columns,
        "rows": list(zip(*(column["texts"] for column in columns), strict=True)),
        "left_out": count(left, "further row") if left else "",
    }


def _texts(values: list[Any], form: str | None) -> list[str]:
    """The cells of one column, all with the same number of decimals."""
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    whole = all(isinstance(v, int) or v.is_integer() for v in numbers)
    digits = 0 if whole else decimals(numbers)

    def text(value: Any) -> str:
        if value is None or value == "":
            return MISSING
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, str):
            return value
        if form:
            return tidy(format(value, form))
        return tidy(f"{value:,}") if isinstance(value, int) and whole else number(value, digits)

    return [text(value) for value in values]
