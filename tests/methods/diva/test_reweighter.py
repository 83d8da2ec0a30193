"""Weights by steps down the derivative: the step, the judge, the contract of scikit-learn."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize
from sklearn.base import is_classifier, is_regressor
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

import makedo
from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.methods.diva.estimator import DatasetDerivative
from makedo.methods.diva.held_out import errors, gain_of
from makedo.methods.diva.reweighter import DivaReweighter
from makedo.methods.diva.weights import Problem, descend, nearest_with_sum, splits

OUR_SENTENCE = "the error says the same in our own words"
EXPECTED = {
    "check_estimators_empty_data_messages": OUR_SENTENCE,
    "check_fit2d_1sample": OUR_SENTENCE,
    "check_dtype_object": "an object that is no number is a MakedoInputError, so a ValueError",
    "check_classifiers_classes": "-1 means unlabelled where classes are integers",
}
ONE_OR_TWO = (
    "a row of weight 2 is left out as one row, two copies of it one by one; and a row of weight 0 "
    "is predicted all the same"
)
OF_THE_HEAD = {  # a wrapped estimator passes these
    "check_n_features_in_after_fitting": OUR_SENTENCE,
    "check_fit2d_predict1d": OUR_SENTENCE,
    "check_sample_weight_equivalence_on_dense_data": ONE_OR_TWO,
    "check_sample_weight_equivalence_on_sparse_data": ONE_OR_TWO,
}


def expected(estimator):
    return EXPECTED | OF_THE_HEAD if estimator.estimator is None else EXPECTED


@parametrize_with_checks(
    [DivaReweighter(n_folds=2), DivaReweighter(Ridge(), n_folds=2)],
    expected_failed_checks=expected,
)
@pytest.mark.filterwarnings("ignore")  # the checks test warnings by themselves
def test_it_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@parametrize_with_checks(
    [
        DivaReweighter(targets="values", n_folds=2),
        DivaReweighter(LogisticRegression(), n_folds=2),
    ],
    expected_failed_checks=expected,
)
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_it_keeps_the_contract_in_its_other_forms(estimator, check):
    check(estimator)


def test_it_is_what_its_estimator_is():
    assert is_classifier(DivaReweighter()) and is_classifier(DivaReweighter(RidgeClassifier()))
    assert is_regressor(DivaReweighter(targets="values")) and is_regressor(DivaReweighter(Ridge()))


# --- data ----------------------------------------------------------------------------------------


def two_sources(n=400, n_bad=100, seed=0):
    """Rows of which the first mean something else by their label."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    y = (X[:, 0] > 0).astype(int)
    y[:n_bad] = X[:n_bad, 1] > 0
    return X, y


