"""Scaling of features against numpy over the whole matrix at once."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import makedo.data.features as features_module
from makedo.data.features import RowScaler


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(50, 4)) * [1, 100, 1e-3, 0] + [0, 1e4, 0, 7]).astype(np.float32)


@pytest.mark.parametrize("block", [1, 7, 50, 1000])
@pytest.mark.parametrize("rows", [None, np.arange(3, 40, 2)])
def test_mean_and_sd_are_those_of_the_rows_whatever_the_block(X, block, rows, monkeypatch):
    monkeypatch.setattr(features_module, "ROWS", block)
    scaler = RowScaler("columns").fit(X, rows)
    seen = (X if rows is None else X[rows]).astype(np.float64)
    np.testing.assert_allclose(scaler.mean, seen.mean(0), rtol=1e-6)
    np.testing.assert_allclose(scaler.scale, [*seen.std(0)[:3], 1], rtol=1e-6)


def test_scaled_columns_have_mean_0_and_sd_1_and_the_matrix_given_stays_as_it_was(X):
    before = X.copy()
    scaled = RowScaler("columns").fit(X).transform(X)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=2e-3)
    np.testing.assert_allclose(scaled.std(0), [1, 1, 1, 0], atol=1e-5)
    assert np.array_equal(X, before) and scaled.dtype == np.float32


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_rows_that_do_not_count_have_no_say_in_what_is_chosen(form):
    counts = np.array([[1, 0, 3], [2, 2, 0], [0, 1, 1]], dtype=np.float32)
    odd = np.array([[0.5, -1, 7]], dtype=np.float32)
    X, linked = form(np.vstack([counts, odd])), np.arange(3)
    assert RowScaler().fit(X, linked).how == RowScaler().fit(form(counts)).how == "rows"
    assert RowScaler().fit(X).how != "rows"
