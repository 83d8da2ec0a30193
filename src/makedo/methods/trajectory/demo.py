"""The demo: do the ships around it tell where a ship in New York Harbor will go?

A week of ships comes with the package.  Three predictors are boosted trees, learnt on the first
days: from a ship's own past; with the ships around; with these and the place on the map.  Then the
question is put to each: what do the neighbours bring?  As a control some ships get a follower that
we plant, and a predictor that looks for whom to follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.progress import logger
from makedo.core.seeds import generator
from makedo.data import catalog
from makedo.data.tracks import Tracks
from makedo.data.windows import Cues, Windows, cut
from makedo.methods.trajectory import metrics, pictures, wording
from makedo.methods.trajectory.attribution import Attribution, block_mean
from makedo.methods.trajectory.estimator import TrajectoryAttributor
from makedo.methods.trajectory.explaining import PAST, REAL
from makedo.methods.trajectory.nulls import OtherTimes

if TYPE_CHECKING:
    from makedo.report import Report, Section

LEARN = 0.7  # share of the week that is learnt from
CLOSE = 8_000.0  # metres: all neighbours of a ship that is drawn
MOVES = 300.0  # metres in eight minutes; others are at anchor
STRIDE = 5  # minutes between windows
N_NEIGHBORS = 6
N_EXPLAINED = 400
AT = (3, 7, 11)  # steps that the trees predict; between them lines
DELAY = 5  # minutes that a planted follower is behind
FOLLOWED = 15  # ships
FOLLOWER = 1_000  # added to the id of the ship
VOYAGE = 90  # minutes before and after that are shown
CHOSEN = "Chosen because neighbours bring most to it, of those with all neighbours within 8 km."
NEAR = 60.0  # metres: so well a track must match to be followed
OWN, SOCIAL, MAPPED = "own past", "past + ships", "past + map + ships"
ON_MAP, CONTROL = "past + map", "planted followers"
RULES: dict[str, Any] = {
    "metric": "ade",
    "n_samples": 1,
    "null": "both",
    "max_neighbors": N_NEIGHBORS,
}


@dataclass(frozen=True)
class Found:
    """What the demo found.

    Attributes
    ----------
    errors : DataFrame
        ADE of each predictor, for :func:`makedo.report.figures.comparison`.
    attributors, explained : dict of str to TrajectoryAttributor, Attribution
        Of the two predictors that look at neighbours, and of the control.
    windows : dict of str to Windows
        Their targets.
    course : Attribution
        Of one follower, step by step.
    """

    errors: pd.DataFrame
    attributors: dict[str, TrajectoryAttributor]
    explained: dict[str, Attribution]
    windows: dict[str, Windows]
    course: Attribution


def run(out: Path, quiet: bool = False) -> Path:
    """Learn, explain, plant the control, write the page; return its path."""
    out.mkdir(parents=True, exist_ok=True)
    found = look(catalog.load("ny_harbor").tracks, (lambda *_: None) if quiet else logger.info)
    for name, one in found.explained.items():
        one.to_parquet(out / f"{name.replace(' + ', '_').replace(' ', '_')}.parquet")
    page(found).to_html(out / "trajectory.html")
    return out / "trajectory.html"


def look(tracks: Tracks, say: Callable[..., Any]) -> Found:
    """Learn three predictors from the first days and explain them on the last."""
    learnt, judged = harbor(tracks)
    say("Ships: %s; %d targets to learn from, %d to judge", tracks, len(learnt), len(judged))
    models = {name: Trees(*uses).fit(learnt) for name, uses in USES.items()}
    few = judged.take(chosen(len(judged)))
    followers = planted(tracks)
    windows = {SOCIAL: few, MAPPED: few, CONTROL: followers.take(chosen(len(followers)))}
    given = {SOCIAL: models[SOCIAL], MAPPED: models[MAPPED], CONTROL: copycat}
    attributors = {
        name: TrajectoryAttributor(one, **RULES).fit(learnt) for name, one in given.items()
    }
    explained = {name: one.explain(windows[name]) for name, one in attributors.items()}
    for name, one in explained.items():
        say("%s: %s", name, wording.verdict(one))
    say("Planted followers: the leader brings %.0f m, all others %.0f m", *led(explained[CONTROL]))
    voyage = one_voyage(followers, windows[CONTROL], explained[CONTROL])
    course = attributors[CONTROL].explain(voyage)
    return Found(errors_of(models, judged), attributors, explained, windows, course)


def harbor(tracks: Tracks) -> tuple[Windows, Windows]:
    """Moving ships of the first days, and of the last."""
    cut_at = np.quantile(tracks.step, LEARN)
    parts = (tracks.step <= cut_at, tracks.step > cut_at)
    found = [cut(tracks.select(part), stride=STRIDE, max_neighbors=N_NEIGHBORS) for part in parts]
    return tuple(moving(part) for part in found)  # type: ignore[return-value]


def moving(windows: Windows) -> Windows:
    """Only targets that are under way."""
    way = np.linalg.norm(windows.past[:, -1] - windows.past[:, 0], axis=1)
    return windows.take(way > MOVES)


def chosen(n: int) -> np.ndarray:
    """Some targets at random."""
    return np.sort(generator(0, "explained").permutation(n)[:N_EXPLAINED])


# --- predictors -----------------------------------------------------------------------------------


class Trees:
    """Boosted trees that predict displacements from constant velocity, in the axes of the map.

    Parameters
    ----------
    neighbors, place : bool
        What they may look at beside the own past.
    """

    def __init__(self, neighbors: bool, place: bool):
        self.neighbors, self.place = neighbors, place

    def fit(self, windows: Windows) -> Trees:
        """Learn, a second time with neighbours left out at random: coalitions lack some too."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        cues, rng = windows.cues(), generator(0, "trees")
        kept = cues.present & (rng.random(cues.present.shape) < rng.random((len(cues), 1)))
        X = np.concatenate([self._features(cues, cues.present), self._features(cues, kept)])
        wanted = (windows.future - drift(windows.past))[:, AT].reshape(len(cues), -1)  # (n, 6)
        y = np.concatenate([wanted, wanted])
        made = {"max_iter": 80, "learning_rate": 0.08, "min_samples_leaf": 40, "random_state": 0}
        self.models = [HistGradientBoostingRegressor(**made).fit(X, column) for column in y.T]
        return self

    def predict(self, cues: Cues, *, n_samples: int, n_steps: int, seeds: Any) -> np.ndarray:
        """Positions (B, 1, n_steps, 2)."""
        X = self._features(cues, cues.present)
        found = np.stack([model.predict(X) for model in self.models], axis=1)
        beyond = found.reshape(len(X), len(AT), 2)
        knots, steps = np.array([-1, *AT]), np.arange(n_steps)
        beyond = np.concatenate([np.zeros((len(X), 1, 2)), beyond], axis=1)
        place = np.clip(np.searchsorted(knots, steps, side="left") - 1, 0, len(AT) - 1)
        share = ((steps - knots[place]) / np.diff(knots)[place])[:, None]
        bent = beyond[:, place] * (1 - share) + beyond[:, place + 1] * share
        return (drift(cues.past)[:, :n_steps] + bent)[:, None]

    def _features(self, cues: Cues, present: np.ndarray) -> np.ndarray:
        """Own steps; places and steps of the neighbours present, nearest first; the place."""
        parts = [np.diff(cues.past, axis=1).reshape(len(cues), -1)]
        if self.neighbors:
            order = np.argsort(~present, axis=1, kind="stable")  # those present move up
            seen = np.take_along_axis(cues.neighbors[:, :, -2:], order[..., None, None], axis=1)
            there = np.take_along_axis(present, order, axis=1)[..., None]
            gap = np.where(there, seen[:, :, 1] - cues.past[:, None, -1], np.nan)
            step = np.where(there, seen[:, :, 1] - seen[:, :, 0], np.nan)
            parts += [part[:, :N_NEIGHBORS].reshape(len(cues), -1) for part in (gap, step)]
        if self.place:
            parts.append(cues.past[:, -1])
        return np.concatenate(parts, axis=1)


