"""Losses of the outer problem: gradients, limits, and which targets each has a meaning for."""

from __future__ import annotations

import numpy as np
import pytest

from makedo import DatasetDerivative
from makedo.core.checks import MakedoInputError
from makedo.methods.diva.outer_loss import LOSSES, margin

X = np.random.default_rng(0).normal(size=(30, 3))
CODES = np.arange(30) % 3
TARGETS = {
    "classes": CODES,
    "multilabel": np.stack([CODES > 0, CODES < 2], axis=1).astype(int),
    "soft": np.full((30, 3), 0.1) + 0.7 * np.eye(3)[CODES],
    "values": np.random.default_rng(1).normal(size=(30, 2)),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("temperature", [0.4, 0.9])
def test_the_gradient_is_that_of_finite_differences(name, temperature):
    rng = np.random.default_rng(0)
    F, Y = rng.normal(size=(7, 4)), np.eye(4)[rng.integers(0, 4, 7)]
    loss = LOSSES[name][1](temperature)
    value, gradient = loss(F, Y)
    assert value.shape == (7,) and gradient.shape == (7, 4)
    for i, j in np.ndindex(7, 4):
        step = np.zeros_like(F)
        step[i, j] = 1e-6
        slope = (loss(F + step, Y)[0] - loss(F - step, Y)[0]) / 2e-6
        np.testing.assert_allclose(gradient[i, j], slope[i], atol=1e-8)
        assert not np.delete(slope, i).any()


def test_bounded_losses_are_bounded_and_cross_entropy_is_not():
    Y, worst = np.array([[1.0, 0.0]]), np.array([[-1e6, 1e6]])
    with np.errstate(all="raise", under="ignore"):
        for name in ("mae", "margin"):
            np.testing.assert_allclose(LOSSES[name][1](5.0)(worst, Y)[0], 1)
            np.testing.assert_allclose(LOSSES[name][1](5.0)(-worst, Y)[0], 0, atol=1e-12)
            assert not LOSSES[name][1](5.0)(worst, Y)[1].any()
        assert LOSSES["cross_entropy"][1](5.0)(worst, Y)[0] > 1e6


def test_a_margin_is_one_half_at_a_tie():
    value, gradient = margin(np.zeros((1, 3)), np.array([[0.0, 1.0, 0.0]]), 2.0)
    assert value == [0.5] and gradient.sum() == 0 and gradient[0, 1] == -0.5


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", TARGETS)
def test_a_loss_is_refused_for_targets_that_it_has_no_meaning_for(name, kind):
    model = DatasetDerivative(1.0, outer_loss=name, outer_temperature=0.5)
    if kind in LOSSES[name][0]:
        assert np.isfinite(model.fit(X, TARGETS[kind]).gradient_).all() and model.kind_ == kind
    else:
        with pytest.raises(MakedoInputError, match=f"outer_loss='{name}' is for .*'squared'"):
            model.fit(X, TARGETS[kind])


def test_the_quantile_of_pinball_lies_between_0_and_1():
    with pytest.raises(MakedoInputError, match="outer_temperature is the quantile.*Got 5"):
        DatasetDerivative(outer_loss="pinball").fit(X, TARGETS["values"])


def no_pair(F, Y):
    return ((F - Y) ** 2).sum(1)


def one_number(F, Y):
    return ((F - Y) ** 2).sum(), 2 * (F - Y)


def no_gradient(F, Y):
    return ((F - Y) ** 2).sum(1), ((F - Y) ** 2).sum(1)


def test_a_loss_that_gives_no_numbers_is_refused():
    with pytest.raises(MakedoInputError, match="outer_loss gives NaN or infinity"):
        DatasetDerivative(1.0, outer_loss=lambda F, Y: (F.sum(1) * np.nan, F)).fit(X, CODES)


@pytest.mark.parametrize("loss", [no_pair, one_number, no_gradient])
def test_a_loss_of_ones_own_is_tried_first(loss):
    with pytest.raises(MakedoInputError, match=r"outer_loss must give the loss of each row"):
        DatasetDerivative(1.0, outer_loss=loss).fit(X, CODES)