def blobs(n=120, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return rng.normal(size=(n, 5)) + 1.5 * np.eye(3, 5)[y], y


# --- one step ------------------------------------------------------------------------------------


def test_the_nearest_weights_of_a_sum_are_those_of_a_solver():
    rng = np.random.default_rng(0)
    for total in (0.5, 3.0, 6.0):
        v = rng.normal(size=6)
        found = nearest_with_sum(v, total)
        solved = minimize(
            lambda w, v=v: ((w - v) ** 2).sum(),
            np.full(6, total / 6),
            bounds=[(0, None)] * 6,
            constraints={"type": "eq", "fun": lambda w, total=total: w.sum() - total},
            options={"ftol": 1e-14},
        )
        np.testing.assert_allclose(found, solved.x, atol=1e-5)
        assert found.min() >= 0 and found.sum() == pytest.approx(total)


def test_a_step_keeps_the_sum_of_each_block_and_lowers_what_harms():
    rng = np.random.default_rng(0)
    alpha, gradient = rng.random(40) + 0.5, rng.normal(size=40)
    gradient[3] = 50.0
    blocks = [np.arange(25), np.arange(25, 40)]
    new = descend(alpha, gradient, 0.5, blocks)
    assert new[3] == 0 and new.min() >= 0
    for block in blocks:
        assert new[block].sum() == pytest.approx(alpha[block].sum())
    free = descend(alpha, gradient, 0.1, [])
    expected = alpha - 0.1 * alpha.mean() * gradient / np.abs(gradient).mean()
    np.testing.assert_allclose(free, np.maximum(expected, 0))


def test_a_step_is_that_far_for_a_sample_of_mean_derivative():
    gradient = np.tile([1.0, -1.0], 20)
    for scale in (1.0, 1e-6):  # the size of the gradient does not matter, the start does
        np.testing.assert_allclose(
            descend(np.full(40, 2.0), scale * gradient, 0.1, [np.arange(40)]),
            2.0 - 0.2 * gradient,
        )
    flat = descend(np.ones(4), np.full(4, 3.0), 0.1, [np.arange(4)])
    np.testing.assert_array_equal(flat, np.ones(4))  # moving along the weights is no move


def test_one_step_goes_down_the_dataset_derivative():
    X, y = blobs()
    settings = {"outer_loss": "mae", "outer_temperature": 3.0, "scale": "standardize"}
    model = DivaReweighter(n_steps=1, step=1e-3, fit_intercept=True, **settings).fit(X, y)
    before = DatasetDerivative(**settings).fit(X, y)
    g = before.gradient_ - before.gradient_.mean()
    np.testing.assert_allclose(model.sample_weight_, 1 - 1e-3 * g / np.abs(g).mean())
    after = DatasetDerivative(penalty=before.penalty_, **settings).fit(
        X, y, sample_weight=model.sample_weight_
    )
    expected = g @ (model.sample_weight_ - 1)
    assert after.loss_ - before.loss_ == pytest.approx(expected, rel=0.02) and expected < 0


def test_the_penalty_is_chosen_anew_for_the_weights_unless_it_is_given():
    X, y = two_sources()
    model = DivaReweighter(n_steps=3, step=0.5).fit(X, y)
    expected = DatasetDerivative().fit(X, y, sample_weight=model.sample_weight_).penalty_
    assert model.penalty_ == expected == model.history_["penalty"].iloc[-1]
    assert (DivaReweighter(n_steps=2, penalty=3.0).fit(X, y).history_["penalty"] == 3.0).all()


@pytest.mark.parametrize("normalize", ["mean", "class", None])
def test_the_sum_that_is_kept(normalize):
    X, y = two_sources()
    model = DivaReweighter(n_steps=2, step=0.5, normalize=normalize).fit(X, y)
    weights = model.sample_weight_
    assert (abs(weights.sum() - 400) < 1e-6) == (normalize is not None)
    assert (abs(weights[y == 0].sum() - (y == 0).sum()) < 1e-6) == (normalize == "class")


# --- the judge -----------------------------------------------------------------------------------


def test_a_source_that_harms_loses_weight_and_the_judge_sees_the_gain():
    X, y = two_sources()
    test_X, test_y = two_sources(2000, 0, seed=1)
    model = DivaReweighter(step=0.3).fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    uniform = DivaReweighter(n_steps=0).fit(X[:300], y[:300])
    assert model.kept_ and model.n_steps_ >= 1 and "New weights are used" in model.verdict_
    assert model.sample_weight_[:100].mean() < 0.9 < model.sample_weight_[100:].mean()
    assert model.score(test_X, test_y) > uniform.score(test_X, test_y)
    assert list(model.history_["step"]) == [0, 1, 2, 3]
    held_out = model.history_["held_out"]
    assert held_out[model.n_steps_] < held_out[0]


def test_without_a_gain_nothing_is_done():
    kept = []
    for seed in range(10):  # labels of noise: there is nothing to gain
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(100, 4)), np.arange(100) % 2
        model = DivaReweighter(random_state=seed).fit(X, y)
        kept.append(model.kept_)
        if not model.kept_:
            np.testing.assert_array_equal(model.sample_weight_, np.ones(100))
            plain = DatasetDerivative().fit(X, y)
            np.testing.assert_allclose(model.coef_, plain.coef_)
            assert "The weights stay as they were" in model.verdict_
    assert np.mean(kept) <= 0.2  # 95 % intervals


def test_what_judges_took_no_part_in_the_gradient():
    X, y = blobs(60)
    groups = np.arange(60) // 2
    alpha = np.ones(60)
    validation = (X[:20], y[:20])
    for problem, n in (
        (Problem(X, y, alpha), 60),
        (Problem(X, y, alpha, groups), 60),
        (Problem(X, y, alpha, None, validation), 20),
    ):
        seen = []
        for part, rows, held in splits(problem, 5, np.random.default_rng(0)):
            seen.append(held)
            if problem.validation is not None:
                assert len(rows) == 60
                rest = np.setdiff1d(np.arange(20), held)
                np.testing.assert_array_equal(part.validation[0], X[rest])
                np.testing.assert_array_equal(part.validation[1], y[rest])
                continue
            assert not set(rows) & set(held) and len(part.y) == len(rows)
            if problem.groups is not None:
                assert not set(groups[rows]) & set(groups[held])
            else:
                assert np.bincount(y[held]).tolist() == [4, 4, 4]  # the share of each class
        assert sorted(np.concatenate(seen)) == list(range(n))