USES = {OWN: (False, False), SOCIAL: (True, False), ON_MAP: (False, True), MAPPED: (True, True)}


def drift(past: np.ndarray) -> np.ndarray:
    """Constant velocity for twelve steps, (n, 12, 2)."""
    step = past[:, -1] - past[:, -2]
    return past[:, -1:] + np.arange(1, 13)[:, None] * step[:, None]


def copycat(past: Any, neighbors: Any, present: Any, n_samples: int, seeds: Any) -> np.ndarray:
    """A function as a predictor: follow whoever was where we are now, else keep the velocity."""
    best = np.full(len(past), NEAR)
    found = drift(past)
    for delay in range(2, past.shape[1] - 1):
        behind = past[:, None, delay:] - neighbors[:, :, :-delay]  # (B, M, n_past - delay, 2)
        match = np.linalg.norm(behind, axis=-1).mean(-1)
        match = np.where(present & np.isfinite(match), match, np.inf)  # (B, M)
        who = match.argmin(1)
        rows = np.flatnonzero(match[np.arange(len(past)), who] < best)
        track = neighbors[rows, who[rows]]  # of the leader
        ahead = track[:, -1:] + np.arange(1, 13)[:, None] * (track[:, -1:] - track[:, -2:-1])
        found[rows] = np.concatenate([track[:, -delay:], ahead], axis=1)[:, :12]
        best[rows] = match[rows, who[rows]]
    return found[:, None]


