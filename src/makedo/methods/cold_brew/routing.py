"""What serves a node: chosen on validation nodes, half of which lost their edges before anything was trained."""

from __future__ import annotations

import numpy as np

THRESHOLDS = (
    1,
    2,
    3,
    4,
    6,
    8,
    12,
    16,
    24,
    32,
    64,
)  # degrees from which the teacher may serve; above all: never


def hide_half(
    valid: np.ndarray, degree: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Split validation nodes into those that lose their edges and those that keep them.

    Nodes that have no edges anyway stand with the first.  A node without edges says nothing of the teacher, and a threshold
    chosen on such nodes alone would never pick it; one that keeps its edges says nothing of the deployed student.

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
    """The part that is right most often on nodes whose edges are hidden; among equals, the one named first.

    correct: part -> bool ndarray (n_hidden,).  Without such nodes the part named last is taken.
    """
    scores = {
        part: float(right.mean()) if len(right) else float("nan") for part, right in correct.items()
    }
    if any(np.isnan(score) for score in scores.values()):
        return list(scores)[-1], scores
    return max(scores, key=lambda part: scores[part]), scores


def choose_threshold(degree: np.ndarray, teacher: np.ndarray, cold: np.ndarray) -> float:
    """The degree from which the teacher serves, on validation nodes that keep their edges; ``inf`` is never.

    The teacher serves every node with edges unless something beats that by more than one standard error of the paired
    difference: with few nodes, the best of a dozen thresholds is luck.

    Parameters
    ----------
    degree : ndarray (n_kept,)
    teacher, cold : bool ndarrays (n_kept,), whether either is right
    """
    if not len(degree):
        return 1.0
    gain = cold.astype(float) - teacher
    best = np.inf if gain.mean() > _standard_error(gain) else 1.0
    simple = teacher if best == 1.0 else cold
    best_gain = 0.0
    for threshold in THRESHOLDS[1:]:
        gain = np.where(degree >= threshold, teacher, cold).astype(float) - simple
        if gain.mean() > max(_standard_error(gain), best_gain):
            best, best_gain = float(threshold), float(gain.mean())
    return best


def _standard_error(differences: np.ndarray) -> float:
    return (
        float(differences.std(ddof=1) / np.sqrt(len(differences)))
        if len(differences) > 1
        else np.inf
    )
