"""What an explanation found, in plain words.  Nothing here says what moves people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from makedo.core.checks import count

if TYPE_CHECKING:
    from makedo.methods.trajectory.attribution import Attribution

METRIC_WORDS = {
    "minade": "minADE",
    "minfde": "minFDE",
    "ade": "ADE",
    "fde": "FDE",
    "nll": "NLL",
    "change": "change of the prediction",
}
INDEX_WORDS = {
    "shapley": "Shapley value",
    "banzhaf": "Banzhaf value",
    "loo": "loss when the cue is left out",
    "first": "gain of the cue alone",
}
LITTLE = 0.03  # of the past's value


def metric_name(attribution: Attribution) -> str:
    """``'minADE20'``: the metric with its number of samples."""
    name = METRIC_WORDS.get(attribution.metric, attribution.metric)
    K = attribution.settings.get("n_samples", "")
    if not attribution.metric.startswith("min"):
        return name
    return name.removeprefix("min") if K == 1 else f"{name}{K}"


def amount(mean: float, low: float, high: float, unit: str) -> str:
    """``'0.031 m (95 % interval -0.014 to 0.078)'``."""
    digits = 3 if abs(mean) < 10 else 1
    if math.isnan(low):
        return f"{mean:.{digits}f} {unit}"
    return f"{mean:.{digits}f} {unit} (95 % interval {low:.{digits}f} to {high:.{digits}f})"


def known(attribution: Attribution, quantity: str) -> tuple[float, float, float] | None:
    """Mean and interval of a quantity, or None where it was not measured."""
    scores: Any = attribution.scores()
    if quantity not in scores or scores[quantity].isna().all():
        return None
    return attribution.value(quantity)


def clear(found: tuple[float, float, float] | None) -> bool:
    """Whether a quantity was measured and its interval lies above 0."""
    return found is not None and found[1] > 0


def verdict(attribution: Attribution) -> str:
    """One sentence: whether neighbours are used, beyond chance and beyond the place."""
    past, corrected = attribution.value("past")[0], known(attribution, "corrected")
    other = known(attribution, "beyond_other_time")
    what = "improve" if attribution.metric != "change" else "move"
    unit, name = attribution.unit, metric_name(attribution)
    if not attribution.targets["n_neighbors"].any():
        return f"No target had a neighbour, so only the past can matter ({past:.3f} {unit})."
    if corrected is None and other is None:
        together = attribution.value("neighbors")
        return (
            f"All neighbours together bring {amount(*together, unit)} of {name}, the past "
            f"{past:.3f} {unit}; no random neighbours were asked for to compare with."
        )
    if corrected is not None and not clear(corrected):
        return (
            f"The past does it: neighbours {what} predictions no more than random neighbours do "
            f"({amount(*corrected, unit)} of {name}, the past {past:.3f} {unit})."
        )
    if other is not None and not clear(other):
        return (
            f"Neighbours {what} predictions, but those of another time do it as well "
            f"({amount(*other, unit)} is left of {name}): they give the place away, which is not "
            "interaction."
        )
    found = other if corrected is None else corrected
    assert found is not None
    against = "those of another time" if corrected is None else "random ones"
    little = found[0] < LITTLE * past
    return (
        f"The predictor uses neighbours{', a little' if little else ''}: the best one brings "
        f"{amount(*found, unit)} of {name} more than {against}; the past brings {past:.3f} {unit}."
    )


def sentences(attribution: Attribution) -> list[str]:
    """How it was made, what was removed, and how sure it is."""
    return [made(attribution), removed(attribution), sure(attribution)]


def made(attribution: Attribution) -> str:
    """Predictor, metric, rules, estimator, rows."""
    s, unit = attribution.settings, attribution.unit
    said = [
        f"Predictor {s.get('predictor', 'unknown')}",
        f"{metric_name(attribution)} in {unit}",
        f"{count(int(s.get('n_samples', 1)), 'sample')}",
        f"an absent past is {s.get('absent_past', 'static').replace('_', ' ')}, an absent "
        f"neighbour {s.get('absent_neighbor', 'removed')}",
        f"{INDEX_WORDS.get(s.get('index', ''), s.get('index', ''))}",
        f"estimator {s.get('estimator', 'auto')}",
        f"{count(int(s.get('rows', 0)), 'prediction')}",
        "common random numbers" if s.get("common_noise", True) else "no common random numbers",
    ]
    return "; ".join(said) + "."


def removed(attribution: Attribution) -> str:
    """What test-time removal of all neighbours does to the error."""
    t, unit = attribution.targets, attribution.unit
    before, after = t["error_all"].mean(), t["error_past"].mean()
    change = attribution.value("removal")
    return (
        f"Removing all neighbours changes {metric_name(attribution)} from {before:.3f} to "
        f"{after:.3f} {unit}: {amount(*change, unit)}."
    )


def sure(attribution: Attribution) -> str:
    """Numbers of targets and blocks, and what was left out."""
    t = attribution.targets
    n, blocks = len(t), t["block"].nunique()
    has, cut = 100 * (t["n_neighbors"] > 0).mean(), 100 * (t["n_cut"] > 0).mean()
    return (
        f"{count(n, 'target')} in {count(t['scene'].nunique(), 'scene')}; intervals over {blocks} "
        f"{attribution.settings.get('block_unit', 'blocks')}. {has:.0f} % of targets had a "
        f"neighbour, {cut:.0f} % more neighbours than were looked at."
    )
