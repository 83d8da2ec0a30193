import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from makedo.baselines.mlp import MLPClassifier

OUR_SENTENCE = "the error says the same in our own words"
EXPECTED = {
    "check_n_features_in_after_fitting": OUR_SENTENCE,
    "check_estimators_empty_data_messages": OUR_SENTENCE,
    "check_fit2d_1sample": OUR_SENTENCE,
    "check_fit2d_predict1d": OUR_SENTENCE,
    "check_dtype_object": "an object that is no number is a MakedoInputError, so a ValueError",
    "check_classifiers_classes": "-1 means unlabelled where classes are integers",
}


@parametrize_with_checks(
    [MLPClassifier(max_epochs=20, device="cpu")], expected_failed_checks=lambda _: EXPECTED
)
@pytest.mark.filterwarnings("ignore")  # the checks test warnings by themselves
def test_it_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


def blobs(n=80, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    X = rng.normal(size=(n, 6)).astype(np.float32)
    X[np.arange(n), y] += 3
    return X, y


def test_it_learns_and_keeps_the_names_of_classes():
    X, y = blobs()
    names = np.array(["ant", "bee", "cow"])
    model = MLPClassifier(max_epochs=60).fit(X[:60], names[y[:60]])
    assert model.score(X[60:], names[y[60:]]) >= 0.85
    assert model.predict_proba(X).shape == (80, 3)
    np.testing.assert_allclose(model.predict_proba(X).sum(1), 1, rtol=1e-5)


def test_shuffled_labels_leave_chance():
    X, y = blobs(600)
    y = np.random.default_rng(0).permutation(y)
    assert MLPClassifier(max_epochs=60).fit(X[:300], y[:300]).score(X[300:], y[300:]) < 0.45


def test_sparse_and_dense_rows_give_one_answer():
    X, y = blobs()
    X = np.maximum(X, 0)
    settings = {"max_epochs": 10, "input_dropout": 0.0, "dropout": 0.0, "normalize": "rows"}
    dense = MLPClassifier(**settings).fit(X, y).predict_proba(X)
    sparse = MLPClassifier(**settings).fit(sp.csr_matrix(X), y).predict_proba(sp.csr_matrix(X))
    np.testing.assert_allclose(sparse, dense, rtol=1e-4, atol=1e-5)


def test_rows_without_label_change_nothing():
    X, y = blobs()
    settings = {"max_epochs": 10, "normalize": "none"}
    few = MLPClassifier(**settings).fit(X[:50], y[:50])
    more = MLPClassifier(**settings).fit(X, np.where(np.arange(80) < 50, y, -1))
    np.testing.assert_array_equal(few.predict_proba(X), more.predict_proba(X))


def test_the_state_with_the_best_validation_score_is_kept():
    X, y = blobs()
    valid = np.arange(80) >= 60
    model = MLPClassifier(max_epochs=40).fit(X, y, train_mask=~valid, valid_mask=valid)
    best = model.history_["score"].idxmax()
    assert model.score(X[valid], y[valid]) == pytest.approx(
        model.history_["valid_accuracy"][best], abs=1e-6
    )
    short = MLPClassifier(max_epochs=40, patience=3).fit(X, y, train_mask=~valid, valid_mask=valid)
    assert len(short.history_) < 40


@pytest.mark.parametrize(
    "changed",
    [
        {"norm": True}, {"activation": "gelu"}, {"hidden": 16}, {"dropout": 0.0},
        {"input_dropout": 0.0}, {"weight_decay": 0.1}, {"learning_rate": 0.05}, {"batch_size": 16},
        {"normalize": "none"}, {"random_state": 1}, {"validation_fraction": 0.5},
    ],
)  # fmt: skip
def test_every_parameter_matters(changed):
    X, y = blobs()
    X[:, 0] *= 5
    plain = MLPClassifier(max_epochs=5).fit(X, y).predict_proba(X)
    assert abs(MLPClassifier(max_epochs=5, **changed).fit(X, y).predict_proba(X) - plain).max() > 0


def test_cross_validation_equals_the_loop_by_hand():
    X, y = blobs()
    folds = StratifiedKFold(3)
    by_hand = [
        MLPClassifier(max_epochs=5).fit(X[a], y[a]).score(X[b], y[b]) for a, b in folds.split(X, y)
    ]
    scores = cross_val_score(MLPClassifier(max_epochs=5), X, y, cv=folds)
    np.testing.assert_array_equal(scores, by_hand)
