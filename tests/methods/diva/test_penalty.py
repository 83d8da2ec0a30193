"""The path of penalties beside a head for each."""

from __future__ import annotations

import numpy as np
import pytest

from makedo import DatasetDerivative
from makedo.core.checks import MakedoInputError
from makedo.methods.diva import outer_loss, penalty
from makedo.methods.diva.rows import Blocks, Rows, Scaler


@pytest.mark.parametrize("groups", [None, [0, 0, 0, 1, 1, 2, 3, 3, 2, 4, 4, 4, 5, 5]])
def test_each_loss_of_the_path_is_that_of_its_own_head(problem, groups):
    groups = groups and np.array(groups[: len(problem.X)])
    model = problem.fit(penalty="loo", groups=groups)
    assert len(model.history_) == 25
    assert model.penalty_ == model.history_["penalty"][model.history_["loo_loss"].argmin()]
    for _, row in model.history_.iloc[2::4].iterrows():
        one = problem.fit(penalty=row["penalty"], groups=groups)
        assert one.history_["penalty"].tolist() == [row["penalty"]]
        # with λ a millionth of the eigenvalues and more columns than rows, 1 − α h is near 1e-7
        close = {"rtol": 1e-9 if row["penalty"] > 1e-2 else 1e-5}
        np.testing.assert_allclose(row["loo_loss"], one.history_["loo_loss"][0], **close)
        expected = ((one.loo_predictions_ - problem.Y) ** 2).sum(1).mean()
        np.testing.assert_allclose(row["loo_loss"], expected, **close)


@pytest.mark.parametrize("held", [1, 14 * 3 * 4, 10**9])
def test_how_much_is_held_at_once_changes_nothing(make_problem, monkeypatch, held):
    expected = make_problem().fit(penalty="loo").history_
    monkeypatch.setattr(penalty, "HELD", held)
    found = make_problem().fit(penalty="loo").history_
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_any_loss_may_choose_and_outer_weights_count(make_problem):
    problem = make_problem()
    rows = Rows(Blocks(problem.X, "float64"), Scaler(np.zeros(5), np.ones(5)), problem.intercept)
    loss = outer_loss.LOSSES["cross_entropy"][1](3.0)
    weights = np.random.default_rng(0).random(14)
    penalties, losses = penalty.path(rows, problem.Y, problem.alpha, loss, weights)
    one = problem.fit(penalty=float(penalties[9]))
    expected = weights @ loss(one.loo_predictions_, problem.Y)[0]
    np.testing.assert_allclose(losses[9], expected, rtol=1e-8)


def test_a_penalty_under_which_a_row_stands_alone_is_not_chosen():
    """In float32 the smallest of the path leave 1 − h of such rows to rounding."""
    size = np.where(np.arange(20) == 7, 2e4, 1e4)
    X = (np.eye(30)[:, :20] * size).astype("float32")  # each of 20 features is seen in one row
    y = np.arange(30.0)
    rows = Rows(Blocks(X, "float32"), Scaler(np.zeros(20), np.ones(20)), False)
    penalties, losses = penalty.path(
        rows, y[:, None], np.ones(30), outer_loss.squared, np.full(30, 1 / 30)
    )
    alone = penalties / (4e8 + penalties) < 1e-5
    assert alone.any() and (np.isinf(losses) == alone).all()
    assert np.isfinite(losses.min())


def test_a_penalty_that_is_too_small_for_the_arithmetic_is_refused():
    X = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
    X = np.hstack([X, X])
    with pytest.raises(MakedoInputError, match="penalty=1e-30 is too small"):
        DatasetDerivative(1e-30, dtype="float32").fit(X, X[:, 0])


def test_a_stronger_signal_asks_for_a_smaller_penalty():
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(200, 20)), rng.normal(size=20)
    chosen = [
        DatasetDerivative().fit(X, X @ w + noise * rng.normal(size=200)).penalty_
        for noise in (0.01, 3, 300)
    ]
    assert chosen[0] < chosen[1] < chosen[2]
