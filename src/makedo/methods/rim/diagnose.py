"""Does λ(x) help to find users for an item?  Asked of the last horizon of the log itself.

Nothing slow is trained for that: where the marks are a network, or scores that only ``fit`` is
given, quick ones stand for them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from makedo.core.checks import count
from makedo.core.diagnosis import Diagnosis
from makedo.core.paired import Difference
from makedo.core.seeds import generator
from makedo.data.interaction_splits import Split, temporal_split
from makedo.data.interactions import InteractionLog, Requests
from makedo.data.times import in_words
from makedo.methods.rim.given import GivenScores
from makedo.methods.rim.intensities import EMA
from makedo.methods.rim.marks import PersonalRepeat
from makedo.methods.rim.named import MARKS, made
from makedo.methods.rim.ranking import gain, rank, usual_lengths
from makedo.methods.rim.repeats import EASERepeat
from makedo.methods.rim.sequences import FULL, SAMPLED, SequenceMarks
from makedo.methods.rim.windows import everybody, horizon_of

if TYPE_CHECKING:
    from makedo.methods.rim.estimator import RIM

FEWEST_USERS, FEWEST_EVENTS = 30, 200  # below which nothing can be measured
MOST_USERS = 5_000  # looked at
REPEATED = 0.2  # share of events, from which on what a user had before is worth listing
REPEATING = (
    "personal_repeat",
    "ease_repeat",
    "transformer",
    "rnn",
    "given",
)  # marks that know of repeats
ONE_TIME = 0.8  # share of users with all their events at one time: such times were not the events'
MUCH = 0.5  # of the events to come, that nobody can rank
LOST = "events to come of new users or items, %"
LITTLE = 0.002  # of precision, not worth a model of activity
PRODUCTS = 5e9  # a second, of a network that trains on one core; measured on two data sets
DAY = 86_400.0
USUAL = tuple(n * DAY for n in (1 / 24, 0.25, 1, 3, 7, 14, 28, 91))
COMMAND = "makedo rim fit --log LOG --out model"
WITH, WITHOUT = "with λ", "without λ"


def diagnose(model: RIM, X: Any) -> Diagnosis:
    """Rank users for the items of the last horizon with and without λ(x), learnt before it.

    Of more than 5,000 users a random sample is looked at.
    """
    started = time.perf_counter()
    model._check_parameters()
    log = X.train_log if isinstance(X, Split) else as_log(X)
    figures = described(log)

    def answer(verdict: str, advice: str, **more: Any) -> Diagnosis:
        seconds = time.perf_counter() - started
        return Diagnosis(verdict, figures=figures, advice=advice, seconds=seconds, **more)

    if figures["users"] < FEWEST_USERS or len(log) < FEWEST_EVENTS:
        return answer(
            "cannot tell",
            f"{count(len(log), 'event')} of {count(figures['users'], 'user')} are too few to "
            f"measure with; give at least {FEWEST_EVENTS} of {FEWEST_USERS}.",
        )
    if figures["users with all events at one time, %"] > 100 * ONE_TIME:
        return answer(
            "does not apply",
            "Most users have all their events at one time, so these look like times of an import, "
            "or users are visits or baskets. Give the times of the events, or name the people.",
        )
    H = X.horizon if isinstance(X, Split) else horizon_of(model.horizon, log)
    figures["horizon"] = in_words(H)
    figures["shortest in which half of the active users come back"] = suggested_horizon(log)
    end = float(log.last) + 1
    if end - (2 + model.n_valid) * H <= float(log.time.min()):
        return answer(
            "cannot tell",
            f"The log is shorter than {2 + model.n_valid} horizons of {in_words(H)}: give a longer "
            "one, or set a shorter horizon.",
        )
    quick, said = with_quick_marks(model, log, figures["events that repeat a pair, %"])
    log = sampled(log)
    if not come_back(log, end - H, H, model.n_valid):
        return answer(
            "does not apply",
            f"Nobody who was there before has an event in the last {in_words(H)}, or in the time "
            "before that λ would be learnt in: there is nobody to rank. If users are visits, name "
            "the people instead; else set another horizon.",
        )
    found = last_horizon(quick, log, end - H, H)
    figures |= found.figures
    verdict, advice = judged(found)
    if figures["events that repeat a pair, %"] > 100 * REPEATED and not _repeats(model.marks):
        advice += " Users come back to the same items: try marks=personal_repeat."
    if (lost := found.figures[LOST]) > 100 * MUCH:
        advice += (
            f" But {lost:.0f} % of the events to come are of new users or items: nobody can rank "
            "those. A shorter horizon may leave fewer."
        )
    advice += said
    interval = found.gain.interval
    return answer(
        verdict,
        advice,
        expected_gain=100 * found.gain.gain,
        interval=None if interval is None else (100 * interval[0], 100 * interval[1]),
        unit=f"points of precision of the {count(found.length, 'user')} listed for each item",
        command=command(model) if verdict in ("applies", "may help") else "",
    )


def as_log(X: Any) -> InteractionLog:
    """The log of what ``fit`` takes."""
    return X if isinstance(X, InteractionLog) else InteractionLog.read(X)


def command(model: RIM) -> str:
    """What to run next."""
    named = isinstance(model.marks, str) and model.marks not in (type(model)().marks, "given")
    return COMMAND + (f" --set marks={model.marks}" if named else "")


def _repeats(marks: Any) -> bool:
    """Whether the marks know that users come back to the same items."""
    known = isinstance(marks, (PersonalRepeat, EASERepeat, SequenceMarks, GivenScores))
    return known or (isinstance(marks, str) and marks in REPEATING)


# --- marks that are not waited for ----------------------------------------------------------------


def with_quick_marks(model: RIM, log: InteractionLog, repeated: float) -> tuple[RIM, str]:
    """The model with marks that take seconds, and a sentence about those that it has."""
    marks = made(model.marks, MARKS)
    if not isinstance(marks, (SequenceMarks, GivenScores)):
        return model, ""
    name = "personal_repeat" if repeated > 100 * REPEATED else "ease"
    quick: Any = clone(model)
    quick.set_params(marks=name)
    if isinstance(marks, GivenScores):
        return quick, f" Your own scores were not looked at: this was measured with marks={name}."
    seconds = training_seconds(marks, log)
    return quick, (
        f" The network was not trained: this was measured with marks={name}. To train it will take "
        f"about {in_words(seconds)} on one core."
    )


def training_seconds(marks: SequenceMarks, log: InteractionLog) -> float:
    """What all epochs take, to one digit of its unit; products as in :class:`SequenceMarks`."""
    n_steps = 1 + np.count_nonzero((np.diff(log.user) != 0) | (np.diff(log.time) != 0))
    n_items = len(np.unique(log.item))
    if marks.softmax == "sampled" or (marks.softmax == "auto" and n_items > FULL):
        n_items = min(n_items, SAMPLED)
    d = marks.width
    products = 3 * n_steps * (marks.n_layers * 12 * d**2 + n_items * d) * marks.max_epochs
    seconds = max(products / PRODUCTS, 1.0)
    unit = next(one for one in (DAY, 3_600.0, 60.0, 1.0) if seconds >= one)
    return unit * float(f"{seconds / unit:.1g}")


# --- what the log is like -------------------------------------------------------------------------


def described(log: InteractionLog) -> dict[str, Any]:
    """Sizes, and how times and pairs repeat."""
    n = np.diff(log.start)
    active = n > 0
    first, last = log.start[:-1][active], log.start[1:][active] - 1
    same_user = log.user[1:] == log.user[:-1]
    gap = np.diff(log.time)
    tied = same_user & (gap == 0)
    shared = np.zeros(len(log), bool)
    shared[1:] |= tied
    shared[:-1] |= tied
    smallest = gap[same_user & (gap > 0)]
    return {
        "events": len(log),
        "users": int(active.sum()),
        "items": len(np.unique(log.item)),
        "time covered": in_words(float(log.time.max() - log.time.min()) or 1.0),
        "resolution of the times": in_words(float(smallest.min())) if len(smallest) else "none",
        "events at the time of another of the user, %": 100 * float(shared.mean()),
        "users with all events at one time, %": 100
        * float((log.time[first] == log.time[last])[n[active] > 1].mean() if n.max() > 1 else 1.0),
        "events that repeat a pair, %": 100 * repeated_share(log),
        **{f"events of kind {kind!r} beside": len(other) for kind, other in log.beside.items()},
    }


def repeated_share(log: InteractionLog) -> float:
    """Share of the events in which a user comes back to an item."""
    pairs = np.unique(log.user.astype(np.int64) * log.n_items + log.item)
    return 1 - len(pairs) / len(log)


def suggested_horizon(log: InteractionLog) -> str:
    """The shortest usual length of time in which half of those active before are so again."""
    end = float(log.time.max()) + 1
    for length in USUAL:
        if end - 2 * length < float(log.time.min()):
            break
        before, after = (
            np.unique(log.user[(log.time >= T) & (log.time < T + length)])
            for T in (end - 2 * length, end - length)
        )
        if len(before) >= FEWEST_USERS and np.isin(before, after).mean() >= 0.5:
            return in_words(length)
    return "none: few users come back"


def sampled(log: InteractionLog) -> InteractionLog:
    """The events of at most ``MOST_USERS`` users."""
    active = np.flatnonzero(log.n_of_users)
    if len(active) <= MOST_USERS:
        return log
    kept = np.zeros(log.n_users, bool)
    kept[generator(0, "diagnose").permutation(active)[:MOST_USERS]] = True
    return log.of_users(kept)


def come_back(log: InteractionLog, T: float, H: float, n_valid: int) -> bool:
    """Whether users with a history act in [T, T + H), and in a window of calibration before it."""
    ahead, *before = (everybody(log, T - j * H) for j in range(n_valid + 1))
    return _act(ahead, H) and any(_act(one, H) for one in before)


def _act(requests: Requests, H: float) -> bool:
    return bool(requests.counts(H)[requests.n_before > 0].any())


# --- the last horizon -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What λ gained in the last horizon."""

    gain: Difference
    length: int
    correlation: tuple[float, float, float]  # of λ with the events to come; and its interval
    recent: tuple[float, float, float]  # the same of recent activity
    figures: dict[str, Any]


