"""Users who come one by one: served at the prices of the plan, with decisions that are final."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from makedo import BudgetMatcher
from makedo.core.checks import MakedoInputError
from makedo.methods.rim import InteractionLog, Requests

RNG = np.random.default_rng(0)
S = RNG.pareto(1.1, (200, 30)).astype(np.float32)


def test_frozen_prices_serve_the_same_users_nearly_as_the_plan_did():
    m = BudgetMatcher(2, 5, 20).fit(S)
    online = m.transform(S, adaptive=False)
    assert online["score"].sum() >= 0.97 * m.value_
    assert m.delivered(online)["delivered"].max() <= 20


@pytest.mark.parametrize("how", [{"adaptive": False}, {}, {"step": 1.0}, {"rescale": True}])
def test_hard_limits_hold_online(how):
    later = np.random.default_rng(1).pareto(1.1, (300, 30)) * 5
    m = BudgetMatcher(2, item_max=18, budget=230.0, item_cost=RNG.random(30)).fit(S)
    serving = m.serving(300, **how)
    online = serving.serve_all(later)
    counts = m.delivered(online)["delivered"]
    assert counts.max() <= 18 and serving.spent <= 230
    assert (serving.delivered == counts).all()
    assert online.groupby("user_id").size().max() <= 2
    assert not online.duplicated(["user_id", "item_id"]).any()


def test_adaptive_prices_keep_promises_that_drift_breaks():
    """Scores of later users are ten times larger, as a model's that was fitted anew."""
    rng = np.random.default_rng(2)
    taste = rng.pareto(1.2, 30)
    first, later = (rng.pareto(1.5, (300, 1)) * taste * rng.random((300, 30)) for _ in range(2))
    m = BudgetMatcher(2, 10).fit(first)
    share = {}
    for name, how in {"frozen": {"adaptive": False}, "adaptive": {"rescale": False},
                      "rescaled": {}}.items():  # fmt: skip
        serving = m.serving(300, **how)
        serving.serve_all(10 * later)
        share[name] = serving.delivered_share
    assert share["frozen"] < 0.6 and share["adaptive"] >= 0.99 and share["rescaled"] >= 0.99


def test_more_users_than_planned_are_served_to_the_end():
    for low in (None, 2):
        serving = BudgetMatcher(2, low).fit(S).serving(50)
        given = [len(serving.serve(scores)) for scores in S]
        assert given[51:] == [2] * 149 and serving.delivered_share == 1


def test_a_forbidden_pair_of_no_value_stays_forbidden_online():
    closed = np.where(S < 1, -np.inf, S)
    value = np.r_[0.0, np.ones(199)]
    online = BudgetMatcher(1, user_value=value).fit(closed).transform(closed)
    assert np.isfinite(closed[online["user_id"], online["item_id"]]).all()


def test_items_that_nobody_can_tell_apart_take_turns():
    s = np.outer(np.random.default_rng(0).pareto(1.5, 300) + 0.1, np.r_[5.0, np.ones(29)])
    m = BudgetMatcher(2, 8).fit(s)
    for adaptive in (False, True):
        counts = m.delivered(m.transform(s, adaptive=adaptive))["delivered"]
        assert np.minimum(counts, 8).sum() >= 0.9 * 240


def test_users_are_served_one_by_one_as_all_together():
    m = BudgetMatcher(2, 5, 20).fit(pd.DataFrame(S, columns=[f"i{j}" for j in range(30)]))
    together, alone = m.serving(), m.serving()
    rows = together.serve_all(pd.DataFrame(S, columns=[f"i{j}" for j in range(30)]))
    given = [alone.serve(scores) for scores in S]
    assert rows["item_id"].tolist() == [item for items in given for item in items]
    assert alone.n_served == 200 and alone.delivered_share == together.delivered_share
    assert set(alone.prices.index) == {f"i{j}" for j in range(30)}


def test_items_of_later_scores_may_stand_in_another_order():
    frame = pd.DataFrame(S)
    m = BudgetMatcher(2, 5, 20).fit(frame)
    other = frame.iloc[:, RNG.permutation(30)].assign(new=1e9)
    pd.testing.assert_frame_equal(m.transform(other), m.transform(frame))