def test_the_held_out_error_is_that_of_the_loop_by_hand():
    X, y = two_sources(90, 20)
    model = DivaReweighter(n_folds=3, random_state=4).fit(X, y)
    from makedo.core.seeds import generator

    problem = Problem(X, y, np.ones(90))
    loss = np.zeros((2, 90))
    for _, rows, held in splits(problem, 3, generator(4, "folds")):
        for steps in (0, 1):
            one = DivaReweighter(n_steps=steps).fit(X[rows], y[rows])
            loss[steps, held] = one.predict(X[held]) != y[held]
    np.testing.assert_allclose(model.history_["held_out"][:2], loss.mean(1))


def test_the_held_out_error_of_an_estimator_and_of_numbers_is_that_of_the_loop_by_hand():
    from makedo.core.seeds import generator

    X, _ = two_sources(60)
    y = X[:, 0] + np.random.default_rng(0).normal(size=60)
    for estimator in (None, Ridge()):
        settings = {"targets": "values", "estimator": estimator}
        model = DivaReweighter(n_folds=3, **settings).fit(X, y)
        error = np.zeros(60)
        for _, rows, held in splits(Problem(X, y[:, None], np.ones(60)), 3, generator(0, "folds")):
            one = DivaReweighter(n_steps=1, **settings).fit(X[rows], y[rows])
            error[held] = (one.predict(X[held]) - y[held]) ** 2
        assert model.history_["held_out"][1] == pytest.approx(error.mean())


