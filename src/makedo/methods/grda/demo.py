"""The demo: which county-years have a high crime rate, where only the west of the state has labels?

90 counties of North Carolina, 1981 to 1987; the graph is who borders on whom.  First the labels of
the 21 western counties, far from most others; then a control, the labels of the 34 central ones,
from which a source-only model is about as good as it can be: there is nothing to gain.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from makedo.core.progress import logger
from makedo.data import catalog
from makedo.methods.grda.classifier import GRDAClassifier

if TYPE_CHECKING:
    from makedo.core.diagnosis import Diagnosis
    from makedo.data.domain_sets import DomainData
    from makedo.report import Report, Section

WHERE, CONTROL = "west", "central"


def run(out: Path, quiet: bool = False) -> Path:
    """Fit, compare and report on the counties; return the report's path."""
    out.mkdir(parents=True, exist_ok=True)
    say = (lambda *_: None) if quiet else logger.info
    counties = catalog.load("nc_crime")
    say("North Carolina: %r, labels in the %s", counties, WHERE)
    diagnosis = diagnose(counties, WHERE)
    say("diagnose: %s. %s", diagnosis.verdict, diagnosis.advice)
    model, report = solve(counties, WHERE, quiet)
    model.save(out / "model")
    said = pd.DataFrame({"county": counties.domain, "year": counties.more["year"]})
    said["prediction"] = model.predict(frame_of(counties))
    said["truth"] = counties.y
    said.to_csv(out / "predictions.csv", index=False)
    say("The same with labels in the %s, where nothing can be gained", CONTROL)
    control, other = solve(counties, CONTROL, quiet)

    report.title = "GRDA demo: where is the crime rate high, if only the west is labelled?"
    report.command = "makedo demo grda"
    report.summary = [
        "Each row is a county and a year; the label says whether its crime rate is above the "
        "median. Labels of the 21 western counties are known, those of the 69 others are kept to "
        "judge by. They chose nothing.",
        *report.summary,
    ]
    report.sections[:0] = [diagnosis_section(diagnosis)]
    report.sections.append(control_section(control, other))
    report.to_html(out / "grda.html")
    return out / "grda.html"


def frame_of(counties: DomainData) -> pd.DataFrame:
    """Covariates and the county of each row."""
    return counties.X.assign(county=counties.domain)


def solve(counties: DomainData, where: str, quiet: bool) -> tuple[GRDAClassifier, Report]:
    """A model of the labels of one region, and its report on all others."""
    X, sources = frame_of(counties), counties.tasks[where]
    model = GRDAClassifier(hidden=32, max_epochs=200, verbose=0 if quiet else 1)
    model.fit(X, counties.y, domain="county", graph=counties.graph, sources=sources)
    return model, model.report(X, counties.y)


def diagnose(counties: DomainData, where: str) -> Diagnosis:
    """What can be known without a label outside the region."""
    return GRDAClassifier(hidden=32).diagnose(
        frame_of(counties),
        counties.y,
        domain="county",
        graph=counties.graph,
        sources=counties.tasks[where],
    )


def diagnosis_section(diagnosis: Diagnosis) -> Section:
    """A diagnosis as a section of the report."""
    from makedo.report import Section

    text = f"{diagnosis.verdict.capitalize()}. {diagnosis.advice}"
    if diagnosis.expected_gain is not None:
        text += f" Expected gain: {diagnosis.gain_in_words}."
    figures: list[Any] = list(diagnosis.shown_figures().items())
    table = pd.DataFrame(figures, columns=["figure", "value"])
    return Section("What diagnose says before anything is fitted", text=text, table=table)


def control_section(model: GRDAClassifier, report: Report) -> Section:
    """The control, as one section."""
    from makedo.report import Section

    scores = report.sections[0]
    return Section(
        "A control: labels in the centre, where nothing can be gained",
        text=f"Verdict there: {report.verdict} Served is {model.served_}.",
        figure=scores.figure,
        caption=scores.caption,
        table=scores.table,
        table_caption=scores.table_caption,
    )
