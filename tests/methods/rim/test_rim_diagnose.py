"""The diagnosis tells logs apart in which λ helps, does not, or cannot."""

import numpy as np
import pandas as pd
import pytest

from makedo import RIM
from makedo.core.checks import MakedoInputError
from makedo.data.interaction_splits import temporal_split
from makedo.data.interactions import InteractionLog
from makedo.methods.rim import EASE, RNN, Transformer, evaluate_user_rec
from makedo.methods.rim.diagnose import (
    PRODUCTS,
    described,
    lost_share,
    spearman,
    suggested_horizon,
    training_seconds,
)
from makedo.methods.rim.sequences import SequenceMarks

DAY, START = 86_400, 1_500_000_000


def steady(seed=0, users=150, items=20, days=60, rate=0.7):
    """Users who are all equally active, at random times, on random items."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(rate * days, users)
    user = np.repeat(np.arange(users), n)
    return pd.DataFrame(
        {
            "user_id": user,
            "item_id": rng.integers(items, size=len(user)),
            "timestamp": START + rng.integers(days * DAY, size=len(user)),
        }
    ).drop_duplicates()


@pytest.mark.parametrize("seed", range(3))
def test_where_all_are_equally_active_lambda_is_not_said_to_help(seed):
    found = RIM(horizon="7D").diagnose(steady(seed))
    assert found.verdict in ("does not apply", "may help")
    low, high = found.interval
    assert low <= 0 <= high


def test_where_activity_differs_it_applies(table):
    found = RIM(horizon="7D").diagnose(table)
    assert found.verdict == "applies" and found.interval[0] > 0 and "precision" in found.unit
    assert "λ helps to say who" in found.advice


def test_it_learns_before_the_last_horizon_and_ranks_for_it(table):
    """Its figures are those of a model that was fitted before the last week, judged on that."""
    found = RIM("popularity", horizon="7D").diagnose(table)
    begin = float(table["timestamp"].max()) + 1 - 7 * DAY
    split = temporal_split(InteractionLog.read(table), begin, 7 * DAY)
    judged = RIM("popularity").fit(split).evaluate(split, top_k=10)
    users = judged[judged["ranking"] == "users"].set_index("candidate")["precision"]
    for name, there in (("with λ", "RIM"), ("without λ", "without λ")):
        here = found.figures[f"precision of 10 users for each item, {name}"]
        assert here == pytest.approx(users[there])
    assert found.expected_gain == pytest.approx(100 * (users["RIM"] - users["without λ"]))


@pytest.mark.parametrize("marks", ["transformer", RNN(width=8, max_epochs=30), "given"])
def test_what_only_fit_can_have_is_neither_trained_nor_asked_for(table, marks, monkeypatch):
    """The figures are those of quick marks, which are named, and the cost of a network is said."""

    def trained(*_, **__):
        raise AssertionError("a network was trained")

    monkeypatch.setattr(SequenceMarks, "fit", trained)
    model = RIM(marks, horizon="7D")
    found = model.diagnose(table)
    quick = RIM("personal_repeat", horizon="7D").diagnose(table)
    assert found.figures == quick.figures and found.expected_gain == quick.expected_gain
    assert "measured with marks=personal_repeat" in found.advice
    assert ("on one core" in found.advice) == (marks != "given")
    assert model.marks is marks and "try marks" not in found.advice
    named = marks == "transformer"
    assert found.command.endswith("--out model" + " --set marks=transformer" * named)


def test_where_nobody_repeats_the_quick_marks_are_those_of_going_on_to_something_else(table):
    once = table.drop_duplicates(["user_id", "item_id"])
    assert "marks=ease." in RIM("rnn", horizon="7D").diagnose(once).advice


def test_the_cost_of_a_network_grows_with_steps_width_items_and_epochs(table):
    log = InteractionLog.read(table)
    base = {"width": 512, "max_epochs": 100, "n_layers": 4}
    seconds = training_seconds(Transformer(**base), log)
    n_steps = len(table.drop_duplicates(["user_id", "timestamp"]))
    products = 100 * 3 * n_steps * (4 * 12 * 512**2 + log.n_items * 512)
    assert seconds == pytest.approx(products / PRODUCTS, rel=0.5)  # to one digit
    assert training_seconds(Transformer(**{**base, "max_epochs": 400}), log) > 3 * seconds
    assert training_seconds(Transformer(8, max_epochs=1), log) == 1.0


def test_marks_that_there_are_not_are_refused(table):
    with pytest.raises(MakedoInputError, match="parameter marks must be one of"):
        RIM("lstm", horizon="7D").diagnose(table)


def test_times_of_an_import_are_told():
    log = steady()
    log["timestamp"] = START + log["user_id"] * 1000
    found = RIM(horizon="7D").diagnose(log.drop_duplicates())
    assert found.verdict == "does not apply" and "import, or users are" in found.advice


def test_where_users_are_visits_nobody_comes_back():
    visits = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(400), 4),
            "item_id": np.arange(1600) % 20,
            "timestamp": START + np.repeat(np.arange(400), 4) * 14_400 + np.arange(1600) % 4 * 60,
        }
    )
    found = RIM(horizon="7D").diagnose(visits)
    assert found.verdict == "does not apply" and "If users are visits" in found.advice


def test_marks_are_asked_once_for_what_is_judged_with_and_without_lambda(table, monkeypatch):
    asked, scores = [], EASE.scores
    monkeypatch.setattr(EASE, "scores", lambda *given: asked.append(1) or scores(*given))
    model = RIM("ease", horizon="7D")
    model.diagnose(table)
    assert len(asked) == 1
    split = temporal_split(InteractionLog.read(table), START + 50 * DAY, 7 * DAY)
    found = model.fit(split).evaluate(split, top_k=5)
    assert len(asked) == 2
    ours = evaluate_user_rec(model.scores(split.test), split.test.targets(7 * DAY), 5)
    users = found[(found["ranking"] == "users") & (found["candidate"] == "RIM")]
    assert users["precision"].item() == ours["precision"].item()


def test_what_nobody_can_rank_is_said_where_it_is_most(table):
    """Half of the users of the last week become others, who were never there before."""
    last = table["timestamp"] > table["timestamp"].max() - 7 * DAY
    for share, said in ((4, True), (1, False)):
        new = last & (table["user_id"].str[1:].astype(int) % 5 < share)
        other = table["user_id"].where(~new, "new " + table["user_id"])
        found = RIM("popularity", horizon="7D").diagnose(table.assign(user_id=other))
        assert ("% of the events to come are of new users" in found.advice) == said


def test_long_times_are_written_out():
    times = START - np.arange(400) * 20 * DAY
    log = pd.DataFrame({"user_id": np.arange(400) % 40, "item_id": 1, "timestamp": times})
    assert described(InteractionLog.read(log[:301]))["time covered"] == "6,000 days"


def test_a_constant_is_not_taken_for_activity_that_cannot_be_predicted(table):
    found = RIM(intensity="constant", horizon="7D").diagnose(table)
    assert found.verdict == "does not apply" and "recent activity does: take" in found.advice
    found = RIM(intensity="constant", horizon="7D").diagnose(steady())
    assert "not predictable" in found.advice


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (lambda: steady(users=5), "too few"),
        (lambda: steady(days=10, rate=3.0), "shorter than"),
    ],
)
def test_too_little_cannot_tell(log, words):
    found = RIM(horizon="7D").diagnose(log())
    assert found.verdict == "cannot tell" and words in found.advice
    assert found.expected_gain is None


def test_users_who_come_back_to_the_same_items_are_pointed_out():
    log = steady()
    log["item_id"] = log["user_id"] % 20
    assert "personal_repeat" in RIM(horizon="7D").diagnose(log).advice
    assert "personal_repeat" not in RIM("personal_repeat", horizon="7D").diagnose(log).advice


def test_the_figures_are_those_of_counting_by_hand():
    table = pd.DataFrame(
        {
            "user_id": [1, 1, 1, 1, 2, 2, 3],
            "item_id": [1, 2, 1, 3, 1, 2, 1],
            "timestamp": [100, 100, 160, 400, 100, 100, 7],
        }
    )
    found = described(InteractionLog.read(table))
    assert (found["events"], found["users"], found["items"]) == (7, 3, 3)
    assert found["events at the time of another of the user, %"] == pytest.approx(100 * 4 / 7)
    assert found["users with all events at one time, %"] == 50  # of two with several events
    assert found["events that repeat a pair, %"] == pytest.approx(100 / 7)
    assert found["resolution of the times"] == "1 minute"


def test_lost_are_events_of_users_or_items_without_a_history():
    table = pd.DataFrame(
        {
            "user_id": [1, 2, 1, 2, 9, 1],
            "item_id": [1, 2, 2, 8, 1, 1],
            "timestamp": [10, 11, 50, 51, 52, 53],
        }
    )
    log = InteractionLog.read(table)
    test = temporal_split(log, 40, 100, n_valid=0).test
    assert lost_share(log, test, 40, 100) == pytest.approx(2 / 4)


def test_the_rank_correlation_is_that_of_scipy_and_its_interval_covers_it():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    a = rng.normal(size=200)
    b = np.round(a + rng.normal(size=200))
    r, low, high = spearman(a, b)
    assert r == pytest.approx(spearmanr(a, b).statistic)
    assert low < r < high and high - low < 0.25
    assert spearman(np.ones(50), b[:50]) == (0.0, -1.0, 1.0)


def test_a_horizon_is_suggested_in_which_people_come_back():
    assert suggested_horizon(InteractionLog.read(steady(rate=0.3))) == "3 days"  # 59 % by chance
    once = steady(users=400, rate=0.02)
    assert suggested_horizon(InteractionLog.read(once)) == "none: few users come back"
