"""The figures of all rooms: a table of results in, a matplotlib Figure out.

Values are drawn as they come, so scale them before (74.1, not 0.741) and name the unit in ``label``
("accuracy, %").  No pyplot: drawing has no state outside the figure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from makedo.report.drawing import (
    NOTE,
    ROW,
    SMALL,
    TEXT,
    TINY,
    WIDTH,
    End,
    Panel,
    Row,
    bars,
    count_axis,
    cut,
    dots,
    drawing,
    every_nth,
    name_ends,
    new_figure,
    place,
    value_axis,
    width_of,
    words,
    wrap,
    write,
)
from makedo.report.palette import INK, MARKERS, MUTED, PAPER, RULE, SERIES, WASH
from makedo.report.writing import decimals, number

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
        One row per candidate and group, in the order to be shown: candidate, group, mean, low,
        high; optional ``size``, the number of test rows of the group.  A missing mean leaves a
        dash, a missing end no interval.
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
            Row(
                label=words(line["candidate"]),
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
        size = _size(part) if "size" in part else ""
        panels.append(Panel(words(group), f"n = {size}" if size else "", rows, lines))
    return dots(panels, label)


def _size(part: pd.DataFrame) -> str:
    """How many rows a group has, which each candidate's line repeats; nothing if missing."""
    sizes = part["size"].dropna().tolist()
    return number(round(max(sizes))) if sizes else ""


def paired_differences(table: pd.DataFrame, *, label: str, digits: int | None = None) -> Figure:
    """What ours gains over each other candidate, with 95 % intervals and the line of no difference.

    An interval to the right of zero is drawn in blue, to the left in vermilion, and hollow where it
    contains zero or is missing.

    Parameters
    ----------
    table : DataFrame
        One row per reference and group, in the order to be shown: ours, reference, group, gain,
        low, high.  Positive means that ours is better.
    label : str
        What the gain is, with its unit: ``"gain in accuracy, points"``.
    digits : int, optional
        Decimals of the written values.  Default: three figures.
    """
    digits = decimals(table["gain"]) if digits is None else digits

    def row(line: Mapping[str, Any]) -> Row:
        clear = int(line["low"] > 0) - int(line["high"] < 0)
        return Row(
            label=f"over {words(line['reference'])}",
            value=line["gain"],
            low=line["low"],
            high=line["high"],
            color={1: BETTER, -1: WORSE, 0: INK}[clear],
            filled=clear != 0,
            text=number(line["gain"], digits, sign=True),
        )

    panels = [
        Panel(words(group), "", [row(line) for line in part.to_dict("records")])
        for group, part in table.groupby("group", sort=False)
    ]
    names = [cut(name, 110) for name in table["ours"].unique()]
    who = f"{names[0]} " if len(names) == 1 else ""
    return dots(panels, label, zero=True, ends=(f"{who}worse", f"{who}better"))