def last_horizon(model: RIM, log: InteractionLog, T: float, H: float) -> Found:
    """Learn before T, rank for [T, T + H)."""
    split = temporal_split(log, T, H, n_valid=model.n_valid)
    fresh: Any = clone(model)
    fitted = fresh.set_params(horizon=H).fit(split)
    test = split.test
    targets = test.targets(H, exclude_seen=model.exclude_seen)
    lengths = usual_lengths(len(test))
    length = lengths[len(lengths) // 2]
    alone = fitted.scores(test, active=False)  # asked once: of many users and items it is slow
    scores = {WITH: alone.scaled(fitted.rate(test)), WITHOUT: alone}
    ranked = {name: rank(one, targets, length, "users") for name, one in scores.items()}
    found = gain(ranked[WITH], ranked[WITHOUT], length, (WITH, WITHOUT))
    counts = test.counts(H)
    own = spearman(fitted.rate(test), counts)
    recent = spearman(EMA().fit(split.train, None, H).predict(test), counts)
    figures = {
        "users looked at": len(test),
        f"precision of {length} users for each item, {WITH}": ranked[WITH].precision(length),
        f"precision of {length} users for each item, {WITHOUT}": ranked[WITHOUT].precision(length),
        "rank correlation of λ with the events to come": in_figures(own),
        "the same of recent activity (EMA)": in_figures(recent),
        LOST: 100 * lost_share(log, test, T, H),
        "variance over mean of the events to come": float(counts.var() / max(counts.mean(), 1e-9)),
    }
    return Found(found, length, own, recent, figures)


def lost_share(log: InteractionLog, test: Requests, T: float, H: float) -> float:
    """Share of the events in [T, T + H) whose user or item has no history."""
    inside = (log.time >= T) & (log.time < T + H)
    known_users, known_items = np.zeros(log.n_users, bool), np.zeros(log.n_items, bool)
    known_users[test.user], known_items[test.candidates] = True, True
    kept = known_users[log.user[inside]] & known_items[log.item[inside]]
    return float(1 - kept.mean())


def spearman(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Rank correlation and its 95 % interval (Fisher's z, with Fieller's factor)."""
    from scipy.stats import rankdata

    n = len(a)
    x, y = rankdata(a), rankdata(b)
    if n < 4 or not x.std() or not y.std():
        return 0.0, -1.0, 1.0
    r = float(np.clip(np.corrcoef(x, y)[0, 1], -0.999999, 0.999999))
    half = 1.96 * np.sqrt(1.06 / (n - 3))
    return r, float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half))


def in_figures(found: tuple[float, float, float]) -> str:
    """``'0.41 (0.35 to 0.47)'``."""
    return "{:.2f} ({:.2f} to {:.2f})".format(*found)


# --- from figures to a verdict --------------------------------------------------------------------


def judged(found: Found) -> tuple[str, str]:
    """The verdict and what to do."""
    said = f"{100 * found.gain.gain:+.2f} points of precision"
    if found.correlation[1] <= 0 < found.recent[1]:
        return "does not apply", (
            "This λ does not go with the events to come, but recent activity does: take "
            "intensity=ema or hawkes_poisson."
        )
    if found.correlation[1] <= 0:
        return "does not apply", (
            "Activity is not predictable here: λ does not go with the events to come. Any "
            "recommender is as good for items, and nothing here tells users apart."
        )
    if found.gain.clear > 0:
        return "applies", (
            f"λ helps to say who ({said}): rank users for an item with it. Items for a user stay "
            "as they are without it."
        )
    most = np.inf if found.gain.interval is None else found.gain.interval[1]
    if found.gain.clear < 0 or most < LITTLE:
        return "does not apply", (
            f"Users ranked without λ are as good ({said}): take intensity=constant."
        )
    return "may help", (
        f"λ goes with the events to come, but whether it helps to rank users is not clear ({said})."
    )