def test_errors_of_several_labels_are_the_share_that_is_wrong():
    said, truth = np.array([[1, 0, 1], [0, 0, 1]]), np.array([[1, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(errors(said, truth, "multilabel"), [2 / 3, 0])
    np.testing.assert_allclose(errors(["a", "b"], ["a", "a"], "classes"), [0, 1])


def test_samples_of_a_group_count_once():
    """Ten copies of each sample are not ten times as sure."""
    draws = np.random.default_rng(0).random((2, 30)) < [[0.5], [0.3]]
    alone = gain_of(draws.astype(float), 1, None)
    copies = gain_of(np.repeat(draws.astype(float), 10, axis=1), 1, np.repeat(np.arange(30), 10))
    assert copies.n == alone.n == 30 and copies.gain == pytest.approx(alone.gain)
    assert copies.interval == pytest.approx(alone.interval, rel=0.1)


def test_too_few_samples_are_not_judged():
    X, y = blobs(9)
    model = DivaReweighter(n_folds=12).fit(X, y)
    assert not model.kept_ and "too few" in model.verdict_
    assert model.history_["held_out"].isna().all()


def test_rows_of_weight_zero_do_not_judge():
    X, y = blobs(60)
    noisy = np.concatenate([y, (y[:20] + 1) % 3])
    weights = np.r_[np.ones(60), np.zeros(20)]
    both = np.concatenate([X, X[:20]])
    model = DivaReweighter(penalty=5.0, n_folds=4).fit(both, noisy, sample_weight=weights)
    clean = DivaReweighter(penalty=5.0, n_folds=4).fit(X, y)
    # they are missed nearly always, so that a quarter of such rows would raise the error by 0.15
    assert model.history_["held_out"][0] == pytest.approx(clean.history_["held_out"][0], abs=0.06)


# --- a wrapped estimator -------------------------------------------------------------------------


def test_a_wrapped_estimator_is_trained_with_the_weights():
    X, y = two_sources()
    model = DivaReweighter(LogisticRegression(), n_steps=2, step=0.5).fit(X, y)
    alone = LogisticRegression().fit(X, y, sample_weight=model.sample_weight_)
    np.testing.assert_array_equal(model.predict_proba(X), alone.predict_proba(X))
    np.testing.assert_array_equal(model.decision_function(X), alone.decision_function(X))
    assert not hasattr(DivaReweighter(), "predict_proba")
    found = DivaReweighter(LogisticRegression(), step=0.3).fit(
        X[:300], y[:300], X_val=X[300:], y_val=y[300:]
    )
    assert found.history_["held_out"].between(0, 1).all()


def test_grid_search_over_the_step_works():
    X, y = blobs()
    grid = {"step": [0.05, 0.2], "n_steps": [1, "auto"]}
    search = GridSearchCV(DivaReweighter(n_folds=2), grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_score_ > 0.5


# --- kinds of labels, containers -----------------------------------------------------------------


def test_numbers_several_labels_and_soft_labels():
    X, y = blobs()
    numbers = X @ np.arange(5.0)
    model = DivaReweighter(targets="values", n_steps=1).fit(X, np.stack([numbers, -numbers], 1))
    assert model.predict(X).shape == (120, 2) and model.score(X, model.predict(X)) == 1
    labels = np.stack([y == 0, y > 0, y == 2], 1).astype(int)
    model = DivaReweighter(targets="multilabel").fit(X, labels)
    assert set(np.unique(model.predict(X))) == {0, 1} and model.kind_ == "multilabel"
    model = DivaReweighter(targets="soft").fit(X, np.eye(3)[y])
    assert (model.predict(X).argmax(1) == y).mean() > 0.6


def test_tables_ids_and_a_saved_model(tmp_path):
    X, y = blobs()
    frame = pd.DataFrame(X, columns=list("abcde"), index=[f"p{i}" for i in range(120)])
    frame["kind"] = np.where(y == 1, "x", "z")
    model = DivaReweighter().fit(frame, np.array(["u", "v", "w"])[y])
    assert list(model.ids_) == list(frame.index)
    model.save(tmp_path / "model")
    loaded = makedo.load(tmp_path / "model")
    assert (loaded.predict(frame) == model.predict(frame)).all()
    np.testing.assert_array_equal(loaded.sample_weight_, model.sample_weight_)
    assert DivaReweighter(LogisticRegression(), n_steps=1).fit(X, y).sample_weight_.shape == (120,)


def test_sparse_rows_say_the_same():
    X, y = blobs()
    dense, sparse = DivaReweighter().fit(X, y), DivaReweighter().fit(sp.csr_matrix(X), y)
    np.testing.assert_allclose(dense.coef_, sparse.coef_, atol=1e-10)
    np.testing.assert_allclose(
        dense.decision_function(X), sparse.decision_function(sp.coo_matrix(X)), atol=1e-10
    )


def test_a_class_of_one_sample_is_called_by_its_name():
    X, y = blobs()
    names = np.array(["u", "v", "w"], dtype=object)[y]
    names[3] = "odd"
    with pytest.warns(MakedoWarning, match=r"1 class with one sample \(first: 'odd'\)"):
        DivaReweighter(n_steps=1).fit(X, names)


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "fit", "match"),
    [
        ({"estimator": KNeighborsClassifier()}, {}, "takes no sample_weight"),
        ({"n_steps": -1}, {}, "parameter n_steps"),
        ({"step": 0}, {}, "parameter step"),
        ({"normalize": "sum"}, {}, "parameter normalize"),
        ({"n_folds": 1}, {}, "parameter n_folds"),
        ({"normalize": "class", "targets": "values"}, {}, "needs classes"),
        ({}, {"sample_weight": np.zeros(120)}, "all sample weights are zero"),
        ({}, {"sample_weight": np.ones(7)}, "sample_weight has shape"),
        ({}, {"sample_weight": ["heavy"] * 120}, "sample_weight holds values that are not numbers"),
        ({}, {"X_val": np.ones((2, 5)), "y_val": [0, 9]}, "not in training"),
        ({}, {"X_val": np.ones((2, 5))}, "X_val without y_val"),
        ({}, {"y_val": [0, 1]}, "y_val without X_val"),
        ({}, {"groups": [None, *range(119)]}, "1 row without a group .first: row 0"),
        ({}, {"groups": "patient"}, "groups must hold one name a row. Got str"),
        ({}, {"groups": np.arange(7)}, "groups names 7 groups, X has 120 rows"),
        ({"estimator": "ridge"}, {}, "parameter estimator must be one of None or an estimator"),
        ({"estimator": Ridge}, {}, "parameter estimator must be one of None or an estimator"),
        ({}, {"y": np.linspace(0, 1, 120)}, "continuous. Pass targets=.values."),
        ({}, {"y": np.arange(120)}, "120 different whole numbers"),
        (
            {},
            {"y": np.eye(2)[np.arange(120) % 2]},
            "y holds soft labels. Say so, by targets=",
        ),
        ({}, {"y": None}, "y is None"),
    ],
)
def test_what_cannot_be_done_is_refused(settings, fit, match):
    X, y = blobs()
    with pytest.raises(MakedoInputError, match=match):
        DivaReweighter(**settings).fit(X, **({"y": y} | fit))
