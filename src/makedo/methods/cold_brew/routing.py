"""What serves a node: chosen on validation nodes, half of which lost their edges beforehand.

* Nodes without edges: a pool of the parts that need none, fitted on the validation nodes whose
  edges were hidden, as new nodes are.
* Nodes with edges: the teacher from a degree on, below it a pool of the same parts fitted on
  validation nodes that keep their edges.  The degree is chosen on all validation nodes that have
  edges: on the half that keeps them the teacher has an advantage (it was stopped there), on the
  other half, shown their edges now, the pool has.

All is fitted to likelihood (squared error of numbers), not to the count of right answers: with the
few validation nodes there are, the count says little, and probabilities say more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from makedo.methods.cold_brew.tasks import Pool, fit_pool, pooled

if TYPE_CHECKING:
    from makedo.methods.cold_brew.estimator import ColdBrew

# What can serve a node without edges, from the simplest on.
PLAIN_PARTS = ("mlp", "normed mlp")  # those that know nothing of the graph
PARTS = (*PLAIN_PARTS, "distilled mlp", "student")
ALWAYS, NEVER = 1.0, np.inf
# Degrees from which the teacher may serve.
THRESHOLDS = (ALWAYS, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, NEVER)


def hide_half(
    valid: np.ndarray, degree: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Split validation nodes into those that lose their edges and those that keep them.

    Nodes that have no edges anyway stand with the first.  A node without edges says nothing of the
    teacher, and one that keeps its edges says nothing of the deployed student.

    Parameters
    ----------
    valid : int64 ndarray, positions
    degree : ndarray (n_nodes,)

    Returns
    -------
    hidden, kept : sorted int64 ndarrays
    """
    linked = rng.permutation(valid[degree[valid] > 0])
    half = (len(linked) + 1) // 2
    hidden = np.concatenate([valid[degree[valid] == 0], linked[:half]])
    return np.sort(hidden), np.sort(linked[half:])


def choose_threshold(degree: np.ndarray, teacher: np.ndarray, cold: np.ndarray) -> float:
    """The degree from which the teacher serves.

    The better of always and never; another degree only if it gains more than one standard error
    of the paired difference over that: with few nodes, the best of a dozen is luck.

    Parameters
    ----------
    degree : ndarray (n_rows,)
    teacher, cold : ndarrays (n_rows,)
        Loss of either on each node.
    """
    if not len(degree):
        return ALWAYS
    cost = {t: np.where(degree >= t, teacher, cold) for t in THRESHOLDS}
    start = NEVER if cost[NEVER].mean() < cost[ALWAYS].mean() else ALWAYS
    best, best_gain = start, 0.0
    for threshold in THRESHOLDS if len(degree) > 1 else ():
        gain = cost[start] - cost[threshold]
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        if gain.mean() > max(error, best_gain):
            best, best_gain = float(threshold), float(gain.mean())
    return best


class Routing(NamedTuple):
    """What serves which node; see :class:`ColdBrewClassifier` for the attributes of these names."""

    unlinked_pool: Pool
    linked_pool: Pool
    teacher_temperature: float
    degree_threshold: float
    part_scores: dict[str, float]
    validation: pd.DataFrame


def route(model: ColdBrew, hidden: np.ndarray, kept: np.ndarray) -> Routing:
    """Fit the pools and choose the threshold on validation nodes (positions, see hide_half)."""
    ready = [part for part in PARTS if part in model.nets_]
    ready += ["student"] if model.bank_ is not None else []
    ready = ready or ["teacher"]  # the training was stopped before any student had begun
    server, task = model._server, model._task
    valid = np.concatenate([hidden, kept])
    n_hidden, truth = len(hidden), model.y_[valid]
    unlinked, linked = np.split(np.arange(len(valid)), [n_hidden])
    scaled = model.scaler_.transform(model.X_)
    answers = {part: server.cold(scaled[valid], part) for part in ready}
    without = fit_pool(task, _some(answers, unlinked), truth[unlinked])
    with_edges = fit_pool(task, _some(answers, linked), truth[linked])
    if len(linked) < len(unlinked) // 4:  # too few keep their edges to say anything
        with_edges = without
    right = {part: task.credit(answer, truth) for part, answer in answers.items()}
    scores = {part: _mean(credit[unlinked]) for part, credit in right.items()}
    served = np.where(
        (np.arange(len(valid)) < n_hidden)[:, None],
        pooled(task, without, answers),
        pooled(task, with_edges, answers),
    )
    degree = model.graph_.degree[valid]
    heat, threshold = 1.0, NEVER
    if "teacher" in model.nets_:
        teacher = server.warm(scaled, model.graph_)[valid]  # hidden edges are shown to it here
        seen = np.flatnonzero(degree > 0)
        heat = task.temperature(teacher[seen], truth[seen])
        teacher = task.tempered(teacher, heat)
        below = pooled(task, with_edges, answers)
        threshold = choose_threshold(
            degree[seen],
            task.loss(teacher[seen], truth[seen]),
            task.loss(below[seen], truth[seen]),
        )
        right["teacher"] = task.credit(teacher, truth)
    if model.degree_threshold != "auto":
        threshold = float(model.degree_threshold)
    if "teacher" in model.nets_:
        by_teacher = (np.arange(len(valid)) >= n_hidden) & (degree >= max(threshold, ALWAYS))
        served[by_teacher] = teacher[by_teacher]
    columns = {"row": valid, "degree": degree, "edges_hidden": np.arange(len(valid)) < n_hidden}
    frame = pd.DataFrame(columns | right | {"served": task.credit(served, truth)})
    return Routing(without, with_edges, heat, threshold, scores, frame)


def _some(answers: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {part: answer[rows] for part, answer in answers.items()}


def _mean(values: Any) -> float:
    return float(values.mean()) if len(values) else float("nan")