def score_against(table: pd.DataFrame, *, label: str, bin_label: str, ours: str = "") -> Figure:
    """Score of several candidates along an ordered quantity in bins: lines with 95 % intervals.

    Parameters
    ----------
    table : DataFrame
        One row per candidate and bin: candidate, bin (in the order of their first appearance),
        mean, low, high; optional ``size``, rows in the bin.  :func:`score_by_bin` makes one.
    label, bin_label : str
        What the scores and the bins are, with units.
    ours : str
        The candidate in the heavier line.
    """
    bins, names = table["bin"].unique().tolist(), table["candidate"].unique().tolist()
    left, right = 38.0, min(120.0, max(width_of(name, name == ours) for name in names) + 20)
    width = WIDTH - left - right
    every = every_nth([width_of(b) * SMALL / TEXT + 3 for b in bins], width / len(bins))
    with drawing():
        figure = new_figure(280)
        ax = place(figure, left=left, top=28, width=width, height=196)
        ends = []
        for i, name in enumerate(names):
            color, marker = SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)]
            part = table[table["candidate"] == name].set_index("bin").reindex(bins)
            mean, low, high = (part[c].to_numpy(float) for c in ("mean", "low", "high"))
            aside = (i - (len(names) - 1) / 2) * min(0.1, 0.5 / len(names))
            x = np.arange(len(bins)) + aside  # intervals of different lines side by side
            ax.vlines(x, low, high, color=color, linewidth=1, alpha=0.5)
            line = {"color": color, "linewidth": 2.2 if name == ours else 1.4}
            ax.plot(x, mean, marker=marker, markersize=5, markeredgewidth=0, **line)
            seen = mean[np.isfinite(mean)]
            if len(seen):
                text = cut(name, right - 18)
                ends.append(End(float(seen[-1]), text, color, marker, name == ours))
        ax.set_xlim(-0.45, len(bins) - 0.55)
        value_axis(ax, "y")
        shown = ["" if i % every else words(b) for i, b in enumerate(bins)]
        ax.set_xticks(range(len(bins)), labels=shown)
        name_ends(ax, figure, ends)
        write(ax, 0, 1, label, dx=-left, dy=12, **NOTE)
        write(ax, 0, 0, bin_label, dx=-left, dy=-35 if "size" in table else -20, va="top", **NOTE)
        if "size" in table:
            write(ax, 0, 0, "n", dx=-left, dy=-20, va="top", **TINY)
            for i in range(0, len(bins), every):
                n = _size(table.loc[table["bin"] == bins[i], :])
                write(ax, i, 0, n, dy=-20, ha="center", va="top", data="x", **TINY)
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
        Upper end in per cent and meaning of each stretch, left to right; the scale starts at 0.
    interval : (float, float), optional
        95 % interval in per cent.
    parts : mapping of str to float, optional
        The components, drawn as bars from zero.
    parts_label : str
        What the components are, with their unit.
    """
    amounts = [(words(name), float(value)) for name, value in (parts or {}).items()]
    scale_height, limit = 122.0, zones[-1][0]
    with drawing():
        figure = new_figure(scale_height + (34 + ROW * len(amounts) if amounts else 0))
        ax = place(figure, left=0, top=42, width=WIDTH, height=26)
        _scale(ax, zones)
        if math.isnan(ratio):
            write(ax, 0, 1, f"{words(label)}: not defined", dy=24, weight="bold")
        else:
            write(ax, 0, 1, f"{words(label)}: {number(ratio, 0)} %", dy=24, weight="bold")
            at = min(max(ratio, 0.0), limit)
            marker = "o" if at == ratio else ">" if ratio > limit else "<"
            style = {"color": SERIES[0], "markersize": 10, "markeredgewidth": 0}
            ax.plot(at, 0, marker=marker, clip_on=False, zorder=4, **style)
        if interval is not None and not np.isnan(interval).any():
            low, high = (number(end, 0) for end in interval)
            write(ax, 0, 1, f"95 % interval {low} to {high} %", dy=7, **NOTE)
            ax.hlines(0, *np.clip(interval, 0, limit), color=SERIES[0], linewidth=2.5)
        if amounts:
            left = min(160.0, max(width_of(name) for name, _ in amounts) + 12)
            size = {"width": WIDTH - left - 48, "height": ROW * len(amounts)}
            below = place(figure, left=left, top=scale_height + 26, **size)
            write(below, 0, 1, parts_label, dx=-left, dy=7, **NOTE)
            bars(below, amounts, [MUTED] * len(amounts), left)
    return figure


def _scale(ax: Any, zones: Sequence[tuple[float, str]]) -> None:
    """A band from 0 to the end of the last zone, with the meaning of each zone below it."""
    limit, start = zones[-1][0], 0.0
    for i, (end, meaning) in enumerate(zones):
        shade = RULE if i % 2 == 0 else WASH
        ax.barh(0, end - start, left=start, height=0.5, color=shade, linewidth=0)
        for j, text in enumerate(wrap(meaning, (end - start) / limit * WIDTH - 8)[:2]):
            write(ax, start, 0, text, dy=-22 - 14 * j, va="top", data="x", **NOTE)
        start = end
    ax.set_xlim(0, limit)
    ax.set_ylim(-0.5, 0.5)
    ax.set_yticks([])
    ends = [0, *(end for end, _ in zones)]
    ax.set_xticks(ends, labels=[f"{number(end)} %" for end in ends])
    ticks = ax.get_xticklabels()
    for tick in ticks[:-1]:
        tick.set_horizontalalignment("left")
    ticks[-1].set_horizontalalignment("right")


def curves(
    history: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    x: str = "epoch",
    by: str = "phase",
    best: str = "score",
) -> Figure:
    """How training went: a row of panels per phase, a column per quantity.

    A dot marks the state that was kept.

    Parameters
    ----------
    history : DataFrame
        A row per epoch, as in ``history_``.
    labels : mapping of column to str, optional
        The columns to draw, and what they are, with units.  Default: each numeric column but
        ``seconds``.
    x, by : str
        Columns of the epoch and of the phase; without the latter all rows are one phase.
    best : str
        The column whose highest value (the first of equals) decided which state was kept.
    """
    if labels is None:
        numeric = history.select_dtypes("number").columns
        labels = {c: str(c) for c in numeric if c not in (x, "seconds")}
    measured = set(history.columns[history.notna().any()])
    labels = {column: name for column, name in labels.items() if column in measured}
    phases = list(history.groupby(by, sort=False)) if by in history else [("", history)]
    height, gap, left = 84.0, 62.0, 40.0
    width = (WIDTH - 10) / max(1, len(labels)) - left
    with drawing():
        figure = new_figure(max(1, len(phases)) * (height + gap))
        for i, (phase, part) in enumerate(phases):
            top = i * (height + gap) + 30
            for j, (column, name) in enumerate(labels.items()):
                start = left + j * (width + left)
                ax = place(figure, left=start, top=top, width=width, height=height)
                if j == 0:
                    write(ax, 0, 1, phase, dx=-left, dy=19, weight="bold")
                seen = part.dropna(subset=[x, column]).reset_index(drop=True)
                if seen.empty:
                    ax.set_axis_off()
                    continue
                write(ax, 0, 1, name, dx=0 if j else -left, dy=5, **NOTE)
                write(ax, 1, 0, x, dy=-19, ha="right", va="top", **TINY)
                kept = int(np.argmax(seen[column])) if column == best else None
                _curve(ax, seen, x, column, SERIES[j % len(SERIES)], kept)
    return figure


def _curve(ax: Any, seen: pd.DataFrame, x: str, column: str, color: str, kept: int | None) -> None:
    dot = {"color": color, "marker": "o", "markeredgecolor": PAPER, "markeredgewidth": 1.2}
    ax.plot(seen[x], seen[column], color=color, linewidth=1.5)
    if kept is None and len(seen) == 1:  # a line of one point is no line
        kept = 0
    if kept is not None:
        ax.plot(seen.at[kept, x], seen.at[kept, column], markersize=6.5, clip_on=False, **dot)
    value_axis(ax, "y", most=3)
    count_axis(ax, most=4 if ax.get_position().width > 0.3 else 3)


def ranked_bars(
    values: pd.Series, *, label: str, most: int = 20, kinds: Sequence[str] | None = None
) -> Figure:
    """Named amounts as bars, the largest first: virtual neighbours of a node, weights of features.

    Parameters
    ----------
    values : Series
        Names in the index.  Negative values go to the left of zero, in vermilion.  Missing values
        are left out.
    label : str
        What the values are, with their unit.
    most : int
        Bars drawn; a line says how many are left out.
    kinds : sequence of str, optional
        A word per value (its class, say), written in brackets after the name.
    """
    names = [words(name) for name in values.index]
    if kinds is not None:
        names = [f"{name} ({words(kind)})" for name, kind in zip(names, kinds, strict=True)]
    amounts = [(n, float(v)) for n, v in zip(names, values, strict=True) if not pd.isna(v)]
    amounts.sort(key=lambda amount: -abs(amount[1]))
    left_out, amounts = max(0, len(amounts) - most), amounts[:most]
    left = min(204.0, max((width_of(name) for name, _ in amounts), default=0) + 12)
    height = ROW * max(1, len(amounts))
    with drawing():
        figure = new_figure(26 + height + (22 if left_out else 4))
        ax = place(figure, left=left, top=24, width=WIDTH - left - 48, height=height)
        write(ax, 0, 1, label, dx=-left, dy=7, **NOTE)
        bars(ax, amounts, [BETTER if v >= 0 else WORSE for _, v in amounts], left)
        if left_out:
            write(ax, 0, 0, f"and {number(left_out)} more", dx=-left, dy=-8, va="top", **NOTE)
    return figure


def score_by_bin(
    x: Any, scores: Mapping[str, Any], *, smallest: int = 10, most: int = 7, scale: float = 100.0
) -> pd.DataFrame:
    """Mean score of candidates in bins of a count: 0, 1, 2, 3–4, 5–8, 9–16, 17+.

    Parameters
    ----------
    x : array-like of int, shape (n_rows,)
        The count, for example the degree of each node; not negative.
    scores : mapping of candidate to array-like of shape (n_rows,)
        The score of each row, 0 and 1 for wrong and right; rows that are NaN are left out.
    smallest : int
        A bin with fewer rows is joined to the next larger one, the last to the one before.
    most : int
        Number of bins; what is larger goes into the last.
    scale : float
        Factor for the result: 100 gives per cent.

    Returns
    -------
    DataFrame
        candidate, bin, mean, low, high, size.  The interval is 95 %: Wilson's for scores of 0 and
        1, else normal.

    Examples
    --------
    >>> score_by_bin([0, 0, 1, 3, 4], {"MLP": [1, 0, 1, 1, 0]}, smallest=1)[["bin", "mean", "size"]]
       bin   mean  size
    0    0   50.0     2
    1    1  100.0     1
    2  3–4   50.0     2
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
            low, high = number(int(x[rows].min())), number(int(x[rows].max()))
            text = low if low == high else f"{low}–{high}"
            if joined is bins[-1] and len(joined) > 1:
                text = f"{low}+"
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
