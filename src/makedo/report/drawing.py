"""How all figures draw: axes without frames placed in points, text, rows of dots and bars.

A figure is 380 points wide, with text of 11 and 12 points, so that it can be read on a phone; what
must be many is stacked, and nothing is turned on its side.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import offset_copy

from makedo.report.palette import INK, MUTED, PAPER, RULE
from makedo.report.svg import DRAWING
from makedo.report.writing import decimals, number, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 380.0  # all lengths in points: one point is one unit of the SVG
TEXT, SMALL = 12.0, 11.0
ROW = 21.0
NOTE = {"size": SMALL, "color": MUTED}  # style of what is not the data
TINY = {"size": SMALL - 1, "color": MUTED}


@contextmanager
def drawing() -> Iterator[None]:
    """Our text settings while a figure is made."""
    with matplotlib.rc_context({**DRAWING, "font.size": TEXT, "text.color": INK}):
        yield


def new_figure(height: float) -> Figure:
    """An empty figure of our width and this height in points."""
    return Figure(figsize=(WIDTH / 72, height / 72), dpi=72, facecolor=PAPER)


def place(figure: Figure, *, left: float, top: float, width: float, height: float) -> Axes:
    """Axes without a frame, placed in points from the top left of the figure."""
    total = figure.get_figheight() * 72
    ax = figure.add_axes((left / WIDTH, 1 - (top + height) / total, width / WIDTH, height / total))
    ax.set_facecolor("none")
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(length=0, labelsize=SMALL, labelcolor=MUTED, pad=5)
    ax.set_axisbelow(True)
    return ax


def value_axis(ax: Axes, axis: str, *, most: int = 6) -> None:
    """Ticks at round values with pale grid lines: at most so many, and on x as many as fit.

    Call it when the limits are final.
    """
    low, high = ax.get_xlim() if axis == "x" else ax.get_ylim()
    length = ax.get_position().width * WIDTH
    for bins in range(most, 0, -1):
        ticks = MaxNLocator(bins, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        ticks = [tick for tick in ticks if low <= tick <= high]
        labels = [number(tick) for tick in ticks]
        widths = [width_of(label) * SMALL / TEXT + 4 for label in labels]
        slot = (ticks[1] - ticks[0]) / (high - low) * length if len(ticks) > 1 else length
        if axis == "y" or every_nth(widths, slot) == 1:
            break
    scale = ax.xaxis if axis == "x" else ax.yaxis
    scale.set_ticks(ticks, labels=labels)
    scale.grid(color=RULE, linewidth=0.8)


def count_axis(ax: Axes, most: int) -> None:
    """Ticks at a few whole numbers on x, without grid."""
    ax.xaxis.set_major_locator(MaxNLocator(most, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(_number_at))


def _number_at(value: float, _: int) -> str:  # a lambda could not be sent to another process
    return number(value)


def write(
    ax: Axes,
    x: float,
    y: float,
    text: Any,
    *,
    dx: float = 0,
    dy: float = 0,
    data: str = "",
    **style: Any,
) -> None:
    """Write at a place in the axes, moved by dx and dy points.

    ``data`` names the axes (``"x"``, ``"y"``) whose place is in data units, not a fraction.
    """
    coordinates: Any = tuple("data" if axis in data else "axes fraction" for axis in "xy")
    style = {"size": TEXT, "color": INK, "ha": "left", "va": "baseline"} | style
    ax.annotate(
        words(text),
        (x, y),
        xycoords=coordinates,
        xytext=(dx, dy),
        textcoords="offset points",
        annotation_clip=False,
        **style,
    )


# --- rows: a name on the left, something drawn, a value on the right ------------------------------


@dataclass(frozen=True)
class Row:
    """One line of a dot plot."""

    label: str
    value: float
    low: float
    high: float
    color: str
    text: str
    filled: bool = True
    bold: bool = False


@dataclass(frozen=True)
class Panel:
    """A titled block of rows; ``lines`` are dotted lines through all of them."""

    title: str
    note: str
    rows: Sequence[Row]
    lines: Sequence[float] = ()


def dots(
    panels: Sequence[Panel], label: str, *, zero: bool = False, ends: tuple[str, str] | None = None
) -> Figure:
    """Panels one below the other on a common scale: name, dot with interval, value.

    ``zero`` draws the line of no difference; ``ends`` says what left and right of it mean.
    """
    rows = [row for panel in panels for row in panel.rows]
    left = min(160.0, max((width_of(row.label, row.bold) for row in rows), default=0) + 14)
    right = max((width_of(row.text, row.bold) for row in rows), default=0) + 14
    low, high = _span([v for r in rows for v in (r.value, r.low, r.high)] + [0.0] * zero)
    titled = 30.0
    height = sum(titled + ROW * len(panel.rows) for panel in panels) - titled / 2
    with drawing():
        figure = new_figure(height + (56 if ends else 40))
        top = -titled / 2  # the first needs less air
        for panel in panels:
            top += titled
            height = ROW * len(panel.rows)
            ax = place(figure, left=left, top=top, width=WIDTH - left - right, height=height)
            top += height
            ax.set_xlim(low, high)
            ax.set_ylim(len(panel.rows) - 0.5, -0.5)
            ax.set_yticks([])
            value_axis(ax, "x")
            ax.tick_params(labelbottom=panel is panels[-1])
            if zero:
                ax.axvline(0, color=MUTED, linewidth=1)
            for line in panel.lines:
                ax.axvline(line, color=MUTED, linewidth=1, linestyle=(0, (1.5, 2.5)))
            write(ax, 0, 1, panel.title, dx=-left, dy=6, weight="bold", size=SMALL)
            write(ax, 1, 1, panel.note, dx=right, dy=6, ha="right", **TINY)
            for y, row in enumerate(panel.rows):
                _dot(ax, y, row, left, right)
            if panel is panels[-1]:
                under = {"va": "top", **NOTE}
                write(ax, 0, 0, label, dx=-left, dy=-38 if ends else -22, **under)
                if ends:
                    write(ax, 0, 0, f"← {ends[0]}", dx=-left, dy=-22, **under)
                    write(ax, 1, 0, f"{ends[1]} →", dx=right, dy=-22, ha="right", **under)
    return figure


def _dot(ax: Axes, y: int, row: Row, left: float, right: float) -> None:
    style: dict[str, Any] = {"va": "center_baseline", "data": "y"}
    if row.bold:
        style |= {"weight": "bold", "color": row.color}
    write(ax, 0, y, cut(row.label, left - 10), dx=-left, **style)
    write(ax, 1, y, row.text, dx=right, ha="right", **style)
    if math.isfinite(row.low) and math.isfinite(row.high):
        ax.hlines(y, row.low, row.high, color=row.color, linewidth=2 if row.bold else 1.4)
    if math.isfinite(row.value):
        face = row.color if row.filled else PAPER
        marker = {"marker": "o", "markersize": 7, "markeredgewidth": 1.4}
        ax.plot(row.value, y, color=face, markeredgecolor=row.color, zorder=4, **marker)


def bars(
    ax: Axes, amounts: Sequence[tuple[str, float]], colors: Sequence[str], left: float
) -> None:
    """Horizontal bars from zero; the axes leave ``left`` points for names and 48 for values."""
    finite = [value for _, value in amounts if math.isfinite(value)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    ax.set_xlim(low, high if high > low else low + 1)
    ax.set_ylim(max(1, len(amounts)) - 0.5, -0.5)
    ax.set_xticks([])
    ax.set_yticks([])
    digits = decimals(finite)
    style: dict[str, Any] = {"va": "center_baseline", "data": "y"}
    for y, ((name, value), color) in enumerate(zip(amounts, colors, strict=True)):
        write(ax, 0, y, cut(name, left - 10), dx=-left, **style)
        write(ax, 1, y, number(value, digits), dx=48, ha="right", **style)
        if math.isfinite(value):
            ax.barh(y, value, height=0.42, color=color, linewidth=0)
    if low < 0:
        ax.axvline(0, color=MUTED, linewidth=1)


# --- lines named at their end ---------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class End:
    """Where a line ends and what stands there."""

    value: float
    name: str
    color: str
    marker: str
    bold: bool


def name_ends(ax: Axes, figure: Figure, ends: Sequence[End]) -> None:
    """Name each line at its right end, moved apart where names would touch."""
    low, high = ax.get_ylim()
    height = ax.get_position().height * figure.get_figheight() * 72
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
    for at, end in zip(places, ends, strict=True):
        marker = {"marker": end.marker, "markersize": 5, "markeredgewidth": 0}
        ax.plot(1, at / height, color=end.color, transform=key, clip_on=False, **marker)
        weight = "bold" if end.bold else "normal"
        style: dict[str, Any] = {"color": end.color, "weight": weight}
        write(ax, 1, at / height, end.name, dx=18, va="center_baseline", **style)


# --- how wide things are --------------------------------------------------------------------------


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Limits that hold all values with a little air."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    air = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - air, high + air


def every_nth(widths: Sequence[float], slot: float) -> int:
    """Which n-th of equally spaced places to name, so that names of these widths do not touch."""
    for every in range(1, len(widths)):
        shown = widths[::every]
        if all(a + b <= 2 * every * slot for a, b in zip(shown, shown[1:], strict=False)):
            return every
    return max(1, len(widths))


def words(text: Any) -> str:
    """A label on one line."""
    return " ".join(printable(str(text)).split())


def width_of(text: Any, bold: bool = False) -> float:
    """About how wide a text of our size is in the reader's font, which is not known here."""
    units = 0.0
    for c in words(text):
        wide, narrow = unicodedata.east_asian_width(c) in "WF", c in " .,:;il|'()"
        units += 1.0 if wide else 0.3 if narrow else 0.59
    return units * TEXT * (1.08 if bold else 1.0) + 2


def cut(text: Any, width: float) -> str:
    """The text, or as much of it as has room, with an ellipsis."""
    text = words(text)
    if width_of(text) <= width:
        return text
    while text and width_of(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrap(text: str, width: float) -> list[str]:
    """Lines of small text that fit a width."""
    lines = [""]
    for word in words(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of(longer) * SMALL / TEXT > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
