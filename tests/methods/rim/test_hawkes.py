"""The exponential sums, by a double loop; both objectives, by brute force and by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.optimize import check_grad, minimize

from makedo.core.checks import MakedoInputError
from makedo.data.interactions import InteractionLog, Requests
from makedo.methods.rim.hawkes import (
    Live,
    activity,
    contrast,
    decaying_sums,
    explained,
    fit_contrast,
    maximise_poisson,
    shortest_gap,
)
from makedo.methods.rim.intensities import Hawkes

DECAYS = np.array([0.3, 1.0, 7.0])
HORIZON = 10.0


def log_of(times, users=None):
    users = ["u"] * len(times) if users is None else users
    frame = pd.DataFrame({"user_id": users, "item_id": range(len(times)), "timestamp": times})
    return InteractionLog.read(frame)


@pytest.fixture
def crowd():
    """50 users with up to 30 events at whole seconds of 0..59: most times are tied."""
    rng = np.random.default_rng(0)
    n = rng.integers(1, 30, 50)
    return log_of(rng.integers(0, 60, n.sum()), np.repeat(np.arange(50), n))


def loop_sums(times, T):
    """R and E of one user, term by term."""
    past = [t for t in sorted(times) if t < T]
    R = sum((np.exp(-DECAYS * (T - t) / HORIZON) for t in past[1:]), np.zeros(3))
    E = np.exp(-DECAYS * (T - past[0]) / HORIZON) if past else np.zeros(3)
    return len(past), R, E


def rate_at(times, T, theta):
    """λ(T) per horizon, term by term: only what came strictly before T excites."""
    _, R, E = loop_sums(times, T)
    return float(np.r_[DECAYS * R, DECAYS * E, 1.0] @ theta)


# --- sums -------------------------------------------------------------------------------------


def test_sums_at_requests_are_those_of_a_double_loop(crowd):
    users = np.repeat(np.arange(50, dtype=np.int32), 4)
    requests = Requests(crowd, users, np.tile([5.0, 30.0, 59.5, 80.0], 50))
    found = activity(requests, DECAYS, HORIZON)
    for row, (u, T) in enumerate(zip(requests.user, requests.time, strict=True)):
        count, R, E = loop_sums(crowd.time[crowd.start[u] : crowd.start[u + 1]], T)
        assert found.count[row] == count
        np.testing.assert_allclose(found.excited[row], R, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(found.started[row], E, rtol=1e-12, atol=1e-15)


def test_blocks_of_any_size_give_the_same_sums(crowd, monkeypatch):
    requests = Requests.at(crowd, 70.0)
    whole = activity(requests, DECAYS, HORIZON)
    squares = contrast(requests, DECAYS, HORIZON)
    monkeypatch.setattr("makedo.methods.rim.hawkes.BLOCK", 50)
    np.testing.assert_allclose(activity(requests, DECAYS, HORIZON).excited, whole.excited)
    np.testing.assert_allclose(contrast(requests, DECAYS, HORIZON).G, squares.G)


def test_an_unknown_user_and_an_empty_history_have_no_activity(crowd):
    requests = Requests(crowd, np.array([-1, 3], np.int32), np.array([50.0, -np.inf]))
    found = activity(requests, DECAYS, HORIZON)
    assert not found.count.any() and not found.excited.any() and not found.started.any()
    assert (found.features(DECAYS)[:, -1] == 1).all()


def test_doubling_equals_the_recursion():
    rng = np.random.default_rng(1)
    step, added = rng.exponential(0.2, 700), rng.integers(0, 3, 700)
    opens = rng.random(700) < 0.02
    opens[0] = True
    expected, state = np.zeros((700, 3)), np.zeros(3)
    for i in range(700):
        state = (0 if opens[i] else np.exp(-DECAYS * step[i]) * state) + added[i]
        expected[i] = state
    np.testing.assert_allclose(decaying_sums(step, added, opens, DECAYS), expected, rtol=1e-12)


# --- kept up to date --------------------------------------------------------------------------


def same(live, log, T=1000.0):
    requests = Requests.at(log, T)
    found = live.at(requests.time, requests.user)
    expected = activity(requests, DECAYS, HORIZON)
    assert (found.count == expected.count).all()
    np.testing.assert_allclose(found.excited, expected.excited, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(found.started, expected.started, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("batch", [1, 7, 10_000])
def test_events_in_any_order_give_the_sums_of_the_whole_log(crowd, batch):
    order = np.random.default_rng(2).permutation(len(crowd))  # ties, late events, new firsts
    live = Live(DECAYS, HORIZON)
    for begin in range(0, len(order), batch):
        part = order[begin : begin + batch]
        live.add(crowd.user[part], crowd.time[part])
    same(live, crowd, 65.0)


def test_an_event_before_the_first_one_becomes_the_first():
    live = Live(DECAYS, HORIZON).add(np.array([0, 0]), np.array([10, 20]))
    live.add(np.array([0]), np.array([4]))
    assert live.first[0] == 4 and live.count[0] == 3
    same(live, log_of([4, 10, 20]), 30.0)


def test_sums_are_those_of_now_only_after_the_last_event():
    live = Live(DECAYS, HORIZON, 2).add(np.array([0]), np.array([10]))
    who = np.array([0, 1, -1])
    assert live.knows(np.full(3, 11.0), who) and not live.knows(np.full(3, 10.0), who)
    assert live.at(np.full(3, 11.0), who).count.tolist() == [1, 0, 0]


# --- objectives -------------------------------------------------------------------------------

SIX = [0, 3, 7, 7, 12, 18]  # one tie
THETA = np.array([0.2, 0.1, 0.05, 0.3, 0.2, 0.1, 0.4])


def brute_force(times, T, theta):
    """∫ λ, ∫ λ² over (t_1, T] in horizons, λ at the events after t_1."""
    knots = sorted({*times, T})
    pairs = list(zip(knots[:-1], knots[1:], strict=True))

    def integral(power):
        return sum(
            quad(lambda t: rate_at(times, t, theta) ** power, a, b, epsabs=1e-12)[0] / HORIZON
            for a, b in pairs
        )

    return integral(1), integral(2), [rate_at(times, t, theta) for t in times if t > times[0]]


def test_objectives_of_six_events_with_a_tie_equal_brute_force():
    requests = Requests.at(log_of(SIX), 25.0)
    mass, square, rates = brute_force(SIX, 25.0, THETA)
    found, seen = contrast(requests, DECAYS, HORIZON), explained(requests, DECAYS, HORIZON)
    assert found.n_events == 5
    np.testing.assert_allclose(found.m @ THETA, mass, rtol=1e-9)
    np.testing.assert_allclose(THETA @ found.G @ THETA, square, rtol=1e-9)
    np.testing.assert_allclose(found.b @ THETA, sum(rates), rtol=1e-12)
    np.testing.assert_allclose(seen.log_likelihood(THETA), np.log(rates).sum() - mass, rtol=1e-9)


def test_tied_events_do_not_excite_each_other():
    requests = Requests.at(log_of(SIX), 25.0)
    seen = explained(requests, DECAYS, HORIZON)
    _, R, _ = loop_sums(SIX, 7.0)
    np.testing.assert_allclose(seen.phi[1, :3], DECAYS * R)  # of the event at 3 alone
    assert seen.events.tolist() == [1, 2, 1, 1]


def test_objectives_are_sums_over_users(crowd):
    whole = contrast(Requests.at(crowd, 70.0), DECAYS, HORIZON)
    parts = [contrast(Requests.at(crowd, 70.0, [u]), DECAYS, HORIZON) for u in range(50)]
    np.testing.assert_allclose(whole.G, sum(part.G for part in parts), rtol=1e-9)
    np.testing.assert_allclose(whole.b, sum(part.b for part in parts), rtol=1e-9)


def test_the_fit_of_the_contrast_is_its_minimum(crowd):
    found = contrast(Requests.at(crowd, 70.0), DECAYS, HORIZON)
    theta = fit_contrast(found, 1e-3)

    def loss(v):
        return v @ found.G @ v - 2 * found.b @ v + 1e-3 * v @ v

    def gradient(v):
        return 2 * (found.G @ v - found.b + 1e-3 * v)

    scale = np.abs(found.b)
    assert check_grad(loss, gradient, THETA) < 1e-3 * np.linalg.norm(gradient(THETA))
    slope = gradient(theta) / scale
    assert (slope > -1e-9).all() and np.abs(slope * theta).max() < 1e-9
    other = minimize(loss, THETA, jac=gradient, method="L-BFGS-B", bounds=[(0, None)] * 7)
    assert loss(theta) <= loss(other.x) + 1e-9 * abs(loss(theta))


def test_the_fit_of_the_likelihood_is_its_maximum(crowd):
    requests = Requests.at(crowd, 70.0)
    seen = explained(requests, DECAYS, HORIZON)
    theta = maximise_poisson(seen.phi, seen.events, seen.m, THETA)
    slope = seen.m - seen.phi.T @ (seen.events / (seen.phi @ theta))
    assert (slope / seen.m > -1e-5).all() and np.abs(slope * theta).max() < 1e-4 * seen.events.sum()
    rng = np.random.default_rng(0)
    for _ in range(50):
        near = theta * np.exp(0.1 * rng.normal(size=7)) + 1e-3 * rng.random(7)
        assert seen.log_likelihood(near) < seen.log_likelihood(theta)


@pytest.mark.parametrize("objective", ["contrast", "likelihood"])
def test_without_excitation_the_rate_is_events_over_time(objective):
    rng = np.random.default_rng(0)
    n = rng.poisson(40, 300)
    times = [np.sort(rng.choice(100_000, size, replace=False)) for size in n]
    log = log_of(np.concatenate(times), np.repeat(np.arange(300), n))
    model = Hawkes(2, shortest=0.5, longest=5.0, objective=objective)
    model.fit(Requests.at(log, 100_000.0), horizon=10_000.0)
    assert model.weights_[-1] == pytest.approx(4.0, rel=0.1) and model.kernel_norm < 0.05


# --- recovery ---------------------------------------------------------------------------------


def simulate(n_users, span, decays, theta, seed):
    """Branching: a first event at 0, its offspring, immigrants, and theirs; times in horizons."""
    rng = np.random.default_rng(seed)
    J = len(decays)
    a, c, mu = theta[:J], theta[J:-1], theta[-1]
    who, when = [np.arange(n_users)], [np.zeros(n_users)]
    immigrants = rng.poisson(mu * span, n_users)
    parents = [(np.repeat(np.arange(n_users), immigrants), rng.uniform(0, span, immigrants.sum()))]
    weights = c
    born = (who[0], when[0])
    while len(born[0]):
        children = []
        for j in range(J):
            many = rng.poisson(weights[j], len(born[0]))
            at = np.repeat(born[1], many) + rng.exponential(1 / decays[j], many.sum())
            children.append((np.repeat(born[0], many), at))
        if parents:
            children += parents
            parents = []
        user, time = (np.concatenate(part) for part in zip(*children, strict=True))
        born = (user[time < span], time[time < span])
        who.append(born[0]), when.append(born[1])
        weights = a  # only the first event is of the other kind
    return np.concatenate(who), np.concatenate(when)


@pytest.mark.parametrize("objective", ["contrast", "likelihood"])
def test_simulated_parameters_are_recovered(objective):
    decays, H, span = np.array([2.0, 0.2]), 1e6, 10.0
    theta = np.array([0.3, 0.3, 0.2, 0.4, 0.3])  # a, c, μ
    user, when = simulate(5000, span, decays, theta, seed=0)
    log = log_of((when * H).astype(np.int64), user)
    requests = Requests.at(log, span * H)
    model = Hawkes(2, shortest=0.5, longest=5.0, objective=objective).fit(requests, horizon=H)
    np.testing.assert_allclose(model.decays_, decays)
    assert model.kernel_norm == pytest.approx(0.6, rel=0.1)
    np.testing.assert_allclose(model.weights_[:2], theta[:2], rtol=0.1)  # a
    error = standard_errors(requests, decays, H, theta, objective)
    assert (np.abs(model.weights_ - theta) < 4 * error).all()


def standard_errors(requests, decays, horizon, theta, objective):
    """Of θ, to first order at the truth: by the information of the events, or its sandwich."""
    seen = explained(requests, decays, horizon)
    rate = seen.phi @ theta
    if objective == "likelihood":
        information = (seen.phi * (seen.events / rate**2)[:, None]).T @ seen.phi
        return np.sqrt(np.diag(np.linalg.inv(information)))
    inverse = np.linalg.inv(contrast(requests, decays, horizon).G)
    spread = (seen.phi * seen.events[:, None]).T @ seen.phi
    return np.sqrt(np.diag(inverse @ spread @ inverse))


# --- the unit of time, and what cannot be learnt ----------------------------------------------


def test_no_scale_is_below_the_resolution_of_the_times():
    log = log_of([0, 60, 60, 180, 0, 120], ["a"] * 4 + ["b"] * 2)
    requests = Requests.at(log, 200.0)
    assert shortest_gap(requests) == 60.0
    assert shortest_gap(requests.take([1])) == 120.0
    apart = log_of([0, 60, 61, 200], ["a", "a", "b", "b"])  # not from one user to the next
    assert shortest_gap(Requests.at(apart, 300.0)) == 60.0
    model = Hawkes(5, shortest=1e-6, longest=10.0).fit(requests, horizon=600.0)
    assert model.decays_.max() == pytest.approx(10.0) and len(model.decays_) < 5


def test_times_that_are_all_one_are_refused():
    requests = Requests.at(log_of([5, 5, 9], ["a", "a", "b"]), 10.0)
    with pytest.raises(MakedoInputError, match="two different times"):
        Hawkes().fit(requests, horizon=10.0)


def test_without_a_finite_cut_off_nothing_can_be_learnt():
    with pytest.raises(MakedoInputError, match="finite cut-off"):
        Hawkes().fit(Requests.at(log_of([1, 2, 3]), np.inf), horizon=10.0)
