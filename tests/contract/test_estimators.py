"""What every room's main estimator promises, checked on the room's own small problem."""

from __future__ import annotations

import copy
import inspect
import pickle
import random
import signal
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

import makedo
from makedo.core.checks import InterruptedWarning, MakedoInputError
from makedo.core.diagnosis import VERDICTS
from makedo.methods import ROOMS

# --- helpers -------------------------------------------------------------------------------------

OUTPUTS = ("predict_proba", "decision_function", "transform", "predict")


def outputs(model, X):
    """Everything that the model says of rows, the finest first."""
    return {name: np.asarray(getattr(model, name)(X)) for name in OUTPUTS if hasattr(model, name)}


def predictions(model, X):
    """What even a model that was stopped early must be able to say."""
    names = [name for name in ("predict", "predict_proba") if hasattr(model, name)]
    return {name: np.asarray(getattr(model, name)(X)) for name in names}


def equal(a, b):
    return a.keys() == b.keys() and all(
        a[k].dtype.kind == b[k].dtype.kind and np.array_equal(a[k], b[k]) for k in a
    )


def takes(estimator, name):
    return name in inspect.signature(estimator.fit).parameters


def needs(estimator, name):
    if not takes(estimator, name):
        pytest.skip(f"{type(estimator).__name__}.fit takes no {name}")


def has(estimator, name):
    if not hasattr(estimator, name):
        pytest.skip(f"{type(estimator).__name__} has no {name} yet")


def matrix(example):
    """The X of the small problem as an array of numbers, where it is one."""
    X = example.fit["X"]
    if not (isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind == "f"):
        pytest.skip("X of this room is not a matrix of numbers")
    return X


def labels(example):
    y = example.fit.get("y")
    if y is None:
        pytest.skip("this room learns without y")
    return np.asarray(y)


def refused(call, match="."):
    """The sentence of the error with which a call must be refused."""
    with warnings.catch_warnings(), pytest.raises(MakedoInputError, match=match) as caught:
        warnings.simplefilter("ignore")
        call()
    message = str(caught.value)
    assert message.rstrip().endswith((".", ")", "!")) and len(message) > 20, message
    return message


# --- the record ----------------------------------------------------------------------------------


def test_a_record_of_rooms_is_complete_and_its_classes_are_public(room):
    record = ROOMS[room]
    keys = {"title", "classes", "trouble", "gives", "gets", "files", "extra", "paper"}
    assert record.keys() == keys and all(isinstance(text, str) for text in record.values())
    assert all(record[key] for key in keys - {"extra", "files"})
    for name in record["classes"].split():
        assert getattr(makedo, name).__name__ == name and name in dir(makedo)


def test_the_small_problem_is_of_the_first_class_and_the_same_each_time(room, example):
    assert type(example.estimator).__name__ == ROOMS[room]["classes"].split()[0]
    assert isinstance(example.estimator, BaseEstimator) and example.estimator.room == room
    assert not [name for name in vars(example.estimator) if name.endswith("_")]
    assert len(example.new) >= 5


# --- construction --------------------------------------------------------------------------------


def test_the_constructor_stores_its_arguments_and_does_nothing(example):
    cls = type(example.estimator)
    parameters = inspect.signature(cls.__init__).parameters
    marks = {name: object() for name in list(parameters)[1:]}  # nothing could be done with these
    estimator = cls(**marks)
    assert vars(estimator) == marks
    assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters.values())
    assert {"random_state", "device", "verbose"} <= marks.keys() or not takes(estimator, "on_step")


def test_parameters_round_trip_through_get_set_clone_and_repr(example):
    estimator = example.estimator
    parameters = estimator.get_params()
    assert clone(estimator).get_params() == parameters
    assert type(estimator)().set_params(**parameters).get_params() == parameters
    shown = repr(estimator)
    assert shown.startswith(type(estimator).__name__ + "(")
    rebuilt = (
        eval(shown, {type(estimator).__name__: type(estimator)})
        if "..." not in shown
        else estimator
    )
    assert rebuilt.get_params() == parameters


