"""The derivatives beside finite differences, autograd, and influence functions.

A second road for each: heads refitted by brute force; losses written again in torch.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from makedo.methods.diva.outer_loss import LOSSES

PENALTY = 0.7
STEP = 1e-6


def margin(f, y, beta):
    given = (f * y).sum(-1)
    others = f.masked_fill(y > 0, -torch.inf).amax(-1)
    return torch.sigmoid(-beta * (given - others))


# name -> the loss of each row, by outputs f and targets y of shape (..., c), at a temperature
AGAIN = {
    "squared": lambda f, y, _: ((f - y) ** 2).sum(-1),
    "cross_entropy": lambda f, y, beta: -(y * F.log_softmax(beta * f, -1)).sum(-1),
    "mae": lambda f, y, beta: 1 - (y * F.softmax(beta * f, -1)).sum(-1),
    "margin": margin,
    "huber": lambda f, y, width: F.huber_loss(f, y, delta=width, reduction="none").sum(-1),
    "pinball": lambda f, y, q: torch.maximum(q * (y - f), (q - 1) * (y - f)).sum(-1),
}
TEMPERATURE = {"pinball": 0.8, "huber": 0.3}


def settings(loss):
    return {"outer_loss": loss, "outer_temperature": TEMPERATURE.get(loss, 3.0)}


# --- the objectives, by as many refits as they need (torch, so that autograd goes through) --------


def refit(problem, alpha, penalty=PENALTY):
    """W for weights α (..., N), unrolled: (..., D, c)."""
    Z, Y = torch.tensor(problem.Z), torch.tensor(problem.Y)
    penalised = torch.arange(Z.shape[1]) < problem.X.shape[1]
    P = penalty * torch.diag(penalised.to(Z.dtype))
    weighted = alpha[..., None] * Z
    return torch.linalg.solve(Z.T @ weighted + P, weighted.mT @ Y)


def validation_loss(problem, alpha, loss, penalty=PENALTY):
    f = torch.tensor(problem.design(problem.X_val)) @ refit(problem, alpha, penalty)
    return AGAIN[loss](f, torch.tensor(problem.Y_val), TEMPERATURE.get(loss, 3.0)).mean()


def left_out(problem, alpha, groups, penalty=PENALTY):
    """Prediction at each row of a head that was fitted without its group, (N, c)."""
    apart = torch.tensor(groups[:, None] != groups[None])  # row i's head sees row j
    W = refit(problem, alpha * apart, penalty)  # (N, D, c)
    return (torch.tensor(problem.Z)[:, None] @ W)[:, 0]


def leave_out_loss(problem, alpha, loss, groups, penalty=PENALTY):
    f = left_out(problem, alpha, groups, penalty)
    return AGAIN[loss](f, torch.tensor(problem.Y), TEMPERATURE.get(loss, 3.0)).mean()


def objective(problem, loss, way):
    n = len(problem.X)
    groups = np.arange(n) if way == "one" else np.arange(n) // 3
    if way == "validation":
        return partial(validation_loss, problem, loss=loss)
    return partial(leave_out_loss, problem, loss=loss, groups=groups)


def fit(problem, loss, way):
    groups = np.arange(len(problem.X)) // 3 if way == "groups" else None
    return problem.fit(way == "validation", groups=groups, **settings(loss))


WAYS = ["validation", "one", "groups"]
SHAPES = {
    "tall, intercept, classes": {},
    "wide, no intercept, classes": {"n": 9, "n_features": 20, "intercept": False},
    "wide, intercept, two numbers": {"n": 9, "n_features": 20, "n_outputs": 2, "kind": "values"},
    "tall, no intercept, one number": {"intercept": False, "n_outputs": 1, "kind": "values"},
}
everywhere = pytest.mark.parametrize(
    ("shape", "loss", "way"),
    [
        (shape, loss, way)
        for shape, given in SHAPES.items()
        for loss in LOSSES
        for way in WAYS
        if given.get("kind", "classes") in LOSSES[loss][0]
    ],
)


# --- oracle 2 -------------------------------------------------------------------------------------


@everywhere
def test_the_derivative_is_that_of_autograd_through_refits(make_problem, shape, loss, way):
    problem = make_problem(**SHAPES[shape])
    model = fit(problem, loss, way)
    alpha = torch.tensor(problem.alpha, requires_grad=True)
    value = objective(problem, loss, way)(alpha)
    value.backward()
    np.testing.assert_allclose(model.loss_, value.item(), rtol=1e-8)
    np.testing.assert_allclose(model.gradient_, alpha.grad.numpy(), rtol=1e-8, atol=1e-8)


@everywhere
def test_the_derivative_is_that_of_finite_differences_of_refits(make_problem, shape, loss, way):
    problem = make_problem(**SHAPES[shape])
    model, value = fit(problem, loss, way), objective(problem, loss, way)
    for m in (0, 1, 4):  # the second has weight 0
        step = torch.zeros(len(problem.X), dtype=torch.float64)
        step[m] = STEP
        alpha = torch.tensor(problem.alpha)
        slope = (value(alpha + step) - value(alpha - step)) / (2 * STEP)
        np.testing.assert_allclose(model.gradient_[m], slope.item(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_a_loss_of_ones_own_is_differentiated_too(make_problem, way):
    def fourth_power(F, Y):
        return ((F - Y) ** 4).sum(1), 4 * (F - Y) ** 3

    problem = make_problem(kind="values", n_outputs=2)
    groups = np.arange(14) // 3 if way == "groups" else None
    model = problem.fit(way == "validation", groups=groups, outer_loss=fourth_power)
    alpha = torch.tensor(problem.alpha, requires_grad=True)
    AGAIN["fourth"] = lambda f, y, _: ((f - y) ** 4).sum(-1)
    objective(problem, "fourth", way)(alpha).backward()
    np.testing.assert_allclose(model.gradient_, alpha.grad.numpy(), rtol=1e-8, atol=1e-8)


# --- who acts on whom, and oracle 3 ---------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("loss", ["squared", "mae"])
def test_the_derivative_of_each_single_loss_is_that_of_autograd(make_problem, loss, way):
    problem = make_problem()
    model = fit(problem, loss, way)
    indices = [5, 0, 1]

    def each(alpha):
        if way == "validation":
            f = torch.tensor(problem.design(problem.X_val)) @ refit(problem, alpha)
            return AGAIN[loss](f, torch.tensor(problem.Y_val), 3.0)
        groups = np.arange(14) // (3 if way == "groups" else 1)
        return AGAIN[loss](left_out(problem, alpha, groups), torch.tensor(problem.Y), 3.0)

    jacobian = torch.autograd.functional.jacobian(each, torch.tensor(problem.alpha))  # (V, N)
    np.testing.assert_allclose(
        model.cross_gradient(indices), jacobian.numpy().T[indices], rtol=1e-8, atol=1e-9
    )
    np.testing.assert_allclose(model.cross_gradient().mean(1), model.gradient_, atol=1e-12)


@pytest.mark.parametrize("loss", ["squared", "mae"])
def test_a_prediction_does_not_depend_on_the_weight_of_the_sample_left_out(make_problem, loss):
    model = make_problem().fit(**settings(loss))
    each = model.cross_gradient()
    assert np.abs(each).max() > 1e-3
    np.testing.assert_allclose(np.diag(each), 0, atol=1e-14)


def test_a_prediction_does_not_depend_on_the_weights_of_the_group_left_out(make_problem):
    groups = np.arange(14) // 3
    each = make_problem().fit(groups=groups).cross_gradient()
    np.testing.assert_allclose(each[groups[:, None] == groups], 0, atol=1e-13)
    assert np.abs(each[groups[:, None] != groups]).min() > 0


# --- oracle 4 -------------------------------------------------------------------------------------


@everywhere
def test_weight_along_alpha_is_penalty_given_back(make_problem, shape, loss, way):
    """Euler: α and P scaled alike change nothing, so Σ α_m g_m = −λ dL/dλ."""
    problem = make_problem(**SHAPES[shape])
    penalty = torch.tensor(PENALTY, dtype=torch.float64, requires_grad=True)
    objective(problem, loss, way)(torch.tensor(problem.alpha), penalty=penalty).backward()
    model = fit(problem, loss, way)
    np.testing.assert_allclose(
        model.sample_weight_ @ model.gradient_, -PENALTY * penalty.grad.item(), rtol=1e-8, atol=1e-9
    )


# --- oracle 8 -------------------------------------------------------------------------------------


def test_the_validation_derivative_is_the_influence_function(problem):
    """Koh and Liang: −∇L_valᵀ H⁻¹ ∇ℓ_m, with the Hessian of the training objective by autograd."""
    Z, Y = torch.tensor(problem.Z), torch.tensor(problem.Y)
    alpha, shape = torch.tensor(problem.alpha), (Z.shape[1], Y.shape[1])
    P = torch.full(shape[:1], PENALTY, dtype=Z.dtype)
    P[problem.X.shape[1] :] = 0

    def of_sample(w, m):
        return ((Y[m] - Z[m] @ w.reshape(shape)) ** 2).sum() / 2

    def training(w):
        fitted = (alpha[:, None] * (Y - Z @ w.reshape(shape)) ** 2).sum() / 2
        return fitted + (P[:, None] * w.reshape(shape) ** 2).sum() / 2

    def validation(w):
        f = torch.tensor(problem.design(problem.X_val)) @ w.reshape(shape)
        return ((f - torch.tensor(problem.Y_val)) ** 2).sum(1).mean()

    derive = torch.autograd.functional.jacobian
    w = torch.tensor(problem.refit()).reshape(-1)
    H = torch.autograd.functional.hessian(training, w)
    of_all = derive(lambda w: torch.stack([of_sample(w, m) for m in range(len(Z))]), w)  # (N, Dc)
    influence = -torch.linalg.solve(H, of_all.T).T @ derive(validation, w)
    np.testing.assert_allclose(
        problem.fit(True).gradient_, influence.numpy(), rtol=1e-8, atol=1e-10
    )


# --- pools, and the sign (trap 2) -----------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_pool_is_scored_as_if_it_stood_in_training_with_weight_0(problem, way):
    """Only its own rows in the outer sum differ: with leaving out, the pool has none."""
    model = fit(problem, "squared", way)
    n = len(problem.X)
    rng = np.random.default_rng(5)
    pool, Y = rng.normal(size=(4, problem.X.shape[1])), problem.Y[[3, 0, 2, 5]]
    y = problem.y[[3, 0, 2, 5]]
    whole = type(problem)(
        np.vstack([problem.X, pool]), None, np.vstack([problem.Y, Y]),
        None, problem.X_val, None, problem.Y_val, problem.intercept,
    )  # fmt: skip
    alpha = torch.tensor(np.append(problem.alpha, np.zeros(4)), requires_grad=True)
    if way == "validation":
        value = validation_loss(whole, alpha, "squared")
    else:
        groups = np.arange(n + 4) // (3 if way == "groups" else 1)
        groups[n:] = groups.max() + 1 + np.arange(4)
        f = left_out(whole, alpha, groups)[:n]
        value = AGAIN["squared"](f, torch.tensor(problem.Y), 0).mean()
    value.backward()
    np.testing.assert_allclose(
        model.score_pool(pool, y), alpha.grad.numpy()[n:], rtol=1e-8, atol=1e-9
    )


@pytest.mark.parametrize("valid", [False, True])
def test_negative_means_that_the_sample_helps(make_problem, valid):
    problem = make_problem(n=40, n_features=3, n_outputs=2, seed=3)
    problem.alpha = np.ones(40)
    model = problem.fit(valid)
    helps, harms = model.gradient_.argmin(), model.gradient_.argmax()
    assert model.gradient_[helps] < 0 < model.gradient_[harms]
    for sample, lower in ((helps, True), (harms, False)):
        more = np.ones(40)
        more[sample] += 0.01
        assert (problem.fit(valid, sample_weight=more).loss_ < model.loss_) == lower


def test_the_weights_of_the_outer_sum_stay_even_whatever_alpha_is(make_problem):
    """With α in it, α = 0 would be its minimum (trap 3)."""
    problem = make_problem()
    model = problem.fit()
    each = ((model.loo_predictions_ - problem.Y) ** 2).sum(1)
    np.testing.assert_allclose(model.loss_, each.mean())
    assert (problem.alpha == 0).any()