# --- errors, and the control ----------------------------------------------------------------------


def errors_of(models: dict[str, Trees], windows: Windows) -> pd.DataFrame:
    """ADE of all predictors, and of the social ones with the neighbours of another time."""
    cues, seeds = windows.cues(), windows.seeds()
    tracks, present, kind = OtherTimes(windows).neighbors(windows, seeds, None)
    other = Cues(cues.past, tracks, present, cues.kind, kind, cues.seconds_per_step)
    shown = {"constant velocity": drift(cues.past)[:, None]}
    for name, model in models.items():
        shown[name] = model.predict(cues, n_samples=1, n_steps=12, seeds=seeds)
        if model.neighbors:
            changed = model.predict(other, n_samples=1, n_steps=12, seeds=seeds)
            shown[f"{name} then"] = changed
    lines = [
        (name, "", *block_mean(metrics.ade(found, windows.future), windows.block)[:3])
        for name, found in shown.items()
    ]
    return pd.DataFrame(lines, columns=["candidate", "group", "mean", "low", "high"])


def planted(tracks: Tracks) -> Windows:
    """Followers of the ships that go furthest, some minutes behind, among all the others."""
    late = tracks.select(tracks.step > np.quantile(tracks.step, LEARN))
    frame: Any = late.to_frame()
    way = frame.groupby("agent")[["x", "y"]].apply(lambda p: p.diff().abs().to_numpy()[1:].sum())
    ships = way.sort_values(ascending=False).index[:FOLLOWED]
    behind = frame[frame["agent"].isin(ships)]
    behind = behind.assign(agent=behind["agent"] + FOLLOWER, frame=behind["frame"] + DELAY)
    both = Tracks.read(
        pd.concat([frame, behind]), scene="scene", kind="kind", seconds_per_frame=60.0,
        max_speed=None,
    )  # fmt: skip
    windows = moving(cut(both, stride=STRIDE, max_neighbors=N_NEIGHBORS))
    return windows.take(windows.agent >= FOLLOWER)


def one_voyage(followers: Windows, some: Windows, control: Attribution) -> Windows:
    """All that is known of the follower to which neighbours bring most, about that time."""
    best = int(control.scores()["neighbors"].to_numpy(float).argmax())
    near = np.abs(followers.frame - some.frame[best]) <= VOYAGE
    return followers.take(near & (followers.agent == some.agent[best]))


def led(control: Attribution) -> tuple[float, float]:
    """What the ship that is followed brings, and all other neighbours, in metres a target."""
    real = control.local[control.local["game"] == REAL]
    near = real[real["player"] != PAST]
    leads = near["player"] == (near["agent"].astype(int) - FOLLOWER).astype(str)
    leader, rest = (float(near.loc[who, "phi"].sum()) / len(control) for who in (leads, ~leads))
    return leader, rest


# --- the page -------------------------------------------------------------------------------------


def page(found: Found) -> Report:
    """What the three predictors use, and the control."""
    from makedo.report import Report

    ade = dict(zip(found.errors["candidate"], found.errors["mean"], strict=True))
    better = 100 * (1 - ade[SOCIAL] / ade[OWN])
    said = {name: wording.verdict(one) for name, one in found.explained.items()}
    return Report(
        "Trajectory attribution demo: do the ships around tell where a ship will go?",
        verdict(found),
        [
            f"Judged by errors alone, neighbours seem to help: {better:.1f} % less than from the "
            f"own past ({ade[OWN]:.0f} to {ade[SOCIAL]:.0f} m). The map alone does better "
            f"({ade[ON_MAP]:.0f} m); map and neighbours have {ade[MAPPED]:.0f} m. The error (ADE) "
            "is the mean distance from where a ship went, over twelve minutes.",
            f"Without the map: {said[SOCIAL]}",
            f"With the map: {said[MAPPED]}",
            f"Planted followers: {said[CONTROL]}",
        ],
        facts={
            "ships": len(np.unique(found.windows[SOCIAL].agent)),
            "targets explained": sum(map(len, found.explained.values())),
            "predictions": sum(int(one.settings["rows"]) for one in found.explained.values()),
            "ADE from own past, m": ade[OWN],
            "ADE from past and map, m": ade[ON_MAP],
        },
        sections=sections(found),
        command="makedo demo trajectory",
    )


