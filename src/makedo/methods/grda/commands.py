"""The verbs of ``makedo grda``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

import makedo
from makedo.core.checks import MakedoInputError, first
from makedo.core.diagnosis import Diagnosis
from makedo.core.verbs import Batches, Fitted, Model, Page, Rows, Settings, Table
from makedo.data.domains import DomainGraph
from makedo.data.table import split_columns

if TYPE_CHECKING:
    from collections.abc import Iterable

HELP = {
    "rows": "table with one row a sample: its domain, features, label",
    "edges": "table with one row a pair of neighbouring domains (columns source and target, else "
    "the first two)",
    "domain": "column that names the domain of each row",
    "sources": "domains whose labels are seen, separated by commas (default: all that have one)",
    "task": "what to learn: a class, or a number",
    "checkpoint": "folder for the state of the training; a killed fit, called again, goes on from "
    "there",
}
Task = Literal["classify", "regress"]
CLASSES = {"classify": "GRDAClassifier", "regress": "GRDARegressor"}


def diagnose(
    *,
    rows: Table,
    edges: Table,
    label: str,
    domain: str,
    task: Task = "classify",
    sources: list[str] | None = None,
    id: str | None = None,
    features: list[str] | None = None,
) -> Diagnosis:
    """Say whether neighbours are alike, and whether adaptation beats the sources alone."""
    X, y, graph = _read(rows, edges, label, domain, id, features)
    model = getattr(makedo, CLASSES[task])()
    named = _named(sources, graph)
    return model.diagnose(X, y, domain=domain, graph=graph, sources=named)


def fit(
    *,
    rows: Table,
    edges: Table,
    label: str,
    domain: str,
    task: Task = "classify",
    sources: list[str] | None = None,
    id: str | None = None,
    features: list[str] | None = None,
    checkpoint: Path | None = None,
    settings: Settings,
) -> Fitted:
    """Learn from rows of all domains and the labels of some, to predict in the others."""
    model: Any = settings.build(getattr(makedo, CLASSES[task]))
    X, y, graph = _read(rows, edges, label, domain, id, features)
    named = _named(sources, graph)
    return model.fit(X, y, domain=domain, graph=graph, sources=named, checkpoint_dir=checkpoint)


def predict(model: Model, *, rows: Batches, id: str | None = None) -> Rows:
    """Predict the class or number of each row, in its domain."""
    start = 0
    for frame in rows:
        ids, _, X = split_columns(frame, id=id, repeats=True, where=rows.name)
        if isinstance(ids, pd.RangeIndex):
            ids = ids + start
        start += len(X)
        answers = model._answers(X, None)
        said = model._said(answers.served)
        said.insert(0, "domain", X[model.domain_column_].to_numpy())
        said.insert(0, "row" if ids.name in (None, "domain") else str(ids.name), ids.to_numpy())
        yield said


def evaluate(model: Model, *, rows: Table, label: str, id: str | None = None) -> Rows:
    """Compare every candidate with labels, by hops to the nearest source."""
    _, y, X = split_columns(rows.frame, id=id, label=label, repeats=True, where=rows.name)
    return model.evaluate(X, y)


def report(
    model: Model,
    *,
    rows: Table | None = None,
    label: str | None = None,
    id: str | None = None,
    show_rows: bool = False,
) -> Page:
    """Did it pay?  On labelled rows; without rows, by the sources that were hidden in fit."""
    if rows is None:
        return model.report(show_rows=show_rows)
    if label is None:
        raise MakedoInputError(f"{rows.name}: --label must name the column to compare with.")
    _, y, X = split_columns(rows.frame, id=id, label=label, repeats=True, where=rows.name)
    return model.report(X, y, show_rows=show_rows)


VERBS = [diagnose, fit, predict, evaluate, report]


# --- files to arguments ---------------------------------------------------------------------------


def _read(
    rows: Table,
    edges: Table,
    label: str,
    domain: str,
    id: str | None,
    features: list[str] | None,
) -> tuple[pd.DataFrame, Any, DomainGraph]:
    """Rows with their column of domains, labels, and the graph."""
    frame = rows.frame
    if domain not in frame:
        raise MakedoInputError(
            f"{rows.name}: no column {domain!r} for --domain. There are {first(frame.columns, 20)}."
        )
    if features is not None:
        features = [*(name for name in features if name != domain), domain]
    _, y, X = split_columns(
        frame, id=id, label=label, features=features, repeats=True, where=rows.name
    )
    if X.shape[1] < 2:
        raise MakedoInputError(
            f"{rows.name}: no column is left to learn from besides id, label and domain."
        )
    return X, y, DomainGraph.from_edges(edges.frame, where=edges.name)


def _named(sources: Iterable[str] | None, graph: DomainGraph) -> list[Any] | None:
    """Names as the graph has them, of text from the command line."""
    if sources is None:
        return None
    known = {str(name): name for name in graph.names.tolist()}
    return [known.get(name, name) for name in sources]
