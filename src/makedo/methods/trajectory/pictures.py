"""Figures of an explanation: bars and controls, a scene with arrows, distance, time, all values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.checks import MakedoInputError
from makedo.methods.trajectory.explaining import OTHER_TIME, PAST, RANDOM, REAL
from makedo.methods.trajectory.wording import written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from makedo.data.windows import Windows
    from makedo.methods.trajectory.attribution import Attribution

BARS = {  # quantity -> how the bar is called
    "past": "past",
    "neighbors": "all neighbours together",
    "interaction": "best neighbour",
    "random": "random neighbour",
    "corrected": "best, less best random one",
    "each_beyond_random": "each, less random in its seat",
    "beyond_other_time": "best, less best of another time",
}
IN_SEATS = {"random": "random one in a seat", "corrected": "best, less random in a seat"}
SOCIAL = tuple(name for name in BARS if name != "past")
TOGETHER = {  # sums, for comparing all neighbours with all that stand in for them
    "neighbors": "neighbours together",
    "neighbors_random": "random ones together",
    "neighbors_other_time": "those of another time",
    "neighbors_beyond_random": "beyond random ones",
    "neighbors_beyond_other_time": "beyond those of another time",
}
GAMES = {REAL: "neighbours", RANDOM: "random ones", OTHER_TIME: "of another time"}
BAR, SIDE = 19.0, 330.0
WIDEST = 9.0  # points, of the arrow of the largest value in a scene


def bars(explained: Mapping[str, Attribution], quantities: tuple[str, ...] = tuple(BARS)) -> Figure:
    """Means with intervals as bars from zero, a panel for each explanation, one scale for all."""
    from makedo.report.drawing import drawing, new_figure

    panels = {name: _means(one, quantities) for name, one in explained.items()}
    ends = np.concatenate(
        [part[["mean", "low", "high"]].to_numpy(float) for part in panels.values()]
    )
    low, high = min(0.0, np.nanmin(ends)), max(0.0, np.nanmax(ends))
    high = high if high > low else low + 1.0
    unit = next(iter(explained.values())).unit
    heights = [BAR * len(part) for part in panels.values()]
    with drawing():
        figure = new_figure(sum(heights) + 28 * len(panels) + 34)
        top = 0.0
        for i, (name, part) in enumerate(panels.items()):
            top += 28
            label = unit if i == len(panels) - 1 else ""
            _bar_panel(figure, part, name, top, heights[i], (low, high), label)
            top += heights[i]
    return figure


def _means(attribution: Attribution, quantities: tuple[str, ...]) -> Any:
    found: Any = attribution.summary().set_index("quantity")
    found = found.loc[[name for name in quantities if name in found.index], :]
    return found.assign(label=[_label(attribution, name) for name in found.index])


def _label(attribution: Attribution, quantity: str) -> str:
    return (TOGETHER | BARS | (IN_SEATS if attribution.in_seats else {}))[quantity]


def _bar_panel(
    figure: Figure,
    part: Any,
    name: str,
    top: float,
    height: float,
    span: tuple[float, float],
    label: str,
) -> None:
    from makedo.report.drawing import NOTE, WIDTH, place, value_axis, write
    from makedo.report.palette import INK, MUTED, SERIES
    from makedo.report.writing import decimals, number

    left, right = 176.0, 46.0
    ax = place(figure, left=left, top=top, width=WIDTH - left - right, height=height)
    air = 0.04 * (span[1] - span[0])
    ax.set_xlim(span[0] - air, span[1] + air)
    ax.set_ylim(len(part) - 0.5, -0.5)
    ax.set_yticks([])
    value_axis(ax, "x")
    ax.tick_params(labelbottom=bool(label))
    write(ax, 0, 1, name, dx=-left, dy=6, weight="bold", size=11)
    style: dict[str, Any] = {"va": "center_baseline", "data": "y", "size": 11}
    digits = decimals(part["mean"].tolist())
    for y, (quantity, line) in enumerate(part.iterrows()):
        color = SERIES[0] if quantity == "past" else SERIES[1] if line["mean"] < 0 else SERIES[2]
        ax.barh(y, line["mean"], height=0.55, color=color, linewidth=0)
        if np.isfinite(line["low"]):
            ax.hlines(y, line["low"], line["high"], color=INK, linewidth=1.3)
        write(ax, 0, y, line["label"], dx=-left, **style)
        write(ax, 1, y, number(line["mean"], digits), dx=right, ha="right", **style)
    ax.axvline(0, color=MUTED, linewidth=1)
    if label:
        write(ax, 0, 0, f"mean over targets, {label}", dx=-left, dy=-22, va="top", **NOTE)


def by_distance(attribution: Attribution) -> Figure:
    """Mean φ of a neighbour by how far away it is, real and null ones."""
    from makedo.report import distributions

    table: Any = attribution.by_distance().rename(columns={"game": "candidate", "distance": "x"})
    table["candidate"] = table["candidate"].map(GAMES)
    return distributions.bands(
        table, label=f"mean value of a neighbour, {attribution.unit}", x_label="distance now, m",
        ours=GAMES[REAL],
    )  # fmt: skip


def over_time(attribution: Attribution, scene: Any, agent: Any) -> Figure:
    """Values of one target's past and neighbours, frame by frame."""
    from makedo.report import distributions

    t = attribution.targets
    mine = (t["scene"].astype(str) == str(scene)) & (t["agent"].astype(str) == str(agent))
    if not mine.any():
        raise MakedoInputError(f"There is no target {agent!r} in the scene {scene!r}.")
    scores: Any = attribution.scores()[mine.to_numpy()]
    frame = t.loc[mine, "frame"].to_numpy(float)
    names = {"past": "past", "interaction": "best one", "neighbors": "together"}
    parts = [
        pd.DataFrame({"candidate": words, "x": frame, "mean": scores[name].to_numpy(float)})
        for name, words in names.items()
    ]
    return distributions.bands(
        pd.concat(parts), label=f"value, {attribution.unit}", x_label="frame", ours="past"
    )


