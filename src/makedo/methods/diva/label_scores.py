"""Scores of labels from predictions that did not see them, and how many of the labels are wrong."""

from __future__ import annotations

import numpy as np

LEAST_WRONG = 0.1  # share of the wrong labels above a threshold from which a ratio is trusted


# --- scores: the higher, the more suspicious ------------------------------------------------------


def margins(F: np.ndarray) -> np.ndarray:
    """For every label that a row could have: the largest output of the others minus its own.

    F (N, c) -> (N, c), for c > 1.
    """
    two = np.partition(F, -2, axis=1)[:, -2:]  # second largest, largest
    best = two[:, 1:]
    return np.where(best == F, two[:, :1], best) - F


def of_given(scores: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """A score of every label (N, c) to that of the given one, expected over soft labels: (N,)."""
    return (scores * Y).sum(1)


def standardised(residuals: np.ndarray) -> np.ndarray:
    """|r| in robust standard deviations, 1.4826 times the median of |r|, a column each: (N, c)."""
    size = np.abs(residuals)
    middle = np.median(size, axis=0)
    scale = np.where(middle > 0, 1.4826 * middle, size.mean(0))
    return size / np.where(scale > 0, scale, 1.0)


# --- thresholds -----------------------------------------------------------------------------------


def share_of_wrong_labels(given: np.ndarray, wrong: np.ndarray) -> float:
    """How many of the given labels can be wrong, if wrong ones look like labels drawn at random.

    The scores of the given labels are a mixture of right and wrong ones, in unknown shares; what
    wrong ones score is known, as every row has labels that it was not given.  A share π needs at
    least π · P(wrong score ≥ t) of the given labels above any threshold t, so

        π ≤ min_t P(given score ≥ t) / P(wrong score ≥ t),

    with equality where no right label scores as high.  A class that is hard to learn does not raise
    it, as its right labels do not score as high as labels drawn at random.  Labels of a similar
    class score less than these: of them it counts too few.

    The smallest of many ratios is too small by chance: each is taken one standard error higher.

    given : (n,).  wrong : (m,).
    """
    given, wrong = np.sort(given)[::-1], np.sort(wrong)
    share_given = np.arange(1, len(given) + 1) / len(given)
    share_given += np.sqrt(share_given * (1 - share_given) / len(given))
    share_wrong = 1 - np.searchsorted(wrong, given) / len(wrong)
    trusted = share_wrong >= LEAST_WRONG
    if not trusted.any():
        return 0.0  # all given labels look better than nine of ten wrong ones
    return min(1.0, float((share_given[trusted] / share_wrong[trusted]).min()))


def most_suspicious(scores: np.ndarray, n: int) -> np.ndarray:
    """Mark the n highest scores; of equal ones the first: bool, of the shape of ``scores``."""
    marked = np.zeros(scores.size, dtype=bool)
    marked[np.argsort(-scores.ravel(), kind="stable")[:n]] = True
    return marked.reshape(scores.shape)
