"""The report of an explanation: what the predictor uses, against neighbours that cannot matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from makedo.core.checks import count
from makedo.methods.trajectory import pictures, wording
from makedo.methods.trajectory.attribution import Attribution
from makedo.methods.trajectory.judging import WITH, WITHOUT, Judged, judged

if TYPE_CHECKING:
    from makedo.data.windows import Windows
    from makedo.methods.trajectory.estimator import TrajectoryAttributor
    from makedo.report import Report, Section

TITLE = "Which cue does the predictor use?"
MOST_SCENES = 30  # listed one by one
SHOWN = 2  # targets drawn with show_rows


def report(model: TrajectoryAttributor, X: Any = None, *, show_rows: bool = False) -> Report:
    """See :meth:`TrajectoryAttributor.report`."""
    from makedo.report import Report

    if X is None:
        return Report(
            TITLE,
            "The attributor is fitted; whether the predictor uses neighbours was not asked yet, as "
            "that needs tracks to explain.",
            ["Give tracks that the fit did not see (`--tracks` on the command line)."],
            sections=[stored_section(model)],
        )
    windows = None if isinstance(X, Attribution) else model._seen(X)
    explained = X if windows is None else model.explain(windows)
    sections = explained_sections(explained)
    facts = {
        "targets": len(explained),
        "neighbours a target": float(explained.targets["n_neighbors"].mean()),
        "predictions": int(explained.settings.get("rows", 0)),
        "seconds": float(explained.settings.get("seconds", np.nan)),
    }
    if windows is not None:
        sections.append(errors_section(judged(model, windows)))
        if show_rows:
            sections += scene_sections(model, windows, explained)
    verdict = wording.verdict(explained)
    return Report(TITLE, verdict, explained.sentences(), facts, sections)


def explained_sections(explained: Attribution) -> list[Section]:
    """Everything that the explanation alone has."""
    sections = [cues_section(explained), headline_section(explained)]
    if explained.targets["n_neighbors"].any():
        sections += [social_section(explained), distance_section(explained)]
        sections += kind_sections(explained)
    if 1 < explained.targets["scene"].nunique() <= MOST_SCENES:
        sections.append(scenes_section(explained))
    return sections


def cues_section(explained: Attribution) -> Section:
    """Past, neighbours and controls on one scale."""
    from makedo.report import Section

    table: Any = explained.summary()
    table["what it is"] = table["quantity"].map(explained.meanings)
    how = " Each of these takes the seat of a real one while the others stay."
    shown = ["what it is", "mean", "low", "high", "unit", "n_targets", "n_blocks"]
    return Section(
        "What each cue brings",
        figure=pictures.bars({str(explained.settings.get("predictor", "")): explained}),
        caption=f"Mean {wording.INDEX_WORDS.get(explained.settings.get('index', ''), 'value')} "
        f"over targets, in {explained.unit} of {wording.metric_name(explained)}, with 95 % "
        "intervals over blocks. Positive: the cue makes the prediction better.",
        table=table[shown].rename(columns={"n_targets": "targets", "n_blocks": "blocks"}),
        note="The largest of several noisy values is above zero even where there is nothing. So "
        "the best neighbour is compared with the best of as many random ones."
        + (how if explained.in_seats else ""),
    )


def headline_section(explained: Attribution) -> Section:
    """Two players: the past, and all neighbours together."""
    from makedo.report import Section

    t = explained.targets
    columns = ("error_none", "error_past", "error_neighbors", "error_all")
    words = ("no cue", "the past", "the neighbours", "both")
    table = pd.DataFrame(
        {"shown to the predictor": words, "mean error": [t[name].mean() for name in columns]}
    )
    together = explained.value("neighbors")
    own = wording.written(t["error_none"].mean() - t["error_all"].mean() - together[0])[0]
    return Section(
        "Two players: the past, and all neighbours",
        text=f"Of what both bring together the past has {own} {explained.unit} and all "
        f"neighbours {wording.amount(*together, explained.unit)}. Nothing is maximised here, so "
        "these figures have no bias.",
        table=table,
    )


def social_section(explained: Attribution) -> Section:
    """Only what neighbours bring, where the past would dwarf it."""
    from makedo.report import Section

    return Section(
        "All neighbours together",
        figure=pictures.bars({"without the past": explained}, pictures.SOCIAL),
        caption="The same without the past, on a scale of its own.",
    )


def distance_section(explained: Attribution) -> Section:
    """Values by distance."""
    from makedo.report import Section

    table = explained.by_distance()
    return Section(
        "Does it matter how near a neighbour is?",
        figure=pictures.by_distance(explained),
        caption="Mean value of one neighbour by its distance now, with 95 % intervals: real ones, "
        "and those that stand in for them.",
        table=table.rename(columns={"game": "neighbours", "n_values": "values"}),
    )


def kind_sections(explained: Attribution) -> list[Section]:
    """Values by kind of agent, where there are several."""
    from makedo.report import Section, figures

    table = explained.by_kind()
    if len(table) < 2:
        return []
    shown = table.rename(columns={"kind": "candidate"}).assign(group="neighbours by kind")
    return [
        Section(
            "Who brings most?",
            figure=figures.comparison(shown, label=f"mean value of one, {explained.unit}"),
            caption="Mean value of one neighbour by its kind, with 95 % intervals.",
            table=table,
        )
    ]


def scenes_section(explained: Attribution) -> Section:
    """Past, corrected interaction and random neighbour, scene by scene."""
    from makedo.report import Section

    table = explained.summary(by="scene")
    kept = table[table["quantity"].isin(["past", "interaction", "corrected", "random"])]
    wide = kept.pivot(index="scene", columns="quantity", values=["mean", "low", "high"])
    names = [
        q for q in ("past", "interaction", "corrected", "random") if q in set(kept["quantity"])
    ]
    found = pd.DataFrame(
        {
            f"{name}, {part}" if part != "mean" else name: wide[part, name]
            for name in names
            for part in (("mean", "low", "high") if name == "corrected" else ("mean",))
        }
    )
    sizes = explained.targets.groupby("scene").size()
    found.insert(0, "targets", sizes.reindex(found.index))
    return Section("Scene by scene", table=found, table_caption=f"Means, {explained.unit}.")


def errors_section(found: Judged) -> Section:
    """The predictor with and without neighbours, beside simpler ones."""
    from makedo.report import Section, figures

    table = found.table()
    ade = table[table["metric"] == "ade"].assign(group="best guess")
    gain = wording.amount(*found.gain(WITH, WITHOUT), "m")
    return Section(
        "With and without neighbours, beside simpler predictors",
        text=f"Showing the neighbours lowers the ADE by {gain}, paired by target.",
        figure=figures.comparison(ade, label="ADE of the best guess, m", ours=WITH),
        caption="Mean distance from what came, over all steps, with 95 % intervals over blocks.",
        table=table.pivot(index="candidate", columns="metric", values="mean").reindex(
            index=list(found.errors), columns=list(dict.fromkeys(table["metric"]))
        ),
        table_caption="Means; metres, of miss a share, of nll nats.",
    )


def scene_sections(
    model: TrajectoryAttributor, windows: Windows, explained: Attribution
) -> list[Section]:
    """Targets whose best neighbour brings most, drawn; and one of them over time."""
    from makedo.report import Section

    scores = explained.scores()
    order = np.argsort(-scores["interaction"].to_numpy(float), kind="stable")
    sections, seen = [], set()
    for row in order.tolist():
        who = (windows.scene[row], windows.agent[row])
        if who in seen or not windows.present[row].any():
            continue
        seen.add(who)
        sections.append(scene_section(model, windows, explained, row))
        if len(sections) == SHOWN:
            break
    if sections:
        agent, scene = windows.agent[order[0]], windows.scene[order[0]]
        sections.append(
            Section(
                f"Agent {agent} of {scene} over time",
                figure=pictures.over_time(explained, scene, agent),
                caption=f"Values of the cues of agent {agent} in {scene}, each frame a target.",
            )
        )
    return sections


def scene_section(
    model: TrajectoryAttributor,
    windows: Windows,
    explained: Attribution,
    row: int,
    title: str = "",
    why: str = "Chosen because its best neighbour brings most.",
) -> Section:
    """One target from above."""
    from makedo.report import Section

    one = windows.take([row])
    samples = model.predict(one, n_samples=model.n_samples)
    samples = samples[0] if samples.ndim == 4 else samples
    scene = f" of {windows.scene[row]}" if len(set(windows.scene)) > 1 else ""
    who = f"Agent {windows.agent[row]}{scene} at frame {windows.frame[row]:g}"
    far = float(np.abs(windows.past[row] - windows.past[row, -1]).max())
    return Section(
        title or who,
        figure=pictures.scene(windows, row, explained, samples, 1000.0 if far > 300 else 1.0),
        caption=f"{who}: its own past in blue, as wide as its value; an "
        "arrow from each neighbour, green where it makes the prediction better and vermilion where "
        f"worse. {why}",
    )


def stored_section(model: TrajectoryAttributor) -> Section:
    """What the fit did."""
    from makedo.report import Section

    return Section(
        "What was fitted",
        text=f"{count(len(model.donors_), 'random neighbour')} of the fit are kept to compare "
        "with.",
        table=model.history_,
    )
