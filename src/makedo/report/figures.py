"""The figures of all rooms: a table of results in, a matplotlib Figure out.

Values are drawn as they come, so scale them before (74.1, not 0.741) and name the unit in ``label`` ("accuracy, %").
Figures are 380 points wide, with text of 11 and 12 points, so that they can be read on a phone; what must be many is
stacked, and nothing is turned on its side.  No pyplot: drawing has no state outside the figure.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import offset_copy

from makedo.report.numbers import decimals, number
from makedo.report.palette import INK, MARKERS, MUTED, PAPER, RULE, SERIES, WASH
from makedo.report.svg import DRAWING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 380.0  # all lengths in points: one point is one unit of the SVG
TEXT, SMALL = 12.0, 11.0
ROW = 21.0
BETTER, WORSE = SERIES[0], SERIES[1]


def comparison(
    table: pd.DataFrame,
    *,
    label: str,
    ours: str = "",
    reference: str = "",
    digits: int | None = None,
) -> Figure:
    """Candidates by score: a dot with its 95 % interval, one panel per group, one scale for all.

    Parameters
    ----------
    table : DataFrame
        One row per candidate and group, in the order to be shown: candidate, group, mean, low, high; optional ``size``,
        the number of test rows of the group.  A missing mean leaves a dash, a missing end no interval.
    label : str
        What the scores are, with their unit: ``"accuracy, %"``.
    ours : str
        The candidate in colour.
    reference : str
        The candidate whose mean is drawn on as a dotted line.
    digits : int, optional
        Decimals of the written values.  Default: three figures.
    """
    digits = decimals(table["mean"]) if digits is None else digits
    panels = []
    for group, part in table.groupby("group", sort=False):
        rows = [
            _Row(
                label=_words(line["candidate"]),
                value=line["mean"],
                low=line["low"],
                high=line["high"],
                color=SERIES[0] if line["candidate"] == ours else INK,
                bold=line["candidate"] == ours,
                text=number(line["mean"], digits),
            )
            for line in part.to_dict("records")
        ]
        lines = part.loc[part["candidate"] == reference, "mean"].dropna().tolist()
        size = part["size"].max() if "size" in part else math.nan
        panels.append(
            _Panel(
                _words(group), "" if math.isnan(size) else f"n = {number(round(size))}", rows, lines
            )
        )
    return _dots(panels, label)


def paired_differences(table: pd.DataFrame, *, label: str, digits: int | None = None) -> Figure:
    """What ours gains over each other candidate, with 95 % intervals and the line of no difference.

    An interval to the right of zero is drawn in blue, to the left in vermilion, and hollow where it contains zero or
    is missing.

    Parameters
    ----------
    table : DataFrame
        One row per reference and group, in the order to be shown: ours, reference, group, gain, low, high.  Positive
        means that ours is better.
    label : str
        What the gain is, with its unit: ``"gain in accuracy, points"``.
    digits : int, optional
        Decimals of the written values.  Default: three figures.
    """
    digits = decimals(table["gain"]) if digits is None else digits

    def row(line: Mapping[str, Any]) -> _Row:
        clear = int(line["low"] > 0) - int(line["high"] < 0)
        return _Row(
            label=f"over {_words(line['reference'])}",
            value=line["gain"],
            low=line["low"],
            high=line["high"],
            color={1: BETTER, -1: WORSE, 0: INK}[clear],
            filled=clear != 0,
            text=number(line["gain"], digits, sign=True),
        )

    panels = [
        _Panel(_words(group), "", [row(line) for line in part.to_dict("records")])
        for group, part in table.groupby("group", sort=False)
    ]
    names = [_words(name) for name in table["ours"].unique()]
    ends = (f"{names[0]} worse", f"{names[0]} better") if len(names) == 1 else ("worse", "better")
    return _dots(panels, label, zero=True, ends=ends)


def score_against(table: pd.DataFrame, *, label: str, bin_label: str, ours: str = "") -> Figure:
    """Score of several candidates along an ordered quantity in bins, as lines with 95 % intervals.

    Parameters
    ----------
    table : DataFrame
        One row per candidate and bin: candidate, bin (bins in the order of their first appearance), mean, low, high;
        optional ``size``, rows in the bin.  :func:`score_by_bin` makes one.
    label, bin_label : str
        What the scores and the bins are, with units.
    ours : str
        The candidate in the heavier line.
    """
    bins, names = table["bin"].unique().tolist(), table["candidate"].unique().tolist()
    right = min(130.0, max(_width(name, bold=name == ours) for name in names) + 20)
    with _drawing():
        figure = _figure(290)
        ax = _axes(figure, left=38, top=28, width=WIDTH - 38 - right, height=196)
        ends = []
        for i, name in enumerate(names):
            color, marker = SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)]
            part = table[table["candidate"] == name].set_index("bin").reindex(bins)
            mean, low, high = (part[c].to_numpy(float) for c in ("mean", "low", "high"))
            x = np.arange(len(bins)) + (i - (len(names) - 1) / 2) * min(0.1, 0.5 / len(names))
            ax.vlines(x, low, high, color=color, linewidth=1, alpha=0.5)
            width = 2.2 if name == ours else 1.4
            ax.plot(
                x,
                mean,
                color=color,
                linewidth=width,
                marker=marker,
                markersize=5,
                markeredgewidth=0,
            )
            seen = mean[np.isfinite(mean)]
            if len(seen):
                ends.append(
                    _End(float(seen[-1]), _cut(name, right - 20), color, marker, name == ours)
                )
        ax.set_xlim(-0.45, len(bins) - 0.55)
        _value_axis(ax.yaxis, ax)
        every = _every(
            [_width(b) * SMALL / TEXT + 3 for b in bins], (WIDTH - 38 - right) / len(bins)
        )
        ax.set_xticks(
            range(len(bins)), labels=["" if i % every else _words(b) for i, b in enumerate(bins)]
        )
        _beside(ax, ends)
        _write(ax, 0, 1, label, dx=-38, dy=12, color=MUTED, size=SMALL)
        _write(ax, 0, 0, bin_label, dx=-38, dy=-34, color=MUTED, size=SMALL, va="top")
        if "size" in table:
            sizes = table.groupby("bin", sort=False)["size"].max().reindex(bins)
            for x, size in enumerate(sizes):
                if not math.isnan(size) and x % every == 0:
                    _write(
                        ax,
                        x,
                        0,
                        number(round(size)),
                        dy=-20,
                        ha="center",
                        va="top",
                        color=MUTED,
                        size=SMALL - 1.5,
                        across="data",
                    )
            _write(ax, 0, 0, "n", dx=-38, dy=-20, va="top", color=MUTED, size=SMALL - 1.5)
    return figure


def ratio_bar(
    ratio: float,
    *,
    label: str,
    zones: Sequence[tuple[float, str]],
    interval: tuple[float, float] | None = None,
    parts: Mapping[str, float] | None = None,
    parts_label: str = "",
) -> Figure:
    """One ratio on a scale whose stretches have a meaning, and the scores that it is made of.

    Parameters
    ----------
    ratio : float
        In per cent.  NaN: not defined.  Beyond the scale, an arrow stands at its end.
    label : str
        What the ratio is.
    zones : sequence of (float, str)
        Upper end in per cent and meaning of each stretch, from left to right; the scale starts at 0.
    interval : (float, float), optional
        95 % interval in per cent.
    parts : mapping of str to float, optional
        The components, drawn as bars from zero.
    parts_label : str
        What the components are, with their unit.
    """
    limit = zones[-1][0]
    parts = {name: float(value) for name, value in (parts or {}).items()}
    height = 122 + (34 + ROW * len(parts) if parts else 0)
    with _drawing():
        figure = _figure(height)
        ax = _axes(figure, left=0, top=42, width=WIDTH, height=26)
        start = 0.0
        for i, (end, meaning) in enumerate(zones):
            ax.barh(
                0,
                end - start,
                left=start,
                height=0.5,
                color=RULE if i % 2 == 0 else WASH,
                linewidth=0,
            )
            for j, text in enumerate(_wrap(meaning, (end - start) / limit * WIDTH - 10)[:2]):
                _write(
                    ax,
                    start,
                    0,
                    text,
                    dx=2,
                    dy=-22 - 14 * j,
                    va="top",
                    size=SMALL,
                    color=MUTED,
                    across="data",
                )
            start = end
        ax.set_xlim(0, limit)
        ax.set_ylim(-0.5, 0.5)
        ax.set_yticks([])
        ax.set_xticks([0, *(end for end, _ in zones)])
        ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{number(v)} %"))
        for tick, side in zip(
            ax.get_xticklabels(), ["left", *["center"] * (len(zones) - 1), "right"], strict=True
        ):
            tick.set_horizontalalignment(side)
        shown = "not defined" if math.isnan(ratio) else f"{number(ratio, 0)} %"
        if not math.isnan(ratio):
            at = min(max(ratio, 0.0), limit)
            if interval is not None:
                low, high = (min(max(end, 0.0), limit) for end in interval)
                ax.hlines(0, low, high, color=SERIES[0], linewidth=2.5, clip_on=False)
                between = f"95 % interval {number(interval[0], 0)} to {number(interval[1], 0)} %"
                _write(ax, 0, 1, between, dy=7, size=SMALL, color=MUTED)
            marker = "o" if at == ratio else ">" if ratio > limit else "<"
            ax.plot(
                [at],
                [0],
                marker,
                color=SERIES[0],
                markersize=10,
                markeredgewidth=0,
                clip_on=False,
                zorder=4,
            )
        _write(ax, 0, 1, f"{_words(label)}: {shown}", dy=24, weight="bold")
        if parts:
            left = min(160.0, max(_width(name) for name in parts) + 12)
            top = 122 + 26
            below = _axes(
                figure, left=left, top=top, width=WIDTH - left - 52, height=ROW * len(parts)
            )
            _write(below, 0, 1, parts_label, dx=-left, dy=7, size=SMALL, color=MUTED)
            _bars(below, parts, [MUTED] * len(parts), left)
    return figure


def curves(
    history: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    x: str = "epoch",
    by: str = "phase",
    best: str = "score",
) -> Figure:
    """How training went: a row of panels per phase, a column per quantity; a dot marks the state that was kept.

    Parameters
    ----------
    history : DataFrame
        A row per epoch, as in ``history_``.
    labels : mapping of column to str, optional
        The columns to draw and what they are, with units.  Default: each numeric column but ``seconds``.
    x, by : str
        Columns of the epoch and of the phase; without the latter all rows are one phase.
    best : str
        The column whose highest value (the first of equals) decided which state was kept.
    """
    if labels is None:
        numeric = history.select_dtypes("number").columns
        labels = {c: c for c in numeric if c not in (x, "seconds")}
    labels = {c: name for c, name in labels.items() if history[c].notna().any()}
    phases = list(history.groupby(by, sort=False)) if by in history else [("", history)]
    each, gap, left = 84.0, 64.0, 40.0
    width = (WIDTH - left * len(labels) - 12) / max(1, len(labels))
    with _drawing():
        figure = _figure(len(phases) * (each + gap) + 8)
        for i, (phase, part) in enumerate(phases):
            top = i * (each + gap) + 32
            for j, (column, name) in enumerate(labels.items()):
                seen = part[[x, column]].dropna()
                ax = _axes(
                    figure, left=left + j * (width + left), top=top, width=width, height=each
                )
                if j == 0:
                    _write(ax, 0, 1, phase, dx=-left, dy=19, weight="bold")
                if seen.empty:
                    ax.set_axis_off()
                    continue
                _write(
                    ax, 0, 1, name, dx=-left + (left - 4 if j else 0), dy=5, size=SMALL, color=MUTED
                )
                alone = len(seen) == 1
                ax.plot(
                    seen[x],
                    seen[column],
                    color=SERIES[j % len(SERIES)],
                    linewidth=1.5,
                    marker="o" if alone else "",
                    markersize=4,
                )
                if column == best and not alone:
                    top_row = seen.loc[seen[column].idxmax()]
                    ax.plot(
                        top_row[x],
                        top_row[column],
                        "o",
                        color=SERIES[j % len(SERIES)],
                        markersize=6,
                        markeredgecolor=PAPER,
                        markeredgewidth=1.2,
                        clip_on=False,
                    )
                _value_axis(ax.yaxis, ax, ticks=3)
                ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
                ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: number(v)))
                _write(ax, 1, 0, x, dy=-19, ha="right", va="top", size=SMALL - 1, color=MUTED)
    return figure


def ranked_bars(
    values: pd.Series, *, label: str, most: int = 20, kinds: Sequence[str] | None = None
) -> Figure:
    """Named amounts as bars, the largest first: the virtual neighbours of a node, the weights of features.

    Parameters
    ----------
    values : Series
        Names in the index.  Negative values go to the left of zero.  Missing values are left out.
    label : str
        What the values are, with their unit.
    most : int
        Bars drawn; a line says how many are left out.
    kinds : sequence of str, optional
        A word per value (its class, say), written in brackets after the name.
    """
    series = pd.Series(values.to_numpy(float), index=[_words(name) for name in values.index])
    if kinds is not None:
        series.index = pd.Index(
            [f"{n} ({_words(k)})" for n, k in zip(series.index, kinds, strict=True)]
        )
    series = series.dropna().sort_values(ascending=False, kind="stable", key=np.abs)
    shown, left_out = series.iloc[:most], max(0, len(series) - most)
    left = min(204.0, max((_width(name) for name in shown.index), default=0) + 12)
    with _drawing():
        height = ROW * len(shown)
        figure = _figure(26 + height + (22 if left_out else 4))
        ax = _axes(figure, left=left, top=24, width=WIDTH - left - 56, height=max(height, 1))
        _write(ax, 0, 1, label, dx=-left, dy=7, size=SMALL, color=MUTED)
        colors = [BETTER if value >= 0 else WORSE for value in shown]
        _bars(ax, list(zip(shown.index, shown, strict=True)), colors, left)
        if left_out:
            _write(
                ax,
                0,
                0,
                f"and {number(left_out)} more",
                dx=-left,
                dy=-8,
                va="top",
                size=SMALL,
                color=MUTED,
            )
    return figure


def score_by_bin(
    x: Any, scores: Mapping[str, Any], *, smallest: int = 10, most: int = 7, scale: float = 100.0
) -> pd.DataFrame:
    """Mean score of each candidate in bins of a count that doubles from bin to bin: 0, 1, 2, 3–4, 5–8, 9–16, 17+.

    Parameters
    ----------
    x : array-like of int, shape (n_rows,)
        The count, for example the degree of each node; not negative.
    scores : mapping of candidate to array-like of shape (n_rows,)
        The score of each row; rows that are NaN are left out.  0 and 1 for wrong and right.
    smallest : int
        A bin with fewer rows is joined to the next larger one, the last to the one before.
    most : int
        Bins; what is larger goes into the last.
    scale : float
        Factor for the result: 100 gives per cent.

    Returns
    -------
    DataFrame
        candidate, bin, mean, low, high, size.  The interval is 95 %: Wilson's for scores of 0 and 1, else normal.
    """
    x = np.asarray(x)
    exponent = np.where(x <= 0, -1, np.ceil(np.log2(np.maximum(x, 1)))).astype(int)  # (n_rows,)
    bins: list[list[int]] = []  # exponents joined in one bin
    for e in np.unique(exponent).tolist():
        if bins and np.isin(exponent, bins[-1]).sum() < smallest:
            bins[-1].append(e)
        else:
            bins.append([e])
    while len(bins) > 1 and (len(bins) > most or np.isin(exponent, bins[-1]).sum() < smallest):
        last = bins.pop()
        bins[-1] += last
    lines = []
    for name, values in scores.items():
        values = np.asarray(values, dtype=float)
        for joined in bins:
            rows = np.isin(exponent, joined)
            inside = values[rows & ~np.isnan(values)]
            low, high = int(x[rows].min()), int(x[rows].max())
            text = number(low) if low == high else f"{number(low)}–{number(high)}"
            text = f"{number(low)}+" if joined is bins[-1] and len(joined) > 1 else text
            lines.append((name, text, *(scale * v for v in _mean_interval(inside)), len(inside)))
    return pd.DataFrame(lines, columns=["candidate", "bin", "mean", "low", "high", "size"])


def _mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of rows and its 95 % interval."""
    n, z = len(values), 1.959964
    if n == 0:
        return math.nan, math.nan, math.nan
    mean = float(values.mean())
    if np.isin(values, (0, 1)).all():  # Wilson: sane near 0 and 1 and for few rows
        middle = (mean + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * math.sqrt(mean * (1 - mean) / n + z**2 / (4 * n**2))
        return mean, middle - half, middle + half
    if n == 1:
        return mean, math.nan, math.nan
    half = z * float(values.std(ddof=1)) / math.sqrt(n)
    return mean, mean - half, mean + half


# --- dots with intervals ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    label: str
    value: float
    low: float
    high: float
    color: str
    text: str
    filled: bool = True
    bold: bool = False


@dataclass(frozen=True)
class _Panel:
    title: str
    note: str
    rows: Sequence[_Row]
    lines: Sequence[float] = ()


def _dots(
    panels: Sequence[_Panel], label: str, zero: bool = False, ends: tuple[str, str] | None = None
) -> Figure:
    """Panels one below the other, with a common scale: name, dot with interval, value."""
    rows = [row for panel in panels for row in panel.rows]
    left = min(160.0, max((_width(row.label, bold=row.bold) for row in rows), default=0) + 14)
    right = max((_width(row.text) for row in rows), default=0) + 16
    low, high = _span([v for row in rows for v in (row.value, row.low, row.high)] + [0.0] * zero)
    titled = 30.0 if len(panels) > 1 or panels[0].title else 6.0
    bottom = 56.0 if ends else 40.0
    with _drawing():
        heights = [titled + ROW * len(panel.rows) for panel in panels]
        figure = _figure(sum(heights) + bottom - titled / 2)
        top, ax = -titled / 2, None
        for panel in panels:
            top += titled
            ax = _axes(
                figure, left=left, top=top, width=WIDTH - left - right, height=ROW * len(panel.rows)
            )
            top += ROW * len(panel.rows)
            ax.set_xlim(low, high)
            ax.set_ylim(len(panel.rows) - 0.5, -0.5)
            ax.set_yticks([])
            _value_axis(ax.xaxis, ax)
            ax.tick_params(labelbottom=panel is panels[-1])
            if zero:
                ax.axvline(0, color=MUTED, linewidth=1)
            for line in panel.lines:
                ax.axvline(line, color=MUTED, linewidth=1, linestyle=(0, (1.5, 2.5)))
            if titled > 10:
                _write(ax, 0, 1, panel.title, dx=-left, dy=6, weight="bold", size=SMALL)
                _write(
                    ax, 1, 1, panel.note, dx=right, dy=6, ha="right", size=SMALL - 1, color=MUTED
                )
            for y, row in enumerate(panel.rows):
                _dot(ax, y, row, left, right)
        if ax is not None:
            _write(
                ax,
                0,
                0,
                label,
                dx=-left if ends is None else 0,
                dy=-38 if ends else -22,
                va="top",
                size=SMALL,
                color=MUTED,
            )
            if ends:
                below = {"dy": -22, "va": "top", "size": SMALL, "color": MUTED}
                _write(ax, 0, 0, f"← {ends[0]}", dx=-left, **below)
                _write(ax, 1, 0, f"{ends[1]} →", dx=right, ha="right", **below)
    return figure


def _dot(ax: Axes, y: int, row: _Row, left: float, right: float) -> None:
    weight = "bold" if row.bold else "normal"
    color = row.color if row.bold else INK
    _write(
        ax,
        0,
        y,
        _cut(row.label, left - 10),
        dx=-left,
        va="center_baseline",
        up="data",
        weight=weight,
        color=color,
    )
    _write(
        ax,
        1,
        y,
        row.text,
        dx=right,
        ha="right",
        va="center_baseline",
        up="data",
        weight=weight,
        color=color,
    )
    if math.isfinite(row.low) and math.isfinite(row.high):
        ax.hlines(y, row.low, row.high, color=row.color, linewidth=2 if row.bold else 1.4)
    if math.isfinite(row.value):
        face = row.color if row.filled else PAPER
        ax.plot(
            row.value,
            y,
            "o",
            markersize=7,
            color=face,
            markeredgecolor=row.color,
            markeredgewidth=1.4,
            zorder=4,
        )


def _bars(ax: Axes, amounts: Any, colors: Sequence[str], left: float) -> None:
    """Horizontal bars with the name on the left and the value at the right edge."""
    amounts = list(amounts.items()) if isinstance(amounts, Mapping) else amounts
    finite = [value for _, value in amounts if math.isfinite(value)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    ax.set_xlim(low, high if high > low else low + 1)
    ax.set_ylim(len(amounts) - 0.5, -0.5)
    ax.set_xticks([])
    ax.set_yticks([])
    digits = decimals(finite)
    for y, ((name, value), color) in enumerate(zip(amounts, colors, strict=True)):
        _write(ax, 0, y, _cut(name, left - 10), dx=-left, va="center_baseline", up="data")
        _write(ax, 1, y, number(value, digits), dx=52, ha="right", va="center_baseline", up="data")
        if math.isfinite(value):
            ax.barh(y, value, height=0.42, color=color, linewidth=0)
    if low < 0:
        ax.axvline(0, color=MUTED, linewidth=1)


# --- drawing ----------------------------------------------------------------------------------------------------------


@contextmanager
def _drawing():
    with matplotlib.rc_context({**DRAWING, "font.size": TEXT, "text.color": INK}):
        yield


def _figure(height: float) -> Figure:
    return Figure(figsize=(WIDTH / 72, height / 72), dpi=72, facecolor=PAPER)


def _axes(figure: Figure, *, left: float, top: float, width: float, height: float) -> Axes:
    """Axes without a frame, placed in points from the top left of the figure."""
    total = figure.get_figheight() * 72
    ax = figure.add_axes((left / WIDTH, 1 - (top + height) / total, width / WIDTH, height / total))
    ax.set_facecolor("none")
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(length=0, labelsize=SMALL, labelcolor=MUTED, pad=5)
    ax.set_axisbelow(True)
    return ax


def _value_axis(axis: Any, ax: Axes, ticks: int = 6) -> None:
    """A few round ticks with pale grid lines."""
    axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    ax.grid(axis=axis.axis_name, color=RULE, linewidth=0.8)


def _write(
    ax: Axes, x: float, y: float, text: Any, *, dx: float = 0, dy: float = 0, across: str = "axes", up: str = "axes",
    ha: str = "left", va: str = "baseline", size: float = TEXT, color: str = INK, weight: str = "normal",
) -> None:  # fmt: skip
    """Write at a place in the axes (or in data coordinates), moved by dx and dy points."""
    ax.annotate(
        _words(text), (x, y), xycoords=(_coordinates(across), _coordinates(up)), xytext=(dx, dy),
        textcoords="offset points", ha=ha, va=va, size=size, color=color, weight=weight, annotation_clip=False,
    )  # fmt: skip


def _coordinates(kind: str) -> str:
    return "axes fraction" if kind == "axes" else "data"


@dataclass(frozen=True, order=True)
class _End:
    value: float
    name: str
    color: str
    marker: str
    bold: bool


def _beside(ax: Axes, ends: Sequence[_End]) -> None:
    """Name each line at its right end, moved apart where names would touch."""
    low, high = ax.get_ylim()
    figure = ax.figure
    height = ax.get_position().height * figure.get_figheight() * 72  # pyright: ignore[reportAttributeAccessIssue]
    ends = sorted(ends)
    places = [(end.value - low) / (high - low) * height for end in ends]
    gap = min(15.0, height / max(1, len(ends) - 1))
    for i in range(1, len(places)):  # each at least a line above the one below
        places[i] = max(places[i], places[i - 1] + gap)
    ceiling = height
    for i in reversed(range(len(places))):  # and the pile pushed back under the top
        places[i] = min(places[i], ceiling)
        ceiling = places[i] - gap
    key = offset_copy(ax.transAxes, figure, x=10, units="points")
    for place, end in zip(places, ends, strict=True):
        y = place / height
        ax.plot(
            1,
            y,
            end.marker,
            color=end.color,
            markersize=5,
            markeredgewidth=0,
            transform=key,
            clip_on=False,
        )
        weight = "bold" if end.bold else "normal"
        _write(ax, 1, y, end.name, dx=18, va="center_baseline", color=end.color, weight=weight)


def _every(widths: Sequence[float], slot: float) -> int:
    """Name every so many-th of equally spaced places, so that names of these widths do not touch."""
    for every in range(1, len(widths)):
        shown = widths[::every]
        if all(a + b <= 2 * every * slot for a, b in zip(shown, shown[1:], strict=False)):
            return every
    return len(widths)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Limits that hold all values with a little air."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    air = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - air, high + air


def _words(text: Any) -> str:
    """A label on one line, without control characters, which SVG cannot hold."""
    text = str(text).encode("utf-8", "replace").decode("utf-8")
    return " ".join("".join(c if unicodedata.category(c) != "Cc" else " " for c in text).split())


def _width(text: Any, bold: bool = False) -> float:
    """About how wide a text is in the reader's font, which is not known here."""
    units = sum(
        1.0 if unicodedata.east_asian_width(c) in "WF" else 0.3 if c in " .,:;il|'()" else 0.59
        for c in _words(text)
    )
    return units * TEXT * (1.08 if bold else 1.0) + 2


def _cut(text: Any, width: float) -> str:
    """The text, or as much of it as has room, with an ellipsis."""
    text = _words(text)
    if _width(text) <= width:
        return text
    while text and _width(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _wrap(text: str, width: float) -> list[str]:
    lines = [""]
    for word in _words(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _width(longer) * SMALL / TEXT > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
