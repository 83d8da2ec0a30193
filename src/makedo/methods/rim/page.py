"""The report of a fitted model: does λ pay, for which ranking, and how far is it right?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.checks import count
from makedo.core.compare import Comparison, compare_rows
from makedo.core.paired import Difference, Metric
from makedo.core.seeds import generator
from makedo.data.times import date, in_words
from makedo.methods.rim.judging import (
    ALONE,
    OURS,
    POPULAR,
    RECENT,
    REPEATS,
    asked,
    came_true,
    candidates,
)
from makedo.methods.rim.ranking import Ranked, rank, usual_lengths
from makedo.methods.rim.windows import calibration

if TYPE_CHECKING:
    from makedo.methods.rim.estimator import RIM
    from makedo.report import Report, Section

PRECISION = Metric("precision", unit="points", scale=100.0, decimals=2)
SIDES = {"users": "users for an item", "items": "items for a user"}
SIMPLER = {
    POPULAR: "Popularity alone will do",
    REPEATS: "What each user had before will do (marks=personal_repeat)",
}
AGAINST = {
    POPULAR: "popularity of user and item",
    REPEATS: "what each user had before, times recent activity",
    RECENT: "the same marks with recent activity for λ (intensity=ema)",
}
NOTE = (
    "Popularity: of user and item. Own repeats: what each user had before, times recent activity. "
    "Without λ: the marks of the model alone. Recent activity: these times recent activity. Ties "
    "are broken in ten random orders; figures are means over them."
)
GAIN_ITEMS = 400  # looked at in the curve of gains
GAIN_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)  # of the users
SHOWN = 5  # items and users named with show_rows
DRAWN = 200  # points of a curve


def report(model: RIM, X: Any = None, y: Any = None, *, show_rows: bool = False) -> Report:
    """See :meth:`RIM.report`.

    Parameters
    ----------
    model : RIM
        Fitted.
    X : Split, Requests, or later events, optional
        What came after the fit; then both rankings are judged on it.
    y : bool csr_matrix (n_requests, n_candidates), optional
        What came true; default: looked up in the log of the requests.
    show_rows : bool
    """
    from makedo.report import Report

    judged = None if X is None else Judged(model, X, y)
    if judged is None:
        verdict, summary = stored_verdict(model)
        sections = [stored_section(model)]
    else:
        verdict, summary = measured_verdict(judged)
        sections = measured_sections(judged)
    sections += kernel_sections(model)
    if show_rows:
        sections.append(example_section(model))
    return Report(
        title="Who will act, and on what: recurrent intensity modelling",
        verdict=verdict,
        summary=summary,
        facts={
            "events": len(model.log_),
            "users": model.log_.n_users,
            "items": model.log_.n_items,
            "horizon": in_words(model.horizon_),
            "ranked for": date(model.now_),
        },
        sections=sections,
    )


class Judged:
    """Both rankings of the model and of simpler ones, on what came after.

    Attributes
    ----------
    model : RIM
    requests : Requests
    targets : bool csr_matrix (n_requests, n_candidates)
    lengths : dict of str to list of int
        Of the lists of "items" and of "users".
    ranked : dict of str to dict of str to Ranked
        By side, then by candidate.
    """

    def __init__(self, model: RIM, X: Any, y: Any = None):
        self.model, self.requests = model, asked(model, X)
        self.targets: Any = came_true(model, self.requests) if y is None else y
        n_users, n_items = self.targets.get_shape()
        self.lengths = {"items": usual_lengths(n_items), "users": usual_lengths(n_users)}
        self.scores = candidates(model, self.requests)
        self.ranked: dict[str, dict[str, Ranked]] = {
            side: {
                name: rank(scores, self.targets, self.lengths[side][-1], side)
                for name, scores in self.scores.items()
            }
            for side in SIDES
        }

    def middle(self, side: str) -> int:
        """The length that verdicts are about: about 1 % of what is ranked."""
        lengths = self.lengths[side]
        return lengths[len(lengths) // 2]

    def comparison(self, side: str) -> Comparison:
        """All candidates, paired over users."""
        scores = {n: r.by("users", self.middle(side)) for n, r in self.ranked[side].items()}
        return compare_rows(scores, reference=ALONE, ours=OURS, metric=PRECISION)


# --- the first lines ------------------------------------------------------------------------------


def measured_verdict(judged: Judged) -> tuple[str, list[str]]:
    """Whether λ pays for users of an item; and that it changes no items of a user."""
    users, items = judged.comparison("users"), judged.comparison("items")
    length = count(judged.middle("users"), "user")
    gain, best = users.paired(OURS, ALONE), users.pick()
    pays = {1: "λ pays", 0: "Whether λ pays is not clear", -1: "λ harms"}[gain.clear]
    lines = [f"{pays}: {length} listed for each item, {_over(users, ALONE)}."]
    if best in SIMPLER:
        first = f"{SIMPLER[best]}: {length} listed for each item, {_over(users, best)}."
        lines.insert(0, first)
    others = [POPULAR, REPEATS, RECENT]
    lines += [
        f"Against {AGAINST[name]}: {_over(users, name)}."
        for name in others
        if name in users.candidates and (name != best or best not in SIMPLER)
    ]
    chosen = _words(items.paired(ALONE, POPULAR))
    return lines[0], [
        *lines[1:],
        f"Items for a user ({judged.middle('items')} each): λ changes nothing there, as it scales "
        f"all of a user's scores alike; {chosen}.",
    ]


def _over(comparison: Comparison, other: str) -> str:
    return _words(comparison.paired(OURS, other))


def _words(found: Difference) -> str:
    """Who beats whom; the pairs are users."""
    return replace(found, over="user").words


def stored_verdict(model: RIM) -> tuple[str, list[str]]:
    """What can be said without later events."""
    return (
        f"Learnt from {count(len(model.log_), 'event')}; whether λ pays was not measured, as that "
        "needs later events.",
        [
            "Give events that came after those of the fit (`--log` on the command line) to have "
            "both rankings judged."
        ],
    )


# --- what was measured ----------------------------------------------------------------------------


def measured_sections(judged: Judged) -> list[Section]:
    """Both rankings, lengths, variety, gains, and how far λ is right."""
    return [
        both_section(judged),
        winners_section(judged),
        lengths_section(judged),
        variety_section(judged),
        gains_section(judged),
        calibration_section(
            calibration(
                judged.model.rate(judged.requests), judged.requests.counts(judged.model.horizon_)
            ),
            "on what came after",
        ),
    ]


def both_section(judged: Judged) -> Section:
    """Precision of each candidate in both rankings."""
    from makedo.report import Section, figures

    parts = []
    for side, words in SIDES.items():
        part = judged.comparison(side).table()
        part["group"] = f"{words}, {judged.middle(side)} each"
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    chance = 100 * judged.targets.nnz / np.prod(judged.targets.get_shape())
    return Section(
        "How good are both rankings?",
        figure=figures.comparison(
            table, label="precision, %", ours=OURS, reference=ALONE, digits=2
        ),
        caption="How many in a hundred entries of the lists came true within "
        f"{in_words(judged.model.horizon_)}, with 95 % intervals over users. Lists at random would "
        f"have {chance:.2f}.",
        table=table.drop(columns=["sd", "size", "note"]),
        note=NOTE,
    )


def winners_section(judged: Judged) -> Section:
    """Where each candidate stands in both rankings at once."""
    from makedo.report import Section, distributions

    table = pd.DataFrame(
        [
            (name, *(100 * judged.ranked[side][name].precision(judged.middle(side))
                     for side in ("items", "users")))
            for name in judged.scores
        ],
        columns=["candidate", "x", "mean"],
    )  # fmt: skip
    return Section(
        "One model, two questions",
        figure=distributions.bands(
            table, label=f"{SIDES['users']}, %", x_label=f"{SIDES['items']}, %", ours=OURS
        ),
        caption="Precision of items for a user to the right, of users for an item upwards. λ moves "
        "a model straight up: the first stays as it is.",
    )


def lengths_section(judged: Judged) -> Section:
    """What λ gains at each length."""
    from makedo.methods.rim.ranking import gain
    from makedo.report import Section, figures

    ranked = judged.ranked["users"]
    lines = []
    for length in judged.lengths["users"]:
        for other in (ALONE, POPULAR):
            one = gain(ranked[OURS], ranked[other], length, (OURS, other))
            low, high = one.interval or (np.nan, np.nan)
            group = f"{count(length, 'user')} an item"
            lines.append((OURS, other, group, 100 * one.gain, 100 * low, 100 * high))
    columns = ["ours", "reference", "group", "gain", "low", "high"]
    table = pd.DataFrame(lines, columns=columns)
    return Section(
        "What does λ gain?",
        figure=figures.paired_differences(table, label="gain in precision, points", digits=2),
        caption="Gain in precision of users for an item, paired over users, with 95 % intervals.",
        table=table,
    )


def variety_section(judged: Judged) -> Section:
    """Precision against how varied the lists are."""
    from makedo.report import Section, distributions

    lines = []
    for name, ranked in judged.ranked["users"].items():
        for length in judged.lengths["users"]:
            found = ranked.figures(length)
            lines.append((name, found["perplexity"], 100 * found["precision"], length))
    table = pd.DataFrame(lines, columns=["candidate", "x", "mean", "users an item"])
    renamed = {"x": "different users", "mean": "precision, %"}
    return Section(
        "Whom do the lists name?",
        figure=distributions.bands(
            table, label="precision, %", x_label="different users (perplexity)", ours=OURS
        ),
        caption="Precision of users for an item, against how varied the users are: a perplexity of "
        "10 is as varied as ten users named equally often. A few heavy users make precision cheap: "
        "cap how often a user may be listed if that is not wanted.",
        table=table.rename(columns=renamed),
    )


def gains_section(judged: Judged) -> Section:
    """What share of those who will turn to an item is reached by how many contacts."""
    from makedo.report import Section, distributions

    wanted = np.flatnonzero(np.asarray(judged.targets.sum(0)).ravel())
    if len(wanted) > GAIN_ITEMS:
        wanted = np.sort(generator(0, "gains").permutation(wanted)[:GAIN_ITEMS])
    targets = judged.targets[:, wanted]
    n = targets.shape[0]
    lengths = sorted({max(1, round(share * n)) for share in GAIN_SHARES})
    lines = []
    for name in sorted(judged.scores, key=lambda name: name != OURS):  # ours in its own colour
        scores = judged.scores[name]
        found = rank(scores.take(items=wanted), targets, lengths[-1], "users", tie_orders=1)
        for length in lengths:
            reached = found.hits[0, :, :length].sum() / targets.nnz
            lines.append((name, 100 * length / n, 100 * float(reached)))
    table = pd.DataFrame(lines, columns=["candidate", "x", "mean"])
    return Section(
        "How many must be contacted?",
        figure=distributions.bands(
            table,
            label="share of those who turn to the item, %",
            x_label="share of the users contacted for it, %",
            ours=OURS,
        ),
        caption=f"Over {count(len(wanted), 'item')} with targets: who was going to come, found "
        "among the first so many of the list. These come anyway: it is no effect of the contact.",
        table=table.pivot(index="x", columns="candidate", values="mean")
        .reindex(columns=list(judged.scores))
        .rename_axis(index="contacted, %", columns=None),
        table_caption="Reached, %.",
    )


def calibration_section(table: pd.DataFrame, where: str) -> Section:
    """Events that λ expects, and those that came."""
    from makedo.report import Section, figures

    long = pd.concat(
        [
            pd.DataFrame(
                {
                    "candidate": name,
                    "bin": [str(i + 1) for i in range(len(table))],
                    "mean": table[name],
                    "low": np.nan,
                    "high": np.nan,
                }
            )
            for name in ("expected", "observed")
        ]
    )
    return Section(
        "How far is λ right?",
        figure=figures.score_against(
            long,
            label="events of a user within the horizon",
            bin_label="users by expected events, in tenths",
            ours="observed",
        ),
        caption=f"Mean expected and observed events of users, {where}, from the least to the most "
        "active tenth. λ(x, y) is in events only as far as these two agree.",
        table=table.set_axis(pd.RangeIndex(1, len(table) + 1, name="tenth")),
    )


def stored_section(model: RIM) -> Section:
    """How far λ is right in the windows that it was calibrated in."""
    return calibration_section(model.calibration_, "in the windows that it was learnt from")


# --- the model ------------------------------------------------------------------------------------


def kernel_sections(model: RIM) -> list[Section]:
    """How much one event raises the rate, by its age; for models with exponential sums alone."""
    from makedo.report import Section, distributions

    weights = getattr(model.intensity_, "weights_", None)
    decays = model.intensity_.decays_
    if weights is None or not len(decays):
        return []
    a = weights[: len(decays)]
    ages = np.geomspace(0.1 / decays.max(), 3 / decays.min(), DRAWN)  # in horizons
    height = (a * decays * np.exp(-decays * ages[:, None])).sum(1)
    table = pd.DataFrame({"candidate": "kernel", "x": ages, "mean": height})
    half = float(np.interp(0.5, *_mass(a, decays, ages)))
    return [
        Section(
            "How long does one event count?",
            figure=distributions.bands(
                table,
                label="rise of the rate, events a horizon",
                x_label="age of the event, horizons",
                log_x=True,
            ),
            caption="By how much one event raises λ, by its age. Half of that has worn off after "
            f"{in_words(max(half * model.horizon_, 1.0))}.",
        )
    ]


def _mass(a: np.ndarray, decays: np.ndarray, ages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of the kernel's mass before each age, and the ages."""
    total = max(float(a.sum()), 1e-300)
    return (a * (1 - np.exp(-decays * ages[:, None]))).sum(1) / total, ages


def example_section(model: RIM) -> Section:
    """Who is named for a few items."""
    from makedo.report import Section

    most = model.known(np.argsort(-model.marks_.popularity_, kind="stable"))[:SHOWN]
    top = min(SHOWN, model.log_.n_users)
    table = model.recommend_users(model.log_.items[most], top_k=top)
    return Section(
        "Whom the model names",
        table=table.drop(columns="timestamp"),
        table_caption=f"For the {len(most)} most frequent items; score is the events expected "
        "within the horizon.",
    )
