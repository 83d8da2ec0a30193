from makedo import NearestMean
from makedo.core.verbs import Batches, Diagnosis, Fitted, Model, Page, Rows, Settings, Table
from makedo.data.table import split_columns

HELP = {"rows": "table with one row a sample"}


def diagnose(*, rows: Table, label: str) -> Diagnosis:
    """Say whether the class means tell the classes apart."""
    return NearestMean().diagnose(*_read(rows, label))


def fit(*, rows: Table, label: str, settings: Settings) -> Fitted:
    """Learn one mean per class."""
    return settings.build(NearestMean).fit(*_read(rows, label))


def predict(model: Model, *, rows: Batches) -> Rows:
    """Name the class of each row."""
    for frame in rows:
        yield frame.assign(prediction=model.predict(split_columns(frame)[2]))


def evaluate(model: Model, *, rows: Table, label: str) -> Rows:
    """Count right answers, beside those of always naming the most frequent class."""
    return model.evaluate(*_read(rows, label))


def report(model: Model, *, rows: Table, label: str) -> Page:
    """Did it pay?"""
    return model.report(*_read(rows, label))


def _read(rows, label):
    _, y, X = split_columns(rows.frame, label=label, where=rows.name)
    return X, y


VERBS = [diagnose, fit, predict, evaluate, report]
