"""The verbs of ``makedo diva``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

import makedo
from makedo.core.checks import MakedoInputError, count, first
from makedo.core.diagnosis import Diagnosis
from makedo.core.progress import logger
from makedo.core.verbs import Batches, Fitted, Model, Page, Rows, Settings, Table
from makedo.data.table import split_columns

HELP = {
    "rows": "table with one row a sample: features and label",
    "label": "column of labels; several columns of 0 and 1 are several labels a row",
    "group": "column that names copies, patients or users: rows of one group are left out together",
    "weight": "column of weights of the rows (default: 1)",
    "validation": "table of trusted rows; then values are for the loss on them",
    "pool": "table of rows that could be added",
    "test": "table of labelled rows that took no part in anything, to measure on",
    "exact": "also what removing each row would do to the loss, exactly; takes longer",
    "outputs": "also what is predicted without the row for every class",
    "probabilities": "table of out-of-sample probabilities of a model of your own, a column a "
    "class, instead of features",
    "cleanlab": "name the columns as cleanlab does",
    "images": "column of rows with pictures (paths, or bytes), shown with --show-rows",
}


def diagnose(
    *,
    rows: Table,
    label: list[str],
    id: str | None = None,
    features: list[str] | None = None,
    group: str | None = None,
    weight: str | None = None,
    validation: Table | None = None,
    settings: Settings,
) -> Diagnosis:
    """Measure which score to trust, and whether acting on it would help, in about a minute."""
    model = settings.build(makedo.DatasetDerivative)
    given = _Reader(label, id, features, group, weight)
    return model.diagnose(*given.labelled(rows), **given.beside(rows, validation))


def fit(
    *,
    rows: Table,
    label: list[str],
    id: str | None = None,
    features: list[str] | None = None,
    group: str | None = None,
    weight: str | None = None,
    validation: Table | None = None,
    settings: Settings,
) -> Fitted:
    """Fit the linear head and value every row; the model predicts, and scores other rows."""
    model = settings.build(makedo.DatasetDerivative)
    given = _Reader(label, id, features, group, weight)
    return model.fit(*given.labelled(rows), **given.beside(rows, validation))


def predict(model: Model, *, rows: Batches, id: str | None = None) -> Rows:
    """Predict the label of each row."""
    _require_head(model, "predict")
    for frame in rows:
        ids, _, X = split_columns(frame, id=id, repeats=id is None, where=rows.name)
        said = np.asarray(model.predict(X))
        names = ["prediction"]
        if said.ndim == 2:
            names = [f"prediction {name}" for name in model.output_names_]
        columns = said.reshape(len(X), len(names))
        yield _with_ids(pd.DataFrame(columns, index=ids, columns=names))


def score(
    *,
    rows: Table,
    label: list[str],
    id: str | None = None,
    features: list[str] | None = None,
    group: str | None = None,
    weight: str | None = None,
    validation: Table | None = None,
    exact: bool = False,
    outputs: bool = False,
    settings: Settings,
) -> Rows:
    """Value every row: derivative, leverage, what is predicted without it, and the margin.

    A negative derivative means that the row helps: with more weight on it, the loss on the others
    (or on --validation) falls.  A margin below 0 means that another label is predicted without it.
    """
    from makedo.methods.diva.listing import listing, outputs_table

    model = settings.build(makedo.DatasetDerivative)
    given = _Reader(label, id, features, group, weight)
    model.fit(*given.labelled(rows), **given.beside(rows, validation))
    table = listing(model)
    if exact:
        table.insert(1, "removal", model.effect("remove"))
    return _with_ids(pd.concat([table, outputs_table(model)], axis=1) if outputs else table)


def issues(
    *,
    rows: Table,
    label: list[str],
    id: str | None = None,
    features: list[str] | None = None,
    group: str | None = None,
    probabilities: Table | None = None,
    cleanlab: bool = False,
    settings: Settings,
) -> Rows:
    """Rank the labels by how likely they are wrong, and mark as many as seem so.

    Nothing is deleted: look at the rows, then decide.
    """
    finder = settings.build(makedo.LabelIssueFinder)
    given = _Reader(label, id, features, group)
    X, y = given.labelled(rows)
    if probabilities is None:
        source: dict[str, Any] = {"X": X}
    else:
        source = {"pred_probs": _aligned(probabilities, id, y.index, rows.name)}
    finder.fit(y=y, groups=given.groups(rows), **source)
    logger.info("%s", finder.verdict_)
    return _with_ids(finder.to_cleanlab() if cleanlab else finder.issues_)


def reweight(
    *,
    rows: Table,
    label: list[str],
    id: str | None = None,
    features: list[str] | None = None,
    group: str | None = None,
    weight: str | None = None,
    validation: Table | None = None,
    settings: Settings,
) -> Rows:
    """Weigh the rows by a few steps down the derivative; weights stay 1 if that shows no gain."""
    model = settings.build(makedo.DivaReweighter)
    given = _Reader(label, id, features, group, weight)
    model.fit(*given.labelled(rows), **given.beside(rows, validation))
    logger.info("%s", model.verdict_)
    return _with_ids(pd.DataFrame({"weight": model.sample_weight_}, index=model.ids_))


def extend(
    *,
    rows: Table,
    pool: Table,
    label: list[str],
    id: str | None = None,
    features: list[str] | None = None,
    validation: Table | None = None,
    settings: Settings,
) -> Rows:
    """Choose rows of a pool to add, in rounds, until none would help or the budget is spent.

    A pool without the label column is taken as unlabelled: then the choice is what to label.  The
    budget, the batch and quotas of classes are given with --set.
    """
    selector = settings.build(makedo.DivaSelector)
    given = _Reader(label, id, features)
    beside = given.beside(rows, validation)
    trusted = {name: beside[name] for name in ("X_val", "y_val") if name in beside}
    selector.fit(*given.labelled(rows), **trusted)
    labelled = set(given.label) <= set(pool.frame.columns)
    X_pool, y_pool = given.labelled(pool) if labelled else (given.unlabelled(pool), None)
    found = selector.select(X_pool, y_pool)
    why = {"budget": "the budget is spent", "no_gain": "no further row would help"}
    why |= {"quota": "no class has room left", "pool": "the pool is empty"}
    n_chosen, n_pool = count(len(found)), count(len(X_pool), "row")
    logger.info("%s of %s chosen: %s.", n_chosen, n_pool, why[selector.stopped_])
    return _with_ids(found)


def evaluate(model: Model, *, rows: Table, label: list[str], id: str | None = None) -> Rows:
    """Compare predictions with labels, beside a constant answer."""
    _require_head(model, "evaluate")
    return model.evaluate(*_Reader(label, id, list(model.feature_names_in_)).labelled(rows))


def report(
    model: Model,
    *,
    rows: Table | None = None,
    label: list[str] | None = None,
    id: str | None = None,
    group: str | None = None,
    validation: Table | None = None,
    test: Table | None = None,
    pool: Table | None = None,
    images: str | None = None,
    show_rows: bool = False,
) -> Page:
    """Which score to trust, and would acting on it help?

    With --rows, the table that the model learnt from, both are measured: on parts of it, on
    --validation, or on --test.  With --pool too: does adding rows of it by DIVA pay over adding
    them at random?  Without --rows the page shows what the fit stored.
    """
    from makedo.methods.diva.extension import extension_curve
    from makedo.methods.diva.page import report
    from makedo.methods.diva.remembering import with_rows

    _require_head(model, "report")
    if label is None and (rows is not None or test is not None):
        raise MakedoInputError("--label must name the column of labels of the rows.")
    if rows is None:
        beside = {"validation": validation, "images": images, "group": group, "pool": pool}
        for option, value in beside.items():
            if value is not None:
                raise MakedoInputError(f"--{option} needs --rows, the table that fit learnt from.")
    given = _Reader(label or [], id, list(model.feature_names_in_), group, other=[images])
    shown = pictures = None
    if rows is not None:
        shown, y = given.labelled(rows)
        beside = given.beside(rows, validation)
        del beside["sample_weight"]  # the model has them
        model = with_rows(model, shown, y, where=rows.name, **beside)
        if images is not None:
            pictures = _column(rows, images, "images").set_axis(shown.index)
    X, y = (None, None) if test is None else given.labelled(test)
    curve = None if pool is None else extension_curve(model, *given.labelled(pool))
    return report(model, X, y, show_rows=show_rows, rows=shown, images=pictures, curve=curve)


VERBS = [diagnose, fit, predict, score, issues, reweight, extend, evaluate, report]


# --- files to arguments ---------------------------------------------------------------------------


def _require_head(model: Any, verb: str) -> None:
    """Of the classes that can be saved, one has these verbs."""
    if not isinstance(model, makedo.DatasetDerivative):
        raise MakedoInputError(
            f"{verb} needs the model directory of makedo diva fit, a DatasetDerivative; this one "
            f"holds a {type(model).__name__}. Load it in Python with makedo.load."
        )


class _Reader:
    """What the columns of the user's tables are."""

    def __init__(
        self,
        label: Iterable[str],
        id: str | None = None,
        features: list[str] | None = None,
        group: str | None = None,
        weight: str | None = None,
        other: Iterable[str | None] = (),
    ):
        self.label = [label] if isinstance(label, str) else list(label)
        self._id, self._features, self._group, self._weight = id, features, group, weight
        self._other = [name for name in other if name is not None]

    def labelled(self, table: Table) -> tuple[pd.DataFrame, Any]:
        """Features and labels, both with the ids as index."""
        sides = [name for name in (self._group, self._weight) if name is not None]
        roles = [*self.label, *sides, *self._other]
        if twice := [name for name in roles if name in (self._features or ())]:
            raise MakedoInputError(f"--features: {first(twice)} cannot be a feature too.")
        ids, _, X = split_columns(
            table.frame,
            id=self._id,
            features=self._features,
            other=roles,
            repeats=self._id is None,
            where=table.name,
        )
        if not X.shape[1]:
            raise MakedoInputError(
                f"{table.name}: no column is left to learn from besides id and label."
            )
        y = pd.concat([_column(table, name, "label") for name in self.label], axis=1)
        y = y.set_axis(ids, axis=0)
        return X, y if y.shape[1] > 1 else y[self.label[0]]

    def unlabelled(self, table: Table) -> pd.DataFrame:
        """Features, with the ids as index."""
        return split_columns(
            table.frame,
            id=self._id,
            features=self._features,
            repeats=self._id is None,
            where=table.name,
        )[2]

    def groups(self, table: Table) -> pd.Series | None:
        """The group of each row."""
        return None if self._group is None else _column(table, self._group, "group")

    def beside(self, rows: Table, validation: Table | None) -> dict[str, Any]:
        """What else ``fit`` takes."""
        weights = None if self._weight is None else _numbers(rows, self._weight, "weight")
        given = {"groups": self.groups(rows), "sample_weight": weights}
        if validation is None:
            return given
        X_val, y_val = _Reader(
            self.label, self._id, self._features, other=[self._group, self._weight, *self._other]
        ).labelled(validation)
        return given | {"X_val": X_val, "y_val": y_val}


