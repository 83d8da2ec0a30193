"""Figures of many values: distributions by group, clouds of points, tables of counts, bands.

As in :mod:`makedo.report.figures`: values are drawn as they come, so scale them before, and name
the unit in ``label``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from makedo.report.drawing import (
    NOTE,
    SMALL,
    TEXT,
    TINY,
    WIDTH,
    End,
    cut,
    drawing,
    every_nth,
    name_ends,
    new_figure,
    place,
    value_axis,
    width_of,
    words,
    write,
)
from makedo.report.palette import INK, MARKERS, MUTED, RULE, SERIES
from makedo.report.writing import number

BETTER, WORSE = SERIES[0], SERIES[1]
MOST_POINTS = 1_200  # of a cloud; more make the page heavy and show no more


def histograms(
    values: Any,
    groups: Any,
    *,
    label: str,
    bins: int = 48,
    most: int = 12,
    ends: tuple[str, str] | None = None,
) -> Figure:
    """How a quantity is distributed in each group: one histogram a group on a common scale.

    What is beyond the middle 99 % of all values is counted in the first and last bin.  Bins left of
    zero are blue, right of zero vermilion, where ``ends`` says what the sides mean.

    Parameters
    ----------
    values : array-like of shape (n_rows,)
    groups : array-like of shape (n_rows,)
        The largest ones are drawn, in their own order; a line says how many are left out.
    label : str
        What the values are, with their unit.
    bins, most : int
        Bins, and groups drawn.
    ends : (str, str), optional
        What left and right of zero mean; draws the line of zero.
    """
    table = pd.DataFrame({"value": np.asarray(values, float), "group": np.asarray(groups)})
    table = table.loc[np.isfinite(table["value"]), :]
    sizes = table["group"].value_counts()
    shown = [g for g in sorted(sizes.index, key=_in_order) if g in set(sizes.index[:most])]
    left_out = len(sizes) - len(shown)
    edges = _edges(table["value"].to_numpy(), bins, zero=ends is not None)
    left = min(130.0, max((width_of(g) for g in shown), default=0) + 12)
    height, gap = 34.0, 6.0
    under = 38 + 16 * (ends is not None) + 16 * (left_out > 0)
    with drawing():
        figure = new_figure(22 + max(1, len(shown)) * (height + gap) + under)
        for i, group in enumerate(shown):
            inside = table.loc[table["group"] == group, "value"].to_numpy()
            top = 22 + i * (height + gap)
            ax = place(figure, left=left, top=top, width=WIDTH - left - 54, height=height)
            counts, _ = np.histogram(np.clip(inside, edges[0], edges[-1]), edges)
            _steps(ax, edges, counts, ends is not None)
            write(ax, 0, 0.25, cut(group, left - 10), dx=-left)
            write(ax, 1, 0.25, number(len(inside)), dx=54, ha="right")
            if i == 0:
                write(ax, 1, 1, "n", dx=54, dy=4, ha="right", **TINY)
            ax.tick_params(labelbottom=i == len(shown) - 1)
            if i == len(shown) - 1:
                _below(ax, label, left, ends, f"and {number(left_out)} more" if left_out else "")
    return figure


def _in_order(group: Any) -> tuple[int, Any]:
    """Numbers by size, then text by letters."""
    plain = group.item() if isinstance(group, np.generic) else group
    is_number = isinstance(plain, (int, float))
    return (0, float(plain)) if is_number else (1, str(plain))


def _edges(values: np.ndarray, bins: int, zero: bool) -> np.ndarray:
    """Equal bins over the middle 99 % of the values; one edge is at zero if the sides differ."""
    if not len(values):
        return np.linspace(0, 1, bins + 1)
    low, high = np.percentile(values, [0.5, 99.5])
    if not high > low:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    edges = np.linspace(low, high, bins + 1)
    return edges - edges[np.abs(edges).argmin()] if zero else edges


def _steps(ax: Any, edges: np.ndarray, counts: np.ndarray, sided: bool) -> None:
    """The bars of a histogram."""
    middle = (edges[:-1] + edges[1:]) / 2
    sides = [(middle < 0, BETTER), (middle >= 0, WORSE)] if sided else [(middle == middle, BETTER)]
    for here, color in sides:
        ax.bar(middle[here], counts[here], width=np.diff(edges)[here], color=color, linewidth=0)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0, max(1, counts.max()))
    ax.set_yticks([])
    value_axis(ax, "x")
    ax.axhline(0, color=RULE, linewidth=1)
    if sided:
        ax.axvline(0, color=MUTED, linewidth=1)


def _below(ax: Any, label: str, left: float, ends: tuple[str, str] | None, more: str = "") -> None:
    """Under the last axes: what the sides mean, what the values are, what is left out."""
    style: dict[str, Any] = {"va": "top", **NOTE}
    down = -22
    if ends:
        write(ax, 0, 0, f"← {ends[0]}", dx=-left, dy=down, **style)
        write(ax, 1, 0, f"{ends[1]} →", dx=54, dy=down, ha="right", **style)
        down -= 16
    write(ax, 0, 0, label, dx=-left, dy=down, **style)
    if more:
        write(ax, 0, 0, more, dx=-left, dy=down - 16, **style)


def cloud(
    x: Any,
    y: Any,
    *,
    label: str,
    x_label: str,
    marked: Any = None,
    marked_label: str = "",
    log_x: bool = False,
) -> Figure:
    """Two quantities of each row as points; some of them marked.

    At most 1,200 points are drawn: the outermost in either direction, and others chosen evenly.

    Parameters
    ----------
    x, y : array-like of shape (n_rows,)
    label, x_label : str
        What y and x are, with their units.
    marked : array-like of bool of shape (n_rows,), optional
        Rows drawn in vermilion, as squares.
    marked_label : str
        What they are.
    log_x : bool
        Whether x has a logarithmic scale; rows that are not positive are left out.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    marked = np.zeros(len(x), bool) if marked is None else np.asarray(marked, bool)
    usable = np.isfinite(x) & np.isfinite(y) & (x > 0 if log_x else True)
    rows = np.flatnonzero(usable)
    drawn = rows[_thinned(x[rows], y[rows])]
    left = 46.0
    with drawing():
        figure = new_figure(330)
        ax = place(figure, left=left, top=44, width=WIDTH - left - 10, height=230)
        if log_x:
            ax.set_xscale("log")
        for here, color, marker in ((~marked, SERIES[0], "o"), (marked, SERIES[1], "s")):
            these = drawn[here[drawn]]
            style = {"markersize": 3.4, "markeredgewidth": 0, "alpha": 0.6, "color": color}
            ax.plot(x[these], y[these], linestyle="", marker=marker, **style)
        if len(drawn):
            ax.margins(0.03)
        value_axis(ax, "y")
        _log_axis(ax) if log_x else value_axis(ax, "x")
        ax.axhline(0, color=MUTED, linewidth=1)
        write(ax, 0, 1, label, dx=-left, dy=12, **NOTE)
        write(ax, 0, 0, x_label, dx=-left, dy=-22, va="top", **NOTE)
        if marked_label and marked.any():
            write(ax, 1, 1, f"■ {marked_label}", dy=28, ha="right", size=SMALL, color=SERIES[1])
        if len(drawn) < len(rows):
            text = f"{number(len(drawn))} of {number(len(rows))} rows"
            write(ax, 1, 0, text, dy=-36, ha="right", va="top", **TINY)
    return figure


