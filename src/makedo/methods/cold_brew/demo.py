"""The demo: to which chapter belongs a diagnosis code that nothing links to yet?

ICD-10-CM is a graph of 12,014 diagnosis codes (parents and cross references); every code has a
short text, 22 chapters are the classes.  5 % of the codes are labelled.  A tenth of all codes is
new: they are taken out of the graph, and the model sees only their text.  Then the same with cross
references alone, where the graph adds little.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from makedo.core.progress import logger
from makedo.core.workers import shared_out
from makedo.data import catalog
from makedo.methods.cold_brew.classifier import ColdBrewClassifier

if TYPE_CHECKING:
    from makedo.core.diagnosis import Diagnosis
    from makedo.data.catalog import GraphData
    from makedo.report import Report

LABELLED, NEW = 0.05, 0.1  # shares of all codes
GRAPHS: dict[str, dict[str, Any]] = {"all edges": {}, "cross references": {"edges": "references"}}


class Found(NamedTuple):
    """What there is to say of one graph."""

    diagnosis: Diagnosis
    report: Report
    alone: float  # share of the codes that have no edge


def run(out: Path, quiet: bool = False) -> Path:
    """Fit, compare and report on the ICD-10-CM code graph; return the report's path."""
    from makedo.report import Section

    out.mkdir(parents=True, exist_ok=True)
    (diagnosis, report, _), (other_diagnosis, other_report, alone) = on_all_graphs(out, quiet)
    scores, differences = (other_report.sections[i] for i in (0, 1))

    report.title = (
        "Cold Brew demo: which chapter does a diagnosis code belong to that nothing links to yet?"
    )
    report.command = "makedo demo cold-brew"
    report.summary = [
        "ICD-10-CM has 22 chapters. We kept the chapter of 5 % of the codes, took a tenth of all "
        "codes out of the graph, and asked for their chapter by their text alone, as for a code "
        "that is proposed today.",
        *report.summary,
    ]
    report.sections[:0] = [
        diagnosis_section("What diagnose says before anything is fitted", diagnosis)
    ]
    report.sections += [
        Section(
            "The same codes, cross references only",
            text="Parents always stay inside a chapter, which makes the graph above an easy "
            f"teacher. With cross references alone {100 * alone:.0f} % of the codes have no edge "
            f"at all.\n\nVerdict there: {other_report.verdict}",
            figure=scores.figure,
            caption=scores.caption,
            table=scores.table,
            table_caption=scores.table_caption,
        ),
        Section(
            "Does it pay with cross references only?",
            figure=differences.figure,
            caption=differences.caption,
        ),
        diagnosis_section("What diagnose says with cross references only", other_diagnosis),
    ]
    report.to_html(out / "cold-brew.html")
    return out / "cold-brew.html"


def on_all_graphs(out: Path, quiet: bool) -> list[Found]:
    """One graph after the other; at the same time, with a thread each, where there are two cores.

    Two threads on these small networks wait for one another more than they help.
    """
    if (os.cpu_count() or 1) == 1:
        return [on_graph(name, out, quiet) for name in GRAPHS]
    names, work = functools.partial(list, GRAPHS), functools.partial(aside, out=out, quiet=quiet)
    found = dict(shared_out(names, work, range(len(GRAPHS)), len(GRAPHS)))
    return [found[place] for place in range(len(GRAPHS))]


def aside(name: str, out: Path, quiet: bool) -> Found:
    """As :func:`on_graph`, in a process of its own, which has to be told where to speak."""
    logging.basicConfig(format=f"{name}: %(message)s")
    logger.setLevel(logging.INFO)
    return on_graph(name, out, quiet)


def on_graph(name: str, out: Path, quiet: bool) -> Found:
    """Diagnose, fit and report on one graph; the first one's model and predictions are kept."""
    codes = catalog.load("icd10cm", **GRAPHS[name])
    X, y, new = problem(codes)
    say = (lambda *_: None) if quiet else logger.info
    n_labelled, n_new = int(y.notna().sum()), int(new.sum())
    say("%r; %d labelled, %d new codes", codes.graph, n_labelled, n_new)
    diagnosis = diagnose(codes, X, y, new, say)
    started = time.perf_counter()
    model = fit(codes, X, y, new)
    say("fit: %.0f s; now the new codes, and the baselines", time.perf_counter() - started)
    truth = pd.Series(codes.y, index=X.index).map(
        lambda c: codes.classes[c] if codes.classes else c
    )
    if name == next(iter(GRAPHS)):
        explained = model.explain(X[new])
        explained.insert(0, "text", X["text"][new])
        explained.insert(1, "chapter", truth[new])
        explained.to_csv(out / "predictions.csv", index_label="code")
        model.save(out / "model")
    model.verbose = 0 if quiet else 1  # to name each baseline
    report = model.report(X[new], truth[new])
    return Found(diagnosis, report, float((codes.graph.degree == 0).mean()))


def problem(codes: GraphData, random_state: int = 0) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """The codes' texts, the labels that are known, and which codes are new."""
    assert codes.texts is not None and codes.classes is not None
    rng = np.random.default_rng(random_state)
    order = rng.permutation(len(codes.y))
    n_new, n_labelled = round(NEW * len(order)), round(LABELLED * len(order))
    X = pd.DataFrame({"text": codes.texts})
    new = pd.Series(False, index=X.index)
    new.iloc[order[:n_new]] = True
    y = pd.Series(None, index=X.index, dtype=object)
    known = order[n_new : n_new + n_labelled]
    y.iloc[known] = [codes.classes[c] for c in codes.y[known]]
    return X, y, new


def fit(codes: GraphData, X: pd.DataFrame, y: pd.Series, new: pd.Series) -> ColdBrewClassifier:
    """Learn on the codes that are not new; joined by code, the graph loses the new ones too."""
    return ColdBrewClassifier().fit(X[~new], y[~new], graph=codes.graph)


def diagnose(
    codes: GraphData, X: pd.DataFrame, y: pd.Series, new: pd.Series, say: Any
) -> Diagnosis:
    """What can be known before fitting, from the labelled codes alone."""
    started = time.perf_counter()
    found = ColdBrewClassifier().diagnose(X[~new], y[~new], graph=codes.graph)
    say("diagnose: %s. %s (%.0f s)", found.verdict, found.advice, time.perf_counter() - started)
    return found


def diagnosis_section(title: str, diagnosis: Diagnosis) -> Any:
    """A diagnosis as a section of the report."""
    from makedo.report import Section

    text = f"{diagnosis.verdict.capitalize()}. {diagnosis.advice}"
    if diagnosis.expected_gain is not None:
        text += f" Expected gain: {diagnosis.gain_in_words}."
    figures = list(diagnosis.shown_figures().items())
    return Section(title, text=text, table=pd.DataFrame(figures, columns=["figure", "value"]))
