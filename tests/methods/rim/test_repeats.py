"""Own past mixed with the chances of a model: the formula, lists, and how far it is taken."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from makedo.data.interactions import InteractionLog, Requests
from makedo.methods.rim import EASE, RIM, EASERepeat, ItemPopularity, PersonalRepeat
from makedo.methods.rim.marks import histories
from makedo.methods.rim.repeats import NO_PAST, OwnPast, held_out, learn_own_past
from makedo.methods.rim.scores import LINKS, ScoreOperator

DAY = 86_400


def make_log(n_users, n_items, n_events, seed=0):
    rng = np.random.default_rng(seed)
    user = np.r_[np.arange(n_users), rng.integers(0, n_users, n_events)]
    item = np.r_[np.arange(n_users) % n_items, rng.geometric(0.1, n_events) % n_items]
    frame = {"user_id": user, "item_id": item, "timestamp": DAY * rng.integers(0, 60, len(user))}
    return InteractionLog.read(pd.DataFrame(frame).drop_duplicates())


@pytest.fixture(scope="module")
def requests():
    return Requests.at(make_log(60, 20, 900), 50.0 * DAY)


@pytest.mark.parametrize("link", LINKS)
def test_a_term_beside_the_link_is_added_to_what_the_link_gives(link):
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(30, 4)), rng.normal(size=(25, 4))
    beside = rng.random((30, 25)) * (rng.random((30, 25)) < 0.2)
    r = rng.normal(size=30)
    plain = ScoreOperator((30, 25), users, items, link=link, log_scale=r)
    import scipy.sparse as sp

    both = ScoreOperator(
        (30, 25), users, items, link=link, log_scale=r, beside=sp.csr_matrix(beside)
    )
    expected = plain.to_dense() + np.exp(r)[:, None] * beside
    np.testing.assert_allclose(both.to_dense(), expected, rtol=2e-5, atol=1e-6)
    some = both.take(np.array([3, 1]), np.array([7, 2, 9])).to_dense()
    np.testing.assert_allclose(some, expected[[3, 1]][:, [7, 2, 9]], rtol=2e-5, atol=1e-6)
    by_row, by_column = both.top_both(5, 6)
    for lists, matrix in ((by_row, expected), (by_column, expected.T)):
        best = -np.sort(-matrix, axis=1)[:, : lists.index.shape[1]]
        np.testing.assert_allclose(lists.score, best, rtol=2e-5, atol=1e-6)
        named = np.take_along_axis(matrix, lists.index.astype(int), 1)
        np.testing.assert_allclose(named, best, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("base", [ItemPopularity, EASE])
def test_the_mixture_is_its_formula_and_sums_to_one(base, requests):
    p = base().fit(requests, 7 * DAY).scores(requests)
    counts = histories(requests, 20, 3 * 7 * DAY).toarray().astype(float)
    mixed = OwnPast(3.0, 10.0).mixed(p, requests, 7 * DAY).to_dense()
    expected = (counts + 10 * p.to_dense()) / (counts.sum(1, keepdims=True) + 10)
    np.testing.assert_allclose(mixed, expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(mixed.sum(1), 1, rtol=1e-4)
    assert NO_PAST.mixed(p, requests, 7 * DAY) is p


def test_on_popularity_it_is_personal_repeat(requests):
    p = ItemPopularity().fit(requests, 7 * DAY).scores(requests)
    mixed = OwnPast(3.0, 5.0).mixed(p, requests, 7 * DAY).to_dense()
    own = PersonalRepeat(3.0, backoff=5.0).fit(requests, 7 * DAY).scores(requests).to_dense()
    np.testing.assert_allclose(mixed, own, rtol=1e-4)


def repeating_log(own_share, n_users=150, n_items=60, seed=0):
    """Each day a user takes one of three things of the own, or else anything."""
    rng = np.random.default_rng(seed)
    own = rng.integers(0, n_items, (n_users, 3))
    rows = []
    for user in range(n_users):
        mine = rng.random(40) < own_share
        item = np.where(mine, own[user, rng.integers(0, 3, 40)], rng.integers(0, n_items, 40))
        rows.append(
            pd.DataFrame({"user_id": user, "item_id": item, "timestamp": DAY * np.arange(40)})
        )
    return Requests.at(InteractionLog.read(pd.concat(rows)), 40.0 * DAY)


def learnt(train):
    model = ItemPopularity().fit(train, 7 * DAY)
    held, _ = held_out(train, 0.5, 0)
    return learn_own_past(model.scores, held, 7 * DAY, np.random.default_rng(0))


def test_the_own_past_counts_where_people_repeat():
    assert np.isfinite(learnt(repeating_log(0.9)).backoff)
    once = repeating_log(0.9).log
    frame = pd.DataFrame({"user_id": once.user, "item_id": once.item, "timestamp": once.time})
    once = InteractionLog.read(frame.drop_duplicates(["user_id", "item_id"]))
    assert learnt(Requests.at(once, 40.0 * DAY)) == NO_PAST


def test_those_held_out_are_others_than_those_learnt_from(requests):
    held, others = held_out(requests, 0.2, 0)
    assert len(held) == 12 and len(held) + len(others) == len(requests)
    assert not set(held.user) & set(others.user)
    assert set(held_out(requests, 0.2, 1)[0].user) != set(held.user)


def test_nothing_after_the_cut_offs_says_how_far_the_own_past_counts():
    train = repeating_log(0.6)
    early = Requests(train.log, train.user, np.full(len(train), 25.0 * DAY))
    cut = Requests(train.log.before(25.0 * DAY), train.user, early.time)
    assert learnt(early) == learnt(cut)


def test_ease_with_the_own_past_beats_both_where_both_matter():
    """Things of two kinds go together, and people repeat: each alone misses a half."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(300):
        taste, own = rng.integers(6), rng.integers(0, 60, 2)
        for day in range(40):
            pick = own[rng.integers(2)] if rng.random() < 0.5 else 10 * taste + rng.integers(10)
            rows.append((user, pick, day * DAY))
    log = InteractionLog.read(pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]))
    train = Requests.at(log, 33.0 * DAY)
    asked = train
    truth = asked.targets(7 * DAY).toarray()

    def precision(marks):
        lists = marks.fit(train, 7 * DAY).scores(asked).top_items(6).index
        return np.take_along_axis(truth, lists.astype(int), 1).mean()

    both = precision(EASERepeat(valid_share=0.2, random_state=1))
    assert both > precision(EASE()) + 0.02 and both >= precision(PersonalRepeat()) - 0.01


def test_it_is_saved_and_loaded_and_known_by_name(requests, tmp_path):
    import makedo

    model = RIM("ease_repeat", horizon="7D", random_state=3).fit(requests.log)
    assert model.marks_.random_state == 3
    model.save(tmp_path / "model")
    again = makedo.load(tmp_path / "model")
    pd.testing.assert_frame_equal(model.recommend_items(top_k=5), again.recommend_items(top_k=5))
