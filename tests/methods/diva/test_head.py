"""The head and what is left out of it, beside refits, scikit-learn and invariances."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeClassifier, RidgeCV

from makedo import DatasetDerivative
from makedo.methods.diva.ridge import QuadraticForm, TallFactor, WideFactor, weighted_gram
from makedo.methods.diva.rows import Blocks, Rows, Scaler

CLOSE = {"rtol": 1e-8, "atol": 1e-10}


def rows_of(X, intercept=True, size=None):
    scaler = Scaler(np.zeros(X.shape[1]), np.ones(X.shape[1]))
    return Rows(Blocks(X, "float64", size), scaler, intercept)


# --- one sample or one group is left out (oracles 1 and 9) ---------------------------------------


def test_leave_one_out_predictions_are_those_of_refits(problem):
    model = problem.fit()
    for i in range(len(problem.X)):  # some of weight 0
        np.testing.assert_allclose(
            model.loo_predictions_[i], problem.without([i])[0], rtol=1e-8, atol=1e-8
        )


@pytest.mark.parametrize("scale", ["rms", "standardize"])
def test_scaled_and_centred_features_are_left_out_as_exactly(problem, scale):
    """The centring is learnt once: what is left out leaves it as it is (trap 6)."""
    problem.X = problem.X * np.geomspace(1, 30, problem.X.shape[1]) + 5
    model = problem.fit(scale=scale)
    problem.X = (problem.X - model.mean_) / model.scale_
    assert (abs(problem.X.mean(0)).max() < 1e-9) == problem.intercept
    for i in range(len(problem.X)):
        np.testing.assert_allclose(
            model.loo_predictions_[i], problem.without([i])[0], rtol=1e-8, atol=1e-8
        )


def test_leave_group_out_predictions_are_those_of_refits(problem):
    groups = np.array([0, 0, 0, 1, 1, 2, 3, 3, 2, 4, 4, 4, 5, 5])[: len(problem.X)]
    model = problem.fit(groups=groups)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        np.testing.assert_allclose(
            model.loo_predictions_[rows], problem.without(rows), rtol=1e-8, atol=1e-8
        )


def test_groups_of_one_are_leave_one_out(problem):
    one, groups = problem.fit(), problem.fit(groups=np.arange(len(problem.X))[::-1])
    np.testing.assert_allclose(groups.loo_predictions_, one.loo_predictions_, **CLOSE)
    np.testing.assert_allclose(groups.gradient_, one.gradient_, **CLOSE)
    np.testing.assert_allclose(groups.loss_, one.loss_, **CLOSE)


def test_the_names_of_groups_do_not_matter(make_problem):
    problem = make_problem()
    numbers = np.arange(14) // 3
    names = np.array(["p", "b", "q", "a", "z"])[numbers]
    np.testing.assert_array_equal(
        problem.fit(groups=numbers).gradient_, problem.fit(groups=list(names)).gradient_
    )


# --- weights (oracle 5) ---------------------------------------------------------------------------


def test_two_copies_of_a_sample_are_one_of_double_weight(problem):
    twice = np.append(np.arange(len(problem.X)), 3)
    y = problem.y[twice]
    settings = {"penalty": 0.7, "scale": None, "fit_intercept": problem.intercept}
    valid = {"X_val": problem.X_val, "y_val": problem.y_val}
    weights = np.ones(len(problem.X))
    copies = DatasetDerivative(**settings).fit(problem.X[twice], y, **valid)
    weights[3] = 2
    double = DatasetDerivative(**settings).fit(problem.X, problem.y, sample_weight=weights, **valid)
    np.testing.assert_allclose(copies.coef_, double.coef_, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(copies.intercept_, double.intercept_, rtol=1e-8, atol=1e-9)
    for copy in (3, -1):
        np.testing.assert_allclose(copies.gradient_[copy], double.gradient_[3], rtol=1e-8)


def test_a_balanced_start_gives_every_class_the_same_weight(make_problem):
    problem = make_problem(n=14, n_outputs=3)
    model = problem.fit(class_weight="balanced", sample_weight=None)
    sums = np.bincount(problem.y, weights=model.sample_weight_)
    np.testing.assert_allclose(sums, 14 / 3)
    half = problem.fit(class_weight="balanced", sample_weight=np.full(14, 0.5))
    np.testing.assert_allclose(half.sample_weight_, model.sample_weight_ / 2)


# --- scikit-learn (oracle 7) ----------------------------------------------------------------------


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("shape", [(40, 6), (20, 45)])
def test_leave_one_out_errors_are_those_of_ridge_cv(shape, intercept):
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=shape) + 2, rng.normal(size=(shape[0], 2))
    theirs = RidgeCV(alphas=[0.4], fit_intercept=intercept, store_cv_results=True).fit(X, Y)
    ours = DatasetDerivative(0.4, fit_intercept=intercept, scale=None).fit(X, Y)
    squares = (ours.loo_predictions_ - Y) ** 2
    np.testing.assert_allclose(squares, theirs.cv_results_[..., 0], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("shape", [(40, 6), (20, 45)])
def test_coefficients_are_those_of_ridge_with_weights(shape, intercept):
    rng = np.random.default_rng(2)
    X, Y, alpha = rng.normal(size=shape) + 2, rng.normal(size=(shape[0], 2)), rng.random(shape[0])
    theirs = Ridge(0.4, fit_intercept=intercept).fit(X, Y, sample_weight=alpha)
    ours = DatasetDerivative(0.4, fit_intercept=intercept, scale=None)
    ours.fit(X, Y, sample_weight=alpha)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(ours.decision_function(X), theirs.predict(X), rtol=1e-8, atol=1e-9)


def test_classes_are_those_of_ridge_classifier():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(80, 4)), np.array(["a", "b", "c", "d"])[np.arange(80) % 4]
    X[np.arange(80), np.arange(80) % 4] += 0.7
    theirs = RidgeClassifier(2.0).fit(X, y)
    ours = DatasetDerivative(2.0, scale=None).fit(X, y)
    new = rng.normal(size=(200, 4))
    assert (ours.predict(new) == theirs.predict(new)).all()
    assert ours.score(new, theirs.predict(new)) == 1.0


# --- invariances (oracle 10) ----------------------------------------------------------------------

ANSWERS = ("gradient_", "leverage_", "loo_predictions_")


@pytest.mark.parametrize("valid", [False, True])
def test_the_order_of_the_rows_does_not_matter(problem, valid):
    order = np.random.default_rng(0).permutation(len(problem.X))
    model = problem.fit(valid)
    problem.X, problem.y, problem.alpha = problem.X[order], problem.y[order], problem.alpha[order]
    other = problem.fit(valid)
    for name in ANSWERS:
        np.testing.assert_allclose(getattr(model, name)[order], getattr(other, name), **CLOSE)


@pytest.mark.parametrize("scale", ["rms", None])
def test_a_rotation_of_the_features_changes_nothing(problem, scale):
    rng = np.random.default_rng(0)
    n = problem.X.shape[1]
    turn = np.linalg.qr(rng.normal(size=(n, n)))[0]
    model = problem.fit(scale=scale, penalty="loo")
    problem.X = problem.X @ turn
    other = problem.fit(scale=scale, penalty="loo")
    np.testing.assert_allclose(model.penalty_, other.penalty_)
    for name in ANSWERS:
        np.testing.assert_allclose(getattr(model, name), getattr(other, name), rtol=1e-8, atol=1e-9)


def test_a_rotation_does_matter_where_columns_are_standardised(make_problem):
    problem = make_problem()
    problem.X = problem.X * [1, 10, 1, 1, 5]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    model = problem.fit(scale="standardize")
    problem.X = problem.X @ turn
    assert not np.allclose(model.gradient_, problem.fit(scale="standardize").gradient_)


@pytest.mark.parametrize("valid", [False, True])
@pytest.mark.parametrize("groups", [None, np.arange(14) // 4])
def test_the_size_of_a_block_does_not_matter(make_problem, valid, groups):
    problem = make_problem()
    models = [
        problem.fit(valid, block_size=size, groups=groups, scale="rms", penalty="loo")
        for size in (1, 3, 5, 14, None)
    ]
    for other in models[1:]:
        for name in (*ANSWERS, "loss_", "penalty_"):
            np.testing.assert_allclose(
                getattr(models[0], name), getattr(other, name), rtol=1e-10, atol=1e-10
            )


@pytest.mark.parametrize("factor", [1.0, 1000.0])
def test_scaling_keeps_the_unit_of_the_features_out_of_the_answer(make_problem, factor):
    problem = make_problem()
    model = problem.fit(scale="rms", penalty="loo")
    problem.X = factor * problem.X + factor
    other = problem.fit(scale="rms", penalty="loo")
    np.testing.assert_allclose(model.gradient_, other.gradient_, rtol=1e-6, atol=1e-9)


# --- parts ----------------------------------------------------------------------------------------


def test_a_weighted_gram_takes_weights_of_either_sign():
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(30, 4))
    for w in (rng.normal(size=30), rng.random(30), -rng.random(30), np.zeros(30), np.ones(30)):
        np.testing.assert_allclose(weighted_gram(Z, w), Z.T @ (w[:, None] * Z), atol=1e-12)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("omega", ["diagonal", "groups"])
def test_the_two_factors_are_one_matrix(intercept, omega):
    rng = np.random.default_rng(0)
    X, A, alpha = rng.normal(size=(12, 7)), rng.normal(size=(12, 2)), rng.random(12)
    alpha[3] = 0
    rows = rows_of(X, intercept)
    Z = next(iter(rows))[1]
    P = 0.3 * np.eye(rows.width)
    P[7:] = 0
    C = np.linalg.inv(Z.T @ (alpha[:, None] * Z) + P)
    blocks = rng.normal(size=(3, 4, 4))
    blocks = blocks + blocks.transpose(0, 2, 1)
    given = np.diagonal(blocks, axis1=1, axis2=2).ravel() if omega == "diagonal" else blocks
    full = np.diag(given) if omega == "diagonal" else np.zeros((12, 12))
    for g in range(3):
        at = slice(4 * g, 4 * g + 4)
        full[at, at] = np.diag(given[at]) if omega == "diagonal" else blocks[g]
    form = np.diag(Z @ C @ Z.T @ full @ Z @ C @ Z.T)
    for factor in (TallFactor(rows, alpha, 0.3), WideFactor(rows, alpha, 0.3)):
        np.testing.assert_allclose(factor.solve(Z.T), C @ Z.T, atol=1e-10)
        np.testing.assert_allclose(factor.leverage(Z), np.diag(Z @ C @ Z.T), atol=1e-10)
        linear, curvature = factor.gather([(Z, A, given)])
        np.testing.assert_allclose(linear, C @ Z.T @ A, atol=1e-10)
        np.testing.assert_allclose(curvature(Z), form, atol=1e-9)


def test_a_quadratic_form_without_a_right_side_is_one_matrix():
    T, Z = np.array([[2.0, 1.0], [1.0, 0.0]]), np.array([[1.0, 3.0], [0.0, 1.0]])
    np.testing.assert_allclose(QuadraticForm(T)(Z), [2 + 6, 0])


def test_a_scaler_is_exact_far_from_zero_and_knows_empty_columns():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5000, 3)) * [1, 5, 0] + [1e6, -3, 7.1]
    for how in ("rms", "standardize"):
        scaler = Scaler.fit(Blocks(X, "float64", 700), 5000, 3, how)
        np.testing.assert_allclose(scaler.mean, X.mean(0))
        assert scaler.empty.tolist() == [False, False, True]
        variance = X.var(0)
        expected = np.full(3, variance.mean()) if how == "rms" else np.r_[variance[:2], 1]
        np.testing.assert_allclose(scaler.scale, np.sqrt(expected), rtol=1e-7)
    raw = Scaler.fit(Blocks(X, "float64"), 5000, 3, "standardize", centre=False)
    assert not raw.mean.any()
    np.testing.assert_allclose(raw.scale, np.sqrt((X**2).mean(0)))
