"""Each score that DIVA is compared with, beside brute force."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from makedo.methods.diva import baselines


def blobs(n=40, n_classes=3, seed=0, spread=1.5):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    return rng.normal(size=(n, 3)) + spread * np.eye(n_classes, 3)[y], y


# --- k nearest neighbours ------------------------------------------------------------------------


def enumerated(X, y, x, label, k):
    """Shapley value of each sample by all subsets; a subset is worth its right votes over k."""
    n = len(X)
    nearness = np.argsort(np.linalg.norm(X - x, axis=1))

    def worth(chosen):
        near = [i for i in nearness if i in chosen][:k]
        return sum(y[i] == label for i in near) / k

    values = np.zeros(n)
    for i in range(n):
        others = [j for j in range(n) if j != i]
        for size in range(n):
            for chosen in map(set, combinations(others, size)):
                gain = worth(chosen | {i}) - worth(chosen)
                values[i] += gain / (n * comb(n - 1, size))
    return values


@pytest.mark.parametrize("k", [1, 3, 10])  # fewer than the samples, and more
def test_knn_shapley_is_that_of_all_subsets(k):
    X, y = blobs(7)
    X_valid, y_valid = blobs(3, seed=1)
    expected = [enumerated(X, y, x, t, k) for x, t in zip(X_valid, y_valid, strict=True)]
    found = baselines.knn_shapley(X, y, X_valid, y_valid, k)
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=1e-12)


def test_knn_shapley_without_validation_predicts_each_by_all_others(monkeypatch):
    X, y = blobs(7)
    expected = np.zeros(7)
    for i in range(7):
        rest = np.arange(7) != i
        expected[rest] += enumerated(X[rest], y[rest], X[i], y[i], 2) / 7
    np.testing.assert_allclose(baselines.knn_shapley(X, y, k=2), expected, atol=1e-12)
    monkeypatch.setattr(baselines, "BLOCK", 14)  # two rows at once
    np.testing.assert_allclose(baselines.knn_shapley(X, y, k=2), expected, atol=1e-12)


# --- logistic regression -------------------------------------------------------------------------


def mean_loss(X, y, weights, X_valid, y_valid, strength):
    model = LogisticRegression(C=strength, tol=1e-12, max_iter=10_000)
    P = model.fit(X, y, sample_weight=weights).predict_proba(X_valid)
    return -np.log(P[np.arange(len(y_valid)), y_valid]).mean()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_influence_is_the_derivative_of_refits(n_classes):
    X, y = blobs(30, n_classes)
    X_valid, y_valid = blobs(12, n_classes, seed=1)
    strength, step = 0.7, 1e-3
    model = baselines.fit_logistic(X, y, strength)
    found = baselines.influence(model, X, y, X_valid, y_valid)
    own = baselines.self_influence(model, X, y)
    for i in (0, 4, 11):
        losses, own_losses = [], []
        for sign in (1, -1):
            weights = np.ones(30)
            weights[i] += sign * step
            losses.append(mean_loss(X, y, weights, X_valid, y_valid, strength))
            own_losses.append(mean_loss(X, y, weights, X[[i]], y[[i]], strength))
        assert found[i] == pytest.approx(np.subtract(*losses) / (2 * step), rel=1e-3, abs=1e-7)
        assert own[i] == pytest.approx(-np.subtract(*own_losses) / (2 * step), rel=1e-3)


def test_tracin_sums_the_squared_gradients_of_checkpoints():
    X, y = blobs(15)
    Z = np.hstack([X, np.ones((15, 1))])
    rate = 2 * 15 / np.linalg.eigvalsh(Z.T @ Z).max()
    W, expected = np.zeros((4, 3)), np.zeros(15)

    def gradient(i):
        p = np.exp(Z[i] @ W)
        return np.outer(Z[i], p / p.sum() - np.eye(3)[y[i]])

    for step in range(1, 7):
        W = W - rate * np.mean([gradient(i) for i in range(15)], axis=0)
        if step % 3 == 0:
            expected += [rate * (gradient(i) ** 2).sum() for i in range(15)]
    np.testing.assert_allclose(baselines.tracin_self(X, y, 6, every=3), expected)


def test_probabilities_out_of_fold_come_from_models_without_the_fold():
    X, y = blobs(30)
    found = baselines.out_of_fold(X, y, 1.0, n_folds=5, random_state=3)
    from sklearn.model_selection import StratifiedKFold

    for train, test in StratifiedKFold(5, shuffle=True, random_state=3).split(X, y):
        model = LogisticRegression(C=1.0, max_iter=1000).fit(X[train], y[train])
        np.testing.assert_allclose(found[test], model.predict_proba(X[test]), atol=1e-6)


# --- all of them ---------------------------------------------------------------------------------


def test_each_finds_labels_that_are_wrong():
    X, y = blobs(150, spread=3.0)
    wrong = np.arange(150) % 10 == 0
    y[wrong] = (y[wrong] + 1) % 3
    model = baselines.fit_logistic(X, y, 1.0)
    P = baselines.out_of_fold(X, y, 1.0)
    scores = {
        "knn shapley": -baselines.knn_shapley(X, y),
        "influence": baselines.self_influence(model, X, y),
        "tracin": baselines.tracin_self(X, y),
        "out of fold": 1 - P[np.arange(150), y],
        "data-oob": baselines.data_oob(X, y, 1.0, np.random.default_rng(0)),
    }
    for name, score in scores.items():
        assert roc_auc_score(wrong, score) > 0.9, name


def test_data_oob_predicts_a_sample_by_models_that_left_it_out():
    X, y = blobs(20)
    rng, again = np.random.default_rng(0), np.random.default_rng(0)
    found = baselines.data_oob(X, y, 0.5, rng, n_models=30)
    from sklearn.linear_model import Ridge

    missed = [[] for _ in range(20)]
    for _ in range(30):
        drawn = again.integers(0, 20, 20)
        said = Ridge(alpha=0.5).fit(X[drawn], np.eye(3)[y[drawn]]).predict(X).argmax(1)
        for i in np.setdiff1d(np.arange(20), drawn):
            missed[i].append(said[i] != y[i])
    np.testing.assert_allclose(found, [np.mean(m) for m in missed])