def test_a_parameter_of_another_kind_is_refused_by_fit_by_name(example):
    estimator = example.estimator
    assert type(estimator)._constraints, "no parameter is checked"
    for name in type(estimator)._constraints:
        bad = clone(estimator).set_params(**{name: (object,)})
        message = refused(lambda bad=bad: bad.fit(**example.fit), f"parameter {name} must be ")
        assert message.startswith(type(estimator).__name__)


def test_every_parameter_but_the_device_is_checked(example):
    unchecked = example.estimator.get_params().keys() - type(example.estimator)._constraints.keys()
    objects = {n for n in unchecked if callable(example.estimator.get_params()[n])}
    assert unchecked - objects <= {"device"}


# --- fit -----------------------------------------------------------------------------------------


def test_fit_returns_the_estimator_and_does_not_change_its_inputs_or_parameters(example):
    before, parameters = joblib.hash(example.fit), joblib.hash(example.estimator.get_params())
    assert example.estimator.fit(**example.fit) is example.estimator
    assert joblib.hash(example.fit) == before
    assert joblib.hash(example.estimator.get_params()) == parameters


def test_fit_writes_a_history(model):
    needs(model, "on_step")
    assert isinstance(model.history_, pd.DataFrame) and len(model.history_) > 1
    assert {"phase", "epoch"} <= set(model.history_.columns)


def test_prediction_does_not_change_its_input_or_the_model(model, example):
    before, state = joblib.hash(example.new), joblib.hash(model.get_params())
    first = outputs(model, example.new)
    assert equal(first, outputs(model, example.new))
    assert joblib.hash(example.new) == before and joblib.hash(model.get_params()) == state


def test_global_state_of_random_numbers_and_threads_is_left_alone(example):
    def state():
        return (
            torch.get_rng_state().tolist(),
            np.random.get_state()[1].tolist(),
            np.random.get_state()[2],
            random.getstate(),
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            signal.getsignal(signal.SIGINT),
        )

    before = state()
    outputs(example.estimator.fit(**example.fit), example.new)
    assert state() == before


def test_a_random_state_decides_everything_and_another_one_matters(model, example):
    reference = outputs(model, example.new)
    torch.rand(3), np.random.rand(3)  # noqa: NPY002 what others draw has no influence
    again = outputs(clone(example.estimator).fit(**example.fit), example.new)
    assert equal(reference, again)
    if takes(model, "on_step"):
        other = clone(example.estimator).set_params(random_state=1).fit(**example.fit)
        assert not equal(reference, outputs(other, example.new))


def test_a_second_fit_forgets_the_first(model, example):
    estimator = clone(example.estimator).fit(**example.fit)
    estimator.fit(**example.fit)
    assert equal(outputs(model, example.new), outputs(estimator, example.new))
    assert vars(estimator).keys() == vars(model).keys()


def test_the_number_of_threads_changes_results_by_rounding_only(model, example):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(threads, 2))
        other = outputs(clone(example.estimator).fit(**example.fit), example.new)
    finally:
        torch.set_num_threads(threads)
    for name, values in outputs(model, example.new).items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(values, other[name], rtol=1e-2, atol=1e-3)


# --- using and copying ---------------------------------------------------------------------------


def test_use_before_fit_is_refused(example, tmp_path):
    estimator = example.estimator
    for name in (*OUTPUTS, "score", "evaluate"):
        if hasattr(estimator, name):
            more = (labels(example)[:5],) if name in ("score", "evaluate") else ()
            with pytest.raises(NotFittedError):
                getattr(estimator, name)(example.new[:5], *more)
    with pytest.raises(NotFittedError):
        estimator.save(tmp_path / "model")
    if hasattr(estimator, "report"):
        with pytest.raises(NotFittedError):
            estimator.report()


