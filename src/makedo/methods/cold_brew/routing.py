"""What serves a node: chosen on validation nodes, half of which lost their edges beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from makedo.methods.cold_brew.estimator import ColdBrewClassifier

# What can serve a node without edges, from the simplest on.
PARTS = ("mlp", "normed mlp", "distilled mlp", "student")
# Degrees from which the teacher may serve; beyond the last: never.
THRESHOLDS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 64, np.inf)
CLEAR = 2.0  # standard errors


def hide_half(
    valid: np.ndarray, degree: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Split validation nodes into those that lose their edges and those that keep them.

    Nodes that have no edges anyway stand with the first.  A node without edges says nothing of the
    teacher, and a threshold chosen on such nodes alone would never pick it; one that keeps its
    edges says nothing of the deployed student.

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


def choose_part(correct: dict[str, np.ndarray]) -> tuple[str, dict[str, float]]:
    """The part that is right most often on nodes whose edges are hidden; among equals, the first.

    correct: part -> bool ndarray (n_hidden,).  Without such nodes the last part is taken.
    """
    scores = {part: float(r.mean()) if len(r) else float("nan") for part, r in correct.items()}
    if any(np.isnan(score) for score in scores.values()):
        return list(scores)[-1], scores
    return max(scores, key=lambda part: scores[part]), scores


def choose_threshold(degree: np.ndarray, teacher: np.ndarray, cold: np.ndarray) -> float:
    """The degree from which the teacher serves, on validation nodes that keep their edges.

    1, that is wherever there are edges, unless another threshold (``inf`` is never) beats it by
    more than two standard errors of the paired difference: with few nodes, the best of a dozen
    thresholds is luck.

    Parameters
    ----------
    degree : ndarray (n_kept,)
    teacher, cold : bool ndarrays (n_kept,), whether either is right
    """
    best, best_gain = 1.0, 0.0
    for threshold in THRESHOLDS if len(degree) > 1 else ():
        gain = np.where(degree >= threshold, teacher, cold).astype(float) - teacher
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        if gain.mean() > CLEAR * error and gain.mean() >= best_gain:  # of equals the higher one
            best, best_gain = float(threshold), float(gain.mean())
    return best


def route(
    model: ColdBrewClassifier, hidden: np.ndarray, kept: np.ndarray
) -> tuple[str, dict[str, float], float, pd.DataFrame]:
    """Choose what serves which node.

    Returns
    -------
    part, scores : what serves nodes without edges, and the accuracy of every part
    threshold : the degree from which the teacher serves
    validation : DataFrame, one row a validation node: row, degree, edges_hidden, right by part
    """
    ready = [part for part in PARTS if part in model.nets_]
    ready += ["student"] if model.bank_ is not None else []
    ready = ready or ["teacher"]  # the training was stopped before any student had begun
    valid = np.concatenate([hidden, kept])
    scaled, truth = model.scaler_.transform(model.X_), model.y_[valid]
    right = {part: model._cold(scaled[valid], part).argmax(1) == truth for part in ready}
    part, scores = choose_part({name: r[: len(hidden)] for name, r in right.items()})
    table = {"row": valid, "degree": model.graph_.degree[valid]}
    frame = pd.DataFrame(table | {"edges_hidden": np.arange(len(valid)) < len(hidden)} | right)
    threshold = np.inf
    if "teacher" in model.nets_:
        frame["teacher"] = model._server.warm(scaled, model.graph_)[valid].argmax(1) == truth
        linked = frame[~frame["edges_hidden"]]
        threshold = choose_threshold(
            *(np.asarray(linked[column]) for column in ("degree", "teacher", part))
        )
    if model.degree_threshold != "auto":
        threshold = float(model.degree_threshold)
    return part, scores, threshold, frame
