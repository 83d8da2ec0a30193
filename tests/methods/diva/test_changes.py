"""Exact finite changes beside refits (oracle 6)."""

from __future__ import annotations

import numpy as np
import pytest

from makedo.core.checks import MakedoInputError
from makedo.methods.diva import changes
from makedo.methods.diva.outer import LeavingOut

WAYS = ["validation", "one", "groups"]


def fit(problem, way, **more):
    groups = np.arange(len(problem.X)) // 3 if way == "groups" else None
    return problem.fit(way == "validation", groups=groups, **more)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("kind", "delta"), [("remove", None), ("add", 1.0)])
def test_a_finite_change_is_that_of_a_refit(problem, way, kind, delta):
    model = fit(problem, way)
    found = model.effect(kind)
    for i in (0, 1, 5):  # the second has weight 0: removing it changes nothing
        alpha = problem.alpha.copy()
        alpha[i] = 0 if delta is None else alpha[i] + delta
        expected = fit(problem, way, sample_weight=alpha).loss_ - model.loss_
        np.testing.assert_allclose(found[i], expected, rtol=1e-8, atol=1e-9)
    if kind == "remove":
        assert abs(found[1]) < 1e-12


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("loss", ["mae", "margin", "cross_entropy", "huber"])
def test_a_finite_change_of_any_loss_is_that_of_a_refit(make_problem, way, loss):
    problem = make_problem()
    model = fit(problem, way, outer_loss=loss, outer_temperature=2.0)
    alpha = problem.alpha.copy()
    alpha[4] = 0
    again = fit(problem, way, outer_loss=loss, outer_temperature=2.0, sample_weight=alpha)
    np.testing.assert_allclose(
        model.effect("remove", [4]), again.loss_ - model.loss_, rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize("way", WAYS)
def test_the_derivative_is_the_limit_of_small_changes(problem, way):
    model = fit(problem, way)
    every = np.arange(len(problem.X))
    errors = []
    for delta in (1e-4, 1e-6):
        change = model._outer.changed(model._head, np.full(len(every), delta), every)
        errors.append(np.abs(change / delta - model.gradient_).max())
    assert errors[1] < errors[0] / 50 + 1e-8  # the error falls as fast as the step


def test_the_derivative_is_far_from_the_whole_change_where_leverage_is_high(make_problem):
    problem = make_problem()
    problem.alpha = np.ones(14)
    problem.X[2] *= 20
    model = problem.fit(True)
    assert model.leverage_[2] > 0.9
    linear, exact = -model.gradient_[2], model.effect("remove", [2])[0]
    assert abs(linear) < abs(exact) / 3


@pytest.mark.parametrize("way", WAYS)
def test_blocks_of_changes_do_not_matter(make_problem, way, monkeypatch):
    model = fit(make_problem(), way)
    whole = model.effect("remove")
    monkeypatch.setattr(changes, "BLOCK", 30)
    np.testing.assert_allclose(model.effect("remove"), whole, rtol=1e-12, atol=1e-15)


def test_indices_may_be_positions_from_either_end_or_a_mask(make_problem):
    model = make_problem().fit()
    whole = model.effect("remove")
    mask = np.zeros(14, dtype=bool)
    mask[[2, 13]] = True
    for indices in ([2, 13], [2, -1], mask, np.array([2, 13], dtype="uint8")):
        np.testing.assert_allclose(model.effect("remove", indices), whole[[2, 13]])
    np.testing.assert_allclose(model.effect("derivative", [2, 13]), model.gradient_[[2, 13]])
    assert model.effect("remove", []).shape == (0,) and model.cross_gradient([]).shape == (0, 14)
    for indices in ([14], [-15], [0.5], ["a"], [[1, 2]], mask[:-1]):
        with pytest.raises(MakedoInputError, match="indices must be positions"):
            model.effect("add", indices)
    with pytest.raises(MakedoInputError, match="kind must be"):
        model.effect("replace")


def test_two_ways_of_leaving_out_agree_on_changes(make_problem):
    """Groups of one go through other code than single samples."""
    model = make_problem().fit()
    every, delta = np.arange(14), np.full(14, 0.3)
    loss = model._outer.loss
    np.testing.assert_allclose(
        LeavingOut(loss).changed(model._head, delta, every),
        LeavingOut(loss, [every[:, None]]).changed(model._head, delta, every),
        rtol=1e-9,
        atol=1e-12,
    )