def test_copies_in_memory_say_the_same(model, example):
    reference = outputs(model, example.new)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert equal(reference, outputs(twin, example.new))


def test_the_order_of_rows_does_not_matter_and_one_row_equals_its_batch(model, example):
    order = np.random.default_rng(0).permutation(len(example.new))
    new = example.new
    pick = (lambda rows: new.iloc[rows]) if hasattr(new, "iloc") else (lambda rows: new[rows])
    whole = outputs(model, new)
    shuffled, single = outputs(model, pick(order)), outputs(model, pick(order[:1]))
    for name, values in whole.items():
        if values.dtype.kind != "f":
            assert (values[order] == shuffled[name]).all() and (
                values[order[:1]] == single[name]
            ).all()
        else:
            np.testing.assert_allclose(values[order], shuffled[name], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(values[order[:1]], single[name], rtol=1e-5, atol=1e-6)


def test_no_rows_give_an_empty_answer(model, example):
    for name, values in outputs(model, example.new[:0]).items():
        assert len(values) == 0 and values.shape[1:] == outputs(model, example.new)[name].shape[1:]


CONTAINERS = ["list", "fortran", "float32", "torch", "pandas", "polars"]


def contained(X, kind):
    if kind == "list":
        return X.tolist()
    if kind == "fortran":
        return np.asfortranarray(X)
    if kind == "float32":
        return X.astype(np.float32)
    if kind == "torch":
        return torch.from_numpy(X)
    names = [f"column {i}" for i in range(X.shape[1])]
    if kind == "pandas":
        return pd.DataFrame(X, columns=names)
    return pytest.importorskip("polars").DataFrame(X, schema=names)


@pytest.mark.parametrize("kind", CONTAINERS)
def test_one_answer_whatever_holds_the_rows(kind, model, example):
    X = matrix(example)
    other = clone(example.estimator).fit(**{**example.fit, "X": contained(X, kind)})
    answers = outputs(other, contained(example.new, kind))
    for name, values in outputs(model, example.new).items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(values, answers[name], rtol=1e-5, atol=1e-6)
        else:
            assert (values == answers[name]).all()


def test_ids_of_the_rows_survive(example):
    X = matrix(example)
    ids = pd.Index([f"r{i}" for i in range(len(X))], name="key")
    frame = pd.DataFrame(X, index=ids, columns=[f"c{i}" for i in range(X.shape[1])])
    model = clone(example.estimator).fit(**{**example.fit, "X": frame})
    assert model.n_features_in_ == X.shape[1]
    assert model.feature_names_in_.tolist() == frame.columns.tolist()
    new = pd.DataFrame(
        example.new, columns=frame.columns, index=[f"n{i}" for i in range(len(example.new))]
    )
    reference = outputs(model, new)
    assert equal(
        reference, outputs(model, new[frame.columns[::-1]])
    )  # the order of columns is free
    for name in ("explain", "virtual_neighbors", *OUTPUTS):
        answer = getattr(model, name)(new) if hasattr(model, name) else None
        if isinstance(answer, (pd.DataFrame, pd.Series)):
            assert answer.index.equals(new.index)
    message = refused(lambda: model.predict(new.drop(columns="c1")))
    assert "c1" in message
    refused(lambda: model.predict(new.assign(c1="text")), "c1")


# --- bad input -----------------------------------------------------------------------------------


def test_bad_matrices_are_refused_in_a_sentence(model, example):
    X = matrix(example)
    with_gap, endless = X.copy(), X.copy()
    with_gap[3, 1], endless[2, 0] = np.nan, np.inf

    def fit(X):
        return lambda: clone(example.estimator).fit(**{**example.fit, "X": X})

    assert "Impute" in refused(fit(with_gap), r"1 NaN or infinite value")
    refused(fit(endless), r"1 NaN or infinite value")
    refused(fit(X[:0]), "no rows")
    refused(fit(X[:, 0]), "two dimensions")
    refused(fit(X[None]), "two dimensions")
    refused(fit(np.full(X.shape, "text")), "not numbers")
    refused(fit(X[:, :0]), "column")
    refused(lambda: model.predict(with_gap[:5]), "NaN")
    refused(
        lambda: model.predict(X[:5, :-1]), f"X has {X.shape[1] - 1} columns, fit saw {X.shape[1]}"
    )


def test_bad_labels_are_refused_in_a_sentence(example):
    y = labels(example)

    def fit(y):
        return lambda: clone(example.estimator).fit(**{**example.fit, "y": y})

    refused(fit(y[:-1]), f"{len(y) - 1} labels.* {len(y)} row")
    refused(fit(np.stack([y, y], axis=1)), "one column")
    refused(fit([None] * len(y)), "no row has a label")
    if hasattr(clone(example.estimator).fit(**example.fit), "classes_"):
        refused(fit(["same"] * len(y)), "two (classes )?are needed")
        refused(fit([-1, 1] * (len(y) // 2) + [1] * (len(y) % 2)), "rename it if it is a class")


def test_unlabelled_rows_may_be_spelled_as_nan_none_or_minus_one(model, example):
    y = labels(example)
    if y.dtype.kind != "i" or not (y == -1).any():
        pytest.skip("the small problem has no unlabelled rows among whole numbers")
    spelled = [
        np.where(y == -1, np.nan, y),
        [None if v == -1 else int(v) for v in y],
        pd.Series(y).astype("Int64").mask(y == -1),
        torch.from_numpy(y.copy()),
    ]
    for other in spelled:
        again = clone(example.estimator).fit(**{**example.fit, "y": other})
        assert equal(outputs(model, example.new), outputs(again, example.new))


def test_score_ignores_unlabelled_rows(model, example):
    has(model, "score")
    guess = model.predict(example.new)
    half = np.array([v if i % 2 else None for i, v in enumerate(guess.tolist())], dtype=object)
    assert model.score(example.new, guess) == model.score(example.new, half)
    refused(lambda: model.score(example.new, [None] * len(guess)), "label")


# --- saving --------------------------------------------------------------------------------------

READ = """
import socket, sys

def blocked(*_, **__):
    raise OSError("the network is blocked")

socket.socket.connect = socket.socket.connect_ex = blocked
socket.create_connection = socket.getaddrinfo = blocked
import pickle
pickle.load = pickle.loads = pickle.Unpickler = blocked
import joblib, numpy as np, makedo
import importlib

with open(sys.argv[2], "rb") as file:
    new = np.load(file, allow_pickle=False)
model = makedo.load(sys.argv[1])
cls = type(model)
again = cls.load(sys.argv[1])
answers = {n: np.asarray(getattr(m, n)(new)) for n in sys.argv[4:] for m in (model, again)}
plain = {n: a if a.dtype.kind in "fiub" else a.astype(str) for n, a in answers.items()}
np.savez(sys.argv[3], **plain)
"""


def test_a_model_saved_here_says_the_same_in_another_process_without_a_network(
    model, example, tmp_path
):
    X = example.new
    if not isinstance(X, np.ndarray):
        pytest.skip("new rows of this room are not an array")
    model.save(tmp_path / "model")
    names = {p.name for p in (tmp_path / "model").iterdir()}
    assert names == {"model.json", "weights.safetensors", "tables.parquet", "README.md"}
    np.save(tmp_path / "new.npy", X)
    expected = outputs(model, X)
    run = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            READ,
            *(tmp_path / n for n in ("model", "new.npy", "out.npz")),
            *expected,
        ],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    with np.load(tmp_path / "out.npz") as answers:
        for name, values in expected.items():
            values = values if values.dtype.kind in "fiub" else values.astype(str)
            assert np.array_equal(values, answers[name]), name


def test_a_loaded_model_is_the_saved_one(model, example, tmp_path):
    model.save(tmp_path / "model")
    loaded = makedo.load(tmp_path / "model")
    assert type(loaded) is type(model) and loaded.get_params() == model.get_params()
    assert equal(outputs(model, example.new), outputs(loaded, example.new))
    learnt = {name for name in vars(model) if name.endswith("_")}
    assert learnt == {name for name in vars(loaded) if name.endswith("_")}
    pd.testing.assert_frame_equal(model.history_, loaded.history_)
    loaded.save(tmp_path / "again")
    for name in ("weights.safetensors", "tables.parquet"):
        assert (tmp_path / "model" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert (
        "rows" in (tmp_path / "model" / "README.md").read_text()
        or "hold" in (tmp_path / "model" / "README.md").read_text()
    )


# --- stopping and resuming -----------------------------------------------------------------------


def on_row(number, act):
    """An on_step that acts on its number-th row."""
    seen = []

    def on_step(row):
        seen.append(row)
        return act() if len(seen) == number else None

    return on_step


def test_ctrl_c_at_any_time_leaves_a_usable_model_with_one_warning(model, example, tmp_path):
    needs(model, "on_step")
    n_rows = len(model.history_)
    starts = model.history_.reset_index().groupby("phase", sort=False)["index"].first() + 1
    for number in sorted({1, 2, *starts, n_rows // 2}):
        estimator = clone(example.estimator)
        stop = on_row(number, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.warns(InterruptedWarning, match=f"interrupted after {number} epoch") as caught:
            estimator.fit(**example.fit, on_step=stop)
        assert len(caught) == 1 and len(estimator.history_) == number
        answer = predictions(estimator, example.new)
        assert all(np.isfinite(a).all() for a in answer.values() if a.dtype.kind == "f")
        estimator.save(tmp_path / "model")
        assert equal(answer, predictions(makedo.load(tmp_path / "model"), example.new))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_on_step_sees_the_history_and_can_stop_early(model, example):
    needs(model, "on_step")
    rows = []
    estimator = clone(example.estimator).fit(**example.fit, on_step=rows.append)
    assert (
        pd.DataFrame(rows)
        .drop(columns="seconds")
        .equals(estimator.history_.drop(columns="seconds"))
    )
    assert equal(outputs(model, example.new), outputs(estimator, example.new))
    estimator.fit(**example.fit, on_step=on_row(3, lambda: True))
    assert len(estimator.history_) == 3
    assert len(estimator.predict(example.new)) == len(example.new)


class Killed(Exception):
    """Stands for a process that ends in the middle of fit."""


def test_a_fit_that_is_resumed_equals_an_uninterrupted_one(model, example, tmp_path, monkeypatch):
    needs(model, "checkpoint_dir")
    monkeypatch.setattr("makedo.core.training.CHECKPOINT_SECONDS", -1.0)

    def kill():
        raise Killed

    n_rows = len(model.history_)
    for share in (0.25, 0.5, 0.25, 0.9):
        with pytest.raises(Killed):  # each goes on where the one before was
            left = n_rows if not list(tmp_path.iterdir()) else 4
            clone(example.estimator).fit(
                **example.fit,
                checkpoint_dir=tmp_path,
                on_step=on_row(max(2, int(share * left)), kill),
            )
    resumed = clone(example.estimator).fit(**example.fit, checkpoint_dir=tmp_path)
    assert equal(outputs(model, example.new), outputs(resumed, example.new))
    columns = ["phase", "epoch"]
    assert resumed.history_[columns].equals(model.history_[columns])
    twice = clone(example.estimator).fit(
        **example.fit, checkpoint_dir=tmp_path
    )  # all of it is there
    assert equal(outputs(model, example.new), outputs(twice, example.new))


FIT = """
import importlib, sys
import makedo.core.training

makedo.core.training.CHECKPOINT_SECONDS = -1.0
room, folder, n_rows = sys.argv[1:]
example = importlib.import_module(f"makedo.methods.{room}.example").small_example(0)
seen = []

def on_step(row):
    seen.append(row)
    if len(seen) == int(n_rows):
        print("half", flush=True)
        sys.stdin.read()  # until it is killed

example.estimator.fit(**example.fit, checkpoint_dir=folder, on_step=on_step)
"""


def test_a_process_that_was_killed_in_fit_ends_in_the_same_model_when_run_again(
    room, model, example, tmp_path, monkeypatch
):
    needs(model, "checkpoint_dir")
    n_rows = len(model.history_)
    command = [sys.executable, "-c", FIT, room, tmp_path, str(n_rows // 2)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True) as killed:
        assert killed.stdout.readline() == "half\n", killed.stderr.read()
        killed.kill()  # SIGKILL: no handler, no cleaning up
    monkeypatch.setattr("makedo.core.training.CHECKPOINT_SECONDS", -1.0)
    rows = []  # another process than the one that was killed: this one
    again = clone(example.estimator)
    again.fit(**example.fit, checkpoint_dir=tmp_path, on_step=rows.append)
    assert 0 < len(rows) < n_rows
    assert equal(outputs(model, example.new), outputs(again, example.new))


def test_the_checkpoint_of_another_fit_is_refused(example, tmp_path):
    needs(example.estimator, "checkpoint_dir")
    clone(example.estimator).fit(**example.fit, checkpoint_dir=tmp_path)
    other = clone(example.estimator).set_params(random_state=5)
    refused(lambda: other.fit(**example.fit, checkpoint_dir=tmp_path), "state of another fit")
    y = labels(example)
    changed = {**example.fit, "y": np.roll(y, 1)}
    refused(
        lambda: clone(example.estimator).fit(**changed, checkpoint_dir=tmp_path),
        "state of another fit",
    )


# --- diagnose, evaluate, report ------------------------------------------------------------------


def diagnosed(example, **changes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(example.estimator).diagnose(**{**example.fit, **changes})


def test_diagnose_gives_a_verdict_on_good_data_and_leaves_the_estimator_alone(example):
    has(example.estimator, "diagnose")
    before = joblib.hash(example.fit)
    estimator = clone(example.estimator)
    diagnosis = estimator.diagnose(**example.fit)
    assert diagnosis.verdict in VERDICTS and diagnosis.advice and diagnosis.seconds < 60
    assert diagnosis.figures and diagnosis.verdict.capitalize() in str(diagnosis)
    import json

    json.dumps(diagnosis.to_dict())
    if diagnosis.expected_gain is not None:
        assert diagnosis.unit
        if diagnosis.interval is not None:
            assert diagnosis.interval[0] <= diagnosis.expected_gain <= diagnosis.interval[1]
    assert joblib.hash(example.fit) == before
    assert not [name for name in vars(estimator) if name.endswith("_")]
    assert str(diagnosis.to_dict() | {"seconds": 0}) == str(
        clone(example.estimator).diagnose(**example.fit).to_dict() | {"seconds": 0}
    )


def test_diagnose_does_not_recommend_itself_where_labels_are_noise(example):
    has(example.estimator, "diagnose")
    y = np.random.default_rng(0).permutation(labels(example))
    assert diagnosed(example, y=y).verdict != "applies"


def test_diagnose_of_almost_nothing_cannot_tell(example):
    has(example.estimator, "diagnose")
    y = labels(example)
    missing = np.full(len(y), None, dtype=object)
    known = np.flatnonzero(y != -1)
    few = [known[y[known] == c][0] for c in np.unique(y[known])]
    missing[few] = y[few]
    diagnosis = diagnosed(example, y=missing)
    assert (
        diagnosis.verdict in ("cannot tell", "does not apply") and diagnosis.expected_gain is None
    )


def judged(model, example):
    """What the small problem is evaluated on: its own data for that, or new rows and a guess."""
    return example.judged or {"X": example.new, "y": model.predict(example.new)}


def test_evaluate_gives_a_table_of_the_model_and_simpler_things(model, example):
    has(model, "evaluate")
    table = model.evaluate(**judged(model, example))
    assert isinstance(table, pd.DataFrame) and len(table) > 0
    if not example.judged:
        refused(lambda: model.evaluate(example.new, [None] * len(example.new)), "label")


def reported(model, **data):
    """Its report; where baselines are tuned for it, with one configuration each."""
    few = {"budget": 1} if "budget" in inspect.signature(model.report).parameters else {}
    return model.report(**data, **few)


@pytest.fixture
def reports(room, model, example, cache={}):  # noqa: B006 one report of each kind a session
    has(model, "report")
    if room not in cache:
        shown = reported(model, **judged(model, example))
        cache[room] = {"stored": model.report(), "on data": shown}
    return cache[room]


def test_a_report_has_a_verdict_tables_and_figures(reports):
    for report in reports.values():
        assert report.verdict and report.verdict.rstrip().endswith(".")
        assert report.tables and all(isinstance(t, pd.DataFrame) for t in report.tables.values())
        assert all(hasattr(f, "savefig") for f in report.figures.values())


def test_a_report_is_one_valid_page_without_links_to_anything_outside(reports, tmp_path):
    from html.parser import HTMLParser

    void = {"meta", "link", "br", "hr", "img", "input", "col", "wbr", "source"}

    class Page(HTMLParser):
        def __init__(self):
            super().__init__(convert_charrefs=True)
            self.open, self.tags, self.ids, self.text = [], [], [], []

        def handle_starttag(self, tag, attributes):
            self.tags.append((tag, dict(attributes)))
            self.ids += [value for name, value in attributes if name == "id"]
            if tag not in void:
                self.open.append(tag)

        def handle_startendtag(self, tag, attributes):
            self.tags.append((tag, dict(attributes)))
            self.ids += [value for name, value in attributes if name == "id"]

        def handle_endtag(self, tag):
            assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

        def handle_data(self, data):
            if data.strip() and not {"style", "head", "script"} & set(self.open):
                self.text.append(data.strip())

    for report in reports.values():
        html = report.to_html()
        report.to_html(tmp_path / "report.html")
        assert (tmp_path / "report.html").read_text(encoding="utf-8") == html
        page = Page()
        page.feed(html)
        page.close()
        assert not page.open, f"never closed: {page.open}"
        assert html.lstrip().lower().startswith("<!doctype html>")
        assert len(page.ids) == len(set(page.ids)), "an id twice"
        names = [tag for tag, _ in page.tags]
        assert "script" not in names and "iframe" not in names and "viewport" in html
        for tag, attributes in page.tags:
            for name in ("src", "href", "xlink:href", "action", "data"):
                value = attributes.get(name) or "#"
                assert value.startswith(("#", "data:")), f"<{tag} {name}={value[:60]}>"
        assert "@import" not in html and "url(http" not in html
        assert "prefers-color-scheme" in html and "color-scheme" in html
        first = " ".join(page.text[:4])
        assert report.verdict.split(".")[0][:40] in first, first
        assert report._repr_html_()


def test_a_report_shows_ids_of_rows_only_when_asked(model, example):
    has(model, "report")
    X = matrix(example)
    ids = [f"secret{i}" for i in range(len(X))]
    frame = pd.DataFrame(X, index=ids, columns=[f"c{i}" for i in range(X.shape[1])])
    own = clone(example.estimator).fit(**{**example.fit, "X": frame})
    assert "secret" not in own.report().to_html()
    new = pd.DataFrame(
        example.new, columns=frame.columns, index=[f"secret{i}" for i in range(len(example.new))]
    )
    report = reported(own, X=new, y=own.predict(new))
    assert "secret" not in report.to_html() and "secret" not in str(report.to_dict())
