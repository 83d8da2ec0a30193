"""Cold Brew for numbers: scale, unlabelled rows, baselines, persistence, what it must not do."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import r2_score

import makedo
from makedo import ColdBrewRegressor
from makedo.core.checks import MakedoInputError
from makedo.data.graph import Graph

SMALL = {"hidden": 8, "student_hidden": 16, "n_neighbors": 4, "batch_size": 64, "device": "cpu"}


def smooth_problem(n=300, noise=1.0, random_state=0):
    """Numbers that neighbours share; features say them with noise."""
    rng = np.random.default_rng(random_state)
    z = rng.normal(size=n)
    X = np.column_stack([z + noise * rng.normal(size=n) for _ in range(3)] + [rng.normal(size=n)])
    pairs = rng.integers(n, size=(2, 12 * n))
    near = np.abs(z[pairs[0]] - z[pairs[1]]) < 0.3
    pairs = np.unique(np.sort(pairs[:, near], axis=0), axis=1)
    return X.astype(np.float32), 100 + 20 * z, Graph.from_edges(pairs, n_nodes=n)


@pytest.fixture(scope="module")
def problem():
    return smooth_problem()


@pytest.fixture(scope="module")
def model(problem):
    X, y, graph = problem
    return ColdBrewRegressor(**SMALL, max_epochs=60, student_max_epochs=30).fit(X, y, graph=graph)


def test_a_weighted_score_is_scikit_learn_s(model, problem):
    X, y, _ = problem
    X, y = X[:40] * 1.01, y[:40].copy()
    weight = np.random.default_rng(0).uniform(0, 3, 40)
    said = model.predict(X)
    assert model.score(X, y) == pytest.approx(r2_score(y, said))
    assert model.score(X, y, weight) == pytest.approx(r2_score(y, said, sample_weight=weight))
    assert abs(model.score(X, y, weight) - model.score(X, y)) > 1e-3
    twice = np.r_[0:40, 0:10]  # a weight of 2 is a row that is there twice
    doubled = model.score(X, y, 1 + (np.arange(40) < 10))
    assert doubled == pytest.approx(model.score(X[twice], y[twice]))
    y[5:15] = np.nan  # rows without a label do not count, whatever their weight
    known = ~np.isnan(y)
    wanted = r2_score(y[known], said[known], sample_weight=weight[known])
    assert model.score(X, y, weight) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.ones(3), "must be 4 numbers, one a row"),
        ([1, 1, 1, -1], "0 or more"),
        ([1, 1, 1, np.nan], "0 or more"),
        (np.zeros(4), "more than 0 for a row with a label"),
        (["a"] * 4, "must be numbers"),
        ([0, 0, 2, 0], "all rows of weight have the value"),
    ],
)
def test_weights_that_are_none_are_refused(model, problem, weight, words):
    X, y, _ = problem
    with pytest.raises(MakedoInputError, match=words):
        model.score(X[:4], y[:4], weight)


def test_predictions_are_in_the_unit_of_the_labels(model, problem):
    X, y, _ = problem
    new, truth, _ = smooth_problem(random_state=1)
    predicted = model.predict(new)
    assert predicted.shape == (300,) and abs(predicted.mean() - 100) < 10
    assert model.score(new, truth) > 0.4  # the mean predictor has 0
    assert np.isfinite(model.predict(nodes=np.arange(300))).all()


def test_a_shift_and_a_factor_of_the_labels_pass_through(problem):
    X, y, graph = problem
    fast = {**SMALL, "max_epochs": 10, "student_max_epochs": 5}
    one = ColdBrewRegressor(**fast).fit(X, y, graph=graph)
    two = ColdBrewRegressor(**fast).fit(X, 1000 * y - 7, graph=graph)
    np.testing.assert_allclose(two.predict(X), 1000 * one.predict(X) - 7, rtol=1e-3)


def test_the_score_is_r_squared_on_labelled_rows(model, problem):
    X, y, _ = problem
    with_gaps = y.copy()
    with_gaps[::3] = np.nan
    kept = ~np.isnan(with_gaps)
    error = (model.predict(X)[kept] - y[kept]) ** 2
    by_hand = 1 - error.sum() / ((y[kept] - y[kept].mean()) ** 2).sum()
    assert model.score(X, with_gaps) == pytest.approx(by_hand)
    table = model.evaluate(X, with_gaps)
    routed = table[table["candidate"] == "Cold Brew"]["mean"].iloc[0]
    assert routed == pytest.approx(by_hand)


def test_minus_one_is_a_number_and_nan_is_unlabelled(problem):
    X, y, graph = problem
    values = np.where(np.arange(300) % 2, -1.0, 1.0)
    values[:50] = np.nan
    model = ColdBrewRegressor(**SMALL, max_epochs=2, student_max_epochs=2)
    model.fit(X, values, graph=graph)
    assert len(model.train_) + len(model.valid_) == 250
    assert min(model.train_.min(), model.valid_.min()) >= 50


def test_linked_nodes_are_better_served_than_by_features_alone():
    X, y, graph = smooth_problem(noise=3.0)
    labels = np.where(np.arange(300) < 200, y, np.nan)
    model = ColdBrewRegressor(**SMALL, max_epochs=150, student_max_epochs=30)
    model.fit(X, labels, graph=graph)
    test = np.arange(200, 300)
    with_edges = model.predict(nodes=test)
    r2 = 1 - ((with_edges - y[test]) ** 2).mean() / y[test].var()
    assert r2 > model.score(X[test], y[test]) + 0.1


def test_a_directory_brings_back_the_same_numbers(model, problem, tmp_path):
    model.save(tmp_path / "model")
    again = makedo.load(tmp_path / "model")
    assert type(again) is ColdBrewRegressor
    np.testing.assert_array_equal(again.predict(problem[0]), model.predict(problem[0]))
    table = again.explain(problem[0][:3])
    assert {"value", "route", "neighbor_1", "weight_1"} <= set(table.columns)


def test_the_report_compares_with_a_mean_and_a_ridge(model, problem):
    new, truth, _ = smooth_problem(random_state=2)
    report = model.report(new, truth, budget=1)
    names = set(next(iter(report.tables.values()))["candidate"])
    assert {"mean", "ridge", "feature neighbours", "Cold Brew"} <= names
    assert "R²" in report.verdict
    assert "Cold Brew" in model.report().verdict


def test_diagnose_measures_r_squared(problem):
    X, y, graph = problem
    found = ColdBrewRegressor(**SMALL, max_epochs=20, student_max_epochs=10).diagnose(
        X, y, graph=graph
    )
    assert found.verdict in ("applies", "may help", "does not apply")
    assert "R²" in found.unit and "with edges: graph network, R²" in found.figures


@pytest.mark.parametrize(
    "change",
    [
        {"student_inputs": "neighbors"},
        {"part1_nodes": "labelled"},
        {"skip": "residual", "skip_weight": 0.5},
        {"norm": "batch", "graph_dropout": "node"},
        {"look_up": "approximate"},
        {"structural": None, "structural_penalty": 1.0},
        {"bank": "output", "similarity": "dot", "temperature": 1.0, "distill": 0.0},
        {"cold_part": "teacher", "degree_threshold": 3, "patience": 2, "student_patience": 1},
        {"dropout": 0.1, "student_dropout": 0.1, "weight_decay": 0.0, "n_layers": 3},
        {"learning_rate": 0.02, "student_learning_rate": 0.01, "validation_fraction": 0.4},
        {"normalize": "none", "verbose": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_setting_works_for_numbers(change, problem):
    X, y, graph = problem
    model = ColdBrewRegressor(**{**SMALL, "max_epochs": 4, "student_max_epochs": 2} | change)
    assert np.isfinite(model.fit(X, y, graph=graph).predict(X)).all()


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.full(300, np.nan), "no row has a label"),
        (np.full(300, 2.5), "all 300 labels are 2.5"),
        (np.where(np.arange(300) == 7, np.inf, np.arange(300.0)), "1 label of 300 are infinite"),
        (["high"] + ["1"] * 299, "not numbers"),
        (np.arange(299.0), "299 labels"),
    ],
)
def test_labels_that_are_no_numbers_are_refused(y, words, problem):
    X, _, graph = problem
    with pytest.raises(MakedoInputError, match=words):
        ColdBrewRegressor(**SMALL).fit(X, y, graph=graph)


def test_the_same_seed_gives_the_same_numbers(problem):
    X, y, graph = problem
    fast = {**SMALL, "max_epochs": 5, "student_max_epochs": 3}
    one, two, three = (
        ColdBrewRegressor(**fast, random_state=seed).fit(X, y, graph=graph).predict(X)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(one, two) and not np.array_equal(one, three)


def test_labels_to_compare_with_that_are_all_equal_are_refused_with_the_reason(model, problem):
    X, _, _ = problem
    for call in (model.score, model.evaluate, model.report):
        with pytest.raises(MakedoInputError, match=r"R² needs labels that differ.*value 7"):
            call(X[:4], np.full(4, 7.0))
    with pytest.raises(MakedoInputError, match="no row has a label"):
        model.score(X[:4], np.full(4, np.nan))


def test_labels_whose_squares_overflow_are_refused(problem):
    X, y, graph = problem
    with pytest.raises(MakedoInputError, match="largest label is .*e\\+202"):
        ColdBrewRegressor(**SMALL).fit(X, 1e200 * y, graph=graph)


@pytest.mark.parametrize("n_valid", [0, 1])
def test_without_numbers_to_validate_on_there_still_is_a_report(problem, n_valid):
    X, y, graph = problem
    train = np.arange(300) < 100
    valid = (np.arange(300) >= 100) & (np.arange(300) < 100 + n_valid)
    model = ColdBrewRegressor(**SMALL, max_epochs=2, student_max_epochs=2)
    model.fit(X, y, graph=graph, train_mask=train, valid_mask=valid)
    assert np.isnan(list(model.part_scores_.values())).all()
    assert "R²" in model.report(X[200:], y[200:], budget=1).verdict


@pytest.mark.parametrize("name", ["y_mean_", "y_scale_"])
@pytest.mark.parametrize("value", ["x", [], [1.0], True, {"$float": "nan"}, {"$float": "inf"}])
def test_a_scale_that_is_no_number_is_refused(model, tmp_path, name, value):
    refuse_edited(model, tmp_path, name, value)


@pytest.mark.parametrize("value", [0, -1.0])
def test_a_scale_that_is_not_positive_is_refused(model, tmp_path, value):
    refuse_edited(model, tmp_path, "y_scale_", value)


def refuse_edited(model, tmp_path, name, value):
    model.save(tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    document = json.loads(path.read_text())
    document["state"][name] = value
    path.write_text(json.dumps(document))
    with pytest.raises(MakedoInputError):
        makedo.load(tmp_path / "model")
