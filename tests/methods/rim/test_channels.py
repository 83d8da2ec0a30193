"""Further channels of events for Hawkes-Poisson, and the campaigns of Complete Journey."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from makedo.core.checks import MakedoInputError
from makedo.data.interactions import InteractionLog, Requests
from makedo.data.log_sets import find_log
from makedo.methods.rim import HawkesPoisson
from makedo.methods.rim.hawkes import activity
from makedo.methods.rim.reproduce import campaigns

DAY = 86_400.0
T = 100 * DAY


def two_logs(seed=0, n_users=800):
    """Purchases that say nothing, and coupons whose recent use says how many will be used."""
    rng = np.random.default_rng(seed)
    keen = rng.gamma(0.5, 1.0, n_users)
    frames = []
    for rate, until in ((np.full(n_users, 6.0), 100), (6 * keen, 128)):
        user = np.repeat(np.arange(n_users), rng.poisson(rate * until / 100))
        time = (rng.random(len(user)) * until * DAY).astype(np.int64)
        frames.append(pd.DataFrame({"user_id": user, "item_id": 0, "timestamp": time}))
    return tuple(InteractionLog.read(f.drop_duplicates()) for f in frames)


@pytest.fixture(scope="module")
def logs():
    return two_logs()


@pytest.fixture(scope="module")
def asked(logs):
    return Requests.at(logs[0], T)


def test_the_same_users_stand_in_another_log_by_id(logs, asked):
    there = asked.in_log(logs[1])
    assert there.user_ids.equals(asked.user_ids) and (there.time == asked.time).all()
    known = there.user >= 0
    assert (logs[1].users[there.user[known]] == asked.user_ids[known]).all()
    absent = asked.user_ids[~known]
    assert len(absent) and not absent.isin(logs[1].users).any()
    assert (there.lengths[~known] == 0).all()


def test_weights_of_all_channels_are_those_of_the_regression_on_all_sums(logs, asked):
    coupons = asked.in_log(logs[1])
    n = coupons.counts(28 * DAY)
    model = HawkesPoisson(3, shortest=0.1, penalty=0.01)
    model.fit(asked, n, 28 * DAY, channels=[coupons])
    parts = [
        activity(one, d, 28 * DAY).features(d)[:, :-1]
        for one, d in ((asked, model.decays_), (coupons, model.channel_decays_[0]))
    ]
    phi = np.hstack([*parts, np.ones((len(n), 1))])
    free = np.r_[np.full(phi.shape[1] - 1, 0.01), 0]

    def loss(w):
        rate = phi @ w + 1e-10
        value = rate.mean() - (n * np.log(rate)).mean() + 0.5 * (free * w) @ w
        return value, (phi * (1 - n / rate)[:, None]).mean(0) + free * w

    start = np.r_[np.zeros(len(free) - 1), n.mean()]
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(free))
    assert loss(model.weights_)[0] <= best.fun + 1e-6
    np.testing.assert_allclose(
        model.predict(asked, channels=[coupons]), phi @ model.weights_, rtol=1e-6
    )


def test_a_second_channel_finds_whom_the_first_cannot(logs, asked):
    coupons = asked.in_log(logs[1])
    n = coupons.counts(28 * DAY)
    alone = HawkesPoisson().fit(asked, n, 28 * DAY).predict(asked)
    both = HawkesPoisson().fit(asked, n, 28 * DAY, channels=[coupons])
    found = both.predict(asked, channels=[coupons])
    assert campaigns.auc(n > 0, alone) < 0.6 and campaigns.auc(n > 0, found) > 0.7
    assert found.sum() == pytest.approx(n.sum(), rel=0.02)  # expected are as many as came


def test_without_channels_nothing_is_new(logs, asked):
    counts = Requests.at(logs[0], T - 28 * DAY).counts(28 * DAY)
    one = HawkesPoisson().fit(Requests.at(logs[0], T - 28 * DAY), counts, 28 * DAY)
    live = one.rate(one.live(asked).at(asked.time, asked.user))
    np.testing.assert_allclose(one.predict(asked), live, rtol=1e-6)


def test_channels_that_do_not_fit_are_refused(logs, asked):
    coupons = asked.in_log(logs[1])
    n = coupons.counts(28 * DAY)
    model = HawkesPoisson().fit(asked, n, 28 * DAY, channels=[coupons])
    with pytest.raises(MakedoInputError, match="fit saw 1 channel beside the log. Got 0"):
        model.predict(asked)
    with pytest.raises(MakedoInputError, match="same users at the same times"):
        model.predict(asked, channels=[coupons.take(np.arange(5))])
    late = Requests(coupons.log, coupons.user, coupons.time + 1, None, coupons.ids)
    with pytest.raises(MakedoInputError, match="same users at the same times"):
        HawkesPoisson().fit(asked, n, 28 * DAY, channels=[late])


# --- campaigns ------------------------------------------------------------------------------------


def test_auc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    truth, score = rng.random(60) < 0.3, rng.integers(0, 8, 60).astype(float)
    better = score[truth][:, None] - score[~truth]
    assert campaigns.auc(truth, score) == pytest.approx(((better > 0) + (better == 0) / 2).mean())


def test_the_first_fifth_shares_its_border_among_equals():
    truth = np.array([1, 0, 1, 0, 0, 0, 0, 0, 0, 0], bool)
    assert campaigns.first_fifth(truth, np.arange(10.0)[::-1]).mean() == pytest.approx(0.5)
    assert campaigns.first_fifth(truth, np.zeros(10)).mean() == pytest.approx(0.2)
    random = np.random.default_rng(0).random(100)
    assert campaigns.first_fifth(np.ones(100, bool), random).mean() == pytest.approx(0.2)


@pytest.mark.realdata
@pytest.mark.skipif(find_log("completejourney") is None, reason="completejourney is not here")
def test_two_campaigns_of_three_are_ranked_better_by_channels_than_by_any_one_figure():
    one_figure = tuple(campaigns.SPECIFIED)
    wins = 0
    for i, number in enumerate(campaigns.CAMPAIGNS):
        one = campaigns.campaign(number)
        assert (
            one.windows.time + one.length <= one.start + 1e-6
        ).all()  # nothing from the start on
        specified = max(campaigns.SPECIFIED[name][i] for name in one_figure)
        best = campaigns.auc(one.redeemed, campaigns.SCORES["HP, all three channels"](one))
        wins += best >= specified
        for name in one_figure:
            found = campaigns.auc(one.redeemed, campaigns.SCORES[name](one))
            assert found == pytest.approx(campaigns.SPECIFIED[name][i], abs=0.001)
    assert wins >= 2