def _column(table: Table, name: str, option: str) -> pd.Series:
    if name not in table.frame:
        known = first(table.frame.columns, 20)
        raise MakedoInputError(
            f"{table.name}: no column {name!r} for --{option}. There are {known}."
        )
    return pd.Series(table.frame[name])


def _numbers(table: Table, name: str, option: str) -> np.ndarray:
    values = _column(table, name, option)
    found: Any = pd.to_numeric(values, errors="coerce")
    numbers: np.ndarray = found.to_numpy(dtype=float, na_value=np.nan)
    if bad := int(np.isnan(numbers).sum()):
        raise MakedoInputError(
            f"{table.name}: column {name!r} for --{option} has {count(bad, 'value')} that "
            f"{'is' if bad == 1 else 'are'} missing or no number (first: row "
            f"{int(np.isnan(numbers).argmax()):,})."
        )
    return numbers


def _aligned(table: Table, id: str | None, ids: pd.Index, where: str) -> pd.DataFrame:
    """Rows of another table in the order of ``ids``: by id if both have ids, else by position."""
    theirs, _, frame = split_columns(table.frame, id=id, where=table.name)
    numbered = isinstance(theirs, pd.RangeIndex) or isinstance(ids, pd.RangeIndex)
    if not numbered and ids.has_duplicates:
        twice = ids[ids.duplicated()].unique()
        raise MakedoInputError(
            f"{where}: {count(len(twice), 'id')} on more than one row (first: {first(twice)}), so "
            f"rows of {table.name} cannot be joined to them. Give every row an id of its own."
        )
    if not numbered and len(lacking := ids.difference(theirs)):
        raise MakedoInputError(
            f"{table.name}: {count(len(lacking), 'id')} of {where} missing (first: "
            f"{first(lacking)}). Give a row for each."
        )
    frame = frame if numbered else frame.loc[ids]
    if len(frame) != len(ids):
        raise MakedoInputError(
            f"{table.name} has {count(len(frame), 'row')}, {where} has {count(len(ids))}. Give one "
            "for each, in the same order."
        )
    return frame.set_axis(ids, axis=0)


def _with_ids(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its ids as a named index, so that they are written; row numbers are "row"."""
    names = ["row" if name is None or name in table.columns else name for name in table.index.names]
    return table.rename_axis(names)
