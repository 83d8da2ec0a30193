"""What an explanation found, in plain words.  Nothing here says what moves people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from makedo.core.checks import count

if TYPE_CHECKING:
    from makedo.methods.trajectory.attribution import Attribution

METRIC_WORDS = {
    "minade": "minADE",
    "minfde": "minFDE",
    "ade": "ADE",
    "fde": "FDE",
    "miss": "miss rate",
    "nll": "NLL",
    "change": "change of the prediction",
}
MEANINGS = {
    "minade": "the mean distance from what came, of the best sample",
    "minfde": "the distance from what came at the last step, of the best sample",
    "ade": "the mean distance from what came",
    "fde": "the distance from what came at the last step",
    "miss": "the share of targets of which every sample ends more than 2 m from where they did",
    "nll": "minus the log-density of what came",
    "change": "the mean distance from the prediction with all cues",
}
INDEX_WORDS = {
    "shapley": "Shapley value",
    "banzhaf": "Banzhaf value",
    "loo": "loss when the cue is left out",
    "first": "gain of the cue alone",
}
ABSENT_NEIGHBOR = {
    "removed": "removed",
    "random": "replaced by a random one",
    "other_time": "replaced by one of another time",
    "static": "there but standing still",
    "constant_velocity": "there but without its manoeuvres",
}
RANDOM_ONES = {  # by null_mode
    "separate": "random ones, all in a game of their own",
    "swap": "random ones, one at a time in the seat of each while the others stay",
    "extra": "one random one beside them",
}
OTHERS = {"random": "random ones", "other_time": "those of another time"}
LITTLE = 0.03  # of the past's value

Found = tuple[float, float, float]  # a mean and its interval


def metric_name(attribution: Attribution) -> str:
    """``'minADE20'``: the metric with its number of samples."""
    name = METRIC_WORDS.get(attribution.metric, attribution.metric)
    K = attribution.settings.get("n_samples", "")
    if not attribution.metric.startswith("min"):
        return name
    return name.removeprefix("min") if K == 1 else f"{name}{K}"


def written(*values: float) -> list[str]:
    """Numbers with as many decimals as the largest of them needs: three figures."""
    largest = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    digits = 0 if largest >= 100 else 1 if largest >= 10 else 2 if largest >= 1 else 3
    return [f"{v:.{digits}f}".replace("-", "\N{MINUS SIGN}") for v in values]


def amount(mean: float, low: float, high: float, unit: str) -> str:
    """``'0.031 m (95 % interval −0.014 to 0.078)'``."""
    if math.isnan(low):
        return f"{written(mean)[0]} {unit}"
    middle, below, above = written(mean, low, high)
    return f"{middle} {unit} (95 % interval {below} to {above})"


def known(attribution: Attribution, quantity: str) -> Found | None:
    """Mean and interval of a quantity, or None where it was not measured."""
    scores: Any = attribution.scores()
    if quantity not in scores or scores[quantity].isna().all():
        return None
    return attribution.value(quantity)


def clear(found: Found | None) -> bool:
    """Whether a quantity was measured and its interval lies above 0."""
    return found is not None and found[1] > 0


def verdict(attribution: Attribution) -> str:
    """Whether neighbours are used, beyond chance and beyond the place, and whether they harm."""
    return _whether_used(attribution) + _harm(attribution)


def _harm(attribution: Attribution) -> str:
    """Said where predictions are clearly better without neighbours, else nothing."""
    found = known(attribution, "removal")
    if attribution.metric == "change" or found is None or not found[2] < 0:
        return ""
    lower = amount(-found[0], -found[2], -found[1], attribution.unit)
    return f" Its error is lower without any neighbour, by {lower}."


def _whether_used(attribution: Attribution) -> str:
    """One sentence: whether neighbours are used, beyond chance and beyond the place.

    Neighbours count as used when either the best one or all together bring more than random ones.
    """
    past, unit, name = attribution.value("past")[0], attribution.unit, metric_name(attribution)
    own = f"{written(past)[0]} {unit}"
    beyond = {
        game: known(attribution, f"neighbors_beyond_{game}") for game in ("random", "other_time")
    }
    best = {
        "random": known(attribution, "corrected"),
        "other_time": known(attribution, "beyond_other_time"),
    }
    if not attribution.targets["n_neighbors"].any():
        return f"No target had a neighbour, so only the past can matter ({own})."
    if all(one is None for one in (*beyond.values(), *best.values())):
        together = amount(*attribution.value("neighbors"), unit)
        stranger = known(attribution, "random")
        return f"All neighbours together bring {together} of {name}, the past {own}; " + (
            "no random neighbours were there to compare with."
            if stranger is None
            else f"one random neighbour beside them brings {amount(*stranger, unit)}."
        )
    if attribution.in_seats:
        return _in_seats(attribution, best, beyond["other_time"])
    found = {game: clear(beyond[game]) or clear(best[game]) for game in beyond}
    said = {game: amount(*value, unit) for game, value in beyond.items() if value is not None}
    if all(math.isnan(value[1]) for value in beyond.values() if value is not None):
        amounts = " and ".join(f"{text} more than {OTHERS[game]}" for game, text in said.items())
        return (
            f"All neighbours together bring {amounts}, of {name}, and the past {own}; from one "
            "stretch of tracks nobody can say how much of that is chance: give more."
        )
    if beyond["random"] is not None and not found["random"]:
        if beyond["random"][2] > LITTLE * past:  # the interval leaves room for more than a little
            return (
                f"Whether neighbours count is not clear: together they bring {said['random']} more "
                f"than random ones, of {name}; the past brings {own}."
            )
        return (
            f"Only the past counts: all neighbours together bring no more than random ones "
            f"(difference {said['random']}, of {name}; the past brings {own})."
        )
    if "other_time" in said and not found["other_time"]:
        more = f" ({said['random']})" if "random" in said else ""
        return (
            f"Neighbours bring more than random ones{more}, but no more than those of another time "
            f"(difference {said['other_time']}, of {name}): they give the place away."
        )
    words = " and ".join(f"{text} more than {OTHERS[game]}" for game, text in said.items())
    largest = min(value[0] for value in beyond.values() if value is not None)
    little = ", a little" if largest < LITTLE * past else ""
    return (
        f"The predictor uses neighbours{little}: together they bring {words}, of {name}; the past "
        f"brings {own}."
    )


def _in_seats(
    attribution: Attribution, best: Mapping[str, Found | None], other_time: Found | None
) -> str:
    """The verdict where random neighbours took the seats of real ones, one at a time.

    All neighbours together have nothing to be compared with then.
    """
    unit, name, best_one = attribution.unit, metric_name(attribution), best["random"]
    past, together = (attribution.value(quantity)[0] for quantity in ("past", "neighbors"))
    rest = f"all together bring {written(together)[0]} {unit}, the past {written(past)[0]} {unit}"
    each = known(attribution, "each_beyond_random")
    if each is None or best_one is None:
        return f"Of {name}, neighbours {rest}; for no target there were enough random ones."
    on_average = amount(*each, unit)
    more = f"the best {amount(*best_one, unit)} of {name}, one on average {on_average}; {rest}"
    if math.isnan(each[1]):
        return (
            f"More than random ones in their seats neighbours bring: {more}; from one stretch of "
            "tracks nobody can say how much of that is chance: give more."
        )
    if not (clear(best_one) or clear(each)):
        return f"No neighbour clearly brings more than a random one in its seat: {more}."
    if other_time is not None and not (clear(other_time) or clear(best["other_time"])):
        return (
            "Neighbours bring more than random ones in their seats, but no more than those of "
            f"another time (together {amount(*other_time, unit)}, of {name}): they give the place "
            "away."
        )
    little = ", a little" if max(best_one[0], each[0]) < LITTLE * past else ""
    return (
        f"The predictor uses neighbours{little}: more than random ones in their seats bring {more}."
    )


def sentences(attribution: Attribution) -> list[str]:
    """How it was made, what was removed, and how sure it is."""
    return [made(attribution), removed(attribution), sure(attribution)]


def made(attribution: Attribution) -> str:
    """Predictor, metric, rules, estimator, rows."""
    s, unit = attribution.settings, attribution.unit
    said = [
        f"Predictor {s.get('predictor', 'unknown')}",
        f"{metric_name(attribution)} in {unit}"
        + (f", {MEANINGS[attribution.metric]}" if attribution.metric in MEANINGS else ""),
        f"{count(int(s.get('n_samples', 1)), 'sample')}",
        absent_cues(attribution),
        compared(s),
        f"{INDEX_WORDS.get(s.get('index', ''), s.get('index', ''))}",
        f"estimator {s.get('estimator', 'auto')}"
        + (f", {s['n_repeats']} draws of noise" if s.get("n_repeats", 1) > 1 else ""),
        f"{count(int(s.get('rows', 0)), 'prediction')}",
        "common random numbers" if s.get("common_noise", True) else "no common random numbers",
    ]
    return "; ".join(part for part in said if part) + "."


def absent_cues(attribution: Attribution) -> str:
    """What stands where cues are absent, and where nobody was to be had."""
    s, t = attribution.settings, attribution.targets
    rule = s.get("absent_neighbor", "removed")
    said = (
        f"an absent past is {s.get('absent_past', 'static').replace('_', ' ')}, an absent "
        f"neighbour {ABSENT_NEIGHBOR.get(rule, rule)}"
    )
    n = int(t["n_removed"].sum()) if "n_removed" in t else 0
    return said if not n else f"{said} ({n:,} of {t['n_neighbors'].sum():,} removed: nobody found)"


def compared(settings: Mapping[str, Any]) -> str:
    """Which neighbours that cannot matter stood beside the real ones."""
    random = RANDOM_ONES.get(settings.get("null_mode", "separate"), "random ones")
    words = {
        "random_neighbor": random,
        "other_time": OTHERS["other_time"],
        "both": f"{random}, and {OTHERS['other_time']}",
        "none": "nobody",
    }
    null = settings.get("null")
    return f"neighbours compared with {words[null]}" if null in words else ""


def removed(attribution: Attribution) -> str:
    """What test-time removal of all neighbours does to the error."""
    t, unit = attribution.targets, attribution.unit
    before, after = written(t["error_all"].mean(), t["error_past"].mean())
    change = attribution.value("removal")
    return (
        f"Removing all neighbours changes {metric_name(attribution)} from {before} to "
        f"{after} {unit}: {amount(*change, unit)}."
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