def _thinned(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Positions of at most :data:`MOST_POINTS` points, the outermost among them."""
    n = len(x)
    if n <= MOST_POINTS:
        return np.arange(n)
    outer = [order[part] for order in (np.argsort(x, kind="stable"), np.argsort(y, kind="stable"))
             for part in (slice(None, 50), slice(-50, None))]  # fmt: skip
    even = np.linspace(0, n - 1, MOST_POINTS - 200).astype(int)
    return np.unique(np.concatenate([*outer, even]))


def _log_axis(ax: Any) -> None:
    """Ticks at powers of ten, as many as fit; over few decades also between them."""
    low, high = np.log10(ax.get_xlim())
    steps = (1, 1.5, 2, 3, 5, 7) if high - low < 1 else (1, 2, 5) if high - low < 2 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    places = [float(f"{step}e{power}") for power in powers for step in steps]
    places = [place for place in places if low - 1e-9 <= math.log10(place) <= high + 1e-9]
    labels = [
        number(place)
        if 1e-4 <= place <= 1e4
        else f"{place:.0e}".replace("e-0", "e−").replace("e+0", "e")
        for place in places
    ]
    slot = ax.get_position().width * WIDTH / max(high - low, 1e-9) / len(steps)
    every = every_nth([width_of(text) * SMALL / TEXT + 4 for text in labels], slot)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_locator(FixedLocator(places[::every]))
    ax.set_xticks(places[::every], labels=labels[::every])
    ax.xaxis.grid(color=RULE, linewidth=0.8)


def count_map(table: pd.DataFrame, *, label: str, x_label: str, most: int = 12) -> Figure:
    """Counts of pairs as shades: rows of the table down, columns across; each row adds up to 100 %.

    Parameters
    ----------
    table : DataFrame of shape (n_groups, n_groups)
        Counts, index and columns alike.  The ``most`` groups with the most counts off the diagonal
        are drawn, and a line says how many are left out.
    label, x_label : str
        What the rows and what the columns are.
    most : int
    """
    counts = table.to_numpy(float)
    off = counts.sum(0) + counts.sum(1) - 2 * np.diag(counts)
    shown = np.sort(np.argsort(-off, kind="stable")[:most])
    left_out = len(table) - len(shown)
    total = counts.sum(1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    share, counts = share[np.ix_(shown, shown)], counts[np.ix_(shown, shown)]
    names = [words(name) for name in table.index[shown]]
    left = min(110.0, max((width_of(name) for name in names), default=0) + 12)
    widest = max((width_of(name) * SMALL / TEXT for name in names), default=0.0) + 10
    side = min(max(42.0, min(widest, 90.0)), (WIDTH - left) / max(1, len(names)))
    size = side * max(1, len(names))
    with drawing():
        figure = new_figure(56 + size + 24 + 18 * (left_out > 0))
        ax = place(figure, left=left, top=56, width=size, height=size)
        ax.set_xlim(-0.5, len(names) - 0.5)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_xticks([])
        ax.set_yticks([])
        for (i, j), part in np.ndenumerate(share):
            color = SERIES[0] if i == j else SERIES[1]
            ax.bar(j, 1, bottom=i - 0.5, width=1, color=color, alpha=0.6 * part, linewidth=0)
            text = number(float(counts[i, j]))
            if counts[i, j] and width_of(text) * (SMALL - 1) / TEXT < side:
                write(ax, j, i, text, data="xy", ha="center", va="center", size=SMALL - 1)
        for i, name in enumerate(names):
            write(ax, 0, i, cut(name, left - 10), dx=-left, data="y", va="center_baseline")
            above = {"data": "x", "ha": "center", "size": SMALL}
            write(ax, i, 1, cut(name, (side - 6) * TEXT / SMALL), dy=6, **above)
        write(ax, 0, 1, f"{label} ↓, {x_label} →", dx=-left, dy=26, **NOTE)
        if left_out:
            text = f"and {number(left_out)} more, which are confused less"
            write(ax, 0, 0, text, dx=-left, dy=-8, va="top", **NOTE)
    return figure


def bands(
    table: pd.DataFrame,
    *,
    label: str,
    x_label: str,
    ours: str = "",
    log_x: bool = False,
    at: float | None = None,
    at_label: str = "",
) -> Figure:
    """Curves over a number, each in the band of its interval, named at their right end.

    Parameters
    ----------
    table : DataFrame
        A row per candidate and place: candidate, x, mean; optional low, high.
    label, x_label : str
        What the curves and x are, with units.
    ours : str
        The candidate in the heavier line.
    log_x : bool
        Whether x has a logarithmic scale.
    at : float, optional
        Where a dotted line stands.
    at_label : str
        What stands there.
    """
    names = table["candidate"].unique().tolist()
    named = len(names) > 1
    left = 46.0
    right = min(120.0, max(width_of(n, n == ours) for n in names) + 20) if named else 10.0
    with drawing():
        figure = new_figure(280)
        ax = place(figure, left=left, top=44, width=WIDTH - left - right, height=180)
        if log_x:
            ax.set_xscale("log")
        ends = []
        for i, name in enumerate(names):
            color, marker = SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)]
            part = table.loc[table["candidate"] == name, :].sort_values(by="x")
            x, mean = part["x"].to_numpy(float), part["mean"].to_numpy(float)
            if {"low", "high"} <= set(part):
                low, high = part["low"].to_numpy(float), part["high"].to_numpy(float)
                ax.fill_between(x, low, high, color=color, alpha=0.16, linewidth=0)
            style = {"color": color, "linewidth": 2.2 if name == ours else 1.5}
            ax.plot(x, mean, marker=marker, markersize=4, markeredgewidth=0, **style)
            seen = mean[np.isfinite(mean)]
            if len(seen):
                text = cut(name, right - 18)
                ends.append(End(float(seen[-1]), text, color, marker, name == ours))
        if at is not None:
            ax.axvline(at, color=INK, linewidth=1, linestyle=(0, (1.5, 2.5)))
            far = ax.transData.transform((at, 0))[0] > ax.get_window_extent().x1 * 0.6
            style = {"data": "x", "ha": "right" if far else "left", "size": SMALL}
            write(ax, at, 1, at_label, dy=4, **style)
        value_axis(ax, "y")
        _log_axis(ax) if log_x else value_axis(ax, "x")
        if named:
            name_ends(ax, figure, ends)
        write(ax, 0, 1, label, dx=-left, dy=24, **NOTE)
        write(ax, 0, 0, x_label, dx=-left, dy=-22, va="top", **NOTE)
    return figure


def image_sheet(
    images: Sequence[np.ndarray], captions: Sequence[Sequence[str]], *, columns: int = 4
) -> Figure:
    """Pictures in rows with lines of small text under each.

    Each picture is drawn at most 96 pixels wide and high, whatever its size, and stands in the
    figure itself: nothing is loaded.

    Parameters
    ----------
    images : sequence of uint8 ndarray (height, width) or (height, width, 3)
    captions : sequence of sequence of str
        The lines under each picture.
    columns : int
    """
    n_lines = max((len(lines) for lines in captions), default=0)
    slot = WIDTH / columns
    side = slot - 12
    height = side + 8 + 15 * n_lines + 10
    n_rows = math.ceil(len(images) / columns)
    with drawing():
        figure = new_figure(max(1, n_rows) * height)
        for i, (image, lines) in enumerate(zip(images, captions, strict=True)):
            where = {"left": i % columns * slot, "top": i // columns * height}
            ax = place(figure, **where, width=side, height=side)
            small = _shrunk(np.asarray(image))
            style = {"cmap": "gray", "vmin": 0, "vmax": 255} if small.ndim == 2 else {}
            ax.imshow(small, interpolation="none", **style)
            ax.set_xticks([])
            ax.set_yticks([])
            for j, text in enumerate(lines):
                line = cut(text, side * TEXT / SMALL)
                color = INK if j == 0 else MUTED
                write(ax, 0, 0, line, dy=-14 - 15 * j, size=SMALL, color=color)
    return figure


PIXELS = 96  # of a picture on a sheet, at most, across


def _shrunk(image: np.ndarray) -> np.ndarray:
    """The picture with its larger side at most :data:`PIXELS`: means over blocks of pixels."""
    step = math.ceil(max(image.shape[:2]) / PIXELS)
    if step == 1:
        return image
    high, wide = (max(1, n // step) for n in image.shape[:2])
    cropped = image[: high * step, : wide * step].astype(float)
    blocks = cropped.reshape(high, min(step, image.shape[0]), wide, -1, *image.shape[2:])
    return blocks.mean((1, 3)).round().astype(np.uint8)
