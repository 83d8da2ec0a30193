"""Splits look at nothing after a cut-off, and say what cannot be split."""

import numpy as np
import pandas as pd
import pytest

from makedo.core.checks import MakedoInputError
from makedo.data.interaction_splits import temporal_split, user_split
from makedo.data.interactions import InteractionLog
from makedo.data.log_sets import find_log

START = 1_500_000_000


def table(n=400, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "user_id": rng.integers(20, size=n),
            "item_id": rng.integers(30, size=n),
            "timestamp": START + rng.integers(1000, size=n),
        }
    ).drop_duplicates()


@pytest.fixture
def log():
    return InteractionLog.read(table())


def test_a_temporal_split_learns_before_its_cut_and_tests_the_horizon_after(log):
    split = temporal_split(log, START + 700, 100, n_valid=2)
    train = split.train_log
    assert np.array_equal(np.sort(train.time), np.sort(log.time[log.time < START + 700]))
    assert split.train.history()[1].size == len(train)
    _, tested = split.test.window(split.horizon)
    assert np.array_equal(
        np.sort(tested),
        np.flatnonzero((log.time >= START + 700) & (log.time < START + 800)),
    )
    assert [one.time[0] for one in split.valid] == [START + 600, START + 500]
    for one, begin in zip(split.valid, (600, 500), strict=True):
        times = log.time[one.window(split.valid_horizon)[1]]
        assert (times >= START + begin).all() and (times < START + begin + 100).all()


def test_windows_of_validation_may_have_another_length(log):
    split = temporal_split(log, START + 700, 100, n_valid=3, valid_horizon=40)
    assert [one.time[0] - START for one in split.valid] == [660, 620, 580]
    assert (split.horizon, split.valid_horizon) == (100, 40)


def test_no_window_of_validation_begins_with_the_log():
    """Nobody would have a history there."""
    log = InteractionLog.read(table())
    T = float(log.time.min()) + 200
    with pytest.raises(MakedoInputError, match="leaves no history"):
        temporal_split(log, T, 100, n_valid=2)
    assert len(temporal_split(log, T + 1, 100, n_valid=2).valid[1])


def test_rare_items_and_users_without_history_are_left_out_by_their_past_alone(log):
    T = START + 60
    split = temporal_split(log, T, 100, n_valid=0, min_user_len=2, min_item_len=3)
    past = table().query("timestamp < @T")
    users, items = past["user_id"].value_counts(), past["item_id"].value_counts()
    assert set(split.test.user_ids) == set(users.index[users >= 2])
    assert set(log.items[split.test.candidates]) == set(items.index[items >= 3])
    late = InteractionLog.read(
        pd.concat([table(), pd.DataFrame({"user_id": 1, "item_id": 1, "timestamp": [T + 1]})])
    )
    again = temporal_split(late, T, 100, n_valid=0, min_user_len=2, min_item_len=3)
    assert np.array_equal(again.test.candidates, split.test.candidates)


def test_a_user_split_gives_all_of_one_half_and_the_beginning_of_the_other(log):
    known = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    split = user_split(log, train_users=known)
    spans = table().groupby("user_id")["timestamp"].agg(lambda t: t.max() - t.min())
    assert split.horizon == spans.median()
    first = table().groupby("user_id")["timestamp"].min()
    assert set(split.test.user_ids) == set(range(1, 20, 2))
    assert np.array_equal(split.test.time, first[split.test.user_ids] + split.horizon)
    assert set(split.valid[0].user_ids) == set(known)
    own = np.isin(log.users[split.train.user], known)
    assert np.isinf(split.train.time[own]).all() and np.isfinite(split.train.time[~own]).all()


def test_a_random_half_is_drawn_from_the_seed(log):
    halves = [set(user_split(log, random_state=seed).test.user_ids) for seed in (0, 0, 1)]
    assert halves[0] == halves[1] != halves[2] and len(halves[0]) == 10


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (lambda log: temporal_split(log, START + 5000, 100), "nothing to test on"),
        (lambda log: temporal_split(log, START - 5, 100), "no event before the test start"),
        (lambda log: temporal_split(log, START + 700, 0), "longer than 0"),
        (lambda log: temporal_split(log, START + 700, "soon"), "no length of time"),
        (lambda log: temporal_split(log, "soon", 10), "is no time"),
        (lambda log: temporal_split(log, START + 200, 100, n_valid=2), "leaves no history"),
        (lambda log: temporal_split(log, START + 500, 100, min_item_len=999), "No item has 999"),
        (lambda log: user_split(log, train_users=[77]), "1 user not in the log .first: 77"),
        (lambda log: user_split(log, train_users=range(20)), "no user is left"),
        (lambda log: user_split(log, horizon=-1), "longer than 0"),
    ],
)
def test_what_cannot_be_split_is_said_in_one_line(log, split, words):
    with pytest.raises(MakedoInputError, match=words) as caught:
        split(log)
    assert "\n" not in str(caught.value)


def test_no_horizon_follows_from_events_at_one_time():
    once = table().assign(timestamp=START).drop_duplicates()
    with pytest.raises(MakedoInputError, match="Give horizon="):
        user_split(InteractionLog.read(once))


@pytest.mark.realdata
@pytest.mark.skipif(find_log("ml-100k") is None, reason="ml-100k is not here")
def test_the_splits_of_the_tables_are_those_that_were_measured():
    from makedo.methods.rim.reproduce.protocols import movielens

    for filtered, n_items in ((1, 1557), (0, 1619)):
        protocol = movielens(filtered)
        assert protocol.targets.shape == (471, n_items)
        assert protocol.split.horizon == 1130
    assert movielens(1).targets.nnz == 2751
