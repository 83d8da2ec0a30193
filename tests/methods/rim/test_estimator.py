"""The estimator: both rankings, later events, directories, and what is refused."""

from __future__ import annotations

import json
import types

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import makedo
from makedo.core.checks import MakedoInputError, MakedoWarning
from makedo.data.interaction_splits import temporal_split, user_split
from makedo.data.interactions import InteractionLog, Requests
from makedo.methods.rim import (
    EASE,
    EMA,
    RIM,
    GivenScores,
    Hawkes,
    HawkesPoisson,
    ItemKNN,
    PersonalRepeat,
)
from makedo.methods.rim.judging import candidates

DAY = 86_400
START = 1_500_000_000


def make_events(seed=0, n_users=60, n_items=25, days=100):
    """Users with rates of their own, who come back to things of their own."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(rng.gamma(0.7, 30, n_users)) + 1
    user = np.repeat(np.arange(n_users), n)
    item = (5 * user + rng.geometric(0.3, len(user))) % n_items
    time = START + rng.integers(0, days * DAY, len(user))
    names = {"user_id": [f"u{i}" for i in user], "item_id": [f"i{i}" for i in item]}
    return pd.DataFrame({**names, "timestamp": time}).drop_duplicates()


@pytest.fixture(scope="module")
def events():
    return make_events()


@pytest.fixture(scope="module")
def log(events):
    return InteractionLog.read(events)


@pytest.fixture(scope="module")
def model(log):
    return RIM(horizon="7D").fit(log)


def fitted(log, *args, **changes):
    return RIM(*args, **{"horizon": 7 * DAY, **changes}).fit(log)


# --- the two rankings -----------------------------------------------------------------------------


@pytest.mark.parametrize("marks", ["popularity", "personal_repeat", "ease", "item_knn"])
@pytest.mark.parametrize("exclude_seen", [False, True])
def test_lists_are_the_best_of_activity_times_choice(log, marks, exclude_seen):
    model = fitted(log, marks, exclude_seen=exclude_seen)
    now = Requests.at(log, model.now_)
    dense = model.intensity_.predict(now)[:, None] * model.marks_.scores(now).to_dense()
    if exclude_seen:
        dense[now.seen().toarray()] = -np.inf
    items, users = model.recommend_items(top_k=4), model.recommend_users(log.items, top_k=5)
    assert items.columns.tolist() == ["user_id", "timestamp", "item_id", "rank", "score"]
    assert users.columns.tolist() == ["item_id", "user_id", "timestamp", "rank", "score"]
    for frame, matrix, of, named, length in (
        (items, dense, log.users, "user_id", 4),
        (users, dense.T, log.items, "item_id", 5),
    ):
        best = -np.sort(-matrix, axis=1)[:, :length]
        place = of.get_indexer(frame[named])
        np.testing.assert_allclose(frame["score"], best[place, frame["rank"] - 1], rtol=1e-5)
        assert len(frame) == np.isfinite(best).sum()
    row, column = log.users.get_indexer(items["user_id"]), log.items.get_indexer(items["item_id"])
    np.testing.assert_allclose(items["score"], dense[row, column], rtol=1e-5)


def test_activity_changes_whom_an_item_is_for_but_not_what_a_user_is_shown(log):
    plain, ours = fitted(log, intensity="constant"), fitted(log)
    columns = ["user_id", "item_id", "rank"]
    assert plain.recommend_items()[columns].equals(ours.recommend_items()[columns])
    a, b = (m.recommend_users(["i3"], top_k=20)["user_id"].tolist() for m in (plain, ours))
    assert a != b


def test_users_items_and_times_can_be_chosen(model, log):
    some = model.recommend_items(["u7", "u2"], top_k=3)
    assert some["user_id"].drop_duplicates().tolist() == ["u7", "u2"]
    whole = model.recommend_items(top_k=3)
    again = whole[whole["user_id"] == "u7"].reset_index(drop=True)
    assert again.equals(some[some["user_id"] == "u7"].reset_index(drop=True))
    early = model.recommend_users("i3", top_k=3, at=START + 30 * DAY)
    assert (early["timestamp"] == START + 30 * DAY).all()
    among = Requests.at(log, model.now_, ["u1", "u2", "u3"])
    chosen = model.recommend_users(["i3", "i1"], top_k=2, X=among)
    assert set(chosen["user_id"]) <= {"u1", "u2", "u3"}
    assert chosen["item_id"].tolist() == ["i3", "i3", "i1", "i1"]
    candidates = Requests.at(log, model.now_, items=["i9", "i3"])
    assert set(model.recommend_items(candidates, top_k=1)["item_id"]) <= {"i9", "i3"}


def test_the_present_is_just_after_the_last_event(model, log):
    assert model.now_ == log.time.max() + 1
    assert Requests.at(log, model.now_).lengths.sum() == len(log)
    halves = user_split(log, train_users=log.users[:30], horizon=5 * DAY)
    assert halves.train.time[30:].max() < halves.train_log.time.max()  # whole histories go on
    assert RIM("popularity").fit(halves).now_ == halves.train_log.time.max() + 1


def test_activity_is_that_of_the_time_asked_for(model):
    for T in (START + 30 * DAY, START + 60 * DAY, model.now_, model.now_ + 9 * DAY):
        requests = Requests.at(model.log_, T)
        expected = model.intensity_.predict(requests)
        np.testing.assert_allclose(model.rate(requests), expected, rtol=1e-9)


def test_every_entry_has_the_time_of_its_request(model):
    users = ["u3", "u1", "u2"]
    times = model.now_ + np.array([0.0, 50.0, 100.0])
    asked = Requests.at(model.log_, times, users)
    for found in (model.recommend_items(asked), model.recommend_users(["i1", "i3"], X=asked)):
        expected = pd.Series(times.astype(int), index=users)
        assert (expected[found["user_id"]].to_numpy() == found["timestamp"]).all()


def test_windows_of_any_length_and_number_calibrate_events_of_a_horizon(events):
    split = temporal_split(
        InteractionLog.read(events), START + 80 * DAY, "14D", n_valid=3, valid_horizon="4D"
    )
    model = RIM("popularity").fit(split)
    counts = sum(one.counts(4 * DAY).sum() for one in split.valid)
    rates = sum(model.intensity_.predict(one).sum() for one in split.valid)
    assert rates == pytest.approx(counts * 14 / 4, rel=0.01)
    table = model.calibration_
    assert table["requests"].sum() == sum(len(one) for one in split.valid)
    assert (table["observed"] * table["requests"]).sum() == pytest.approx(counts)
    assert (table["expected"] * table["requests"]).sum() == pytest.approx(counts, rel=0.01)


def test_single_pairs_have_the_scores_of_the_lists(model):
    lists = model.recommend_users(["i3", "i8"], top_k=10)
    pairs = lists[["user_id", "item_id"]].sample(frac=1, random_state=0)
    np.testing.assert_allclose(model.predict(pairs), lists["score"][pairs.index], rtol=1e-5)
    timed = pairs.assign(timestamp=START + 50 * DAY)
    earlier = model.recommend_users(["i3", "i8"], top_k=60, at=START + 50 * DAY)
    merged = timed.assign(found=model.predict(timed)).merge(earlier, on=["user_id", "item_id"])
    np.testing.assert_allclose(merged["found"], merged["score"], rtol=1e-5)


def test_ten_tenths_say_how_many_events_were_expected_and_came(model, log):
    table = model.calibration_
    assert len(table) == 10 and table["expected"].is_monotonic_increasing
    window = Requests.at(log, model.now_ - model.horizon_)
    total = window.counts(model.horizon_)[window.lengths > 0].sum()
    assert (table["observed"] * table["requests"]).sum() == pytest.approx(total)


# --- what may be learnt ---------------------------------------------------------------------------


def test_events_after_the_test_start_change_nothing_that_is_learnt(events):
    T = START + 80 * DAY
    split = temporal_split(InteractionLog.read(events), T, 7 * DAY)
    a = RIM().fit(split)
    b = RIM().fit(
        temporal_split(InteractionLog.read(events[events["timestamp"] < T + DAY]), T, 7 * DAY)
    )
    assert a.fingerprint_ == b.fingerprint_ and a.now_ == b.now_ == T
    assert (a.intensity_.weights_ == b.intensity_.weights_).all()
    assert a.recommend_items().equals(b.recommend_items())
    assert a.log_.time.max() < T and a.horizon_ == 7 * DAY


def test_a_split_by_users_teaches_from_one_half_and_is_judged_on_the_other(events):
    split = user_split(InteractionLog.read(events), random_state=1)
    model = RIM(intensity="hawkes").fit(split)
    table = model.evaluate(split)
    assert set(table["candidate"]) >= {"popularity", "without λ", "RIM"}
    items = table[table["ranking"] == "items"].set_index(["candidate", "top_k"])["precision"]
    assert (items["RIM"] == items["without λ"]).all()  # unchanged by construction


def test_activity_pays_where_users_differ(events):
    """Precision of users for an item, on days that nothing was learnt from; rates differ a lot."""
    gains = []
    for seed in range(3):
        log = InteractionLog.read(make_events(seed, n_users=200))
        split = temporal_split(log, START + 80 * DAY, 7 * DAY)
        table = RIM("personal_repeat").fit(split).evaluate(split, top_k=10)
        found = table[table["ranking"] == "users"].set_index("candidate")["precision"]
        gains.append(found["RIM"] - found["without λ"])
    assert min(gains) > 0.03


@pytest.mark.parametrize("exclude_seen", [False, True])
def test_popularity_is_of_user_and_item_and_leaves_out_what_the_model_does(events, exclude_seen):
    split = temporal_split(InteractionLog.read(events), START + 80 * DAY, 14 * DAY)
    model, test = RIM("popularity", exclude_seen=exclude_seen).fit(split), split.test
    share = np.bincount(split.train_log.item, minlength=split.log.n_items)[test.candidates]
    expected = np.outer(test.lengths + 0.01, share / len(split.train_log))
    if exclude_seen:
        expected[test.seen().toarray()] = -np.inf
    found = candidates(model, test)["popularity"].to_dense()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    targets = test.targets(14 * DAY, exclude_seen=exclude_seen)
    assert (model.evaluate(split, top_k=5)["chance"] == targets.nnz / targets.toarray().size).all()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (RIM(), ["popularity", "own repeats", "without λ", "recent activity", "RIM"]),
        (RIM(exclude_seen=True), ["popularity", "without λ", "recent activity", "RIM"]),
        (RIM("personal_repeat", intensity="ema"), ["popularity", "without λ", "RIM"]),
    ],
)
def test_what_a_model_is_compared_with_are_the_simple_models_by_that_name(events, model, expected):
    split = temporal_split(InteractionLog.read(events), START + 80 * DAY, 14 * DAY)
    table = clone(model).fit(split).evaluate(split, top_k=5)
    of_users = table[table["ranking"] == "users"].set_index("candidate")["precision"]
    assert of_users.index.tolist() == expected
    simple = {
        "own repeats": RIM("personal_repeat", intensity="ema"),
        "recent activity": RIM(model.marks, intensity="ema", exclude_seen=model.exclude_seen),
    }
    for name in set(expected) & set(simple):
        again = simple[name].fit(split).evaluate(split, top_k=5)
        again = again.query("ranking == 'users' and candidate == 'RIM'")
        assert again["precision"].item() == of_users[name]


def test_later_events_are_what_a_model_is_judged_on(events):
    T = START + 80 * DAY
    before, after = events[events["timestamp"] < T], events[events["timestamp"] >= T]
    model = fitted(before)
    table = model.evaluate(after, top_k=5)
    requests = Requests.at(InteractionLog.read(events), model.now_)
    hit = requests.targets(model.horizon_).toarray()
    scores = model.scores(Requests.at(model.log_, model.now_)).top_items(5).index
    log = InteractionLog.read(events)
    row = log.users.get_indexer(model.log_.users)
    column = log.items.get_indexer(model.log_.items)[scores]
    found = table.query("ranking == 'items' and candidate == 'RIM'")["precision"].item()
    assert found == pytest.approx(hit[row[:, None], column].mean())


def test_items_that_come_after_the_cut_of_a_split_are_not_listed(events):
    T = START + 80 * DAY
    new = pd.DataFrame({"user_id": "u1", "item_id": ["late"] * 3, "timestamp": T + np.arange(3)})
    split = temporal_split(InteractionLog.read(pd.concat([events, new])), T, 7 * DAY)
    model = RIM("popularity").fit(split)
    assert "late" not in model.recommend_items(["u1", "u2"], top_k=25)["item_id"].tolist()
    with pytest.raises(MakedoInputError, match="25 candidate items"):
        model.recommend_items(top_k=26)
    with pytest.raises(MakedoInputError, match="1 item came after fit .first: 'late'"):
        model.recommend_users(["i1", "late"])
    assert model.predict(new[:1]).tolist() == [0.0]
    asked = Requests.at(split.log, T, items=["late", "i1"])
    assert model.recommend_items(asked, top_k=1)["item_id"].unique().tolist() == ["i1"]


def test_only_users_with_a_history_are_judged(events):
    """Those who are first seen after the cut of a split are in its log, but nobody knew them."""
    T = START + 80 * DAY
    new = pd.DataFrame({"user_id": "late", "item_id": "i1", "timestamp": T + np.arange(30)})
    split = temporal_split(InteractionLog.read(pd.concat([events, new])), T, 7 * DAY)
    after = pd.concat([events[events["timestamp"] >= T], new])
    model = RIM().fit(split)
    a, b = (model.evaluate(one, top_k=[3, 10]) for one in (split, after))
    pd.testing.assert_frame_equal(a, b)


def test_events_that_cover_half_of_the_horizon_are_pointed_out(events):
    T = START + 80 * DAY
    model = fitted(events[events["timestamp"] < T])
    after = events[events["timestamp"].between(T, T + 3 * DAY)]
    with pytest.warns(MakedoWarning, match="of the horizon of 7 days .* the events cover only 3"):
        model.evaluate(after, top_k=5)


# --- later events ---------------------------------------------------------------------------------


@pytest.mark.parametrize("intensity", ["user_popularity", "ema", "hawkes", "hawkes_poisson"])
def test_updating_equals_the_sums_of_the_whole_log(events, intensity):
    """Ties, late events, events before the first one, new users: event by event, or all at once."""
    order = np.random.default_rng(0).permutation(len(events))
    first, rest = events.iloc[order[: len(order) // 2]], events.iloc[order[len(order) // 2 :]]
    model = fitted(first, intensity=intensity)
    for begin in range(0, len(rest), 97):
        model.update(rest.iloc[begin : begin + 97])
    whole = InteractionLog.read(events)
    assert len(model.log_) == len(whole)
    T = max(model.now_, float(whole.time.max()) + 1)
    ours = model.rate(Requests.at(model.log_, T, whole.users))
    expected = model.intensity_.predict(Requests.at(whole, T))
    np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_events_that_are_there_already_do_not_count_twice(events):
    model = fitted(events)
    expected = model.rate(Requests.at(model.log_, model.now_))
    with pytest.warns(MakedoWarning, match="repeat the user, item and time"):
        model.update(events.iloc[:50])
    np.testing.assert_allclose(model.rate(Requests.at(model.log_, model.now_)), expected, rtol=1e-9)


def test_new_users_are_ranked_and_new_items_are_not(events):
    model = fitted(events, "personal_repeat")
    new = pd.DataFrame(
        {"user_id": ["new"] * 30, "item_id": "i4", "timestamp": model.now_ + np.arange(30)}
    )
    model.update(
        new.assign(item_id=["i4"] * 29 + ["brand new"], timestamp=new["timestamp"].astype(int))
    )
    top = model.recommend_users(["i4"], top_k=5)
    assert "new" in top["user_id"].tolist()
    assert "brand new" not in model.recommend_items(top_k=25)["item_id"].tolist()
    with pytest.raises(MakedoInputError, match="1 item came after fit .first: 'brand new'"):
        model.recommend_users(["brand new"])
    pair = pd.DataFrame({"user_id": ["u1"], "item_id": ["brand new"]})
    assert model.predict(pair).tolist() == [0.0]


# --- scores of other libraries --------------------------------------------------------------------


class Peer:
    """What models of implicit have."""

    def __init__(self, matrix):
        left, values, right = np.linalg.svd(matrix.toarray(), full_matrices=False)
        self.user_factors = (left[:, :4] * values[:4]).astype(np.float32)
        self.item_factors = right[:4].T.astype(np.float32)


def test_factors_of_a_peer_rank_users(log):
    peer = Peer(log.matrix())
    model = RIM("given").fit(log, scores=peer)
    top = model.recommend_users(["i3"], top_k=10)
    rate = model.rate(Requests.at(log, model.now_))
    expected = rate * np.logaddexp(
        0, peer.user_factors @ peer.item_factors[log.items.get_loc("i3")]
    )
    assert top["user_id"].tolist() == log.users[np.argsort(-expected)[:10]].tolist()
    np.testing.assert_allclose(top["score"], -np.sort(-expected)[:10], rtol=1e-5)


def test_all_forms_of_given_scores_agree(log):
    peer = Peer(log.matrix())
    users, items = peer.user_factors, peer.item_factors
    raw = users @ items.T
    frame = pd.DataFrame(raw, log.users, log.items).sample(frac=1, random_state=0)
    framed = (pd.DataFrame(users, log.users).iloc[::-1], pd.DataFrame(items, log.items).iloc[::-1])
    fake = types.SimpleNamespace(user_factors=users, item_factors=items)
    link = GivenScores("softplus")
    given = [peer, (users, items), framed, fake, raw, frame, frame.iloc[:, ::-1]]
    lists = [RIM(link).fit(log, scores=one).recommend_users(["i1"]) for one in given]
    for again in lists[1:]:
        assert again["user_id"].tolist() == lists[0]["user_id"].tolist()


def test_logits_are_normalised(log):
    raw = np.random.default_rng(0).normal(size=(log.n_users, log.n_items)) + 500
    model = RIM(GivenScores("exp"), intensity="constant").fit(log, scores=raw)
    np.testing.assert_allclose(model.scores().to_dense().sum(1), 1, rtol=1e-4)


def test_of_a_user_without_given_scores_nothing_is_expected(log):
    model = RIM("given", horizon=7 * DAY).fit(log, scores=Peer(log.matrix()))
    pairs = pd.DataFrame({"user_id": ["u1", "nobody"], "item_id": "i1"})
    with pytest.warns(MakedoWarning, match="1 user not in the log"):
        found = model.predict(pairs)
    assert found[0] > 0 and found[1] == 0


def test_given_scores_that_do_not_fit_are_refused(log):
    def fit(scores, marks="given"):
        return lambda: RIM(marks, horizon=7 * DAY).fit(log, scores=scores)

    users, items = np.ones((log.n_users, 2)), np.ones((log.n_items, 2))
    lacking = (pd.DataFrame(users[1:], log.users[1:]), items)
    for call, match in (
        (fit(None), "needs scores"),
        (fit((users[1:], items)), "user_factors have shape"),
        (fit((users, items[:, :1])), "Give both of one model"),
        (fit(lacking), f"lacks 1 of {log.n_users} users"),
        (fit(np.ones((3, 3))), "the matrix has shape"),
        (fit((users * np.nan, items)), "NaN or infinite"),
        (fit(-np.ones((log.n_users, log.n_items))), "negative values"),
        (fit((users, items), "ease"), 'scores are for marks="given"'),
        (fit([["a"], ["b"]]), "cannot be read as numbers"),
    ):
        with pytest.raises(MakedoInputError, match=match):
            call()


# --- saving ---------------------------------------------------------------------------------------

MODELS = [
    RIM(),
    RIM("popularity", intensity="user_popularity", exclude_seen=True),
    RIM(PersonalRepeat(2.0), intensity=EMA(), horizon="7D"),
    RIM(ItemKNN(5), intensity=Hawkes(4, objective="likelihood"), n_valid=2),
    RIM(EASE(penalty=3.0), intensity=HawkesPoisson(5), random_state=3),
    RIM.from_paper(horizon=7 * DAY),
]


@pytest.mark.parametrize("unfitted", MODELS, ids=str)
def test_a_loaded_model_ranks_and_updates_like_the_saved_one(unfitted, events, tmp_path):
    early, late = events.iloc[:-40], events.iloc[-40:]
    model = clone(unfitted).fit(early)
    model.save(tmp_path / "model")
    loaded = makedo.load(tmp_path / "model")
    assert repr(loaded) == repr(model)
    for one in (model, loaded):
        one.update(late)
    assert loaded.recommend_items().equals(model.recommend_items())
    assert loaded.recommend_users(["i1"]).equals(model.recommend_users(["i1"]))
    again = clone(loaded).fit(events)
    assert again.recommend_items().equals(clone(unfitted).fit(events).recommend_items())


def test_a_directory_with_unknown_parts_is_refused(log, tmp_path):
    RIM(EASE()).fit(log).save(tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    text = file.read_text()
    file.write_text(text.replace('"$part": "EASE"', '"$part": "os.system"'))
    with pytest.raises(MakedoInputError, match="no part"):
        makedo.load(tmp_path / "model")
    document = json.loads(text)
    document["state"]["marks_"]["class"] = "Popen"
    file.write_text(json.dumps(document))
    with pytest.raises(MakedoInputError, match="do not fit together"):
        makedo.load(tmp_path / "model")


# --- what is refused ------------------------------------------------------------------------------


def test_unknown_users_get_what_is_popular_with_a_warning_and_unknown_items_are_named(model):
    with pytest.warns(MakedoWarning, match="2 users not in the log"):
        found = model.recommend_items(["nobody", "u3", "noone"], top_k=3)
    popular = model.log_.items[np.argsort(-model.marks_.popularity_, kind="stable")[:3]]
    assert found[found["user_id"] == "nobody"]["item_id"].tolist() == popular.tolist()
    with pytest.raises(MakedoInputError, match="1 item not in the log .first: 'nothing'"):
        model.recommend_users(["i1", "nothing"], top_k=3)


def test_bad_questions_are_refused(model, log):
    long_after = make_events().assign(timestamp=START + 900 * DAY).drop_duplicates()
    other, others = (
        InteractionLog.read(make_events().assign(**{name: lambda f, n=name: "x" + f[n]}))
        for name in ("item_id", "user_id")
    )
    for call, match in (
        (lambda: model.recommend_items(top_k=26), "top_k must be .* 25 candidate items"),
        (lambda: model.recommend_items(top_k=0), "top_k must be an integer from 1"),
        (lambda: model.recommend_users(["i1"], top_k=1000), "60 users"),
        (lambda: model.recommend_items(Requests.at(log, 0), at=5), "have their own times"),
        (lambda: model.recommend_items(Requests.at(other, 0)), "requests are of another log"),
        (lambda: model.recommend_items(Requests.at(others, 0)), "requests are of another log"),
        (lambda: model.recommend_users(["i1", "i1"]), "1 item named again"),
        (lambda: model.recommend_items(at=np.inf), "infinite"),
        (lambda: model.recommend_items(["u1", "u1"]), "name a user and time again"),
        (lambda: model.predict(pd.DataFrame({"user_id": ["u1"]})), "no column 'item_id'"),
        (lambda: model.evaluate(long_after), "nothing to judge by"),
    ):
        with pytest.raises(MakedoInputError, match=match):
            call()


def test_a_time_before_the_first_event_is_pointed_out(model):
    with pytest.warns(MakedoWarning, match="1970-08-22 11:01:41, lies before the first event"):
        model.recommend_items(["u1"], at=20_170_901)  # 2017-09-01 was meant


def test_bad_logs_and_horizons_are_refused(events):
    for changes, data, match in (
        ({"horizon": "soon"}, events, "no length of time"),
        ({"horizon": 0.0}, events, "parameter horizon must be"),
        ({"horizon": "200D"}, events, "no user has an event before the last 1 horizon"),
        ({"n_valid": 0}, events, "parameter n_valid must be"),
        ({"random_state": -1}, events, "parameter random_state must be"),
        ({}, events.assign(timestamp=START).drop_duplicates(), "all events have one time"),
        ({}, events.drop(columns="timestamp"), "timestamp"),
    ):
        with pytest.raises(MakedoInputError, match=match):
            RIM(**changes).fit(data)
    split = temporal_split(InteractionLog.read(events), START + 80 * DAY, 7 * DAY)
    with pytest.raises(MakedoInputError, match="the split has a horizon of 604800 s"):
        RIM(horizon="3D").fit(split)
    with pytest.raises(MakedoInputError, match="no windows of validation"):
        RIM().fit(temporal_split(InteractionLog.read(events), START + 80 * DAY, 7 * DAY, n_valid=0))


def test_what_activity_cannot_be_learnt_from_is_told_before_a_network_trains(monkeypatch):
    from makedo.methods.rim.sequences import SequenceMarks

    def trained(*_, **__):
        raise AssertionError("a network was trained")

    monkeypatch.setattr(SequenceMarks, "fit", trained)
    once = pd.DataFrame({"user_id": range(50), "item_id": 1, "timestamp": START + np.arange(50)})
    with pytest.raises(MakedoInputError, match="no user has an event in the windows"):
        RIM("transformer").fit(once)
