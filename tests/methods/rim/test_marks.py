"""Models of what is chosen: closed forms by a second road, distributions, histories not seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from makedo.core.checks import MakedoInputError
from makedo.data.interactions import InteractionLog, Requests
from makedo.methods.rim.marks import EASE, NAMES, ItemKNN, ItemPopularity, PersonalRepeat, histories


def make_log(n_users, n_items, n_events, seed=0):
    rng = np.random.default_rng(seed)
    user = np.r_[np.arange(n_users), rng.integers(0, n_users, n_events)]
    item = np.r_[np.arange(n_users) % n_items, rng.geometric(0.1, n_events) % n_items]
    frame = {"user_id": user, "item_id": item, "timestamp": rng.integers(0, 1000, len(user))}
    return InteractionLog.read(pd.DataFrame(frame).drop_duplicates())


TALL, WIDE = (60, 20, 500), (15, 40, 200)


@pytest.fixture(params=[TALL, WIDE], ids=["more users", "more items"])
def requests(request):
    return Requests.at(make_log(*request.param), 800.0)


@pytest.mark.parametrize("name", NAMES)
def test_chances_of_a_row_sum_to_one_also_without_a_history(requests, name):
    model = NAMES[name]().fit(requests, 100.0)
    nobody = Requests(requests.log, np.array([-1, 3], np.int32), np.array([5.0, 900.0]))
    for asked in (requests, nobody):
        p = model.scores(asked).to_dense().astype(float)
        assert (p >= 0).all()
        np.testing.assert_allclose(p.sum(1), 1, rtol=1e-4)
    np.testing.assert_allclose(p[0], model.popularity_, rtol=1e-4)  # of somebody unknown


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_after_the_cut_offs_changes_no_score(requests, name):
    before = requests.log.before(800.0)
    known = Requests(before, requests.user, requests.time)
    a = NAMES[name]().fit(requests, 100.0).scores(requests).to_dense()
    b = NAMES[name]().fit(known, 100.0).scores(known).to_dense()
    assert (a == b).all()


def test_ease_is_its_closed_form_either_way(requests):
    X = histories(requests, requests.log.n_items).toarray().astype(float)
    P = np.linalg.inv(X.T @ X + 7.0 * np.eye(X.shape[1]))
    B = np.eye(X.shape[1]) - P / np.diag(P)
    raw = np.maximum(X @ B, 0)
    popularity = np.bincount(requests.log.item[requests.history()[1]], minlength=X.shape[1])
    popularity = popularity / popularity.sum()
    some = raw.sum(1, keepdims=True) > 0
    expected = np.where(some, 0.9 * raw / np.where(some, raw.sum(1, keepdims=True), 1), 0)
    expected += np.where(some, 0.1, 1.0) * popularity
    model = EASE(7.0, mixed=0.1).fit(requests)
    np.testing.assert_allclose(model.scores(requests).to_dense(), expected, rtol=1e-3, atol=1e-6)
    assert (model.items_ is None) == (X.shape[0] >= X.shape[1])


def test_ease_predicts_each_item_from_the_others_only():
    """B has a diagonal of zeros: leaving an item out of a history changes its score in nothing."""
    requests = Requests.at(make_log(*TALL), 800.0)
    B = EASE(7.0).fit(requests).weights_
    assert (np.diag(B) == 0).all()


def test_item_knn_is_the_sum_of_cosines_of_the_nearest(requests):
    X = histories(requests, requests.log.n_items).toarray().astype(float)
    norm = np.linalg.norm(X, axis=0)
    cosine = X.T @ X / np.maximum(np.outer(norm, norm), 1e-12)
    np.fill_diagonal(cosine, 0)
    order = np.lexsort((np.broadcast_to(np.arange(len(cosine)), cosine.shape), -cosine.round(6)))
    near = np.zeros_like(cosine)
    np.put_along_axis(near, order[:, :5], np.take_along_axis(cosine, order[:, :5], 1), 1)
    model = ItemKNN(5).fit(requests)
    np.testing.assert_allclose(model.neighbors_.toarray(), near, atol=1e-6)
    raw = X @ near.T
    found = model.scores(requests).to_dense()
    has = raw.sum(1) > 0
    expected = (1 - 1e-4) * raw[has] / raw[has].sum(1, keepdims=True) + 1e-4 * model.popularity_
    np.testing.assert_allclose(found[has], expected, rtol=1e-3, atol=1e-7)
    half = ItemKNN(5, mixed=0.5).fit(requests).scores(requests).to_dense()
    assert (half >= 0.499 * model.popularity_).all()


def test_personal_repeat_counts_with_decay(requests):
    log, model = requests.log, PersonalRepeat(2.0, backoff=3.0).fit(requests, 100.0)
    expected = np.tile(3.0 * model.popularity_.astype(float), (len(requests), 1))
    for row, (begin, stop) in enumerate(zip(requests.begin, requests.stop, strict=True)):
        for event in range(begin, stop):
            expected[row, log.item[event]] += np.exp(-(800.0 - log.time[event]) / 200.0)
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(model.scores(requests).to_dense(), expected, rtol=1e-5)


def test_popularity_is_the_share_of_training_events(requests):
    model = ItemPopularity().fit(requests)
    items = requests.log.item[requests.log.time < 800]
    counts = np.bincount(items, minlength=requests.log.n_items)
    np.testing.assert_allclose(model.popularity_, counts / counts.sum(), rtol=1e-6)


def test_items_that_come_later_are_left_out_of_histories():
    log = make_log(*TALL)
    model = EASE().fit(Requests.at(log, 800.0))
    new = pd.DataFrame({"user_id": [3], "item_id": [999], "timestamp": [900]})
    more = log.append(new)
    scores = model.scores(Requests.at(more, 1000.0))
    assert scores.shape == (more.n_users, log.n_items)
    alone = model.scores(Requests.at(log, 1000.0)).to_dense()
    assert (scores.to_dense() == alone).all()


def test_bad_parameters_and_empty_training_are_refused():
    requests = Requests.at(make_log(*TALL), 800.0)
    for bad in (
        EASE(0.0),
        EASE(mixed=1.0),
        ItemKNN(0),
        PersonalRepeat(0.0),
        PersonalRepeat(backoff=0),
    ):
        with pytest.raises(MakedoInputError, match="parameter .* must be"):
            bad.fit(requests)
    with pytest.raises(MakedoInputError, match="no event lies before the training cut-offs"):
        ItemPopularity().fit(Requests.at(requests.log, -np.inf))
