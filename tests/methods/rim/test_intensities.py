"""Models of activity: limits, optimality, and what they may not see."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import check_grad

from makedo.core.checks import MakedoInputError
from makedo.data.interactions import InteractionLog, Requests
from makedo.methods.rim.hawkes import TINY, activity, maximise_poisson
from makedo.methods.rim.intensities import (
    EMA,
    NAMES,
    ConstantIntensity,
    Hawkes,
    HawkesPoisson,
    UserPopularity,
)

H = 20.0


@pytest.fixture(scope="module")
def log():
    """80 users, 1 to 60 events at whole seconds of 0..199."""
    rng = np.random.default_rng(0)
    n = rng.integers(1, 60, 80)
    user = np.repeat(np.arange(80), n)
    frame = {
        "user_id": user,
        "item_id": np.arange(len(user)),
        "timestamp": rng.integers(0, 200, n.sum()),
    }
    return InteractionLog.read(pd.DataFrame(frame))


def fitted(model, log, T=150.0):
    requests = Requests.at(log, T)
    requests = requests.take(np.flatnonzero(requests.lengths))
    return model.fit(requests, requests.counts(H), H), requests


@pytest.mark.parametrize("name", NAMES)
def test_every_rate_is_positive_and_finite_for_every_history(log, name):
    model, _ = fitted(NAMES[name](), log)
    empty = Requests(log, np.array([-1, 5], np.int32), np.array([200.0, -np.inf]))
    for requests in (Requests.at(log, 170.0), empty):
        rate = model.predict(requests)
        assert rate.shape == (len(requests),) and (rate > 0).all() and np.isfinite(rate).all()


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_after_a_request_changes_no_rate(log, name):
    """Also not what is learnt, but for the counts in the windows."""
    model, requests = fitted(NAMES[name](), log)
    before = log.before(150.0)
    again = NAMES[name]().fit(Requests(before, requests.user, requests.time), requests.counts(H), H)
    asked = np.full(log.n_users, 150.0)
    everyone = np.arange(log.n_users, dtype=np.int32)
    a = model.predict(Requests(log, everyone, asked))
    b = again.predict(Requests(before, everyone, asked))
    assert (a == b).all()


@pytest.mark.parametrize("name", NAMES)
def test_rates_kept_up_to_date_are_those_of_the_log(log, name):
    model, _ = fitted(NAMES[name](), log)
    now = Requests.at(log, 250.0)
    live = model.live(now)
    np.testing.assert_allclose(
        model.rate(live.at(now.time, now.user)), model.predict(now), rtol=1e-9
    )


def test_simple_rates_are_their_formulas(log):
    requests = Requests.at(log, 150.0)
    for model in (ConstantIntensity(), UserPopularity(), EMA()):
        model.fit(requests, horizon=H)
    assert (ConstantIntensity().fit(requests).predict(requests) == 1).all()
    assert (UserPopularity().fit(requests).predict(requests) == requests.lengths + 0.01).all()
    times = [log.time[a:b] for a, b in zip(requests.begin, requests.stop, strict=True)]
    expected = [np.exp(-(150.0 - t) / H).sum() for t in times]
    np.testing.assert_allclose(
        EMA().fit(requests, horizon=H).predict(requests), expected, atol=1e-9
    )


def test_one_scale_of_a_horizon_is_ema_but_for_its_decay(log):
    requests = Requests.at(log, 150.0)
    found = activity(requests, np.ones(1), H)
    ema = EMA().fit(requests, horizon=H).predict(requests)
    np.testing.assert_allclose((found.excited + found.started)[:, 0], ema, atol=1e-9)


# --- Hawkes-Poisson -------------------------------------------------------------------------------


def problem(seed=0, n=300, p=7):
    rng = np.random.default_rng(seed)
    phi = np.hstack([rng.gamma(0.5, 10.0 ** rng.integers(-3, 4, p), (n, p)), np.ones((n, 1))])
    w = np.r_[rng.random(p) * (rng.random(p) < 0.5), 0.3] / phi.mean(0)
    return phi, rng.poisson(phi @ w).astype(float)


def objective(phi, n, penalty):
    def value(w):
        rate = phi @ w + TINY
        return rate.mean() - (n * np.log(rate)).mean() + 0.5 * (penalty * w) @ w

    def gradient(w):
        rate = phi @ w + TINY
        return phi.mean(0) - phi.T @ (n / rate) / len(n) + penalty * w

    return value, gradient


@pytest.mark.parametrize("seed", range(5))
def test_poisson_weights_meet_the_conditions_of_the_optimum(seed):
    phi, n = problem(seed)
    penalty = np.r_[np.full(7, 1e-3), 0.0]
    value, gradient = objective(phi, n, penalty)
    start = np.r_[np.zeros(7), n.mean()]
    assert check_grad(value, gradient, start + 0.1 / phi.mean(0)) < 1e-3 * np.linalg.norm(
        gradient(start + 0.1 / phi.mean(0))
    )
    w = maximise_poisson(phi, n, phi.sum(0), start, penalty * len(n))
    slope = gradient(w) / phi.mean(0)  # in units of a feature's own mean
    assert (w >= 0).all() and (slope > -1e-4).all()
    assert np.abs(gradient(w) * w).max() < 1e-4  # complementary
    assert value(w) <= value(start)


def test_poisson_weights_are_those_of_the_slow_multiplicative_steps():
    """Expectation-maximisation: each step rises, and never leaves the positive weights."""
    phi, n = problem(2)
    value, _ = objective(phi, n, np.zeros(8))
    w = maximise_poisson(phi, n, phi.sum(0), np.r_[np.zeros(7), n.mean()])
    slow = 1 / phi.mean(0)
    for _ in range(20_000):
        slow *= phi.T @ (n / (phi @ slow)) / phi.sum(0)
    assert value(w) <= value(slow) + 1e-9 * abs(value(slow))
    np.testing.assert_allclose(phi @ w, phi @ slow, rtol=1e-2)


def test_the_constant_alone_is_the_mean_count():
    _, n = problem()
    ones = np.ones((len(n), 1))
    w = maximise_poisson(ones, n, ones.sum(0), np.array([1.0]))
    assert w[0] == pytest.approx(n.mean(), rel=1e-6)


def test_hawkes_poisson_is_never_worse_than_a_constant_in_training(log):
    model, requests = fitted(HawkesPoisson(6, shortest=0.05), log)
    n = requests.counts(H)

    def deviance(rate):
        return 2 * (rate - n + np.where(n > 0, n * np.log(np.maximum(n, 1) / rate), 0)).sum()

    assert deviance(model.predict(requests)) <= deviance(np.full(len(n), n.mean())) + 1e-6
    assert model.predict(requests).sum() == pytest.approx(n.sum(), rel=0.01)  # calibrated


@pytest.mark.parametrize("penalty", [1e-3, 0.3])
def test_hawkes_poisson_minimises_the_mean_loss_and_the_penalty_that_it_states(log, penalty):
    """The penalty is on half the squared weights beside the mean loss, and not on the constant."""
    model, requests = fitted(HawkesPoisson(4, shortest=0.05, penalty=penalty), log)
    phi = activity(requests, model.decays_, H).features(model.decays_)
    n, w = requests.counts(H), model.weights_
    assert (w > 1e-3).sum() > 1  # of features besides the constant
    slope = phi.mean(0) - phi.T @ (n / (phi @ w + TINY)) / len(n)
    slope[:-1] += penalty * w[:-1]
    assert (slope / phi.mean(0) > -1e-4).all() and np.abs(slope * w).max() < 1e-4


def test_hawkes_poisson_finds_who_is_active():
    """Users at two rates, learnt in one window and asked for in the next."""
    rng = np.random.default_rng(0)
    rate = np.where(np.arange(400) % 2, 0.3, 0.02)
    n = rng.poisson(rate * 300)
    frame = {"user_id": np.repeat(np.arange(400), n), "timestamp": rng.integers(0, 300, n.sum())}
    log = InteractionLog.read(pd.DataFrame(frame).assign(item_id=lambda f: f.index))
    model, _ = fitted(HawkesPoisson(), log, T=200.0)
    later = Requests.at(log, 220.0)
    found = model.predict(later)
    fast = rate[log.users.to_numpy()] > 0.1
    assert found[fast].mean() == pytest.approx(0.3 * H, rel=0.15)
    assert found[~fast].mean() == pytest.approx(0.02 * H, rel=0.35)


def test_parameters_of_the_intensities_are_checked(log):
    requests = Requests.at(log, 150.0)
    counts = requests.counts(H)
    with pytest.raises(MakedoInputError, match="parameter n_scales must be"):
        HawkesPoisson(0).fit(requests, counts, H)
    with pytest.raises(MakedoInputError, match="shortest must not be above longest"):
        Hawkes(shortest=20.0, longest=10.0).fit(requests, horizon=H)
    with pytest.raises(MakedoInputError, match="objective must be one of"):
        Hawkes(objective="moments").fit(requests, horizon=H)
    with pytest.raises(MakedoInputError, match="counts must be 80 numbers"):
        HawkesPoisson().fit(requests, counts[:-1], H)
    with pytest.raises(MakedoInputError, match="no user has an event in the windows"):
        HawkesPoisson().fit(requests, 0 * counts, H)
    assert HawkesPoisson(penalty=5.0).fit(requests, counts, H).weights_.max() < 2
