"""The demo: which airports will an aircraft visit next week, which aircraft come to an airport?

328,521 departures of 4,037 aircraft from New York in 2013 come with the package.  The same scores
answer both questions.  What an aircraft did before says where it will go; who flies at all next
week is another matter, and that is what λ knows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.paired import Difference, Metric, difference
from makedo.core.progress import logger
from makedo.data import catalog
from makedo.data.interaction_splits import Split, temporal_split
from makedo.data.interactions import InteractionLog
from makedo.data.times import seconds
from makedo.methods.rim.budgeted_demo import inspections
from makedo.methods.rim.estimator import RIM
from makedo.methods.rim.judging import ALONE, OURS, POPULAR, candidates
from makedo.methods.rim.marks import PersonalRepeat
from makedo.methods.rim.ranking import rank

if TYPE_CHECKING:
    from makedo.report import Report, Section

WEEK = 7 * 86_400.0
LAST = float(seconds("2013-11-27"))  # the week from here on is shown in full
N_WEEKS = 8  # that and those before it
SCALES = (0.5, 2.0, 8.0, 52.0)  # memory of own history, in weeks
AIRPORTS, AIRCRAFT = 5, 20  # how many are listed
QUESTIONS = {
    "items": ("airports for an aircraft", AIRPORTS),
    "users": ("aircraft for an airport", AIRCRAFT),
}
PRECISION = Metric("precision", unit="points", scale=100.0, decimals=1)


def run(out: Path, quiet: bool = False) -> Path:
    """Learn, list, judge on eight weeks; return the report's path."""
    out.mkdir(parents=True, exist_ok=True)
    say: Callable[..., Any] = (lambda *_: None) if quiet else logger.info
    log = catalog.load("flights").log()
    scale = chosen_scale(log)
    say("Flights: %s; memory of %g weeks, chosen on a week before those judged", log, scale)
    split = week(log, LAST)
    model = fitted(split, scale)
    model.save(out / "model")
    model.recommend_items(top_k=AIRPORTS).to_csv(out / "airports.csv", index=False)
    model.recommend_users(log.items[split.test.candidates], top_k=AIRCRAFT).to_csv(
        out / "aircraft.csv", index=False
    )
    weeks = judged_weeks(log, scale)
    for side, (question, _) in QUESTIONS.items():
        gained = over_weeks(weeks, side, OURS, ALONE).gain
        say("%s: λ gains %.1f points of precision over %d weeks", question, gained, len(weeks))
    report = page(model, split, weeks)
    report.sections.append(inspections(model, split, out))
    report.to_html(out / "rim.html")
    return out / "rim.html"


def week(log: InteractionLog, T: float) -> Split:
    """Learn from all before T, look at the week from T on."""
    return temporal_split(log, T, WEEK)


def fitted(split: Split, scale: float) -> RIM:
    """Own history with a memory of so many weeks, times λ."""
    return RIM(PersonalRepeat(scale), horizon=WEEK).fit(split)


def chosen_scale(log: InteractionLog) -> float:
    """The memory whose airports were right most often in the week before those that are judged."""
    split = week(log, LAST - N_WEEKS * WEEK)
    precision = {scale: judged(split, scale)[OURS, "items"] for scale in SCALES}
    return max(precision, key=lambda scale: precision[scale])


def judged(split: Split, scale: float) -> dict[tuple[str, str], float]:
    """Precision of each candidate for each question, in the week of a split."""
    model = fitted(split, scale)
    targets = split.test.targets(WEEK)
    return {
        (name, side): rank(scores, targets, length, side).precision(length)
        for name, scores in candidates(model, split.test).items()
        for side, (_, length) in QUESTIONS.items()
    }


def judged_weeks(log: InteractionLog, scale: float) -> pd.DataFrame:
    """Precision in per cent: a row a week, a column for each candidate and question."""
    starts = [LAST - i * WEEK for i in reversed(range(N_WEEKS))]
    rows = [judged(week(log, T), scale) for T in starts]
    index = pd.Index([f"{pd.to_datetime(T, unit='s'):%d %b}" for T in starts], name="week from")
    return 100 * pd.DataFrame(rows, index=index)


def over_weeks(weeks: pd.DataFrame, side: str, ours: str, reference: str) -> Difference:
    """What one candidate gains over another, paired by week."""
    pair = (weeks[name, side].to_numpy() for name in (ours, reference))
    numbers = list(range(len(weeks)))
    return difference(*pair, seeds=numbers, names=(ours, reference), metric=PRECISION)


# --- the page -------------------------------------------------------------------------------------


def page(model: RIM, split: Split, weeks: pd.DataFrame) -> Report:
    """The report of the last week, and what eight weeks say."""
    found = model.report(split)
    gain = over_weeks(weeks, "users", OURS, ALONE)
    means = weeks.mean()
    low, high = gain.interval or (np.nan, np.nan)
    found.title = "RIM demo: which airports for an aircraft, which aircraft for an airport?"
    one_week = found.verdict
    found.verdict = (
        f"Where an aircraft goes, its own history says: {means[OURS, 'items']:.0f} % of the "
        f"{AIRPORTS} airports named come true, with or without λ. Who comes to an airport, λ says: "
        f"with it {means[OURS, 'users']:.0f} % of the {AIRCRAFT} aircraft named, without "
        f"{means[ALONE, 'users']:.0f}."
        if gain.clear > 0
        else f"Own history names airports and aircraft; that λ helps is not clear here: {gain}."
    )
    found.summary = [
        f"Over {len(weeks)} weeks, each learnt from the time before it alone, λ gains "
        f"{gain.gain:+.1f} points (95 % interval {low:.1f} to {high:.1f}) for an airport and none, "
        "by construction, for an aircraft. An aircraft's memory was chosen on an earlier week.",
        f"The last of these weeks in full: {one_week}",
    ]
    found.command = "makedo demo rim"
    found.sections[:0] = [weeks_section(weeks)]
    return found


def weeks_section(weeks: pd.DataFrame) -> Section:
    """Both questions, week by week."""
    from makedo.report import Section, figures

    lines = []
    for side, (question, length) in QUESTIONS.items():
        for other in (ALONE, POPULAR):
            one = over_weeks(weeks, side, OURS, other)
            low, high = one.interval or (np.nan, np.nan)
            lines.append((OURS, other, f"{question}, {length} each", one.gain, low, high))
    table = pd.DataFrame(lines, columns=["ours", "reference", "group", "gain", "low", "high"])
    short = {"items": "airports", "users": "aircraft"}
    shown = weeks.copy()
    shown.columns = [f"{short[side]}, {name}" for name, side in weeks.columns]
    return Section(
        "What λ gains, over eight weeks",
        figure=figures.paired_differences(table, label="gain in precision, points", digits=1),
        caption="Gain in precision, paired by week, with 95 % intervals. λ scales all of an "
        "aircraft's scores alike, so its airports stay in their order.",
        table=shown.reset_index(),
        table_caption="Precision in per cent, week by week.",
    )