def test_adaptive_prices_are_the_sum_of_their_steps():
    m = BudgetMatcher(2, 5, 20).fit(S)
    serving, step = m.serving(step=0.2), 0.2
    dear = np.maximum(m.prices_["price"].to_numpy() / m.unit_, 0)
    ahead = np.zeros(30)
    for scores in S[:40]:
        items = serving.serve(scores)
        ahead += np.isin(np.arange(30), items) - 20 / 200
    prices = serving.prices.to_numpy() / m.unit_
    met = serving.delivered >= 5
    np.testing.assert_allclose(prices[met], np.maximum(dear + step * ahead, 0)[met], atol=1e-9)


def test_adaptive_prices_pay_more_towards_a_minimum_the_further_it_is_behind():
    m = BudgetMatcher(2, 9).fit(S)
    serving, paid = m.serving(step=0.2), np.maximum(-m.prices_["price"].to_numpy() / m.unit_, 0)
    counts = np.zeros(30)
    for scores in S[:60]:
        counts += np.isin(np.arange(30), serving.serve(scores))
        behind = 9 * serving.n_served / 200 - counts
        expected = np.where(counts < 9, np.maximum(paid + 0.2 * behind, 0), 0)
        np.testing.assert_allclose(serving.prices / m.unit_, -expected, atol=1e-9)


def test_contacts_online_are_worth_and_cost_what_users_and_items_do():
    rng = np.random.default_rng(6)
    user_value, item_value, user_cost, item_cost = (rng.random(n) + 0.5 for n in (200, 30) * 2)
    m = BudgetMatcher(2, budget=150.0, user_value=user_value, item_value=item_value,
                      user_cost=user_cost, item_cost=item_cost).fit(S)  # fmt: skip
    serving = m.serving(200, adaptive=False)
    online = serving.serve_all(S)
    user, item = online["user_id"].to_numpy(), online["item_id"].to_numpy()
    np.testing.assert_allclose(online["score"], S[user, item] * user_value[user] * item_value[item])
    assert 140 < serving.spent <= 150
    assert serving.spent == pytest.approx((user_cost[user] + item_cost[item]).sum())


def test_promises_are_kept_even_if_nobody_who_comes_likes_anything():
    """Nothing is worth its price to anyone; the last ones get what is promised all the same."""
    serving = BudgetMatcher(1, 5).fit(S).serving(200)
    serving.serve_all(S - 1e4)
    assert (serving.delivered == 5).all() and serving.n_served == 200


def test_who_comes_first_is_served_first():
    """Whatever the order of rows: of an item that one user may have, and in the plan's order."""
    log = InteractionLog.read(pd.DataFrame({"user_id": ["a", "b", "c"], "item_id": "x",
                                            "timestamp": 1_500_000_000}))  # fmt: skip
    requests = Requests.at(log, 1_500_000_000 + np.array([30, 10, 20]), ["a", "b", "c"])
    scores, items = np.ones((3, 1)), ["x"]
    one = BudgetMatcher(1, item_max=1).fit(np.ones((1, 1)), items=items)
    assert one.transform(scores, requests)["user_id"].tolist() == ["b"]
    everybody = BudgetMatcher(1).fit(scores, requests).transform(scores, requests)
    assert everybody["user_id"].tolist() == ["b", "c", "a"]


def of_a_taste():
    """Scores of users who differ in activity and agree on what is good."""
    rng = np.random.default_rng(2)
    return rng.pareto(1.5, (300, 1)) * rng.pareto(1.2, 30) * rng.random((300, 30))


def test_what_is_paid_towards_a_minimum_ends_when_it_is_there():
    s = of_a_taste()
    m = BudgetMatcher(2, 9).fit(s)
    serving, paid = m.serving(adaptive=False), np.minimum(m.prices_["price"].to_numpy(), 0)
    for scores in s:
        serving.serve(scores)
        expected = np.where(serving.delivered < 9, paid, 0)
        np.testing.assert_allclose(serving.prices, expected, atol=1e-9)
    assert (paid[serving.delivered >= 9] < 0).any()


