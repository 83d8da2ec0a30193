"""Choosing without target labels: hide sources along the graph and see who finds them again.

Sources are cut into connected groups.  Each group is hidden in turn, and in turn each is the only
one that is not: then the hidden ones lie further away, as true targets do.  Every candidate is
fitted without the hidden labels and judged on them; the loss is followed along the hops, as a line,
to the mean distance of the true targets.  The simplest candidate within one standard error of the
best is chosen, so "do nothing" can win.

Near the sources several candidates may make no mistake at all.  Among those within one standard
error that are of one kind (linear models, or networks, whose probabilities are as sharp as each
other's) the log loss then decides, by the same rule.  And a few mistakes less may be luck: "do
nothing" is left only for a candidate whose log loss is no greater either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from makedo.data.domains import DomainGraph

MOST_GROUPS = 3
FEWEST_SOURCES = 3  # below, nothing can be hidden and still be learnt
STANDARD_ERRORS = 1.0
FARTHEST = 1.0  # hops beyond the farthest hidden source, to which losses are extended at most


def source_groups(graph: DomainGraph, sources: np.ndarray) -> list[np.ndarray]:
    """At most three groups of sources, connected where the graph allows it, of nearly equal size.

    Each group grows breadth first from the source that has fewest neighbours left, so that what
    remains stays connected as long as possible.  ``sources`` are positions.
    """
    adjacency = graph.adjacency[np.ix_(sources, sources)]
    n_groups = min(MOST_GROUPS, len(sources))
    left = np.ones(len(sources), dtype=bool)
    groups = []
    for i in range(n_groups):
        size = round(left.sum() / (n_groups - i))
        found: list[int] = []
        while len(found) < size:
            near = adjacency[found].any(0) & left if found else np.zeros_like(left)
            pool = np.flatnonzero(near if near.any() else left)
            degree = (adjacency[pool] & left).sum(1)
            at = int(pool[degree.argmin()])
            found.append(at)
            left[at] = False
        groups.append(sources[np.sort(found)])
    return groups


def hidden_sources(graph: DomainGraph, sources: np.ndarray) -> list[np.ndarray]:
    """Which sources are hidden, time after time: each group alone, then all others.

    The latter only where three or more sources stay: of fewer no candidate learns anything.
    """
    groups = source_groups(graph, sources)
    large = [group for group in groups if len(group) >= FEWEST_SOURCES]
    return groups + [np.setdiff1d(sources, group) for group in large]


@dataclass(frozen=True)
class Choice:
    """What the selection chose, and on what grounds.

    Attributes
    ----------
    best : str
        Name of a candidate.
    table : DataFrame
        One row a candidate, from the simplest: candidate, loss (at the distance of the targets),
        seen (mean loss on hidden sources), gap and gap_error (to the best, and its standard error);
        for classes also log_loss (at that distance).
    losses : DataFrame
        One row a candidate and hidden source: candidate, fold, domain, hop, loss; and log_loss.
    hop : float
        Mean hops of the targets, to which losses were extended.
    """

    best: str
    table: pd.DataFrame
    losses: pd.DataFrame
    hop: float


def choose(losses: pd.DataFrame, hop: float, alike: Sequence[str] = ()) -> Choice:
    """Choose among candidates by their losses on hidden sources.

    Parameters
    ----------
    losses : DataFrame
        candidate (from the simplest, which does nothing), fold, domain, hop, loss; for classes also
        log_loss.
    hop : float
        Mean hops of the true targets to their nearest source.
    alike : sequence of str
        The candidates of one kind; the others are of another.
    """
    table = compared(losses, "loss", hop)
    near = within_an_error(table)
    best = near[0]
    if "log_loss" in losses:
        kind = [name for name in near if (name in alike) == (best in alike)]
        theirs: Any = losses[losses["candidate"].isin(kind)]
        finer = compared(theirs, "log_loss", hop)
        best = within_an_error(finer)[0]
        table["log_loss"] = compared(losses, "log_loss", hop)["loss"]
        sureness = table.set_index("candidate")["log_loss"]
        if sureness[best] > sureness.iloc[0]:
            best = str(sureness.index[0])
    return Choice(best, table, losses, hop)


def within_an_error(table: pd.DataFrame) -> list[str]:
    """The candidates within one standard error of the best, from the simplest."""
    fits = table["gap"] <= STANDARD_ERRORS * table["gap_error"] + 1e-12
    return list(table["candidate"][fits])


def compared(losses: pd.DataFrame, values: str, hop: float) -> pd.DataFrame:
    """The candidates by one of their losses, as in :class:`Choice`."""
    wide: Any = losses.pivot(index=["fold", "domain", "hop"], columns="candidate", values=values)
    wide = wide[list(dict.fromkeys(losses["candidate"]))]  # simplest first
    fold, hops = (wide.index.get_level_values(level).to_numpy(float) for level in ("fold", "hop"))
    loss = {name: extend(hops, wide[name].to_numpy(), hop, fold)[0] for name in wide}
    leader = min(loss, key=lambda name: loss[name])
    lines = []
    for name in wide:
        _, error = extend(hops, (wide[name] - wide[leader]).to_numpy(), hop, fold)
        gap = loss[name] - loss[leader]
        lines.append((name, loss[name], float(np.mean(wide[name])), gap, error))
    return pd.DataFrame(lines, columns=["candidate", "loss", "seen", "gap", "gap_error"])


def extend(hops: np.ndarray, loss: np.ndarray, hop: float, fold: np.ndarray) -> tuple[float, float]:
    """The line loss ~ a + b · hops at ``hop``, and the standard error of that point.

    With one distance only, or fewer than four losses, their mean.  The line is followed no further
    than one hop beyond the losses, past which it says nothing, and never downwards: a loss that
    falls with distance is luck.  Sources that are hidden together fail together, so the error is
    that of folds, not of sources.
    """
    n, centred = len(loss), hops - hops.mean()
    hop = min(hop, float(hops.max()) + FARTHEST)
    share = np.full(n, 1 / n)  # of each loss in the point
    slope, spread = 0.0, (centred**2).sum()
    if spread > 0 and n >= 4:
        slope = (centred * loss).sum() / spread
        share = share + centred * (hop - hops.mean()) / spread
    rest = share * (loss - loss.mean() - slope * centred)
    folds = np.unique(fold)
    square = sum(rest[fold == one].sum() ** 2 for one in folds)
    point = float(loss.mean() + max(slope, 0.0) * (hop - hops.mean()))
    return point, float(np.sqrt(square * len(folds) / max(len(folds) - 1, 1)))
