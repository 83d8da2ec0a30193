"""The report says in its first line what was measured, and the demo what eight weeks say."""

import numpy as np
import pandas as pd
import pytest

import makedo
from makedo import RIM, cli
from makedo.core.checks import MakedoInputError
from makedo.data import catalog
from makedo.data.interaction_splits import temporal_split
from makedo.data.interactions import InteractionLog
from makedo.data.times import in_words
from makedo.methods.rim import Hawkes, demo
from makedo.methods.rim.page import Judged, kernel_sections, report

DAY, START = 86_400, 1_500_000_000


@pytest.fixture(scope="module")
def split(table):
    return temporal_split(InteractionLog.read(table), START + 53 * DAY, "7D")


@pytest.fixture(scope="module")
def model(split):
    return RIM(horizon="7D").fit(split)


def test_the_first_line_says_whether_lambda_pays_for_users_of_an_item(model, split):
    found = report(model, split)
    judged = Judged(model, split)
    gain = judged.comparison("users").paired("RIM", "without λ")
    assert gain.clear == 1 and found.verdict.startswith("λ pays: 10 users listed for each item")
    assert gain.words.replace(" rows)", " users)") in found.verdict
    assert not any("rows" in line for line in found.summary)
    assert "changes nothing there" in found.summary[-1]
    assert sum("(intensity=ema)" in line for line in found.summary) == 1


def test_where_own_repeats_are_better_the_first_line_says_so():
    """Users come back to things of their own; EASE never lists what a user had for having it."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(120), rng.poisson(rng.gamma(1.0, 30, 120)) + 1)
    item = (7 * user + rng.geometric(0.5, len(user))) % 60
    own = pd.DataFrame({"user_id": user, "item_id": item})
    own["timestamp"] = START + rng.integers(0, 100 * DAY, len(own))
    log = InteractionLog.read(own.drop_duplicates())
    split = temporal_split(log, START + 86 * DAY, "14D")
    first = report(RIM(horizon="14D").fit(split), split).verdict
    assert first.startswith("What each user had before will do (marks=personal_repeat): 10 users")
    assert "own repeats beats RIM" in first
    again = report(RIM("personal_repeat", horizon="14D").fit(split), split)
    assert "had before" not in again.verdict


def test_a_model_without_lambda_is_as_good_as_itself(split):
    constant = RIM(intensity="constant", horizon="7D").fit(split)
    judged = Judged(constant, split)
    gain = judged.comparison("users").paired("RIM", "without λ")
    assert gain.gain == 0 and gain.clear == 0
    assert "not clear" in report(constant, split).verdict or "Popularity" in (
        report(constant, split).verdict
    )


def test_figures_of_the_page_are_those_of_evaluate(model, split):
    both = report(model, split).tables["How good are both rankings?"]
    table = model.evaluate(split, top_k=10)
    for side, words in (("items", "items for a user"), ("users", "users for an item")):
        length = Judged(model, split).middle(side)
        assert length == 10
        for name in ("popularity", "without λ", "recent activity", "RIM"):
            here = both[(both["candidate"] == name) & both["group"].str.startswith(words)]
            there = table[(table["candidate"] == name) & (table["ranking"] == side)]
            assert here["mean"].item() == pytest.approx(100 * there["precision"].item())


def test_more_contacts_reach_more_of_those_who_will_come(model, split):
    reached = report(model, split).tables["How many must be contacted?"]
    assert (reached.diff().iloc[1:] >= 0).all(axis=None) and (reached <= 100).all(axis=None)
    assert (reached["RIM"] >= reached["without λ"]).all()


def test_a_report_without_later_events_shows_the_calibration_and_the_kernel(model):
    found = report(model)
    assert "was not measured" in found.verdict
    assert {"How far is λ right?", "How long does one event count?"} <= set(found.figures)
    assert found.tables["How far is λ right?"]["requests"].sum() > 0


def test_half_of_one_exponential_has_worn_off_after_its_half_life(split):
    one = Hawkes(1, shortest=0.5, longest=0.5)
    found = RIM("popularity", intensity=one, horizon="7D").fit(split)
    half = in_words(np.log(2) * 0.5 * 7 * DAY)
    assert f"worn off after {half}" in kernel_sections(found)[0].caption


def test_nothing_to_judge_by_is_refused(model, table):
    late = InteractionLog.read(table.assign(timestamp=table["timestamp"] + 900 * DAY))
    with pytest.raises(MakedoInputError, match="nothing to judge by"):
        report(model, late)


# --- the demo -------------------------------------------------------------------------------------


def test_flights_are_the_departures_that_were_measured():
    data = catalog.load("flights")
    log = data.log()
    assert (len(data.events), log.n_users, log.n_items) == (328_521, 4_037, 104)
    days = pd.to_datetime(data.events["timestamp"], unit="s")
    assert (days.min(), days.max()) == (
        pd.Timestamp("2013-01-01 10:00"),
        pd.Timestamp("2014-01-01 04:00"),
    )
    assert {"BOS", "LAX", "HNL"} <= set(log.items)


def test_every_week_learns_before_it_and_is_judged_inside_it():
    log = catalog.load("flights").log()
    for i in (0, demo.N_WEEKS):
        split = demo.week(log, demo.LAST - i * demo.WEEK)
        begin = demo.LAST - i * demo.WEEK
        assert split.train_log.time.max() < begin
        events = split.test.window(demo.WEEK)[1]
        assert log.time[events].min() >= begin and log.time[events].max() < begin + demo.WEEK


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the demo writes, with two weeks in place of all."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "N_WEEKS", 2)
        patch.setattr(demo, "SCALES", (2.0, 52.0))
        assert cli.main(["demo", "rim", "--out", str(folder), "--quiet"]) == 0
    return folder


def test_the_demo_says_what_each_question_gains(folder):
    text = (folder / "rim.html").read_text(encoding="utf-8")
    first = text.split("<h1")[1].split("</h1>")[0]
    assert "with or without λ" in first and "Who comes to an airport, λ says" in first
    assert "Over 2 weeks" in text


def test_the_lists_of_the_demo_are_those_of_its_model(folder):
    airports, aircraft = (pd.read_csv(folder / f"{name}.csv") for name in ("airports", "aircraft"))
    assert airports.groupby("user_id").size().eq(demo.AIRPORTS).all()
    assert aircraft.groupby("item_id").size().eq(demo.AIRCRAFT).all()
    model = makedo.load(folder / "model")
    some = model.recommend_users(["BOS"], top_k=3)
    stored = aircraft[aircraft["item_id"] == "BOS"].head(3)
    assert stored["user_id"].tolist() == some["user_id"].tolist()
    assert np.allclose(stored["score"], some["score"], rtol=1e-5)