def verdict(found: Found) -> str:
    """The first line, as the figures have it."""
    social, mapped = found.explained[SOCIAL], found.explained[MAPPED]
    brings, still = social.value("neighbors"), mapped.value("neighbors")
    other = social.value("neighbors_other_time")[0]
    leader, rest = led(found.explained[CONTROL])
    said = (
        f"Without the map the ships around lower the mean error by {brings[0]:.0f} m, those of "
        f"another time by {other:.0f} m; with the map by {wording.amount(*still, 'm')}"
    )
    if brings[1] > 0 and still[0] < 0.2 * brings[0]:
        said += ": they gave the place away, and that is not interaction"
    return (
        f"{said}. Where followers are planted, their leaders lower it by {leader:.0f} m and all "
        f"other neighbours by {wording.written(rest, 100)[0]} m."
    )


def sections(found: Found) -> list[Section]:
    """Errors, bars of the three, distance, a ship and a follower from above, one over time."""
    from makedo.report import Section, figures

    social = {name: found.explained[name] for name in (SOCIAL, MAPPED)}
    table = pd.concat([one.summary().assign(predictor=n) for n, one in found.explained.items()])
    shown = {**pictures.TOGETHER, **pictures.BARS}
    wanted: Any = table[table["quantity"].isin(shown)]
    wanted = wanted.assign(quantity=wanted["quantity"].map(shown))
    columns = ["predictor", "quantity", "mean", "low", "high", "n_targets", "n_blocks"]
    return [
        Section(
            "Judged by errors",
            figure=figures.comparison(
                found.errors, label="ADE, m", ours=SOCIAL, reference=OWN, digits=0
            ),
            caption="Mean distance from where ships went over twelve minutes, with 95 % intervals "
            "over blocks of 40 minutes. All are trees with the same settings. 'Ships then': the "
            "same predictor, shown the ships of another time.",
            table=found.errors.drop(columns="group"),
        ),
        Section(
            "What the cues bring",
            figure=pictures.bars(found.explained),
            caption="What each cue takes off the error: mean Shapley values, with 95 % intervals "
            "over blocks.",
        ),
        Section(
            "All neighbours together",
            figure=pictures.bars(social, tuple(pictures.TOGETHER)),
            caption="All neighbours together beside as many random ones, and beside those of "
            "another time, which stood where others stand now but cannot react.",
            table=wanted[columns],
        ),
        Section(
            "Does it matter how near a ship is?",
            figure=pictures.by_distance(found.explained[SOCIAL]),
            caption="Mean value of one neighbour by its distance now, without the map.",
        ),
        *seen_from_above(found),
    ]


def seen_from_above(found: Found) -> list[Section]:
    """A ship to which neighbours bring much, a planted follower, and that one over time."""
    from makedo.methods.trajectory.page import scene_section
    from makedo.report import Section

    shown = {SOCIAL: "A ship and its neighbours", CONTROL: "A planted follower and its leader"}
    made = []
    for name, title in shown.items():
        one, windows = found.explained[name], found.windows[name]
        far = np.linalg.norm(windows.neighbors[:, :, -1] - windows.past[:, None, -1], axis=-1)
        close = np.nanmax(np.where(windows.present, far, np.nan), axis=1) < CLOSE
        values = np.where(close, one.scores()["neighbors"].to_numpy(float), -np.inf)
        best = int(values.argmax())
        made.append(scene_section(found.attributors[name], windows, one, best, title, CHOSEN))
    who = found.course.targets.iloc[0]
    made.append(
        Section(
            "The follower over time",
            figure=pictures.over_time(found.course, who["scene"], who["agent"]),
            caption="Values of the follower's own past and of its neighbours, minute by minute.",
        )
    )
    return made
