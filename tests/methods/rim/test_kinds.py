"""Several kinds of events in one log: one is predicted, the others say how active a user is."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import makedo
from makedo import cli
from makedo.core.checks import MakedoInputError
from makedo.data.interaction_splits import temporal_split
from makedo.data.interactions import InteractionLog, Requests
from makedo.methods.rim import RIM, HawkesPoisson
from makedo.methods.rim.diagnose import spearman

DAY, START = 86_400, 1_500_000_000
H = 7 * DAY
NOW = START + 70 * DAY


def visits_and_purchases(seed=0, n_users=250, days=84):
    """Who looks around today buys in the days after it; everybody signs up once."""
    rng = np.random.default_rng(seed)
    rows = [(u, 0, rng.integers(0, 5 * DAY), "sign-up") for u in range(n_users)]
    for user in range(n_users):
        begin = rng.integers(0, days, 3)  # bursts of interest
        for day in begin:
            looks = (day + rng.exponential(4, rng.poisson(6))) * DAY
            rows += [(user, rng.integers(12), t, "view") for t in looks]
            buys = (day + 3 + rng.exponential(4, rng.poisson(2))) * DAY
            rows += [(user, (user + rng.integers(4)) % 12, t, "buy") for t in buys]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "what"])
    frame["timestamp"] = START + frame["timestamp"].astype("int64")
    return frame[frame["timestamp"] < START + days * DAY].drop_duplicates()


def read(frame, **changes):
    return InteractionLog.read(frame, **{"event": "what", "target": "buy", **changes})


@pytest.fixture(scope="module")
def frame():
    return visits_and_purchases()


@pytest.fixture(scope="module")
def past(frame):
    return read(frame[frame["timestamp"] < NOW])


@pytest.fixture(scope="module")
def model(past):
    return RIM("popularity", horizon=H).fit(past)


def by_hand(log, T=None):
    """The regression with channels, used directly, in the window before the end of the log."""
    kinds = ["sign-up", "view"]
    before = Requests.at(log, float(log.last) + 1 - H)
    before = before.take(before.n_before > 0)
    rate = HawkesPoisson().fit(
        before, before.counts(H), H, channels=[before.in_log(log.beside[k]) for k in kinds]
    )
    now = Requests.at(log, float(log.last) + 1 if T is None else T)
    return rate.predict(now, channels=[now.in_log(log.beside[k]) for k in kinds])


def test_activity_is_that_of_hawkes_poisson_with_channels_used_directly(model, past):
    assert model.kinds_ == ["sign-up", "view"]
    for T in (model.now_, model.now_ + 5 * DAY, model.now_ - 20 * DAY):
        asked = Requests.at(model.log_, T)
        np.testing.assert_allclose(model.rate(asked), by_hand(past, T), rtol=1e-9)


@pytest.mark.filterwarnings("ignore:requests")
def test_views_find_who_will_buy_better_than_purchases_alone(frame):
    split = temporal_split(read(frame), NOW, H)
    alone = temporal_split(read(frame[frame["what"] == "buy"]), NOW, H)
    counts = split.test.counts(H)
    found = RIM("popularity").fit(split).rate(split.test)
    plain = RIM("popularity").fit(alone)
    without = plain.rate(Requests.at(plain.log_, NOW, split.test.user_ids))
    a, b = (spearman(rate, counts)[0] for rate in (found, without))
    assert a > b + 0.1
    assert found.sum() == pytest.approx(counts.sum(), rel=0.25)


@pytest.mark.filterwarnings("ignore:requests")
def test_who_only_looked_around_is_ranked_too():
    rows = visits_and_purchases()
    rows = rows[(rows["what"] != "buy") | (rows["user_id"] >= 50)]
    early = rows["timestamp"] < NOW
    model = RIM("popularity", horizon=H).fit(read(rows[early]))
    asked = Requests.at(model.log_, model.now_, range(50))
    assert (asked.lengths == 0).all() and (asked.n_before > 0).all()
    rate = model.rate(asked)
    seen = rows[early & (rows["timestamp"] > NOW - 4 * DAY) & (rows["what"] == "view")]
    recent = np.isin(np.arange(50), seen["user_id"])
    assert 5 < recent.sum() < 45 and rate[recent].mean() > 2 * rate[~recent].mean()
    judged = model.evaluate(read(rows[~early]), top_k=5)
    assert judged["candidate"].nunique() >= 3
    listed = model.recommend_users([3], top_k=len(model.log_.users))
    assert set(listed["user_id"]) == set(model.log_.users)


def test_later_events_of_any_kind_count_as_if_they_had_been_there(frame, past):
    model = RIM("popularity", horizon=H).fit(past)
    later = frame[frame["timestamp"] >= NOW]
    fresh = pd.DataFrame(
        {"user_id": [3, 900, 901], "item_id": 1, "timestamp": NOW, "what": ["view", "view", "ad"]}
    )
    late = pd.DataFrame({"user_id": [5], "item_id": 1, "timestamp": START + 9, "what": "view"})
    again = later.iloc[:3]
    for part in (
        later[later["what"] == "view"],
        later[later["what"] != "view"],
        fresh,
        late,
        again,
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.update(part, event="what")
    whole = pd.concat([frame, fresh, late]).drop_duplicates()
    log = read(whole)
    kinds = [log.beside[kind] for kind in model.kinds_]
    now = Requests.at(log, model.now_)
    expected = model.intensity_.predict(now, channels=[now.in_log(kind) for kind in kinds])
    found = model.rate(Requests.at(model.log_, model.now_, log.users))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert model.now_ == log.last + 1 and "ad" in model.log_.beside


def test_what_comes_after_the_cut_off_in_any_kind_changes_nothing(frame):
    with_future = temporal_split(read(frame), NOW, H)
    rest = frame[(frame["timestamp"] < NOW) | (frame["what"] == "buy")]
    without = temporal_split(read(rest), NOW, H)
    a, b = (RIM("popularity").fit(split) for split in (with_future, without))
    assert (a.intensity_.weights_ == b.intensity_.weights_).all()
    assert (a.rate(with_future.test) == b.rate(without.test)).all()


def test_other_intensities_and_all_marks_look_at_the_predicted_kind_alone(past):
    alone = InteractionLog.from_state(
        {name: getattr(past, name) for name in ("users", "items", "user", "item", "time", "value",
                                                "start")}
    )  # fmt: skip
    for marks, rate in (
        ("ease", "ema"),
        ("personal_repeat", "user_popularity"),
        ("ease", "constant"),
    ):
        a, b = (RIM(marks, intensity=rate, horizon=H).fit(log) for log in (past, alone))
        assert a.kinds_ == [] and a.live_beside_ == []
        at = {"at": float(past.last) + 1, "top_k": 4}
        pd.testing.assert_frame_equal(a.recommend_items(**at), b.recommend_items(**at))
        pd.testing.assert_frame_equal(a.recommend_users([1], **at), b.recommend_users([1], **at))


def test_a_model_directory_keeps_the_kinds(model, tmp_path, frame):
    model.save(tmp_path / "model")
    again = makedo.load(tmp_path / "model")
    assert again.kinds_ == model.kinds_ and repr(again.log_) == repr(model.log_)
    pd.testing.assert_frame_equal(model.recommend_users([2]), again.recommend_users([2]))
    later = frame[frame["timestamp"] >= NOW]
    a, b = (one.update(later, event="what") for one in (again, makedo.load(tmp_path / "model")))
    pd.testing.assert_frame_equal(a.recommend_users([2]), b.recommend_users([2]))
    a.save(tmp_path / "model")
    assert (makedo.load(tmp_path / "model").recommend_users([2])).equals(b.recommend_users([2]))


def test_a_model_saved_before_there_were_kinds_loads(past, tmp_path):
    RIM("popularity", horizon=H, intensity="ema").fit(past.select(past.time > 0)).save(tmp_path)
    document = json.loads((tmp_path / "model.json").read_text())
    for name in ("kinds_", "live_beside_"):
        del document["state"][name]
    for name in ("kind", "other_kinds", "beside"):
        del document["state"]["log_"][name]
    (tmp_path / "model.json").write_text(json.dumps(document))
    again = makedo.load(tmp_path)
    assert again.kinds_ == [] and not again.log_.kind
    assert len(
        again.update(pd.DataFrame({"user_id": [1], "item_id": [1], "timestamp": [NOW]})).log_
    )


def test_logs_that_do_not_tell_kinds_apart_alike_are_refused(model, frame):
    later = frame[frame["timestamp"] >= NOW]
    with pytest.raises(MakedoInputError, match="column of the new events names kinds: event="):
        model.evaluate(later)
    with pytest.raises(MakedoInputError, match="column of the new events names kinds: event="):
        RIM("popularity", horizon=H).fit(model.log_).update(later)
    plain = RIM("popularity", horizon=H).fit(frame[["user_id", "item_id", "timestamp"]])
    with pytest.raises(MakedoInputError, match="does not tell kinds of events apart"):
        plain.update(later, event="what")
    bare = InteractionLog.from_state({**model.log_.to_state(), "beside": [], "other_kinds": []})
    with pytest.raises(MakedoInputError, match="no events of kind 'sign-up', 'view'"):
        model.rate(Requests.at(bare, NOW))


def test_the_diagnosis_is_of_the_predicted_kind_with_the_others_beside(frame):
    found = RIM("popularity", horizon=H).diagnose(read(frame))
    assert found.figures["events"] == (frame["what"] == "buy").sum()
    assert found.figures["events of kind 'view' beside"] == (frame["what"] == "view").sum()
    assert found.verdict in ("applies", "may help")


# --- on the command line --------------------------------------------------------------------------


@pytest.fixture
def run(frame, tmp_path, monkeypatch, capsys):
    frame.to_csv(tmp_path / "log.csv", index=False)
    monkeypatch.chdir(tmp_path)

    def line(text):
        capsys.readouterr()
        code = cli.main(["rim", *text.split()])
        return code, *capsys.readouterr()

    return line


def test_the_verbs_take_a_column_of_kinds(run, tmp_path, frame):
    cut = "--test-start 2017-09-22 --horizon 7D --event what --target buy"
    for part in ("before", "test"):
        assert run(f"split --log log.csv {cut} --part {part} --out {part}.csv")[0] == 0
    before = pd.read_csv("before.csv")
    day = int(pd.Timestamp("2017-09-22").timestamp())
    assert len(before) == (frame["timestamp"] < day).sum()
    assert set(before.columns) == {"user_id", "item_id", "timestamp", "what"}
    kinds = "--event what --target buy --set marks=popularity --set horizon=7D"
    assert run(f"fit --log before.csv {kinds} --out model")[0] == 0
    code, out, _ = run("recommend-users model --items 3 --later test.csv --event what --top 5")
    assert code == 0 and out
    code, out, _ = run("evaluate model --log test.csv --event what --json")
    expected = makedo.load("model").evaluate(read(pd.read_csv("test.csv")))
    assert code == 0 and len(json.loads(out)) == len(expected)
    assert run("report model --log test.csv --event what --out page.html")[0] == 0
    assert run(f"diagnose --log log.csv {kinds}")[0] == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fit --log log.csv --event what --out model", "Say which is to be predicted: target="),
        ("fit --log log.csv --event what --target sale --out model", "no event of kind 'sale'"),
        ("fit --log log.csv --target buy --out model", "which column names kinds: event="),
        ("fit --log log.csv --event kind --target buy --out model", "no column 'kind' for event"),
        ("fit --log log.csv --event timestamp --target buy --out model", "must be four columns"),
    ],
)
def test_kinds_that_cannot_be_are_refused_in_one_line(run, line, words):
    code, _, err = run(line)
    assert code == 2 and words in err and err.count("\n") == 1
