"""The tables' protocols: what is split, that nothing leaks, what figures must at least be."""

import numpy as np
import pandas as pd
import pytest

from makedo import RIM
from makedo.core.tables import Pair, Row
from makedo.data.interaction_splits import temporal_split
from makedo.data.interactions import InteractionLog
from makedo.data.log_sets import find_log
from makedo.methods.rim import reproduce
from makedo.methods.rim.ranking import rank
from makedo.methods.rim.reproduce import protocols, with_and_without

films = pytest.mark.skipif(find_log("ml-100k") is None, reason="ml-100k is not here")
groceries = pytest.mark.skipif(
    find_log("completejourney") is None, reason="completejourney is not here"
)
DAY, START = 86_400, 1_500_000_000


def test_listing_the_rows_loads_no_data_and_gives_them_twice_alike(monkeypatch):
    monkeypatch.delenv("MAKEDO_DATA", raising=False)
    for table in reproduce.tables():
        rows = list(reproduce.rows(table))
        assert all(isinstance(row, (Row, Pair)) for row in rows)
        places = [(row.table, row.data, row.row) for row in rows]
        assert len(set(places)) == len(places)
        assert places == [(r.table, r.data, r.row) for r in reproduce.rows(table, 3)]


def test_every_mark_stands_with_every_intensity_at_three_lengths_or_more():
    rows = [row.row for row in reproduce.rows("intensities") if row.data == "completejourney"]
    for mark in protocols.MARKS:
        assert mark in rows
        for rate in ("UserPop", "EMA", "Hawkes", "HP"):
            assert f"{mark} × {rate}" in rows and f"{mark} × {rate} over {mark}" in rows


def test_what_comes_after_the_test_begins_changes_nothing_that_was_learnt(table):
    T = START + 50 * DAY
    later = table.assign(timestamp=table["timestamp"] + 60 * DAY)
    changed = table.copy()
    after = changed["timestamp"] >= T
    mixed = changed.loc[after, "item_id"].sample(frac=1, random_state=0)
    changed.loc[after, "item_id"] = mixed.to_numpy()
    lists = []
    for events in (table, pd.concat([table, later]), changed.drop_duplicates()):
        split = temporal_split(InteractionLog.read(events), T, "7D")
        model = RIM(horizon="7D").fit(split)
        lists.append((model.recommend_items(top_k=5), model.recommend_users(["i1"], top_k=50)))
    for items, users in lists[1:]:
        pd.testing.assert_frame_equal(items, lists[0][0])
        pd.testing.assert_frame_equal(users, lists[0][1])


@pytest.mark.realdata
@films
def test_on_movielens_intensity_lifts_users_and_leaves_items():
    protocol = protocols.movielens(0)
    plain = protocol.scores("EASE")
    scores = {"without": plain, "with": plain.scaled(protocol.rate("HP"))}
    users = {n: rank(s, protocol.targets, 5, "users").precision(5) for n, s in scores.items()}
    items = {n: rank(s, protocol.targets, 17, "items").lists for n, s in scores.items()}
    assert users["with"] >= 0.045 and users["with"] >= 3 * users["without"]
    assert np.array_equal(items["with"], items["without"])


@pytest.mark.realdata
@films
def test_popularity_is_that_of_the_official_code():
    for name in ("ItemPop × UserPop", "ItemPop × EMA"):
        for record in reproduce.official.compute(name):
            assert record["ours"] == pytest.approx(record["paper"], abs=0.001)


@pytest.mark.realdata
@groceries
def test_on_groceries_own_repeats_win_and_intensity_lifts_users():
    protocol = protocols.complete_journey()
    assert protocol.targets.shape == (2461, 1468) and protocol.targets.nnz == 75_640
    precision = {
        (mark, side): rank(
            protocol.scores(mark).scaled(protocol.rate("HP")), protocol.targets, length, side, 1
        ).precision(length)
        for mark in ("EASE", "PersonalRepeat")
        for side, length in (("items", 15), ("users", 25))
    }
    for side in ("items", "users"):
        assert precision["PersonalRepeat", side] > precision["EASE", side] + 0.05
    assert precision["PersonalRepeat", "users"] > 0.24  # 0.14 without


def test_names_of_pairs():
    assert with_and_without.name("EASE", "HP") == "EASE × HP"
    assert with_and_without.name("EASE", protocols.NO_LAMBDA) == "EASE"


@pytest.mark.realdata
@films
@pytest.mark.parametrize("data", ["ml-100k"])
def test_settings_are_chosen_inside_what_may_be_learnt_from(data):
    inside, whole = protocols.within_training(data).split, protocols.PROTOCOLS[data]().split
    assert not np.isin(inside.test.user, whole.test.user).any()
    assert (inside.train.time <= whole.train.time).all()
    assert (inside.train.time[inside.test.user] == inside.test.time).all()
    before = whole.train.time[inside.test.user]
    assert (inside.test.time + inside.horizon > inside.test.time).all() and np.isinf(before).all()


@pytest.mark.realdata
@groceries
def test_settings_for_groceries_are_chosen_before_the_test_begins():
    inside = protocols.within_training("completejourney").split
    T = protocols.complete_journey().split.test.time[0]
    assert inside.test.time.max() + inside.horizon <= T
    assert inside.train.time.max() <= inside.test.time.min()


@pytest.mark.realdata
@films
def test_on_movielens_a_network_lists_films_better_than_ease():
    """Four epochs are enough to be ahead; the table has ten, and three seeds."""
    from makedo.methods.rim import Transformer

    protocol = protocols.movielens(0)
    split = protocol.split
    model = Transformer(max_epochs=4, device="cpu").fit(split.train, split.horizon)
    found = {
        "network": protocol.scores_of(model),
        "EASE": protocol.scores("EASE"),
    }
    items = {n: rank(s, protocol.targets, 17, "items", 1).precision(17) for n, s in found.items()}
    assert items["network"] > items["EASE"]
