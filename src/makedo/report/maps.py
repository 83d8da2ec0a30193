"""Figures of graphs and groups: a map coloured by a score, points by group, two histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from makedo.report.drawing import NOTE, WIDTH, drawing, new_figure, place, write
from makedo.report.palette import MARKERS, MUTED, RULE, SERIES

SIDE = 300.0
LEVELS = 4  # shades of a score


def spectral_places(adjacency: np.ndarray) -> np.ndarray:
    """Places of the nodes of a graph in the unit square, neighbours close, (n_nodes, 2)."""
    laplacian = np.diag(adjacency.sum(1).astype(float)) - adjacency
    places = np.linalg.eigh(laplacian)[1][:, 1:3]
    if places.shape[1] < 2:
        places = np.column_stack([places, np.zeros(len(places))])
    ranks = places.argsort(0).argsort(0) / max(len(places) - 1, 1)
    low, high = places.min(0), places.max(0)
    return 0.5 * ranks + 0.5 * (places - low) / np.where(high > low, high - low, 1)


def graph_map(adjacency: np.ndarray, score: np.ndarray, square: np.ndarray, label: str) -> Figure:
    """Nodes and edges of a graph; colour by score in quarters, hollow where it is missing.

    Parameters
    ----------
    adjacency : bool ndarray of shape (n_nodes, n_nodes)
    score : ndarray of shape (n_nodes,)
    square : bool ndarray of shape (n_nodes,)
        Nodes drawn as squares; ``label`` says what they are.
    label : str
    """
    places, known = spectral_places(adjacency), ~np.isnan(score)
    cuts = (
        np.unique(np.quantile(score[known], np.arange(1, LEVELS) / LEVELS)) if known.any() else []
    )
    level = np.searchsorted(cuts, score, side="right")
    with drawing():
        figure = new_figure(SIDE + 70)
        ax = _square(figure)
        for a, b in np.argwhere(np.triu(adjacency)):
            ax.plot(*places[[a, b]].T, color=RULE, linewidth=0.8, zorder=1)
        for i in range(LEVELS):
            here = known & (level == i)
            for rows, marker in ((here & square, "s"), (here & ~square, "o")):
                ax.scatter(*places[rows].T, color=SERIES[i], marker=marker, s=34, zorder=2)
        ax.scatter(*places[~known].T, facecolors="none", edgecolors=MUTED, s=28, zorder=2)
        ends = [*(f"below {cut:.3g}" for cut in cuts[:1]), *(f"{cut:.3g} on" for cut in cuts)]
        _legend(ax, ends, label)
    return figure


def points_by_group(
    points: np.ndarray, group: np.ndarray, names: Sequence[str], label: str
) -> Figure:
    """Points of many dimensions along their two main directions; colour and mark by group.

    Parameters
    ----------
    points : ndarray of shape (n, n_dimensions)
        Rows with a missing value are left out.
    group : int ndarray of shape (n,)
        Positions in ``names``, at most four.
    names : sequence of str
    label : str
    """
    known = ~np.isnan(points).any(1)
    left, size, _ = np.linalg.svd(points[known] - points[known].mean(0), full_matrices=False)
    along = np.zeros((len(left), 2))
    along[:, : len(size[:2])] = left[:, :2] * size[:2]
    with drawing():
        figure = new_figure(SIDE + 70)
        ax = _square(figure)
        for i in range(len(names)):
            rows = group[known] == i
            ax.scatter(*along[rows].T, color=SERIES[i], marker=MARKERS[i], s=34)
        _legend(ax, list(names), label)
    return figure


def two_histograms(
    first: np.ndarray, second: np.ndarray, names: tuple[str, str], label: str
) -> Figure:
    """How two samples of numbers between 0 and 1 are spread, as shares of each."""
    bins = np.linspace(0, 1, 21)
    with drawing():
        figure = new_figure(190)
        ax = place(figure, left=40, top=40, width=WIDTH - 60, height=105)
        for values, color in ((first, SERIES[0]), (second, SERIES[1])):
            share = np.histogram(values, bins)[0] / max(1, len(values))
            ax.stairs(100 * share, bins, color=color, linewidth=1.6)
        ax.set_xlim(0, 1)
        write(ax, 0, 1, "share of pairs, %", dx=-36, dy=8, **NOTE)
        for i, name in enumerate(names):
            write(ax, 1, 1, name, dx=-90 * i, dy=8, ha="right", size=11, color=SERIES[i])
        write(ax, 1, 0, label, dy=-22, ha="right", va="top", **NOTE)
    return figure


def _square(figure: Figure) -> Any:
    ax = place(figure, left=(WIDTH - SIDE) / 2, top=46, width=SIDE, height=SIDE)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.margins(0.06)
    return ax


def _legend(ax: Any, names: list[str], title: str) -> None:
    write(ax, 0, 1, title, dx=-(WIDTH - SIDE) / 2, dy=28, **NOTE)
    for i, name in enumerate(names[:LEVELS]):
        write(ax, 0, 1, name, dx=90 * i - 30, dy=10, size=11, color=SERIES[i])