def test_frozen_prices_of_rescaled_scores_follow_a_drift_in_scale():
    s = of_a_taste()
    m = BudgetMatcher(2, 9).fit(s)
    shares = []
    for factor, rescale in ((1, False), (20, False), (20, True)):
        serving = m.serving(adaptive=False, rescale=rescale)
        serving.serve_all(s * factor)
        shares.append(serving.delivered_share)
    assert shares[0] > 0.9 and shares[1] < 0.7 and shares[2] > shares[1] + 0.1, shares


FEW = np.where(np.random.default_rng(3).random((200, 30)) < 0.08, S, -np.inf)  # none to six pairs
PRECIOUS = S * np.r_[np.full(3, 100.0), np.ones(27)]
INACTIVE = S * (np.arange(200)[:, None] % 3 == 0)  # two of three users
SAME = {
    "few pairs": ({"user_max": 5}, FEW, FEW),
    "few pairs in a list": ({"user_max": 5}, sp.csr_matrix(np.where(FEW > 0, FEW, 0)), FEW),
    "other maxima": ({"user_max": np.repeat([0, 1, 2, 9], 50)}, S, S),
    "most are barred": ({"user_max": np.repeat([0, 3], [140, 60])}, S, S),
    "users who were barred": ({"user_max": {i: 2 * (i % 2) for i in range(200)}},
                              S * np.tile([[9.0], [1.0]], (100, 1)), S),
    "no maximum": ({"user_max": np.inf, "item_max": 20}, S, S),
    "too dear": ({"budget": 50.0, "item_cost": dict.fromkeys(range(3), 60.0)}, PRECIOUS, PRECIOUS),
    "fewer inactive users": ({}, INACTIVE, np.tile(INACTIVE[::3], (3, 1))),
    "below 0": ({"user_max": 9}, S - 1, S - 1),
}  # fmt: skip


def scale_after(m, scores, **how):
    serving = m.serving(200, **how)
    serving.serve_all(scores)
    return serving.scale


@pytest.mark.parametrize("all_pairs", [10**6, 100])
@pytest.mark.parametrize("case", SAME)
def test_no_drift_is_seen_where_there_is_none_and_drift_where_there_is(
    case, all_pairs, monkeypatch
):
    """The same users come again, then with all scores twenty times as large."""
    monkeypatch.setattr("makedo.methods.rim.offers.ALL_PAIRS", all_pairs)
    monkeypatch.setattr("makedo.methods.rim.offers.MORE", 2)
    parameters, first, later = SAME[case]
    m = BudgetMatcher(**parameters).fit(first)
    assert scale_after(m, later) == pytest.approx(1, abs=1e-5)
    seen = -np.log(scale_after(m, 20 * later)) / np.log(20)
    assert 0.5 < seen < 0.81  # n users of n + 50 are believed; some have no pair


def test_how_many_a_user_may_get_is_no_drift():
    serving = BudgetMatcher(5).fit(S).serving()
    for i, scores in enumerate(S):
        serving.serve(scores, user_max=1 + i % 4)
    assert serving.scale == pytest.approx(1, abs=1e-5)


def test_a_drift_is_believed_the_more_the_more_users_show_it():
    alike = np.tile(S[0], (60, 1))
    serving, seen = BudgetMatcher(2).fit(alike).serving(), []
    for scores in 7 * alike:
        serving.serve(scores)
        seen.append(serving.scale)
    n = np.arange(1, 61)
    np.testing.assert_allclose(seen, 7.0 ** (-n / (n + 50)), rtol=1e-5)


def test_scores_are_rescaled_where_prices_adapt_unless_it_is_said_otherwise():
    m = BudgetMatcher(2, 5).fit(S)
    assert scale_after(m, 20 * S) < 0.1 and scale_after(m, 20 * S, rescale=False) == 1
    assert scale_after(m, 20 * S, adaptive=False) == 1
    assert scale_after(m, 20 * S, adaptive=False, rescale=True) < 0.1


