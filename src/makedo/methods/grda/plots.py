"""Figures of this room: the map of the domains, their encodings, the edges that D sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from makedo.data.domains import DomainGraph
from makedo.report.drawing import NOTE, WIDTH, drawing, new_figure, place, write
from makedo.report.palette import MARKERS, MUTED, RULE, SERIES

SIDE = 300.0
LEVELS = 4  # shades of a score


def layout(graph: DomainGraph, coordinates: np.ndarray | None = None) -> np.ndarray:
    """Places of the domains in the unit square: given ones, or by the graph's Laplacian."""
    places = coordinates
    if places is None:
        laplacian = np.diag(graph.degree.astype(float)) - graph.adjacency
        places = np.linalg.eigh(laplacian)[1][:, 1:3]
        ranks = places.argsort(0).argsort(0) / max(len(places) - 1, 1)
        low, high = places.min(0), places.max(0)
        places = 0.5 * ranks + 0.5 * (places - low) / np.where(high > low, high - low, 1)
    if places.shape[1] < 2:
        places = np.column_stack([places, np.zeros(len(places))])
    return places


def domain_map(
    graph: DomainGraph, score: np.ndarray, source: np.ndarray, label: str, better: str
) -> Figure:
    """The domains and their edges; colour by score in quarters, squares are sources."""
    places = layout(graph)
    known = ~np.isnan(score)
    cuts = np.quantile(score[known], np.arange(1, LEVELS) / LEVELS) if known.any() else []
    level = np.searchsorted(cuts, score, side="right")
    with drawing():
        figure = new_figure(SIDE + 70)
        ax = _square(figure)
        for a, b in graph.edges():
            ax.plot(*places[[a, b]].T, color=RULE, linewidth=0.8, zorder=1)
        for i in range(LEVELS):
            here = known & (level == i)
            for rows, marker in ((here & source, "s"), (here & ~source, "o")):
                ax.scatter(*places[rows].T, color=SERIES[i], marker=marker, s=34, zorder=2)
        ax.scatter(*places[~known].T, facecolors="none", edgecolors=MUTED, s=28, zorder=2)
        ends = [*(f"below {cut:.3g}" for cut in cuts[:1]), *(f"{cut:.3g} on" for cut in cuts)]
        _legend(ax, ends, f"{label} ({better}); squares are sources")
    return figure


def encodings(means: np.ndarray, hops: np.ndarray) -> Figure:
    """Mean encodings of the domains along their two main directions; colour by hops."""
    known = ~np.isnan(means).any(1)
    centred = means[known] - means[known].mean(0)
    left = np.linalg.svd(centred, full_matrices=False)
    along = left[0][:, :2] * left[1][:2]
    far = np.clip(hops[known], 0, LEVELS - 1)
    with drawing():
        figure = new_figure(SIDE + 70)
        ax = _square(figure)
        for i in range(LEVELS):
            rows = far == i
            ax.scatter(*along[rows].T, color=SERIES[i], marker=MARKERS[i], s=34)
        names = ["sources", "1 hop", "2 hops", "3 hops or more"]
        _legend(ax, names, "each mark is a domain; the two main directions")
    return figure


def edges_seen(graph: DomainGraph, chance: np.ndarray) -> Figure:
    """The chance of an edge that D gives pairs of neighbours and other pairs, as two histograms."""
    i, j = np.triu_indices(graph.n_domains, 1)
    seen = ~np.isnan(chance[i, j])
    values, near = chance[i, j][seen], graph.adjacency[i, j][seen]
    bins = np.linspace(0, 1, 21)
    with drawing():
        figure = new_figure(190)
        ax = place(figure, left=40, top=40, width=WIDTH - 60, height=105)
        for rows, color in ((near, SERIES[0]), (~near, SERIES[1])):
            share = np.histogram(values[rows], bins)[0] / max(1, int(rows.sum()))
            ax.stairs(100 * share, bins, color=color, linewidth=1.6)
        ax.set_xlim(0, 1)
        write(ax, 0, 1, "share of pairs, %", dx=-36, dy=8, **NOTE)
        write(ax, 1, 1, "neighbours", dy=8, ha="right", size=11, color=SERIES[0])
        write(ax, 1, 1, "other pairs", dx=-80, dy=8, ha="right", size=11, color=SERIES[1])
        write(ax, 1, 0, "chance of an edge, by D", dy=-22, ha="right", va="top", **NOTE)
    return figure


def _square(figure: Figure) -> Any:
    ax = place(figure, left=(WIDTH - SIDE) / 2, top=46, width=SIDE, height=SIDE)
    ax.set_xticks([]), ax.set_yticks([])
    ax.margins(0.06)
    return ax


def _legend(ax: Any, names: list[str], title: str) -> None:
    write(ax, 0, 1, title, dx=-(WIDTH - SIDE) / 2, dy=28, **NOTE)
    for i, name in enumerate(names[:LEVELS]):
        write(ax, 0, 1, name, dx=90 * i - 30, dy=10, size=11, color=SERIES[i])