def beeswarm(attribution: Attribution) -> Figure:
    """A point for each target and quantity, spread where they are many."""
    from makedo.report.drawing import NOTE, WIDTH, drawing, new_figure, place, value_axis, write
    from makedo.report.palette import MUTED, SERIES

    scores: Any = attribution.scores()
    names = [name for name in BARS if name in scores and scores[name].notna().any()]
    left, row = 176.0, 42.0
    with drawing():
        figure = new_figure(row * len(names) + 50)
        ax = place(figure, left=left, top=10, width=WIDTH - left - 12, height=row * len(names))
        for y, name in enumerate(names):
            x = scores[name].dropna().to_numpy(float)
            x = np.sort(x)[:: max(1, len(x) // 400)]
            ax.scatter(x, y + _spread(x), s=5, color=SERIES[0 if name == "past" else 2], alpha=0.5)
            style = {"va": "center_baseline", "data": "y", "size": 11}
            write(ax, 0, y, _label(attribution, name), dx=-left, **style)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_yticks([])
        ax.axvline(0, color=MUTED, linewidth=1)
        value_axis(ax, "x")
        write(
            ax, 0, 0, f"of single targets, {attribution.unit}", dx=-left, dy=-22, va="top", **NOTE
        )
    return figure


def _spread(x: np.ndarray) -> np.ndarray:
    """Offsets by how many others are in the same of 40 bins, alternating up and down."""
    if not len(x):
        return x
    edges = np.linspace(x.min(), x.max() + 1e-12, 41)
    place = np.digitize(x, edges)
    rank = pd.Series(place).groupby(place).cumcount().to_numpy()
    most = max(int(rank.max()), 1)
    return np.where(rank % 2, 1, -1) * 0.36 * rank / most


def scene(
    windows: Windows, row: int, attribution: Attribution, samples: np.ndarray, unit: float = 1.0
) -> Figure:
    """One target from above: pasts, what came, what was predicted, and an arrow for each neighbour.

    An arrow runs from a neighbour to the target, as wide as its value: green where it makes the
    prediction better, vermilion where worse.

    Parameters
    ----------
    windows : Windows
    row : int
        The target, in ``windows`` and in the explanation of it.
    attribution : Attribution
    samples : ndarray of shape (K, n_steps, 2)
    unit : float, default=1
        Metres in a unit of the axes.
    """
    from makedo.report.drawing import NOTE, WIDTH, drawing, new_figure, place, value_axis, write
    from makedo.report.palette import INK, MUTED, SERIES

    local = attribution.local
    own = local[(local["target"] == row) & (local["game"] == REAL)]
    phi = own[own["player"] != PAST]["phi"].to_numpy(float)
    past_phi = float(own[own["player"] == PAST]["phi"].iloc[0])
    now = windows.past[row, -1]
    there = windows.present[row]
    tracks = (windows.neighbors[row, there] - now) / unit
    past, future = (windows.past[row] - now) / unit, (windows.future[row] - now) / unit
    largest = max(np.abs(phi).max(initial=0), abs(past_phi), 1e-12)
    with drawing():
        figure = new_figure(SIDE + 70)
        ax = place(figure, left=(WIDTH - SIDE) / 2 + 14, top=34, width=SIDE - 14, height=SIDE - 14)
        for sample in (samples - now) / unit:
            ax.plot(*sample.T, color=MUTED, linewidth=0.7, alpha=0.6)
        for track in tracks:
            ax.plot(*track.T, color=MUTED, linewidth=1.4)
            ax.plot(*track[-1], marker="o", color=MUTED, markersize=4)
        for track, value in zip(tracks, phi, strict=True):
            _arrow(ax, track[-1], WIDEST * abs(value) / largest, SERIES[2 if value > 0 else 1])
        ax.plot(*np.vstack([past[-1], future]).T, color=INK, linewidth=1.5, linestyle=(0, (2, 2)))
        width = max(1.5, WIDEST * abs(past_phi) / largest)
        ax.plot(*past.T, color=SERIES[0], linewidth=width, solid_capstyle="butt")
        ax.plot(0, 0, marker="o", color=SERIES[0], markersize=8, zorder=5)
        _square_limits(ax, np.concatenate([past, future, tracks[:, -1]]))
        value_axis(ax, "x")
        value_axis(ax, "y")
        units = {1.0: "m", 1000.0: "km"}.get(unit, f"units of {unit:g} m")
        own, others = written(past_phi, float(phi.sum()))
        said = f"the past brings {own}, all neighbours {others} {attribution.unit}"
        write(ax, 0, 1, said, dx=-30, dy=10, size=11)
        below = f"{units} from the target now; dashed: what came; grey: others, and predictions"
        write(ax, 0, 0, below, dx=-40, dy=-22, va="top", **NOTE)
    return figure


def _arrow(ax: Any, start: np.ndarray, width: float, color: str) -> None:
    if width < 0.2:
        return
    style = {"arrowstyle": "-|>", "color": color, "linewidth": width, "alpha": 0.75}
    head = {"mutation_scale": 6 + 2 * width, "shrinkA": 4, "shrinkB": 8}
    ax.annotate("", (0, 0), tuple(start), arrowprops={**style, **head}, annotation_clip=True)


def _square_limits(ax: Any, points: np.ndarray) -> None:
    """A square that holds all points with a little air."""
    points = points[np.isfinite(points).all(1)]
    middle = (points.min(0) + points.max(0)) / 2
    half = 0.55 * float((points.max(0) - points.min(0)).max()) or 1.0
    ax.set_xlim(middle[0] - half, middle[0] + half)
    ax.set_ylim(middle[1] - half, middle[1] + half)