def test_rows_have_scores_as_they_were_given_and_prices_in_their_unit():
    m = BudgetMatcher(2, item_max=10).fit(S)
    online = m.transform(20 * S, adaptive=False, rescale=True)
    user, item = online["user_id"].to_numpy(), online["item_id"].to_numpy()
    np.testing.assert_allclose(online["score"], 20 * S[user, item])
    price = m.prices_["price"].to_numpy()
    np.testing.assert_allclose(online["price"], price[item], atol=1e-9)
    assert price.max() > 0.1 and m.unit_ > 2


def test_transform_counts_on_the_users_that_it_is_given():
    m = BudgetMatcher(2, 2, 40).fit(S)
    online = m.transform(S[:50])
    pd.testing.assert_frame_equal(online, m.serving(50).serve_all(S[:50]))
    assert m.serving().n_users == 200 and not m.serving().serve_all(S[:50]).equals(online)


def test_items_that_are_not_of_the_campaign_are_not_counted():
    m = BudgetMatcher(2).fit(S, items=[f"i{j}" for j in range(30)])
    counts = m.delivered(pd.DataFrame({"item_id": ["i3", "zzz", "i3"]})).set_index("item_id")
    assert counts["delivered"].sum() == counts.loc["i3", "delivered"] == 2


def test_the_price_of_money_rises_when_it_is_spent_too_fast():
    dear = S * np.r_[np.full(100, 20.0), np.ones(100)][:, None]  # those who come first
    m = BudgetMatcher(2, budget=100.0).fit(S)
    spent = {}
    for adaptive in (False, True):
        serving = m.serving(200, adaptive=adaptive, rescale=False)
        serving.serve_all(dear[:60])
        spent[adaptive] = serving.spent
    assert spent[False] == 100 and spent[True] < 90


def test_money_that_is_left_goes_to_what_it_pays_for():
    """The item that is liked most costs more than is left after the first user."""
    serving = BudgetMatcher(1, budget=5.0, item_cost=[4.0, 1.0]).fit([[2.0, 1.0]]).serving()
    assert [serving.serve([2.0, 1.0]).tolist() for _ in range(3)] == [[0], [1], []]


def test_sums_of_costs_may_be_rounded_online():
    """Three times 0.1 is a little more than 0.3."""
    m = BudgetMatcher(1, budget=0.3, item_cost=0.1).fit(np.ones((3, 1)))
    assert len(m.transform(np.ones((3, 1)))) == 3


def test_money_that_is_not_spent_is_no_reason_to_give_what_is_worth_nothing():
    m = BudgetMatcher(2, budget=100.0).fit(S)
    serving = m.serving(200)
    serving.serve_all(np.full((150, 30), -np.inf))
    assert m.budget_price_ > 0 and not len(serving.serve(np.full(30, -2 * m.unit_)))


def test_prices_rest_when_all_came_that_were_counted_on():
    for campaign in (BudgetMatcher(2, item_max=10), BudgetMatcher(2, budget=100.0)):
        serving = campaign.fit(S).serving(200)
        serving.serve_all(S)
        prices, money = serving.prices, serving._money_price()
        assert (prices > 0).any() or money > 0
        serving.serve_all(np.full((50, 30), -np.inf))
        pd.testing.assert_series_equal(serving.prices, prices)
        assert serving._money_price() == money


def test_what_serving_cannot_use_is_refused():
    m = BudgetMatcher(2).fit(S)
    with pytest.raises(MakedoInputError, match="30 numbers"):
        m.serving().serve(S[0, :5])
    for wrong in (["a"] * 30, np.r_[np.inf, S[0, 1:]]):
        with pytest.raises(MakedoInputError, match="30 numbers"):
            m.serving().serve(wrong)
    for name, wrong in (("user_max", -1), ("user_max", 1.5), ("user_cost", -1.0)):
        with pytest.raises(MakedoInputError, match=f"serve: {name} must be"):
            m.serving().serve(S[0], **{name: wrong})
    with pytest.raises(MakedoInputError, match="lack 10 items of the plan"):
        m.transform(S[:, :20])
    with pytest.raises(MakedoInputError, match="n_users must be"):
        m.serving(0)
    with pytest.raises(MakedoInputError, match="step must be"):
        m.serving(step=0.0)
    with pytest.raises(MakedoInputError, match="user_max differs"):
        BudgetMatcher([2] * 200).fit(S).serving().serve(S[0])
