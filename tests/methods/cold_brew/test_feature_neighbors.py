import numpy as np
import scipy.sparse as sp

from makedo.methods.cold_brew.feature_neighbors import FeatureKNNClassifier


def test_feature_neighbours_equal_the_loop_by_hand():
    rng = np.random.default_rng(0)
    X = sp.random(60, 20, density=0.3, random_state=0, format="csr", dtype=np.float32)
    X = sp.csr_matrix(X.multiply(np.arange(60)[:, None] != 7))
    y = rng.integers(0, 3, 60)
    train = np.arange(60) < 40
    model = FeatureKNNClassifier(5, weights="uniform").fit(X, y, train_mask=train)
    dense = X.toarray().astype(float)
    dense /= np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)
    for i in range(40, 60):
        nearest = np.argsort(-(dense[:40] @ dense[i]), kind="stable")[:5]
        votes = np.bincount(y[nearest], minlength=3) / 5
        np.testing.assert_allclose(model.predict_proba(X[[i]])[0], votes, atol=1e-6)
    prior = np.bincount(y[:40], minlength=3) / 40
    np.testing.assert_allclose(model.predict_proba(X[[7]])[0], prior, atol=1e-6)


def test_more_neighbours_than_labelled_rows_are_all_of_them():
    X = np.eye(4, dtype=np.float32) + 0.1
    model = FeatureKNNClassifier(50, weights="uniform").fit(X, [0, 1, 1, -1])
    np.testing.assert_allclose(model.predict_proba(X[3:]), [[1 / 3, 2 / 3]], rtol=1e-6)
